// fuzz/prog/world.cc - guesses about what a program's variables refer to.
#include "fuzz/prog/world.h"

#include <algorithm>

#include "fuzz/prog/names.h"

namespace daxfuzz::prog {
namespace {

// Ranges that are longer or start later are taken to overlap everything.
constexpr int64_t kFar = int64_t{1} << 45;

bool in_reach(int64_t offset, int64_t length) { return offset >= 0 && offset < kFar && length >= 0 && length < kFar; }

void count_binding(uint8_t& bindings) {
  if (bindings < 255) { bindings++; }
}

}  // namespace

World::World(const Program& program) {
  set_mount(program.mount);
  for (const Process& process : program.processes) {
    const auto index = static_cast<uint8_t>(&process - program.processes.data());
    for (const Op& op : process.init) { apply(index, op); }
  }
  for (const Task& task : program.tasks) {
    for (const Op& op : task.ops) { apply(task.process, op); }
  }
}

void World::set_mount(std::string_view options) { huge_size_ = huge_bytes(options); }

void World::propagate(const Program& program) {
  World again = *this;
  for (const Task& task : program.tasks) {
    for (const Op& op : task.ops) { again.apply(task.process, op); }
  }
  for (size_t process = 0; process < kProcessesMax; process++) {
    for (size_t slot = 0; slot < kFdSlots; slot++) { fds_[process][slot].files = again.fds_[process][slot].files; }
    for (size_t slot = 0; slot < kMappingSlots; slot++) {
      mappings_[process][slot].files = again.mappings_[process][slot].files;
    }
  }
}

size_t World::file_index(uint8_t path) { return path < kPathString ? path_pool()[path].same_as : 63; }

void World::grow(uint8_t process, uint8_t fd, int64_t end) {
  if (fd >= kFdSlots || fds_[process][fd].bindings == 0 || end < 0 || end > (int64_t{64} << 20)) { return; }
  int64_t& size = sizes_[file_index(fds_[process][fd].path)];
  size = std::max(size, end);
}

void World::apply(uint8_t process, const Op& op) {
  const OpInfo& info = op.info();
  if (info.has(OperandKind::kPath)) { files_used_ |= file_bit(op.path); }
  if (info.has(OperandKind::kPath2)) {
    files_used_ |= file_bit(op.path2);
    linked_ |= file_bit(op.path) | file_bit(op.path2);
  }
  switch (op.code) {
    case OpCode::kOpen:
    case OpCode::kDup: {
      if (op.result == kNoSlot) { return; }
      const bool dup = op.code == OpCode::kDup;
      if (dup && op.fd == kBadFd) { return; }
      const FdGuess from =
          dup ? fds_[process][op.fd] : FdGuess{.path = op.path, .flags = op.flags, .files = file_bit(op.path)};
      FdGuess& fd = fds_[process][op.result];
      count_binding(fd.bindings);
      fd.path = from.path;
      fd.flags = from.flags;
      fd.files |= from.files;
      return;
    }
    case OpCode::kSetFl:
      if (op.fd != kBadFd) {
        uint32_t& flags = fds_[process][op.fd].flags;
        flags = (flags & ~kODirect) | (op.flags & kODirect);
      }
      return;
    case OpCode::kMmap: {
      const FdGuess from = op.fd == kBadFd ? FdGuess() : fds_[process][op.fd];
      // A fixed mapping is also found through the variable that its address is given by.
      if (op.at.kind == MemoryKind::kMapping) {
        MappingGuess& over = mappings_[process][op.at.slot];
        over.bindings = 255;
        over.files |= from.files;
      }
      if (op.result == kNoSlot) { return; }
      MappingGuess& mapping = mappings_[process][op.result];
      count_binding(mapping.bindings);
      mapping.prot = op.prot;
      mapping.path = from.path;
      mapping.offset = op.offset;
      mapping.length = op.length;
      mapping.files |= from.files;
      return;
    }
    case OpCode::kMremap: {
      const MappingGuess from =
          op.addr.kind == MemoryKind::kMapping ? mappings_[process][op.addr.slot] : MappingGuess();
      for (const uint8_t slot : {op.result, op.at.kind == MemoryKind::kMapping ? op.at.slot : kNoSlot}) {
        if (slot == kNoSlot) { continue; }
        MappingGuess& mapping = mappings_[process][slot];
        const FileSet files = mapping.files | from.files;
        mapping = from;
        mapping.files = files;
        mapping.length = op.length2;
        mapping.bindings = 255;
      }
      return;
    }
    case OpCode::kFtruncate: return grow(process, op.fd, op.length);
    case OpCode::kFallocate:
    case OpCode::kPwrite:
    case OpCode::kIoSubmitPwrite:
      if (in_reach(op.offset, op.length)) { grow(process, op.fd, op.offset + op.length); }
      return;
    default: return;
  }
}

bool World::may_copy_onto_itself(uint8_t process, const Op& op) const {
  const bool asynchronous = op.code == OpCode::kIoSubmitPread || op.code == OpCode::kIoSubmitPwrite;
  const bool buffered = op.code == OpCode::kRead || op.code == OpCode::kWrite || op.code == OpCode::kPread ||
                        op.code == OpCode::kPwrite || asynchronous;
  if (!buffered || op.buffer.kind != MemoryKind::kMapping || op.fd == kBadFd) { return false; }
  const MappingGuess& mapping = mappings_[process][op.buffer.slot];
  const FileSet file = fds_[process][op.fd].files;
  const bool same = (file & mapping.files) != 0 || ((file & linked_) != 0 && (mapping.files & linked_) != 0);
  if (!same) { return false; }
  const bool positioned = op.code == OpCode::kPread || op.code == OpCode::kPwrite || asynchronous;
  const bool append = (fds_[process][op.fd].flags & kOAppend) != 0;
  if (!positioned || append || mapping.bindings != 1 || !in_reach(op.offset, op.length) ||
      !in_reach(mapping.offset, 0) || op.buffer.offset > kFar || op.buffer.offset < -kFar) {
    return true;
  }
  const int64_t buffer_begin = mapping.offset + op.buffer.offset;
  return buffer_begin < op.offset + op.length && op.offset < buffer_begin + op.length;
}

bool avoid_self_copies(Program& program) {
  bool any = false;
  for (const Task& task : program.tasks) {
    for (const Op& op : task.ops) { any |= op.buffer.kind == MemoryKind::kMapping; }
  }
  for (const Process& process : program.processes) {
    for (const Op& op : process.init) { any |= op.buffer.kind == MemoryKind::kMapping; }
  }
  if (!any) { return false; }
  World world(program);
  // A dup, mmap or mremap may have been read before the operation that binds its source: once more
  // for the file sets.
  world.propagate(program);
  bool changed = false;
  auto repair = [&](uint8_t process, std::vector<Op>& ops) {
    for (Op& op : ops) {
      if (!world.may_copy_onto_itself(process, op)) { continue; }
      const bool source = op.info().has(OperandKind::kSource);
      op.buffer = Memory{.kind = MemoryKind::kAnonymous, .fill = static_cast<uint8_t>(source ? 0x5a : 0)};
      changed = true;
    }
  };
  for (Process& process : program.processes) {
    repair(static_cast<uint8_t>(&process - program.processes.data()), process.init);
  }
  for (Task& task : program.tasks) { repair(task.process, task.ops); }
  return changed;
}

}  // namespace daxfuzz::prog
