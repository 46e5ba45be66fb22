// fs/ext4/flusher.cc - the flusher's list, and one round of it.
#include "fs/ext4/flusher.h"

#include "fs/base/report.h"
#include "fs/ext4/inode.h"
#include "fs/ext4/writepages.h"
#include "fs/mm/folio.h"
#include "fs/rt/trace.h"

namespace daxfs::ext4 {

using Flag = WritebackState::Flag;

void Flusher::append_locked(Inode& inode) {
  inode.writeback.set(Flag::kQueued);
  inode.writeback.next = nullptr;
  Inode* last = first_;
  if (last == nullptr) {
    first_ = &inode;
    return;
  }
  while (last->writeback.next != nullptr) { last = last->writeback.next; }
  last->writeback.next = &inode;
}

void Flusher::remove_locked(Inode& inode) {
  if (!inode.writeback.has(Flag::kQueued)) { return; }
  inode.writeback.clear(Flag::kQueued);
  if (first_ == &inode) {
    first_ = inode.writeback.next.get();
    return;
  }
  Inode* before = first_;
  while (before->writeback.next != &inode) { before = before->writeback.next; }
  before->writeback.next = inode.writeback.next.get();
}

// Whoever makes a page dirty marks the tree before it comes to note_dirty. It may be between the two: then it finds
// that the inode is known as dirty, and leaves the list to us.
void Flusher::requeue_locked(Inode& inode) {
  WritebackState& state = inode.writeback;
  if (!inode.mapping().i_pages.marked(mm::kPageDirty)) {
    state.clear(Flag::kDirtyPages);
    remove_locked(inode);
  } else if (!state.has(Flag::kFreeing)) {
    state.set(Flag::kDirtyPages);
    if (!state.has(Flag::kQueued)) { append_locked(inode); }
  }
}

void Flusher::note_dirty(Inode& inode) {
  const rt::SpinGuard guard(lock_);
  WritebackState& state = inode.writeback;
  if (state.has(Flag::kDirtyPages) || state.has(Flag::kFreeing)) { return; }
  state.set(Flag::kDirtyPages);
  if (!state.has(Flag::kSync)) { append_locked(inode); }  // else finish() does
}

void Flusher::sync_inode(Inode& inode) {
  done_.wait_event([&] {
    const rt::SpinGuard guard(lock_);
    if (inode.writeback.has(Flag::kSync)) { return false; }
    requeue_locked(inode);
    return true;
  });
}

void Flusher::forget(Inode& inode) {
  FS_TRACE_SCOPE("inode_wait_for_writeback", inode_ref(inode.ino()));
  done_.wait_event([&] {
    const rt::SpinGuard guard(lock_);
    inode.writeback.set(Flag::kFreeing);
    remove_locked(inode);
    return !inode.writeback.has(Flag::kSync);
  });
}

bool Flusher::listed(const Inode& inode) const { return (inode.writeback.flags.peek() & Flag::kQueued) != 0; }
bool Flusher::writing(const Inode& inode) const { return (inode.writeback.flags.peek() & Flag::kSync) != 0; }

Inode* Flusher::take_oldest() {
  const rt::SpinGuard guard(lock_);
  Inode* const inode = first_;
  if (inode == nullptr) { return nullptr; }
  remove_locked(*inode);
  inode->writeback.set(Flag::kSync);
  return inode;
}

// What is dirty, still or again, goes to the young end.
void Flusher::finish(Inode& inode) {
  {
    const rt::SpinGuard guard(lock_);
    requeue_locked(inode);
    inode.writeback.clear(Flag::kSync);
  }
  done_.wake_all();  // the inode may be gone
}

size_t Flusher::count() {
  const rt::SpinGuard guard(lock_);
  size_t inodes = 0;
  for (const Inode* inode = first_; inode != nullptr; inode = inode->writeback.next) { ++inodes; }
  return inodes;
}

void Flusher::run() {
  FS_TRACE_SCOPE("wb_workfn", {});
  uint32_t left = pages_;
  // One round: those that come back to the list meanwhile have had their turn.
  for (size_t inodes = count(); inodes != 0 && left != 0; --inodes) {
    Inode* const inode = take_oldest();
    if (inode == nullptr) { return; }
    left -= write_some_pages(*inode, &inode->writeback.next_page, left);
    finish(*inode);
  }
}

}  // namespace daxfs::ext4
