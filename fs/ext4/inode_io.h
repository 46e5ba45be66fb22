// fs/ext4/inode_io.h - inodes in the table on the medium: read, change, initialise, with checksum.
//
// Kernel: __ext4_get_inode_loc, ext4_iget's checks, ext4_do_update_inode, ext4_inode_csum (fs/ext4/inode.c).
// Locking: a change runs under one spinlock of the volume (kernel: i_raw_lock, one an inode).
// Invariants:
//   II1  i_extra_isize is decided when the inode is initialised.
// Tested by: fs/ext4/inode_io_test.cc.
#pragma once

#include <cstdint>
#include <memory>
#include <type_traits>

#include "fs/base/result.h"
#include "fs/base/types.h"
#include "fs/ext4/format.h"
#include "fs/jbd2/handle.h"

namespace daxfs::ext4 {

class Volume;

// A copy of the inode; fields beyond what the medium stores (inode size 128, small i_extra_isize) are zero. YIELDS.
// Errors: kCorrupted (number out of range, checksum, i_extra_isize), kIo. An unused or deleted inode reads fine:
// look at i_mode and i_links_count.
Result<RawInode> read_inode(Volume& volume, Ino ino);

// True if the inode's bit in the bitmap is set. YIELDS. Errors: as the bitmap's.
Result<bool> inode_in_use(Volume& volume, Ino ino);

// Non-owning callable `void(RawInode&)`; must not sleep.
class InodeChange {
 public:
  template <typename F, typename = std::enable_if_t<!std::is_same_v<std::decay_t<F>, InodeChange>>>
  InodeChange(F&& change)  // NOLINT(google-explicit-constructor): takes a lambda at the call
      : object_(const_cast<void*>(static_cast<const void*>(std::addressof(change)))),
        call_([](void* object, RawInode& raw) { (*static_cast<std::remove_reference_t<F>*>(object))(raw); }) {}
  void operator()(RawInode& raw) const { call_(object_, raw); }

 private:
  void* object_;
  void (*call_)(void*, RawInode&);
};

// Read-modify-write of the inode's slot; the checksum is this function's. Leave i_dtime of listed orphans alone
// (orphan.h). YIELDS. Errors: kCorrupted, kIo, kRoFs.
Status update_inode(Volume& volume, jbd2::Handle& handle, Ino ino, InodeChange change);

// The same for a number that was just allocated: `change` sees zeros (and i_extra_isize set), old bytes are gone.
Status init_inode(Volume& volume, jbd2::Handle& handle, Ino ino, InodeChange change);

// i_blocks in 512-byte sectors, whichever way the inode stores it.
uint64_t raw_sectors(const Volume& volume, const RawInode& raw);
// Stores `sectors`, setting or clearing the huge_file flag. RETURNS false (nothing stored) if it does not fit (EFBIG).
bool set_raw_sectors(const Volume& volume, RawInode* raw, uint64_t sectors);

// Times: 34-bit seconds and nanoseconds when the extra field exists, else 32-bit seconds.
struct RawTime {
  int64_t seconds = 0;
  uint32_t nanoseconds = 0;
};
RawTime decode_time(uint32_t seconds, uint32_t extra, bool has_extra);
void encode_time(RawTime time, bool has_extra, uint32_t* seconds, uint32_t* extra);
// True if the inode's extra area covers the *_extra times (up to and including i_crtime_extra).
bool has_extra_times(const Volume& volume, const RawInode& raw);

}  // namespace daxfs::ext4
