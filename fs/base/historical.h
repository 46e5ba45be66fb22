// fs/base/historical.h - historical bugs as switches.
//
// Each entry is a bug that a kernel really had. With its switch on, the code at the place where the bug sat behaves as
// it did then; with it off, as it does now. Use: `if (historical(Bug::kBreakLayoutsLostRetry)) ...`, as small a
// difference as the real patch was. In builds without DAXFS_HISTORICAL_BUGS the call is constant false.
//
// Columns: enumerator, id (what `--bug` takes; `name` or `name/variant`), catalogue id, source, one line, oracles.
//
// Locking: switches are set before a run starts and constant while it runs.  Tested by: corpus/bugs.
#pragma once

#include <bitset>
#include <cstddef>
#include <span>
#include <string_view>

#define DAXFS_HISTORICAL_TABLE(X)                                                                             \
  X(kDioPinNoUnmap, "dio-pin-after-break-layouts/no-unmap", "A01", "a9b6de77b1a3, d2c997c0f145",              \
    "break_layouts scans for busy pages without first unmapping the range", "O1 O15")                         \
  X(kDioPinNoRevalidate, "dio-pin-after-break-layouts/no-revalidate", "A01", "a9b6de77b1a3",                  \
    "fast GUP takes a reference and does not re-read the PTE afterwards", "O1 O15")                           \
  X(kDioPinScanUnlocked, "dio-pin-after-break-layouts/scan-unlocked", "A01", "d2c997c0f145",                  \
    "break_layouts runs before the invalidate lock is taken for write", "O1 O15")                             \
  X(kBreakLayoutsLostRetry, "break-layouts-lost-retry", "A02", "b1f382178d15",                                \
    "break_layouts repeats its scan only if the sleep callback ran", "O1 O15")                                \
  X(kNoBreakLayoutsTruncate, "no-break-layouts-at-all/truncate", "A03", "5fac7408d828",                       \
    "truncate frees blocks without waiting for pinned pages", "O1 O15")                                       \
  X(kNoBreakLayoutsPunch, "no-break-layouts-at-all/punch", "A03", "5fac7408d828",                             \
    "punch hole frees blocks without waiting for pinned pages", "O1 O15")                                     \
  X(kNoBreakLayoutsCollapse, "no-break-layouts-at-all/collapse", "A03", "5fac7408d828",                       \
    "collapse range shifts blocks without waiting for pinned pages", "O1 O15")                                \
  X(kNoBreakLayoutsZeroRange, "no-break-layouts-at-all/zero-range", "A03", "5fac7408d828",                    \
    "zero range converts blocks without waiting for pinned pages", "O1 O15")                                  \
  X(kNoBreakLayoutsEvict, "no-break-layouts-at-all/evict", "A03", "5fac7408d828, 0e2f80afcfa6",               \
    "inode eviction frees blocks without waiting for pinned pages", "O1 O15")                                 \
  X(kWaitKeepsMmapSem, "break-layouts-wait-keeps-mmap-sem/keep", "A04", "d6dc57e251a4",                       \
    "the wait for a busy page sleeps with the invalidate lock held", "O10 O22")                               \
  X(kWaitDropsInodeLock, "break-layouts-wait-keeps-mmap-sem/drop-inode-lock", "A04", "d6dc57e251a4",          \
    "the wait for a busy page also drops the inode lock", "O22 O11")                                          \
  X(kFaultWithoutEntryLock, "fault-without-entry-lock", "B01", "ac401cc78242",                                \
    "faults of one page are not serialised by an entry lock", "O6 O9 O3")                                     \
  X(kReadFaultVsWrite, "read-fault-vs-write-syscall-pte", "B05", "13e451fdc1af",                              \
    "the fault maps blocks before it locks the entry", "O6 O9")                                               \
  X(kInvalidateBeforeAllocate, "invalidate-before-allocate", "B17", "e3fce68cdbed",                           \
    "write invalidates hole pages before it allocates blocks", "O6 O9")                                       \
  X(kGupIgnoresWrite, "gup-fast-ignores-write-permission", "B27", "ef947b2",                                  \
    "fast GUP of a device PTE does not test the write permission", "O9")                                      \
  X(kFaultVsPunch, "fault-vs-punch-unsynchronised", "C01", "ea3d7209ca01",                                    \
    "punch does not exclude page faults while it removes blocks", "O6 O15 O16")                               \
  X(kUnmapOnlyIfNew, "unmap-gated-on-buffer-new", "A07", "de14b9cb5e02",                                      \
    "a huge fault that replaces the zero page leaves it mapped elsewhere", "O6 O9")                           \
  X(kPmdLookupMissesPte, "pmd-lookup-misses-pte-entry", "A23", "0e40de0338d0",                                \
    "a huge fault looks for entries at the first page of its range only", "O3 O4 O5 O6")                      \
  X(kFsyncLeavesPmdWritable, "fsync-leaves-pmd-writable", "B20", "f729c8c9b24f",                              \
    "writeback write-protects single pages and leaves huge mappings writable", "O7 O8")                       \
  X(kReadOnlyPmdStays, "readonly-pmd-never-upgraded", "B22", "01871e59af5c",                                  \
    "the insert of a huge mapping does nothing where a read-only one is", "O22")                              \
  X(kGupHugeNoRevalidate, "gup-huge-no-revalidation", "B26", "a9b6de77b1a3",                                  \
    "fast GUP takes a reference through a huge mapping and does not re-read it", "O1 O15")                    \
  X(kFrameLockStaleEntry, "no-retry-after-sleep", "A25", "9f32d221301c",                                      \
    "dax_lock_page locks the entry that it saw before it slept", "O3 O4 O5 O6 O1 O15")                        \
  X(kFrameLockNoRcu, "rcu-dropped-inode-freed-while-waiting/no-section", "A26", "9f32d221301c, fda490d39fc0", \
    "dax_lock_page looks at the inode of a frame outside of any RCU section", "O13")                          \
  X(kFrameLockKeepsTree, "rcu-dropped-inode-freed-while-waiting/relock", "A26", "9f32d221301c, 27359fd6e5f3", \
    "dax_lock_page takes the old tree's lock after it slept", "O13")                                          \
  X(kFrameLockRetryLocked, "lock-retry-keeps-tree-lock", "A28", "c2a7d2a11552, f52afc93cd01",                 \
    "dax_lock_page tries again with the tree locked", "O11")                                                  \
  X(kFrameMappingNull, "mapping-null-not-checked", "A27", "c2a7d2a11552, c93db7bb6ef3",                       \
    "dax_lock_page asks a frame without a file what its file is", "O13")                                      \
  X(kPutClearsMapping, "mapping-cleared-on-final-put", "A31", "2fa147bdbf67",                                 \
    "the end of the last pin makes the frame forget its file", "O1")                                          \
  X(kFailureWrongAddress, "memory-failure-wrong-address", "B41", "ac87ca0ea010, 376907f3a0b3",                \
    "processes hear the address of the first page of the range, whichever is bad", "MF1")                     \
  X(kUnlockLosesPmd, "unlock-loses-pmd-bit/order", "A21", "9f32d221301c, 27359fd6e5f3",                       \
    "dax_unlock_page makes the entry from the frame alone", "O5 O6")                                          \
  X(kUnlockWrongBase, "unlock-loses-pmd-bit/base", "A21", "fda490d39fc0, 27359fd6e5f3",                       \
    "dax_unlock_page stores the frame it was asked for as the first of the range", "O5 O6")                   \
  X(kUnlockStoresLocked, "unlock-stores-locked-word", "A22", "9f32d221301c",                                  \
    "dax_unlock_page stores what the tree holds, which is locked", "O4 O10")                                  \
  X(kInternalAsEntry, "internal-node-returned-as-entry", "A24", "cfc93c6c6c96",                               \
    "a huge fault takes a node of the tree for an entry", "DE2 O10")                                          \
  X(kWaitKeyOfPage, "subpage-lock-not-range-wide", "A29", "63e95b5c4f16",                                     \
    "waiters of one huge entry sleep under the key of their own page", "O10 O4")                              \
  X(kPageOverHuge, "store-order0-over-pmd", "A30", "9f32d221301c",                                            \
    "a single page is stored over a huge entry that was not removed", "O3 O5 O6")                             \
  X(kUpgradeLeavesZeroPages, "pmd-upgrade-leaves-zero-page-entries", "A05", "de14b9cb5e02",                   \
    "a huge fault only unmaps the zero pages of its range and leaves their entries", "O3 O2 O5")              \
  X(kReplaceCountsOne, "replace-accounting-wrong-kind", "A06", "a90eb3a2a405",                                \
    "a huge entry that single pages replace is counted as one", "O3 O2")                                      \
  X(kUpgradeCountsTwice, "pte-upgrade-not-removed", "A08", "de14b9cb5e02",                                    \
    "a block's entry is counted beside the zero page's, which it replaces", "O3 O2")                          \
  X(kPmdOwnKeyOnly, "pmd-and-pte-fault-use-different-entries", "B04", "348e967ab07c",                         \
    "a fault of a single page does not wait for a huge one", "O4 O5 O6 O9")                                   \
  X(kPmdReadFaultVsWrite, "read-fault-vs-write-syscall-pmd", "B06", "876f29460cbd",                           \
    "the huge fault maps blocks before it locks the entry", "O6 O9")                                          \
  X(kNoColourCheck, "misaligned-pmd-fault-deadlock", "B10", "fffa281b48a9",                                   \
    "a huge fault maps where address and file offset differ within 2 MiB", "O5 O6 O10 O22")                   \
  X(kPmdWaitsOnOwnKey, "pmd-fault-waits-on-wrong-queue", "B12", "b15cd800682f, 23c84eb78375",                 \
    "a huge fault waits for a single page under the key of its own first page", "O10")                        \
  X(kWakeupNotPassedOn, "exclusive-waiter-does-not-pass-wakeup", "B14", "-",                                  \
    "who was woken for an entry and does not take it wakes nobody else", "O10")                               \
  X(kPmdInsertUnaligned, "pmd-insert-unaligned-address", "B25", "c6f3c5ee40c1, fce86ff5802b",                 \
    "a huge mapping is made writable at the address of the fault", "MM11")                                    \
  X(kDoubleZero, "double-zero-on-simultaneous-write-faults", "B02", "843172978bb9, 1ca191576fc8",             \
    "a write fault zeroes the block that it saw to be new before it locked the entry", "O9")                  \
  X(kPmdOverTable, "colliding-pmd-pte-private-mapping", "B08", "e2093926a098",                                \
    "a huge fault does not look again whether a table of single pages came meanwhile", "MM8 O9 MM3 MM5")      \
  X(kFailureSizeOfPage, "memory-failure-mapping-size-from-page", "B42", "ae1139ece126",                       \
    "all processes hear that one page is bad, by whatever size they map it", "MF3")                           \
  X(kIoEndPointerClobber, "inode-io-end-pointer-clobber", "A09", "74dae4278546, 2bcba4781fa3",                \
    "an overwrite puts its request into the inode, where another one looks for its own", "O9 O12 O13")        \
  X(kDeferThroughPointer, "end-io-in-interrupt-context/no-pointer", "A10", "74dae4278546",                    \
    "where a request ends is noted in whatever request the inode points to", "O12")                           \
  X(kDeferOnFirstPiece, "end-io-in-interrupt-context/first-piece", "A10", "-",                                \
    "the first piece of a request decides in which context it ends", "O12")                                   \
  X(kZeroIsTwoFlags, "get-blocks-flag-overlap/any", "A11", "the class of 713e8dde3e71",                       \
    "the number of ZERO is that of two other flags, and any of its bits means it", "O11 O9")                  \
  X(kZeroIsTwoFlagsStrict, "get-blocks-flag-overlap/all", "A11", "the class of 713e8dde3e71",                 \
    "the number of ZERO is that of two other flags", "O11 O9")                                                \
  X(kNoLockWithoutDataSem, "nolock-lookup-without-outer-lock", "A12", "2bcba4781fa3",                         \
    "blocks of an overwrite are looked up with NO_LOCK and nobody holds i_data_sem", "O11 O15")               \
  X(kNoLockLooksLocked, "recursive-i_data_sem-read/lookup", "A13", "2bcba4781fa3",                            \
    "a lookup with NO_LOCK takes i_data_sem again", "O11 O10")                                                \
  X(kNoLockUnlocks, "recursive-i_data_sem-read/unlock", "A13", "2bcba4781fa3",                                \
    "a lookup with NO_LOCK releases i_data_sem, which it did not take", "O11")                                \
  X(kLookupStartsTransaction, "lookup-starts-transaction", "A14", "2bcba4781fa3",                             \
    "a lookup with NO_LOCK starts a transaction under i_data_sem", "O11 O12")                                 \
  X(kRelockUnderDataSem, "overwrite-relock-order/exit", "A15", "4bd809dbbf17",                                \
    "an overwrite takes the inode lock again before it gives i_data_sem up", "O11 O10")                       \
  X(kOverwriteUnlocksFirst, "overwrite-relock-order/entry", "A15", "4bd809dbbf17",                            \
    "an overwrite gives the inode lock up before it has i_data_sem", "EF1 O15")                               \
  X(kOverwriteCheckStale, "overwrite-check-goes-stale", "A16", "4bd809dbbf17",                                \
    "whether a write changes no blocks is found out before the inode lock is taken", "EF1 O9 O15")            \
  X(kDioDoneBeforeConversion, "dio-done-before-conversion", "C11", "266991b13890, 3889fd57ea3c",              \
    "a request no longer counts as in flight when its conversion is still to come", "IE2 O15 O17")            \
  X(kPunchFlushesOnly, "punch-does-not-wait-for-dio/flush", "C13", "02d262dffcf4",                            \
    "punch waits for conversions, and not for requests in flight", "IE2 O15 O16")                             \
  X(kPunchLetsUnlockedIn, "punch-does-not-wait-for-dio/unlocked-readers", "C13", "26a4c0c6ccec",              \
    "punch does not keep out reads that take no lock", "O15 O16")                                             \
  X(kUnwrittenNotCounted, "unwritten-counter-imbalance", "C16", "32c80b32c053",                               \
    "a request is marked for conversion and not counted", "ID1 O10")                                          \
  X(kZeroRangeDropsFirst, "zero-range-flag-alias", "C20", "713e8dde3e71",                                     \
    "zero range drops what is cached of its extents before it converts them", "O18 O9")                       \
  X(kCacheDuringSplit, "es-phantom-hole-during-split", "C21", "8b4b19a2f963",                                 \
    "a search of the tree in the middle of a split caches a hole that is none", "O18 O9")                     \
  X(kCacheStaysOnFailedSplit, "es-not-dropped-on-failed-split", "C22", "79b592e8f1b4",                        \
    "what is cached of an extent stays when splitting it failed and it was zeroed", "O18 O9")                 \
  X(kSplitZeroesTailOnly, "split-zeroout-marks-all-written", "C24", "CVE-2026-45858",                         \
    "an extent that cannot be split becomes written as a whole, and its head is not zeroed", "O16 O9")        \
  X(kSiblingMaskLost, "sibling-mask-lost", "D01", "8d2c0d36d682",                                             \
    "a walk that meets a sibling leaves its tag in and lands on the wrong slot", "O5 O6")                     \
  X(kCreateIgnoresSibling, "create-ignores-sibling", "D02", "8a14f4d8328c",                                   \
    "a store into a large entry takes its sibling slot for a place of its own", "XA1 XA3")                    \
  X(kDeleteLeavesSiblings, "delete-leaves-siblings", "D03", "a90eb3a2a405",                                   \
    "removal of a large entry clears its first slot only", "O2 O3 O5")                                        \
  X(kIterRetryKeepsTags, "iter-retry-keeps-tags", "D04", "3cb9185c6730",                                      \
    "a walk over marked entries that starts over keeps the marks it had read", "O7 O8")                       \
  X(kMarkOnSibling, "mark-on-sibling-not-canonical", "D07", "the class of 8d2c0d36d682",                      \
    "a mark set through an index inside a large entry lands on a sibling slot", "O7 XA8")                     \
  X(kReclaimStripsPinned, "reclaim-strips-buffers-under-gup", "A17", "thread 003, cc5095747edf",              \
    "reclaim takes the buffer of a page that a device is writing to", "O20")                                  \
  X(kDmaDoesNotDirty, "writeback-writeprotects-under-gup", "A18", "thread 003",                               \
    "what a device wrote to a page after its writeback does not make it dirty", "O9")                         \
  X(kReclaimChecksFirst, "reclaim-refcount-precheck", "A19", "thread 003",                                    \
    "reclaim looks for pins before it unmaps the page, not after", "O20")                                     \
  X(kDirtyAfterTruncate, "dirty-after-truncate-by-gup", "A20", "thread 003",                                  \
    "a page that was truncated under DMA becomes dirty in its old file", "O20")                               \
  X(kInvalidateDropsDirty, "invalidate-drops-dirty-tag", "B18", "c6dcf52c23d2, 8b2180b3bf03",                 \
    "a write to a page deletes its entry though it is dirty", "O7 O8 O6")                                     \
  X(kReclaimDropsDax, "invalidate-mapped-entry", "B19", "4636e70bb0a8",                                       \
    "reclaim deletes clean DAX entries though PTEs map them", "O6 O1 O15")                                    \
  X(kPunchDropsBeforeLock, "writeback-vs-punch-zero", "C02", "the series of e74031fd7ed0",                    \
    "punch drops cached pages before it keeps faults and reads out", "CF4 O15 O9")                            \
  X(kDisksizeOutsideLock, "lost-truncate-vs-writeback", "C10", "90e775b71ac4",                                \
    "writeback raises the size on the medium outside of i_data_sem", "O9 O17")                                \
  X(kWritebackBeforeConversion, "dio-read-before-unwritten-conversion", "C14", "dccaf33fa37a, b43d17f319f2",  \
    "a page's writeback ends before its extent is converted", "O9")                                           \
  X(kReadWithoutInvalidateLock, "stale-read-after-punch-repopulation", "C17", "e251f9bca99c, d4f5258eae7b",   \
    "reads fill the cache without invalidate_lock", "CF4 O9 O15 O16")                                         \
  X(kDaxWriteUnwritten, "dax-write-vs-fault-unwritten", "B03", "12735f881952",                                \
    "a DAX write fills unwritten blocks and converts them afterwards", "O9 O6 O16")                           \
  X(kPunchCountsPagesOnly, "punch-skips-dax-writeback", "C04", "cca32b7eeb4e",                                \
    "whether there is something to flush before pages go is asked of the page cache's count", "O7 O8")        \
  X(kEndIoComparesSizes, "dio-endio-sees-disksize-before-isize", "C08", "619f75d",                            \
    "the end of a direct write trusts both sizes, though a truncate may be between them", "O17")              \
  X(kSizeBeforeConversion, "isize-published-before-conversion", "C35", "ee70daaba82d",                        \
    "the end of a direct write moves the size before it converts the blocks", "O9")                           \
  X(kRecheckLocks, "recursive-i_data_sem-read/recheck", "A13", "2bcba4781fa3",                                \
    "the re-check of a cached range takes i_data_sem again", "O11 O10")                                       \
  X(kDelayedStaysOnWritten, "es-written-and-delayed", "C18", "d2dc317d564a",                                  \
    "a block that becomes written still counts as delayed", "O18 O9")                                         \
  X(kReleaseTrimsUnderDio, "release-trims-blocks-under-dio", "C36", "e4229d6b0bc9",                           \
    "closing a file frees blocks behind its end without waiting for direct writes to them", "O15 O17 IE2")    \
  X(kDioModeReadTwice, "dio-mode-read-twice", "C40", "CVE-2014-8086",                                         \
    "a write asks twice whether the file is open for direct I/O", "O11 O14")                                  \
  X(kFormatBeforeLock, "fallocate-extent-check-before-lock", "C39", "280227a75b56",                           \
    "fallocate asks whether the file has extents before it takes the inode lock", "MB3")

namespace daxfs {

enum class Bug : unsigned {
#define DAXFS_X(name, ...) name,
  DAXFS_HISTORICAL_TABLE(DAXFS_X)
#undef DAXFS_X
      kCount
};

struct BugInfo {
  Bug bug;
  std::string_view id;         // "name" or "name/variant"
  std::string_view catalogue;  // "A02"
  std::string_view source;     // commits
  std::string_view title;      // the mechanism in one line
  std::string_view oracles;    // oracle ids that must fire, separated by spaces
};

using BugSet = std::bitset<static_cast<size_t>(Bug::kCount)>;

// Every bug compiled in; empty without DAXFS_HISTORICAL_BUGS.
std::span<const BugInfo> historical_bugs();

// Sets in `bugs` every bug whose id is `id` or whose id before '/' is `id`. Returns how many matched (0: unknown id).
size_t select_historical(std::string_view id, BugSet* bugs);

// Sets the switches of the process.
void set_historical(const BugSet& bugs);
const BugSet& get_historical();

#if defined(DAXFS_HISTORICAL_BUGS)
namespace internal {
extern BugSet g_historical;
}
inline bool historical(Bug bug) { return internal::g_historical[static_cast<size_t>(bug)]; }
#else
constexpr bool historical(Bug /*bug*/) { return false; }
#endif

}  // namespace daxfs
