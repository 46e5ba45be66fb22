// fs/lib/xarray_pool.cc - memory of XArray nodes: a list of live nodes, and a list of free ones
// where no sanitizer looks.
//
// Locking: fiber flavour: one OS thread, no point inside, so plain data; FS_NO_TSAN because
//   switches do not synchronise. Native flavour: the allocator's own.
#include "fs/lib/xarray_node.h"

#include <new>

namespace daxfs::lib {

#if defined(DAXFS_RT_FIBER)

namespace {

// ASan must see a node die; TSan must see that two uses of its memory are unrelated. Both learn
// that from delete only.
#if defined(DAXFS_ASAN) || defined(DAXFS_TSAN)
constexpr bool kReuse = false;
#else
constexpr bool kReuse = true;
#endif

template <unsigned kShift>
struct Lists {
  XaNode<kShift>* live = nullptr;
  XaNode<kShift>* free = nullptr;
  uint64_t live_count = 0;
};

template <unsigned kShift>
Lists<kShift> g_lists;

}  // namespace

template <unsigned kShift>
FS_NO_TSAN XaNode<kShift>* XaNodePool<kShift>::allocate() {
  Lists<kShift>& lists = g_lists<kShift>;
  Node* node = lists.free;
  if (node != nullptr) {
    lists.free = node->pool_next;
    ::new (static_cast<void*>(node)) Node();
  } else {
    node = new Node();
  }
  node->pool_next = lists.live;
  if (lists.live != nullptr) { lists.live->pool_prev = node; }
  lists.live = node;
  ++lists.live_count;
  return node;
}

template <unsigned kShift>
FS_NO_TSAN void XaNodePool<kShift>::free(Node* node) {
  Lists<kShift>& lists = g_lists<kShift>;
  (node->pool_prev != nullptr ? node->pool_prev->pool_next : lists.live) = node->pool_next;
  if (node->pool_next != nullptr) { node->pool_next->pool_prev = node->pool_prev; }
  --lists.live_count;
  if (kReuse) {
    node->pool_next = lists.free;
    lists.free = node;
  } else {
    delete node;
  }
}

template <unsigned kShift>
FS_NO_TSAN uint64_t XaNodePool<kShift>::live() {
  return g_lists<kShift>.live_count;
}

template <unsigned kShift>
FS_NO_TSAN void XaNodePool<kShift>::reclaim_all() {
  while (g_lists<kShift>.live != nullptr) { free(g_lists<kShift>.live); }
}

#else

template <unsigned kShift>
XaNode<kShift>* XaNodePool<kShift>::allocate() {
  return new Node();
}
template <unsigned kShift>
void XaNodePool<kShift>::free(Node* node) {
  delete node;
}
template <unsigned kShift>
uint64_t XaNodePool<kShift>::live() {
  return 0;
}
template <unsigned kShift>
void XaNodePool<kShift>::reclaim_all() {}

#endif

template <unsigned kShift>
void XaNodePool<kShift>::free_rcu(Node* node) {
  rt::call_rcu(node, [](rt::RcuHead* head) { free(static_cast<Node*>(head)); });
}

template class XaNodePool<6>;
template class XaNodePool<2>;

}  // namespace daxfs::lib
