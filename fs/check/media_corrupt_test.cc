// fs/check/media_corrupt_test.cc - one corruption of each class, checksums made right again: both judges must object.
#include <cstring>
#include <functional>

#include <gtest/gtest.h>

#include "fs/check/media.h"
#include "fs/check/media_test_image.h"

namespace daxfs::check {
namespace {

using media::DirEntry;
using media::Extent;
using media::ExtentHeader;
using media::ExtentIndex;
using media::Inode;
using test::Image;

constexpr test::Shape kDefault{"corruptible", 2048, "-N 64 -g 1024"};

struct Corruption {
  const char* name;
  std::function<void(Image&)> apply;
  bool refresh = true;         // false: the wrong checksum is the corruption
  bool e2fsck_objects = true;  // false: documented as stricter
};

Inode& at(Image& image, const char* path) { return test::inode(image, test::ino_of(image, path)); }
ExtentHeader& root_of(Inode& inode) { return *reinterpret_cast<ExtentHeader*>(inode.block); }
Extent& extent(Inode& inode, unsigned i) { return reinterpret_cast<Extent*>(&root_of(inode) + 1)[i]; }
// An unused inode that the unused end of the table does not hide.
Inode& deleted(Image& image) {
  test::group(image, 0).itable_unused_lo = 0;
  return test::inode(image, 30);
}
// The only node of a tree of depth 1.
ExtentHeader& node_of(Image& image, Inode& inode) {
  const auto& index = *reinterpret_cast<ExtentIndex*>(&root_of(inode) + 1);
  return *reinterpret_cast<ExtentHeader*>(test::block(image, index.leaf_lo));
}
Extent& node_extent(Image& image, Inode& inode, unsigned i) {
  return reinterpret_cast<Extent*>(&node_of(image, inode) + 1)[i];
}
std::byte* dir_block(Image& image, const char* path) {
  return test::block(image, test::block_of(image, test::ino_of(image, path), 0));
}
// The entry of a name in a directory's first block.
DirEntry& entry(Image& image, const char* dir, const char* name) {
  std::byte* block = dir_block(image, dir);
  for (unsigned offset = 0; offset < 4084;) {
    auto& e = *reinterpret_cast<DirEntry*>(block + offset);
    if (e.name_len == std::strlen(name) && std::memcmp(&e + 1, name, e.name_len) == 0) { return e; }
    offset += e.rec_len;
  }
  ADD_FAILURE() << "no entry " << name;
  std::abort();
}
char* name_of(DirEntry& e) { return reinterpret_cast<char*>(&e + 1); }
std::byte* bitmap(Image& image) { return test::block(image, test::group(image, 0).block_bitmap_lo); }
std::byte* inode_bitmap(Image& image) { return test::block(image, test::group(image, 0).inode_bitmap_lo); }
void flip(std::byte* bytes, uint64_t bit) { bytes[bit / 8] ^= std::byte(1u << (bit % 8)); }
uint64_t big_file_block(Image& image) { return test::block_of(image, test::ino_of(image, "/dir/large"), 0); }

const std::vector<Corruption>& corruptions() {  // NOLINT(readability-function-size): a table
  static const std::vector<Corruption> kAll = {
      // Superblock.
      {"SuperMagic", [](Image& i) { test::super(i).magic = 0; }},
      {"SuperChecksum", [](Image& i) { test::super(i).mnt_count += 1; }, false},
      {"SuperInodesCount", [](Image& i) { test::super(i).inodes_count += 8; }},
      {"SuperBlocksCountBeyondImage", [](Image& i) { test::super(i).blocks_count_lo += 1000000; }},
      {"SuperBlocksPerGroup", [](Image& i) { test::super(i).blocks_per_group = 7; }},
      {"SuperInodesPerGroup", [](Image& i) { test::super(i).inodes_per_group = 0; }},
      {"SuperInodeSize", [](Image& i) { test::super(i).inode_size = 257; }},
      {"SuperFirstInode", [](Image& i) { test::super(i).first_ino = 3; }},
      {"SuperDescSize", [](Image& i) { test::super(i).desc_size = 32; }},
      {"SuperUnknownCompat", [](Image& i) { test::super(i).feature_compat |= 0x40000000; }},
      {"SuperUnknownReadOnly", [](Image& i) { test::super(i).feature_ro_compat |= 0x40000000; }},
      {"SuperFreeBlocks", [](Image& i) { test::super(i).free_blocks_count_lo += 1; }},
      {"SuperFreeInodes", [](Image& i) { test::super(i).free_inodes_count -= 1; }},
      {"SuperReservedBlocks", [](Image& i) { test::super(i).r_blocks_count_lo = 2000; }},
      {"SuperWantExtraIsize", [](Image& i) { test::super(i).want_extra_isize = 31; }},
      {"SuperBothChecksumFeatures", [](Image& i) { test::super(i).feature_ro_compat |= media::kRoGdtCsum; }},
      {"SuperOrphanList", [](Image& i) { test::super(i).last_orphan = 13; }, true, false},
      {"SuperErrorState", [](Image& i) { test::super(i).state |= media::kStateErrors; }, true, false},
      {"SuperReservedGdtWithoutFeature",
       [](Image& i) { test::super(i).feature_compat &= ~uint32_t{media::kCompatResizeInode}; }},
      // Group descriptors.
      {"GroupChecksum", [](Image& i) { test::group(i, 0).checksum ^= 1; }, false},
      {"GroupBlockBitmapOutside", [](Image& i) { test::group(i, 0).block_bitmap_lo = 5000000; }},
      {"GroupInodeBitmapOutside", [](Image& i) { test::group(i, 0).inode_bitmap_lo = 5000000; }},
      {"GroupInodeTableOutside", [](Image& i) { test::group(i, 1).inode_table_lo = 2047; }},
      {"GroupBitmapsOverlap", [](Image& i) { test::group(i, 1).inode_bitmap_lo = test::group(i, 0).inode_bitmap_lo; }},
      {"GroupTableOverlapsSuper", [](Image& i) { test::group(i, 1).inode_table_lo = 1; }},
      {"GroupFreeBlocks", [](Image& i) { test::group(i, 0).free_blocks_lo += 1; }},
      {"GroupFreeInodes", [](Image& i) { test::group(i, 1).free_inodes_lo -= 1; }},
      {"GroupUsedDirs", [](Image& i) { test::group(i, 0).used_dirs_lo += 1; }},
      {"GroupItableUnusedTooLarge", [](Image& i) { test::group(i, 0).itable_unused_lo = 64; }},
      {"GroupItableUnusedHidesInodes", [](Image& i) {
         test::group(i, 0).itable_unused_lo = static_cast<uint16_t>(32 - test::ino_of(i, "/small") + 1);
         test::group(i, 0).free_inodes_lo = 31;
       }},
      {"GroupInodeUninitHidesInodes", [](Image& i) { test::group(i, 0).flags |= media::kGroupInodeUninit; }},
      {"GroupBlockUninitInUse", [](Image& i) { test::group(i, 0).flags |= media::kGroupBlockUninit; }},
      {"GroupLastBlockUninit", [](Image& i) { test::group(i, 1).flags |= media::kGroupBlockUninit; }},
      // Bitmaps.
      {"BitmapChecksum", [](Image& i) { test::group(i, 0).block_bitmap_csum_lo ^= 1; }, false},
      {"BitmapUsedBlockFree", [](Image& i) { flip(bitmap(i), big_file_block(i)); }},
      {"BitmapFreeBlockUsed", [](Image& i) { flip(bitmap(i), 1023); }},
      {"BitmapPadding", [](Image& i) { bitmap(i)[4095] = std::byte{0x7f}; }},
      {"InodeBitmapUsedInodeFree", [](Image& i) { flip(inode_bitmap(i), test::ino_of(i, "/small") - 1); }},
      {"InodeBitmapFreeInodeUsed", [](Image& i) { flip(inode_bitmap(i), 31); }},
      {"InodeBitmapPadding", [](Image& i) { inode_bitmap(i)[100] = std::byte{0}; }},
      {"InodeBitmapReservedInodeFree", [](Image& i) { flip(inode_bitmap(i), 8); }},
      // Inodes.
      {"InodeChecksum", [](Image& i) { at(i, "/small").mtime ^= 1; }, false},
      {"InodeDeletedChecksum", [](Image& i) { deleted(i).mtime = 5; }, false},
      {"InodeExtraIsize", [](Image& i) { at(i, "/small").extra_isize = 30; }},
      {"InodeBlocksCount", [](Image& i) { at(i, "/small").blocks_lo += 8; }},
      {"InodeHugeFlag", [](Image& i) { at(i, "/small").flags |= media::kFlagHugeFile; }},
      {"InodeSizeBelowBlocks", [](Image& i) { at(i, "/dir/large").size_lo = 4096; }},
      {"InodeBadMode", [](Image& i) { at(i, "/small").mode = 0x3000; }},
      {"InodeDtimeInUse", [](Image& i) { at(i, "/small").dtime = 1700000000; }},
      {"InodeLowDtime", [](Image& i) { deleted(i).dtime = 20; }},
      {"InodeDeletedWithoutDtime", [](Image& i) { deleted(i).mode = 0x81a4; }},
      {"InodeFragment", [](Image& i) { at(i, "/small").faddr = 1; }},
      {"InodeExtentsFlagMissing", [](Image& i) { at(i, "/small").flags &= ~uint32_t{media::kFlagExtents}; }},
      {"InodeInlineDataFlag", [](Image& i) { at(i, "/small").flags |= media::kFlagInlineData; }},
      {"InodeIndexFlagOnFile", [](Image& i) { at(i, "/small").flags |= media::kFlagIndex; }},
      {"InodeLinkCountHigh", [](Image& i) { at(i, "/small").links_count += 1; }},
      {"InodeLinkCountLow", [](Image& i) { at(i, "/dir").links_count -= 1; }},
      {"InodeUnreachable", [](Image& i) { entry(i, "/", "fast").inode = 0; }},
      {"InodeNegativeEpoch", [](Image& i) { at(i, "/small").mtime = 0xf0000000; at(i, "/small").mtime_extra |= 3; }},
      {"ReservedInodeMode", [](Image& i) { test::inode(i, 9).mode = 0x81a4; }},
      {"BadBlocksInodeInUse", [](Image& i) { test::inode(i, 1).mode = 0x81a4; }},
      {"RootIsNoDirectory", [](Image& i) { test::inode(i, 2).mode = 0x81ed; }},
      {"ResizeInodePointers", [](Image& i) { std::memset(test::inode(i, 7).block + 4 * 13, 0, 4); }},
      {"ResizeInodeExtraBlock", [](Image& i) { test::inode(i, 7).block[0] = 90; }},
      {"JournalInodeMode", [](Image& i) { test::inode(i, 8).mode = 0x41a4; }},
      {"JournalInodeMissing", [](Image& i) { std::memset(&test::inode(i, 8), 0, 256); }},
      // Special files and symlinks.
      {"DeviceWithSize", [](Image& i) { at(i, "/char").size_lo = 1; }},
      {"DeviceImmutable", [](Image& i) { at(i, "/blk").flags |= media::kFlagImmutable; }},
      {"PipeWithExtents", [](Image& i) { at(i, "/pipe").flags |= media::kFlagExtents; }},
      {"FastSymlinkSize", [](Image& i) { at(i, "/fast").size_lo += 1; }},
      {"FastSymlinkEmpty", [](Image& i) { at(i, "/fast").size_lo = 0; }},
      {"SlowSymlinkSize", [](Image& i) { at(i, "/slow").size_lo -= 1; }},
      {"SlowSymlinkTwoBlocks", [](Image& i) { extent(at(i, "/slow"), 0).len = 2; }},
      // Extent trees.
      {"ExtentRootMagic", [](Image& i) { root_of(at(i, "/small")).magic = 0; }},
      {"ExtentRootEntries", [](Image& i) { root_of(at(i, "/small")).entries = 9; }},
      {"ExtentRootMax", [](Image& i) { root_of(at(i, "/small")).max = 1; }},
      {"ExtentRootDepth", [](Image& i) { root_of(at(i, "/dir/sub/sparse")).depth = 2; }},
      {"ExtentBeyondEnd", [](Image& i) { extent(at(i, "/small"), 0).start_lo = 2047; }},
      {"ExtentAtZero", [](Image& i) { extent(at(i, "/small"), 0).start_lo = 0; }},
      {"ExtentEmpty", [](Image& i) { extent(at(i, "/small"), 0).len = 0; }},
      {"ExtentTwoOwners", [](Image& i) {
         extent(at(i, "/small"), 0).start_lo = extent(at(i, "/dir/large"), 0).start_lo;
       }},
      {"ExtentOverMetadata", [](Image& i) { extent(at(i, "/small"), 0).start_lo = test::group(i, 0).inode_table_lo; }},
      {"ExtentNodeOrder", [](Image& i) { std::swap(node_extent(i, at(i, "/dir/sub/sparse"), 1).block,
                                                    node_extent(i, at(i, "/dir/sub/sparse"), 2).block); }},
      {"ExtentNodeOverlap", [](Image& i) { node_extent(i, at(i, "/dir/sub/sparse"), 1).block = 0; }},
      {"ExtentNodeMagic", [](Image& i) { node_of(i, at(i, "/dir/sub/sparse")).magic = 0; }},
      {"ExtentNodeMax", [](Image& i) { node_of(i, at(i, "/dir/sub/sparse")).max = 3; }},
      {"ExtentNodeEmpty", [](Image& i) { node_of(i, at(i, "/dir/sub/sparse")).entries = 0; }},
      {"ExtentNodeDepth", [](Image& i) { node_of(i, at(i, "/dir/sub/sparse")).depth = 1; }, true, false},
      {"ExtentNodeFirstBlock", [](Image& i) {
         reinterpret_cast<ExtentIndex*>(&root_of(at(i, "/dir/sub/sparse")) + 1)->block = 1;
       }},
      {"ExtentNodeLoop", [](Image& i) {
         Inode& inode = at(i, "/dir/sub/sparse");
         auto* index = reinterpret_cast<ExtentIndex*>(&root_of(inode) + 1);
         root_of(inode).entries = 2;
         index[1] = index[0];
         index[1].block = 100;
       }},
      {"ExtentNodeChecksum", [](Image& i) { node_of(i, at(i, "/dir/sub/sparse")).generation ^= 1; }, false},
      {"ExtentWrittenPastEnd", [](Image& i) { extent(at(i, "/prealloc"), 1).len &= 0x7fff; }},
      // Directories.
      {"DirChecksum", [](Image& i) { dir_block(i, "/dir")[4095] ^= std::byte{1}; }, false},
      {"DirTailMissing", [](Image& i) { dir_block(i, "/dir")[4084 + 7] = std::byte{0}; }},
      {"DirRecLenShort", [](Image& i) { entry(i, "/dir", "hard").rec_len = 8; }},
      {"DirRecLenUnaligned", [](Image& i) { entry(i, "/dir", "large").rec_len += 2; }},
      {"DirRecLenBeyondBlock", [](Image& i) { entry(i, "/dir", "hard").rec_len += 64; }},
      {"DirNameTooLong", [](Image& i) { entry(i, "/dir", "sub").name_len = 200; }},
      {"DirNameWithSlash", [](Image& i) { name_of(entry(i, "/dir", "large"))[1] = '/'; }},
      {"DirNameWithNul", [](Image& i) { name_of(entry(i, "/dir", "large"))[1] = 0; }},
      {"DirNameEmpty", [](Image& i) { entry(i, "/dir", "large").name_len = 0; }},
      {"DirDuplicateName", [](Image& i) { std::memcpy(name_of(entry(i, "/", "fast")), "slow", 4); }},
      {"DirSecondDot", [](Image& i) { DirEntry& e = entry(i, "/dir", "sub"); e.name_len = 1; name_of(e)[0] = '.'; }},
      {"DirDotMissing", [](Image& i) { name_of(*reinterpret_cast<DirEntry*>(dir_block(i, "/dir")))[0] = 'x'; }},
      {"DirDotInode", [](Image& i) { entry(i, "/dir", ".").inode = 2; }},
      {"DirDotdotMissing", [](Image& i) { name_of(entry(i, "/dir", ".."))[1] = 'x'; }},
      {"DirDotdotParent", [](Image& i) { entry(i, "/dir/sub", "..").inode = 2; }},
      {"DirRootDotdot", [](Image& i) { entry(i, "/", "..").inode = test::ino_of(i, "/dir"); }},
      {"DirFileType", [](Image& i) { entry(i, "/", "small").file_type = 2; }},
      {"DirEntryInodeTooLarge", [](Image& i) { entry(i, "/", "fast").inode = 1000; }},
      {"DirEntryReservedInode", [](Image& i) { entry(i, "/", "fast").inode = 7; }},
      {"DirEntryUnusedInode", [](Image& i) { entry(i, "/", "fast").inode = 31; }},
      {"DirEntryRoot", [](Image& i) { entry(i, "/dir", "large").inode = 2; entry(i, "/dir", "large").file_type = 2; }},
      {"DirTwoLinksToDirectory", [](Image& i) {
         DirEntry& e = entry(i, "/", "small");
         e.inode = test::ino_of(i, "/dir/sub");
         e.file_type = 2;
       }},
      {"DirLoop", [](Image& i) {
         // sub holds dir instead of being held by it: a ring cut off from the root.
         const uint32_t dir = test::ino_of(i, "/dir");
         DirEntry& held = entry(i, "/dir/sub", "sparse");
         DirEntry& root = entry(i, "/", "dir");
         held.inode = dir;
         held.file_type = 2;
         entry(i, "/dir", "..").inode = test::ino_of(i, "/dir/sub");
         root.inode = 0;
       }},
      {"DirSize", [](Image& i) { at(i, "/dir").size_lo = 8192; }},
      {"DirSizeUnaligned", [](Image& i) { at(i, "/dir").size_lo = 4000; }},
      {"DirHole", [](Image& i) { extent(at(i, "/dir"), 0).block = 1; at(i, "/dir").size_lo = 8192; }},
      {"DirUnwritten", [](Image& i) { extent(at(i, "/dir"), 0).len |= 0x8000; }},
      // Attributes.
      {"XattrInlineHash", [](Image& i) {
         std::memset(reinterpret_cast<std::byte*>(&at(i, "/small")) + 128 + 32 + 4 + 12, 7, 4);
       }},
      {"XattrBlockMagic", [](Image& i) {
         *test::block(i, at(i, "/dir/large").file_acl_lo) ^= std::byte{0xff};
         test::block(i, at(i, "/dir/large").file_acl_lo)[3] = std::byte{1};
       }},
      {"XattrBlockRefcount", [](Image& i) { test::block(i, at(i, "/dir/large").file_acl_lo)[4] = std::byte{2}; }},
      {"XattrBlockBlocks", [](Image& i) { test::block(i, at(i, "/dir/large").file_acl_lo)[8] = std::byte{2}; }},
      {"XattrBlockHash", [](Image& i) { test::block(i, at(i, "/dir/large").file_acl_lo)[32 + 12] ^= std::byte{1}; }},
      {"XattrBlockChecksum", [](Image& i) {
         test::block(i, at(i, "/dir/large").file_acl_lo)[20] ^= std::byte{1};
       }, false},
      {"XattrBlockOutside", [](Image& i) { at(i, "/dir/large").file_acl_lo = 5000000; }},
  };
  return kAll;
}

void expect_objections(const Corruption& corruption, const Image& good, const test::Checksums& checksums) {
  Image bad = good;
  corruption.apply(bad);
  if (corruption.refresh) { checksums.refresh(bad); }
  ASSERT_NE(bad, good) << corruption.name << " changed nothing";
  EXPECT_FALSE(check_media(bad).clean()) << corruption.name << ": the checker is silent";
  const test::Fsck fsck = test::run_e2fsck(bad);
  EXPECT_NE(fsck.clean(), corruption.e2fsck_objects) << corruption.name << "\n" << fsck.output;
}

TEST(MediaCorruption, EachClassIsFoundByBothJudges) {
  const Image& good = test::populated_image(kDefault);
  ASSERT_TRUE(check_media(good).clean()) << check_media(good).text();
  const test::Checksums checksums(good);
  for (const Corruption& corruption : corruptions()) { expect_objections(corruption, good, checksums); }
}

TEST(MediaCorruption, HtreeClassesAreFoundByBothJudges) {
  const Image good = test::indexed_image(test::populated_image(kDefault), 400);
  const test::Checksums checksums(good);
  const uint32_t dir = test::ino_of(good, "/indexed");
  const uint64_t root = test::block_of(good, dir, 0);
  const auto byte = [root](Image& i, unsigned offset) -> std::byte& { return test::block(i, root)[offset]; };
  // Root block: info at 24, count and limit at 32, entries of (hash, block) from there on.
  const Corruption kHtree[] = {
      {"HashVersion", [&](Image& i) { byte(i, 28) = std::byte{4}; }},
      {"InfoLength", [&](Image& i) { byte(i, 29) = std::byte{4}; }},
      {"Levels", [&](Image& i) { byte(i, 30) = std::byte{1}; }},
      {"Count", [&](Image& i) { byte(i, 34) = std::byte{2}; }},
      {"Limit", [&](Image& i) { byte(i, 32) ^= std::byte{1}; }},
      {"HashOrder", [&](Image& i) { std::memset(&byte(i, 40), 0xff, 4); }},
      {"HashTooLow", [&](Image& i) { std::memset(&byte(i, 40), 0x02, 4); }},
      {"ChildTwice", [&](Image& i) { byte(i, 44) = byte(i, 36); }},
      {"ChildOutside", [&](Image& i) { byte(i, 44) = std::byte{99}; }},
      {"RootChecksum", [&](Image& i) { byte(i, 4095) ^= std::byte{1}; }, false},
      {"FlagCleared", [&](Image& i) { test::inode(i, dir).flags &= ~uint32_t{media::kFlagIndex}; }},
      {"FeatureCleared", [&](Image& i) { test::super(i).feature_compat &= ~uint32_t{media::kCompatDirIndex}; }},
  };
  for (const Corruption& corruption : kHtree) { expect_objections(corruption, good, checksums); }
}

TEST(MediaCorruption, JournalClassesAreFoundByBothJudges) {
  const test::Shape shape{"journal", 2048, "-N 64"};
  const Image& good = test::fresh_image(shape);
  const test::Checksums checksums(good);
  const uint64_t block = test::block_of(good, media::kJournalIno, 0);
  const auto js = [block](Image& i) -> media::JournalSuper& {
    return *reinterpret_cast<media::JournalSuper*>(test::block(i, block));
  };
  const Corruption kJournal[] = {
      {"Magic", [&](Image& i) { js(i).magic = 0; }},
      {"BlockSize", [&](Image& i) { js(i).blocksize = 0; }},
      {"First", [&](Image& i) { js(i).first = 0; }, true, false},
      {"Length", [&](Image& i) { js(i).maxlen = 0xffffffff; }},
      {"HasData", [&](Image& i) { js(i).log_start = 0x01000000; }},
      {"UnknownFeature", [&](Image& i) { js(i).feature_incompat = 0x00000080; }},
      {"InodeNumber", [&](Image& i) { test::super(i).journal_inum = 12; }},
      {"FeatureCleared", [&](Image& i) { test::super(i).feature_compat &= ~uint32_t{media::kCompatHasJournal}; }},
      {"NeedsRecovery",
       [&](Image& i) {
         test::super(i).feature_incompat |= media::kIncompatRecover;
         js(i).log_start = 0x01000000;
       },
       true, false},
      {"Error", [&](Image& i) { js(i).log_errno = 0xfbffffff; }},
  };
  for (const Corruption& corruption : kJournal) { expect_objections(corruption, good, checksums); }
}

}  // namespace
}  // namespace daxfs::check
