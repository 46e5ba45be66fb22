#include "fuzz/minimize/near_search.h"

#include <gtest/gtest.h>

#include "fuzz/minimize/test_scene.h"
#include "fuzz/prog/text.h"

namespace daxfuzz::minimize {
namespace {

prog::Program parse(const std::string& text) {
  prog::Program program;
  std::string error;
  EXPECT_TRUE(prog::parse(text, "test", &program, &error)) << error;
  return program;
}

const std::string kHead = "daxfuzz program 1\nprocess P0\n";
const std::string kTasks = "task T0 in P0\n  ftruncate f0 40\ntask T1 in P0\n  fdatasync f0\n";
constexpr Effort kNone = {.sweep = false, .wide = false, .walks = 0};

TEST(NearSearch, ReplaysFirst) {
  TestScene scene;
  NearSearch search(scene);
  prog::Program program = parse(kHead + kTasks + "schedule\n  T0 op 1 event 42 -> T1\n");
  const prog::Program before = program;
  EXPECT_TRUE(search.find(&program, {}, kNone));
  EXPECT_EQ(program, before);
  EXPECT_EQ(search.runs(), 1u);
}

TEST(NearSearch, LandmarksFollowAPlaceWhoseNumberMoved) {
  TestScene scene;
  NearSearch search(scene);
  const prog::Program warm =
      parse(kHead + "init in P0\n  fsync f0\n" + kTasks + "schedule\n  T0 op 1 event 37 -> T1\n");
  ASSERT_TRUE(search.fires(warm));
  const auto marks = search.landmarks(warm);
  prog::Program cold = warm;
  cold.processes[0].init.clear();
  ASSERT_FALSE(search.fires(cold));
  ASSERT_TRUE(search.find(&cold, marks, kNone));
  ASSERT_EQ(cold.schedule.size(), 1u);
  EXPECT_EQ(cold.schedule[0].event, 42u);
}

TEST(NearSearch, SweepsTheOperationWhenOnlyTheNumberIsKnown) {
  TestScene scene;
  NearSearch search(scene);
  prog::Program program = parse(kHead + kTasks + "schedule\n  T0 op 1 event 12 -> T1\n");
  const prog::Program before = program;
  EXPECT_FALSE(search.find(&program, {}, kNone));
  EXPECT_EQ(program, before);
  ASSERT_TRUE(search.find(&program, {}, {.sweep = true, .wide = false, .walks = 0}));
  EXPECT_EQ(program.schedule[0].event, 42u);
}

TEST(NearSearch, WalksWhenThereIsNoAnchorAtAll) {
  TestScene scene;
  NearSearch search(scene);
  prog::Program program = parse(kHead + kTasks);
  ASSERT_TRUE(search.find(&program, {}, {.sweep = true, .wide = true, .walks = 500}));
  EXPECT_TRUE(search.fires(program));
}

TEST(NearSearch, GivesUpWhereThereIsNothing) {
  TestScene scene;
  NearSearch search(scene);
  prog::Program program = parse(kHead + "task T0 in P0\n  ftruncate f0 40\ntask T1 in P0\n  lseek f0 40 set\n");
  EXPECT_FALSE(search.find(&program, {}, {.sweep = true, .wide = true, .walks = 50}));
}

TEST(NearSearch, StopsWhenAsked) {
  TestScene scene;
  NearSearch search(scene, [&] { return scene.runs >= 20; });
  prog::Program program = parse(kHead + kTasks + "schedule\n  T0 op 1 event 1 -> T1\n");
  EXPECT_FALSE(search.find(&program, {}, {.sweep = true, .wide = true, .walks = 1000}));
  EXPECT_LE(scene.runs, 25u);
}

}  // namespace
}  // namespace daxfuzz::minimize
