// fs/lib/xarray.h - a sparse array of words over 64-bit indices whose entries may cover aligned
// power-of-two ranges.
//
// A radix tree: a node has 2^kShift slots and covers 2^(shift + kShift) indices. An entry of order
// n covers 2^n indices. It sits at the level where n fits: its first ("canonical") slot holds it,
// the other slots of its range hold sibling entries that name the canonical slot. Loading any index
// of the range yields the entry.
//
// XaState is a cursor: where the last operation went, so that the next one does not walk from the
// root. A cursor of order n stands for the aligned range around its index, which matters in three
// ways:
//   load()          stops at the cursor's level. If a subtree of smaller entries sits there, the
//                   result is an internal (node) entry: "what you asked for is not one entry". If
//                   it says null, smaller entries may still be in the range: load looks at the
//                   first slot only. Ask find_conflict() instead.
//   store(entry)    replaces the whole range. Inside a larger entry it replaces that entry, whole;
//                   it does not split.
//   find_conflict() the first entry anywhere in the range, of any order.
// After find_conflict() or find() met something below the cursor's level, reset() before store().
//
// Three marks per entry live with the canonical slot; a node's slot is marked if anything below it
// is.
//
// Kernel: lib/xarray.c, include/linux/xarray.h (xas_load, xas_store, xas_find, xas_find_conflict,
//   xas_pause, ...).
// Locking: lock() (rank kXArray) for every change, and for cursors to stay valid: after it was
//   dropped, reset() or pause(). Readers hold it too, unless the array was made with
//   XaReaders::kLockless: then load() and the finds may run under RCU alone, must pass what they
//   got to retry(), and nodes are freed after a grace period.
// Every operation that walks or changes is one scheduling point, before it does; lockless walks
// have one more at each level. The object of the point is the array and the 512 indices around the
// cursor.
// Invariants:
//   XA1  a node's count is its slots that are not null, nr_values those that are values or siblings
//        of one, used which they are.
//   XA2  a slot of a node is marked exactly if something in the child is; null and sibling slots
//        are never marked.
//   XA3  siblings follow their canonical slot without a gap, as an aligned power of two of slots.
//   XA4  no node is empty, child and parent name each other, only leaves have shift 0.
//   XA5  the tree is as low as it can be: a root with one child in slot 0 is replaced by that
//        child.
//   XA6  a store goes to the cursor's level or above; its range stays in one node.
//   XA7  users store null, values, aligned pointers and the zero entry, no other internal entry.
//   XA8  marks are set on entries only: not on null, not on a subtree.
//   XA9  split needs one entry of exactly the order it names.
// Not covered: allocation of free indices (XA_FREE_MARK), failing node allocation, walking
//   backwards.
// Tested by: fs/lib/xarray_test.cc, fs/lib/xarray_model_test.cc, fuzz/bench/xarray_bench.cc.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "fs/base/site.h"
#include "fs/lib/xarray_entry.h"
#include "fs/lib/xarray_node.h"
#include "fs/rt/point.h"
#include "fs/rt/spinlock.h"

namespace daxfs::lib {

enum class XaReaders : uint8_t {
  kLocked,    // everybody takes the lock
  kLockless,  // loads and finds may run under RCU alone
};

template <unsigned kShift>
class XaState;

template <unsigned kShift>
class BasicXArray {
 public:
  using Node = XaNode<kShift>;
  using State = XaState<kShift>;

  // `id` names the array in scheduling points and must be equal in every run of a program; an inode
  // number serves.
  explicit BasicXArray(uint64_t id, XaReaders readers = XaReaders::kLocked);
  BasicXArray() : BasicXArray(next_id()) {}  // numbered in order of construction within a run
  BasicXArray(const BasicXArray&) = delete;
  BasicXArray& operator=(const BasicXArray&) = delete;
  ~BasicXArray();  // frees the nodes; nobody may hold the lock or read

  uint64_t id() const { return id_; }
  rt::SpinLock& lock() FS_RETURN_CAPABILITY(lock_) { return lock_; }
  bool lockless() const { return readers_ == XaReaders::kLockless; }

  // True if nothing is stored. Needs no lock: it is one word.
  bool empty() const { return head().is_null(); }
  // True if any entry carries the mark. Needs no lock.
  bool marked(XaMark mark) const {
    return (__atomic_load_n(&marks_, __ATOMIC_RELAXED) >> static_cast<unsigned>(mark) & 1) != 0;
  }

  // Whole-array operations for callers without a cursor. Each takes the lock (load: RCU if
  // lockless). YIELDS. Reserved indices (zero entries) read as null.
  XEntry load(uint64_t index, Site site = Site::current()) FS_EXCLUDES(lock_);
  // Returns what was at `index` before.
  XEntry store(uint64_t index, XEntry entry, unsigned order = 0, Site site = Site::current()) FS_EXCLUDES(lock_);
  // Removes the entry that covers `index`, with its whole range; returns it.
  XEntry erase(uint64_t index, Site site = Site::current()) FS_EXCLUDES(lock_);
  // On the entry that covers `index`; nothing without one.
  void set_mark(uint64_t index, XaMark mark, Site site = Site::current()) FS_EXCLUDES(lock_);
  void clear_mark(uint64_t index, XaMark mark, Site site = Site::current()) FS_EXCLUDES(lock_);
  bool get_mark(uint64_t index, XaMark mark, Site site = Site::current()) FS_EXCLUDES(lock_);
  // The order of the entry that covers `index`; 0 without one.
  unsigned get_order(uint64_t index, Site site = Site::current()) FS_EXCLUDES(lock_);
  // Calls visit(first index, entry) for each entry that covers an index of [begin, last], in order,
  // under the lock.
  template <typename Visit>
  void for_each(uint64_t begin, uint64_t last, Visit visit, Site site = Site::current()) FS_EXCLUDES(lock_);

  // Smaller entries, or subtrees of them, that stores of a range took away unasked. For findings.
  uint64_t overlaid() const { return overlaid_; }

  // Removes everything.
  void destroy(Site site = Site::current()) FS_EXCLUDES(lock_);

  // XA1..XA5, or what is wrong, in one sentence with node and slot. Not a scheduling point. The
  // caller sees to it that nobody changes the array.
  std::string check() const;
  // The same as an assertion: FS_BUG_ON under the tag of what is wrong.
  void assert_consistent() const;
  // One line an entry or node, for reports. No addresses.
  std::string dump() const;

 private:
  friend class XaState<kShift>;

  static uint64_t next_id();
  XEntry head() const { return XEntry::from_raw(__atomic_load_n(&head_, __ATOMIC_ACQUIRE)); }
  void set_head(XEntry entry) { __atomic_store_n(&head_, entry.raw(), __ATOMIC_RELEASE); }
  void set_root_mark(XaMark mark, bool on);
  void release_node(Node* node);
  void free_subtree(Node* top);
  std::string check_node(const Node* node, const std::string& path) const;
  std::string check_siblings(const Node* node, const std::string& path) const;
  void dump_node(const Node* node, uint64_t base, unsigned depth, std::string* out) const;

  rt::SpinLock lock_{rt::Rank::kXArray, "xa_lock"};
  const uint64_t id_;
  uint64_t head_ = 0;
  uint64_t overlaid_ = 0;
  uint8_t marks_ = 0;
  const XaReaders readers_;
};

// REQUIRES for everything but the getters: lock() held, or an RCU read section of a lockless array
// where it says so.
template <unsigned kShift>
class XaState {
 public:
  using Array = BasicXArray<kShift>;
  using Node = XaNode<kShift>;

  XaState(Array& xa, uint64_t index, unsigned order = 0) : xa_(xa) { set_order(index, order); }

  Array& array() const { return xa_; }
  uint64_t index() const { return index_; }
  unsigned order() const;
  // The first index of the entry at the cursor, after a load, store or find that met one.
  uint64_t first_index() const;

  // Moves the cursor; the next operation walks from the root.
  void set(uint64_t index) {
    index_ = index;
    reset();
  }
  // Stands for the aligned range of 2^order indices around `index`.
  void set_order(uint64_t index, unsigned order);
  // Forgets the place, not the index: for everyone who dropped the lock, or changed the array by
  // another cursor.
  void reset() { place_ = Place::kRestart; }
  // True if `entry`, from a lockless read, is no answer: the cursor was reset (or the index is only
  // reserved); read again.
  bool retry(XEntry entry);
  // Before the lock is dropped inside an iteration: find() goes on after the current entry,
  // whatever happened meanwhile.
  void pause();

  // Reads. May run locklessly.
  XEntry load(Site site = Site::current());
  // The next entry at or after the index (the first time) or after the current entry, that begins
  // at or before `last`. Null at the end. index() is then the entry's first index, or the given
  // index if that lies inside the entry.
  XEntry find(uint64_t last, Site site = Site::current());
  XEntry next_entry(uint64_t last, Site site = Site::current()) { return find(last, site); }
  // The same for entries that carry `mark`; index() is always the entry's first index.
  XEntry find_marked(uint64_t last, XaMark mark, Site site = Site::current());
  XEntry next_marked(uint64_t last, XaMark mark, Site site = Site::current()) { return find_marked(last, mark, site); }
  // The order of the entry at the cursor; 0 for none. Walks there.
  unsigned get_order(Site site = Site::current());

  // Reads that need the lock. The next entry inside the cursor's range, null when there is none
  // (left). index() stays. Begins where the cursor stands: after load() or store() on the same
  // cursor, reset() first.
  XEntry find_conflict(Site site = Site::current());
  // Of the entry at the cursor, after a load, store or find.
  bool get_mark(XaMark mark) const;

  // Changes. Need the lock.
  // Returns what was at the first index of the range. Null erases. Marks of replaced entries pass
  // to the new one.
  XEntry store(XEntry entry, Site site = Site::current());
  void set_mark(XaMark mark, Site site = Site::current());
  void clear_mark(XaMark mark, Site site = Site::current());
  // Clears all marks of the entry at the cursor.
  void init_marks(Site site = Site::current());
  // Replaces the entry of order `from_order` around the index by entries of the cursor's order,
  // each equal to `entry` and with the marks of the old one (XA9). Ends with a reset cursor.
  void split(XEntry entry, unsigned from_order, Site site = Site::current());

 private:
  friend class BasicXArray<kShift>;

  enum class Place : uint8_t {
    kRestart,  // nowhere: start at the root
    kBounds,   // the last step left the array
    kRoot,     // at the head word, which is no node or a node we do not descend into
    kNode,     // at slot offset_ of node_
  };

  static constexpr unsigned kFanout = Node::kFanout;
  static constexpr unsigned kMask = Node::kMask;

  bool at_top() const { return place_ != Place::kNode; }
  bool valid() const { return place_ == Place::kNode || place_ == Place::kRoot; }
  uint64_t size() const { return (uint64_t{sibs_} + 1) << shift_; }

  void point_read(Site site) const;
  bool steps() const;
  void point_step() const;
  void point_write(Site site) const;

  XEntry set_bounds() {
    place_ = Place::kBounds;
    return XEntry::null();
  }
  void set_root() {
    place_ = Place::kRoot;
    node_ = nullptr;
    offset_ = 0;
  }
  void set_node(Node* node, unsigned offset) {
    place_ = Place::kNode;
    node_ = node;
    offset_ = offset;
  }
  void move_index(unsigned offset);
  void skip_unused(uint64_t last);
  void ascend();
  XEntry start();
  XEntry reload() const;
  XEntry to_canonical(Node* node, XEntry sibling, bool steps);
  XEntry descend(XEntry entry, unsigned to);
  XEntry load_inner();
  static unsigned canonical_slot(XEntry sibling);
  unsigned next_marked_slot(XaMark mark, unsigned from);
  unsigned mark_slot() const;
  unsigned order_of(XEntry entry) const;
  bool begin_marked(XaMark mark, XEntry* found);

  int expand(XEntry head);
  Node* allocate(unsigned shift);
  uint64_t max_index() const;
  XEntry create(bool allow_root);
  void store_slots(XEntry entry, XEntry first, int* count, int* values);
  void squash_marks();
  void update_node(int count, int values);
  void delete_node();
  void shrink();
  void set_mark_inner(XaMark mark);
  void clear_mark_inner(XaMark mark);
  void clear_marks_inner();
  void fill_split(Node* node, unsigned first, unsigned slots, XEntry entry, unsigned marks);
  unsigned marks_at(const Node* node, unsigned offset) const;

  Array& xa_;
  uint64_t index_ = 0;
  Node* node_ = nullptr;
  unsigned offset_ = 0;  // slot in node_; may be kFanout: past the last one
  uint8_t shift_ = 0;    // the cursor's level
  uint8_t sibs_ = 0;     // slots of the cursor's range beyond the first
  Place place_ = Place::kRestart;
  // With Bug::kIterRetryKeepsTags only: the marks of leaf number chunk_ as they were.
  uint64_t chunk_ = ~uint64_t{0};
  uint64_t chunk_marks_ = 0;
};

template <unsigned kShift>
template <typename Visit>
void BasicXArray<kShift>::for_each(uint64_t begin, uint64_t last, Visit visit, Site site) {
  rt::SpinGuard guard(lock_, site);
  State xas(*this, begin);
  for (XEntry entry = xas.find(last, site); entry; entry = xas.find(last, site)) { visit(xas.first_index(), entry); }
}

extern template class BasicXArray<6>;
extern template class BasicXArray<2>;
extern template class XaState<6>;
extern template class XaState<2>;
extern template class XaNodePool<6>;
extern template class XaNodePool<2>;

using XArray = BasicXArray<6>;
using XaCursor = XaState<6>;
using SmallXArray = BasicXArray<2>;  // for tests: deep trees with few entries
using SmallXaCursor = XaState<2>;

}  // namespace daxfs::lib
