#include "fuzz/exec/honesty.h"

#include <memory>

#include "fuzz/exec/finding_key.h"

namespace daxfuzz::exec {

unsigned replays_needed(const daxfs::Finding& finding) { return finding.tag == kLoopTag ? 2 : kHonestReplays; }

unsigned equal_replays(Executor& executor, const prog::Program& program, const daxfs::Finding& finding,
                       uint64_t trace_hash, const std::function<void(unsigned)>& before, uint64_t events_max) {
  const unsigned needed = replays_needed(finding);
  const std::string key = finding_key(finding);
  RunConfig config;
  config.events_max = events_max;
  auto cold = std::make_unique<Executor>();
  Outcome outcome;
  for (unsigned i = 0; i < needed; ++i) {
    if (before) { before(i); }
    if (kReplaysCold) { cold = std::make_unique<Executor>(); }
    const bool warm = !kReplaysCold && i < needed / 2;
    (warm ? executor : *cold).run(program, config, &outcome);
    const bool same = outcome.finding && finding_key(*outcome.finding) == key && outcome.trace_hash == trace_hash;
    if (!same) { return i; }
  }
  return needed;
}

}  // namespace daxfuzz::exec
