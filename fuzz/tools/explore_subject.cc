#include "fuzz/tools/explore_subject.h"

#include <algorithm>

#include "fuzz/exec/finding_key.h"
#include "fuzz/exec/interpreter.h"

namespace daxfuzz::tools {

uint64_t outcome_of(const exec::Outcome& outcome) {
  if (outcome.finding) {
    const std::string key = exec::finding_key(*outcome.finding);
    return exec::fnv1a64(std::as_bytes(std::span(key)));
  }
  uint64_t sum = 0;
  for (const oracle::OpRecord& record : outcome.history.records) {
    const uint64_t words[] = {record.task,
                              record.index,
                              static_cast<uint64_t>(record.ret),
                              static_cast<uint64_t>(record.error),
                              static_cast<uint64_t>(record.signal),
                              record.data_hash};
    sum += exec::fnv1a64(std::as_bytes(std::span(words)));
  }
  return sum;
}

void ExploreSubject::run(daxfs::rt::Policy& policy, explore::RunReport* report) {
  exec::RunConfig config;
  config.policy = &policy;
  if (longest_ != 0) { config.events_max = std::min(config.events_max, std::max(kTimes * longest_, kEventsMin)); }
  executor_.run(program_, config, &outcome_);
  const bool spins = outcome_.finding && outcome_.finding->verdict == daxfs::Verdict::kLivelock;
  if (!spins) { longest_ = std::max(longest_, outcome_.events); }
  report->tasks_begin = outcome_.tasks_begin;
  report->outcome = outcome_of(outcome_);
  report->finding = outcome_.finding;
  report->trace_hash = outcome_.trace_hash;
  report->taken = outcome_.taken;
}

}  // namespace daxfuzz::tools
