#include "fuzz/exec/interpreter.h"

#include <algorithm>
#include <cstring>

#include "fs/base/crc32c.h"
#include "fs/rt/engine.h"
#include "fs/vfs/abi.h"

namespace daxfuzz::exec {
namespace {

constexpr unsigned kReclaimPages = 16;  // that one `reclaim` looks at

using daxfs::Errc;
using daxfs::Result;
using daxfs::Status;
using daxfs::VirtAddr;
using prog::MemoryKind;
using prog::OpCode;

// An address that no mapping ever has: beyond what Mm hands out, below the end of user space.
constexpr uint64_t kBadAddress = uint64_t{1} << 46;
// What an unset mapping variable holds.
constexpr uint64_t kUnsetAddress = 0;

// Bytes [first, first + bytes.size()) of the pattern.
void fill(std::span<std::byte> bytes, const prog::Memory& source, uint64_t first = 0) {
  if (source.pattern == prog::Pattern::kFill) {
    std::memset(bytes.data(), source.fill, bytes.size());
    return;
  }
  // In stretches where (i >> 8) stays: a loop of plain additions, which compilers turn into vector code.
  for (size_t i = 0; i < bytes.size();) {
    const uint64_t at = first + i;
    const size_t stretch = std::min<size_t>(bytes.size() - i, 256 - at % 256);
    const uint8_t base = prog::sequence_byte(source.fill, at);
    auto* const out = reinterpret_cast<uint8_t*>(bytes.data() + i);
    for (size_t k = 0; k < stretch; ++k) { out[k] = static_cast<uint8_t>(base + k); }
    i += stretch;
  }
}

oracle::Signal signal_of(daxfs::mm::Signal signal) {
  switch (signal) {
    case daxfs::mm::Signal::kNone: return oracle::Signal::kNone;
    case daxfs::mm::Signal::kSegvMaperr: return oracle::Signal::kSegvMaperr;
    case daxfs::mm::Signal::kSegvAccerr: return oracle::Signal::kSegvAccerr;
    case daxfs::mm::Signal::kBusAdrerr: return oracle::Signal::kBusAdrerr;
    case daxfs::mm::Signal::kBusMceerr: return oracle::Signal::kBusMceerr;
    case daxfs::mm::Signal::kKilled: return oracle::Signal::kKilled;
  }
  return oracle::Signal::kNone;
}

}  // namespace

void mix_result(const oracle::OpRecord& record) {
  daxfs::rt::trace_mix(static_cast<uint64_t>(record.ret) ^ static_cast<uint64_t>(record.error) << 40 ^
                       static_cast<uint64_t>(record.signal) << 52 ^ record.data_hash);
}

uint64_t fnv1a64(std::span<const std::byte> bytes) {
  uint64_t hash = 0xcbf29ce484222325;
  for (const std::byte b : bytes) { hash = (hash ^ std::to_integer<uint64_t>(b)) * 0x100000001b3; }
  return hash;
}

std::span<std::byte> Arena::take(size_t size) {
  if (chunk_ == nullptr) { chunk_ = std::make_unique_for_overwrite<std::byte[]>(kChunk); }
  if (used_ + size > kChunk) {
    large_.push_back(std::make_unique_for_overwrite<std::byte[]>(size));
    return {large_.back().get(), size};
  }
  std::byte* at = chunk_.get() + used_;
  used_ += (size + 15) / 16 * 16;
  return {at, size};
}

// One call on its way: resolved operands, and where the answer goes.
struct Interpreter::Call {
  ProcessState& state;
  const prog::Op& op;
  oracle::OpRecord& record;
  const prog::Program& program;

  daxfs::vfs::Process& process() const { return *state.process; }
  std::string_view path() const { return program.path_text(op.path); }
  std::string_view path2() const { return program.path_text(op.path2); }
  uint64_t length() const { return static_cast<uint64_t>(op.length); }

  // Read once, when the operation begins: the record and the call mean the same descriptor.
  int fd() const { return record.fd; }
  VirtAddr address(const prog::Memory& memory) const {
    switch (memory.kind) {
      case MemoryKind::kMapping: {
        const uint64_t base = state.mapping(memory.slot);
        return VirtAddr(base + static_cast<uint64_t>(memory.offset));
      }
      case MemoryKind::kBad: return VirtAddr(kBadAddress);
      case MemoryKind::kNone:
      case MemoryKind::kAnonymous: break;
    }
    return VirtAddr(kUnsetAddress);
  }

  void done(int64_t value) {
    record.ret = value;
    record.error = Errc::kOk;
  }
  void answer(const Status& status) {
    record.ret = status.ok() ? 0 : -1;
    record.error = status.error();
  }
  template <typename T>
  void answer(const Result<T>& result) {
    record.error = result.error();
    record.ret = result.ok() ? static_cast<int64_t>(*result) : -1;
  }
  void answer_address(const Result<VirtAddr>& result) {
    record.error = result.error();
    record.ret = result.ok() ? static_cast<int64_t>(result->value()) : -1;
  }
  void set_data(std::span<const std::byte> bytes) {
    record.data = bytes;
    record.data_hash = daxfs::crc32c(0xffffffff, bytes.data(), bytes.size());
  }
  void note_file(int number) {
    record.fd = number;
    const auto inode = process().inode_of(number, &record.open_flags);
    if (!inode.ok()) { return; }
    record.ino = (*inode)->ino().value();
    record.generation = (*inode)->generation();
    record.dax = (*inode)->is_dax();
  }
};

void Interpreter::step(ProcessState& process, const prog::Op& op, oracle::OpRecord& record,
                       daxfs::FunctionRef<void()> before_call) {
  Call call{process, op, record, program_};
  record.op = &op;
  call.process().fs().wake_daemons();
  if (op.info().has(prog::OperandKind::kFd)) { call.note_file(op.fd != prog::kBadFd ? process.fd(op.fd) : -1); }
  record.address = call.address(op.addr).value();
  record.buffer_address = call.address(op.buffer).value();
  before_call();
  switch (op.code) {
    case OpCode::kOpen:
    case OpCode::kClose:
    case OpCode::kDup:
    case OpCode::kLseek:
    case OpCode::kSetFl: return run_file_call(call);
    case OpCode::kRead:
    case OpCode::kWrite:
    case OpCode::kPread:
    case OpCode::kPwrite: return run_transfer(call);
    case OpCode::kFtruncate:
    case OpCode::kTruncate:
    case OpCode::kFallocate:
    case OpCode::kFsync:
    case OpCode::kFdatasync:
    case OpCode::kSync:
    case OpCode::kDropCaches:
    case OpCode::kFiemap:
    case OpCode::kSetXflags:
    case OpCode::kSetFlags:
    case OpCode::kMemoryFailure:
    case OpCode::kReclaim: return run_space_call(call);
    case OpCode::kMmap:
    case OpCode::kMunmap:
    case OpCode::kMremap:
    case OpCode::kMprotect:
    case OpCode::kMadvise:
    case OpCode::kMsync: return run_memory_call(call);
    case OpCode::kLoad:
    case OpCode::kStore: return run_access(call);
    case OpCode::kTouch: return run_touch(call);
    case OpCode::kProcessVmReadv: return run_process_vm_readv(call);
    case OpCode::kIoSubmitPread:
    case OpCode::kIoSubmitPwrite: return run_io_submit(call);
    case OpCode::kIoGetevents: return run_io_getevents(call);
    default: return run_name_call(call);
  }
}

void Interpreter::run_file_call(Call& call) {
  const prog::Op& op = call.op;
  switch (op.code) {
    case OpCode::kOpen:
    case OpCode::kDup: {
      const auto fd = op.code == OpCode::kOpen ? call.process().open(call.path(), op.flags, op.mode)
                                               : call.process().dup(call.fd());
      call.answer(fd);
      if (fd.ok()) { call.note_file(*fd); }
      if (op.result != prog::kNoSlot) { call.state.set_fd(op.result, fd.ok() ? *fd : -1); }
      return;
    }
    case OpCode::kClose: return call.answer(call.process().close(call.fd()));
    case OpCode::kSetFl: {
      // As who asks F_GETFL first, and changes one flag: O_APPEND stays.
      const auto now = call.process().getfl(call.fd());
      if (!now.ok()) { return call.answer(now); }
      const uint32_t append = *now & prog::kOAppend;
      return call.answer(call.process().setfl(call.fd(), (op.flags & ~prog::kOAppend) | append));
    }
    default: return call.answer(call.process().lseek(call.fd(), op.offset, op.flags));
  }
}

void Interpreter::run_transfer(Call& call) {
  const prog::Op& op = call.op;
  const bool write = op.code == OpCode::kWrite || op.code == OpCode::kPwrite;
  const bool positioned = op.code == OpCode::kPread || op.code == OpCode::kPwrite;
  auto& process = call.process();
  const int fd = call.fd();
  VirtAddr address = call.address(op.buffer);
  // A count that no memory of ours could hold is passed on as it is: only its checks can matter.
  const bool sane = op.length >= 0;
  // A write stops for want of space before it has read a source that is larger than the device.
  const uint64_t longest =
      write ? std::min(kTransferMax, process.fs().device().size() + daxfs::kPmdSize) : kTransferMax;
  const uint64_t length = sane ? std::min<uint64_t>(call.length(), longest) : call.length();
  const auto transfer = [&](VirtAddr at) {
    if (write) { return positioned ? process.pwrite(fd, at, length, op.offset) : process.write(fd, at, length); }
    return positioned ? process.pread(fd, at, length, op.offset) : process.read(fd, at, length);
  };
  if (op.buffer.kind != MemoryKind::kAnonymous || !sane) { return call.answer(transfer(address)); }

  const auto bytes = arena_.take(length);
  if (write) { fill(bytes, op.buffer); }
  Result<uint64_t> moved = uint64_t{0};
  bool known = true;
  if (!call.record.dax && call.record.ino != 0) {
    // Direct I/O looks at the address and pins the pages: memory of the process.
    const uint64_t misalignment = static_cast<uint64_t>(op.buffer.offset);
    const uint64_t area =
        std::max<uint64_t>(daxfs::round_up(length + misalignment, daxfs::kPageSize), daxfs::kPageSize);
    const auto mapped = process.mmap(VirtAddr(0), area, daxfs::mm::kProtRead | daxfs::mm::kProtWrite,
                                     daxfs::vfs::kMmapPrivate | daxfs::vfs::kMmapAnonymous, -1, 0);
    if (!mapped.ok()) { return call.answer(mapped.status()); }
    address = *mapped + misalignment;
    // Short of memory, or unmapped by another task already: the caller would never get as far as the call.
    const bool ready = !write || process.store(address, bytes).bytes_done == bytes.size();
    moved = ready ? transfer(address) : Result<uint64_t>(Errc::kNoMem);
    if (!write && moved.ok()) {
      // Another task may have unmapped the scratch memory meanwhile: then nobody can say what arrived.
      const uint64_t wanted = std::min<uint64_t>(*moved, length);
      const uint64_t loaded = process.load(address, bytes.first(wanted)).bytes_done;
      std::memset(bytes.data() + loaded, 0, wanted - loaded);
      known = loaded == wanted;
    }
    process.munmap(*mapped, area).ignore_error("a scratch mapping; leaks show in the audit");
  } else if (write) {
    moved = positioned ? process.pwrite_bytes(fd, bytes, op.offset) : process.write_bytes(fd, bytes);
  } else {
    moved = positioned ? process.pread_bytes(fd, bytes, op.offset) : process.read_bytes(fd, bytes);
  }
  call.answer(moved);
  if (!write && moved.ok() && known) { call.set_data(bytes.first(*moved)); }
}

// The record is what the event will lead back to. Its memory stays until then.
void Interpreter::run_io_submit(Call& call) {
  const prog::Op& op = call.op;
  oracle::OpRecord& record = call.record;
  const bool write = op.code == OpCode::kIoSubmitPwrite;
  auto& process = call.process();
  VirtAddr address = call.address(op.buffer);
  const bool sane = op.length >= 0;
  const uint64_t length = sane ? std::min<uint64_t>(call.length(), kTransferMax) : call.length();
  if (op.buffer.kind == MemoryKind::kAnonymous && sane && record.ino != 0) {
    const uint64_t misalignment = static_cast<uint64_t>(op.buffer.offset);
    record.scratch_size =
        std::max<uint64_t>(daxfs::round_up(length + misalignment, daxfs::kPageSize), daxfs::kPageSize);
    const auto mapped = process.mmap(VirtAddr(0), record.scratch_size, daxfs::mm::kProtRead | daxfs::mm::kProtWrite,
                                     daxfs::vfs::kMmapPrivate | daxfs::vfs::kMmapAnonymous, -1, 0);
    if (!mapped.ok()) { return call.answer(mapped.status()); }
    record.scratch = mapped->value();
    address = *mapped + misalignment;
    if (write) {
      const auto bytes = arena_.take(length);
      fill(bytes, op.buffer);
      if (process.store(address, bytes).bytes_done != bytes.size()) {
        process.munmap(*mapped, record.scratch_size).ignore_error("a scratch mapping; leaks show in the audit");
        return call.answer(Status(Errc::kNoMem));
      }
    }
  }
  const Status begun =
      process.io_submit(write, call.fd(), address, length, op.offset, reinterpret_cast<uint64_t>(&record));
  if (begun.ok()) { return; }  // the event says the rest, and may have come already
  if (record.scratch != 0) {
    process.munmap(VirtAddr(record.scratch), record.scratch_size)
        .ignore_error("a scratch mapping; leaks show in the audit");
  }
  call.answer(begun);
}

size_t Interpreter::collect_events(ProcessState& state, size_t wanted, uint64_t* hash) {
  auto& process = *state.process;
  const auto events = process.io_getevents(wanted);
  for (const daxfs::vfs::AioEvent& event : events) {
    oracle::OpRecord& record = *reinterpret_cast<oracle::OpRecord*>(event.data);
    record.error = event.error;
    record.ret = event.error == Errc::kOk ? static_cast<int64_t>(event.bytes) : -1;
    const bool read = record.op->code == OpCode::kIoSubmitPread;
    if (record.scratch != 0) {
      if (read && record.ret > 0) {
        const auto bytes = arena_.take(event.bytes);
        const VirtAddr from(record.scratch + static_cast<uint64_t>(record.op->buffer.offset));
        // Short only where another task unmapped it: then nobody can say what arrived.
        if (process.load(from, bytes).bytes_done == bytes.size()) {
          record.data = bytes;
          record.data_hash = daxfs::crc32c(0xffffffff, bytes.data(), bytes.size());
        }
      }
      process.munmap(VirtAddr(record.scratch), record.scratch_size)
          .ignore_error("a scratch mapping; leaks show in the audit");
    }
    record.collected_seq = __atomic_add_fetch(sequence_, 1, __ATOMIC_RELAXED);
    *hash = *hash * 31 +
            (static_cast<uint64_t>(record.ret) ^ static_cast<uint64_t>(record.error) << 40 ^ record.data_hash << 8);
  }
  return events.size();
}

void Interpreter::run_io_getevents(Call& call) {
  if (call.op.length < 0) { return call.answer(Status(Errc::kInval)); }
  uint64_t hash = 0;
  const size_t taken = collect_events(call.state, static_cast<size_t>(call.op.length), &hash);
  call.done(static_cast<int64_t>(taken));
  call.record.data_hash = hash;
}

void Interpreter::run_space_call(Call& call) {
  const prog::Op& op = call.op;
  auto& process = call.process();
  switch (op.code) {
    case OpCode::kFtruncate: return call.answer(process.ftruncate(call.fd(), op.length));
    case OpCode::kTruncate: return call.answer(process.truncate(call.path(), op.length));
    case OpCode::kFallocate: return call.answer(process.fallocate(call.fd(), op.flags, op.offset, op.length));
    case OpCode::kFsync: return call.answer(process.fsync(call.fd()));
    case OpCode::kFdatasync: return call.answer(process.fdatasync(call.fd()));
    case OpCode::kSync: return call.answer(process.sync());
    case OpCode::kReclaim: return call.done(process.fs().reclaim(kReclaimPages));
    case OpCode::kSetXflags: return call.answer(process.setxflags(call.fd(), op.flags));
    case OpCode::kSetFlags: return call.answer(process.setflags(call.fd(), op.flags));
    case OpCode::kMemoryFailure: {
      std::vector<daxfs::mm::FrameUser> users;
      const Status failed = process.memory_failure(call.fd(), static_cast<uint64_t>(op.offset), &users);
      call.answer(failed);
      // What a result line shows: each mapping that the page was taken from.
      const auto bytes = arena_.take(users.size() * sizeof(oracle::FailureRow));
      std::byte* at = bytes.data();
      for (const auto& user : users) {
        const oracle::FailureRow row = {user.process, user.address.value(), user.order};
        std::memcpy(at, row.data(), sizeof(row));
        at += sizeof(row);
      }
      return call.set_data(bytes);
    }
    case OpCode::kFiemap: {
      const auto extents = process.fiemap(call.fd(), static_cast<uint64_t>(op.offset), call.length());
      if (!extents.ok()) { return call.answer(extents.status()); }
      // What a result line shows: [logical, physical, length, unwritten, last] of each extent, as bytes.
      const auto bytes = arena_.take(extents->size() * sizeof(oracle::FiemapRow));
      std::byte* at = bytes.data();
      for (const auto& extent : *extents) {
        const oracle::FiemapRow row = {extent.logical, extent.physical, extent.length, extent.unwritten, extent.last};
        std::memcpy(at, row.data(), sizeof(row));
        at += sizeof(row);
      }
      call.done(static_cast<int64_t>(extents->size()));
      return call.set_data(bytes);
    }
    default: process.drop_caches(); return call.done(0);
  }
}

void Interpreter::run_name_call(Call& call) {
  const prog::Op& op = call.op;
  auto& process = call.process();
  const auto attributes = [&](const Result<daxfs::ext4::InodeAttributes>& result) {
    call.answer(result.status());
    if (!result.ok()) { return; }
    call.record.ino = result->ino.value();
    call.record.generation = result->generation;
    // What a result line shows of stat: mode, links, size, sectors.
    const uint64_t row[4] = {result->mode, result->links, result->size, result->sectors};
    const auto bytes = arena_.take(sizeof(row));
    std::memcpy(bytes.data(), row, sizeof(row));
    call.set_data(bytes);
  };
  const auto text = [&](std::string_view value) {
    const auto bytes = arena_.take(value.size());
    std::memcpy(bytes.data(), value.data(), value.size());
    call.done(static_cast<int64_t>(value.size()));
    call.set_data(bytes);
  };
  switch (op.code) {
    case OpCode::kRename: return call.answer(process.rename(call.path(), call.path2(), op.flags));
    case OpCode::kLink: return call.answer(process.link(call.path(), call.path2()));
    case OpCode::kSymlink: return call.answer(process.symlink(call.path(), call.path2()));
    case OpCode::kUnlink: return call.answer(process.unlink(call.path()));
    case OpCode::kMkdir: return call.answer(process.mkdir(call.path(), op.mode));
    case OpCode::kRmdir: return call.answer(process.rmdir(call.path()));
    case OpCode::kStat: return attributes(process.stat(call.path()));
    case OpCode::kLstat: return attributes(process.lstat(call.path()));
    case OpCode::kFstat: return attributes(process.fstat(call.fd()));
    case OpCode::kReadlink: {
      const auto target = process.readlink(call.path());
      return target.ok() ? text(*target) : call.answer(target.status());
    }
    case OpCode::kStatfs: {
      const auto stats = process.statfs(call.path());
      call.answer(stats.status());
      if (stats.ok()) { call.record.space = {stats->blocks_free, stats->blocks_available, stats->files_free}; }
      return;
    }
    case OpCode::kGetdents: {
      const auto entries = process.getdents(call.fd());
      if (!entries.ok()) { return call.answer(entries.status()); }
      std::string names;
      for (const auto& entry : *entries) { names += entry.name + '\n'; }
      text(names);
      return call.done(static_cast<int64_t>(entries->size()));
    }
    default: return call.answer(Status(Errc::kNoSys));
  }
}

void Interpreter::run_memory_call(Call& call) {
  const prog::Op& op = call.op;
  auto& process = call.process();
  const VirtAddr address = call.address(op.addr);
  switch (op.code) {
    case OpCode::kMmap: {
      const auto mapped = process.mmap(call.address(op.at), call.length(), op.prot, op.flags, call.fd(),
                                       static_cast<uint64_t>(op.offset));
      call.answer_address(mapped);
      if (op.result != prog::kNoSlot) {
        call.state.set_mapping(op.result, mapped.ok() ? mapped->value() : kUnsetAddress);
      }
      return;
    }
    case OpCode::kMremap: {
      const auto moved =
          process.mremap(address, call.length(), static_cast<uint64_t>(op.length2), op.flags, call.address(op.at));
      call.answer_address(moved);
      if (op.result != prog::kNoSlot && moved.ok()) { call.state.set_mapping(op.result, moved->value()); }
      return;
    }
    case OpCode::kMunmap: return call.answer(process.munmap(address, call.length()));
    case OpCode::kMprotect: return call.answer(process.mprotect(address, call.length(), op.prot));
    case OpCode::kMadvise: {
      daxfs::mm::AccessResult signal;
      call.answer(process.madvise(address, call.length(), op.flags, &signal));
      if (!signal.ok()) {
        call.record.signal = signal_of(signal.signal);
        call.record.fault_offset = static_cast<int64_t>(signal.fault_address - address);
      }
      return;
    }
    default: return call.answer(process.msync(address, call.length(), op.flags));
  }
}

namespace {

void answer_access(oracle::OpRecord& record, const daxfs::mm::AccessResult& result, uint64_t address) {
  record.signal = signal_of(result.signal);
  record.ret = static_cast<int64_t>(result.bytes_done);
  if (!result.ok()) { record.fault_offset = static_cast<int64_t>(result.fault_address.value() - address); }
}

}  // namespace

void Interpreter::run_access(Call& call) {
  const uint64_t length = std::min<uint64_t>(call.length(), kTransferMax);
  const VirtAddr address = call.address(call.op.addr);
  if (call.op.code == OpCode::kStore) { return run_store(call, address, length); }
  const auto bytes = arena_.take(length);
  const auto result = call.process().load(address, bytes);
  answer_access(call.record, result, address.value());
  call.set_data(bytes.first(result.bytes_done));
}

void Interpreter::run_process_vm_readv(Call& call) {
  if (call.op.length < 0) { return call.answer(Status(Errc::kInval)); }
  const auto bytes = arena_.take(std::min<uint64_t>(call.length(), kTransferMax));
  const auto moved = call.process().process_vm_readv(call.address(call.op.addr), bytes);
  call.answer(moved);
  if (moved.ok()) { call.set_data(bytes.first(*moved)); }
}

// In pieces: a store far beyond its mapping ends at the first page that is not there.
void Interpreter::run_store(Call& call, VirtAddr address, uint64_t length) {
  constexpr uint64_t kPiece = 16 * daxfs::kPageSize;
  daxfs::mm::AccessResult total;
  for (uint64_t done = 0; done < length && total.ok(); done += kPiece) {
    const auto bytes = arena_.take(std::min(kPiece, length - done));
    fill(bytes, call.op.buffer, done);
    const auto result = call.process().store(address + done, bytes);
    total.bytes_done += result.bytes_done;
    total.signal = result.signal;
    total.fault_address = result.fault_address;
  }
  answer_access(call.record, total, address.value());
}

void Interpreter::run_touch(Call& call) {
  const VirtAddr address = call.address(call.op.addr);
  const uint64_t length = std::min<uint64_t>(call.length(), kTransferMax);
  const std::byte value{call.op.buffer.fill};
  uint64_t pages = 0;
  for (uint64_t offset = 0; offset < length; offset += daxfs::kPageSize, ++pages) {
    const auto result = call.process().store(address + offset, std::span(&value, 1));
    if (!result.ok()) {
      answer_access(call.record, result, address.value());
      break;
    }
  }
  call.record.ret = static_cast<int64_t>(pages);
}

}  // namespace daxfuzz::exec
