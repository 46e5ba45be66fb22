// fuzz/exec/races_test.cc - O14 over the whole filesystem: each lock of the library, planted as one that orders nothing
// (fs/rt/race.h), shows as a data race of a field that it guards; without plants there is none.
//
// Its own program, because in the tsan flavour it replaces TSan's report hook and counts: both look at the same runs,
// and must agree on each plant. DAXFUZZ_RACE_ROUNDS=N multiplies the schedules.
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "fs/base/compiler.h"
#include "fs/rt/race.h"
#include "fuzz/exec/executor.h"
#include "fuzz/prog/text.h"

#if defined(DAXFS_TSAN)
namespace {
int g_reports = 0;
}  // namespace

extern "C" const char* __tsan_default_options() {  // NOLINT(bugprone-reserved-identifier)
  return "suppress_equal_stacks=0:suppress_equal_addresses=0:symbolize=0:exitcode=0";
}
namespace __tsan {  // NOLINT(bugprone-reserved-identifier)
class ReportDesc;
// Not watched itself: a race that TSan found here would be reported under the lock of the report.
FS_NO_TSAN bool OnReport(const ReportDesc* /*report*/, bool /*suppressed*/) {
  ++g_reports;
  return true;
}
}  // namespace __tsan
#endif

namespace daxfuzz::exec {
namespace {

#if defined(DAXFS_TSAN)
constexpr bool kWithTsan = true;
#else
constexpr bool kWithTsan = false;
#endif

int tsan_reports() {
#if defined(DAXFS_TSAN)
  return g_reports;
#else
  return 0;
#endif
}

constexpr const char* kHeader = "daxfuzz program 1\nmount dax=always\n";

// What tasks do to the same process, files and volume: each lock below has two that need it.
constexpr const char* kEverything = R"(process P0
process P1
init in P0
  f = open "f0" rdwr|creat
  g = open "f1" rdwr|creat
  write f 0x41 8K
  n = mmap f 0 8K read|write shared
task T0 in P0
  m = mmap f 0 16K read|write shared
  touch m 0 8K 0x42
  write f 0x43 4K
  fallocate f punch|keep_size 0 4K
  munmap m 16K
  unlink "f1"
  close g
  write f 0x44 4K
task T1 in P0
  h = open "f2" rdwr|creat
  fallocate h 0 64K
  pwrite f 0x45 4K 64K
  read f buf 4K
  touch n 0 8K 0x46
  link "f2" "f3"
  unlink "f2"
  unlink "f3"
  close h
task T2 in P1
  k = open "f0" rdwr
  q = mmap k 0 16K read|write shared
  touch q 0 8K 0x47
  pwrite k 0x48 4K 128K
  fstat k
  stat "f0"
  ftruncate k 4K
)";

// Nothing but read faults, which start no handle: the journal's own lock would order them.
constexpr const char* kReadFaults = R"(init in P0
  f = open "f0" rdwr|creat
  write f 0x41 64K
  n = mmap f 0 64K read shared
task T0 in P0
  load n 0 4K
task T1 in P0
  load n 16K 4K
)";

struct Plant {
  const char* lock;
  std::set<std::string> fields;  // that it guards
  const char* program = kEverything;
};

const Plant kPlants[] = {
    {"i_lock", {"i_disksize", "i_blocks", "i_nlink", "i_flags", "i_mode", "i_atime", "i_mtime", "i_ctime"}},
    {"group", {"bg_blocks_free", "bg_inodes_free", "bg_dirs_used", "bg_itable_unused", "bg_flags"}},
    {"fd table", {"fd table"}},
    {"f_pos_lock", {"f_pos"}},
    {"inode cache", {"i_count", "i_state", "evictions"}},
    {"orphan", {"s_orphan"}},
    {"mmap_lock", {"mm_mt", "vm_start", "vm_end", "vm_page_prot", "vm_file", "vm_pgoff"}},
    {"i_mmap_rwsem", {"i_mmap", "shared.rb", "vm_start", "vm_end", "vm_pgoff"}},
    {"page table lock", {"rss_stat", "table entries"}},
    {"i_data_sem", {"i_block"}},
    {"xa_lock", {"nrexceptional"}, kReadFaults},
};

struct Seen {
  unsigned runs = 0;
  unsigned found = 0;  // runs with a data race
  std::set<std::string> fields;
  std::string other;  // another finding
};

unsigned rounds() {
  const char* more = std::getenv("DAXFUZZ_RACE_ROUNDS");
  return more == nullptr ? 1 : static_cast<unsigned>(std::atoi(more));
}

prog::Program parse(const std::string& text) {
  prog::Program program;
  std::string error;
  EXPECT_TRUE(prog::parse(text, "test", &program, &error)) << error;
  return program;
}

void run_schedules(const prog::Program& program, unsigned first_seed, unsigned schedules, Executor* executor,
                   Seen* seen) {
  Outcome outcome;
  for (unsigned seed = first_seed; seed < first_seed + schedules; ++seed) {
    sched::RandomWalk walk(seed, 1 + seed % 20);
    RunConfig config;
    config.policy = &walk;
    executor->run(program, config, &outcome);
    ++seen->runs;
    if (!outcome.finding) { continue; }
    if (outcome.finding->verdict == daxfs::Verdict::kDataRace) {
      ++seen->found;
      seen->fields.insert(outcome.finding->message);
    } else {
      seen->other = finding_title(*outcome.finding);
    }
  }
}

TEST(Races, EachLockOfTheLibraryIsNeeded) {
  for (const Plant& plant : kPlants) {
    const prog::Program program = parse(std::string(kHeader) + plant.program);
    SCOPED_TRACE(plant.lock);
    Executor executor;
    Seen seen;
    const int before = tsan_reports();
    const auto both_saw_it = [&] { return seen.found != 0 && (!kWithTsan || tsan_reports() > before); };
    daxfs::rt::plant_unordered_lock(plant.lock);
    // Some need a schedule that is rare among random ones. TSan reports so much that a turn of its is one run.
    const unsigned turn = kWithTsan ? 1 : 100 * rounds();
    for (unsigned run = 0; run < 1000 * rounds() && !both_saw_it(); run += turn) {
      run_schedules(program, 1 + run, turn, &executor, &seen);
    }
    EXPECT_GT(daxfs::rt::unordered_lock_uses(), 0u);
    daxfs::rt::plant_unordered_lock(nullptr);
    EXPECT_GT(seen.found, 0u) << "not found in " << seen.runs << " runs";
    for (const std::string& field : seen.fields) { EXPECT_TRUE(plant.fields.contains(field)) << field; }
    EXPECT_EQ(seen.other, "");
    std::string fields;
    for (const std::string& field : seen.fields) { fields += (fields.empty() ? "" : ", ") + field; }
    std::printf("%-16s %3u of %3u runs: %s", plant.lock, seen.found, seen.runs, fields.c_str());
#if defined(DAXFS_TSAN)
    std::printf("; TSan: %d reports", tsan_reports() - before);
    EXPECT_GT(tsan_reports(), before);
#else
    (void)before;
#endif
    std::printf("\n");
  }
}

TEST(Races, NoneWithoutAPlant) {
  Executor executor;
  Seen seen;
  const int before = tsan_reports();
  run_schedules(parse(std::string(kHeader) + kEverything), 1, 200 * rounds(), &executor, &seen);
  std::vector<std::string> files;
  for (const auto& entry : std::filesystem::directory_iterator(DAXFUZZ_SEEDS_DIR)) {
    if (entry.path().extension() == ".txt") { files.push_back(entry.path().string()); }
  }
  std::sort(files.begin(), files.end());
  ASSERT_FALSE(files.empty());
  for (const std::string& file : files) {
    std::ifstream in(file);
    std::stringstream text;
    text << in.rdbuf();
    run_schedules(parse(text.str()), 1, 20 * rounds(), &executor, &seen);
  }
  EXPECT_EQ(seen.found, 0u) << (seen.fields.empty() ? "" : *seen.fields.begin());
  EXPECT_EQ(seen.other, "");
  EXPECT_EQ(tsan_reports(), before);
}

}  // namespace
}  // namespace daxfuzz::exec
