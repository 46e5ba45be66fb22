// fs/check/media.h - the image checker: reads ext4 bytes by itself and says what e2fsck -fn would
// object to.
//
// Kernel: none; the counterpart is e2fsck 1.47 (passes 0 to 5, read-only).
// Locking: none; a MediaScratch serves one call at a time.
// Covers images of `mke2fs -t ext4 -b 4096`: ext_attr, resize_inode, dir_index, filetype, extent,
// 64bit, flex_bg,
//   sparse_super, large_file, huge_file, dir_nlink, extra_isize, has_journal, metadata_csum(_seed)
//   or uninit_bg.
// Not covered: any other feature, block size or creator (reported as "unsupported" or close to it);
// a journal that
//   is not inode 8; superblock times in the future (there is no clock here); contents of backup
//   superblocks and descriptors (e2fsck -n does not compare them either); a device node whose block
//   array looks like a directory.
// Stricter than e2fsck -fn, on purpose: orphan list, error state and missing "valid" state after a
// clean unmount;
//   duplicate names in different blocks of a directory; a missing file type in a directory entry;
//   depth fields inside extent trees and empty nodes; extents past logical block 2^32; attribute
//   blocks of reserved inodes; any list of bad blocks; every reserved descriptor block of the
//   resize inode; names of external journals; first block of the journal; extra_isize of the journal's inode.
// e2fsck -fn asks about problems of the superblock and the descriptors but still exits with 0; we
// count them. Tested by: media_test.cc, media_corrupt_test.cc, media_fuzz_test.cc.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace daxfs::check {

struct MediaProblem {
  std::string where;  // "inode 12", "group 0", "inode 2 block 40"
  std::string what;
};

struct MediaReport {
  std::vector<MediaProblem> problems;  // at most MediaOptions::problems_max
  uint64_t blocks_used = 0;            // blocks that something owns; 0 when the superblock could not be read
  uint64_t inodes_used = 0;            // reserved inodes included
  bool clean() const { return problems.empty(); }
  // All problems, one a line; "" when clean.
  std::string text() const;
};

struct MediaOptions {
  // Also object to what a recovery would repair: orphan list, needs_recovery, journal contents, missing "valid" state.
  bool expect_clean_unmount = true;
  unsigned problems_max = 64;
  // Optional: one bit for each 4 KiB block, set when the block may differ from the image given to
  // MediaScratch::set_baseline. Checksums of blocks that did not change (and kept their owner) are not computed again;
  // every other check is made in full. Empty: everything may have changed.
  std::span<const uint64_t> changed_blocks = {};
};

// Memory that calls reuse, so that a check allocates nothing once it has seen an image of the same shape.
class MediaScratch {
 public:
  MediaScratch();
  ~MediaScratch();
  MediaScratch(const MediaScratch&) = delete;
  MediaScratch& operator=(const MediaScratch&) = delete;

  // Remembers which checksums of `image` are right, for MediaOptions::changed_blocks. RETURNS: false (and no baseline)
  // when the image is not clean.
  bool set_baseline(std::span<const std::byte> image);

  struct State;
  State& state() { return *state_; }

 private:
  std::unique_ptr<State> state_;
};

// REQUIRES nothing of the bytes: any span is legal input; never crashes, loops or allocates without bound (memory is
// linear in the size of the image).
MediaReport check_media(std::span<const std::byte> image, const MediaOptions& options = {});
MediaReport check_media(std::span<const std::byte> image, const MediaOptions& options, MediaScratch& scratch);

}  // namespace daxfs::check
