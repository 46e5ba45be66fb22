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

#define DAXFS_HISTORICAL_TABLE(X)                                                                                      \
  X(kDioPinNoUnmap, "dio-pin-after-break-layouts/no-unmap", "A01", "a9b6de77b1a3, d2c997c0f145",                       \
    "break_layouts scans for busy pages without first unmapping the range", "O1 O15")                                  \
  X(kDioPinNoRevalidate, "dio-pin-after-break-layouts/no-revalidate", "A01", "a9b6de77b1a3",                           \
    "fast GUP takes a reference and does not re-read the PTE afterwards", "O1 O15")                                    \
  X(kDioPinScanUnlocked, "dio-pin-after-break-layouts/scan-unlocked", "A01", "d2c997c0f145",                           \
    "break_layouts runs before the invalidate lock is taken for write", "O1 O15")                                      \
  X(kBreakLayoutsLostRetry, "break-layouts-lost-retry", "A02", "b1f382178d15",                                         \
    "break_layouts repeats its scan only if the sleep callback ran", "O1 O15")                                         \
  X(kNoBreakLayoutsTruncate, "no-break-layouts-at-all/truncate", "A03", "5fac7408d828",                                \
    "truncate frees blocks without waiting for pinned pages", "O1 O15")                                                \
  X(kNoBreakLayoutsPunch, "no-break-layouts-at-all/punch", "A03", "5fac7408d828",                                      \
    "punch hole frees blocks without waiting for pinned pages", "O1 O15")                                              \
  X(kNoBreakLayoutsCollapse, "no-break-layouts-at-all/collapse", "A03", "5fac7408d828",                                \
    "collapse range shifts blocks without waiting for pinned pages", "O1 O15")                                         \
  X(kNoBreakLayoutsZeroRange, "no-break-layouts-at-all/zero-range", "A03", "5fac7408d828",                             \
    "zero range converts blocks without waiting for pinned pages", "O1 O15")                                           \
  X(kNoBreakLayoutsEvict, "no-break-layouts-at-all/evict", "A03", "5fac7408d828, 0e2f80afcfa6",                        \
    "inode eviction frees blocks without waiting for pinned pages", "O1 O15")                                          \
  X(kWaitKeepsMmapSem, "break-layouts-wait-keeps-mmap-sem/keep", "A04", "d6dc57e251a4",                                \
    "the wait for a busy page sleeps with the invalidate lock held", "O10 O22")                                        \
  X(kWaitDropsInodeLock, "break-layouts-wait-keeps-mmap-sem/drop-inode-lock", "A04", "d6dc57e251a4",                   \
    "the wait for a busy page also drops the inode lock", "O22 O11")                                                   \
  X(kFaultWithoutEntryLock, "fault-without-entry-lock", "B01", "ac401cc78242",                                         \
    "faults of one page are not serialised by an entry lock", "O6 O9 O3")                                              \
  X(kReadFaultVsWrite, "read-fault-vs-write-syscall-pte", "B05", "13e451fdc1af",                                       \
    "the fault maps blocks before it locks the entry", "O6 O9")                                                        \
  X(kInvalidateBeforeAllocate, "invalidate-before-allocate", "B17", "e3fce68cdbed",                                    \
    "write invalidates hole pages before it allocates blocks", "O6 O9")                                                \
  X(kGupIgnoresWrite, "gup-fast-ignores-write-permission", "B27", "ef947b2",                                           \
    "fast GUP of a device PTE does not test the write permission", "O9")                                               \
  X(kFaultVsPunch, "fault-vs-punch-unsynchronised", "C01", "ea3d7209ca01",                                             \
    "punch does not exclude page faults while it removes blocks", "O6 O15 O16")                                        \
  X(kUnmapOnlyIfNew, "unmap-gated-on-buffer-new", "A07", "de14b9cb5e02",                                               \
    "a huge fault that replaces the zero page leaves it mapped elsewhere", "O6 O9")                                    \
  X(kPmdLookupMissesPte, "pmd-lookup-misses-pte-entry", "A23", "0e40de0338d0",                                         \
    "a huge fault looks for entries at the first page of its range only", "O3 O4 O5 O6")                               \
  X(kFsyncLeavesPmdWritable, "fsync-leaves-pmd-writable", "B20", "f729c8c9b24f",                                       \
    "writeback write-protects single pages and leaves huge mappings writable", "O7 O8")                                \
  X(kReadOnlyPmdStays, "readonly-pmd-never-upgraded", "B22", "01871e59af5c",                                           \
    "the insert of a huge mapping does nothing where a read-only one is", "O22")                                       \
  X(kGupHugeNoRevalidate, "gup-huge-no-revalidation", "B26", "a9b6de77b1a3",                                           \
    "fast GUP takes a reference through a huge mapping and does not re-read it", "O1 O15")                             \
  X(kSiblingMaskLost, "sibling-mask-lost", "D01", "8d2c0d36d682",                                                      \
    "a walk that meets a sibling leaves its tag in and lands on the wrong slot", "O5 O6")                              \
  X(kCreateIgnoresSibling, "create-ignores-sibling", "D02", "8a14f4d8328c",                                            \
    "a store into a large entry takes its sibling slot for a place of its own", "XA1 XA3")                             \
  X(kDeleteLeavesSiblings, "delete-leaves-siblings", "D03", "a90eb3a2a405",                                            \
    "removal of a large entry clears its first slot only", "O2 O3 O5")                                                 \
  X(kIterRetryKeepsTags, "iter-retry-keeps-tags", "D04", "3cb9185c6730",                                               \
    "a walk over marked entries that starts over keeps the marks it had read", "O7 O8")                                \
  X(kMarkOnSibling, "mark-on-sibling-not-canonical", "D07", "the class of 8d2c0d36d682",                               \
    "a mark set through an index inside a large entry lands on a sibling slot", "O7 XA8")

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

// False for bugs of the tree alone: operations on it show them (corpus/xarray), and system calls not always.
constexpr bool shown_by_programs(const BugInfo& info) { return !info.catalogue.starts_with('D'); }

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
