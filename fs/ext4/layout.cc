// fs/ext4/layout.cc - break_layouts and its historical bugs.
#include "fs/ext4/layout.h"

#include "fs/base/historical.h"
#include "fs/base/report.h"
#include "fs/dax/layout.h"
#include "fs/ext4/inode.h"
#include "fs/mm/memory.h"
#include "fs/rt/trace.h"

namespace daxfs::ext4 {

namespace {

// What is let go while break_layouts sleeps.
struct SleepLocks {
  bool invalidate;
  bool inode;
};

SleepLocks locks_to_drop(bool invalidate_held) {
  return {.invalidate = invalidate_held && !historical(Bug::kWaitKeepsMmapSem),
          .inode = historical(Bug::kWaitDropsInodeLock)};
}

// The analysis cannot follow locks that are dropped in one callback and retaken in the other.
void drop_locks(Inode& inode, SleepLocks locks) FS_NO_THREAD_SAFETY_ANALYSIS {
  if (locks.invalidate) { inode.mapping().invalidate_lock.up_write(); }
  if (locks.inode) { inode.i_rwsem.up_write(); }
}
void retake_locks(Inode& inode, SleepLocks locks) FS_NO_THREAD_SAFETY_ANALYSIS {
  if (locks.inode) { inode.i_rwsem.down_write(); }
  if (locks.invalidate) { inode.mapping().invalidate_lock.down_write(); }
}

// Looks again after every page that was busy, slept for or not: others may have become busy, or
// were all the time.
void wait_for_pins(Inode& inode, bool invalidate_held) {
  FS_TRACE_SCOPE("ext4_break_layouts", inode_ref(inode.ino()));
  const SleepLocks locks = locks_to_drop(invalidate_held);
  mm::Memory& memory = inode.mapping().memory();
  const uint64_t size = inode.i_size();
  bool retry = true;
  while (retry) {
    mm::Page* const page = dax::layout_busy_page(inode.mapping());
    if (page == nullptr) { break; }
    // Bug kBreakLayoutsLostRetry (b1f382178d15): only a sleep made the loop look again. A pin that
    // goes away between the scan and the wait takes the loop past every other busy page.
    retry = !historical(Bug::kBreakLayoutsLostRetry);
    memory.wait_page_idle(
        *page,
        [&] {
          retry = true;
          drop_locks(inode, locks);
        },
        [&] { retake_locks(inode, locks); });
  }
  FS_WARN_ON(inode.i_size() != size, "O11", about(size_ref(inode.ino()), lock_ref(inode.i_rwsem.object())),
             "inode %u: the size changed while its lock was held for a layout change", inode.ino().value());
}

bool skips_break_layouts(LayoutChange change) {
  switch (change) {
    case LayoutChange::kTruncate: return historical(Bug::kNoBreakLayoutsTruncate);
    case LayoutChange::kPunchHole: return historical(Bug::kNoBreakLayoutsPunch);
    case LayoutChange::kCollapseRange: return historical(Bug::kNoBreakLayoutsCollapse);
    case LayoutChange::kZeroRange: return historical(Bug::kNoBreakLayoutsZeroRange);
    case LayoutChange::kInsertRange: return false;
  }
  return false;
}

}  // namespace

Status break_layouts(Inode& inode) {
  if (FS_WARN_ON(!inode.mapping().invalidate_lock.held_write(), "EL1",
                 "break_layouts of inode %u without the invalidate lock", inode.ino().value())) {
    return Errc::kInval;
  }
  wait_for_pins(inode, /*invalidate_held=*/true);
  return ok_status();
}

LayoutLock::LayoutLock(Inode& inode, LayoutChange change,
                       Site site) FS_NO_THREAD_SAFETY_ANALYSIS  // see drop_locks
    : inode_(inode),
      locked_(!(change == LayoutChange::kPunchHole && historical(Bug::kFaultVsPunch))),
      site_(site) {
  const bool skip = skips_break_layouts(change);
  // Bug kDioPinScanUnlocked (d2c997c0f145): a fault maps a page again between the scan and the
  // lock, and it is pinned.
  const bool scan_first = historical(Bug::kDioPinScanUnlocked) || !locked_;
  if (scan_first && !skip) { wait_for_pins(inode, /*invalidate_held=*/false); }
  if (locked_) { inode.mapping().invalidate_lock.down_write(site); }
  if (!scan_first && !skip) { break_layouts(inode).ignore_error("fails only without the lock"); }
}

LayoutLock::~LayoutLock() FS_NO_THREAD_SAFETY_ANALYSIS {  // see drop_locks
  if (locked_) { inode_.mapping().invalidate_lock.up_write(site_); }
}

}  // namespace daxfs::ext4
