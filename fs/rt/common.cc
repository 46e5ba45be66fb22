// fs/rt/common.cc - parts that do not differ between the flavours.
#include <cstdio>
#include <cstdlib>

#include "fs/rt/refcount.h"
#include "fs/rt/testing.h"

namespace daxfs::rt {

TaskId default_choice(const SchedView& view) {
  TaskId first = kNoTask;
  for (const TaskId task : view.runnable) {
    if (task == view.current) { continue; }
    if (task > view.current) { return task; }
    if (first == kNoTask) { first = task; }
  }
  return first;
}

namespace {

class DefaultPolicy final : public Policy {
 public:
  uint64_t budget(const SchedView& /*view*/) override { return kNeverAsk; }
  TaskId preempt(const SchedView& view) override { return view.current; }
  TaskId choose(const SchedView& view) override { return default_choice(view); }
};

}  // namespace

Policy& default_policy() {
  static DefaultPolicy policy;
  return policy;
}

RunOutcome run(Policy& policy, const RunLimits& limits, Observer* observer, void (*root)(void*), void* arg) {
  RunOutcome outcome;
  run_into(policy, limits, observer, root, arg, &outcome);
  return outcome;
}

namespace internal {

void fail_test_run(const Finding& finding) {
  std::fprintf(stderr, "%s [%s] %s\n  in %s (%s:%u)\n%s\n", verdict_name(finding.verdict), finding.tag.c_str(),
               finding.title.c_str(), finding.function, finding.file, finding.line, finding.detail.c_str());
  std::abort();
}

void report_ref_underflow(int64_t value, Site site) {
  daxfs::internal::report_finding(Verdict::kBug, "RC1", site, "reference count dropped to %lld",
                                  static_cast<long long>(value));
  FS_STOP_AT_FINDING();
}

void report_ref_overflow(int64_t value, Site site) {
  daxfs::internal::report_finding(Verdict::kBug, "RC2", site, "reference taken on a count of %lld",
                                  static_cast<long long>(value));
  FS_STOP_AT_FINDING();
}

}  // namespace internal
}  // namespace daxfs::rt
