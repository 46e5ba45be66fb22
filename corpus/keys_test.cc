// corpus/keys_test.cc - dedup keys: what differs gets different ones, what is the same keeps its own.
//
// For each historical bug: its program under its own schedule and under 20 schedules near it (anchors moved a little,
// or a few random switches where there are none). The key is that of the assertion that objects, so one bug may have
// several: whoever comes first objects. What most of its schedules show is the bug's key here.
//
// Writes BUILD/bug_keys.txt (id, key), which must be equal in all flavours.
#include <algorithm>
#include <fstream>
#include <map>
#include <set>
#include <sstream>

#include <gtest/gtest.h>

#include "fs/base/historical.h"
#include "fuzz/exec/executor.h"
#include "fuzz/prog/text.h"
#include "fuzz/sched/policies.h"

namespace daxfuzz {
namespace {

#if defined(DAXFS_ASAN) || defined(DAXFS_TSAN)
constexpr unsigned kSeeds = 3;  // a key follows from a trace, and that is the same in every flavour
#else
constexpr unsigned kSeeds = 20;
#endif
constexpr unsigned kTriesOfSeed = 2000;

// Groups of bugs that one assertion sees in one kind of call, with the same story of its objects
// (About::how).
const std::vector<std::set<std::string>> kSameSymptom = {
    // A task that sleeps for an entry which nobody has locked.
    {"exclusive-waiter-does-not-pass-wakeup", "pmd-fault-waits-on-wrong-queue", "subpage-lock-not-range-wide"},
    // More pages counted than there are.
    {"fault-without-entry-lock", "pte-upgrade-not-removed", "replace-accounting-wrong-kind"},
    {"no-retry-after-sleep", "store-order0-over-pmd", "unlock-loses-pmd-bit/order"},
    {"pmd-lookup-misses-pte-entry", "pmd-upgrade-leaves-zero-page-entries"},
    // A huge mapping for which the tree has no huge entry: it is not there, or the look-up goes
    // astray.
    {"sibling-mask-lost", "unmap-gated-on-buffer-new"},
    // Zeros in a file at the end, where something was stored.
    {"dax-write-vs-fault-unwritten", "double-zero-on-simultaneous-write-faults", "inode-io-end-pointer-clobber",
     "writeback-vs-punch-zero", "writeback-writeprotects-under-gup"},
    // A device is told of a block that a punch, or a close, has freed.
    {"punch-does-not-wait-for-dio/flush", "punch-does-not-wait-for-dio/unlocked-readers",
     "release-trims-blocks-under-dio", "stale-read-after-punch-repopulation"},
    {"overwrite-check-goes-stale", "overwrite-relock-order/entry"},
    {"get-blocks-flag-overlap/all", "get-blocks-flag-overlap/any"},
    // A read that gets zeros where a direct write had its bytes on the device already.
    {"dio-read-before-unwritten-conversion", "isize-published-before-conversion"},
    // A DIRTY mark went with its entry.
    {"invalidate-drops-dirty-tag", "punch-skips-dax-writeback"},
    // A lookup takes a lock that its caller has.
    {"recursive-i_data_sem-read/lookup", "recursive-i_data_sem-read/recheck"},
    // A page that lost its buffer under a pin.
    {"reclaim-refcount-precheck", "reclaim-strips-buffers-under-gup"},
    // A conversion in an interrupt.
    {"end-io-in-interrupt-context/first-piece", "end-io-in-interrupt-context/no-pointer"},
    // The extent status cache disagrees with the tree.
    {"es-not-dropped-on-failed-split", "es-phantom-hole-during-split", "zero-range-flag-alias"},
};

bool may_share(const std::string& a, const std::string& b) {
  return std::any_of(kSameSymptom.begin(), kSameSymptom.end(),
                     [&](const auto& group) { return group.contains(a) && group.contains(b); });
}

prog::Program load(const std::string& id) {
  std::ifstream in("corpus/bugs/" + id + "/program.txt");
  std::stringstream text;
  text << in.rdbuf();
  prog::Program program;
  std::string error;
  EXPECT_TRUE(prog::parse(text.str(), id, &program, &error)) << error;
  return program;
}

struct Keys {
  std::string own;                       // under the program's schedule
  std::map<std::string, unsigned> near;  // and how many of the seeds
  unsigned seeds = 0;

  std::string most() const {
    std::string best = own;
    unsigned count = 0;
    for (const auto& [key, n] : near) {
      if (n > count || (n == count && key == own)) {
        best = key;
        count = n;
      }
    }
    return best;
  }
};

void move_anchors(sched::SmallRandom& random, prog::Program* program) {
  constexpr uint32_t kReach = 12;
  for (prog::Preemption& p : program->schedule) {
    const uint32_t lowest = p.event > kReach ? p.event - kReach : 1;
    p.event = lowest + random.below(2 * kReach + 1);
  }
}

Keys keys_of(const std::string& id) {
  static exec::Executor& executor = *new exec::Executor;
  daxfs::BugSet bugs;
  daxfs::select_historical(id, &bugs);
  daxfs::set_historical(bugs);
  const prog::Program program = load(id);
  exec::Outcome outcome;
  executor.run(program, {}, &outcome);
  Keys keys;
  EXPECT_TRUE(outcome.finding) << id;
  if (!outcome.finding) { return keys; }
  keys.own = exec::finding_key(*outcome.finding);
  const uint64_t tasks_begin = outcome.tasks_begin;
  for (unsigned seed = 0; seed < kSeeds; ++seed) {
    sched::SmallRandom random(seed);
    for (unsigned i = 0; i < kTriesOfSeed; ++i) {
      prog::Program moved = program;
      sched::RandomWalk walk(random.next(), 200, tasks_begin);
      exec::RunConfig config;
      if (program.schedule.empty()) {
        config.policy = &walk;
      } else {
        move_anchors(random, &moved);
      }
      executor.run(moved, config, &outcome);
      if (!outcome.finding) { continue; }
      ++keys.near[exec::finding_key(*outcome.finding)];
      ++keys.seeds;
      break;
    }
  }
  daxfs::set_historical({});
  return keys;
}

TEST(DedupKeys, BugsHaveDifferentOnesUnlessOneAssertionSeesBoth) {
  std::map<std::string, Keys> all;
  std::ofstream out(DAXFUZZ_BUILD_DIR "/bug_keys.txt");
  for (const auto& info : daxfs::historical_bugs()) {
    const std::string id(info.id);
    all[id] = keys_of(id);
    out << id << " " << all[id].own;
    for (const auto& [key, count] : all[id].near) { out << " " << key << "x" << count; }
    out << "\n";
    EXPECT_EQ(all[id].seeds, kSeeds) << id << ": too few schedules near its own show it";
  }
  ASSERT_TRUE(out.good());
  for (const auto& [a, keys_a] : all) {
    for (const auto& [b, keys_b] : all) {
      if (a >= b) { continue; }
      if (may_share(a, b)) {
        EXPECT_EQ(keys_a.own, keys_b.own) << a << " and " << b << " are told apart now: take them off the list";
      } else {
        EXPECT_NE(keys_a.own, keys_b.own) << a << " and " << b;
        EXPECT_NE(keys_a.most(), keys_b.most()) << a << " and " << b;
      }
    }
  }
}

}  // namespace
}  // namespace daxfuzz
