#include "fuzz/oracle/errors.h"

#include <algorithm>
#include <string>
#include <string_view>

#include "fs/base/text.h"
#include "fs/base/types.h"
#include "fuzz/oracle/model.h"
#include "fuzz/oracle/refusals.h"
#include "fuzz/oracle/room.h"

namespace daxfuzz::oracle {

using daxfs::Errc;
using prog::MemoryKind;
using prog::Op;
using prog::OpCode;
using prog::OperandKind;

namespace {

// --- the run

template <typename Predicate>
bool any_op(const History& history, Predicate predicate) {
  return std::any_of(history.records.begin(), history.records.end(),
                     [&](const OpRecord& record) { return record.op != nullptr && predicate(*record.op); });
}

bool has_mount_option(std::string_view mount, std::string_view option) {
  while (!mount.empty()) {
    const size_t comma = mount.find(',');
    if (mount.substr(0, comma) == option) { return true; }
    mount = comma == std::string_view::npos ? std::string_view() : mount.substr(comma + 1);
  }
  return false;
}

// Memory may have gone bad before the call ended. Which page that is matters for reads only: others reach pages that
// they do not name, such as the tail of a file that grows, and blocks take their bad sectors along.
bool some_memory_failed(const History& history, const OpRecord& record) {
  return std::any_of(history.records.begin(), history.records.end(), [&](const OpRecord& other) {
    return other.op != nullptr && other.op->code == OpCode::kMemoryFailure && other.begin_seq <= record.end_seq &&
           !refused(other);
  });
}

bool forbids_changes(const Op& op) {
  constexpr uint32_t kXflags = prog::kXflagImmutable | prog::kXflagAppend;
  constexpr uint32_t kFlags = prog::kFsImmutable | prog::kFsAppend;
  return (op.code == OpCode::kSetXflags && (op.flags & kXflags) != 0) ||
         (op.code == OpCode::kSetFlags && (op.flags & kFlags) != 0);
}

// Private memory that a transfer goes through lies in the same address space.
bool may_unmap(const Op& op) {
  return op.code == OpCode::kMunmap || op.code == OpCode::kMremap || op.code == OpCode::kMprotect ||
         (op.code == OpCode::kMmap && (op.flags & prog::kMapFixed) != 0);
}

bool is_direct(const Op& op) { return op.info().has(OperandKind::kOpenFlags) && (op.flags & prog::kODirect) != 0; }

bool starts_with(const History& history, NameKind kind) {
  return std::any_of(history.start_names.begin(), history.start_names.end(),
                     [&](const TreeName& name) { return name.kind == kind; });
}

// Special files come of whiteouts alone.
bool may_have_special_files(const History& history) {
  return history.start_names.empty() || starts_with(history, NameKind::kOther) || any_op(history, [](const Op& op) {
           return op.code == OpCode::kRename && (op.flags & prog::kRenameWhiteout) != 0;
         });
}

bool may_have_symlinks(const History& history) {
  return history.start_names.empty() || starts_with(history, NameKind::kSymlink) ||
         any_op(history, [](const Op& op) { return op.code == OpCode::kSymlink; });
}

// What the number of a descriptor stands for may have become another file since the call began.
bool may_reopen(const History& history) {
  return any_op(history, [](const Op& op) { return op.code == OpCode::kClose; });
}

// --- one call

bool far(int64_t number) { return number < 0 || static_cast<uint64_t>(number) >= kFar; }
bool far(const Op& op) { return far(op.offset) || far(op.length) || far(op.length2); }

// A position; that behind the last name of a directory is the largest there is.
bool moves_far(const Op& op) { return far(op) || op.code == OpCode::kGetdents; }

// Of a call on memory: its range may end behind all addresses.
bool out_of_range(const Op& op) {
  return op.addr.kind != MemoryKind::kMapping || far(op.addr.offset) || far(op.length);
}

bool has_path(const Op& op) { return op.info().has(OperandKind::kPath) || op.info().has(OperandKind::kPath2); }

bool is_mapping_call(OpCode code) {
  switch (code) {
    case OpCode::kMmap:
    case OpCode::kMunmap:
    case OpCode::kMremap:
    case OpCode::kMprotect:
    case OpCode::kMadvise:
    case OpCode::kMsync: return true;
    default: return false;
  }
}

bool aligned(uint64_t number) { return number % daxfs::kPageSize == 0; }

bool may_be_invalid_map(const Op& op) {
  constexpr uint32_t kPlain = prog::kMapType | prog::kMapPopulate | prog::kMapNonblock | prog::kMapLocked;
  const uint32_t type = op.flags & prog::kMapType;
  const bool plain = (op.flags & ~kPlain) == 0 && (type == prog::kMapShared || type == prog::kMapPrivate);
  return !plain || far(op) || !aligned(static_cast<uint64_t>(op.offset)) || op.length == 0;
}

// EINVAL.
bool may_be_invalid(const History& history, const OpRecord& record) {
  const Op& op = *record.op;
  switch (op.code) {
    case OpCode::kRead:
    case OpCode::kWrite:
    case OpCode::kPread:
    case OpCode::kPwrite:
    case OpCode::kIoSubmitPread:
    case OpCode::kIoSubmitPwrite:
      // At which position `read` reads, and which files are not DAX's, is known to the model alone.
      return far(op) || is_asynchronous(op.code) || any_op(history, is_direct) ||
             (!is_positioned(op.code) && any_op(history, moves_far));
    case OpCode::kFtruncate: return op.length < 0 || !writable(record.open_flags) || may_reopen(history);
    case OpCode::kTruncate: return op.length < 0 || may_have_special_files(history);
    case OpCode::kFallocate:
      return far(op) || op.length == 0 || !is_known_mode(op.flags) || op.flags == prog::kFallocCollapse ||
             op.flags == prog::kFallocInsert;
    case OpCode::kLseek: return op.flags != prog::kSeekSet || far(op.offset);
    case OpCode::kMmap: return may_be_invalid_map(op);
    case OpCode::kMunmap: return out_of_range(op) || op.length == 0 || !aligned(record.address);
    case OpCode::kMprotect: return out_of_range(op) || !aligned(record.address) || op.prot > 7;
    case OpCode::kMsync:
      return !aligned(record.address) || (op.flags & ~(prog::kMsSync | prog::kMsAsync | prog::kMsInvalidate)) != 0 ||
             (op.flags & (prog::kMsSync | prog::kMsAsync)) == (prog::kMsSync | prog::kMsAsync);
    case OpCode::kOpen: return (op.flags & (prog::kOTmpfile | prog::kODirect)) != 0;  // and with it O_DIRECTORY
    case OpCode::kMremap:
    case OpCode::kMadvise:
    case OpCode::kReadlink:
    case OpCode::kRmdir:
    case OpCode::kRename:
    case OpCode::kFiemap:
    case OpCode::kGetdents:
    case OpCode::kIoGetevents:
    case OpCode::kProcessVmReadv:
    case OpCode::kSetFl:
    case OpCode::kSetXflags:
    case OpCode::kSetFlags:
    case OpCode::kMemoryFailure: return true;
    default: return false;
  }
}

// EACCES.
bool may_be_denied(const History& history, const OpRecord& record) {
  const Op& op = *record.op;
  if (op.code == OpCode::kMprotect || op.code == OpCode::kMadvise) { return true; }
  if (op.code != OpCode::kMmap) { return false; }
  const bool stores = (op.flags & prog::kMapType) != prog::kMapPrivate && (op.prot & prog::kProtWrite) != 0;
  return record.ino == 0 || !readable(record.open_flags) || (stores && !writable(record.open_flags)) ||
         may_reopen(history) || any_op(history, forbids_changes);
}

// EOPNOTSUPP.
bool may_be_unsupported(const prog::Program& program, const History& history, const Op& op) {
  switch (op.code) {
    case OpCode::kFallocate: return !is_known_mode(op.flags) || may_have_block_maps(program, history);
    case OpCode::kMmap:
      return (op.flags & prog::kMapType) == prog::kMapSharedValidate || (op.flags & prog::kMapSync) != 0;
    case OpCode::kSetFlags:
    case OpCode::kSetXflags:
    case OpCode::kMemoryFailure: return true;
    default: return false;
  }
}

// EFAULT: memory is not there, or the medium behind a write of DAX takes no byte.
bool may_meet_no_memory(const History& history, const OpRecord& record) {
  const Op& op = *record.op;
  if (is_mapping_call(op.code) || op.code == OpCode::kProcessVmReadv) { return true; }
  if (is_asynchronous(op.code) && record.scratch == 0) { return true; }  // no file was known, so none was made
  return is_transfer(op.code) &&
         (op.buffer.kind != MemoryKind::kAnonymous || far(op.length) || history.memory_ran_out ||
          any_op(history, may_unmap) || some_memory_failed(history, record));
}

// ENOMEM.
bool may_want_memory(const prog::Program& program, const History& history, const OpRecord& record) {
  return is_mapping_call(record.op->code) || history.memory_ran_out ||
         program.mount.find("fail_") != std::string::npos ||
         (is_transfer(record.op->code) && any_op(history, may_unmap));
}

// EFBIG. A file of the template may be large.
bool may_be_too_far(const History& history, const Op& op) {
  switch (op.code) {
    case OpCode::kWrite:
    case OpCode::kPwrite:
    case OpCode::kIoSubmitPwrite:
    case OpCode::kFtruncate:
    case OpCode::kTruncate:
    case OpCode::kFallocate:
    case OpCode::kMadvise:  // of a file, to remove
    case OpCode::kFiemap: break;
    default: return false;
  }
  return history.filled_files || any_op(history, [](const Op& any) { return far(any); });
}

bool may_return(const prog::Program& program, const History& history, const OpRecord& record) {
  const Op& op = *record.op;
  const OpCode code = op.code;
  const bool has_fd = op.info().has(OperandKind::kFd);
  switch (record.error) {
    case Errc::kPerm: return code == OpCode::kLink || any_op(history, forbids_changes);
    case Errc::kNoEnt: return has_path(op) || code == OpCode::kGetdents;  // of a directory that was removed
    case Errc::kNameTooLong:
      return has_path(op) && (is_too_long(program.path_text(op.path)) || is_too_long(program.path_text(op.path2)) ||
                              may_have_symlinks(history));
    case Errc::kLoop: return has_path(op) && may_have_symlinks(history);
    case Errc::kNotDir: return has_path(op) || code == OpCode::kGetdents;
    case Errc::kIsDir:
      return has_path(op) || code == OpCode::kRead || code == OpCode::kPread || code == OpCode::kFallocate;
    case Errc::kNotEmpty: return code == OpCode::kRmdir || code == OpCode::kRename;
    case Errc::kExist:
      return (has_path(op) && code != OpCode::kUnlink && code != OpCode::kRmdir) ||
             (code == OpCode::kMmap && (op.flags & prog::kMapFixedNoReplace) != 0);
    case Errc::kBusy: return has_path(op) || code == OpCode::kMemoryFailure || is_mapping_call(code);
    case Errc::kBadf: return has_fd || is_mapping_call(code);
    case Errc::kMFile: return false;  // a run cannot open as many as a process may have
    case Errc::kNoDev: return code == OpCode::kMmap || code == OpCode::kFallocate;
    case Errc::kNxio:
      return code == OpCode::kLseek || code == OpCode::kMemoryFailure ||
             (code == OpCode::kOpen && may_have_special_files(history));
    case Errc::kAgain: return is_asynchronous(code);
    case Errc::kOverflow: return code == OpCode::kMmap && far(op);
    case Errc::kNoMem: return may_want_memory(program, history, record);
    case Errc::kFault: return may_meet_no_memory(history, record);
    case Errc::kAccess: return may_be_denied(history, record);
    case Errc::kOpNotSupp: return may_be_unsupported(program, history, op);
    case Errc::kFBig: return may_be_too_far(history, op);
    case Errc::kInval: return may_be_invalid(history, record);
    default: return false;
  }
}

// Where `read` reads is not told by the operation.
bool reads_far(const Op& op) {
  return op.code == OpCode::kRead ||
         ((op.code == OpCode::kPread || op.code == OpCode::kIoSubmitPread) && op.offset >= static_cast<int64_t>(kFar));
}

bool may_fail_in_device(const prog::Program& program, const History& history, const OpRecord& record) {
  if (history.foreign_image) { return true; }
  if (record.error == Errc::kIo) {
    // Pages of pmem are not the page allocator's to take offline: the kernel says EIO, too.
    if (record.op->code == OpCode::kMadvise && record.op->flags == prog::kAdvSoftOffline) { return true; }
    if (may_have_block_maps(program, history) && reads_far(*record.op)) { return true; }
    if (orders_failing_bio(program)) { return true; }
  }
  return record.error != Errc::kCorrupted && some_memory_failed(history, record);
}

bool has_cause(const prog::Program& program, const History& history, const OpRecord& record) {
  switch (record.error) {
    case Errc::kOk: return true;
    case Errc::kIo:
    case Errc::kCorrupted:
    case Errc::kHwPoison: return may_fail_in_device(program, history, record);
    case Errc::kRoFs: return history.foreign_image || has_mount_option(program.mount, "ro");
    default: return history.foreign_image || may_return(program, history, record);
  }
}

}  // namespace

std::optional<Objection> check_error(const prog::Program& program, const History& history, const OpRecord& record) {
  if (record.error == Errc::kNoSpc) {
    if (!plenty_of_room(program, history)) { return std::nullopt; }
    return Objection{
        "NR1", name_of(record) + " failed with ENOSPC, and there is room for all that the program does", {}};
  }
  if (has_cause(program, history, record)) { return std::nullopt; }
  return Objection{"ER1", daxfs::format("%s failed with %s", name_of(record).c_str(), daxfs::errc_name(record.error)),
                   "nothing in the run can cause this error\n"};
}

}  // namespace daxfuzz::oracle
