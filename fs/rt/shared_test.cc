// fs/rt/shared_test.cc - O14: data races on fields that say they are shared, in every fiber flavour.
//
// Under TSan the racy scenes are race_test.cc's, which counts TSan's reports beside.
#include <gtest/gtest.h>

#include "fs/rt/race.h"
#include "fs/rt/race_scenes.h"
#include "fs/rt/testing.h"

namespace daxfs::rt {
namespace {

TEST(Shared, IsAsLargeAsWhatItHoldsAndConverts) {
  static_assert(sizeof(Shared<uint16_t, "x">) == sizeof(uint16_t));
  Shared<uint32_t, "count"> count = 3;
  count += 2;
  --count;
  count |= 8;
  count &= ~4u;
  EXPECT_EQ(count, 8u);
  const Shared<uint32_t, "count"> copy = count;
  EXPECT_EQ(copy.peek() + 1, 9u);
  Shared<const char*, "text"> text = "ab";
  EXPECT_EQ(text.get()[1], 'b');
}

#if defined(DAXFS_RT_FIBER) && !defined(DAXFS_TSAN)

RunOutcome run_scene(const RaceScene& scene, Races races, Policy& policy = default_policy()) {
  return run_lambda([&] { scene.run(); }, policy, {.races = races});
}

TEST(Shared, EachRacyScenesRaceIsFoundAndNoOther) {
  for (const RaceScene& scene : kRaceScenes) {
    for (const Races races : {Races::kReportAtOnce, Races::kReportAtEnd}) {
      const auto finding = run_scene(scene, races).finding;
      ASSERT_EQ(finding.has_value(), scene.racy) << scene.name;
      if (!scene.racy) { continue; }
      EXPECT_EQ(finding->verdict, Verdict::kDataRace);
      EXPECT_EQ(finding->tag, "O14");
      EXPECT_NE(finding->title.find("scene field: a write here and a "), std::string::npos) << finding->title;
      EXPECT_NE(finding->detail.find("event"), std::string::npos) << finding->detail;
    }
    EXPECT_FALSE(run_scene(scene, Races::kIgnore).finding.has_value()) << scene.name;
  }
}

TEST(Shared, WatchingChangesNeitherTraceNorEvents) {
  for (const RaceScene& scene : kRaceScenes) {
    if (scene.racy) { continue; }
    const auto off = run_scene(scene, Races::kIgnore);
    const auto on = run_scene(scene, Races::kReportAtEnd);
    EXPECT_EQ(off.trace_hash, on.trace_hash) << scene.name;
    EXPECT_EQ(off.events, on.events) << scene.name;
  }
}

// O14 is the last word: what else is wrong with the run is its finding.
TEST(Shared, AnotherFindingOfTheRunComesFirst) {
  const auto outcome = run_lambda(
      [] {
        kRaceScenes[0].run();
        FS_BUG_ON(true, "T1", "something else");
      },
      default_policy(), {.races = Races::kReportAtEnd});
  EXPECT_EQ(outcome.finding->tag, "T1");
}

// A new lock where an old one was orders nothing that the old one did; a new field has no history.
TEST(Shared, WhatBeginsAtAnAddressForgetsWhatWasThere) {
  alignas(SceneField) static unsigned char place[sizeof(SceneField)];
  const auto outcome = run_lambda(
      [] {
        for (int i = 0; i < 2; ++i) {
          spawn("maker", [] { *new (place) SceneField(0) = 1; });
        }
        join_all_spawned();
      },
      default_policy(), {.races = Races::kReportAtOnce});
  EXPECT_FALSE(outcome.finding.has_value()) << outcome.finding->title;
}

TEST(Shared, AnUnorderedLockIsARaceThoughItExcludes) {
  constexpr size_t kOneLock = 3;
  ASSERT_STREQ(kRaceScenes[kOneLock].name, "one lock");
  plant_unordered_lock("a");
  const auto planted = run_scene(kRaceScenes[kOneLock], Races::kReportAtEnd);
  EXPECT_GT(unordered_lock_uses(), 0u);
  plant_unordered_lock(nullptr);
  EXPECT_TRUE(planted.finding.has_value());
  EXPECT_FALSE(run_scene(kRaceScenes[kOneLock], Races::kReportAtEnd).finding.has_value());
}

#endif

}  // namespace
}  // namespace daxfs::rt
