// fs/base/object_ref.h - names an object of the simulated machine by what it is: for findings and traces.
//
// A reference is a noun and one or two numbers, never an address: equal in every run and build of the same program,
// and enough to say "page 1 of inode 13" without looking at the object again.
//
// Tested by: fs/rt/trace_test.cc.
#pragma once

#include <cstdint>

#include "fs/base/types.h"

namespace daxfs {

// What `a` and `b` mean, and what a value of the object is (rt::trace_read, rt::trace_write).
enum class Noun : uint8_t {
  kNone,
  kInode,        // a: inode
  kSize,         // a: inode. Value: bytes
  kEntry,        // a: inode, b: page. Value: the word in the file's tree (dax/entry.h), 0 for none
  kDirty,        // a: inode, b: page. Value: bit 0 DIRTY, bit 1 TOWRITE
  kFrame,        // a: frame. Value: reference count
  kPte,          // a: address space, b: virtual page. Value: the PTE's word
  kExtent,       // a: inode, b: logical block. Value: extent_value()
  kLock,         // a: rt::ObjectId of a lock
  kSpinLock,     // the same of one whose holder may not sleep
  kWait,         // a: rt::ObjectId of a wait queue
  kBytes,        // a: frame, b: first byte in it, count: bytes. Value: the byte that the tracer asked about
  kContents,     // a: inode, b: offset of a byte in the file. In findings only
  kOp,           // a: task, b: index of its operation
  kOpenFlags,    // a: inode. Value: 1 if the descriptor in question is for direct I/O
  kDiskSize,     // a: inode. Value: bytes, as the medium is to have them (i_disksize)
  kBlockFormat,  // a: inode. Value: 1 if it has extents, 0 for a block map
  // Of files that are read and written through the page cache.
  kCacheBytes,  // a: frame, b: first byte in it, count: bytes. Value as of kBytes
  kBuffer,      // a: frame. Value: mm::BufferState, 0 for no buffer
  kWriteback,   // a: frame. Value: 1 while the page is on its way to the device
  kFolioLock,   // a: frame. Value: 1 while it is locked
  // Of ext4's direct requests and lookups.
  kCachedExtent,    // a: inode, b: logical block. Value: CachedState
  kInFlight,        // a: inode. Value: requests that are not over
  kConversions,     // a: inode. Value: conversions that requests are to do
  kRequest,         // a: inode, b: number of the request. Value: bits of RequestMark
  kCurrentRequest,  // a: inode. Value: number of the request that the inode points to, 0 for none
};

struct ObjectRef {
  Noun noun = Noun::kNone;
  uint64_t a = 0;
  uint64_t b = 0;
  uint64_t count = 1;  // pages, blocks; 0: to the end

  bool operator==(const ObjectRef&) const = default;
};

constexpr ObjectRef inode_ref(Ino ino) { return {Noun::kInode, ino.value(), 0, 1}; }
constexpr ObjectRef size_ref(Ino ino) { return {Noun::kSize, ino.value(), 0, 1}; }
constexpr ObjectRef entry_ref(Ino ino, PgOff index, uint64_t count = 1) {
  return {Noun::kEntry, ino.value(), index.value(), count};
}
constexpr ObjectRef dirty_ref(Ino ino, PgOff index, uint64_t count = 1) {
  return {Noun::kDirty, ino.value(), index.value(), count};
}
constexpr ObjectRef frame_ref(Pfn pfn) { return {Noun::kFrame, pfn.value(), 0, 1}; }
constexpr ObjectRef pte_ref(uint64_t mm, VirtAddr address, uint64_t pages = 1) {
  return {Noun::kPte, mm, address.value() >> kPageShift, pages};
}
constexpr ObjectRef extent_ref(Ino ino, uint64_t block, uint64_t count = 1) {
  return {Noun::kExtent, ino.value(), block, count};
}
constexpr ObjectRef lock_ref(uint64_t object) { return {Noun::kLock, object, 0, 1}; }
constexpr ObjectRef wait_ref(uint64_t object) { return {Noun::kWait, object, 0, 1}; }
constexpr ObjectRef bytes_ref(Pfn pfn, uint64_t first, uint64_t count) {
  return {Noun::kBytes, pfn.value(), first, count};
}
constexpr ObjectRef contents_ref(uint64_t ino, uint64_t offset) { return {Noun::kContents, ino, offset, 1}; }
constexpr ObjectRef open_flags_ref(Ino ino) { return {Noun::kOpenFlags, ino.value(), 0, 1}; }
constexpr ObjectRef disk_size_ref(Ino ino) { return {Noun::kDiskSize, ino.value(), 0, 1}; }
constexpr ObjectRef block_format_ref(Ino ino) { return {Noun::kBlockFormat, ino.value(), 0, 1}; }
constexpr ObjectRef cache_bytes_ref(Pfn pfn, uint64_t first, uint64_t count) {
  return {Noun::kCacheBytes, pfn.value(), first, count};
}
constexpr ObjectRef buffer_ref(Pfn pfn) { return {Noun::kBuffer, pfn.value(), 0, 1}; }
constexpr ObjectRef writeback_ref(Pfn pfn) { return {Noun::kWriteback, pfn.value(), 0, 1}; }
constexpr ObjectRef folio_lock_ref(Pfn pfn) { return {Noun::kFolioLock, pfn.value(), 0, 1}; }
constexpr ObjectRef cached_extent_ref(Ino ino, uint64_t block, uint64_t count = 1) {
  return {Noun::kCachedExtent, ino.value(), block, count};
}
constexpr ObjectRef in_flight_ref(Ino ino) { return {Noun::kInFlight, ino.value(), 0, 1}; }
constexpr ObjectRef conversions_ref(Ino ino) { return {Noun::kConversions, ino.value(), 0, 1}; }
constexpr ObjectRef request_ref(Ino ino, uint64_t number) { return {Noun::kRequest, ino.value(), number, 1}; }
constexpr ObjectRef current_request_ref(Ino ino) { return {Noun::kCurrentRequest, ino.value(), 0, 1}; }
constexpr ObjectRef op_ref(uint64_t task, uint64_t index) { return {Noun::kOp, task, index, 1}; }

// Value of a Noun::kExtent: 0 is a hole.
constexpr uint64_t extent_value(FsBlock block, bool unwritten) { return block.value() << 1 | (unwritten ? 1 : 0); }
// Value of a Noun::kCachedExtent.
enum class CachedState : uint64_t { kNothing, kHole, kWritten, kUnwritten };
// Value of a Noun::kRequest: what is to be done when the bytes are there.
enum RequestMark : uint64_t { kRequestConverts = 1, kRequestNeedsWorker = 2 };
// A change whose old value nobody looked up.
inline constexpr uint64_t kUnknownValue = ~uint64_t{0};

// The objects that a finding is about: what its assertion looked at.
struct About {
  static constexpr unsigned kMax = 3;
  ObjectRef refs[kMax];
  const char* how = "";  // how they came to be so, one of a few fixed phrases; part of the dedup key

  constexpr About came(const char* by) const {
    About about = *this;
    about.how = by;
    return about;
  }
};
constexpr About about(ObjectRef first, ObjectRef second = {}, ObjectRef third = {}) { return {{first, second, third}}; }

}  // namespace daxfs
