// props/kernel_calls.cc - operations as real system calls, and what is left of a tree.
#include "props/kernel_calls.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include <dirent.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

namespace daxfuzz::props {
namespace {

using prog::MemoryKind;
using prog::Op;
using prog::OpCode;

constexpr uint64_t kTransferMax = uint64_t{64} << 20;  // exec::kTransferMax
constexpr uint64_t kBadAddress = uint64_t{1} << 46;
constexpr uint64_t kBase = uint64_t{1} << 44;  // from a simulated address to a real one; nothing else lives there
constexpr size_t kArenaSize = kTransferMax + (1 << 16);

sigjmp_buf g_jump;
volatile sig_atomic_t g_armed = 0;
siginfo_t g_info;

void on_signal(int signal, siginfo_t* info, void*) {
  if (g_armed == 0) { _exit(100 + signal); }
  g_info = *info;
  if (g_armed == 2) { return; }  // comes with a call, which goes on
  siglongjmp(g_jump, 1);
}

uint64_t hash(const void* bytes, size_t size) { return hash_of(std::span(static_cast<const std::byte*>(bytes), size)); }

// The child: variables of the program, and one operation after another.
class Child {
 public:
  Child(const prog::Program& program, std::span<const uint64_t> addresses, int drop_caches, Answer* answers)
      : program_(program), addresses_(addresses), answers_(answers), drop_caches_(drop_caches) {
    fds_.fill(-1);
    arena_ = static_cast<std::byte*>(
        mmap(nullptr, kArenaSize, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
  }

  void run() {
    struct sigaction action = {};
    action.sa_sigaction = on_signal;
    action.sa_flags = SA_SIGINFO | SA_NODEFER;
    sigaction(SIGBUS, &action, nullptr);
    sigaction(SIGSEGV, &action, nullptr);
    for (const Op& op : program_.processes[0].init) { step(op); }
    for (const Op& op : program_.tasks[0].ops) { step(op); }
  }

 private:
  std::string path(uint8_t operand) const { return std::string(program_.path_text(operand)); }
  int fd(const Op& op) const { return op.fd == prog::kBadFd ? -1 : fds_[op.fd]; }
  uint64_t address(const prog::Memory& memory) const {
    switch (memory.kind) {
      case MemoryKind::kMapping: return mappings_[memory.slot] + static_cast<uint64_t>(memory.offset);
      case MemoryKind::kBad: return kBadAddress;
      case MemoryKind::kNone:
      case MemoryKind::kAnonymous: break;
    }
    return 0;
  }
  void answer(int64_t ret) {
    answers_->ret = ret < 0 ? -1 : ret;
    answers_->error = ret < 0 ? errno : 0;
  }
  void answer_address(void* mapped) {
    answers_->ret = mapped == MAP_FAILED ? -1 : 0;
    answers_->error = mapped == MAP_FAILED ? errno : 0;
  }

  void step(const Op& op) {
    errno = 0;
    run_op(op);
    answers_->done = true;
    ++answers_;
    addresses_ = addresses_.subspan(1);
  }

  void run_op(const Op& op) {  // NOLINT(readability-function-size): a table
    const int at = AT_FDCWD;
    switch (op.code) {
      case OpCode::kOpen: {
        const int opened = static_cast<int>(syscall(SYS_openat, at, path(op.path).c_str(), op.flags, op.mode));
        answer(opened);
        if (op.result != prog::kNoSlot) { fds_[op.result] = opened; }
        return;
      }
      case OpCode::kDup: {
        const int copied = dup(fd(op));
        answer(copied);
        if (op.result != prog::kNoSlot) { fds_[op.result] = copied; }
        return;
      }
      case OpCode::kClose: return answer(close(fd(op)));
      case OpCode::kSetFl: {
        const int now = fcntl(fd(op), F_GETFL);
        const int kept = now < 0 ? 0 : now & O_APPEND;
        return answer(fcntl(fd(op), F_SETFL, static_cast<int>(op.flags & ~uint32_t{O_APPEND}) | kept));
      }
      case OpCode::kLseek: return answer(lseek(fd(op), op.offset, static_cast<int>(op.flags)));
      case OpCode::kRead:
      case OpCode::kWrite:
      case OpCode::kPread:
      case OpCode::kPwrite: return transfer(op);
      case OpCode::kFtruncate: return answer(ftruncate(fd(op), op.length));
      case OpCode::kTruncate: return answer(truncate(path(op.path).c_str(), op.length));
      case OpCode::kFallocate: return answer(fallocate(fd(op), static_cast<int>(op.flags), op.offset, op.length));
      case OpCode::kFsync: return answer(fsync(fd(op)));
      case OpCode::kFdatasync: return answer(fdatasync(fd(op)));
      case OpCode::kRename:
        return answer(syscall(SYS_renameat2, at, path(op.path).c_str(), at, path(op.path2).c_str(), op.flags));
      case OpCode::kLink: return answer(link(path(op.path).c_str(), path(op.path2).c_str()));
      case OpCode::kSymlink: return answer(symlink(path(op.path).c_str(), path(op.path2).c_str()));
      case OpCode::kReadlink: {
        char target[4096];
        const ssize_t size = readlink(path(op.path).c_str(), target, sizeof(target));
        answer(size);
        if (size >= 0) { answers_->data_hash = hash(target, static_cast<size_t>(size)); }
        return;
      }
      case OpCode::kUnlink: return answer(unlink(path(op.path).c_str()));
      case OpCode::kMkdir: return answer(mkdir(path(op.path).c_str(), op.mode));
      case OpCode::kRmdir: return answer(rmdir(path(op.path).c_str()));
      case OpCode::kStat:
      case OpCode::kLstat:
      case OpCode::kFstat: return attributes(op);
      case OpCode::kStatfs: {
        struct statfs stats;
        return answer(statfs(path(op.path).c_str(), &stats));
      }
      case OpCode::kGetdents: return getdents(op);
      case OpCode::kMmap: {
        // Only a hint, unless the program says fixed: then it is the program's own address.
        const bool fixed = (op.flags & (prog::kMapFixed | prog::kMapFixedNoReplace)) != 0;
        const uint64_t hint = !fixed && addresses_[0] != 0 ? addresses_[0] + kBase : address(op.at);
        void* mapped =
            reinterpret_cast<void*>(syscall(SYS_mmap, hint, op.length, op.prot, op.flags, fd(op), op.offset));
        answer_address(mapped);
        if (op.result != prog::kNoSlot) {
          mappings_[op.result] = mapped == MAP_FAILED ? 0 : reinterpret_cast<uint64_t>(mapped);
        }
        return;
      }
      case OpCode::kMremap: {
        void* moved = reinterpret_cast<void*>(
            syscall(SYS_mremap, address(op.addr), op.length, op.length2, op.flags, address(op.at)));
        answer_address(moved);
        void* const wanted = reinterpret_cast<void*>(addresses_[0] + kBase);
        if (moved != MAP_FAILED && addresses_[0] != 0 && moved != wanted) {
          moved = mremap(moved, static_cast<size_t>(op.length2), static_cast<size_t>(op.length2),
                         MREMAP_MAYMOVE | MREMAP_FIXED, wanted);
        }
        if (op.result != prog::kNoSlot && moved != MAP_FAILED) {
          mappings_[op.result] = reinterpret_cast<uint64_t>(moved);
        }
        return;
      }
      case OpCode::kMunmap: return answer(syscall(SYS_munmap, address(op.addr), op.length));
      case OpCode::kMprotect: return answer(syscall(SYS_mprotect, address(op.addr), op.length, op.prot));
      case OpCode::kMadvise: return madvise(op);
      case OpCode::kMsync: return answer(syscall(SYS_msync, address(op.addr), op.length, op.flags));
      case OpCode::kLoad:
      case OpCode::kStore: return access(op);
      case OpCode::kTouch: return touch(op);
      case OpCode::kProcessVmReadv: return process_vm_readv(op);
      case OpCode::kFiemap: return list_extents(op);
      case OpCode::kSetXflags: {
        fsxattr attributes = {};
        attributes.fsx_xflags = op.flags;
        return answer(ioctl(fd(op), FS_IOC_FSSETXATTR, &attributes));
      }
      case OpCode::kSetFlags: {
        int flags = static_cast<int>(op.flags);
        return answer(ioctl(fd(op), FS_IOC_SETFLAGS, &flags));
      }
      case OpCode::kDropCaches:
        if (drop_caches_ >= 0) { [[maybe_unused]] const ssize_t n = ::write(drop_caches_, "3", 1); }
        return answer(0);
      case OpCode::kIoSubmitPread:
      case OpCode::kIoSubmitPwrite: return submit(op);
      case OpCode::kIoGetevents: {
        if (op.length < 0) {
          errno = EINVAL;
          return answer(-1);
        }
        const int64_t taken = op.length == 0 ? aio_over_ : std::min(op.length, aio_over_);
        aio_over_ -= taken;
        return answer(taken);
      }
      case OpCode::kSync: return sync();
      default: return answer(0);
    }
  }

  void madvise(const Op& op) {
    g_armed = 2;
    g_info = {};
    const long done = syscall(SYS_madvise, address(op.addr), op.length, op.flags);
    g_armed = 0;
    answer(done);
    if (g_info.si_signo == 0) { return; }
    answers_->signal = g_info.si_signo;
    answers_->code = g_info.si_code;
    answers_->fault_offset = static_cast<int64_t>(reinterpret_cast<uint64_t>(g_info.si_addr) - address(op.addr));
  }

  void list_extents(const Op& op) {
    constexpr uint32_t kExtentsMax = 2048;
    alignas(fiemap) static std::byte area[sizeof(struct fiemap) + kExtentsMax * sizeof(fiemap_extent)];
    std::memset(area, 0, sizeof(struct fiemap));
    auto* const map = reinterpret_cast<struct fiemap*>(area);
    map->fm_start = static_cast<uint64_t>(op.offset);
    map->fm_length = static_cast<uint64_t>(op.length);
    map->fm_flags = FIEMAP_FLAG_SYNC;
    map->fm_extent_count = kExtentsMax;
    const int done = ioctl(fd(op), FS_IOC_FIEMAP, map);
    answer(done);
    if (done != 0) { return; }
    std::vector<MappedRange> extents;
    for (uint32_t i = 0; i < map->fm_mapped_extents; ++i) {
      const fiemap_extent& extent = map->fm_extents[i];
      const bool unwritten = (extent.fe_flags & FIEMAP_EXTENT_UNWRITTEN) != 0;
      extents.push_back({extent.fe_logical, extent.fe_length, unwritten ? 1u : 0u});
    }
    answers_->data_hash = layout_hash(extents, static_cast<uint64_t>(op.offset), static_cast<uint64_t>(op.length));
  }

  // Begun and waited for: the program's own waiting only counts.
  void submit(const Op& op) {
    const bool write = op.code == OpCode::kIoSubmitPwrite;
    if (aio_ == 0) { syscall(SYS_io_setup, 8, &aio_); }
    if (aio_over_ == 8) {
      errno = EAGAIN;
      return answer(-1);
    }
    const size_t length = transfer_length(op);
    void* buffer = buffer_of(op, length, write);
    iocb request = {};
    request.aio_lio_opcode = write ? IOCB_CMD_PWRITE : IOCB_CMD_PREAD;
    request.aio_fildes = static_cast<uint32_t>(fd(op));
    request.aio_buf = reinterpret_cast<uint64_t>(buffer);
    request.aio_nbytes = length;
    request.aio_offset = op.offset;
    iocb* list[1] = {&request};
    const long begun = syscall(SYS_io_submit, aio_, 1L, list);
    if (begun != 1) { return answer(begun); }
    io_event event = {};
    syscall(SYS_io_getevents, aio_, 1L, 1L, &event, nullptr);
    ++aio_over_;
    errno = event.res < 0 ? static_cast<int>(-event.res) : 0;
    answer(event.res);
    const bool own = op.buffer.kind == MemoryKind::kAnonymous && op.length >= 0;
    if (own && !write && event.res >= 0) { answers_->data_hash = hash(buffer, static_cast<size_t>(event.res)); }
  }

  static size_t transfer_length(const Op& op) {
    return op.length >= 0 ? static_cast<size_t>(std::min<uint64_t>(static_cast<uint64_t>(op.length), kTransferMax))
                          : static_cast<size_t>(op.length);
  }
  void* buffer_of(const Op& op, size_t length, bool write) {
    if (op.buffer.kind != MemoryKind::kAnonymous || op.length < 0) {
      return reinterpret_cast<void*>(address(op.buffer));
    }
    void* const buffer = arena_ + op.buffer.offset;
    if (write) { fill(static_cast<std::byte*>(buffer), length, op.buffer); }
    return buffer;
  }
  void sync() {
    if (drop_caches_ >= 0) { ::sync(); }  // else it is everybody's machine
    answer(0);
  }

  void transfer(const Op& op) {
    const bool write = op.code == OpCode::kWrite || op.code == OpCode::kPwrite;
    const bool positioned = op.code == OpCode::kPread || op.code == OpCode::kPwrite;
    const size_t length = transfer_length(op);
    void* const buffer = buffer_of(op, length, write);
    const bool own = op.buffer.kind == MemoryKind::kAnonymous && op.length >= 0;
    long moved = 0;
    if (positioned) {
      moved = syscall(write ? SYS_pwrite64 : SYS_pread64, fd(op), buffer, length, op.offset);
    } else {
      moved = syscall(write ? SYS_write : SYS_read, fd(op), buffer, length);
    }
    answer(moved);
    if (own && !write && moved >= 0) { answers_->data_hash = hash(buffer, static_cast<size_t>(moved)); }
  }

  void process_vm_readv(const Op& op) {
    const bool sane = op.length >= 0;
    const size_t length = sane ? static_cast<size_t>(std::min<uint64_t>(static_cast<uint64_t>(op.length), kTransferMax))
                               : static_cast<size_t>(op.length);
    const iovec local = {arena_, length};
    const iovec remote = {reinterpret_cast<void*>(address(op.addr)), length};
    const long moved = syscall(SYS_process_vm_readv, getpid(), &local, 1UL, &remote, 1UL, 0UL);
    answer(moved);
    if (moved >= 0) { answers_->data_hash = hash(arena_, static_cast<size_t>(moved)); }
  }

  static void fill(std::byte* bytes, size_t size, const prog::Memory& source) {
    for (size_t i = 0; i < size; ++i) {
      bytes[i] = std::byte{source.pattern == prog::Pattern::kFill ? source.fill : prog::sequence_byte(source.fill, i)};
    }
  }

  void attributes(const Op& op) {
    struct stat st = {};
    int ret = 0;
    switch (op.code) {
      case OpCode::kStat: ret = stat(path(op.path).c_str(), &st); break;
      case OpCode::kLstat: ret = lstat(path(op.path).c_str(), &st); break;
      default: ret = fstat(fd(op), &st); break;
    }
    answer(ret);
    if (ret != 0) { return; }
    // Sectors depend on the allocator; a directory's size on its index.
    const uint64_t row[3] = {st.st_mode, st.st_nlink, S_ISDIR(st.st_mode) ? 0 : static_cast<uint64_t>(st.st_size)};
    answers_->data_hash = hash(row, sizeof(row));
  }

  void getdents(const Op& op) {
    std::vector<std::string> names;
    char buffer[4096];
    for (;;) {
      const long size = syscall(SYS_getdents64, fd(op), buffer, sizeof(buffer));
      if (size < 0) { return answer(size); }
      if (size == 0) { break; }
      for (long at = 0; at < size;) {
        uint16_t record = 0;
        std::memcpy(&record, buffer + at + 16, sizeof(record));
        names.emplace_back(buffer + at + 19);
        at += record;
      }
    }
    answer(static_cast<int64_t>(names.size()));
    answers_->data_hash = names_hash(names);
  }

  bool guarded_byte(uint64_t at, bool store, std::byte* value) {
    g_armed = 1;
    if (sigsetjmp(g_jump, 0) != 0) {
      g_armed = 0;
      answers_->signal = g_info.si_signo;
      answers_->code = g_info.si_code;
      return false;
    }
    volatile std::byte* byte = reinterpret_cast<volatile std::byte*>(at);
    if (store) {
      *byte = *value;
    } else {
      *value = *byte;
    }
    g_armed = 0;
    return true;
  }

  void access(const Op& op) {
    const bool store = op.code == OpCode::kStore;
    const uint64_t length = std::min<uint64_t>(static_cast<uint64_t>(op.length), kTransferMax);
    const uint64_t begin = address(op.addr);
    if (store) { fill(arena_, length, op.buffer); }
    uint64_t i = 0;
    while (i < length && guarded_byte(begin + i, store, &arena_[i])) { ++i; }
    answers_->ret = static_cast<int64_t>(i);
    if (i < length) { answers_->fault_offset = static_cast<int64_t>(i); }
    if (!store) { answers_->data_hash = hash(arena_, i); }
  }

  void touch(const Op& op) {
    const uint64_t length = std::min<uint64_t>(static_cast<uint64_t>(op.length), kTransferMax);
    const uint64_t begin = address(op.addr);
    std::byte value{op.buffer.fill};
    int64_t pages = 0;
    for (uint64_t i = 0; i < length; i += 4096, ++pages) {
      if (!guarded_byte(begin + i, true, &value)) {
        answers_->fault_offset = static_cast<int64_t>(i);
        break;
      }
    }
    answers_->ret = pages;
  }

  const prog::Program& program_;
  std::span<const uint64_t> addresses_;
  Answer* answers_;
  int drop_caches_;
  aio_context_t aio_ = 0;
  int64_t aio_over_ = 0;  // requests whose events the program has not taken
  std::array<int, prog::kFdSlots> fds_;
  std::array<uint64_t, prog::kMappingSlots> mappings_{};
  std::byte* arena_ = nullptr;
};

uint64_t file_hash(const std::string& path, uint64_t size) {
  std::vector<std::byte> bytes(std::min(size, kTreeContentsMax));
  const int fd = open(path.c_str(), O_RDONLY);
  const ssize_t got = fd < 0 ? -1 : read(fd, bytes.data(), bytes.size());
  if (fd >= 0) { close(fd); }
  return got < 0 ? 1 : hash(bytes.data(), static_cast<size_t>(got));
}

void walk(const std::string& root, const std::string& below, Tree* tree) {
  DIR* dir = opendir((root + below).c_str());
  if (dir == nullptr) { return; }
  while (const dirent* entry = readdir(dir)) {
    const std::string name = entry->d_name;
    if (name == "." || name == "..") { continue; }
    const std::string path = below + "/" + name;
    struct stat st;
    if (lstat((root + path).c_str(), &st) != 0) { continue; }
    TreeEntry& out = (*tree)[path];
    out.links = st.st_nlink;
    if (S_ISDIR(st.st_mode)) {
      out.type = 'd';
      walk(root, path, tree);
    } else if (S_ISLNK(st.st_mode)) {
      out.type = 'l';
      char target[4096];
      const ssize_t size = readlink((root + path).c_str(), target, sizeof(target));
      out.size = static_cast<uint64_t>(st.st_size);
      out.contents_hash = hash(target, static_cast<size_t>(std::max<ssize_t>(size, 0)));
    } else if (S_ISREG(st.st_mode)) {
      out.type = 'f';
      out.size = static_cast<uint64_t>(st.st_size);
      out.contents_hash = file_hash(root + path, out.size);
    } else {
      out.type = 'c';
    }
  }
  closedir(dir);
}

}  // namespace

uint64_t hash_of(std::span<const std::byte> bytes) {
  uint64_t hash = 0xcbf29ce484222325;
  for (const std::byte b : bytes) { hash = (hash ^ std::to_integer<uint64_t>(b)) * 0x100000001b3; }
  return hash;
}

uint64_t names_hash(std::vector<std::string> names) {
  std::sort(names.begin(), names.end());
  std::string text;
  for (const std::string& name : names) { text += name + '\n'; }
  return hash(text.data(), text.size());
}

uint64_t layout_hash(const std::vector<MappedRange>& extents, uint64_t begin, uint64_t length) {
  begin = begin / 4096 * 4096;
  const uint64_t end = begin + length < begin ? UINT64_MAX : begin + length;
  std::vector<MappedRange> joined;
  for (MappedRange extent : extents) {
    const uint64_t to = std::min(extent.logical + extent.length, end == UINT64_MAX ? end : (end + 4095) / 4096 * 4096);
    extent.logical = std::max(extent.logical, begin);
    if (extent.logical >= to) { continue; }
    extent.length = to - extent.logical;
    MappedRange* const last = joined.empty() ? nullptr : &joined.back();
    if (last != nullptr && last->logical + last->length == extent.logical && last->unwritten == extent.unwritten) {
      last->length += extent.length;
    } else {
      joined.push_back(extent);
    }
  }
  return hash(joined.data(), joined.size() * sizeof(MappedRange));
}

size_t count_operations(const prog::Program& program) {
  return program.processes[0].init.size() + program.tasks[0].ops.size();
}

void run_calls(const prog::Program& program, std::span<const uint64_t> addresses, int drop_caches, Answer* answers) {
  umask(0);
  signal(SIGXFSZ, SIG_IGN);
  Child(program, addresses, drop_caches, answers).run();
}

Tree read_tree(const std::string& root) {
  Tree tree;
  walk(root, "", &tree);
  return tree;
}

}  // namespace daxfuzz::props
