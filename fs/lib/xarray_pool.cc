// fs/lib/xarray_pool.cc - memory of XArray nodes: blocks of them where no sanitizer looks, else a list of live ones.
//
// Locking: fiber flavour: one OS thread, no point inside, so plain data; FS_NO_TSAN because
//   switches do not synchronise. Native flavour: the allocator's own.
#include "fs/lib/xarray_node.h"

namespace daxfs::lib {

#if defined(DAXFS_RT_FIBER)

namespace {

template <unsigned kShift>
struct Lists {
  XaNode<kShift>* live = nullptr;  // kept under a sanitizer only
  XaNode<kShift>* free = nullptr;  // not kept there
  uint64_t live_count = 0;
  struct Block {
    XaNode<kShift> nodes[32];
    Block* next;
  };
  Block* blocks = nullptr;  // never freed: arrays may die after static objects
};

template <unsigned kShift>
Lists<kShift> g_lists;

}  // namespace

#if defined(DAXFS_ASAN) || defined(DAXFS_TSAN)

// ASan must see a node die; TSan must see that two uses of its memory are unrelated. Both learn
// that from delete only.
template <unsigned kShift>
FS_NO_TSAN XaNode<kShift>* XaNodePool<kShift>::allocate() {
  Lists<kShift>& lists = g_lists<kShift>;
  Node* node = new Node();
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
  delete node;
}

template <unsigned kShift>
FS_NO_TSAN void XaNodePool<kShift>::reclaim_all() {
  while (g_lists<kShift>.live != nullptr) { free(g_lists<kShift>.live); }
}

#else

// A free node is as if it had just been constructed, but for the pool's own words.
template <unsigned kShift>
XaNode<kShift>* XaNodePool<kShift>::allocate() {
  Lists<kShift>& lists = g_lists<kShift>;
  if (lists.free == nullptr) {
    lists.blocks = new typename Lists<kShift>::Block{{}, lists.blocks};
    for (Node& node : lists.blocks->nodes) {
      node.pool_next = lists.free;
      lists.free = &node;
    }
  }
  Node* node = lists.free;
  lists.free = node->pool_next;
  __builtin_prefetch(lists.free, 1);  // one node is seldom asked for alone
  node->pool_live = true;
  ++lists.live_count;
  return node;
}

template <unsigned kShift>
void XaNodePool<kShift>::free(Node* node) {
  Lists<kShift>& lists = g_lists<kShift>;
  node->clear();
  node->pool_live = false;
  node->pool_next = lists.free;
  lists.free = node;
  --lists.live_count;
}

template <unsigned kShift>
void XaNodePool<kShift>::reclaim_all() {
  for (auto* block = g_lists<kShift>.blocks; block != nullptr; block = block->next) {
    for (Node& node : block->nodes) {
      if (node.pool_live) { free(&node); }
    }
  }
}

#endif

template <unsigned kShift>
FS_NO_TSAN uint64_t XaNodePool<kShift>::live() {
  return g_lists<kShift>.live_count;
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
