#include "fs/mm/frame_history.h"

#include <gtest/gtest.h>

namespace daxfs::mm {
namespace {

constexpr Pfn kFrame{3};

class FrameHistoryTest : public ::testing::Test {
 protected:
  FrameHistoryTest() { history_.begin_run(); }

  std::string of_pin() const { return history_.of_pin(kFrame); }
  void search() {
    history_.note_search();
    history_.note_searched(kFrame);
  }

  FrameHistory history_{8};
};

TEST_F(FrameHistoryTest, TellsWhetherAnybodyLookedForPins) {
  history_.note(kFrame, FrameEvent::kPinned);
  EXPECT_EQ(of_pin(), "nobody had looked for pins");
  history_.note_search();
  history_.note_searched(Pfn(2));
  EXPECT_EQ(of_pin(), "the search for pins had ended before it");
  history_.note_searched(kFrame);
  EXPECT_EQ(of_pin(), "the search for pins had passed over it");
}

TEST_F(FrameHistoryTest, TellsThroughWhichMappingALaterPinCame) {
  history_.note(kFrame, FrameEvent::kMapped);
  search();
  history_.note(kFrame, FrameEvent::kPinned);
  EXPECT_EQ(of_pin(), "pinned after the search, through a mapping that was left");
  history_.note(kFrame, FrameEvent::kUnmapped);  // the removal's own: after the pin
  EXPECT_EQ(of_pin(), "pinned after the search, through a mapping that was left");
  history_.note(kFrame, FrameEvent::kPinned);
  EXPECT_EQ(of_pin(), "pinned after the search, through a mapping that was gone");
  history_.note(kFrame, FrameEvent::kMapped);
  history_.note(kFrame, FrameEvent::kPinned);
  EXPECT_EQ(of_pin(), "mapped and pinned after the search for pins");
}

TEST_F(FrameHistoryTest, ForgetsEarlierRuns) {
  search();
  history_.note(kFrame, FrameEvent::kWritten);
  history_.begin_run();
  history_.note(kFrame, FrameEvent::kPinned);
  EXPECT_EQ(of_pin(), "nobody had looked for pins");
  EXPECT_STREQ(history_.of_hole(history_.tick(), kFrame), "");
}

TEST_F(FrameHistoryTest, OrdersAHoleAndItsBlock) {
  const uint64_t before = history_.tick();
  history_.note(kFrame, FrameEvent::kWritten);
  EXPECT_STREQ(history_.of_hole(before, kFrame), "it was there before the block");
  EXPECT_STREQ(history_.of_hole(history_.tick(), kFrame), "it came after the block");
}

}  // namespace
}  // namespace daxfs::mm
