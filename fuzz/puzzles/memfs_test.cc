// fuzz/puzzles/memfs_test.cc - the example is sound, and its planted flaws are found.
#include "fuzz/puzzles/memfs.h"

#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "fs/rt/engine.h"
#include "fuzz/sched/policies.h"

namespace daxfuzz::puzzles {
namespace {

struct Scene {
  Memfs::Flaw flaw;
  std::vector<uint8_t> bytes;
};

// The tag of the first finding in `schedules` random schedules of the operations; empty: none.
std::string first_finding(const Scene& scene, unsigned schedules) {
  for (unsigned seed = 1; seed <= schedules; ++seed) {
    sched::RandomWalk walk(seed, 1 + seed % 4);
    const auto outcome = daxfs::rt::run(
        walk, {.events_max = 10000}, nullptr,
        [](void* arg) {
          const Scene& s = *static_cast<const Scene*>(arg);
          run_memfs(s.flaw, s.bytes.data(), s.bytes.size());
        },
        const_cast<Scene*>(&scene));
    if (outcome.finding) { return outcome.finding->tag; }
  }
  return "";
}

constexpr uint8_t create(unsigned name) { return static_cast<uint8_t>(name << 4); }
constexpr uint8_t append(unsigned name) { return static_cast<uint8_t>(0x40 | name << 4); }
constexpr uint8_t rename(unsigned from, unsigned to) { return static_cast<uint8_t>(0x80 | from << 4 | to << 2); }
constexpr uint8_t unlink(unsigned name) { return static_cast<uint8_t>(0xc0 | name << 4); }

// Rows of three: an operation of each task.
const std::vector<uint8_t> kAppends = {create(0), create(1), create(2), append(0), append(0), append(0)};
const std::vector<uint8_t> kUnlinks = {create(0),    create(0), create(1), append(0), unlink(0),
                                       rename(1, 0), append(0), unlink(0), create(2)};

TEST(Memfs, IsSoundUnderRandomSchedules) {
  EXPECT_EQ("", first_finding({Memfs::Flaw::kNone, kAppends}, 500));
  EXPECT_EQ("", first_finding({Memfs::Flaw::kNone, kUnlinks}, 500));
  std::vector<uint8_t> any(24);
  for (unsigned i = 0; i < any.size(); ++i) { any[i] = static_cast<uint8_t>(i * 37 + 11); }
  EXPECT_EQ("", first_finding({Memfs::Flaw::kNone, any}, 500));
}

// Flaws are data races as well, and TSan ends the process at the first.
#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define DAXFUZZ_MEMFS_TSAN 1
#endif
#endif
#if !defined(DAXFUZZ_MEMFS_TSAN)

TEST(Memfs, AnAppendWithoutItsLockLosesBytesPZ3) {
  EXPECT_EQ("PZ3", first_finding({Memfs::Flaw::kAppendUnlocked, kAppends}, 500));
}

TEST(Memfs, ALookUpThatDoesNotPinMeetsAnotherFilePZ5) {
  EXPECT_EQ("PZ5", first_finding({Memfs::Flaw::kLookupUnpinned, kUnlinks}, 2000));
}

#endif

}  // namespace
}  // namespace daxfuzz::puzzles
