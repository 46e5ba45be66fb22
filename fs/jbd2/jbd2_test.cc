// fs/jbd2/jbd2_test.cc - buffers and handles with the journal off.
#include <cstring>
#include <memory>
#include <vector>

#include <gtest/gtest.h>

#include "fs/base/report.h"
#include "fs/jbd2/handle.h"
#include "fs/rt/testing.h"

namespace daxfs::jbd2 {
namespace {

constexpr uint64_t kDeviceSize = 64 * kBlockSize;

// Counts stores, flushes and fences.
class Counter final : public pmem::Recorder {
 public:
  void on_store(uint64_t offset, std::span<const std::byte> bytes, pmem::StoreKind kind, Site) override {
    ++stores;
    stored_bytes += bytes.size();
    non_temporal = non_temporal && kind == pmem::StoreKind::kNonTemporal;
    last_offset = offset;
  }
  void on_flush(uint64_t, uint64_t, Site) override { ++flushes; }
  void on_fence(Site) override { ++fences; }

  int stores = 0;
  int flushes = 0;
  int fences = 0;
  uint64_t stored_bytes = 0;
  uint64_t last_offset = 0;
  bool non_temporal = true;
};

struct Medium {
  Medium() : device(pmem::Device::anonymous(kDeviceSize).value()) {
    for (uint64_t block = 0; block < kDeviceSize / kBlockSize; ++block) {
      const std::vector<std::byte> bytes(kBlockSize, static_cast<std::byte>(block));
      EXPECT_TRUE(device->store(block * kBlockSize, bytes).ok());
    }
    device->set_recorder(&counter);
  }
  std::byte at(uint64_t block, uint64_t offset) const { return device->data()[block * kBlockSize + offset]; }

  std::unique_ptr<pmem::Device> device;
  Counter counter;
};

void count_csum_runs(void* context, uint64_t argument, FsBlock, BlockBytes bytes) {
  ++*static_cast<int*>(context);
  bytes[kBlockSize - 1] = static_cast<std::byte>(argument);
}

TEST(BufferCache, ReadsABlockOnceAndFindsItAgain) {
  Medium medium;
  BufferCache cache(*medium.device);
  BufferRef first = cache.get(FsBlock(5)).value();
  EXPECT_EQ(first->data()[17], std::byte{5});
  BufferRef second = cache.get(FsBlock(5)).value();
  EXPECT_EQ(first.get(), second.get());
}

TEST(BufferCache, RefusesBlocksBeyondTheDeviceAndPoison) {
  Medium medium;
  BufferCache cache(*medium.device);
  EXPECT_EQ(cache.get(FsBlock(64)).error(), Errc::kCorrupted);
  EXPECT_EQ(cache.get(FsBlock(~0ull)).error(), Errc::kCorrupted);
  EXPECT_EQ(cache.get_new(FsBlock(64)).error(), Errc::kCorrupted);
  medium.device->set_poison(7 * kBlockSize + 512, 1);
  EXPECT_EQ(cache.get(FsBlock(7)).error(), Errc::kIo);
  medium.device->clear_poison(7 * kBlockSize, kBlockSize);
  EXPECT_TRUE(cache.get(FsBlock(7)).ok());
  take_corruption_messages();
}

TEST(BufferCache, VerifiesOnFirstUseAndAgainOnlyAfterAFailure) {
  Medium medium;
  BufferCache cache(*medium.device);
  struct State {
    int calls = 0;
    bool good = false;
  } state;
  const Verifier verifier{[](void* context, uint64_t, FsBlock, ConstBlockBytes) -> Status {
                            auto& s = *static_cast<State*>(context);
                            ++s.calls;
                            return s.good ? Errc::kOk : Errc::kCorrupted;
                          },
                          &state, 0};
  EXPECT_EQ(cache.get(FsBlock(3), verifier).error(), Errc::kCorrupted);
  EXPECT_EQ(cache.get(FsBlock(3), verifier).error(), Errc::kCorrupted);
  state.good = true;
  EXPECT_TRUE(cache.get(FsBlock(3), verifier).ok());
  EXPECT_TRUE(cache.get(FsBlock(3), verifier).ok());
  EXPECT_EQ(state.calls, 3);
}

TEST(BufferCache, GrowsAndShrinks) {
  Medium medium;
  BufferCache cache(*medium.device);
  std::vector<BufferRef> held;
  for (uint64_t block = 0; block < 64; ++block) { held.push_back(cache.get(FsBlock(block)).value()); }
  cache.shrink();
  for (uint64_t block = 0; block < 64; ++block) {
    EXPECT_EQ(cache.get(FsBlock(block)).value().get(), held[block].get());
  }
  held.clear();
  cache.shrink();
  // The medium changed behind an empty cache: the block is read anew.
  ASSERT_TRUE(medium.device->store_value(9 * kBlockSize, uint8_t{99}).ok());
  EXPECT_EQ(cache.get(FsBlock(9)).value()->data()[0], std::byte{99});
}

// BC2.
TEST(BufferCache, ReportsAReferenceThatOutlivesIt) {
  EXPECT_DEATH(
      {
        Medium medium;
        BufferRef leaked;
        BufferCache cache(*medium.device);
        leaked = cache.get(FsBlock(1)).value();
        cache.~BufferCache();
      },
      "BC2");
}

TEST(Handle, WritesChangedLinesOnceWithOneFenceAtTheOutermostStop) {
  Medium medium;
  BufferCache cache(*medium.device);
  Journal journal(cache);
  BufferRef buffer = cache.get(FsBlock(4)).value();
  medium.counter = Counter{};
  Handle outer = start(journal, 1).value();
  {
    Handle inner = start(journal, 1).value();
    EXPECT_TRUE(inner.nested());
    WriteAccess access = inner.get_write_access(*buffer).value();
    access.bytes()[100] = std::byte{0xAA};
    access.bytes()[101] = std::byte{0xBB};
    access.bytes()[4000] = std::byte{0xCC};
    EXPECT_TRUE(inner.dirty_metadata(*buffer).ok());
    EXPECT_TRUE(inner.stop().ok());
  }
  EXPECT_EQ(medium.counter.stores, 0);
  EXPECT_EQ(medium.at(4, 100), std::byte{4});
  EXPECT_TRUE(outer.stop().ok());
  EXPECT_EQ(medium.counter.stores, 2);
  EXPECT_EQ(medium.counter.stored_bytes, 128u);
  EXPECT_TRUE(medium.counter.non_temporal);
  EXPECT_EQ(medium.counter.fences, 1);
  EXPECT_EQ(medium.at(4, 100), std::byte{0xAA});
  EXPECT_EQ(medium.at(4, 4000), std::byte{0xCC});
}

TEST(Handle, RunsAChecksumTriggerOnceHoweverOftenTheBlockWasDirtied) {
  Medium medium;
  BufferCache cache(*medium.device);
  Journal journal(cache);
  BufferRef buffer = cache.get(FsBlock(4)).value();
  int runs = 0;
  Handle handle = start(journal, 1).value();
  WriteAccess access = handle.get_write_access(*buffer).value();
  for (int i = 0; i < 5; ++i) {
    access.bytes()[0] = static_cast<std::byte>(i + 50);
    EXPECT_TRUE(handle.dirty_metadata(*buffer, {&count_csum_runs, &runs, 0x77, false}).ok());
  }
  EXPECT_TRUE(handle.stop().ok());
  EXPECT_EQ(runs, 1);
  EXPECT_EQ(medium.at(4, kBlockSize - 1), std::byte{0x77});
}

TEST(Handle, StopGivesBackTheCallersErrorAndStillWrites) {
  Medium medium;
  BufferCache cache(*medium.device);
  Journal journal(cache);
  BufferRef buffer = cache.get(FsBlock(4)).value();
  Handle handle = start(journal, 1).value();
  handle.get_write_access(*buffer).value().bytes()[0] = std::byte{1};
  EXPECT_TRUE(handle.dirty_metadata(*buffer).ok());
  EXPECT_EQ(handle.stop(Errc::kNoSpc).error(), Errc::kNoSpc);
  EXPECT_EQ(medium.at(4, 0), std::byte{1});
  journal.abort();
  EXPECT_EQ(start(journal, 1).error(), Errc::kRoFs);
}

// BC3: the freed block belongs to a file by the time the handle stops.
TEST(Handle, NeverWritesAForgottenBlock) {
  Medium medium;
  BufferCache cache(*medium.device);
  Journal journal(cache);
  BufferRef buffer = cache.get(FsBlock(4)).value();
  Handle handle = start(journal, 1).value();
  handle.get_write_access(*buffer).value().bytes()[0] = std::byte{1};
  EXPECT_TRUE(handle.dirty_metadata(*buffer).ok());
  buffer.reset();
  handle.forget(FsBlock(4));
  EXPECT_TRUE(handle.stop().ok());
  EXPECT_EQ(medium.at(4, 0), std::byte{4});
  BufferRef fresh = cache.get(FsBlock(4)).value();
  EXPECT_EQ(fresh->data()[0], std::byte{4});
}

TEST(Handle, ANewBlockIsZeroedWithoutAReadAndClearsPoisonWhenWritten) {
  Medium medium;
  BufferCache cache(*medium.device);
  Journal journal(cache);
  medium.device->set_poison(4 * kBlockSize, kBlockSize);
  Handle handle = start(journal, 1).value();
  BufferRef buffer = cache.get_new(FsBlock(4)).value();
  handle.get_write_access(*buffer).value().bytes()[9] = std::byte{1};
  EXPECT_TRUE(handle.dirty_metadata(*buffer).ok());
  EXPECT_TRUE(handle.stop().ok());
  EXPECT_FALSE(medium.device->poisoned(4 * kBlockSize, kBlockSize));
  EXPECT_EQ(medium.at(4, 8), std::byte{0});
  EXPECT_EQ(medium.at(4, 9), std::byte{1});
}

TEST(Handle, ABlockThatIsStillMetadataCannotBeMadeAnew) {
  Medium medium;
  BufferCache cache(*medium.device);
  BufferRef held = cache.get(FsBlock(4)).value();
  EXPECT_EQ(cache.get_new(FsBlock(4)).error(), Errc::kCorrupted);
  EXPECT_EQ(take_corruption_messages().size(), 1u);
}

// Two tasks change different bytes of one block; the last one to stop writes both. BC1.
TEST(Handle, ConcurrentHandlesShareABufferAndTheLastOneWritesIt) {
  Medium medium;
  rt::run_for_test([&] {
    BufferCache cache(*medium.device);
    Journal journal(cache);
    int runs = 0;
    for (int task = 0; task < 4; ++task) {
      rt::spawn("writer", [&, task] {
        for (int round = 0; round < 50; ++round) {
          Handle handle = start(journal, 1).value();
          BufferRef buffer = cache.get(FsBlock(6)).value();
          WriteAccess access = handle.get_write_access(*buffer).value();
          access.bytes()[static_cast<size_t>(task) * 64] = static_cast<std::byte>(round);
          EXPECT_TRUE(handle.dirty_metadata(*buffer, {&count_csum_runs, &runs, 9, false}).ok());
          rt::yield();
          EXPECT_TRUE(handle.stop().ok());
        }
      });
    }
    rt::join_all_spawned();
    EXPECT_GE(runs, 1);
  });
  for (uint64_t task = 0; task < 4; ++task) { EXPECT_EQ(medium.at(6, task * 64), std::byte{49}); }
  EXPECT_EQ(medium.at(6, kBlockSize - 1), std::byte{9});
}

// HA1, HA2, JO1, JO2.
TEST(HandleDeath, MisuseIsReported) {
  Medium medium;
  BufferCache cache(*medium.device);
  EXPECT_DEATH(
      {
        Journal journal(cache);
        Handle handle = start(journal, 1).value();
      },
      "HA1");
  EXPECT_DEATH(
      {
        Journal journal(cache);
        BufferRef buffer = cache.get(FsBlock(1)).value();
        Handle handle = start(journal, 1).value();
        handle.dirty_metadata(*buffer).ignore_error("dies before");
      },
      "HA2");
  EXPECT_DEATH(
      {
        auto journal = std::make_unique<Journal>(cache);
        new Handle(start(*journal, 1).value());
        journal.reset();
      },
      "JO2");
}

}  // namespace
}  // namespace daxfs::jbd2
