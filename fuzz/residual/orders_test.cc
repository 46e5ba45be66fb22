// fuzz/residual/orders_test.cc - which accesses make an order, and which do not.
#include "fuzz/residual/orders.h"

#include <memory>
#include <string_view>

#include <gtest/gtest.h>

#include "fuzz/residual/estimate.h"

namespace daxfuzz::residual {
namespace {

using daxfs::Site;
using daxfs::rt::ObjectClass;
using daxfs::rt::PointKind;
using prog::OpCode;

class Orders : public ::testing::Test {
 protected:
  Orders() {
    program_ = prog::Program::minimal();
    program_.tasks.resize(2);
    program_.tasks[0].ops = {{.code = OpCode::kPwrite}, {.code = OpCode::kFsync}};
    program_.tasks[1].ops = {{.code = OpCode::kFallocate}};
  }

  void event(int task, uint32_t op, PointKind kind, uint64_t object, Site site = Site::current()) {
    recorder_.on_event({task, op, 1, kind, daxfs::rt::object_id(ObjectClass::kPte, object), site});
  }

  size_t seen(OpCode first, OpCode then) const {
    return residual(*table_).pair(static_cast<size_t>(first), static_cast<size_t>(then)).seen;
  }

  uint32_t together(OpCode first, OpCode then) const {
    return table_->runs_of_pair[static_cast<size_t>(first)][static_cast<size_t>(then)];
  }

  prog::Program program_;
  OrderRecorder recorder_;
  std::unique_ptr<OrderTable> table_ = std::make_unique<OrderTable>();
};

TEST_F(Orders, WriteThenReadOfAnotherTaskIsOneInThisDirection) {
  recorder_.begin_run(program_);
  event(0, 0, PointKind::kPteWrite, 1);
  event(1, 0, PointKind::kPteRead, 1);
  recorder_.end_run(table_.get());
  EXPECT_EQ(1u, seen(OpCode::kPwrite, OpCode::kFallocate));
  EXPECT_EQ(0u, seen(OpCode::kFallocate, OpCode::kPwrite));
  EXPECT_EQ(1u, table_->orders);
}

TEST_F(Orders, ReadsOnlyAndOneTaskOnlyAndOtherObjectsAreNone) {
  recorder_.begin_run(program_);
  event(0, 0, PointKind::kPteRead, 1);
  event(1, 0, PointKind::kPteRead, 1);
  event(0, 0, PointKind::kPteWrite, 2);
  event(0, 1, PointKind::kPteWrite, 2);
  event(1, 0, PointKind::kPteWrite, 3);
  recorder_.end_run(table_.get());
  EXPECT_EQ(0u, table_->orders);
  EXPECT_EQ(1u, together(OpCode::kPwrite, OpCode::kFallocate));
}

TEST_F(Orders, ARunCountsOnceHoweverOftenTheOrderComes) {
  for (int run = 0; run < 3; ++run) {
    recorder_.begin_run(program_);
    for (int i = 0; i < 5; ++i) {
      event(0, 0, PointKind::kPteWrite, 1);
      event(1, 0, PointKind::kPteWrite, 1);
    }
    recorder_.end_run(table_.get());
  }
  const Residual out = residual(*table_);
  EXPECT_EQ(2u, out.all.seen);  // there and back
  EXPECT_EQ(6u, out.all.sightings);
  EXPECT_EQ(3u, out.all.runs);
}

TEST_F(Orders, OfTheRunBeforeNothingIsLeft) {
  recorder_.begin_run(program_);
  event(0, 0, PointKind::kPteWrite, 1);
  recorder_.end_run(table_.get());
  recorder_.begin_run(program_);
  event(1, 0, PointKind::kPteWrite, 1);
  recorder_.end_run(table_.get());
  EXPECT_EQ(0u, table_->orders);
  EXPECT_EQ(0u, together(OpCode::kPwrite, OpCode::kFallocate));
}

TEST_F(Orders, SystemTasksHaveARowAndTheRootHasNone) {
  recorder_.begin_run(program_);
  event(daxfs::rt::kRootTask, 0, PointKind::kPteWrite, 1);
  event(0, 0, PointKind::kPteWrite, 1);
  event(prog::kSystemTask0, 0, PointKind::kPteWrite, 1);
  recorder_.end_run(table_.get());
  const Residual out = residual(*table_);
  EXPECT_EQ(1u, out.all.seen);
  EXPECT_EQ(1u, out.pair(static_cast<size_t>(OpCode::kPwrite), kSystemRow).seen);
}

TEST_F(Orders, TwoSystemTasksMeetEachOther) {
  recorder_.begin_run(program_);
  event(prog::kSystemTask0, 0, PointKind::kPteWrite, 1);
  recorder_.end_run(table_.get());
  EXPECT_EQ(0u, residual(*table_).pair(kSystemRow, kSystemRow).runs);
  recorder_.begin_run(program_);
  event(prog::kSystemTask0, 0, PointKind::kPteWrite, 1);
  event(prog::kSystemTask0 + 1, 0, PointKind::kPteWrite, 1);
  recorder_.end_run(table_.get());
  EXPECT_EQ(1u, residual(*table_).pair(kSystemRow, kSystemRow).runs);
  EXPECT_EQ(1u, residual(*table_).pair(kSystemRow, kSystemRow).seen);
}

TEST_F(Orders, ASightingNamesItsPlaces) {
  recorder_.begin_run(program_);
  event(0, 0, PointKind::kPteWrite, 1);
  event(1, 0, PointKind::kPteRead, 1);
  ASSERT_EQ(1u, recorder_.sightings().size());
  const Sighting& sighting = recorder_.sightings()[0];
  EXPECT_NE(std::string_view(sighting.first.file_name()).find("orders_test.cc"), std::string_view::npos);
  EXPECT_EQ(sighting.first.line() + 1, sighting.then.line());
}

TEST_F(Orders, EventsGoOnToTheObserverBeside) {
  struct Counter final : daxfs::rt::Observer {
    int events = 0;
    void on_event(const daxfs::rt::Event& /*event*/) override { ++events; }
  } counter;
  recorder_.begin_run(program_, &counter);
  event(daxfs::rt::kRootTask, 0, PointKind::kPteWrite, 1);
  event(0, 0, PointKind::kYield, 1);
  EXPECT_EQ(2, counter.events);
}

}  // namespace
}  // namespace daxfuzz::residual
