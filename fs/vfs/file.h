// fs/vfs/file.h - an open file description: what descriptors and mappings share.
//
// Kernel: struct file; its mapping side is vm_file and vm_ops.
// Locking: pos_lock guards the position (kernel: f_pos_lock) and is taken before every inode lock; flags are atomic.
// Lifetime: counted; the last put releases the inode and may evict it.
// Tested by: fs/vfs/syscalls_test.cc.
#pragma once

#include <cstdint>
#include <utility>

#include "fs/base/compiler.h"
#include "fs/ext4/file_rw.h"
#include "fs/ext4/inode_cache.h"
#include "fs/mm/errseq.h"
#include "fs/mm/vma.h"
#include "fs/rt/atomic.h"
#include "fs/rt/mutex.h"
#include "fs/rt/refcount.h"
#include "fs/rt/shared.h"
#include "fs/rt/spinlock.h"

namespace daxfs::vfs {

class File final : public mm::VmFile, public ext4::OpenFile {
 public:
  // One reference, the caller's.
  static File* create(ext4::InodeRef inode, uint32_t flags);

  ext4::Inode& inode() const { return *inode_; }
  ext4::InodeRef inode_ref() const { return inode_.dup(); }
  uint32_t flags() const { return flags_.load_unpointed(); }
  // F_SETFL: O_APPEND, O_DIRECT and O_NOATIME as `flags` has them. YIELDS.
  void set_status_flags(uint32_t flags);
  bool readable() const;
  bool writable() const;
  // RwFlags (fs/ext4/file_rw.h) of every read and write through this description.
  unsigned rw_flags() const override;
  // As put(), but false and nothing happens if it is the last one: that may free blocks, and must be able to sleep.
  [[nodiscard]] bool put_unless_last() { return references_.dec_not_one(); }

  // Durability of bytes [start, end], as ext4::sync_file; besides, an error of writeback since this description was
  // opened is told, once. YIELDS. Kernel: vfs_fsync_range, file_check_and_advance_wb_err.
  Status sync(uint64_t start, uint64_t end, bool datasync) override;

  // --- mm::VmFile
  mm::AddressSpace& mapping() override { return inode_->mapping(); }
  mm::FaultResult fault(mm::VmFault& vmf) override;
  mm::FaultResult pfn_mkwrite(mm::VmFault& vmf) override;
  mm::FaultResult huge_fault(mm::VmFault& vmf) override;
  void get() override { references_.inc(); }
  void put() override;
  Status mmap_check(unsigned prot, bool shared, bool sync) override;
  bool may_write() const override { return writable(); }

  rt::Mutex pos_lock;
  rt::Shared<uint64_t, "f_pos"> pos FS_GUARDED_BY(pos_lock) = 0;  // bytes; in a directory INT64_MAX: read to its end

 private:
  File(ext4::InodeRef inode, uint32_t flags);

  ext4::InodeRef inode_;
  rt::Atomic<uint32_t> flags_;
  rt::SpinLock wb_lock_{rt::Rank::kLeaf, "f_wb_err"};
  rt::Shared<mm::ErrSeq::Sample, "f_wb_err"> wb_seen_ FS_GUARDED_BY(wb_lock_);
  rt::RefCount references_;
};

// A counted use of a File.
class [[nodiscard]] FileRef {
 public:
  FileRef() = default;
  FileRef(FileRef&& other) noexcept : file_(std::exchange(other.file_, nullptr)) {}
  FileRef& operator=(FileRef&& other) noexcept {
    std::swap(file_, other.file_);
    return *this;
  }
  FileRef(const FileRef&) = delete;
  FileRef& operator=(const FileRef&) = delete;
  ~FileRef() {
    if (file_ != nullptr) { file_->put(); }
  }
  static FileRef adopt(File* file) {
    FileRef ref;
    ref.file_ = file;
    return ref;
  }
  File& operator*() const { return *file_; }
  File* operator->() const { return file_; }
  File* release() { return std::exchange(file_, nullptr); }

 private:
  File* file_ = nullptr;
};

}  // namespace daxfs::vfs
