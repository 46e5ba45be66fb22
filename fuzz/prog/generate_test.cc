// fuzz/prog/generate_test.cc - generated programs are valid, reproducible, and worth running.
#include "fuzz/prog/generate.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <map>
#include <set>

#include <gtest/gtest.h>

#include "fuzz/prog/names.h"
#include "fuzz/prog/testing.h"
#include "fuzz/prog/text.h"
#include "fuzz/prog/world.h"

namespace daxfuzz::prog {
namespace {

TEST(Generate, SameSeedGivesSameTextAndSameNextNumber) {
  for (uint64_t seed = 0; seed < 200; seed++) {
    Random a(seed);
    Random b(seed);
    EXPECT_EQ(print(generate(a)), print(generate(b)));
    EXPECT_EQ(a.next(), b.next());
  }
}

TEST(Generate, NumbersOfTasksAreWithinTheOptions) {
  for (uint8_t most = 1; most <= 4; most++) {
    Random random(most);
    Options options;
    options.tasks_min = 1;
    options.tasks_max = most;
    for (int i = 0; i < 500; i++) { ASSERT_LE(generate(random, options).tasks.size(), most); }
  }
}

TEST(Generate, MountOptionsThatAreAddedNeverGetTooLong) {
  Random random(1);
  Options options;
  static constexpr std::string_view kLong[] = {"dax=inode,reclaim=1234,flush=1234,es_test,huge=2"};
  options.mounts = kLong;
  size_t longest = 0;
  for (int i = 0; i < 5000; i++) {
    const Program program = generate(random, options);
    ASSERT_EQ(validate(program), "") << print(program);
    longest = std::max(longest, program.mount.size());
  }
  EXPECT_GT(longest, kLong[0].size());  // some were added
}

TEST(Generate, ProgramsAreValidAndWithinTheOptions) {
  Random random(1);
  Options options;
  options.tasks_min = 3;
  options.tasks_max = 3;
  options.processes_max = 1;
  options.preemptions_max = 2;
  options.system_tasks = {};
  for (int i = 0; i < 5000; i++) {
    const Program program = generate(random, options);
    ASSERT_EQ(validate(program), "") << print(program);
    ASSERT_EQ(program.tasks.size(), 3u);
    ASSERT_EQ(program.processes.size(), 1u);
    ASSERT_LE(program.schedule.size(), 2u);
    for (const Preemption& p : program.schedule) { ASSERT_FALSE(is_system_task(p.task) || is_system_task(p.next)); }
  }
}

TEST(Generate, EveryOperationAppearsAndSwarmLeavesSomeOut) {
  Random random(2);
  std::array<int, kOpCount> seen{};
  int without_store = 0;
  for (int i = 0; i < 3000; i++) {
    bool store = false;
    for (const Task& task : generate(random).tasks) {
      for (const Op& op : task.ops) {
        seen[static_cast<size_t>(op.code)]++;
        store |= op.code == OpCode::kStore;
      }
    }
    without_store += store ? 0 : 1;
  }
  for (const OpInfo& row : op_table()) { EXPECT_GT(seen[static_cast<size_t>(row.code)], 10) << row.name; }
  EXPECT_GT(without_store, 600);
}

// The shapes of the historical bugs must be common: I/O on another file from or to a mapping,
// beside an operation that frees the mapping's blocks in another task.
TEST(Generate, DirectIoThroughAMappingBesideAPunchIsCommon) {
  Random random(3);
  int hits = 0;
  for (int i = 0; i < 2000; i++) {
    const Program program = generate(random);
    int io_task = -1;
    int punch_task = -1;
    for (size_t t = 0; t < program.tasks.size(); t++) {
      for (const Op& op : program.tasks[t].ops) {
        if (op.buffer.kind == MemoryKind::kMapping && op.fd == 1) { io_task = static_cast<int>(t); }
        const bool frees =
            (op.code == OpCode::kFallocate && (op.flags & kFallocPunch) != 0) || op.code == OpCode::kFtruncate;
        if (frees && op.fd == 0) { punch_task = static_cast<int>(t); }
      }
    }
    hits += io_task >= 0 && punch_task >= 0 && io_task != punch_task ? 1 : 0;
  }
  EXPECT_GT(hits, 40);
}

// Races of first faults: the range is mapped twice, and of the second mapping nobody has touched a page.
TEST(Generate, WithHugePagesTwoTasksAreSometimesTheFirstToTouchAMapping) {
  constexpr std::string_view kHuge[] = {"dax=always,huge=2"};
  Random random(4);
  Options options;
  options.mounts = kHuge;
  int hits = 0;
  for (int i = 0; i < 2000; i++) {
    const Program program = generate(random, options);
    std::set<size_t> tasks;
    for (size_t t = 0; t < program.tasks.size(); t++) {
      for (const Op& op : program.tasks[t].ops) {
        const bool touches = op.code == OpCode::kLoad || op.code == OpCode::kStore || op.code == OpCode::kTouch;
        if (touches && op.addr.kind == MemoryKind::kMapping && op.addr.slot == 2) { tasks.insert(t); }
      }
    }
    hits += tasks.size() >= 2 ? 1 : 0;
  }
  EXPECT_GT(hits, 60);
}

TEST(Generate, WithHugePagesProgramsAimAtTheirBorders) {
  constexpr std::string_view kHuge[] = {"dax=always,huge=4"};
  constexpr std::string_view kPlain[] = {"dax=always"};
  constexpr int64_t k64K = 64 << 10;
  const auto near_border = [](int64_t at) {
    const int64_t behind = at % k64K;  // of any sign; at may be as large as it gets
    return at != 0 && (behind == 0 || std::abs(behind) == 4096 || std::abs(behind) == k64K - 4096);
  };
  const auto share = [&](std::span<const std::string_view> mounts) {
    Random random(5);
    Options options;
    options.mounts = mounts;
    int near = 0;
    int fits = 0;
    for (int i = 0; i < 400; i++) {
      const Program program = generate(random, options);
      for (const Op& op : program.processes[0].init) {
        fits += op.code == OpCode::kMmap && op.offset == 0 && op.length >= k64K && op.length <= 3 * k64K ? 1 : 0;
      }
      for (const Task& task : program.tasks) {
        for (const Op& op : task.ops) { near += near_border(op.offset) || near_border(op.addr.offset) ? 1 : 0; }
      }
    }
    EXPECT_GT(fits, 0);
    return near;
  };
  EXPECT_GT(2 * share(kHuge), 3 * share(kPlain));
}

TEST(Generate, FilesEndInsideAPageAndOneBlockIsWrittenWholeAndInParts) {
  Random random(31);
  int inside = 0;
  int shared = 0;
  for (int i = 0; i < 4000; i++) {
    const Program program = generate(random);
    if (program.processes[0].init.empty()) { continue; }
    const std::vector<Op>& init = program.processes[0].init;
    inside += std::any_of(init.begin(), init.end(), [](const Op& op) {
      return op.code == OpCode::kFtruncate && op.fd == 0 && op.length % 4096 != 0;
    });
    std::set<int64_t> whole;
    std::set<int64_t> parts;
    for (const Task& task : program.tasks) {
      for (const Op& op : task.ops) {
        const bool write = op.code == OpCode::kPwrite || op.code == OpCode::kIoSubmitPwrite;
        if (!write || op.fd != 1 || op.length > 4096) { continue; }
        (op.length == 4096 ? whole : parts).insert(op.offset / 4096);
      }
    }
    shared += std::any_of(whole.begin(), whole.end(), [&](int64_t block) { return parts.contains(block); });
  }
  EXPECT_GT(inside, 300);
  EXPECT_GT(shared, 40);
}

// Two tasks that append through one descriptor; that name the same; that change a mapping and use it.
TEST(Generate, SomeProgramsAreAboutNamesAddressesOrThePositionOfAFile) {
  Random random(6);
  int appends = 0;
  int names = 0;
  int moves = 0;
  for (int i = 0; i < 40000; i++) {
    const Program program = generate(random);
    size_t ops = 0;
    for (const Task& task : program.tasks) { ops += task.ops.size(); }
    if (ops > 8) { continue; }  // long ones have all that by chance
    std::set<uint8_t> appended;
    for (const Op& op : program.processes[0].init) {
      if (op.code == OpCode::kOpen && (op.flags & kOAppend) != 0) { appended.insert(op.result); }
    }
    std::set<size_t> appenders;
    std::map<uint8_t, std::set<size_t>> by_name;
    std::set<size_t> movers;
    std::set<size_t> users;
    for (size_t t = 0; t < program.tasks.size(); t++) {
      if (program.tasks[t].process != 0) { continue; }
      for (const Op& op : program.tasks[t].ops) {
        if (op.code == OpCode::kWrite && appended.contains(op.fd)) { appenders.insert(t); }
        if (op.code == OpCode::kUnlink || op.code == OpCode::kRename || op.code == OpCode::kLink) {
          by_name[op.path].insert(t);
        }
        const bool of_contended = op.addr.kind == MemoryKind::kMapping && op.addr.slot == 0;
        if (op.code == OpCode::kMremap && of_contended) { movers.insert(t); }
        if ((op.code == OpCode::kStore || op.code == OpCode::kLoad) && of_contended) { users.insert(t); }
      }
    }
    appends += appenders.size() >= 2 ? 1 : 0;
    names += std::any_of(by_name.begin(), by_name.end(), [](const auto& tasks) { return tasks.second.size() >= 2; });
    users.merge(movers);
    moves += !movers.empty() && users.size() >= 2 ? 1 : 0;
  }
  EXPECT_GT(appends, 80);  // without small duels 0, 103 and 17
  EXPECT_GT(names, 250);
  EXPECT_GT(moves, 30);
}

TEST(Names, HugePagesAreReadFromTheMountOptions) {
  EXPECT_EQ(huge_bytes("dax=always,huge=2"), 16384);
  EXPECT_EQ(huge_bytes("huge=9,ro"), 2 << 20);
  EXPECT_EQ(huge_bytes("dax=always"), 0);
  EXPECT_EQ(huge_bytes("huge=never"), 0);
  EXPECT_EQ(huge_bytes("huge="), 0);
}

// An overlapping copy has no defined result: the kernel's own bytes depend on its memcpy.
TEST(World, CopiesOntoThemselvesAreRecognised) {
  const Program program = parsed(R"(daxfuzz program 1
process P0
process P1
init
  f0 = open "f0" rdwr|creat
  m0 = mmap f0 0 8K read|write shared
  f1 = open "/f0" rdwr
  f2 = open "g0" rdwr|creat
  f4 = open "f1" rdwr|creat
task T0
  pread f0 m0+0 4K 0
  pread f0 m0+0 4K 4K
  pread f1 m0+4K 4K 6K
  pread f2 m0+0 4K 0
  read f0 m0+0 4K
  f3 = dup f0
  pwrite f3 m0+0 1 0
  pwrite f4 m0+0 1 0
task T1 in P1
  pread f0 m0+0 4K 0
task T2
  link "f0" "f1"
)");
  World world(program);
  const std::vector<Op>& ops = program.tasks[0].ops;
  EXPECT_TRUE(world.may_copy_onto_itself(0, ops[0]));
  EXPECT_FALSE(world.may_copy_onto_itself(0, ops[1])) << "other pages of the same file";
  EXPECT_TRUE(world.may_copy_onto_itself(0, ops[2])) << "another spelling of the name";
  EXPECT_FALSE(world.may_copy_onto_itself(0, ops[3])) << "another file";
  EXPECT_TRUE(world.may_copy_onto_itself(0, ops[4])) << "position unknown";
  EXPECT_TRUE(world.may_copy_onto_itself(0, ops[6])) << "a duplicate";
  EXPECT_TRUE(world.may_copy_onto_itself(0, ops[7])) << "a link made it the same file";
  EXPECT_FALSE(world.may_copy_onto_itself(1, program.tasks[1].ops[0])) << "slots belong to the process";
}

TEST(World, RepairKeepsTheOperationAndReplacesItsBuffer) {
  Program program = parsed(R"(daxfuzz program 1
task T0
  f1 = dup f0
  pwrite f1 m0+0 4K 0
task T1
  f0 = open "f0" rdwr|creat
  m0 = mmap f0 0 8K read|write shared
)");
  EXPECT_TRUE(avoid_self_copies(program));
  EXPECT_EQ(print_op(program, program.tasks[0].ops[1]), "pwrite f1 0x5a 4K 0");
  EXPECT_FALSE(avoid_self_copies(program));
}

}  // namespace
}  // namespace daxfuzz::prog
