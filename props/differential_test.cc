// props/differential_test.cc - the library against the machine's own kernel: random sequential programs, same answers?
//
// Each program runs twice: in our executor on a DAX mount, and as real system calls on the same image, loop-mounted by
// the kernel as ext4 without DAX. Operations whose answers differ by design between the two are not generated (see
// restrict_program), and differences of kernel versions are listed below as data. Afterwards both images hold the same
// tree; ours is read by the kernel, too.
//
// The mount needs root and a loop device. The same families also run in a temporary folder on whatever filesystem the
// machine has there, within a user namespace if need be; that one refuses more (kKnownInFolder), and our tree is read
// by the checker's own reader.
//
// With DAXFS_DIFFERENTIAL_GUEST=folder also against Linux 6.1 with DAX, in the virtual machine that ci/kernel-guest
// starts: nearly everything can be compared there.
//
// DAXFS_DIFFERENTIAL_PROGRAM=file: shows what both say of one program.
//
// Skipped, with a message: what needs root and a loop device, without them.
// DAXFS_DIFFERENTIAL="first count" in the environment chooses other seeds.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <memory>
#include <span>
#include <string>

#include <gtest/gtest.h>
#include <signal.h>

#include "fs/ext4/test_image.h"
#include "fs/mm/page_table.h"
#include "fuzz/exec/executor.h"
#include "fuzz/exec/interpreter.h"
#include "fuzz/oracle/history.h"
#include "fuzz/oracle/model.h"
#include "fuzz/prog/binary.h"
#include "fuzz/prog/edit.h"
#include "fuzz/prog/generate.h"
#include "fuzz/prog/text.h"
#include "props/differential_guest.h"
#include "props/differential_kernel.h"
#include "props/image_tree.h"

namespace daxfuzz::props {
namespace {

using prog::MemoryKind;
using prog::Op;
using prog::OpCode;

// Programs with stores keep every size and offset on page boundaries: what is stored behind EOF in the last page stays
// on a DAX file (6.1) and is lost on others; without DAX it is lost when the file grows, since 6.8.
enum class Family : uint8_t {
  kNoStores,
  kAligned,
  kNames,
  kDirect,
  kDirectAligned,
  kFolder,
  kFolderAligned,
  kFolderNames,
  kGuest,
  kGuestNames,
  kGuestDirect
};

// Against Linux 6.1 with DAX in a virtual machine: nearly nothing differs by design.
bool in_guest(Family family) { return family >= Family::kGuest; }

// In a folder of the machine's own.
bool in_folder(Family family) { return family >= Family::kFolder && family < Family::kGuest; }

// Files without DAX only, where O_DIRECT means something.
bool never_dax(Family family) {
  return family == Family::kDirect || family == Family::kDirectAligned || family == Family::kGuestDirect;
}
bool has_stores(Family family) {
  return family == Family::kAligned || family == Family::kDirectAligned || family == Family::kFolderAligned ||
         in_guest(family);
}
bool has_names_only(Family family) {
  return family == Family::kNames || family == Family::kFolderNames || family == Family::kGuestNames;
}

prog::Options options_for(Family family) {
  prog::Options options;
  options.processes_max = 1;
  options.tasks_min = options.tasks_max = 1;
  options.ops_per_task_max = 40;
  options.preemptions_max = 0;
  static constexpr std::string_view kMounts[] = {"dax=always"};
  options.mounts = kMounts;
  options.swarm = !has_names_only(family);
  const auto off = [&](std::initializer_list<OpCode> codes) {
    for (const OpCode code : codes) { options.weights[static_cast<size_t>(code)] = 0; }
  };
  // Nobody's memory fails.
  off({OpCode::kMemoryFailure, OpCode::kReclaim});
  if (!in_guest(family)) {
    // Differ by design: extents and what counts as data; drop_caches changes that too; DAX has other flag rules.
    off({OpCode::kFiemap, OpCode::kDropCaches, OpCode::kSetXflags, OpCode::kSetFlags});
    // Not made over there: what is begun here and ends later.
    off({OpCode::kIoSubmitPread, OpCode::kIoSubmitPwrite, OpCode::kIoGetevents});
  }
  if (!has_stores(family)) { off({OpCode::kStore, OpCode::kTouch}); }
  if (has_names_only(family)) {
    off({OpCode::kStore, OpCode::kTouch, OpCode::kLoad, OpCode::kProcessVmReadv, OpCode::kMmap, OpCode::kMunmap,
         OpCode::kMremap, OpCode::kMprotect, OpCode::kMadvise, OpCode::kMsync, OpCode::kPread, OpCode::kPwrite,
         OpCode::kFallocate});
    for (const OpCode code :
         {OpCode::kRename, OpCode::kLink, OpCode::kSymlink, OpCode::kUnlink, OpCode::kMkdir, OpCode::kRmdir,
          OpCode::kOpen, OpCode::kReadlink, OpCode::kStat, OpCode::kLstat, OpCode::kGetdents}) {
      options.weights[static_cast<size_t>(code)] = 12;
    }
  }
  return options;
}

bool any_op(const prog::Program& program, auto&& is) {
  return std::ranges::any_of(program.processes[0].init, is) || std::ranges::any_of(program.tasks[0].ops, is);
}

bool has(const prog::Program& program, std::initializer_list<OpCode> codes) {
  return any_op(program, [&](const Op& op) { return std::find(codes.begin(), codes.end(), op.code) != codes.end(); });
}

void align(int64_t* value) {
  // Keeps signs and the extremes that errors come from.
  if (*value > 0 && *value < (int64_t{1} << 43)) { *value = (*value + 4095) / 4096 * 4096; }
}

// Operands at which checks begin to differ: signs, the ends of ranges, odd bytes, any bit of flags.
void make_odd(Op* op, prog::Random& random) {
  constexpr int64_t kMaxBytes = (int64_t{1} << 44) - 4096;
  static constexpr int64_t kOdd[] = {0,
                                     1,
                                     -1,
                                     511,
                                     4095,
                                     4097,
                                     -4096,
                                     2 << 20,
                                     (2 << 20) + 1,
                                     kMaxBytes - 4096,
                                     kMaxBytes - 1,
                                     kMaxBytes,
                                     kMaxBytes + 1,
                                     int64_t{1} << 47,
                                     INT64_MAX - 4095,
                                     INT64_MAX,
                                     INT64_MIN};
  const auto odd = [&] { return random.pick(std::span<const int64_t>(kOdd)); };
  for (const prog::OperandKind kind : op->info().operands()) {
    if (!random.chance(1, 3)) { continue; }
    switch (kind) {
      case prog::OperandKind::kOffset: op->offset = odd(); break;
      case prog::OperandKind::kLength: op->length = odd(); break;
      case prog::OperandKind::kLength2: op->length2 = odd(); break;
      case prog::OperandKind::kFallocMode: op->flags = random.below(256); break;
      case prog::OperandKind::kRenameFlags:
      case prog::OperandKind::kRemapFlags:
      case prog::OperandKind::kSyncFlags: op->flags = random.below(10); break;
      case prog::OperandKind::kWhence: op->flags = random.below(7); break;
      case prog::OperandKind::kAdvice: op->flags = random.below(26); break;
      case prog::OperandKind::kProt: op->prot = static_cast<uint8_t>(random.below(16)); break;
      case prog::OperandKind::kOpenFlags:
      case prog::OperandKind::kMapFlags:
      case prog::OperandKind::kXattrFlags: op->flags ^= random.pick(prog::flag_table(kind)->names).value; break;
      case prog::OperandKind::kAddr: op->addr.offset += random.chance(1, 2) ? 1 : 4096; break;
      default: break;
    }
  }
  // A fixed mapping of that size would replace the process' own memory.
  if (op->code == OpCode::kMmap && op->length > (int64_t{1} << 36)) { op->flags &= ~prog::kMapFixed; }
}

void restrict_guest_op(Op* op, bool only_dax, bool reads_ahead) {
  // In unwritten extents what is read ahead counts as data.
  if (reads_ahead && op->code == OpCode::kLseek && (op->flags == prog::kSeekData || op->flags == prog::kSeekHole)) {
    op->flags = prog::kSeekSet;
  }
  if (op->code == OpCode::kReclaim || op->code == OpCode::kMemoryFailure) { *op = Op{.code = OpCode::kSync}; }
  // What reaches beyond the area where we map is somebody else's memory in the real process.
  if (op->info().has(prog::OperandKind::kAddr) && op->length > (int64_t{1} << 36)) { op->length = 4096; }
  const bool walks = op->code == OpCode::kMadvise || op->code == OpCode::kMsync;
  if (walks && op->length < -(int64_t{1} << 36)) { op->length = -1; }
  if (op->code == OpCode::kMadvise) {
    // Of private memory and the page cache, a page would be lost to the machine.
    const bool poison = op->flags == prog::kAdvHwPoison || op->flags == prog::kAdvSoftOffline;
    if (poison && !only_dax) { op->flags = prog::kAdvNormal; }
  }
  if (op->code == OpCode::kFallocate) { op->length = std::min<int64_t>(op->length, 8 << 20); }
}

void restrict_op(Op* op, Family family, bool has_unwritten) {
  if (op->code == OpCode::kOpen || op->code == OpCode::kSetFl) {
    if (!never_dax(family)) { op->flags &= ~prog::kODirect; }
  }
  if (op->code == OpCode::kOpen && has_stores(family)) { op->flags &= ~prog::kOAppend; }
  if (op->code == OpCode::kIoSubmitPread) { op->code = OpCode::kPread; }  // of shapes that weights do not switch off
  if (op->code == OpCode::kIoSubmitPwrite) { op->code = OpCode::kPwrite; }
  if (op->code == OpCode::kIoGetevents) { *op = Op{.code = OpCode::kSync}; }
  // Nobody else's files are made to wait.
  if (in_folder(family) && op->code == OpCode::kSync) { *op = Op{.code = OpCode::kFsync}; }
  // A bad buffer on a DAX file makes a short transfer, elsewhere an error; and the kernel has a bug there.
  if (op->info().has(prog::OperandKind::kDest) || op->info().has(prog::OperandKind::kSource)) {
    const bool stores = op->info().has(prog::OperandKind::kDest);
    const bool mapped = never_dax(family) && (has_stores(family) || !stores);
    if (!mapped && op->buffer.kind != MemoryKind::kAnonymous) {
      op->buffer = prog::Memory{.kind = MemoryKind::kAnonymous, .fill = 0x5a};
    }
  }
  if (op->code == OpCode::kMmap) { op->flags &= ~prog::kMapSync; }
  // What reaches beyond the area where we map is somebody else's memory in the real process.
  if (op->info().has(prog::OperandKind::kAddr) && op->length > (int64_t{1} << 36)) { op->length = 4096; }
  if (op->code == OpCode::kMadvise && op->length < -(int64_t{1} << 36)) { op->length = -1; }
  if (op->code == OpCode::kMadvise && (op->flags >= prog::kAdvHwPoison || op->flags == prog::kAdvFree)) {
    op->flags = prog::kAdvNormal;
  }
  // What counts as data on DAX is a matter of its own (zero-filled neighbours, loaded pages); and
  // in unwritten extents what is read ahead does.
  if ((!never_dax(family) || has_unwritten) && op->code == OpCode::kLseek &&
      (op->flags == prog::kSeekData || op->flags == prog::kSeekHole)) {
    op->flags = prog::kSeekSet;
  }
  if (op->code == OpCode::kFallocate) { op->length = std::min<int64_t>(op->length, 8 << 20); }
  if (!has_stores(family)) { return; }
  align(&op->offset);
  align(&op->length);
  align(&op->length2);
}

// Over there a request is over when it was begun. Here its buffer stays mapped until it is collected.
void wait_for_requests(prog::Program* program) {
  const auto wait = [](std::vector<Op>* ops, size_t most) {
    for (size_t i = 0; i < ops->size() && ops->size() < most; ++i) {
      if (oracle::is_asynchronous((*ops)[i].code)) {
        ops->insert(ops->begin() + static_cast<ptrdiff_t>(i) + 1, Op{.code = OpCode::kIoGetevents});
      }
    }
    std::erase_if(*ops, [&](const Op& op) { return ops->size() >= most && oracle::is_asynchronous(op.code); });
  };
  wait(&program->processes[0].init, prog::kInitOpsMax);
  wait(&program->tasks[0].ops, prog::kOpsMax);
}

void restrict_program(prog::Program* program, Family family) {
  if (in_guest(family)) {
    bool only_dax = program->mount == "dax=always";
    const bool reads_ahead = !only_dax && has(*program, {OpCode::kFallocate});
    const auto look = [&](const Op& op) {
      if (op.code != OpCode::kMmap) { return; }
      const uint32_t type = op.flags & prog::kMapType;
      only_dax &= (op.flags & prog::kMapAnon) == 0 && (type == prog::kMapShared || type == prog::kMapSharedValidate);
    };
    for (const Op& op : program->processes[0].init) { look(op); }
    for (const Op& op : program->tasks[0].ops) { look(op); }
    for (Op& op : program->processes[0].init) { restrict_guest_op(&op, only_dax, reads_ahead); }
    for (Op& op : program->tasks[0].ops) { restrict_guest_op(&op, only_dax, reads_ahead); }
    wait_for_requests(program);
    return;
  }
  const bool has_unwritten = has(*program, {OpCode::kFallocate});
  const bool has_private = any_op(*program, [](const Op& op) {
    return op.code == OpCode::kMmap && (op.flags & prog::kMapType) == prog::kMapPrivate;
  });
  const auto restrict = [&](Op* op) {
    restrict_op(op, family, has_unwritten);
    // Private copies of pages whose blocks move: ext4 drops them, XFS does not.
    const bool moves =
        op->code == OpCode::kFallocate && (op->flags & (prog::kFallocCollapse | prog::kFallocInsert)) != 0;
    if (in_folder(family) && has_private && moves) { op->flags = prog::kFallocZero; }
  };
  for (Op& op : program->processes[0].init) { restrict(&op); }
  for (Op& op : program->tasks[0].ops) { restrict(&op); }
}

Answer with_signal(Answer answer, int signal, int code) {
  answer.signal = signal;
  answer.code = code;
  return answer;
}

Answer our_answer(const oracle::OpRecord& record) {
  Answer answer;
  const Op& op = *record.op;
  answer.done = record.finished;
  const bool address = op.code == OpCode::kMmap || op.code == OpCode::kMremap;
  answer.ret = record.error != daxfs::Errc::kOk ? -1 : address ? 0 : record.ret;
  answer.error = static_cast<int>(record.error);
  switch (record.signal) {
    case oracle::Signal::kBusAdrerr: answer = with_signal(answer, SIGBUS, BUS_ADRERR); break;
    case oracle::Signal::kBusMceerr: answer = with_signal(answer, SIGBUS, BUS_MCEERR_AR); break;
    case oracle::Signal::kSegvMaperr: answer = with_signal(answer, SIGSEGV, SEGV_MAPERR); break;
    case oracle::Signal::kSegvAccerr: answer = with_signal(answer, SIGSEGV, SEGV_ACCERR); break;
    default: break;
  }
  answer.fault_offset = record.fault_offset;
  answer.data_hash = record.data.data() != nullptr ? hash_of(record.data) : 0;
  if (op.code == OpCode::kGetdents && answer.error == 0) {
    std::vector<std::string> names;
    const auto* text = reinterpret_cast<const char*>(record.data.data());
    for (size_t at = 0; at < record.data.size();) {
      const size_t end = std::string_view(text, record.data.size()).find('\n', at);
      names.emplace_back(text + at, end - at);
      at = end + 1;
    }
    answer.data_hash = names_hash(names);
  }
  if (op.code == OpCode::kFiemap && answer.error == 0) {
    std::vector<MappedRange> extents;
    for (size_t at = 0; at < record.data.size(); at += sizeof(oracle::FiemapRow)) {
      oracle::FiemapRow row;
      std::memcpy(row.data(), record.data.data() + at, sizeof(row));
      const auto [logical, physical, length, unwritten, last] = row;
      extents.push_back({logical, length, unwritten != 0 ? 1u : 0u});
    }
    answer.ret = 0;
    answer.data_hash = layout_hash(extents, static_cast<uint64_t>(op.offset), static_cast<uint64_t>(op.length));
  }
  if ((op.code == OpCode::kStat || op.code == OpCode::kLstat || op.code == OpCode::kFstat) && answer.error == 0) {
    uint64_t row[3];
    std::memcpy(row, record.data.data(), sizeof(row));
    if ((row[0] & 0170000) == 0040000) { row[2] = 0; }
    answer.data_hash = hash_of(std::as_bytes(std::span(row)));
  }
  return answer;
}

bool is_directory(const oracle::OpRecord& record) {
  const OpCode code = record.op->code;
  if (code != OpCode::kStat && code != OpCode::kLstat && code != OpCode::kFstat) { return false; }
  uint64_t mode = 0;
  if (record.data.size() >= sizeof(mode)) { std::memcpy(&mode, record.data.data(), sizeof(mode)); }
  return (mode & 0170000) == 0040000;
}

void forget_directory_links(Tree* tree) {
  for (auto& [path, entry] : *tree) {
    if (entry.type == 'd') { entry.links = 0; }
  }
}

std::string to_text(const Answer& answer) {
  char text[160];
  std::snprintf(text, sizeof(text), "ret %lld errno %s signal %d/%d at %lld data %016llx",
                static_cast<long long>(answer.ret), answer.error != 0 ? strerrorname_np(answer.error) : "0",
                answer.signal, answer.code, static_cast<long long>(answer.fault_offset),
                static_cast<unsigned long long>(answer.data_hash));
  return text;
}

bool same(const Op& op, const Answer& a, const Answer& b) {
  if (a.ret != b.ret || a.error != b.error) { return false; }
  if (a.signal != b.signal || a.code != b.code || a.fault_offset != b.fault_offset) { return false; }
  return a.data_hash == b.data_hash || a.signal != 0 || (a.ret == 0 && oracle::is_transfer(op.code));
}

// Differences between what Linux 6.1 answers, which we model, and newer kernels; and effects of the real address space.
struct KnownDifference {
  OpCode code;
  int ours;
  int theirs;
  const char* why;
};
constexpr KnownDifference kKnown[] = {
    {OpCode::kFallocate, EINVAL, EOPNOTSUPP, "mode combinations, since 6.10"},
    {OpCode::kFallocate, EOPNOTSUPP, EINVAL, "mode combinations, since 6.10"},
    {OpCode::kMremap, EFAULT, EINVAL, "checks the new range before it looks for the old one, since 6.17"},
    {OpCode::kMremap, EFAULT, 0, "moves several mappings at once, since 6.17"},
    {OpCode::kMremap, ENOMEM, 0, "ours do not grow in place across the top of the area for mappings"},
    {OpCode::kMremap, EINVAL, 0, "lengths are rounded up before they are compared, since 6.17"},
    {OpCode::kPread, EINVAL, 0, "buffers of direct I/O need less alignment, since 6.2"},
    {OpCode::kRead, EINVAL, 0, "the same"},
    {OpCode::kPwrite, EINVAL, 0, "the same"},
    {OpCode::kWrite, EINVAL, 0, "the same"},
    {OpCode::kPread, EINVAL, EFAULT, "the same, and then the buffer is bad"},
    {OpCode::kRead, EINVAL, EFAULT, "the same"},
    {OpCode::kPwrite, EINVAL, EFAULT, "the same"},
    {OpCode::kWrite, EINVAL, EFAULT, "the same"},
    {OpCode::kPwrite, EFAULT, 0, "moves the end of the file before it looks at the buffer, since 6.16"},
    {OpCode::kWrite, EFAULT, 0, "the same"},
    {OpCode::kMremap, ENOMEM, EINVAL, "the new length is looked at first, since 6.17"},
    {OpCode::kMremap, EINVAL, EFAULT, "lengths are rounded up before they are compared, since 6.17"},
    {OpCode::kMadvise, EACCES, 0, "REMOVE needs only a mapping that could become writable, since 6.7"},
    {OpCode::kMadvise, EACCES, ENOMEM, "the same"},
    {OpCode::kMadvise, 0, EINVAL, "MAP_LOCKED means nothing to DAX mappings"},
    {OpCode::kMunmap, EINVAL, 0, "our mappings lie nearer to the end of the address space"},
};

// What differs from 6.1 itself.
constexpr KnownDifference kKnownInGuest[] = {
    {OpCode::kMremap, ENOMEM, 0, "ours do not grow in place across the top of the area for mappings"},
    {OpCode::kMremap, EINVAL, 0, "our address space is smaller"},
    {OpCode::kMremap, 0, EFAULT, "theirs were split by advice about a part"},
    {OpCode::kMunmap, EINVAL, 0, "our mappings lie nearer to the end of the address space"},
    {OpCode::kSetFlags, 0, EOPNOTSUPP, "how many extents a file has is the allocator's matter"},
    {OpCode::kSetFlags, EOPNOTSUPP, 0, "the same"},
    {OpCode::kMadvise, EBUSY, EHWPOISON, "its zero page is bad since an earlier program"},
};

// What other filesystems do not have, or have more of. Besides what newer kernels answer.
constexpr KnownDifference kKnownInFolder[] = {
    {OpCode::kFallocate, 0, EOPNOTSUPP, "modes that it does not have"},
    {OpCode::kFallocate, EOPNOTSUPP, 0, "modes that ext4 does not have"},
    {OpCode::kFallocate, EFBIG, 0, "its files may be larger"},
    {OpCode::kFtruncate, EFBIG, 0, "the same"},
    {OpCode::kTruncate, EFBIG, 0, "the same"},
    {OpCode::kPwrite, EFBIG, 0, "the same"},
    {OpCode::kWrite, EFBIG, 0, "the same"},
    {OpCode::kLseek, 0, EINVAL, "its directories have no end"},
    {OpCode::kMmap, 0, EPERM, "the lowest pages are root's (mmap_min_addr)"},
    {OpCode::kMremap, 0, EPERM, "the same"},
};

// How much fits differs (delayed allocation), and so does everything afterwards.
bool out_of_space(const Op& op, const Answer& answer) {
  // Buffer and page cache together need twice as much of exec::Machine's memory.
  constexpr int64_t kLargeRead = 1 << 20;
  const bool writes = oracle::is_write(op.code);
  // Our memory is smaller, that of buffers, too, and nobody waits for pages to become clean.
  const bool no_memory = answer.error == ENOMEM && oracle::is_transfer(op.code);
  if (op.info().has(prog::OperandKind::kDest) && answer.ret > kLargeRead && answer.ret < op.length) { return true; }
  return answer.error == ENOSPC || no_memory ||
         (writes && answer.ret > 0 && answer.ret != std::min(op.length, int64_t{64} << 20));
}

// Of a transfer whose buffer is bad: since 6.16 a write moves the end of the file up to its
// beginning before it looks at the buffer, and direct I/O is cut to whole blocks. Of a move that
// fails: since 6.17 the target stays mapped.
bool effects_may_differ(Family family, const Op& op, const Answer& answer) {
  if (in_guest(family)) {  // 6.1 grows the file all the same
    return op.info().has(prog::OperandKind::kSource) && answer.error == EFAULT;
  }
  return oracle::is_transfer(op.code) ? answer.error == EFAULT : answer.error != 0 && op.code == OpCode::kMremap;
}

bool known_difference(Family family, const Op& op, const Answer& ours, const Answer& theirs) {
  // Our address space is smaller; whatever else is wrong is looked at later.
  if (op.code == OpCode::kMmap && ours.error == ENOMEM &&
      op.length > static_cast<int64_t>(daxfs::mm::kTaskSize.value())) {
    return true;
  }
  const auto listed = [&](std::span<const KnownDifference> table) {
    return std::any_of(table.begin(), table.end(), [&](const KnownDifference& known) {
      return op.code == known.code && ours.error == known.ours && theirs.error == known.theirs;
    });
  };
  if (in_guest(family)) { return listed(kKnownInGuest); }
  return listed(kKnown) || (in_folder(family) && listed(kKnownInFolder));
}

// Whose files have block maps instead of extents.
constexpr std::string_view kMapsImage = "maps";

const std::vector<std::byte>& image_of(const prog::Program& program) {
  const char* const features = program.image == kMapsImage ? "-N 256 -O ^has_journal,^resize_inode,^extent,^64bit"
                                                           : "-N 256 -O ^has_journal,^resize_inode";
  return daxfs::ext4::testing::make_image(4096, features);
}

std::string tree_difference(const Tree& ours, const Tree& theirs) {
  std::string text;
  for (const auto& [path, entry] : ours) {
    const auto other = theirs.find(path);
    if (other == theirs.end()) {
      text += "only ours: " + path.substr(0, 40) + "\n";
    } else if (!(other->second == entry)) {
      char line[200];
      std::snprintf(line, sizeof(line),
                    "%.40s: ours %c links %llu size %llu %016llx, theirs %c links %llu size %llu %016llx\n",
                    path.c_str(), entry.type, static_cast<unsigned long long>(entry.links),
                    static_cast<unsigned long long>(entry.size), static_cast<unsigned long long>(entry.contents_hash),
                    other->second.type, static_cast<unsigned long long>(other->second.links),
                    static_cast<unsigned long long>(other->second.size),
                    static_cast<unsigned long long>(other->second.contents_hash));
      text += line;
    }
  }
  for (const auto& [path, entry] : theirs) {
    if (!ours.contains(path)) { text += "only theirs: " + path.substr(0, 40) + "\n"; }
  }
  return text;
}

// What mmap and mremap returned, by operation; 0: nothing.
std::vector<uint64_t> addresses_of(const oracle::History& history) {
  std::vector<uint64_t> addresses;
  for (const oracle::OpRecord& record : history.records) {
    const bool address = record.op->code == OpCode::kMmap || record.op->code == OpCode::kMremap;
    addresses.push_back(address && record.error == daxfs::Errc::kOk ? static_cast<uint64_t>(record.ret) : 0);
  }
  return addresses;
}

class Differential : public ::testing::Test {
 protected:
  void SetUp() override {
    if (const char* text = std::getenv("DAXFS_DIFFERENTIAL")) { std::sscanf(text, "%lu %lu", &first_, &count_); }
  }

  void run_family(Family family) {
    family_ = family;
    if (in_guest(family)) {
      const char* const folder = std::getenv("DAXFS_DIFFERENTIAL_GUEST");
      if (folder == nullptr) { GTEST_SKIP() << "no virtual machine: see ci/kernel-guest"; }
      guest_ = std::make_unique<GuestKernel>(folder);
      ASSERT_EQ(guest_->error(), "");
    } else if (const std::unique_ptr<HostKernel> probe = host_kernel(image_of({})); !probe->ok()) {
      GTEST_SKIP() << probe->error();
    }
    for (uint64_t seed = first_; seed < first_ + count_; ++seed) {
      prog::Random random(seed * 3 + static_cast<uint64_t>(family));
      prog::Program program = prog::generate(random, options_for(family));
      // The kernel's allocations do not fail on order.
      program.mount = random.chance(1, 2) && !never_dax(family) ? "dax=always" : "dax=never";
      if (in_guest(family) && !never_dax(family)) { program.mount = random.chance(1, 4) ? "dax=inode" : "dax=always"; }
      program.image = random.chance(1, 4) && !in_folder(family) ? kMapsImage : "small";
      if (in_guest(family) && seed % 2 == 0) {
        for (Op& op : program.tasks[0].ops) {
          if (random.chance(1, 4)) { make_odd(&op, random); }
        }
      }
      restrict_program(&program, family);
      // An operation that became another one forgets operands that it does not have.
      compare(prog::decode(prog::encode(program)), seed);
    }
    std::printf("%zu operations the same, %zu known to differ, %zu of %zu programs with new differences\n", same_,
                known_, different_programs_, static_cast<size_t>(count_));
  }

  std::unique_ptr<HostKernel> host_kernel(const std::vector<std::byte>& image) const {
    if (in_folder(family_)) { return std::make_unique<KernelFolder>(); }
    return std::make_unique<KernelMount>(image);
  }

  // Every answer of both, side by side.
  void show(const prog::Program& program) {
    exec::RunConfig config;
    config.image = image_of(program);
    exec::Outcome outcome;
    executor_.run(program, config, &outcome);
    std::vector<Answer> theirs;
    Tree tree;
    ASSERT_TRUE(guest_->run(image_of(program), program.mount, program, addresses_of(outcome.history), &theirs, &tree))
        << guest_->error();
    for (size_t i = 0; i < theirs.size(); ++i) {
      const oracle::OpRecord& record = outcome.history.records[i];
      const Answer ours = our_answer(record);
      std::printf("%s %s\n    ours   %s\n", same(*record.op, ours, theirs[i]) ? " " : "!",
                  prog::print_op(program, *record.op).c_str(), to_text(ours).c_str());
      std::printf("    theirs %s\n", to_text(theirs[i]).c_str());
    }
  }

  // Up to the first difference: what follows it may differ because of it.
  void compare(const prog::Program& program, uint64_t seed) {
    std::vector<std::byte> after;
    exec::RunConfig config;
    config.image = image_of(program);
    config.image_out = &after;
    config.events_max = 50'000'000;
    exec::Outcome outcome;
    executor_.run(program, config, &outcome);
    if (outcome.finding) {
      ++different_programs_;
      ADD_FAILURE() << "seed " << seed << ": " << exec::finding_title(*outcome.finding) << "\n"
                    << outcome.finding->detail << prog::print(program);
      return;
    }
    Theirs theirs;
    run_there(program, addresses_of(outcome.history), seed, &theirs);
    if (HasFatalFailure() || !same_answers(program, outcome.history, theirs, seed)) { return; }
    compare_trees(program, after, &theirs, seed);
  }

  // What the kernel says of a program.
  struct Theirs {
    std::unique_ptr<HostKernel> kernel;  // of this machine; the virtual one is guest_
    std::vector<Answer> answers;
    Tree tree;
    bool counts_directory_links() const { return kernel == nullptr || kernel->counts_directory_links(); }
  };

  void run_there(const prog::Program& program, const std::vector<uint64_t>& addresses, uint64_t seed, Theirs* theirs) {
    if (guest_ != nullptr) {
      const bool ran =
          guest_->run(image_of(program), program.mount, program, addresses, &theirs->answers, &theirs->tree);
      ASSERT_TRUE(ran) << "seed " << seed << ": " << guest_->error() << "\n" << prog::print(program);
      return;
    }
    theirs->kernel = host_kernel(image_of(program));
    theirs->answers = theirs->kernel->run(program, addresses);
    ASSERT_EQ(theirs->kernel->error(), "") << "seed " << seed;
    theirs->tree = theirs->kernel->tree();
  }

  // False: something differs, and what comes after it tells nothing.
  bool same_answers(const prog::Program& program, const oracle::History& history, const Theirs& theirs, uint64_t seed) {
    for (size_t i = 0; i < theirs.answers.size(); ++i) {
      const oracle::OpRecord& record = history.records[i];
      const Op& op = *record.op;
      const Answer& their = theirs.answers[i];
      Answer ours = our_answer(record);
      if (!theirs.counts_directory_links() && is_directory(record)) { ours.data_hash = their.data_hash; }
      if (!their.done || out_of_space(op, ours) || out_of_space(op, their)) { return false; }
      if (same(op, ours, their)) {
        ++same_;
        if (effects_may_differ(family_, op, ours)) { return false; }
        continue;
      }
      if (known_difference(family_, op, ours, their)) {
        ++known_;
        const bool both_refuse = ours.error != 0 && their.error != 0;
        if (op.code != OpCode::kFallocate || !both_refuse) { return false; }  // one of them changed something
        continue;
      }
      ++different_programs_;
      std::string before;
      for (size_t k = 0; k <= i; ++k) { before += "  " + prog::print_op(program, *history.records[k].op) + "\n"; }
      if (before.size() > 6000) { before = "..."; }
      ADD_FAILURE() << "seed " << seed << " operation " << i + 1 << ": " << prog::print_op(program, op)
                    << "\n  ours:   " << to_text(ours) << "\n  theirs: " << to_text(their) << "\n"
                    << before;
      return false;
    }
    return true;
  }

  // `after`: our image.
  void compare_trees(const prog::Program& program, const std::vector<std::byte>& after, Theirs* theirs, uint64_t seed) {
    Tree ours;
    if (guest_ != nullptr) {
      ASSERT_TRUE(guest_->read(after, &ours)) << guest_->error() << "\n" << prog::print(program);
    } else if (in_folder(family_)) {
      ours = read_image_tree(after);
    } else {
      const KernelMount mounted(after);
      ASSERT_TRUE(mounted.ok()) << "seed " << seed << ": the kernel does not mount our image\n" << prog::print(program);
      ours = mounted.tree();
    }
    if (!theirs->counts_directory_links()) {
      forget_directory_links(&ours);
      forget_directory_links(&theirs->tree);
    }
    const std::string difference = tree_difference(ours, theirs->tree);
    if (!difference.empty()) {
      ++different_programs_;
      ADD_FAILURE() << "seed " << seed << ", final trees:\n" << difference << prog::print(program);
    }
  }

  exec::Executor executor_;
  std::unique_ptr<GuestKernel> guest_;
  Family family_ = Family::kNoStores;
  unsigned long first_ = 1, count_ = 25;
  size_t same_ = 0, known_ = 0, different_programs_ = 0;
};

TEST_F(Differential, NameCallsAnswerAsTheKernelDoes) { run_family(Family::kNames); }
TEST_F(Differential, ReadsWritesAndSizesAnswerAsTheKernelDoes) { run_family(Family::kNoStores); }
TEST_F(Differential, NameCallsAnswerAsInATemporaryFolder) { run_family(Family::kFolderNames); }
TEST_F(Differential, ReadsWritesAndSizesAnswerAsInATemporaryFolder) { run_family(Family::kFolder); }
TEST_F(Differential, MappingsAnswerAsInATemporaryFolder) { run_family(Family::kFolderAligned); }
TEST_F(Differential, MappingsAnswerAsTheKernelDoes) { run_family(Family::kAligned); }
TEST_F(Differential, DirectReadsAndWritesAnswerAsTheKernelDoes) { run_family(Family::kDirect); }
TEST_F(Differential, DirectIoAndMappingsAnswerAsTheKernelDoes) { run_family(Family::kDirectAligned); }
// DAXFS_DIFFERENTIAL_PROGRAM=file in the environment: one program, and all that both say of it.
TEST_F(Differential, GuestProgramOfAFile) {
  const char* const folder = std::getenv("DAXFS_DIFFERENTIAL_GUEST");
  const char* const file = std::getenv("DAXFS_DIFFERENTIAL_PROGRAM");
  if (folder == nullptr || file == nullptr) { GTEST_SKIP() << "no program"; }
  guest_ = std::make_unique<GuestKernel>(folder);
  ASSERT_EQ(guest_->error(), "");
  std::ifstream in(file);
  const std::string text((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
  prog::Program program;
  std::string error;
  ASSERT_TRUE(prog::parse(text, file, &program, &error)) << error;
  show(program);
}

TEST_F(Differential, GuestDaxFilesAnswerAsLinux61Does) { run_family(Family::kGuest); }
TEST_F(Differential, GuestNamesAnswerAsLinux61Does) { run_family(Family::kGuestNames); }
TEST_F(Differential, GuestDirectIoAnswersAsLinux61Does) { run_family(Family::kGuestDirect); }

}  // namespace
}  // namespace daxfuzz::props
