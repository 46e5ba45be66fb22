// fs/io/io_test.cc - buffers, direct I/O, and what can happen to pages under DMA.
#include <gtest/gtest.h>

#include "fs/dax/test_world.h"
#include "fs/io/bio.h"
#include "fs/io/direct_io.h"
#include "fs/io/user_buffer.h"

namespace daxfs::io {
namespace {

using dax::FakeFile;
using dax::run_in_world;
using dax::World;

Result<uint64_t> dio(FakeFile& file, mm::Mm& mm, VirtAddr address, uint64_t size, uint64_t pos, bool write,
                     DioEndIo* end_io = nullptr) {
  IovBuffer buffer = IovBuffer::user(mm, address, size);
  return iomap_dio_rw(file, buffer, pos, write, file, end_io);
}

TEST(IovBuffer, ClipsAdvancesAndReverts) {
  std::array<std::byte, 8> bytes{};
  IovBuffer sink = IovBuffer::kernel_sink(bytes);
  const std::array<std::byte, 3> abc{std::byte{'a'}, std::byte{'b'}, std::byte{'c'}};
  EXPECT_EQ(sink.copy_out(abc), 3u);
  EXPECT_EQ(sink.remaining(), 5u);
  sink.revert(1);
  EXPECT_EQ(sink.copy_out(abc), 3u);
  sink.truncate(1);
  EXPECT_EQ(sink.zero_out(100), 1u);
  EXPECT_EQ(sink.remaining(), 0u);
  EXPECT_EQ(bytes[2], std::byte{'a'});
  EXPECT_EQ(bytes[4], std::byte{'c'});
  EXPECT_EQ(bytes[5], std::byte{0});
}

TEST(DirectIo, WritesFromAndReadsIntoAnonymousMemory) {
  const auto outcome = run_in_world([](World& w) {
    const auto user = w.p0.user_buffer(8 * kPageSize);
    ASSERT_TRUE(user.ok());
    World::poke(w.p0, *user + 512, 0x5A);
    World::poke(w.p0, *user + 512 + kPageSize, 0x5B);
    // Not page aligned in memory, so that segments straddle pages.
    EXPECT_EQ(dio(w.plain, w.p0, *user + 512, 2 * kPageSize, 0, true).value_or(0), 2 * kPageSize);
    EXPECT_EQ(w.plain.read(0, 1).front(), std::byte{0});  // unwritten until the end_io converts
    for (auto& [index, block] : w.plain.blocks) { block.written = true; }
    EXPECT_EQ(w.plain.read(0, 1).front(), std::byte{0x5A});
    EXPECT_EQ(w.plain.read(kPageSize, 1).front(), std::byte{0x5B});
    w.plain.size = 2 * kPageSize + 100;
    EXPECT_EQ(dio(w.plain, w.p0, *user + 4 * kPageSize, 4 * kPageSize, 0, false).value_or(0), w.plain.size);
    EXPECT_EQ(World::peek(w.p0, *user + 4 * kPageSize), std::byte{0x5A});
    EXPECT_EQ(World::peek(w.p0, *user + 5 * kPageSize), std::byte{0x5B});
    EXPECT_EQ(dio(w.plain, w.p0, *user, 512, 4 * kPageSize, false).value_or(9), 0u);
    w.finish();
  });
  EXPECT_FALSE(outcome.finding.has_value()) << outcome.finding->title;
}

TEST(DirectIo, OfManyPagesUsesSeveralBios) {
  const auto outcome = run_in_world([](World& w) {
    w.plain.size = 40 * kPageSize;
    const auto user = w.p0.user_buffer(40 * kPageSize);
    ASSERT_TRUE(user.ok());
    for (uint64_t n = 0; n < 40; ++n) { w.plain.add_block(n, std::byte{static_cast<unsigned char>(n + 1)}); }
    EXPECT_EQ(dio(w.plain, w.p0, *user, 40 * kPageSize, 0, false).value_or(0), 40 * kPageSize);
    for (uint64_t n = 0; n < 40; ++n) {
      EXPECT_EQ(World::peek(w.p0, *user + n * kPageSize), std::byte{static_cast<unsigned char>(n + 1)});
    }
    w.finish();
  });
  EXPECT_FALSE(outcome.finding.has_value()) << outcome.finding->title;
}

// kernel-semantics.md: non-DAX files want multiples of 512; the EOF check comes first; holes want
// nothing.
TEST(DirectIo, ChecksAlignmentWhereThereAreBlocks) {
  const auto outcome = run_in_world([](World& w) {
    w.plain.add_block(0, std::byte{0x11});
    w.plain.size = 2 * kPageSize;
    const auto user = w.p0.user_buffer(2 * kPageSize);
    EXPECT_EQ(dio(w.plain, w.p0, *user, 512, 1, false).error(), Errc::kInval);
    EXPECT_EQ(dio(w.plain, w.p0, *user, 511, 0, false).error(), Errc::kInval);
    EXPECT_EQ(dio(w.plain, w.p0, *user + 1, 512, 0, false).error(), Errc::kInval);
    EXPECT_EQ(dio(w.plain, w.p0, *user + 512, 512, 512, false).value_or(0), 512u);
    EXPECT_EQ(dio(w.plain, w.p0, *user + 1, 100, kPageSize + 1, false).value_or(0), 100u);
    EXPECT_EQ(dio(w.plain, w.p0, *user + 1, 511, w.plain.size, false).value_or(9), 0u);
    w.finish();
  });
  EXPECT_FALSE(outcome.finding.has_value()) << outcome.finding->title;
}

// kernel-semantics.md: a bad second page fails the whole call, although the first was pinned and
// filled.
TEST(DirectIo, WithABadSecondPageFailsAsAWhole) {
  const auto outcome = run_in_world([](World& w) {
    w.plain.add_block(0, std::byte{0x11});
    w.plain.add_block(1, std::byte{0x12});
    w.file.size = kPageSize;
    const VirtAddr a0 = w.map(w.p0, w.file, 2);
    EXPECT_EQ(dio(w.plain, w.p0, a0, 2 * kPageSize, 0, false).error(), Errc::kFault);
    EXPECT_EQ(World::peek(w.p0, a0), std::byte{0x11});
    const VirtAddr ro = w.map(w.p0, w.file, 1, mm::kMapShared, mm::kProtRead);
    EXPECT_EQ(dio(w.plain, w.p0, ro, kPageSize, 0, false).error(), Errc::kFault);
    EXPECT_EQ(dio(w.plain, w.p0, ro, kPageSize, 0, true).value_or(0), kPageSize);
    w.finish();
  });
  EXPECT_FALSE(outcome.finding.has_value()) << outcome.finding->title;
}

// B27: with the bug a direct read changes a file through a read-only mapping.
TEST(DirectIo, IntoAReadOnlyMappingOfAPresentPageIsRefusedUnlessTheBugIsOn) {
  for (const bool buggy : {false, true}) {
    if (buggy && historical_bugs().empty()) { break; }  // compiled without switches
    BugSet bugs;
    bugs.set(static_cast<size_t>(Bug::kGupIgnoresWrite), buggy);
    set_historical(bugs);
    const auto outcome = run_in_world([buggy](World& w) {
      w.plain.add_block(0, std::byte{0x11});
      w.file.add_block(0, std::byte{0x22});
      const VirtAddr ro = w.map(w.p0, w.file, 1, mm::kMapShared, mm::kProtRead);
      World::peek(w.p0, ro);
      EXPECT_EQ(dio(w.plain, w.p0, ro, kPageSize, 0, false).ok(), buggy);
      EXPECT_EQ(w.file.read(0, 1).front(), buggy ? std::byte{0x11} : std::byte{0x22});
      w.finish();
    });
    EXPECT_FALSE(outcome.finding.has_value()) << outcome.finding->title;
  }
  set_historical(BugSet());
}

class EndIoProbe final : public DioEndIo {
 public:
  void note_piece(const Iomap& iomap) override { unwritten |= iomap.type == Iomap::Type::kUnwritten; }
  Status end_io(uint64_t pos_in, uint64_t size_in, Status error_in) override {
    EXPECT_FALSE(rt::in_atomic());  // O12: conversion happens in process context
    ++calls;
    pos = pos_in;
    size = size_in;
    error = error_in;
    return answer;
  }
  int calls = 0;
  uint64_t pos = 0;
  uint64_t size = 0;
  Status error;
  bool unwritten = false;
  Status answer;
};

TEST(DirectIo, TellsEndIoOnceAndTakesItsError) {
  const auto outcome = run_in_world([](World& w) {
    const auto user = w.p0.user_buffer(kPageSize);
    EndIoProbe probe;
    EXPECT_EQ(dio(w.plain, w.p0, *user, kPageSize, kPageSize, true, &probe).value_or(0), kPageSize);
    EXPECT_EQ(probe.calls, 1);
    EXPECT_EQ(probe.pos, kPageSize);
    EXPECT_EQ(probe.size, kPageSize);
    EXPECT_TRUE(probe.unwritten);
    probe.answer = Errc::kNoSpc;
    EXPECT_EQ(dio(w.plain, w.p0, *user, kPageSize, 2 * kPageSize, true, &probe).error(), Errc::kNoSpc);
    w.device->set_poison(w.plain.blocks[1].at.value() * kPageSize, 512);
    w.plain.blocks[1].written = true;
    EXPECT_EQ(dio(w.plain, w.p0, *user, kPageSize, kPageSize, false, &probe).error(), Errc::kIo);
    EXPECT_EQ(probe.error, Status(Errc::kIo));
    w.finish();
  });
  EXPECT_FALSE(outcome.finding.has_value()) << outcome.finding->title;
}

TEST(DirectIo, ZeroesTheRestOfABlockThatItAllocates) {
  const auto outcome = run_in_world([](World& w) {
    w.plain.add_block(0, std::byte{0x99}, /*written=*/false);
    const auto user = w.p0.user_buffer(kPageSize);
    World::poke(w.p0, *user, 0x42);
    EXPECT_EQ(dio(w.plain, w.p0, *user, 512, 1024, true).value_or(0), 512u);
    w.plain.blocks[0].written = true;
    const auto page = w.plain.read(0, kPageSize);
    EXPECT_EQ(page[1023], std::byte{0});
    EXPECT_EQ(page[1024], std::byte{0x42});
    EXPECT_EQ(page[1536], std::byte{0});
    w.finish();
  });
  EXPECT_FALSE(outcome.finding.has_value()) << outcome.finding->title;
}

#if defined(DAXFS_RT_FIBER)

// O15: the page under DMA changed its owner.
TEST(Bio, ThatCompletesIntoAPageOfSomebodyElseIsAFinding) {
  const auto outcome = run_in_world([](World& w) {
    const VirtAddr a0 = w.map(w.p0, w.file, 1);
    World::poke(w.p0, a0, 1);
    auto pin = mm::pin_user_page(w.p0, a0, true);
    pin->page().index = PgOff(7);
    static Bio& bio = *new Bio;  // the finding leaves its pin behind
    bio.init(w.memory, 150 * kPageSize, false, [](void*, Bio&) {}, nullptr);
    bio.add_page(std::move(*pin), 0, kPageSize);
    bio.submit();
    rt::run_pending_system_tasks();
  });
  ASSERT_TRUE(outcome.finding.has_value());
  EXPECT_EQ(outcome.finding->tag, "O15");
}

// IO3
TEST(Bio, TakesNoSegmentBeyondItsPage) {
  const auto outcome = run_in_world([](World& w) {
    const VirtAddr a0 = w.map(w.p0, w.file, 1);
    World::poke(w.p0, a0, 1);
    auto pin = mm::pin_user_page(w.p0, a0, true);
    static Bio& bio = *new Bio;  // the finding leaves its pin behind
    bio.init(w.memory, 0, false, [](void*, Bio&) {}, nullptr);
    bio.add_page(std::move(*pin), 512, kPageSize);
  });
  ASSERT_TRUE(outcome.finding.has_value());
  EXPECT_EQ(outcome.finding->tag, "IO3");
}

// IO2: the bytes are there when the call returns, wherever the completions ran.
TEST(DirectIoRace, ReturnsOnlyAfterAllItsBytesMoved) {
  const dax::SearchResult result = dax::search(
      [](World& w) -> bool {
        w.plain.add_block(0, std::byte{0x77});
        w.plain.blocks[5] = w.plain.blocks[0];
        const auto user = w.p0.user_buffer(2 * kPageSize);
        const auto other = w.p1.user_buffer(kPageSize);
        rt::TestValue<bool> right = true;
        rt::spawn("read", [&] {
          right &= dio(w.plain, w.p0, *user, kPageSize, 0, false).value_or(0) == kPageSize;
          right &= World::peek(w.p0, *user + 100) == std::byte{0x77};
        });
        rt::spawn("read too", [&] {
          right &= dio(w.plain, w.p1, *other, kPageSize, 5 * kPageSize, false).value_or(0) == kPageSize;
          right &= World::peek(w.p1, *other + 100) == std::byte{0x77};
        });
        rt::join_all_spawned();
        if (right) { w.finish(); }
        return right;
      },
      {.events_max = 80, .stride = 3});
  EXPECT_TRUE(result.clean()) << result.text();
}

#endif  // DAXFS_RT_FIBER

}  // namespace
}  // namespace daxfs::io
