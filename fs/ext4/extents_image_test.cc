// fs/ext4/extents_image_test.cc - extents of real inodes on real images, judged by e2fsck.
#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "fs/base/report.h"
#include "fs/ext4/extent_fake.h"
#include "fs/ext4/extents.h"
#include "fs/ext4/test_mounted_image.h"
#include "fs/rt/testing.h"

namespace daxfs::ext4 {
namespace {

Status remove_unlocked(jbd2::Handle& handle, Inode& inode, uint32_t first, uint32_t end) {
  const rt::WriteLock lock(inode.i_data_sem);
  return remove_range_locked(handle, inode, LogicalBlock(first), LogicalBlock(end));
}

using testing::Dice;
using testing::MountedImage;

// One file's contents by block: absent is a hole, 0 reads zero, else the tag in the block's first
// bytes.
class FileHistory {
 public:
  FileHistory(MountedImage& mounted, std::string name, uint32_t span, uint64_t seed)
      : mounted_(mounted), name_(std::move(name)), span_(span), dice_(seed) {
    open();
  }
  void open() { file_ = mounted_.open(name_, uint64_t{span_} * kBlockSize); }
  void close() { file_.put(); }

  void step() {
    const uint32_t first = dice_.below(span_);
    const uint32_t end = std::min(span_, first + 1 + dice_.below(dice_.below(6) == 0 ? 60 : 4));
    switch (dice_.below(10)) {
      case 0:
      case 1:
      case 2:
      case 3: write(first, end); break;
      case 4:
      case 5: change(first, end, MapRequest::kCreate | MapRequest::kUnwritten, false); break;
      case 6:
        change(first, end, MapRequest::kCreate | MapRequest::kUnwritten | MapRequest::kConvertUnwritten, true);
        break;
      case 7:
      case 8: remove(first, end); break;
      default: dice_.below(2) == 0 ? collapse(first, end - first) : insert(first, end - first);
    }
  }

  void verify() {
    for (uint32_t at = 0; at < span_;) {
      const MapRequest look{.lblk = LogicalBlock(at), .len = span_ - at};
      const Result<MapResult> got = map_blocks(nullptr, *file_, look);
      ASSERT_TRUE(got.ok());
      for (uint32_t i = 0; i < got->len; ++i) { verify_block(at + i, *got); }
      at += got->len;
    }
    const Result<uint64_t> nodes = extent_node_count(*file_);
    ASSERT_TRUE(nodes.ok());
    EXPECT_EQ(file_->sectors(), (contents_.size() + *nodes) * kBlockSize / kSectorSize);
    nodes_most_ = std::max(nodes_most_, *nodes);
  }
  uint64_t nodes_most() const { return nodes_most_; }
  uint64_t no_space() const { return no_space_; }

 private:
  void verify_block(uint32_t lblk, const MapResult& got) {
    const auto expected = contents_.find(lblk);
    ASSERT_EQ(expected == contents_.end(), got.state == BlockState::kHole) << "block " << lblk;
    if (got.state != BlockState::kWritten) {
      if (expected != contents_.end()) { ASSERT_EQ(expected->second, 0u) << "block " << lblk; }
      return;
    }
    const FsBlock block = got.pblk + (lblk - got.lblk.value());
    ASSERT_EQ(mounted_.device().read_value<uint64_t>(block.value() * kBlockSize).value(), expected->second);
    if (expected->second == 0) {
      std::vector<std::byte> bytes(kBlockSize);
      ASSERT_TRUE(mounted_.device().read(block.value() * kBlockSize, bytes).ok());
      ASSERT_TRUE(std::all_of(bytes.begin(), bytes.end(), [](std::byte b) { return b == std::byte{0}; }));
    }
  }

  template <typename F>
  void map_each(uint32_t first, uint32_t end, uint32_t flags, F&& each) {
    for (uint32_t at = first; at < end;) {
      const Result<MapResult> got = mounted_.map(*file_, {.lblk = LogicalBlock(at), .len = end - at, .flags = flags});
      if (!got.ok()) {
        ASSERT_EQ(got.error(), Errc::kNoSpc);
        ++no_space_;
        return;
      }
      each(*got);
      at += got->len;
    }
  }
  void write(uint32_t first, uint32_t end) {
    map_each(first, end, MapRequest::kCreate | MapRequest::kZero, [&](const MapResult& got) {
      for (uint32_t i = 0; i < got.len; ++i) {
        // The whole block, so that a later owner that forgets to zero shows it.
        const std::vector<uint64_t> bytes(kBlockSize / sizeof(uint64_t), ++tag_);
        ASSERT_TRUE(
            mounted_.device().store_nt((got.pblk + i).value() * kBlockSize, std::as_bytes(std::span(bytes))).ok());
        contents_[got.lblk.value() + i] = tag_;
      }
    });
  }
  void change(uint32_t first, uint32_t end, uint32_t flags, bool zero) {
    map_each(first, end, flags, [&](const MapResult& got) {
      for (uint32_t i = 0; i < got.len; ++i) {
        const auto [at, fresh] = contents_.try_emplace(got.lblk.value() + i, 0);
        if (zero) { at->second = 0; }
      }
    });
  }
  bool remove(uint32_t first, uint32_t end) {
    const Status status =
        mounted_.with_handle([&](jbd2::Handle& handle) { return remove_unlocked(handle, *file_, first, end); });
    if (status.error() == Errc::kNoSpc) { return false; }
    EXPECT_TRUE(status.ok());
    contents_.erase(contents_.lower_bound(first), contents_.lower_bound(end));
    return true;
  }
  void move_from(uint32_t start, int64_t by) {
    std::map<uint32_t, uint64_t> moved;
    for (const auto& [lblk, tag] : contents_) { moved[static_cast<uint32_t>(lblk >= start ? lblk + by : lblk)] = tag; }
    contents_ = std::move(moved);
  }
  void collapse(uint32_t first, uint32_t len) {
    if (!remove(first, first + len)) { return; }
    const Status status = mounted_.with_handle([&](jbd2::Handle& handle) {
      const rt::WriteLock lock(file_->i_data_sem);
      return shift_left_locked(handle, *file_, LogicalBlock(first + len), len);
    });
    ASSERT_TRUE(status.ok());
    move_from(first + len, -int64_t{len});
  }
  void insert(uint32_t first, uint32_t len) {
    if (!contents_.empty() && contents_.rbegin()->first + len >= span_) { return; }
    const Status status = mounted_.with_handle([&](jbd2::Handle& handle) {
      const rt::WriteLock lock(file_->i_data_sem);
      return shift_right_locked(handle, *file_, LogicalBlock(first), len);
    });
    if (status.error() == Errc::kNoSpc) { return; }
    ASSERT_TRUE(status.ok());
    move_from(first, len);
  }

  MountedImage& mounted_;
  const std::string name_;
  const uint32_t span_;
  Dice dice_;
  InodeRef file_;
  std::map<uint32_t, uint64_t> contents_;
  uint64_t tag_ = 0;
  uint64_t nodes_most_ = 0;
  uint64_t no_space_ = 0;
};

TEST(ExtentsImage, FilesKeepTheirContentsAcrossRemountsAndFillTheVolume) {
  rt::run_for_test([] {
    for (uint64_t seed = 1; seed <= 6; ++seed) {
      SCOPED_TRACE(seed);
      MountedImage mounted(seed % 2 == 0 ? 512 : 2048,
                           seed % 3 == 0 ? "-O ^has_journal,^metadata_csum" : "-O ^has_journal");
      std::vector<std::unique_ptr<FileHistory>> files;
      for (uint64_t i = 0; i < 3; ++i) {
        files.push_back(std::make_unique<FileHistory>(mounted, "f" + std::to_string(i), 900, seed * 10 + i));
      }
      uint64_t no_space = 0;
      for (int round = 0; round < 6; ++round) {
        for (int i = 0; i < 120; ++i) {
          for (auto& file : files) { file->step(); }
        }
        for (auto& file : files) { file->verify(); }
        if (::testing::Test::HasFailure()) { return; }
        for (auto& file : files) { file->close(); }
        mounted.remount();
        for (auto& file : files) { file->open(); }
        for (auto& file : files) { file->verify(); }
        if (::testing::Test::HasFailure()) { return; }
      }
      for (auto& file : files) {
        no_space += file->no_space();
        EXPECT_GT(file->nodes_most(), 0u);
      }
      if (seed % 2 == 0) { EXPECT_GT(no_space, 0u); }
    }
  });
}

TEST(ExtentsImage, TreeOfDepthTwoIsSoundFullAndHalfPunched) {
  rt::run_for_test([] {
    MountedImage mounted(4096, "-O ^has_journal");
    InodeRef file = mounted.open("deep", 4000 * kBlockSize);
    for (uint32_t i = 0; i < 1700; ++i) {
      const MapRequest one{.lblk = LogicalBlock(2 * i), .len = 1, .flags = MapRequest::kCreate | MapRequest::kZero};
      ASSERT_TRUE(mounted.map(*file, one).ok());
    }
    EXPECT_EQ(ExtentNode(file->i_block().data()).depth(), 2);
    EXPECT_EQ(extent_node_count(*file).value(), 6u);
    file.put();
    mounted.remount();

    file = mounted.open("deep", 4000 * kBlockSize);
    ASSERT_TRUE(check_extent_tree(*file).ok());
    // Leaves a few extents in leaves at both ends of the tree.
    ASSERT_TRUE(
        mounted.with_handle([&](jbd2::Handle& handle) { return remove_unlocked(handle, *file, 5, 3390); }).ok());
    EXPECT_EQ(file->sectors(), (3 + 5 + extent_node_count(*file).value()) * 8);
    file.put();
    mounted.remount();

    file = mounted.open("deep", 4000 * kBlockSize);
    const uint64_t free_before = mounted.volume().blocks_free();
    const uint64_t sectors = file->sectors();
    ASSERT_TRUE(
        mounted.with_handle([&](jbd2::Handle& handle) { return remove_unlocked(handle, *file, 0, 4000); }).ok());
    EXPECT_EQ(file->sectors(), 0u);
    EXPECT_EQ(mounted.volume().blocks_free(), free_before + sectors / 8);
    EXPECT_EQ(ExtentNode(file->i_block().data()).depth(), 0);
    file.put();
  });
}

TEST(ExtentsImage, LookupsAndConversionsOfTwoTasksExcludeEachOther) {
  rt::run_for_test([] {
    MountedImage mounted(1024, "-O ^has_journal");
    InodeRef file = mounted.open("shared", 400 * kBlockSize);
    for (unsigned task = 0; task < 2; ++task) {
      rt::spawn("writer", [&mounted, &file, task] {
        for (uint32_t i = task; i < 200; i += 2) {
          const MapRequest one{.lblk = LogicalBlock(i), .len = 1, .flags = MapRequest::kCreate | MapRequest::kZero};
          EXPECT_TRUE(mounted.map(*file, one).ok());
        }
      });
    }
    rt::join_all_spawned();
    EXPECT_EQ(file->sectors(), (200 + extent_node_count(*file).value()) * 8);
    file.put();
  });
}

TEST(ExtentsImage, ZeroingClearsMediaErrorsOfNewBlocks) {
  rt::run_for_test([] {
    MountedImage mounted(1024, "-O ^has_journal");
    InodeRef file = mounted.open("bad", 100 * kBlockSize);
    const MapRequest unwritten{
        .lblk = LogicalBlock(0), .len = 4, .flags = MapRequest::kCreate | MapRequest::kUnwritten};
    const FsBlock block = mounted.map(*file, unwritten).value().pblk;
    mounted.device().set_poison(block.value() * kBlockSize, 512);
    const MapRequest write{.lblk = LogicalBlock(0), .len = 4, .flags = MapRequest::kCreate | MapRequest::kZero};
    ASSERT_TRUE(mounted.map(*file, write).ok());
    EXPECT_FALSE(mounted.device().poisoned(block.value() * kBlockSize, kBlockSize));
    file.put();
  });
}

TEST(ExtentsImage, PoisonedNodeIsAnErrorAndNotACrash) {
  rt::run_for_test([] {
    MountedImage mounted(1024, "-O ^has_journal");
    InodeRef file = mounted.open("bad", 100 * kBlockSize);
    for (uint32_t i = 0; i < 10; ++i) {
      const MapRequest one{.lblk = LogicalBlock(2 * i), .len = 1, .flags = MapRequest::kCreate | MapRequest::kZero};
      ASSERT_TRUE(mounted.map(*file, one).ok());
    }
    const FsBlock node = ExtentNode(file->i_block().data()).child(0).node;
    file.put();
    mounted.remount();
    mounted.device().set_poison(node.value() * kBlockSize, 512);
    file = mounted.open("bad", 100 * kBlockSize);
    EXPECT_EQ(map_blocks(nullptr, *file, {.lblk = LogicalBlock(0), .len = 1}).error(), Errc::kIo);
    mounted.device().clear_poison(node.value() * kBlockSize, 512);
    EXPECT_TRUE(map_blocks(nullptr, *file, {.lblk = LogicalBlock(0), .len = 1}).ok());
    file.put();
  });
}

}  // namespace
}  // namespace daxfs::ext4
