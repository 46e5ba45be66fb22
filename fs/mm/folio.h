// fs/mm/folio.h - what a page of the page cache is beside a frame: lock, flags, the buffer over its block, who maps it.
//
// A DRAM frame with Page::cached has one Folio; it belongs to Page::mapping at Page::index until truncate or reclaim
// takes it away (then mapping is null, and whoever has a count may go on using the bytes).
//
// References of a page at rest: 1 of the tree, 1 for kPrivate, 1 a PTE, 1 a pin.
//
// Kernel: struct folio, page flags, struct buffer_head (one block a page), folio_lock, folio_wait_writeback,
//   filemap_dirty_folio, ext4_dirty_folio.
// Locking: `state`, `pins` and `mapcount` are atomic; buffer and block belong to the folio lock; lru is Memory::Lru's.
//   The folio lock ranks kFolio: outside of i_data_sem, inside a handle.
// Invariants:
//   O20  a page becomes dirty only while it is prepared: its buffer says where its bytes will go, or that room is
//   reserved. So a page of a file keeps its buffer while it is pinned (kernel, since 6.4: "mm: do not reclaim private
//   data from pinned page").
//   CF1  a folio is unlocked by who has it locked, and only then.
// Not covered: folios of several pages; buffers smaller than a page.
// Tested by: fs/check/page_cache_test.cc.
#pragma once

#include <cstdint>

#include "fs/base/compiler.h"
#include "fs/base/site.h"
#include "fs/base/types.h"
#include "fs/lib/xarray.h"
#include "fs/mm/memory.h"
#include "fs/mm/page.h"

namespace daxfs::mm {

enum class BufferState : uint8_t {
  kNone,       // no buffer: a hole was read, or nobody asked
  kDelayed,    // no block yet; one is reserved
  kUnwritten,  // `block` is allocated, and becomes written when the bytes are there
  kMapped,     // `block` holds the bytes
};

// Marks of a page in its file's tree (kernel: PAGECACHE_TAG_DIRTY, _WRITEBACK, _TOWRITE).
inline constexpr lib::XaMark kPageDirty = lib::XaMark::k0;
inline constexpr lib::XaMark kPageWriteback = lib::XaMark::k1;
inline constexpr lib::XaMark kPageToWrite = lib::XaMark::k2;

struct Folio {
  enum Bit : uint32_t {
    kLocked = 1U << 0,
    kUptodate = 1U << 1,
    kDirty = 1U << 2,
    kWriteback = 1U << 3,
    kPrivate = 1U << 4,     // has a buffer, and with it one reference
    kReferenced = 1U << 5,  // used since reclaim last passed by
    kError = 1U << 6,       // could not be read
  };
  uint32_t state = 0;
  int32_t mapcount = 0;  // PTEs
  int32_t pins = 0;      // PagePin: the device may write to it (kernel: FOLL_PIN)
  BufferState buffer = BufferState::kNone;
  FsBlock block;
  // For oracles, which ask whether what was dirty has been written since: when the page came, whether the tree has it
  // marked as dirty (before that nobody need know), how many writes of it began and ended, and when the last one did
  // (Device::watch_time). Under the tree lock.
  uint64_t came = 0;
  bool marked_dirty = false;
  uint32_t writes_begun = 0;
  uint32_t writes_ended = 0;
  uint64_t last_write_ended = 0;
  uint32_t write_refused = 0;  // which of those that began the device refused last, from 1 on; 0: none
};

// REQUIRES: page.is_cached().
inline Folio& folio_of(const Page& page) { return page.memory->folio(page_pfn(page)); }

// One scheduling point each.
bool folio_test(const Page& page, Folio::Bit bit, Site site = Site::current());
void folio_set(Page& page, Folio::Bit bit, Site site = Site::current());
void folio_clear(Page& page, Folio::Bit bit, Site site = Site::current());
bool folio_test_and_clear(Page& page, Folio::Bit bit, Site site = Site::current());
// For assertions, and for who has the folio locked. Not a scheduling point.
uint32_t folio_state(const Page& page);
// The current task's step changes a folio whose lock it has not got, or its bytes. Not a scheduling point.
void note_folio_change(const Page& page);
void note_bytes_read(const Page& page);
void note_bytes_written(const Page& page);

// For traces, from whoever has it locked or not.
FS_NO_TSAN inline uint64_t traced_buffer(const Page& page) { return static_cast<uint64_t>(folio_of(page).buffer); }

// How many PTEs map it; how many devices may write to it. One scheduling point.
int read_mapcount(const Page& page, Site site = Site::current());
int read_pins(const Page& page, Site site = Site::current());
// REQUIRES: ptl of the PTE that comes or goes. One scheduling point.
void change_mapcount(Page& page, int by, Site site = Site::current());

// May sleep. The caller has a reference, and looks at page.mapping again: it may have been truncated meanwhile.
void lock_folio(Page& page, Site site = Site::current());
bool try_lock_folio(Page& page, Site site = Site::current());
void unlock_folio(Page& page, Site site = Site::current());
// The lock passes to an interrupt that ends with unlock_handed_folio().
void hand_over_folio(Page& page, Site site = Site::current());
void unlock_handed_folio(Page& page, Site site = Site::current());
// Until somebody unlocks it, without taking the lock. May sleep.
void wait_folio_unlocked(Page& page, Site site = Site::current());
void wait_folio_writeback(Page& page, Site site = Site::current());

// The folio's flag and the DIRTY mark of its tree, unless it has been truncated. Any context. Checks O20.
// RETURNS: whether it was clean before.
bool set_page_dirty(Page& page, Site site = Site::current());
// The same at the end of a DMA through `pin`.
void set_pinned_page_dirty(const PagePin& pin, Site site = Site::current());

}  // namespace daxfs::mm
