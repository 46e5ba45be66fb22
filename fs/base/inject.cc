#include "fs/base/inject.h"

namespace daxfs {

namespace internal {

InjectionPlan g_injections{};
InjectionPlan g_plan{};

}  // namespace internal

bool count_injection(Injection kind) {
  uint32_t& left = internal::g_injections[static_cast<size_t>(kind)];
  uint32_t now = __atomic_load_n(&left, __ATOMIC_RELAXED);
  while (now != 0) {
    if (__atomic_compare_exchange_n(&left, &now, now - 1, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
      return now == 1;
    }
  }
  return false;
}

void arm_injections(const InjectionPlan& plan) {
  internal::g_injections = plan;
  internal::g_plan = plan;
}

}  // namespace daxfs
