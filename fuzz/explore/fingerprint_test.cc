#include "fuzz/explore/fingerprint.h"

#include <gtest/gtest.h>

namespace daxfuzz::explore {
namespace {

using daxfs::rt::object_id;
using daxfs::rt::ObjectClass;
using daxfs::rt::PointKind;

constexpr auto kX = object_id(ObjectClass::kAtomic, 1);
constexpr auto kY = object_id(ObjectClass::kAtomic, 2);

struct Event {
  int task;
  PointKind kind;
  daxfs::rt::ObjectId object;
};

uint64_t of(std::initializer_list<Event> events) {
  Fingerprint f;
  f.reset();
  for (const Event& e : events) { f.add(e.task, e.kind, e.object); }
  return f.value();
}

constexpr auto kLoad = PointKind::kAtomicLoad;
constexpr auto kStore = PointKind::kAtomicStore;

TEST(Fingerprint, EventsOfDifferentObjectsCommute) {
  EXPECT_EQ(of({{0, kStore, kX}, {1, kStore, kY}}), of({{1, kStore, kY}, {0, kStore, kX}}));
}

TEST(Fingerprint, ReadsOfOneObjectCommute) {
  EXPECT_EQ(of({{2, kStore, kX}, {0, kLoad, kX}, {1, kLoad, kX}}),
            of({{2, kStore, kX}, {1, kLoad, kX}, {0, kLoad, kX}}));
}

TEST(Fingerprint, AWriteIsOrderedAgainstReadsAndWrites) {
  EXPECT_NE(of({{0, kStore, kX}, {1, kLoad, kX}}), of({{1, kLoad, kX}, {0, kStore, kX}}));
  EXPECT_NE(of({{0, kStore, kX}, {1, kStore, kX}}), of({{1, kStore, kX}, {0, kStore, kX}}));
  EXPECT_NE(of({{2, kLoad, kX}, {0, kStore, kX}, {1, kLoad, kX}}),
            of({{1, kLoad, kX}, {0, kStore, kX}, {2, kLoad, kX}}));
}

TEST(Fingerprint, ProgramOrderCounts) {
  EXPECT_NE(of({{0, kStore, kX}, {0, kStore, kY}}), of({{0, kStore, kY}, {0, kStore, kX}}));
}

TEST(Fingerprint, OperationsThatOverlapDifferFromOperationsThatDoNot) {
  const auto own0 = object_id(ObjectClass::kOp, 10);
  const auto own1 = object_id(ObjectClass::kOp, 11);
  constexpr auto kBegin = PointKind::kOpBegin;
  constexpr auto kEnd = PointKind::kOpEnd;
  EXPECT_EQ(of({{0, kBegin, own0}, {1, kBegin, own1}}), of({{1, kBegin, own1}, {0, kBegin, own0}}));
  EXPECT_NE(of({{0, kBegin, own0}, {0, kEnd, own0}, {1, kBegin, own1}}),
            of({{0, kBegin, own0}, {1, kBegin, own1}, {0, kEnd, own0}}));
}

TEST(Fingerprint, HoldsMoreObjectsThanItHadRoomFor) {
  Fingerprint a;
  Fingerprint b;
  a.reset();
  b.reset();
  for (uint64_t i = 0; i < 10000; ++i) { a.add(0, kStore, object_id(ObjectClass::kFrame, i)); }
  for (uint64_t i = 0; i < 10000; ++i) { b.add(0, kStore, object_id(ObjectClass::kFrame, i)); }
  a.add(1, kLoad, object_id(ObjectClass::kFrame, 5));
  EXPECT_NE(a.value(), b.value());
  b.add(1, kLoad, object_id(ObjectClass::kFrame, 5));
  EXPECT_EQ(a.value(), b.value());
}

}  // namespace
}  // namespace daxfuzz::explore
