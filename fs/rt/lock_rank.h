// fs/rt/lock_rank.h - the lock order, and pseudo-locks that take part in it.
//
// Outermost first. Taking a lock whose rank is not below (greater than) every held rank is a verdict (LD3), except
// the *_nested(subclass) variants, which may repeat a rank with a growing subclass. try_lock is not checked: it cannot
// wait. Kernel: lockdep, reduced to a total order per class.
//
// Invariants: LD3 ranks are taken in growing order; LD6 an operation ends without ranks held; LD7 a lock that a
// caller owes (assert_held) is held.
// Tested by: fs/rt/lockdep_test.cc.
#pragma once

#include "fs/rt/point.h"

namespace daxfs::rt {

enum class Rank : uint8_t {
  kRename,
  kInodeDir,
  kInode,
  kFreeze,
  kMmap,
  kInvalidate,
  kHandle,
  kDaxEntry,
  kFolio,
  kDataSem,
  kXattr,
  kMmapTree,
  kOrphan,
  kGroup,
  kBuffer,
  kInodeHash,
  kFdTable,
  kPageTable,
  kXArray,
  kLeaf,
  kNone,  // no check
};
const char* rank_name(Rank rank);

// Things that behave like locks and are not: a journal handle, a DAX entry lock. `subclass` as in lock_nested.
// Fiber flavour only; nothing in native. Pairs nest by (rank, object), in any order of release.
#if defined(DAXFS_RT_FIBER)
void rank_acquire(Rank rank, ObjectId object, Site site = Site::current());
void rank_acquire_nested(Rank rank, unsigned subclass, ObjectId object, Site site = Site::current());
void rank_release(Rank rank, ObjectId object, Site site = Site::current());
bool rank_held(Rank rank);
#else
inline void rank_acquire(Rank, ObjectId, Site = Site::current()) {}
inline void rank_acquire_nested(Rank, unsigned, ObjectId, Site = Site::current()) {}
inline void rank_release(Rank, ObjectId, Site = Site::current()) {}
inline bool rank_held(Rank) { return false; }
#endif

}  // namespace daxfs::rt
