// fs/ext4/io_end.cc - the end of a direct request.
#include "fs/ext4/io_end.h"

#include <vector>

#include "fs/base/flags.h"
#include "fs/base/historical.h"
#include "fs/base/raw_lock.h"
#include "fs/base/report.h"
#include "fs/ext4/extents.h"
#include "fs/ext4/file_internal.h"
#include "fs/ext4/file_pages.h"
#include "fs/ext4/fsync.h"
#include "fs/ext4/inode.h"
#include "fs/mm/tree_peek.h"
#include "fs/rt/task.h"
#include "fs/rt/trace.h"

namespace daxfs::ext4 {

namespace {

static_assert(distinct_bits({kRequestConverts, kRequestNeedsWorker}));

// Requests that are over. Their memory stays theirs, so that a mark that comes too late is seen (O13) and hits nobody
// else's.
struct Spare {
  RawLock lock;
  std::vector<IoEnd*> all;
};
Spare& spare() {
  static Spare& instance = *new Spare;
  return instance;
}

bool pointer_in_inode() { return historical(Bug::kIoEndPointerClobber) || historical(Bug::kDeferThroughPointer); }

}  // namespace

IoEnd* IoEnd::begin(Inode& inode, unsigned sync_flags) {
  IoEnd* io_end = nullptr;
  {
    const RawGuard guard(spare().lock);
    if (!spare().all.empty()) {
      io_end = spare().all.back();
      spare().all.pop_back();
    }
  }
  if (io_end == nullptr) { io_end = new IoEnd; }
  io_end->inode_ = &inode;
  io_end->unlock_ = nullptr;
  io_end->flags_ = 0;
  io_end->sync_flags_ = sync_flags & (kRwSync | kRwDataSync);
  io_end->left_in_flight_ = false;
  io_end->drops_pages_ = false;
  io_end->write_ = false;
  io_end->extends_ = false;
  io_end->counted_ = true;
  io_end->alive_ = true;
  io_end->number_ = inode.dio.begin();
  return io_end;
}

void IoEnd::pinned() {
  if (unlock_ != nullptr) { unlock_(*inode_); }
}

uint64_t IoEnd::traced_marks() const {
  return ((flags_ & kUnwritten) != 0 ? kRequestConverts : 0u) | ((flags_ & kDefer) != 0 ? kRequestNeedsWorker : 0u);
}

void IoEnd::mark(uint32_t flag) {
  const uint64_t before = traced_marks();
  flags_ |= flag;
  FS_TRACE_WRITE(request_ref(inode_->ino(), number_), before, traced_marks());
}

// Kernel: ext4_set_io_unwritten_flag; the flag and the count belong together (32c80b32c053).
void IoEnd::mark_unwritten() {
  FS_WARN_ON(!alive_, "O13", about(inode_ref(inode_->ino()), request_ref(inode_->ino(), number_)),
             "inode %u: blocks are to be converted at the end of a request that is over", inode_->ino().value());
  if ((flags_ & kUnwritten) != 0) { return; }
  mark(kUnwritten);
  if (!historical(Bug::kUnwrittenNotCounted)) { inode_->dio.conversion_begin(); }
}

void IoEnd::note_piece(const io::Iomap& iomap) {
  if (iomap.type != io::Iomap::Type::kUnwritten) {
    // Bug kDeferOnFirstPiece: the first piece decided where the request would end.
    if (historical(Bug::kDeferOnFirstPiece) && flags_ == 0) { flags_ |= kFirstPieceSeen; }
    return;
  }
  // Bugs kIoEndPointerClobber, kDeferThroughPointer (2bcba4781fa3, 74dae4278546): found through the inode, where
  // another request may have put itself, or nothing, meanwhile.
  IoEnd* const current = pointer_in_inode() ? inode_->dio.current_io_end() : this;
  IoEnd* const marked = historical(Bug::kIoEndPointerClobber) ? current : this;
  if (marked != nullptr) { marked->mark_unwritten(); }
  if (current != nullptr && (flags_ & kFirstPieceSeen) == 0) { current->mark(kDefer); }
}

bool IoEnd::bios_done() {
  left_in_flight_ = true;
  FS_TRACE_READ(request_ref(inode_->ino(), number_), traced_marks());
  drops_pages_ = drops_pages_ && !mm::has_no_pages(inode_->mapping());  // decided once: in irq context nothing can be
  const bool defer = (flags_ & kDefer) != 0 || sync_flags_ != 0 || drops_pages_;
  // Bug kDioDoneBeforeConversion (266991b13890): the bytes are there, so whoever waits may go on.
  if (defer && historical(Bug::kDioDoneBeforeConversion)) {
    counted_ = false;
    inode_->dio.end();
  }
  return defer;
}

// Kernel: ext4_convert_unwritten_extents, for direct I/O.
Status IoEnd::convert(uint64_t pos, uint64_t size) {
  FS_WARN_ON(rt::current_context() == rt::Context::kIrq, "O12",
             about(inode_ref(inode_->ino()), request_ref(inode_->ino(), number_)),
             "unwritten blocks of inode %u are converted in irq context", inode_->ino().value());
  const LogicalBlock first = internal::block_of(pos);
  const uint32_t count = internal::block_after(pos + size) - first;
  return internal::with_handle(*inode_, [&](jbd2::Handle& handle) -> Status {
    FS_ASSIGN_OR_RETURN(const bool complete, convert_unwritten_extents(handle, *inode_, first, count));
    if (!complete && !inode_->volume().device().watches_owners()) {
      return FS_CORRUPT("inode %u: somebody else freed blocks at %llu", inode_->ino().value(),
                        static_cast<unsigned long long>(pos));
    }
    FS_WARN_ON(!complete, "IE2", about(extent_ref(inode_->ino(), first.value(), count)),
               "inode %u: blocks of a write at %llu are gone before it is over", inode_->ino().value(),
               static_cast<unsigned long long>(pos));
    return ok_status();
  });
}

// Kernel: ext4_dio_write_end_io; of a request that was left in flight also the end of iomap_dio_complete.
Status IoEnd::end_io(uint64_t pos, uint64_t size, Status error) {
  Status status = error;
  FS_TRACE_READ(request_ref(inode_->ino(), number_), traced_marks());
  // Bug kEndIoComparesSizes (619f75d): a truncate that makes the file larger does not wait for requests.
  if (historical(Bug::kEndIoComparesSizes) && write_ && status.ok() && size != 0) {
    FS_WARN_ON(inode_->i_size() < inode_->i_disksize(), "O17",
               about(size_ref(inode_->ino()), disk_size_ref(inode_->ino())),
               "inode %u: a direct write ends, and the size on the medium is the larger one", inode_->ino().value());
  }
  if ((flags_ & kUnwritten) != 0) {
    if (status.ok() && size != 0) {
      // Bug kSizeBeforeConversion (ee70daaba82d): reads come to blocks that are not written yet.
      if (historical(Bug::kSizeBeforeConversion) && extends_) { internal::update_inode_size(*inode_, pos + size); }
      status = convert(pos, size);
    }
    inode_->dio.conversion_end();
  }
  if (drops_pages_ && !caller_ends()) { after_direct_write(*inode_, pos, size); }
  if (left_in_flight_ && sync_flags_ != 0 && status.ok() && size != 0) {
    status = sync_file(*inode_, pos, pos + size - 1, /*datasync=*/(sync_flags_ & kRwSync) == 0);
  }
  return status;
}

void IoEnd::finished() {
  alive_ = false;
  if (counted_ && !caller_ends()) { inode_->dio.end(); }
  const RawGuard guard(spare().lock);
  spare().all.push_back(this);
}

}  // namespace daxfs::ext4
