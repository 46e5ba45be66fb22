// fuzz/tools/crash_trap_test.cc - crashes of many kinds become findings, as often as they happen.
//
// A program of its own: how its sanitizer reports is chosen when it starts.
#include "fuzz/tools/crash_trap.h"

#include <cstdlib>
#include <functional>
#include <string>

#include <gtest/gtest.h>

#include "fs/base/compiler.h"
#include "fs/rt/engine.h"
#include "fs/rt/point.h"
#include "fs/rt/task.h"

#if defined(DAXFS_ASAN)
extern "C" const char* __asan_default_options() {  // as of `daxfuzz`
  return "detect_stack_use_after_return=0:detect_leaks=0:" DAXFUZZ_CRASH_TRAP_ASAN_OPTIONS;
}
#endif

#if defined(DAXFS_TSAN)
extern "C" const char* __tsan_default_options() { return "exitcode=0:" DAXFUZZ_CRASH_TRAP_TSAN_OPTIONS; }
#endif

namespace daxfs {  // of the library, so that findings name it

volatile uint64_t g_sink = 0;
uint64_t g_count = 0;
int* volatile g_nowhere = reinterpret_cast<int*>(0x1000);
int* volatile g_null = nullptr;

// Not through a null pointer: that is UBSan's.
FS_NOINLINE void stores_to_nowhere() { *g_nowhere = 1; }

FS_NOINLINE void gives_up() { std::abort(); }

FS_NOINLINE void counts_unordered() { ++g_count; }

FS_NOINLINE void half_round() {
  for (int i = 0; i < 1000; ++i) { g_sink = g_sink + 1; }
}
FS_NOINLINE void other_half() {
  for (int i = 0; i < 1000; ++i) { g_sink = g_sink + 2; }
}

FS_NOINLINE void goes_round() {
  for (;;) {
    half_round();
    other_half();
  }
}

FS_NOINLINE uint64_t fills_the_stack(uint64_t depth) {
  volatile char room[4096];
  room[depth % sizeof(room)] = static_cast<char>(depth);
  return depth == 0 ? 0 : 1 + fills_the_stack(depth - 1) + static_cast<uint64_t>(room[0]);
}

FS_NOINLINE int uses_what_is_freed() {
  int* volatile number = new int(1);
  delete number;
  return *number;
}

}  // namespace daxfs

namespace daxfuzz::tools {
namespace {

namespace rt = daxfs::rt;

void some_points(unsigned count) {
  for (unsigned i = 0; i < count; ++i) { rt::point(rt::PointKind::kYield, 0); }
}

rt::RunOutcome run_task(std::function<void()> body) {
  static std::function<void()> task;
  task = std::move(body);
  return rt::run(
      rt::default_policy(), {}, nullptr,
      [](void*) {
        rt::spawn("T0", [] {
          some_points(5);
          task();
          some_points(5);
        });
        rt::join_all_spawned();
      },
      nullptr);
}

class CrashTrap : public testing::Test {
 protected:
  static void SetUpTestSuite() { catch_crashes(/*seconds=*/1); }

  // Twice, because a replay must say the same; and a run behind it is as good as ever.
  static void expect_finding(const std::function<void()>& body, daxfs::Verdict verdict, const std::string& title,
                             const std::string& function) {
    const rt::RunOutcome first = run_task(body);
    const rt::RunOutcome second = run_task(body);
    for (const rt::RunOutcome* outcome : {&first, &second}) {
      ASSERT_TRUE(outcome->finding);
      EXPECT_EQ(outcome->finding->verdict, verdict);
      EXPECT_NE(outcome->finding->title.find(title), std::string::npos) << outcome->finding->title;
      EXPECT_NE(std::string(outcome->finding->function).find(function), std::string::npos)
          << outcome->finding->function << "\n"
          << outcome->finding->detail;
    }
    EXPECT_EQ(first.trace_hash, second.trace_hash);
    EXPECT_FALSE(run_task([] {}).finding);
    EXPECT_FALSE(crashed());
  }
};

#if !defined(DAXFS_TSAN)
TEST_F(CrashTrap, AStoreToNowhere) {
  expect_finding(&daxfs::stores_to_nowhere, daxfs::Verdict::kCrash, "SIGSEGV", "stores_to_nowhere");
}

TEST_F(CrashTrap, AnAbort) { expect_finding(&daxfs::gives_up, daxfs::Verdict::kCrash, "SIGABRT", "gives_up"); }

TEST_F(CrashTrap, ALoopWithoutASchedulingPoint) {
  expect_finding(&daxfs::goes_round, daxfs::Verdict::kLivelock, "without a scheduling point", "goes_round");
}

TEST_F(CrashTrap, AStackThatIsFull) {
  expect_finding([] { daxfs::g_sink = daxfs::fills_the_stack(1000); }, daxfs::Verdict::kCrash, "SIGSEGV",
                 "fills_the_stack");
}
#endif

#if defined(DAXFS_ASAN)  // and UBSan, of the same preset
TEST_F(CrashTrap, AReportOfUbsan) {
  expect_finding([] { *daxfs::g_null = 1; }, daxfs::Verdict::kCrash, "null-pointer-use", "");
}

TEST_F(CrashTrap, AReportOfAsan) {
  expect_finding([] { daxfs::g_sink = static_cast<uint64_t>(daxfs::uses_what_is_freed()); }, daxfs::Verdict::kCrash,
                 "heap-use-after-free", "uses_what_is_freed");
}

// The last thing that a run does.
TEST_F(CrashTrap, AReportOfAsanBehindTheLastEvent) {
  const rt::RunOutcome outcome = rt::run(
      rt::default_policy(), {}, nullptr,
      [](void*) { daxfs::g_sink = static_cast<uint64_t>(daxfs::uses_what_is_freed()); }, nullptr);
  ASSERT_TRUE(outcome.finding);
  EXPECT_EQ(outcome.finding->title, "heap-use-after-free");
}
#endif

#if defined(DAXFS_TSAN)
TEST_F(CrashTrap, AReportOfTsan) {
  for (int again = 0; again < 20; ++again) {
    const rt::RunOutcome outcome = rt::run(
        rt::default_policy(), {}, nullptr,
        [](void*) {
          for (const char* name : {"T0", "T1"}) {
            rt::spawn(name, [] {
              some_points(5);
              daxfs::counts_unordered();
              some_points(5);
            });
          }
          rt::join_all_spawned();
        },
        nullptr);
    ASSERT_TRUE(outcome.finding) << again;
    EXPECT_EQ(outcome.finding->verdict, daxfs::Verdict::kDataRace);
    EXPECT_NE(std::string(outcome.finding->function).find("counts_unordered"), std::string::npos)
        << outcome.finding->function << "\n"
        << outcome.finding->detail;
  }
}
#endif

#if !defined(DAXFS_TSAN)
TEST_F(CrashTrap, OutsideARunEndsTheProcess) {
  EXPECT_EXIT(daxfs::stores_to_nowhere(), testing::KilledBySignal(SIGSEGV), "");
}
#endif

}  // namespace
}  // namespace daxfuzz::tools
