#include "fuzz/exec/honesty.h"

namespace daxfuzz::exec {

unsigned equal_replays(Executor& executor, const prog::Program& program, std::string_view key, uint64_t trace_hash,
                       const std::function<void(unsigned)>& before, uint64_t events_max) {
  RunConfig config;
  config.events_max = events_max;
  Executor cold;
  Outcome outcome;
  for (unsigned i = 0; i < kHonestReplays; ++i) {
    if (before) { before(i); }
    (i < kHonestReplays / 2 ? executor : cold).run(program, config, &outcome);
    const bool same = outcome.finding && finding_key(*outcome.finding) == key && outcome.trace_hash == trace_hash;
    if (!same) { return i; }
  }
  return kHonestReplays;
}

}  // namespace daxfuzz::exec
