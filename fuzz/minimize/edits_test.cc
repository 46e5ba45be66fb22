#include "fuzz/minimize/edits.h"

#include <gtest/gtest.h>

#include "fuzz/minimize/cost.h"
#include "fuzz/minimize/testing.h"
#include "fuzz/prog/text.h"

namespace daxfuzz::minimize {
namespace {

const char kTwo[] =
    "process P0\ninit in P0\n  f3 = open \"f1\" rdwr|creat\ntask T0 in P0\n  fsync f3\n  sync\n"
    "task T1 in P0\n  fdatasync f3\nschedule\n  T0 op 2 event 3 -> T1\n  T1 op 1 event 2 -> T0\n";

TEST(Edits, RangesRunFromTheSetUpIntoTheTasks) {
  prog::Program program = parse(kTwo);
  ASSERT_EQ(all_places(program).size(), 4u);
  ASSERT_TRUE(remove_range(0, 2)(program));
  EXPECT_EQ(program.init_op_count(), 0u);
  EXPECT_EQ(program.tasks[0].ops.size(), 1u);
  EXPECT_EQ(program.schedule[0].op, 0u);  // the anchor followed its operation
  EXPECT_EQ(prog::validate(program), "");
}

TEST(Edits, AnAppendedTaskKeepsItsAnchors) {
  prog::Program program = parse(
      "process P0\ntask T0 in P0\n  sync\ntask T1 in P0\n  sync\ntask T2 in P0\n  fsync f0\n"
      "schedule\n  T2 op 1 event 3 -> T1\n  T1 op 1 event 2 -> T2\n");
  ASSERT_TRUE(append_task(2, 0)(program));
  ASSERT_EQ(program.tasks.size(), 2u);
  ASSERT_EQ(program.tasks[0].ops.size(), 2u);
  ASSERT_EQ(program.schedule.size(), 2u);
  EXPECT_EQ(prog::print_preemption(program.schedule[0]), "T0 op 2 event 3 -> T1");
  EXPECT_EQ(prog::print_preemption(program.schedule[1]), "T1 op 1 event 2 -> T0");
}

TEST(Edits, AFirstOperationMovesIntoTheSetUp) {
  prog::Program program = parse(kTwo);
  ASSERT_TRUE(first_op_to_setup(0)(program));
  EXPECT_EQ(program.processes[0].init.back().code, prog::OpCode::kFsync);
  EXPECT_EQ(prog::print_preemption(program.schedule[0]), "T0 op 1 event 3 -> T1");
}

TEST(Edits, AProcessLeavesItsSetUpToTheFirst) {
  prog::Program program = parse("process P0\nprocess P1\ninit in P1\n  sync\ntask T0 in P1\n  sync\n");
  ASSERT_TRUE(drop_process(1)(program));
  EXPECT_EQ(program.processes.size(), 1u);
  EXPECT_EQ(program.processes[0].init.size(), 1u);
  EXPECT_EQ(program.tasks[0].process, 0u);
}

TEST(Edits, VariablesGetTheLowestSlots) {
  prog::Program program = parse(kTwo);
  ASSERT_TRUE(renumber_variables()(program));
  EXPECT_EQ(program.processes[0].init[0].result, 0u);
  EXPECT_EQ(program.tasks[1].ops[0].fd, 0u);
  EXPECT_FALSE(renumber_variables()(program));
}

TEST(Edits, OneDescriptorStandsForAnother) {
  const prog::Program program = parse(
      "process P0\ninit in P0\n  f0 = open \"f0\" rdonly\n  m0 = mmap f0 0 4K read shared\n  f1 = open \"f0\" rdwr\n"
      "task T0 in P0\n  fsync f1\n  store m0 0 1 0x41\n");
  const std::vector<Edit> edits = mergers(program);
  ASSERT_EQ(edits.size(), 2u) << "each of two for the other; there is one mapping";
  prog::Program changed = program;
  ASSERT_TRUE(edits[1](changed));
  EXPECT_EQ(changed, parse("process P0\ninit in P0\n  f0 = open \"f0\" rdwr\n  m0 = mmap f0 0 4K read shared\n"
                           "task T0 in P0\n  fsync f0\n  store m0 0 1 0x41\n"));
}

TEST(Edits, AFailureOnOrderMayComeEarlier) {
  const char* body = "process P0\ntask T0 in P0\n  fsync bad\n";
  const auto mounts = [&](const std::string& mount) {
    const prog::Program program = parse("mount " + mount + "\n" + body);
    std::vector<std::string> all;
    for (const Edit& edit : preparations(program)) {
      prog::Program changed = program;
      if (edit(changed)) { all.push_back(changed.mount); }
    }
    return all;
  };
  EXPECT_EQ(mounts("dax=never,fail_alloc=12"),
            (std::vector<std::string>{"dax=never,fail_alloc=11", "dax=never,fail_alloc=10", "dax=never,fail_alloc=9",
                                      "dax=never,fail_alloc=8"}));
  EXPECT_EQ(mounts("fail_bio=2,dax=inode"), std::vector<std::string>{"fail_bio=1,dax=inode"});
  EXPECT_EQ(mounts("fail_bio=1"), std::vector<std::string>{});
  EXPECT_EQ(mounts("dax=inode"), std::vector<std::string>{});
}

TEST(Edits, SimplificationsAreValidAndSomeAreCheaper) {
  const prog::Program program = parse(
      "process P0\ninit in P0\n  f0 = open \"f1\" rdwr|creat|direct 0600\n"
      "  m0 = mmap f0 8K 12345 read|write shared|populate\n"
      "task T0 in P0\n  pwrite f0 seq:0x33@7 5000 12K\n  rename \"f0\" \"g1\" noreplace\n");
  size_t cheaper = 0;
  size_t all = 0;
  for (const prog::Place place : all_places(program)) {
    for (const Edit& edit : simplifications(program, place)) {
      prog::Program changed = program;
      if (!edit(changed)) { continue; }
      ++all;
      EXPECT_EQ(prog::validate(changed), "");
      cheaper += cost_of(changed) < cost_of(program);
    }
  }
  EXPECT_GT(all, 20u);
  EXPECT_GT(cheaper, 15u);
}

TEST(Cost, OperationsCountMostThenPreemptions) {
  const prog::Program program = parse(kTwo);
  prog::Program fewer_ops = program;
  prog::remove_op(fewer_ops, {false, 0, 0});
  prog::Program fewer_preemptions = program;
  fewer_preemptions.schedule.clear();
  EXPECT_LT(cost_of(fewer_ops), cost_of(fewer_preemptions));
  EXPECT_LT(cost_of(fewer_preemptions), cost_of(program));
}

}  // namespace
}  // namespace daxfuzz::minimize
