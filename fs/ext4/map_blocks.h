// fs/ext4/map_blocks.h - logical to physical blocks; how holes and unwritten extents are filled.
//
// Kernel: ext4_map_blocks (fs/ext4/inode.c); ext4_ext_map_blocks,
//   ext4_ext_handle_unwritten_extents, ext4_ext_convert_to_initialized, ext4_split_convert_extents
//   (fs/ext4/extents.c).
// Locking: BlockMapper runs under i_data_sem: read for look, exclusive for the others. extents.h is
//   for everybody else.
// A file without extents keeps no unwritten blocks: there kCreate gives written ones, whatever else is asked.
// Invariants:
//   MB1  a mapping handed out lies inside what was asked, and is not empty.
//   MB2  (judged in tests) with kZero, every block that a call makes visible as written was zeroed
//   and fenced before.
//   MB3  unwritten blocks are asked for in files of extents only.
// Tested by: fs/ext4/map_blocks_test.cc, fs/ext4/indirect_test.cc.
#pragma once

#include <cstdint>

#include "fs/base/flags.h"
#include "fs/base/result.h"
#include "fs/base/types.h"
#include "fs/ext4/extent_host.h"
#include "fs/ext4/extent_tree.h"
#include "fs/ext4/indirect.h"

namespace daxfs::ext4 {

enum class BlockState : uint8_t { kHole, kWritten, kUnwritten };

// What to map, and what to do about a hole or an unwritten extent. Kernel: ext4_map_blocks and
// EXT4_GET_BLOCKS_*.
struct MapRequest {
  enum Flag : uint32_t {
    kCreate = 1u << 0,            // allocate holes; unwritten extents become written (unless kUnwritten or kPreIo)
    kUnwritten = 1u << 1,         // allocate as unwritten, leave unwritten extents alone (fallocate)
    kPreIo = 1u << 2,             // with kUnwritten: also split, so that the range is an extent of its own
                                  // (direct I/O)
    kConvert = 1u << 3,           // the data arrived: unwritten becomes written, nothing is zeroed (direct I/O's end)
    kConvertUnwritten = 1u << 4,  // written becomes unwritten (ZERO_RANGE)
    kZero = 1u << 5,              // zero blocks on the device before they become visible as written (DAX)
    kKeepSize = 1u << 6,          // the caller will not move i_disksize: no influence here, kept for its caller's sake
    kNoZeroout = 1u << 7,         // never zero neighbours to save a split
    kNoLock = 1u << 8,            // the caller holds i_data_sem already, and only looks (direct I/O without inode lock)
    kNoCache = 1u << 9,           // what is found does not go to the extent status cache
    kReserved = 1u << 10,         // room was promised (delayed allocation)
    kDelay = 1u << 11,            // of one block: promise room to it if it is a hole, before anybody can allocate it
    kZeroElse = 1u << 12,         // with kUnwritten: where the format has no unwritten blocks, written zeros instead
  };
  static_assert(distinct_bits({kCreate, kUnwritten, kPreIo, kConvert, kConvertUnwritten, kZero, kKeepSize, kNoZeroout,
                               kNoLock, kNoCache, kReserved, kDelay, kZeroElse}));

  LogicalBlock lblk;
  uint32_t len = 0;    // blocks; at least 1
  uint32_t flags = 0;  // of Flag
};

struct MapResult {
  LogicalBlock lblk;  // as asked
  uint32_t len = 0;   // blocks with the same answer, 1..asked
  FsBlock pblk;       // of lblk; none for a hole
  BlockState state = BlockState::kHole;
  bool is_new = false;  // allocated by this call, or unwritten before it
};

// Neighbours of a write into an unwritten extent are zeroed instead of split up to this size
// (kernel: EXT4_EXT_ZERO_LEN, s_extent_max_zeroout_kb).
inline constexpr uint32_t kZeroOutMax = 32 * 1024 / kBlockSize;  // blocks

class BlockMapper {
 public:
  explicit BlockMapper(ExtentHost& host) : host_(host), tree_(host), map_(host) {}

  // Only looks. REQUIRES: request.lblk + request.len <= kLogicalEnd, len > 0; the same for map.
  Result<MapResult> look(const MapRequest& request);
  // Whether an answer of look() leaves something to change for these flags.
  static bool must_change(const MapResult& found, uint32_t flags);
  // Looks, and changes what the flags ask.
  Result<MapResult> map(const MapRequest& request);
  // Asserts MB3.
  void check_format(const MapRequest& request) const;

  // The one place that asks for the format of the file.
  BlockTree& blocks() { return host_.format() == BlockFormat::kIndirect ? static_cast<BlockTree&>(map_) : tree_; }
  // For what only extents can do (BF1).
  ExtentTree& tree() { return tree_; }
  // What a lookup of the request's first block means for the request.
  MapResult answer(const MapRequest& request, const ExtentTree::Lookup& found) const;
  // Whether a split found no block for a tree node; then the extent may have been zeroed instead.
  bool split_failed() const { return split_failed_; }

 private:
  Result<MapResult> fill_hole(const MapRequest& request, const ExtentTree::Lookup& found, uint32_t len);
  FsBlock goal(LogicalBlock lblk, const ExtentTree::Lookup& found) const;
  Status write_into_unwritten(const ExtentRun& run, LogicalBlock first, uint32_t len, uint32_t flags);
  Status split_or_zero(const ExtentRun& run, LogicalBlock first, uint32_t len, uint32_t flags, bool* written);
  bool may_zero_out(const ExtentRun& run, uint64_t end, uint32_t flags) const;
  Status zero_part(const ExtentRun& run, uint64_t begin, uint64_t end);

  ExtentHost& host_;
  ExtentTree tree_;
  IndirectMap map_;
  bool split_failed_ = false;
};

}  // namespace daxfs::ext4
