// fs/vfs/process.h - a process: descriptors, an address space, and its system calls.
//
// Every call returns what Linux 6.1 returns for ext4 -o dax, order of checks included; where that
// kernel is plainly wrong the call does the sane thing (docs/known-gaps.md lists where). The caller
// is root; the working directory is the root. Numbers of flags are Linux's (abi.h).
//
// Kernel: fs/{open,read_write,namei,stat,sync,ioctl}.c, mm/{mmap,msync,madvise}.c.
// Locking: any number of tasks may call into one process. All calls YIELD; fsync, msync(MS_SYNC),
// sync and O_SYNC PERSIST. Tested by: fs/vfs/syscalls_test.cc, fs/vfs/semantics_test.cc.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "fs/base/result.h"
#include "fs/ext4/dir.h"
#include "fs/ext4/file_map.h"
#include "fs/ext4/inode.h"
#include "fs/ext4/namei.h"
#include "fs/io/user_buffer.h"
#include "fs/mm/mm.h"
#include "fs/mm/rmap.h"
#include "fs/rt/spinlock.h"
#include "fs/vfs/aio.h"
#include "fs/vfs/fd_table.h"
#include "fs/vfs/filesystem.h"

namespace daxfs::vfs {

class Process {
 public:
  // `mm` lets a harness reuse address spaces between runs; null: one of its own.
  explicit Process(Filesystem& fs, mm::Mm* mm = nullptr);
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;
  ~Process();

  // Waits for asynchronous requests, closes descriptors and unmaps everything; must be called before the process dies.
  // YIELDS.
  void exit();

  mm::Mm& mm() { return *mm_; }
  Filesystem& fs() { return fs_; }

  // --- descriptors (file_calls.cc)
  Result<int> open(std::string_view path, uint32_t flags, uint16_t mode = 0644);
  Status close(int fd);
  Result<int> dup(int fd);
  // fcntl(F_GETFL), fcntl(F_SETFL): of append, direct, noatime.
  Result<uint32_t> getfl(int fd);
  Status setfl(int fd, uint32_t flags);
  Result<uint64_t> read(int fd, VirtAddr buffer, uint64_t length);
  Result<uint64_t> write(int fd, VirtAddr buffer, uint64_t length);
  Result<uint64_t> pread(int fd, VirtAddr buffer, uint64_t length, int64_t offset);
  Result<uint64_t> pwrite(int fd, VirtAddr buffer, uint64_t length, int64_t offset);
  Result<int64_t> lseek(int fd, int64_t offset, uint32_t whence);
  // For callers inside the process of the library, whose memory is not simulated.
  Result<uint64_t> read_bytes(int fd, std::span<std::byte> out);
  Result<uint64_t> write_bytes(int fd, std::span<const std::byte> bytes);
  Result<uint64_t> pread_bytes(int fd, std::span<std::byte> out, int64_t offset);
  Result<uint64_t> pwrite_bytes(int fd, std::span<const std::byte> bytes, int64_t offset);

  // --- asynchronous reads and writes (aio_calls.cc)
  // Starts a pread or pwrite. The buffer and the descriptor's file stay in use until the request is over; `data` comes
  // back with its event. Only direct I/O is left in flight; anything else is over when the call returns. Errors: kBadf,
  // kInval, kFault, kAgain if AioContext::kRequestsMax are in flight or not collected; what goes wrong later is in the
  // event. YIELDS.
  Status io_submit(bool write, int fd, VirtAddr buffer, uint64_t length, int64_t offset, uint64_t data);
  // Takes the events of requests that are over, at most `wanted` (0: all), and waits for more until it has that many or
  // nothing is in flight (where Linux would sleep for ever). YIELDS.
  std::vector<AioEvent> io_getevents(size_t wanted);

  // --- sizes and space (space_calls.cc)
  Status ftruncate(int fd, int64_t length);
  Status truncate(std::string_view path, int64_t length);
  Status fallocate(int fd, uint32_t mode, int64_t offset, int64_t length);
  Status fsync(int fd);
  Status fdatasync(int fd);
  Status sync();
  void drop_caches() { fs_.drop_caches(); }
  Result<std::vector<ext4::FiemapExtent>> fiemap(int fd, uint64_t start, uint64_t length);
  // FS_IOC_FSSETXATTR, FS_IOC_SETFLAGS; only the second can change between extents and a block map.
  Status setxflags(int fd, uint32_t xflags);
  Status setflags(int fd, uint32_t flags);

  // --- names (name_calls.cc)
  Status rename(std::string_view from, std::string_view to, uint32_t flags = 0);
  Status link(std::string_view from, std::string_view to);
  Status symlink(std::string_view target, std::string_view path);
  Result<std::string> readlink(std::string_view path);
  Status unlink(std::string_view path);
  Status mkdir(std::string_view path, uint16_t mode = 0755);
  Status rmdir(std::string_view path);
  Result<ext4::InodeAttributes> stat(std::string_view path);
  Result<ext4::InodeAttributes> lstat(std::string_view path);
  Result<ext4::InodeAttributes> fstat(int fd);
  Result<ext4::StatFs> statfs(std::string_view path);
  // All entries, or none when the position is the end (INT64_MAX); the position moves there.
  Result<std::vector<ext4::DirEntry>> getdents(int fd);

  // --- memory (memory_calls.cc, remote_memory.cc)
  Result<VirtAddr> mmap(VirtAddr addr, uint64_t length, uint32_t prot, uint32_t flags, int fd, uint64_t offset);
  Status munmap(VirtAddr addr, uint64_t length);
  Result<VirtAddr> mremap(VirtAddr addr, uint64_t old_length, uint64_t new_length, uint32_t flags, VirtAddr new_addr);
  Status mprotect(VirtAddr addr, uint64_t length, uint32_t prot);
  // `signal` (may be null) hears of the SIGBUS that MADV_HWPOISON sends this process besides succeeding.
  Status madvise(VirtAddr addr, uint64_t length, uint32_t advice, mm::AccessResult* signal = nullptr);
  Status msync(VirtAddr addr, uint64_t length, uint32_t flags);
  // No system call but an accident: the memory behind the page of the file at `offset` goes bad, now, and the kernel
  // hears of it as from a machine check. `users` (may be null): the mappings whose processes are sent SIGBUS. Errors:
  // kBadf; kOpNotSupp if not a regular DAX file; kNxio over a hole or an unwritten extent; kBusy if the page is in no
  // tree: bad it is all the same.
  Status memory_failure(int fd, uint64_t offset, std::vector<mm::FrameUser>* users = nullptr);
  // process_vm_readv(2) of the own process, with one range each and no limit but out's size. Errors: kFault when not
  // even the first byte could be had; later bytes that cannot be had end it early. YIELDS.
  Result<uint64_t> process_vm_readv(VirtAddr addr, std::span<std::byte> out);
  mm::AccessResult load(VirtAddr addr, std::span<std::byte> out) { return mm_->load(addr, out); }
  mm::AccessResult store(VirtAddr addr, std::span<const std::byte> bytes) { return mm_->store(addr, bytes); }

  // Inode of an open descriptor, and the flags of its open file: for harnesses that must know which file a call met.
  Result<ext4::InodeRef> inode_of(int fd, uint32_t* open_flags = nullptr);

 private:
  AioContext& aio();
  Result<FileRef> aio_file(bool write, int fd, io::IovBuffer& buffer, int64_t offset);
  Status check_transfer(const io::IovBuffer& buffer, uint64_t pos) const;
  Result<FileRef> open_existing(ext4::InodeRef inode, uint32_t flags, bool created);
  Result<int> open_unnamed(std::string_view path, uint32_t flags, uint16_t mode);
  Result<ext4::OpenedName> open_create(std::string_view path, uint32_t flags, uint16_t mode);
  Result<uint64_t> read_at(File& file, io::IovBuffer& buffer, uint64_t* pos);
  Result<uint64_t> write_at(File& file, io::IovBuffer& buffer, uint64_t* pos);
  Status sync_fd(int fd, bool datasync);
  Status inject_memory_error(VirtAddr addr, uint64_t length, uint32_t advice, mm::AccessResult* signal);
  Status madvise_range(VirtAddr addr, uint64_t length, uint32_t advice);
  Status madvise_remove(VirtAddr addr, uint64_t length);
  Status check_mapped(VirtAddr begin, VirtAddr end);

  Filesystem& fs_;
  std::unique_ptr<mm::Mm> owned_mm_;
  mm::Mm* mm_;
  FdTable fds_;
  rt::SpinLock aio_lock_{rt::Rank::kLeaf, "aio"};
  rt::Shared<std::unique_ptr<AioContext>, "ioctx"> aio_ FS_GUARDED_BY(aio_lock_);  // made by the first io_submit
};

}  // namespace daxfs::vfs
