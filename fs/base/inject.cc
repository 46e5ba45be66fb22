#include "fs/base/inject.h"

namespace daxfs {

namespace internal {

InjectionPlan g_injections{};

bool inject_slow(Injection kind) {
  uint32_t& left = g_injections[static_cast<size_t>(kind)];
  uint32_t now = __atomic_load_n(&left, __ATOMIC_RELAXED);
  while (now != 0) {
    if (__atomic_compare_exchange_n(&left, &now, now - 1, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
      return now == 1;
    }
  }
  return false;
}

}  // namespace internal

void arm_injections(const InjectionPlan& plan) { internal::g_injections = plan; }

}  // namespace daxfs
