#include "fuzz/oracle/refusals.h"

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>

#include "fs/base/types.h"

namespace daxfuzz::oracle {

using daxfs::Errc;
using daxfs::kPageSize;
using prog::MemoryKind;
using prog::Op;
using prog::OpCode;
using prog::OperandKind;

namespace {

// Null: may succeed. Else what follows "succeeded ".
using Reason = const char*;

constexpr int64_t kMaxFileBytes = (int64_t{1} << 44) - static_cast<int64_t>(kPageSize);  // ext4, blocks of 4096 bytes
constexpr uint64_t kAddresses = uint64_t{1} << 47;                                       // of a process, x86-64
constexpr uint32_t kShift = prog::kFallocCollapse | prog::kFallocInsert;
constexpr uint32_t kTmpfileBit = prog::kOTmpfile & ~prog::kODirectory;
constexpr int64_t kCutFrom = 2 << 20;  // bytes; longer transfers the executor may cut short
constexpr size_t kPathMax = 4095;      // bytes, without the NUL
constexpr size_t kNameMax = 255;
constexpr uint8_t kProtSem = 8;  // accepted, and means nothing

bool in_pages(uint64_t number) { return number % kPageSize == 0; }
bool in_pages(int64_t number) { return in_pages(static_cast<uint64_t>(number)); }
bool in_sectors(uint64_t number) { return number % daxfs::kSectorSize == 0; }

uint64_t unsigned_of(int64_t number) { return static_cast<uint64_t>(number); }

// --- operands

Reason refused_transfer(const Op& op) {
  if (op.length < 0) { return "with a negative length"; }
  if (!is_positioned(op.code)) { return nullptr; }
  if (op.offset < 0) { return "at a negative offset"; }
  // The executor cuts long transfers, but not below a page.
  if (op.offset > INT64_MAX - std::min<int64_t>(op.length, kPageSize)) { return "across the largest offset"; }
  return nullptr;
}

Reason refused_size(int64_t length) {
  if (length < 0) { return "with a negative length"; }
  return length > kMaxFileBytes ? "behind the end of the largest file" : nullptr;
}

Reason refused_fallocate(const Op& op) {
  if (op.offset < 0 || op.length <= 0) { return "with a range that is none"; }
  if (!is_known_mode(op.flags)) { return "with a mode that is not supported"; }
  if (op.offset > kMaxFileBytes || op.length > kMaxFileBytes - op.offset) {
    return "behind the end of the largest file";
  }
  if ((op.flags & kShift) != 0 && (!in_pages(op.offset) || !in_pages(op.length))) {
    return "with a range that is not of whole blocks";
  }
  return nullptr;
}

Reason refused_lseek(const Op& op) {
  if (op.flags > prog::kSeekHole) { return "with no whence that there is"; }
  const bool absolute = op.flags != prog::kSeekCur && op.flags != prog::kSeekEnd;
  return absolute && op.offset < 0 ? "at a negative offset" : nullptr;
}

Reason refused_mmap(const Op& op, int64_t ret) {
  const uint32_t type = op.flags & prog::kMapType;
  const bool anonymous = (op.flags & prog::kMapAnon) != 0;
  const bool validates = type == prog::kMapSharedValidate;
  if (op.length == 0) { return "with no length"; }
  if (unsigned_of(op.length) > kAddresses) { return "with more than all addresses"; }
  if (!in_pages(op.offset)) { return "with an offset that is not of whole pages"; }
  if (type != prog::kMapShared && type != prog::kMapPrivate && (!validates || anonymous)) {
    return "as neither a shared mapping nor a private one";
  }
  // Not among the flags of old, which are always accepted.
  if (validates && (op.flags & prog::kMapFixedNoReplace) != 0) { return "with a flag that cannot be validated"; }
  return in_pages(ret) ? nullptr : "at an address that is not of whole pages";
}

// A range of addresses is of whole pages. Of the largest lengths the next page is page 0, and nothing is done.
Reason refused_range(const OpRecord& record) {
  if (!in_pages(record.address)) { return "at an address that is not of whole pages"; }
  return page_up(unsigned_of(record.op->length)) > kAddresses ? "with more than all addresses" : nullptr;
}

// Others than msync and mremap see that the length is too large.
Reason refused_whole_range(const OpRecord& record) {
  return unsigned_of(record.op->length) > kAddresses ? "with more than all addresses" : refused_range(record);
}

Reason refused_munmap(const OpRecord& record) {
  return record.op->length == 0 ? "with no length" : refused_whole_range(record);
}

Reason refused_mprotect(const OpRecord& record) {
  const bool unknown = (record.op->prot & ~(prog::kProtRead | prog::kProtWrite | prog::kProtExec | kProtSem)) != 0;
  if (unknown && record.op->length != 0) { return "with a protection that there is not"; }
  return refused_whole_range(record);
}

Reason refused_msync(const OpRecord& record) {
  constexpr uint32_t kBoth = prog::kMsSync | prog::kMsAsync;
  if ((record.op->flags & ~(kBoth | prog::kMsInvalidate)) != 0) { return "with flags that there are not"; }
  if ((record.op->flags & kBoth) == kBoth) { return "both waiting and not"; }
  return refused_range(record);
}

Reason refused_mremap(const OpRecord& record) {
  const Op& op = *record.op;
  const bool moves = (op.flags & prog::kRemapMayMove) != 0;
  if ((op.flags & ~(prog::kRemapMayMove | prog::kRemapFixed | prog::kRemapDontUnmap)) != 0) {
    return "with flags that there are not";
  }
  if ((op.flags & (prog::kRemapFixed | prog::kRemapDontUnmap)) != 0 && !moves) { return "to where it may not move"; }
  if ((op.flags & prog::kRemapDontUnmap) != 0 && op.length != op.length2) { return "with another length, and stayed"; }
  if (op.length2 == 0 || unsigned_of(op.length2) > kAddresses) { return "with a new length that is none"; }
  if (!in_pages(record.ret)) { return "at an address that is not of whole pages"; }
  if ((op.flags & prog::kRemapFixed) != 0) {
    const uint64_t to = unsigned_of(record.ret);
    if (record.address < to + page_up(unsigned_of(op.length2)) &&
        to < record.address + page_up(unsigned_of(op.length))) {
      return "onto itself";
    }
  }
  return refused_range(record);
}

Reason refused_open(const Op& op) {
  if ((op.flags & prog::kOPath) != 0) { return nullptr; }  // other flags mean nothing then
  const bool creates = (op.flags & prog::kOCreat) != 0;
  const bool directory = (op.flags & prog::kODirectory) != 0;
  if ((op.flags & kTmpfileBit) != 0) {
    if (creates || !directory) { return "with half of O_TMPFILE's flags"; }
    return (op.flags & prog::kOAccMode) == prog::kORdOnly ? "for a file that nobody could write" : nullptr;
  }
  return creates && directory ? "creating a directory" : nullptr;
}

Reason refused_rename(const Op& op) {
  const bool exchanges = (op.flags & prog::kRenameExchange) != 0;
  if (exchanges && op.flags != prog::kRenameExchange) { return "exchanging and not"; }
  return nullptr;
}

Reason refused_fiemap(const Op& op) {
  if (op.length == 0) { return "with no length"; }
  return op.offset < 0 || op.offset > kMaxFileBytes ? "behind the end of the largest file" : nullptr;
}

Reason refused_paths(const prog::Program& program, const Op& op) {
  if (!op.info().has(OperandKind::kPath)) { return nullptr; }
  const auto paths = {std::pair(OperandKind::kPath, op.path), std::pair(OperandKind::kPath2, op.path2)};
  for (const auto& [kind, number] : paths) {
    if (!op.info().has(kind)) { continue; }
    const std::string_view path = program.path_text(number);
    if (path.empty()) { return "with an empty path"; }
    const bool is_text = op.code == OpCode::kSymlink && kind == OperandKind::kPath;
    if (is_text ? path.size() > kPathMax : is_too_long(path)) { return "with a path that is too long"; }
  }
  return nullptr;
}

Reason refused_operands(const OpRecord& record) {
  const Op& op = *record.op;
  if (is_transfer(op.code)) { return refused_transfer(op); }
  switch (op.code) {
    case OpCode::kFtruncate:
    case OpCode::kTruncate: return refused_size(op.length);
    case OpCode::kFallocate: return refused_fallocate(op);
    case OpCode::kLseek: return refused_lseek(op);
    case OpCode::kMmap: return refused_mmap(op, record.ret);
    case OpCode::kMunmap: return refused_munmap(record);
    case OpCode::kMprotect: return refused_mprotect(record);
    case OpCode::kMsync: return refused_msync(record);
    case OpCode::kMadvise: return refused_whole_range(record);
    case OpCode::kMremap: return refused_mremap(record);
    case OpCode::kOpen: return refused_open(op);
    case OpCode::kRename: return refused_rename(op);
    case OpCode::kFiemap: return refused_fiemap(op);
    default: return nullptr;
  }
}

// --- descriptors

bool looks_into_file(const Op& op) {
  if (!op.info().has(OperandKind::kFd)) { return false; }
  switch (op.code) {
    case OpCode::kClose:
    case OpCode::kDup:
    case OpCode::kFstat: return false;
    case OpCode::kMmap: return (op.flags & prog::kMapAnon) == 0;
    default: return true;
  }
}

Reason refused_mapping_of(const OpRecord& record) {
  const uint32_t type = record.op->flags & prog::kMapType;
  if (!readable(record.open_flags)) { return "of a file that was not opened for reading"; }
  if (type != prog::kMapPrivate && (record.op->prot & prog::kProtWrite) != 0 && !writable(record.open_flags)) {
    return "for stores to a file that was not opened for writing";
  }
  const bool insists = type == prog::kMapSharedValidate && (record.op->flags & prog::kMapSync) != 0;
  return insists && !record.dax ? "with MAP_SYNC of a file without DAX" : nullptr;
}

bool ran_alone(const Model& model, const OpRecord& record) {
  return std::ranges::none_of(model.order(), [&](const OpRecord* other) {
    return other != &record && period_of(*other).overlaps(period_of(record));
  });
}

// Direct I/O past the cache moves whole sectors from and to whole sectors. Only holes need no alignment, and only what
// the cache does not let go of, or what is new to a file without extents, is written through it.
Reason refused_direct(Model& model, const OpRecord& record) {
  const Op& op = *record.op;
  if ((record.open_flags & prog::kODirect) == 0 || record.dax || record.ret <= 0 || op.length > kCutFrom) {
    return nullptr;
  }
  if (op.offset > kMaxFileBytes - kCutFrom) { return nullptr; }  // cut to what the file may hold
  const bool flags_change =
      std::ranges::any_of(model.order(), [](const OpRecord* other) { return other->op->code == OpCode::kSetFl; });
  if (flags_change) { return nullptr; }
  const uint64_t address =
      op.buffer.kind == MemoryKind::kAnonymous ? unsigned_of(op.buffer.offset) : record.buffer_address;
  bool aligned = in_sectors(asked(record)) && in_sectors(address);
  if (is_positioned(op.code) && (record.open_flags & prog::kOAppend) == 0) {
    aligned = aligned && in_sectors(unsigned_of(op.offset));
  }
  if (aligned) { return nullptr; }
  if (is_write(op.code)) {
    return ran_alone(model, record) && !model.block_maps_possible() ? "past the cache with what is not of whole sectors"
                                                                    : nullptr;
  }
  const bool from_blocks = std::ranges::any_of(record.data, [](std::byte byte) { return byte != std::byte{0}; });
  return from_blocks ? "past the cache with what is not of whole sectors" : nullptr;
}

Reason refused_descriptor(Model& model, const OpRecord& record) {
  const OpCode code = record.op->code;
  if (!looks_into_file(*record.op) || !model.descriptors().certain(record)) { return nullptr; }
  if ((record.open_flags & prog::kOPath) != 0) { return "through a descriptor that is for the path alone"; }
  if (is_transfer(code)) {
    if (is_write(code) ? !writable(record.open_flags) : !readable(record.open_flags)) {
      return "on a descriptor that was not opened for it";
    }
    return refused_direct(model, record);
  }
  switch (code) {
    case OpCode::kFtruncate:
    case OpCode::kFallocate:
      return writable(record.open_flags) ? nullptr : "on a descriptor that was not opened for it";
    case OpCode::kMmap: return refused_mapping_of(record);
    default: return nullptr;
  }
}

// --- files and mappings

Reason refused_shift(Model& model, const OpRecord& record) {
  const Op& op = *record.op;
  if (op.code != OpCode::kFallocate || (op.flags & kShift) == 0) { return nullptr; }
  const FileHistory* const file = model.file_of(record);
  if (file == nullptr) { return nullptr; }
  const uint64_t end = unsigned_of(op.flags == prog::kFallocCollapse ? op.offset + op.length : op.offset);
  return end >= file->size_before_shift(period_of(record)).most ? "behind the end of the file" : nullptr;
}

Reason refused_addresses(Model& model, const OpRecord& record) {
  constexpr uint64_t kPagesLookedAt = 64;
  switch (record.op->code) {
    case OpCode::kMprotect:
    case OpCode::kMadvise:
    case OpCode::kMsync:
    case OpCode::kMremap: break;
    default: return nullptr;
  }
  if (model.asynchronous()) { return nullptr; }  // their private memory may be anywhere
  // A mapping that shrinks begins somewhere; where it is to end nothing need be.
  const uint64_t pages = record.op->code == OpCode::kMremap
                             ? 1
                             : std::min(page_up(unsigned_of(record.op->length)) / kPageSize, kPagesLookedAt);
  Mappings& mappings = model.mappings(record);
  const Period period = period_of(record);
  if (mappings.surely_mapped(record.address, record.address + pages * kPageSize, period)) { return nullptr; }
  for (uint64_t i = 0; i < pages; ++i) {
    if (mappings.surely_unmapped(record.address + i * kPageSize, period)) {
      return "over addresses where nothing is mapped";
    }
  }
  return nullptr;
}

std::optional<Objection> object(const OpRecord& record, Reason reason) {
  if (reason == nullptr) [[likely]] { return std::nullopt; }
  return Objection{"ER2", name_of(record) + " succeeded " + reason, {}};
}

}  // namespace

bool is_known_mode(uint32_t mode) {
  switch (mode) {
    case 0:
    case prog::kFallocKeepSize:
    case prog::kFallocPunch | prog::kFallocKeepSize:
    case prog::kFallocZero:
    case prog::kFallocZero | prog::kFallocKeepSize:
    case prog::kFallocCollapse:
    case prog::kFallocInsert: return true;
    default: return false;
  }
}

bool is_too_long(std::string_view path) {
  if (path.size() > kPathMax) { return true; }
  while (path.size() > kNameMax) {
    const size_t slash = path.find('/');
    if (slash == std::string_view::npos || slash > kNameMax) { return true; }
    path.remove_prefix(slash + 1);
  }
  return false;
}

std::optional<Objection> check_operands(const prog::Program& program, const OpRecord& record) {
  if (record.error != Errc::kOk) { return std::nullopt; }
  const Reason by_path = refused_paths(program, *record.op);
  return object(record, by_path != nullptr ? by_path : refused_operands(record));
}

std::optional<Objection> check_objects(Model& model, const OpRecord& record) {
  if (record.error != Errc::kOk) { return std::nullopt; }
  if (!record.op->info().has(OperandKind::kFd)) { return object(record, refused_addresses(model, record)); }
  const Reason by_descriptor = refused_descriptor(model, record);
  return object(record, by_descriptor != nullptr ? by_descriptor : refused_shift(model, record));
}

}  // namespace daxfuzz::oracle
