// fs/lib/xarray_node.h - one node of an XArray, its words as lockless readers see them, and where
// nodes come from.
//
// Locking: `count`, `nr_values` and `used` belong to the holder of the array's lock. `shift` and `offset`
//   are constant while the node is reachable. Slots, parent and marks may be read without the lock:
//   they are single words, written with release and read with acquire order by compiler builtins,
//   because the scheduling point of a tree access is the caller's (one per step, not one per word).
// Tested by: fs/lib/xarray_test.cc, fs/lib/xarray_model_test.cc.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "fs/base/compiler.h"
#include "fs/lib/xarray_entry.h"
#include "fs/rt/rcu.h"

namespace daxfs::lib {

inline constexpr unsigned kXaMarkCount = 3;
enum class XaMark : uint8_t { k0, k1, k2 };

template <unsigned kShift>
struct XaNode : rt::RcuHead {
  static_assert(kShift >= 1 && kShift <= 6, "marks of a node are one word");
  static constexpr unsigned kFanout = 1u << kShift;
  static constexpr unsigned kMask = kFanout - 1;
  // A bit a slot. A small node is so one line of the cache, but for what its death needs.
  using SlotBits = std::conditional_t<kFanout <= 8, uint8_t, uint64_t>;

  XaNode* pool_prev = nullptr;
  alignas(64) uint8_t shift = 0;  // bits of index below one slot; 0 in a leaf
  uint8_t offset = 0;             // our slot in the parent
  uint8_t count = 0;              // slots that are not null, siblings included
  uint8_t nr_values = 0;          // slots that are values or siblings of a value
  bool pool_live = false;
  SlotBits used = 0;  // slots that are not null
  SlotBits mark_words[kXaMarkCount] = {};
  XaNode* pool_next = nullptr;
  uint64_t parent_word = 0;
  uint64_t slot_words[kFanout] = {};

  XEntry slot(unsigned at) const { return XEntry::from_raw(__atomic_load_n(&slot_words[at], __ATOMIC_ACQUIRE)); }
  void set_slot(unsigned at, XEntry entry) {
    const auto bit = static_cast<SlotBits>(SlotBits{1} << at);
    used = static_cast<SlotBits>(entry ? used | bit : used & ~bit);
    __atomic_store_n(&slot_words[at], entry.raw(), __ATOMIC_RELEASE);
  }

  XaNode* parent() const { return reinterpret_cast<XaNode*>(__atomic_load_n(&parent_word, __ATOMIC_ACQUIRE)); }
  void set_parent(XaNode* node) { __atomic_store_n(&parent_word, reinterpret_cast<uint64_t>(node), __ATOMIC_RELEASE); }

  uint64_t marks(XaMark mark) const {
    return __atomic_load_n(&mark_words[static_cast<unsigned>(mark)], __ATOMIC_RELAXED);
  }
  void set_marks(XaMark mark, uint64_t bits) {
    __atomic_store_n(&mark_words[static_cast<unsigned>(mark)], static_cast<SlotBits>(bits), __ATOMIC_RELAXED);
  }
  bool marked(XaMark mark, unsigned at) const { return (marks(mark) >> at & 1) != 0; }
  // The first marked slot at or after `from`, or kFanout.
  unsigned next_marked(XaMark mark, unsigned from) const {
    const uint64_t bits = from < kFanout ? marks(mark) >> from : 0;
    return bits == 0 ? kFanout : from + static_cast<unsigned>(std::countr_zero(bits));
  }

  // The first slot at or after `from` that is not null, or kFanout. For the holder of the lock.
  unsigned next_used(unsigned from) const {
    const uint64_t bits = from < kFanout ? uint64_t{used} >> from : 0;
    return bits == 0 ? kFanout : from + static_cast<unsigned>(std::countr_zero(bits));
  }

  // As it was constructed, but for the pool's own words: most nodes die with few slots in use.
  void clear() {
    shift = offset = count = nr_values = 0;
    for (uint64_t bits = used; bits != 0; bits &= bits - 1) { slot_words[std::countr_zero(bits)] = 0; }
    used = 0;
    for (SlotBits& bits : mark_words) { bits = 0; }
    parent_word = 0;
  }

  unsigned offset_of(uint64_t index) const { return static_cast<unsigned>(index >> shift) & kMask; }
  XEntry as_entry() const { return XEntry::from_raw(reinterpret_cast<uint64_t>(this) | 2); }
  static XaNode* of(XEntry entry) { return reinterpret_cast<XaNode*>(entry.raw() - 2); }
};

// Memory of nodes, per process and fan-out. In the plain fiber build freed nodes are kept for
// reuse; under a sanitizer they are really freed, so that a use after free is seen; with OS threads
// allocation is the allocator's. FS_NO_TSAN stands here, too: a definition behind the first use of a template member
// would not bring it along.
template <unsigned kShift>
class XaNodePool {
 public:
  using Node = XaNode<kShift>;
  FS_NO_TSAN static Node* allocate();
  FS_NO_TSAN static void free(Node* node);
  // Frees after all lockless readers that could see the node have ended.
  static void free_rcu(Node* node);
  // Nodes allocated and not freed yet. Always 0 with OS threads, where nobody counts.
  FS_NO_TSAN static uint64_t live();
  // Frees the nodes of a run that was abandoned halfway. REQUIRES: no array with nodes is used (or
  // destroyed) afterwards.
  FS_NO_TSAN static void reclaim_all();
};

}  // namespace daxfs::lib
