// fuzz/prog/edit_test.cc - edits move the schedule's anchors along; the validator sees what they
// could get wrong.
#include "fuzz/prog/edit.h"

#include <functional>
#include <string>

#include <gtest/gtest.h>

#include "fuzz/prog/testing.h"
#include "fuzz/prog/text.h"

namespace daxfuzz::prog {
namespace {

constexpr std::string_view kText = R"(daxfuzz program 1
process P0
process P1
init
  mkdir "custom0"
task T0
  sync
  fsync f0
  unlink "custom1"
task T1 in P1
  unlink "custom0"
task T2
  drop_caches
schedule
  T0 op 1 event 1 -> T1
  T0 op 2 event 2 -> T2
  T0 op 3 event 3 -> S0
  T1 op 1 event 4 -> T0
  S1 op 1 event 5 -> T2
)";

std::string schedule_of(const Program& program) {
  std::string out;
  for (const Preemption& p : program.schedule) { out += print_preemption(p) + "\n"; }
  return out;
}

TEST(Edit, AnchorsFollowTheirOperationWhenOneIsInserted) {
  Program program = parsed(kText);
  ASSERT_TRUE(insert_op(program, Place{false, 0, 1}, Op()));
  EXPECT_EQ(schedule_of(program),
            "T0 op 1 event 1 -> T1\nT0 op 3 event 2 -> T2\nT0 op 4 event 3 -> S0\n"
            "T1 op 1 event 4 -> T0\nS1 op 1 event 5 -> T2\n");
  EXPECT_EQ(validate(program), "");
}

TEST(Edit, AnchorsOfARemovedOperationGoWithIt) {
  Program program = parsed(kText);
  remove_op(program, Place{false, 0, 1});
  EXPECT_EQ(schedule_of(program),
            "T0 op 1 event 1 -> T1\nT0 op 2 event 3 -> S0\nT1 op 1 event 4 -> T0\n"
            "S1 op 1 event 5 -> T2\n");
}

TEST(Edit, RemovedTaskTakesItsAnchorsAndRenumbersTheRest) {
  Program program = parsed(kText);
  remove_task(program, 1);
  canonicalise_strings(program);
  EXPECT_EQ(schedule_of(program), "T0 op 2 event 2 -> T1\nT0 op 3 event 3 -> S0\nS1 op 1 event 5 -> T1\n");
  EXPECT_EQ(validate(program), "");
}

TEST(Edit, RemovedProcessGivesItsTasksToTheFirst) {
  Program program = parsed(kText);
  remove_process(program, 1);
  EXPECT_EQ(program.tasks[1].process, 0);
  EXPECT_EQ(validate(program), "");
}

TEST(Edit, StringsAreDroppedWithTheirLastUse) {
  Program program = parsed(kText);
  ASSERT_EQ(program.strings, (std::vector<std::string>{"custom0", "custom1"}));
  remove_op(program, Place{true, 0, 0});
  canonicalise_strings(program);
  EXPECT_EQ(program.strings, (std::vector<std::string>{"custom1", "custom0"})) << "in order of first use";
  EXPECT_EQ(program.path_text(program.tasks[1].ops[0].path), "custom0");
  EXPECT_EQ(validate(program), "");
}

TEST(Edit, InsertDeclinesAtTheBounds) {
  Program program = Program::minimal();
  for (size_t i = 0; i < kOpsMax; i++) { ASSERT_TRUE(insert_op(program, Place{false, 0, 0}, Op())); }
  EXPECT_FALSE(insert_op(program, Place{false, 0, 0}, Op()));
  for (size_t i = 0; i < kInitOpsMax; i++) { ASSERT_TRUE(insert_op(program, Place{true, 0, 0}, Op())); }
  EXPECT_FALSE(insert_op(program, Place{true, 0, 0}, Op()));
  EXPECT_EQ(validate(program), "");
}

struct Damage {
  std::string_view message;
  std::function<void(Program&)> apply;
};

TEST(Validate, NamesWhatIsWrong) {
  const Damage damages[] = {
      {"image name", [](Program& p) { p.image = "A B"; }},
      {"mount options", [](Program& p) { p.mount = "a,,b"; }},
      {"number of tasks", [](Program& p) { p.tasks.clear(); }},
      {"number of processes", [](Program& p) { p.processes.clear(); }},
      {"number of operations", [](Program& p) { p.tasks[0].ops.resize(65); }},
      {"task 1: process", [](Program& p) { p.tasks[1].process = 2; }},
      {"task 0, operation 2 (fsync): descriptor slot", [](Program& p) { p.tasks[0].ops[1].fd = 9; }},
      {"task 0, operation 1 (sync): a member that is not an operand", [](Program& p) { p.tasks[0].ops[0].length = 1; }},
      {"task 0, operation 1 (sync): result slot", [](Program& p) { p.tasks[0].ops[0].result = 0; }},
      {"task 0, operation 3 (unlink): name pool row", [](Program& p) { p.tasks[0].ops[2].path = 127; }},
      {"process 0, operation 1 (mkdir): strings are not in order of first use",
       [](Program& p) { p.processes[0].init[0].path = kPathString + 1; }},
      {"unused string", [](Program& p) { p.strings.emplace_back("more"); }},
      {"equal strings", [](Program& p) { p.strings[1] = p.strings[0]; }},
      {"a string that is in the pool", [](Program& p) { p.strings[1] = "f0"; }},
      {"preemption 4: task", [](Program& p) { p.schedule[4].task = 8; }},
      {"preemption 0: event", [](Program& p) { p.schedule[0].event = 0; }},
  };
  ASSERT_EQ(validate(parsed(kText)), "");
  for (const Damage& damage : damages) {
    Program program = parsed(kText);
    damage.apply(program);
    EXPECT_EQ(validate(program), damage.message);
  }
}

}  // namespace
}  // namespace daxfuzz::prog
