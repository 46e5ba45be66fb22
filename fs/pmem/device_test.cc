// fs/pmem/device_test.cc - the medium: durability, poison, tracking and refusals.
#include "fs/pmem/device.h"

#include <array>
#include <cstdio>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/pmem/bit_set.h"
#include "fs/rt/testing.h"

namespace daxfs::pmem {
namespace {

constexpr uint64_t kMiB = 1 << 20;

std::vector<std::byte> pattern(size_t size, uint32_t seed) {
  std::mt19937 random(seed);
  std::vector<std::byte> bytes(size);
  for (std::byte& b : bytes) { b = static_cast<std::byte>(random()); }
  return bytes;
}

std::vector<std::byte> read_all(const Device& device) { return {device.data(), device.data() + device.size()}; }

std::unique_ptr<Device> anonymous(uint64_t size) {
  auto device = Device::anonymous(size);
  EXPECT_TRUE(device.ok());
  return std::move(device).value();
}

class DeviceFile : public testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/daxfs-device-XXXXXX";
    ASSERT_NE(mkdtemp(name), nullptr);
    folder_ = name;
  }
  void TearDown() override {
    for (const std::string& path : made_) { ::unlink(path.c_str()); }
    EXPECT_EQ(::rmdir(folder_.c_str()), 0) << "a test left files behind";
  }
  std::string path(const char* name) {
    made_.push_back(folder_ + "/" + name);
    return made_.back();
  }
  std::string file_of(const char* name, uint64_t size) {
    std::string file = path(name);
    FILE* out = std::fopen(file.c_str(), "w");
    EXPECT_NE(out, nullptr);
    EXPECT_EQ(::ftruncate(::fileno(out), static_cast<off_t>(size)), 0);
    std::fclose(out);
    return file;
  }

  std::string folder_;
  std::vector<std::string> made_;
};

struct Refusal {
  Errc errc = Errc::kOk;
  std::string message;
};

Refusal refuse(const std::string& path) {
  Refusal refusal;
  Device::OpenOptions options;
  options.message = &refusal.message;
  refusal.errc = Device::open(path, options).error();
  return refusal;
}

TEST_F(DeviceFile, KeepsWhatWasPersistedAcrossReopen) {
  const std::string file = path("image");
  const std::vector<std::byte> cached = pattern(5000, 1);
  const std::vector<std::byte> streamed = pattern(70000, 2);
  {
    auto device = Device::create(file, kMiB);
    ASSERT_TRUE(device.ok());
    EXPECT_EQ(device.value()->size(), kMiB);
    EXPECT_EQ(device.value()->block_count(), 256u);
    ASSERT_TRUE(device.value()->store(123, cached).ok());
    device.value()->persist(123, cached.size());
    ASSERT_TRUE(device.value()->store_nt(300001, streamed).ok());
    ASSERT_TRUE(device.value()->store_value<uint32_t>(kMiB - 4, 0xdeadbeef).ok());
    device.value()->flush(kMiB - 4, 4);
    ASSERT_TRUE(device.value()->zero(300001 + 100, 50).ok());
    device.value()->fence();
  }
  auto device = Device::open(file, {.read_only = true});
  ASSERT_TRUE(device.ok());
  EXPECT_EQ(std::memcmp(device.value()->data() + 123, cached.data(), cached.size()), 0);
  std::vector<std::byte> expected = streamed;
  std::memset(expected.data() + 100, 0, 50);
  EXPECT_EQ(std::memcmp(device.value()->data() + 300001, expected.data(), expected.size()), 0);
  EXPECT_EQ(device.value()->read_value<uint32_t>(kMiB - 4).value(), 0xdeadbeefu);
}

// With cache-line granularity libpmem2's own flush, drain and non-temporal copies run, as on real
// pmem.
TEST_F(DeviceFile, KeepsWhatWasPersistedWithCacheLineGranularity) {
  const std::string file = path("image");
  const std::vector<std::byte> bytes = pattern(9999, 3);
  ASSERT_EQ(setenv("PMEM2_FORCE_GRANULARITY", "CACHE_LINE", 1), 0);
  {
    auto device = Device::create(file, kMiB);
    ASSERT_TRUE(device.ok());
    ASSERT_TRUE(device.value()->store_nt(17, bytes).ok());
    ASSERT_TRUE(device.value()->store(500000, bytes).ok());
    ASSERT_TRUE(device.value()->zero(500000, 64).ok());
    device.value()->persist(500000, bytes.size());
  }
  ASSERT_EQ(unsetenv("PMEM2_FORCE_GRANULARITY"), 0);
  auto device = Device::open(file, {});
  ASSERT_TRUE(device.ok());
  EXPECT_EQ(std::memcmp(device.value()->data() + 17, bytes.data(), bytes.size()), 0);
  EXPECT_EQ(std::memcmp(device.value()->data() + 500064, bytes.data() + 64, bytes.size() - 64), 0);
  EXPECT_EQ(device.value()->read_value<uint64_t>(500000).value(), 0u);
}

TEST_F(DeviceFile, PrivateCopyNeverReachesTheFile) {
  const std::string file = file_of("image", kMiB);
  {
    auto device = Device::open(file, {.private_copy = true});
    ASSERT_TRUE(device.ok());
    ASSERT_TRUE(device.value()->store_value<uint64_t>(4096, 7).ok());
    device.value()->persist(4096, 8);
    EXPECT_EQ(device.value()->read_value<uint64_t>(4096).value(), 7u);
  }
  auto device = Device::open(file, {});
  ASSERT_TRUE(device.ok());
  EXPECT_EQ(device.value()->read_value<uint64_t>(4096).value(), 0u);
}

TEST_F(DeviceFile, ReadOnlyRefusesEveryStore) {
  auto device = Device::open(file_of("image", kMiB), {.read_only = true});
  ASSERT_TRUE(device.ok());
  EXPECT_TRUE(device.value()->read_only());
  const std::vector<std::byte> sector = pattern(512, 4);
  EXPECT_EQ(device.value()->store(0, sector).error(), Errc::kRoFs);
  EXPECT_EQ(device.value()->store_nt(0, sector).error(), Errc::kRoFs);
  EXPECT_EQ(device.value()->store_clearing_poison(0, sector).error(), Errc::kRoFs);
  EXPECT_EQ(device.value()->zero(0, 4096).error(), Errc::kRoFs);
  EXPECT_EQ(device.value()->read_value<uint64_t>(0).value(), 0u);
}

TEST_F(DeviceFile, BadFilesAreRefusedWithASentenceThatNamesThem) {
  const std::string missing = folder_ + "/missing";
  EXPECT_EQ(refuse(missing).errc, Errc::kNoEnt);
  EXPECT_EQ(refuse(missing).message, missing + ": No such file or directory");
  EXPECT_EQ(refuse(folder_).errc, Errc::kIsDir);

  const std::string empty = file_of("empty", 0);
  EXPECT_EQ(refuse(empty).errc, Errc::kInval);
  EXPECT_EQ(refuse(empty).message, empty + ": has no bytes");

  const std::string odd = file_of("odd", 4096 * 3 + 512);
  EXPECT_EQ(refuse(odd).errc, Errc::kInval);
  EXPECT_EQ(refuse(odd).message, odd + ": has 12800 bytes, which is no multiple of the block size 4096");

  const std::string fifo = path("null");
  ASSERT_EQ(::symlink("/dev/null", fifo.c_str()), 0);
  EXPECT_NE(refuse(fifo).errc, Errc::kOk);
  EXPECT_FALSE(refuse(fifo).message.empty());
}

TEST_F(DeviceFile, CreateNeverTouchesAnExistingFile) {
  const std::string file = file_of("image", 8192);
  EXPECT_EQ(Device::create(file, kMiB).error(), Errc::kExist);
  EXPECT_EQ(Device::create(path("odd"), 4097).error(), Errc::kInval);
  EXPECT_EQ(Device::create(path("none"), 0).error(), Errc::kInval);
  auto device = Device::open(file, {});
  ASSERT_TRUE(device.ok());
  EXPECT_EQ(device.value()->size(), 8192u);
}

TEST(Device, AnonymousMemoryStartsAsZeros) {
  auto device = anonymous(kMiB);
  EXPECT_FALSE(device->read_only());
  EXPECT_EQ(read_all(*device), std::vector<std::byte>(kMiB));
  EXPECT_EQ(Device::anonymous(0).error(), Errc::kInval);
  EXPECT_EQ(Device::anonymous(4095).error(), Errc::kInval);
}

TEST(Device, ReadOutsideIsAnErrorBecauseMediaMayAskForIt) {
  auto device = anonymous(8192);
  std::vector<std::byte> out(16);
  EXPECT_TRUE(device->read(8192 - 16, out).ok());
  EXPECT_EQ(device->read(8192 - 15, out).error(), Errc::kInval);
  EXPECT_EQ(device->read(~uint64_t{0} - 3, out).error(), Errc::kInval);
  EXPECT_TRUE(device->read(8192, {}).ok());
}

// PM1.
TEST(DeviceDeathTest, StoreOutsideIsABug) {
  auto device = anonymous(8192);
  EXPECT_DEATH(device->store_value<uint64_t>(8190, 1).ignore_error("dies"), "PM1|leaves the device");
  EXPECT_DEATH(device->zero(4096, ~uint64_t{0}).ignore_error("dies"), "PM1|leaves the device");
  EXPECT_DEATH(device->flush(8192, 1), "PM1|leaves the device");
  EXPECT_DEATH(device->set_poison(9000, 1), "PM1|leaves the device");
}

// O15.
TEST(DeviceDeathTest, AFreedBlockIsNotTouchedWhileFreedBlocksAreWatched) {
  auto device = anonymous(4 * 4096);
  std::vector<std::byte> bytes(8192);
  device->mark_freed(FsBlock(1), 2);
  EXPECT_FALSE(device->freed(0, 4 * 4096)) << "nobody watches";
  device->watch_freed(true);
  device->mark_freed(FsBlock(1), 2);
  EXPECT_TRUE(device->freed(8191, 1));
  EXPECT_TRUE(device->store_value<uint64_t>(4088, 1).ok());
  EXPECT_DEATH(device->store_value<uint64_t>(4092, 1).ignore_error("dies"), "O15|block 1, which is free");
  EXPECT_DEATH(device->store_unscheduled(8192, bytes, Site::current()).ignore_error("dies"), "O15|block 2, which");
  EXPECT_DEATH(device->zero(4096, 1).ignore_error("dies"), "O15|zeroing of 1 bytes");
  EXPECT_DEATH(device->read(0, bytes).ignore_error("dies"), "O15|load of 8192 bytes");
  device->mark_used(FsBlock(1), 1);
  EXPECT_TRUE(device->read(0, bytes).ok());
  EXPECT_TRUE(device->freed(8192, 1));
  device->restore(std::vector<std::byte>(4 * 4096));
  EXPECT_FALSE(device->freed(0, 4 * 4096));
}

TEST(Device, AUserStoreIsDurableAfterFlushAndFenceOfItsBlock) {
  auto device = anonymous(4 * 4096);
  const std::array<std::byte, 8> bytes{};
  const auto store = [&](uint64_t at) { EXPECT_TRUE(device->store_unscheduled(at, bytes, Site::current()).ok()); };
  store(0);
  EXPECT_FALSE(device->undurable(FsBlock(0), device->watch_time())) << "nobody watches";
  device->watch_durability(true);
  store(4096 + 8);
  const uint64_t first = device->watch_time();
  EXPECT_TRUE(device->undurable(FsBlock(1), first));
  EXPECT_FALSE(device->undurable(FsBlock(1), first - 1)) << "it came later";
  EXPECT_FALSE(device->undurable(FsBlock(0), first));
  device->flush(4096, 64);
  device->fence();
  EXPECT_TRUE(device->undurable(FsBlock(1), first)) << "only a part was flushed";
  device->flush(4096, 4096);
  EXPECT_TRUE(device->undurable(FsBlock(1), first)) << "no fence yet";
  store(4096);
  const uint64_t second = device->watch_time();
  EXPECT_TRUE(device->undurable(FsBlock(1), first));
  device->fence();
  EXPECT_FALSE(device->undurable(FsBlock(1), first)) << "flushed before the second store, fenced behind it";
  EXPECT_TRUE(device->undurable(FsBlock(1), second));
  device->flush(0, 8192);
  device->fence();
  EXPECT_FALSE(device->undurable(FsBlock(1), second));
}

// PM2.
TEST(DeviceDeathTest, RestoreFromATemplateOfAnotherSizeIsABug) {
  auto device = anonymous(8192);
  EXPECT_DEATH(device->restore(std::vector<std::byte>(4096)), "PM2|template");
}

// PM3.
TEST(DeviceDeathTest, ClearingPartOfASectorIsABug) {
  auto device = anonymous(8192);
  EXPECT_DEATH(device->store_clearing_poison(256, pattern(512, 1)).ignore_error("dies"), "PM3|part of a sector");
}

TEST(Device, PoisonFailsEveryReadThatTouchesItsSectors) {
  auto device = anonymous(kMiB);
  device->set_poison(4096 + 700, 1);  // poisons the sector [4608, 5120)
  std::vector<std::byte> out(8, std::byte{0x5a});
  EXPECT_TRUE(device->read(4600, out).ok());
  EXPECT_EQ(out[0], std::byte{0});
  out.assign(8, std::byte{0x5a});
  EXPECT_EQ(device->read(4601, out).error(), Errc::kIo);
  EXPECT_EQ(out[7], std::byte{0x5a}) << "a failed read leaves the buffer alone";
  EXPECT_EQ(device->read(5119, out).error(), Errc::kIo);
  EXPECT_TRUE(device->read(5120, out).ok());
  EXPECT_TRUE(device->poisoned(0, kMiB));
  EXPECT_FALSE(device->poisoned(4607, 1));
  EXPECT_TRUE(device->poisoned(4608, 1));
  EXPECT_FALSE(device->poisoned(4608, 0));

  device->clear_poison(4608, 512);
  EXPECT_FALSE(device->poisoned(0, kMiB));
  EXPECT_TRUE(device->read(4608, out).ok());
}

TEST(Device, OnlyAClearingStoreHealsASector) {
  auto device = anonymous(kMiB);
  const std::vector<std::byte> block = pattern(4096, 9);
  std::vector<std::byte> out(4096);
  device->set_poison(8192, 4096);
  ASSERT_TRUE(device->store(8192, block).ok());
  EXPECT_EQ(device->read(8192, out).error(), Errc::kIo);
  ASSERT_TRUE(device->store_nt(8192, block).ok());
  EXPECT_EQ(device->read(8192, out).error(), Errc::kIo);
  ASSERT_TRUE(device->store_clearing_poison(8192, std::span(block).first(512)).ok());
  EXPECT_TRUE(device->read(8192, std::span(out).first(512)).ok());
  EXPECT_EQ(device->read(8192, out).error(), Errc::kIo) << "the other seven sectors are still bad";
  ASSERT_TRUE(device->store_clearing_poison(8192, block).ok());
  EXPECT_TRUE(device->read(8192, out).ok());
  EXPECT_EQ(out, block);
}

TEST(Device, ChangedBlocksNamesExactlyWhatWasStored) {
  auto device = anonymous(kMiB);
  auto bit = [&](uint64_t block) { return (device->changed_blocks()[block / 64] >> (block % 64) & 1) != 0; };
  ASSERT_TRUE(device->store_value<uint64_t>(4096 * 63 + 4092, 1).ok());  // straddles blocks 63 and 64
  ASSERT_TRUE(device->zero(4096 * 200, 4096).ok());
  device->flush(0, 4096);
  device->fence();
  ASSERT_TRUE(device->store(4096 * 10, {}).ok());
  for (uint64_t block = 0; block < 256; ++block) {
    EXPECT_EQ(bit(block), block == 63 || block == 64 || block == 200) << block;
  }
  device->reset_tracking();
  for (uint64_t word : device->changed_blocks()) { EXPECT_EQ(word, 0u); }
}

// PM2: whatever was stored and poisoned, restore brings back the template, again and again.
TEST(Device, RestoreAfterAnyStoresEqualsTheTemplate) {
  std::mt19937_64 random(20240607);
  const uint64_t size = 512 * 1024;
  const std::vector<std::byte> pristine = pattern(size, 11);
  const std::vector<std::byte> source = pattern(20000, 12);
  auto device = anonymous(size);
  device->load_image(pristine);
  for (int round = 0; round < 300; ++round) {
    for (uint64_t step = random() % 12; step > 0; --step) {
      const uint64_t length = random() % 4 == 0 ? random() % 20000 : random() % 100;
      const uint64_t offset = random() % (size - length + 1);
      const std::span<const std::byte> bytes = std::span(source).first(length);
      switch (random() % 5) {
        case 0: ASSERT_TRUE(device->store(offset, bytes).ok()); break;
        case 1: ASSERT_TRUE(device->store_nt(offset, bytes).ok()); break;
        case 2: ASSERT_TRUE(device->zero(offset, length).ok()); break;
        case 3:
          ASSERT_TRUE(
              device->store_clearing_poison(offset / 512 * 512, std::span(source).first(length / 512 * 512)).ok());
          break;
        default: device->set_poison(offset, length); continue;
      }
    }
    device->restore(pristine);
    EXPECT_FALSE(device->poisoned(0, size));
    ASSERT_EQ(std::memcmp(device->data(), pristine.data(), size), 0) << "round " << round;
  }
}

TEST(Device, AgreesWithAPlainArray) {
  std::mt19937_64 random(7);
  const uint64_t size = 64 * 1024;
  const std::vector<std::byte> source = pattern(9000, 5);
  std::vector<std::byte> model(size);
  auto device = anonymous(size);
  for (int step = 0; step < 20000; ++step) {
    const uint64_t length = random() % (step % 10 == 0 ? 9000 : 40);
    const uint64_t offset = random() % (size - length + 1);
    const std::span<const std::byte> bytes = std::span(source).subspan(9000 - length);
    switch (random() % 4) {
      case 0:
        ASSERT_TRUE(device->store(offset, bytes).ok());
        std::copy(bytes.begin(), bytes.end(), model.begin() + static_cast<ptrdiff_t>(offset));
        break;
      case 1:
        ASSERT_TRUE(device->store_nt(offset, bytes).ok());
        std::copy(bytes.begin(), bytes.end(), model.begin() + static_cast<ptrdiff_t>(offset));
        break;
      case 2:
        ASSERT_TRUE(device->zero(offset, length).ok());
        std::fill_n(model.begin() + static_cast<ptrdiff_t>(offset), length, std::byte{0});
        break;
      default: {
        std::vector<std::byte> out(length);
        ASSERT_TRUE(device->read(offset, out).ok());
        ASSERT_TRUE(std::equal(out.begin(), out.end(), model.begin() + static_cast<ptrdiff_t>(offset)));
      }
    }
  }
  EXPECT_EQ(read_all(*device), model);
}

TEST(Device, LoadImageZeroesTheRestAndForgetsPoison) {
  auto device = anonymous(16384);
  ASSERT_TRUE(device->store(0, pattern(16384, 1)).ok());
  device->set_poison(0, 16384);
  const std::vector<std::byte> image = pattern(8192, 2);
  device->load_image(image);
  std::vector<std::byte> expected = image;
  expected.resize(16384);
  EXPECT_EQ(read_all(*device), expected);
  EXPECT_FALSE(device->poisoned(0, 16384));
  EXPECT_EQ(device->changed_blocks()[0], 0u);
}

struct Log : Recorder {
  void on_store(uint64_t offset, std::span<const std::byte> bytes, StoreKind kind, Site) override {
    text += (kind == StoreKind::kCached ? "store " : "nt ") + std::to_string(offset) + "+" +
            std::to_string(bytes.size()) + "=" + std::to_string(static_cast<int>(bytes[0])) + "\n";
  }
  void on_flush(uint64_t offset, uint64_t size, Site) override {
    text += "flush " + std::to_string(offset) + "+" + std::to_string(size) + "\n";
  }
  void on_fence(Site) override { text += "fence\n"; }
  std::string text;
};

TEST(Device, RecorderSeesEveryStepInOrder) {
  auto device = anonymous(16384);
  Log log;
  device->set_recorder(&log);
  ASSERT_TRUE(device->store_value<uint16_t>(5, 0x0107).ok());
  device->flush(5, 2);
  ASSERT_TRUE(device->store_nt(4096, std::vector<std::byte>(600, std::byte{9})).ok());
  device->fence();
  ASSERT_TRUE(device->zero(4096, 10).ok());
  ASSERT_TRUE(device->store(0, {}).ok());
  device->persist(0, 0);
  device->persist(8, 1);
  device->set_recorder(nullptr);
  ASSERT_TRUE(device->store_value<uint8_t>(0, 1).ok());
  EXPECT_EQ(log.text, "store 5+2=7\nflush 5+2\nnt 4096+600=9\nfence\nnt 4096+10=0\nflush 8+1\nfence\n");
}

TEST(Device, NonTemporalStoresWaitForAFence) {
  auto device = anonymous(16384);
  const std::vector<std::byte> bytes(600, std::byte{9});
  ASSERT_TRUE(device->store_nt(4096, bytes).ok());
  EXPECT_EQ(device->unfenced_store_in(FsBlock(1)), 0u) << "nobody watches";
  device->watch_durability(true);
  ASSERT_TRUE(device->store_nt(8192 - 300, bytes).ok());
  EXPECT_EQ(device->unfenced_store_in(FsBlock(0)), 0u);
  EXPECT_EQ(device->unfenced_store_in(FsBlock(1)), device->watch_time());
  EXPECT_EQ(device->unfenced_store_in(FsBlock(2)), device->watch_time());
  ASSERT_TRUE(device->zero(0, 10).ok());
  EXPECT_EQ(device->unfenced_store_in(FsBlock(0)), device->watch_time());
  device->fence();
  EXPECT_EQ(device->unfenced_store_in(FsBlock(1)), 0u);
  EXPECT_EQ(device->last_fence(), device->watch_time());
  ASSERT_TRUE(device->store_value<uint8_t>(8192, 1).ok());
  EXPECT_EQ(device->unfenced_store_in(FsBlock(2)), 0u) << "in the caches: a fence is not enough";
}

TEST(BitSet, RangesAgreeWithAPlainArray) {
  std::mt19937 random(3);
  BitSet set(200);
  std::vector<bool> model(200);
  for (int step = 0; step < 5000; ++step) {
    const uint64_t begin = random() % 201;
    const uint64_t end = begin + random() % (201 - begin);
    const bool add = random() % 2 == 0;
    bool expected = false;
    for (uint64_t i = begin; i < end; ++i) { expected = expected || model[i]; }
    ASSERT_EQ(set.any_in(begin, end), expected) << begin << ".." << end;
    add ? set.set_range(begin, end) : set.clear_range(begin, end);
    for (uint64_t i = begin; i < end; ++i) { model[i] = add; }
    for (uint64_t i = 0; i < 200; ++i) { ASSERT_EQ((set.words()[i / 64] >> (i % 64) & 1) != 0, model[i]); }
  }
}

}  // namespace
}  // namespace daxfs::pmem
