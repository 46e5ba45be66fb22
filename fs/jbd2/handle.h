// fs/jbd2/handle.h - the right to change metadata: one system call's worth of changes to buffers.
//
//   FS_ASSIGN_OR_RETURN(auto handle, jbd2::start(volume.journal(), credits));
//   Status status = [&]() -> Status {
//     FS_ASSIGN_OR_RETURN(auto access, handle.get_write_access(*buffer));
//     access.as<GroupDescriptor>(offset)->bg_flags = ...;
//     return handle.dirty_metadata(*buffer);
//   }();
//   return handle.stop(status);
//
// Kernel: jbd2_journal_start/stop, jbd2_journal_get_write_access, jbd2_journal_dirty_metadata (fs/jbd2/transaction.c).
// Locking: holds rank kHandle from start to the last stop. A handle belongs to the task that started it.
// Invariants:
//   HA1  every started handle is stopped, by the task that started it.
//   HA2  dirty_metadata is called only for buffers with write access in this handle.
// Tested by: fs/jbd2/jbd2_test.cc.
#pragma once

#include <utility>

#include "fs/base/result.h"
#include "fs/base/site.h"
#include "fs/jbd2/buffer.h"
#include "fs/jbd2/journal.h"

namespace daxfs::jbd2 {

// The mutable bytes of a buffer; valid until the handle stops or the block is forgotten.
class WriteAccess {
 public:
  BlockBytes bytes() const { return BlockBytes(buffer_->bytes_); }
  template <typename T>
  T* as(size_t offset = 0) const {
    static_assert(std::is_trivially_copyable_v<T> && alignof(T) == 1);
    return reinterpret_cast<T*>(buffer_->bytes_.data() + offset);
  }

 private:
  friend class Handle;
  explicit WriteAccess(Buffer* buffer) : buffer_(buffer) {}
  Buffer* buffer_;
};

// Starts a handle, or enters the one that this task already runs. `credits`: blocks it may dirty. YIELDS.
// Errors: kRoFs (the journal was aborted).
Result<Handle> start(Journal& journal, unsigned credits, Site site = Site::current());

class [[nodiscard]] Handle {
 public:
  Handle(Handle&& other) noexcept : state_(std::exchange(other.state_, nullptr)) {}
  Handle& operator=(Handle&&) = delete;
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;
  ~Handle();  // asserts HA1

  // The right to change `buffer`, which stays alive until stop. YIELDS. Errors: kRoFs.
  Result<WriteAccess> get_write_access(Buffer& buffer, Site site = Site::current());
  // Says that the bytes changed. A trigger stays with the buffer until another replaces it. Errors: none for now.
  Status dirty_metadata(Buffer& buffer, const ChecksumTrigger& trigger);
  Status dirty_metadata(Buffer& buffer);
  // The block is being freed: nothing that was changed in it will be written (BC3).
  void forget(FsBlock block);
  // Asks for room for `credits` more blocks; may end this handle's atomicity. YIELDS. REQUIRES: not nested, and what
  // was changed so far is consistent on its own. Nothing to do while the journal is off.
  Status extend_or_restart(unsigned credits, Site site = Site::current());

  // Ends this use; the outermost one runs the checksum triggers, writes the changed bytes through and fences. YIELDS.
  // PERSISTS: the blocks that no other running handle is changing. RETURNS `outcome` if that is an error, else the
  // first error of the write. The handle is over in any case.
  [[nodiscard]] Status stop(Status outcome = ok_status(), Site site = Site::current());

  Journal& journal() const;
  bool nested() const;

 private:
  friend Result<Handle> start(Journal& journal, unsigned credits, Site site);
  explicit Handle(HandleState* state) : state_(state) {}
  static bool owns(const HandleState& state, const Buffer& buffer);
  static Status finish(HandleState& state, Site site);
  static Status retire(Buffer& buffer, bool* stored, Site site);
  static Status write_through(Buffer& buffer, bool* stored, Site site);

  HandleState* state_;
};

}  // namespace daxfs::jbd2
