#include "fuzz/exec/honesty.h"

#include <memory>

#include "fuzz/exec/finding_key.h"

namespace daxfuzz::exec {

unsigned equal_replays(Executor& executor, const prog::Program& program, std::string_view key, uint64_t trace_hash,
                       const std::function<void(unsigned)>& before, uint64_t events_max) {
  RunConfig config;
  config.events_max = events_max;
  auto cold = std::make_unique<Executor>();
  Outcome outcome;
  for (unsigned i = 0; i < kHonestReplays; ++i) {
    if (before) { before(i); }
    if (kReplaysCold) { cold = std::make_unique<Executor>(); }
    const bool warm = !kReplaysCold && i < kHonestReplays / 2;
    (warm ? executor : *cold).run(program, config, &outcome);
    const bool same = outcome.finding && finding_key(*outcome.finding) == key && outcome.trace_hash == trace_hash;
    if (!same) { return i; }
  }
  return kHonestReplays;
}

}  // namespace daxfuzz::exec
