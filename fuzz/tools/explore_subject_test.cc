// Exploration of programs that use the page cache, direct I/O and AIO: what the reductions rest on,
// and that they leave out nothing.
#include "fuzz/tools/explore_subject.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <set>
#include <sstream>
#include <string>

#include <gtest/gtest.h>

#include "fs/base/historical.h"
#include "fuzz/exec/testing.h"
#include "fuzz/explore/state_check.h"
#include "fuzz/prog/generate.h"
#include "fuzz/prog/random.h"
#include "fuzz/prog/text.h"

namespace daxfuzz::tools {
namespace {

using prog::Program;
using prog::Random;

// f0 is a cached file, m0 its mapping; f1 another one for direct I/O, f2 the first one for direct
// I/O, f3 a DAX file.
constexpr const char* kOps[] = {
    "pread f0 buf 4K 0",
    "pwrite f0 0x43 4K 0",
    "pwrite f0 0x44 8K 0",
    "load m0 0 16",
    "store m0 0 16 0x45",
    "store m0 4K 16 0x46",
    "reclaim",
    "fsync f0",
    "ftruncate f0 4K",
    "ftruncate f0 100",
    "fallocate f0 punch|keep_size 0 4K",
    "pread f1 m0+0 4K 0",
    "pwrite f1 m0+0 4K 0",
    "pread f2 buf 4K 0",
    "pwrite f2 0x47 4K 0",
    "io_submit_pread f2 buf 4K 0",
    "io_submit_pwrite f2 0x48 4K 0",
    "io_submit_pwrite f2 0x49 4K 8K",
    "io_getevents 0",
    "madvise m0 4K dontneed",
    "drop_caches",
    "process_vm_readv m0 0 16",
    "munmap m0 4K",
    "sync",
    "store m1 0 16 0x4a",
    "fallocate f3 punch|keep_size 0 4K",
    "lseek f0 0 data",
    "lseek f0 0 hole",
    "pread f1 m1+0 4K 0",
};

// What makes more tasks than two, or lets something fail. A third has it where plain enumeration has to end.
enum class Extras : uint8_t { kThird, kMost };
std::string mount_extra(Random& random, Extras extras) {
  static constexpr const char* kFailures[] = {"fail_bio=", "fail_alloc=", "fail_memory="};
  switch (random.below(extras == Extras::kThird ? 9 : 4)) {
    case 0: return ",flush=2";
    case 1: return ",reclaim=4";
    case 2: return "," + std::string(random.pick(kFailures)) + std::to_string(1 + random.below(16));
    default: return {};
  }
}

Program random_program(Random& random, Extras extras) {
  std::string text = "daxfuzz program 1\nimage small\nmount dax=inode";
  text += random.chance(1, 4) ? ",dioread_nolock" : "";
  text += mount_extra(random, extras);
  text += "\n";
  text += "process P0\ninit in P0\n  f0 = open \"g0\" rdwr\n";
  text += random.chance(1, 4) ? "  fallocate f0 0 8K\n" : "  pwrite f0 0x41 8K 0\n";
  if (random.chance(1, 2)) { text += "  fsync f0\n"; }
  text += "  m0 = mmap f0 0 8K read|write shared\n";
  if (random.chance(1, 3)) { text += "  store m0 0 16 0x40\n"; }
  text += "  f1 = open \"g1\" rdwr|direct\n  pwrite f1 0x42 8K 0\n";
  text += "  f2 = open \"g0\" rdwr|direct\n";
  text += "  f3 = open \"f0\" rdwr|creat\n  fallocate f3 0 8K\n  m1 = mmap f3 0 8K read|write shared\n";
  for (int task = 0; task < 2; ++task) {
    text += "task T" + std::to_string(task) + " in P0\n";
    for (uint32_t op = 1 + random.below(5) / 4; op > 0; --op) { text += "  " + std::string(random.pick(kOps)) + "\n"; }
  }
  Program program;
  std::string error;
  EXPECT_TRUE(prog::parse(text, "random", &program, &error)) << error << "\n" << text;
  return program;
}

// What the fuzzer makes.
Program generated_program(Random& random) {
  prog::Options options;
  options.tasks_max = 2;
  options.ops_per_task_max = 3;
  Program program = prog::generate(random, options);
  program.schedule.clear();
  return program;
}

uint64_t from_environment(const char* name, uint64_t otherwise) {
  const char* const text = std::getenv(name);
  return text != nullptr ? std::strtoull(text, nullptr, 10) : otherwise;
}

#if defined(DAXFUZZ_UNDER_TSAN)  // of the build; this source itself is hidden from TSan
constexpr bool kUnderTsan = true;
#else
constexpr bool kUnderTsan = false;
#endif

// A few with sanitizers, where runs take ten times as long.
// More of them by hand: DAXFUZZ_EXPLORE_PROGRAMS=1000 DAXFUZZ_EXPLORE_SEED=7.
constexpr uint64_t kPrograms = exec::kSanitized || kUnderTsan ? 5 : 16;
uint64_t programs() { return from_environment("DAXFUZZ_EXPLORE_PROGRAMS", kPrograms); }
uint64_t first_seed() { return from_environment("DAXFUZZ_EXPLORE_SEED", 1); }

// Findings are outcomes, and outcomes of a sound library are few.
class SomeBug {
 public:
  explicit SomeBug(Random& random) {
    static constexpr const char* kBugs[] = {
        "reclaim-strips-buffers-under-gup",  "reclaim-refcount-precheck",     "dirty-after-truncate-by-gup",
        "writeback-writeprotects-under-gup", "dio-done-before-conversion",    "lost-truncate-vs-writeback",
        "overwrite-check-goes-stale",        "punch-does-not-wait-for-dio",   "stale-read-after-punch-repopulation",
        "writeback-vs-punch-zero",           "fault-vs-punch-unsynchronised", "dio-pin-after-break-layouts"};
    daxfs::BugSet bugs;
    if (random.chance(3, 4)) { EXPECT_NE(daxfs::select_historical(name_ = random.pick(kBugs), &bugs), 0U); }
    daxfs::set_historical(bugs);
  }
  ~SomeBug() { daxfs::set_historical({}); }
  SomeBug(const SomeBug&) = delete;
  SomeBug& operator=(const SomeBug&) = delete;
  const char* name() const { return name_; }

 private:
  const char* name_ = "none";
};

TEST(ExploreSubject, EqualAccessesLeadToEqualStates) {
  uint64_t met_again = 0;
  for (uint64_t i = 0; i < programs(); ++i) {
    Random random(first_seed() + i);
    const Program program = i % 2 == 0 ? random_program(random, Extras::kMost) : generated_program(random);
    ExploreSubject subject(program);
    explore::StateCheck check;
    const daxfs::rt::WatchSteps watch(&check);
    explore::RunReport report;
    check.next_walk(1, UINT64_MAX);
    subject.run(check, &report);
    const uint64_t tasks_begin = report.tasks_begin;
    for (uint64_t seed = 1; seed <= 60; ++seed) {
      check.next_walk(seed, tasks_begin);
      subject.run(check, &report);
      if (!report.finding) { check.end_run(report.outcome); }
    }
    EXPECT_EQ(check.mismatch(), "") << prog::print(program);
    met_again += check.met_again();
  }
  EXPECT_GT(met_again, programs() * 1000);
}

class AtMost final : public explore::Watcher {
 public:
  explicit AtMost(uint64_t runs) : runs_(runs) {}
  bool go_on(const explore::Progress& progress) override { return progress.runs < runs_; }

 private:
  uint64_t runs_;
};

explore::Result explore(const Program& program, unsigned preemptions, bool reduce, uint64_t runs_max) {
  ExploreSubject subject(program);
  AtMost at_most(runs_max);
  return explore::Explorer(
             subject,
             {.preemptions = preemptions, .reduce = reduce, .stop_at_finding = false, .collect_outcomes = true})
      .run(&at_most);
}

// How much a test compared. Of `programs`, too few or no outcomes would show nothing.
struct Compared {
  uint64_t programs = 0;
  uint64_t outcomes = 0;

  void expect_enough(uint64_t programs_tried) const {
    std::printf("%llu programs compared, %llu outcomes\n", static_cast<unsigned long long>(programs),
                static_cast<unsigned long long>(outcomes));
    EXPECT_GT(programs, programs_tried / 8);
    EXPECT_GT(outcomes, programs);
  }
};

TEST(ExploreSubject, SeesWhatPlainEnumerationSees) {
  const uint64_t runs_max = from_environment("DAXFUZZ_EXPLORE_RUNS", 2500);
  Compared compared;
  for (uint64_t i = 0; i < programs(); ++i) {
    Random random(first_seed() + i);
    const Program program = random_program(random, Extras::kThird);
    const SomeBug bug(random);
    const explore::Result plain = explore(program, 1, false, runs_max);
    if (!plain.complete) { continue; }  // too many runs to compare with
    const explore::Result reduced = explore(program, 1, true, UINT64_MAX);
    EXPECT_TRUE(reduced.complete);
    EXPECT_EQ(plain.outcomes, reduced.outcomes) << "with bug " << bug.name() << "\n" << prog::print(program);
    ++compared.programs;
    compared.outcomes += plain.outcomes.size();
  }
  compared.expect_enough(programs());
}

// One run out of those that plain enumeration would make.
class Sample final : public daxfs::rt::Policy {
 public:
  Sample(uint64_t seed, unsigned preemptions, uint64_t first_event, uint64_t events)
      : random_(seed), first_event_(first_event) {
    for (unsigned i = 0; i < preemptions; ++i) { at_.insert(first_event + random_.below(events - first_event)); }
  }
  uint64_t budget(const daxfs::rt::SchedView& view) override {
    const auto next = at_.upper_bound(view.events);
    return next == at_.end() ? daxfs::rt::kNeverAsk : *next - view.events;
  }
  daxfs::rt::TaskId preempt(const daxfs::rt::SchedView& view) override {
    if (view.current == daxfs::rt::kRootTask) { return view.current; }
    const daxfs::rt::TaskId next = random_.pick(view.runnable);
    return next == daxfs::rt::kRootTask ? view.current : next;
  }
  daxfs::rt::TaskId choose(const daxfs::rt::SchedView& view) override {
    if (view.events < first_event_) { return default_choice(view); }  // exploring begins with the tasks
    const bool root = std::ranges::find(view.runnable, daxfs::rt::kRootTask) != view.runnable.end();
    return root ? daxfs::rt::kRootTask : random_.pick(view.runnable);
  }

 private:
  Random random_;
  const uint64_t first_event_;
  std::set<uint64_t> at_;
};

// Where plain enumeration takes too long: runs drawn from it.
TEST(ExploreSubject, NoRunHasAnOutcomeThatExplorationLeftOut) {
  const uint64_t runs_max = from_environment("DAXFUZZ_EXPLORE_RUNS", 2500);
  const auto preemptions = static_cast<unsigned>(from_environment("DAXFUZZ_EXPLORE_PREEMPTIONS", 1));
  Compared compared;
  for (uint64_t i = 0; i < programs(); ++i) {
    Random random(first_seed() + i);
    const Program program = random_program(random, Extras::kThird);
    const SomeBug bug(random);
    const explore::Result reduced = explore(program, preemptions, true, runs_max);
    if (!reduced.complete) { continue; }
    ++compared.programs;
    compared.outcomes += reduced.outcomes.size();
    ExploreSubject subject(program);
    explore::RunReport report;
    subject.run(daxfs::rt::default_policy(), &report);
    const uint64_t events = subject.outcome().events;
    const uint64_t begin = report.tasks_begin;
    if (begin == 0 || begin >= events) { continue; }
    for (uint64_t seed = 1; seed <= 200; ++seed) {
      Sample sample(seed, preemptions, begin, events);
      subject.run(sample, &report);
      if (reduced.outcomes.contains(report.outcome)) { continue; }
      Program found = program;
      exec::adopt_schedule(report.taken, &found);
      ADD_FAILURE() << "with bug " << bug.name() << "\n" << prog::print(found);
      break;
    }
  }
  compared.expect_enough(programs());
}

// Their schedules have as many preemptions; a search that leaves out too much would not know.
TEST(ExploreSubject, BugsOfThePageCacheAreFoundWithoutTheirSchedules) {
  for (const char* const id :
       {"reclaim-strips-buffers-under-gup", "lost-truncate-vs-writeback", "overwrite-check-goes-stale",
        "overwrite-relock-order/entry", "punch-does-not-wait-for-dio/unlocked-readers", "writeback-vs-punch-zero"}) {
    daxfs::BugSet bugs;
    ASSERT_EQ(daxfs::select_historical(id, &bugs), 1U);
    daxfs::set_historical(bugs);
    std::ifstream in(std::string("corpus/bugs/") + id + "/program.txt");
    std::stringstream text;
    text << in.rdbuf();
    Program program;
    std::string error;
    ASSERT_TRUE(prog::parse(text.str(), id, &program, &error)) << error;
    program.schedule.clear();
    ExploreSubject subject(program);
    const explore::Result result = explore::Explorer(subject, {.preemptions = 1}).run();
    EXPECT_TRUE(result.finding) << id;
    daxfs::set_historical({});
  }
}

}  // namespace
}  // namespace daxfuzz::tools
