// fs/dax/rw_test.cc - read and write system calls, zeroing, bad sectors.
#include "fs/dax/rw.h"

#include "fs/dax/test_world.h"

namespace daxfs::dax {
namespace {

std::vector<std::byte> bytes_of(size_t size, int value) {
  return std::vector<std::byte>(size, std::byte{static_cast<unsigned char>(value)});
}

TEST(ReadWrite, CrossesPagesHolesAndEof) {
  const auto outcome = run_in_world([](World& w) {
    w.file.size = 0;
    EXPECT_EQ(w.file.write(4000, bytes_of(200, 0x11)).value_or(0), 200u);
    EXPECT_EQ(w.file.write(9000, bytes_of(100, 0x22)).value_or(0), 100u);
    EXPECT_EQ(w.file.size, 9100u);
    const auto all = w.file.read(0, 20000);
    ASSERT_EQ(all.size(), 9100u);
    EXPECT_EQ(all[3999], std::byte{0});
    EXPECT_EQ(all[4000], std::byte{0x11});
    EXPECT_EQ(all[4199], std::byte{0x11});
    EXPECT_EQ(all[4200], std::byte{0});
    EXPECT_EQ(all[9099], std::byte{0x22});
    EXPECT_TRUE(w.file.read(9100, 1).empty());
    EXPECT_GT(w.file.iomaps_ended, 3);
    w.finish();
  });
  EXPECT_FALSE(outcome.finding.has_value()) << outcome.finding->title;
}

TEST(ReadWrite, StopsShortWhereTheUserBufferEndsAndFailsIfNothingWasCopied) {
  const auto outcome = run_in_world([](World& w) {
    const VirtAddr a0 = w.map(w.p0, w.other, 1);
    io::IovBuffer half = io::IovBuffer::user(w.p0, a0 + 2048, 4096);
    const auto done = iomap_rw(w.file, half, 0, true, w.file);
    EXPECT_EQ(done.value_or(0), 2048u);
    io::IovBuffer bad = io::IovBuffer::user(w.p0, a0 + kPageSize, 10);
    EXPECT_EQ(iomap_rw(w.file, bad, 0, true, w.file).error(), Errc::kFault);
    io::IovBuffer sink = io::IovBuffer::user(w.p0, a0 + kPageSize, 10);
    EXPECT_EQ(iomap_rw(w.file, sink, 0, false, w.file).error(), Errc::kFault);
    w.finish();
  });
  EXPECT_FALSE(outcome.finding.has_value()) << outcome.finding->title;
}

// kernel-semantics.md: bad sectors.
TEST(ReadWrite, OnABadPageReadsFailPartWritesFaultAndWholePagesRepair) {
  const auto outcome = run_in_world([](World& w) {
    w.file.add_block(0, std::byte{0x33});
    const uint64_t at = w.file.blocks[0].at.value() * kPageSize;
    w.device->set_poison(at + 1024, 512);
    EXPECT_TRUE(w.file.read(0, 8).empty());
    EXPECT_EQ(w.file.write(8, bytes_of(8, 1)).error(), Errc::kFault);
    EXPECT_EQ(zero_range(w.file, 8, 8, w.file), Status(Errc::kIo));
    EXPECT_EQ(w.file.write(0, bytes_of(kPageSize, 0x55)).value_or(0), kPageSize);
    EXPECT_FALSE(w.device->poisoned(at, kPageSize));
    EXPECT_EQ(w.file.read(1024, 1).front(), std::byte{0x55});
    w.finish();
  });
  EXPECT_FALSE(outcome.finding.has_value()) << outcome.finding->title;
}

TEST(ReadWrite, AWriteToAMappedHoleShowsInTheMapping) {
  const auto outcome = run_in_world([](World& w) {
    const VirtAddr a0 = w.map(w.p0, w.file, 1);
    EXPECT_EQ(World::peek(w.p0, a0), std::byte{0});
    EXPECT_TRUE(w.file.write(0, bytes_of(1, 0x66)).ok());
    EXPECT_EQ(World::peek(w.p0, a0), std::byte{0x66});
    w.finish();
  });
  EXPECT_FALSE(outcome.finding.has_value()) << outcome.finding->title;
}

TEST(ZeroRange, SkipsHolesAndUnwritten) {
  const auto outcome = run_in_world([](World& w) {
    w.file.add_block(1, std::byte{0x33});
    w.file.add_block(2, std::byte{0x44}, /*written=*/false);
    EXPECT_TRUE(zero_range(w.file, 0, 100, w.file).ok());
    EXPECT_TRUE(zero_range(w.file, 2 * kPageSize, 100, w.file).ok());
    EXPECT_TRUE(zero_range(w.file, kPageSize + 10, kPageSize - 10, w.file).ok());
    const auto page = w.file.read(kPageSize, kPageSize);
    EXPECT_EQ(page[9], std::byte{0x33});
    EXPECT_EQ(page[10], std::byte{0});
    EXPECT_EQ(page[kPageSize - 1], std::byte{0});
    EXPECT_TRUE(w.file.blocks.find(0) == w.file.blocks.end());
    w.finish();
  });
  EXPECT_FALSE(outcome.finding.has_value()) << outcome.finding->title;
}

#if defined(DAXFS_RT_FIBER)

// Hands out a hole where a written block was promised.
class HoleOps final : public io::IomapOps {
 public:
  Status iomap_begin(io::IomapHost&, uint64_t pos, uint64_t, unsigned, io::Iomap* iomap) override {
    iomap->offset = round_down(pos, kPageSize) + displacement;
    iomap->length = kPageSize;
    return ok_status();
  }
  Status iomap_end(io::IomapHost&, uint64_t, uint64_t, uint64_t, unsigned, const io::Iomap&) override {
    return ok_status();
  }
  uint64_t displacement = 0;
};

// DW1
TEST(ReadWrite, AWriteThatGetsNoBlockIsAFinding) {
  const auto outcome = run_in_world([](World& w) {
    HoleOps ops;
    const auto bytes = bytes_of(1, 1);
    io::IovBuffer buffer = io::IovBuffer::kernel_source(bytes);
    iomap_rw(w.file, buffer, 0, true, ops).ignore_error("ends the run");
  });
  ASSERT_TRUE(outcome.finding.has_value());
  EXPECT_EQ(outcome.finding->tag, "DW1");
}

// IO1
TEST(ReadWrite, APieceThatDoesNotCoverThePositionIsAFinding) {
  const auto outcome = run_in_world([](World& w) {
    HoleOps ops;
    ops.displacement = kPageSize;
    auto bytes = bytes_of(1, 1);
    io::IovBuffer buffer = io::IovBuffer::kernel_sink(bytes);
    iomap_rw(w.file, buffer, 0, false, ops).ignore_error("ends the run");
  });
  ASSERT_TRUE(outcome.finding.has_value());
  EXPECT_EQ(outcome.finding->tag, "IO1");
}

#endif  // DAXFS_RT_FIBER

}  // namespace
}  // namespace daxfs::dax
