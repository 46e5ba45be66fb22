#include "fuzz/exec/lone_call.h"

#include <algorithm>
#include <cinttypes>
#include <cstring>
#include <span>
#include <string>
#include <vector>

#include "fs/base/compiler.h"
#include "fs/base/text.h"
#include "fs/ext4/inode.h"
#include "fs/ext4/inode_cache.h"
#include "fs/jbd2/journal.h"
#include "fs/rt/clock.h"
#include "fuzz/exec/observer_reads.h"
#include "fuzz/oracle/model.h"

namespace daxfuzz::exec {

using daxfs::format;
using daxfs::check::TreeExtent;
using daxfs::check::TreeInode;
using daxfs::ext4::kFlagImmutable;
using oracle::Objection;
using oracle::OpRecord;
using prog::OpCode;

namespace {

constexpr uint64_t kBlock = daxfs::kBlockSize;
constexpr uint64_t kNsPerSecond = 1'000'000'000;
// Whose bytes, or names, may not change; to an append-only one may be added.
constexpr uint32_t kFixed = kFlagImmutable | daxfs::ext4::kFlagAppend;

std::optional<Objection> against(const char* tag, std::string title) {
  return Objection{.tag = tag, .title = std::move(title), .detail = "nothing ran beside the call\n"};
}

uint64_t mtime_of(const TreeInode& inode) { return inode.mtime * kNsPerSecond + inode.mtime_ns; }
uint64_t ctime_of(const TreeInode& inode) { return inode.ctime * kNsPerSecond + inode.ctime_ns; }

const daxfs::ext4::Inode* in_memory(daxfs::vfs::Filesystem& fs, uint32_t ino) {
  const daxfs::ext4::Inode* found = nullptr;
  fs.volume().inodes().for_each([&](const daxfs::ext4::Inode& inode) {
    if (inode.ino().value() == ino) { found = &inode; }
  });
  return found;
}

uint64_t promised_blocks(daxfs::vfs::Filesystem& fs) {
  uint64_t blocks = 0;
  fs.volume().inodes().for_each([&](const daxfs::ext4::Inode& inode) { blocks += inode.peek_delayed_blocks(); });
  return blocks;
}

// Without the slashes behind a name.
std::string_view trimmed(std::string_view path) {
  while (path.size() > 1 && path.ends_with('/')) { path.remove_suffix(1); }
  return path;
}

std::string_view last_name(std::string_view path) {
  path = trimmed(path);
  return path.substr(path.rfind('/') + 1);
}

// A transfer into a mapping may store to a file.
bool reads_only(const prog::Op& op) {
  if (op.buffer.kind == prog::MemoryKind::kMapping) { return false; }
  switch (op.code) {
    case OpCode::kRead:
    case OpCode::kPread:
    case OpCode::kLseek:
    case OpCode::kFsync:
    case OpCode::kFdatasync:
    case OpCode::kFstat:
    case OpCode::kFiemap:
    case OpCode::kDup: return true;
    // Another mapping may go for it, and with that the last that keeps a deleted file.
    case OpCode::kMmap: return (op.flags & prog::kMapFixed) == 0;
    default: return false;
  }
}

// A successful call through a descriptor that changes the file.
bool changes_file(const prog::Op& op, const OpRecord& record) {
  switch (op.code) {
    case OpCode::kWrite:
    case OpCode::kPwrite: return record.ret > 0;
    case OpCode::kFtruncate: return true;
    // A punch behind the end of the file does nothing.
    case OpCode::kFallocate: return (op.flags & prog::kFallocPunch) == 0;
    default: return false;
  }
}

}  // namespace

bool lone_calls_tell(const prog::Program& program) {
  const std::string_view mount = program.mount;
  for (const std::string_view word : {"flush=", "reclaim=", "fail_"}) {
    if (mount.find(word) != std::string_view::npos) { return false; }
  }
  return true;
}

LoneCall::LoneCall(Machine& machine, daxfs::vfs::Filesystem& fs, const prog::Program& program, const prog::Op& op)
    : machine_(machine), fs_(fs), program_(program), op_(op), now_(daxfs::rt::clock_realtime_ns()) {
  const ObserverReads atomic;
  if (!fs_.volume().journal().idle()) { return; }
  if (op.code == OpCode::kOpen) {
    expect_open();
  } else if (reads_only(op)) {
    note_untouched();
  } else {
    expect_names();
  }
}

void LoneCall::note_file(const OpRecord& record) {
  if (LoneLayout::about(op_)) {
    const ObserverReads atomic;
    return layout_.note(machine_.mm(record.process));
  }
  const bool failure = op_.code == OpCode::kMemoryFailure;
  if (record.ino == 0 || (!failure && !LoneBlocks::about(op_))) { return; }
  const ObserverReads atomic;
  if (!fs_.volume().journal().idle()) { return; }
  if (failure) {
    return failure_.note(machine_, program_.processes.size(), record.ino, static_cast<uint64_t>(op_.offset));
  }
  const daxfs::ext4::Inode* const inode = in_memory(fs_, record.ino);
  if (inode != nullptr) { blocks_.note(reader(), record.ino, inode->peek_size()); }
}

// 0 if it is not known.
uint32_t LoneCall::parent_of(std::string_view path) const {
  const std::string_view name = last_name(path);
  if (name.empty() || name == "." || name == "..") { return 0; }
  path = trimmed(path);
  path.remove_suffix(name.size());
  const uint32_t ino = reader().lookup(path);
  TreeInode inode;
  return ino != 0 && reader().inode(ino, inode) && inode.is_directory() ? ino : 0;
}

void LoneCall::expect(uint32_t ino, bool mtime, uint32_t forbidding_flags) {
  TreeInode inode;
  if (ino == 0 || touched_count_ == touched_.size() || !reader().inode(ino, inode)) { return; }
  touched_[touched_count_++] = {ino, inode.generation, mtime, (inode.flags & forbidding_flags) != 0};
}

void LoneCall::note_untouched() {
  fs_.volume().inodes().for_each([&](const daxfs::ext4::Inode& known) {
    TreeInode inode;
    if (untouched_count_ == untouched_.size() || !reader().inode(known.ino().value(), inode)) { return; }
    untouched_[untouched_count_++] = {inode.ino, inode.generation, mtime_of(inode), ctime_of(inode)};
  });
}

// The directories whose names change, and the files that lose, get or change one.
void LoneCall::expect_names() {
  const auto path = [&] { return program_.path_text(op_.path); };
  const auto path2 = [&] { return program_.path_text(op_.path2); };
  switch (op_.code) {
    case OpCode::kMkdir: return expect(parent_of(path()), /*mtime=*/true, kFlagImmutable);
    case OpCode::kRmdir: return expect(parent_of(path()), /*mtime=*/true, kFixed);
    case OpCode::kSymlink: return expect(parent_of(path2()), /*mtime=*/true, kFlagImmutable);
    case OpCode::kUnlink:
      expect(parent_of(path()), /*mtime=*/true, kFixed);
      return expect(reader().lookup(path()), /*mtime=*/false, kFixed);
    case OpCode::kLink:
      expect(parent_of(path2()), /*mtime=*/true, kFlagImmutable);
      return expect(reader().lookup(path()), /*mtime=*/false, kFixed);
    case OpCode::kRename: {
      const uint32_t from = reader().lookup(path());
      const uint32_t to = reader().lookup(path2());
      if (from == 0 || from == to) { return; }             // two names of one file: nothing is done
      if (to == 0 && parent_of(path2()) == 0) { return; }  // through a symbolic link, perhaps to the same name
      expect(parent_of(path()), /*mtime=*/true, kFixed);
      expect(parent_of(path2()), /*mtime=*/true, kFlagImmutable);
      expect(from, /*mtime=*/false, kFixed);
      return expect(to, /*mtime=*/false, kFixed);
    }
    case OpCode::kTruncate: {
      const uint32_t ino = reader().lookup(path());
      TreeInode inode;
      if (ino != 0 && reader().inode(ino, inode) && inode.is_regular()) { expect(ino, /*mtime=*/true, kFixed); }
      return;
    }
    default: return;
  }
}

// A name that is made, or a file that is cut.
void LoneCall::expect_open() {
  const uint32_t flags = op_.flags;
  if ((flags & prog::kOPath) != 0 || (flags & prog::kOTmpfile) == prog::kOTmpfile) { return; }
  const std::string_view path = program_.path_text(op_.path);
  const uint32_t ino = reader().lookup(path);
  if (ino == 0) {
    if ((flags & prog::kOCreat) != 0) { expect(parent_of(path), /*mtime=*/true, kFlagImmutable); }
    return;
  }
  TreeInode inode;
  if ((flags & prog::kOTrunc) != 0 && reader().inode(ino, inode) && inode.is_regular()) {
    expect(ino, /*mtime=*/true, kFixed);
  }
}

// Calls by name were looked at before they began.
std::optional<Objection> LoneCall::check_forbidden(const OpRecord& record) const {
  if (record.error != daxfs::Errc::kOk) { return std::nullopt; }
  const bool by_access = op_.code == OpCode::kOpen || op_.code == OpCode::kMmap;
  const auto changed = [&](uint32_t ino) {
    auto objection =
        against("LC10", format("%s %s inode %u, whose flags forbid it", std::string(op_.info().name).c_str(),
                               by_access ? "may change" : "changed", ino));
    objection->ino = ino;
    return objection;
  };
  for (const Touched& touched : std::span(touched_).first(touched_count_)) {
    if (touched.forbidden) { return changed(touched.ino); }
  }
  uint32_t forbidding = 0;
  switch (op_.code) {
    case OpCode::kWrite:
    case OpCode::kPwrite: forbidding = record.ret > 0 ? kFlagImmutable : 0; break;
    case OpCode::kFtruncate: forbidding = kFixed; break;
    case OpCode::kFallocate:
      forbidding = (op_.flags & ~prog::kFallocKeepSize) != 0 ? kFixed : uint32_t{kFlagImmutable};
      break;
    case OpCode::kOpen:
      if ((op_.flags & (prog::kOPath | prog::kOTmpfile)) != 0 || !oracle::writable(op_.flags)) { return std::nullopt; }
      forbidding = (op_.flags & prog::kOAppend) != 0 ? uint32_t{kFlagImmutable} : kFixed;
      break;
    case OpCode::kMmap: {
      const uint32_t type = op_.flags & prog::kMapType;
      const bool shared = type == prog::kMapShared || type == prog::kMapSharedValidate;
      const bool stores = shared && (op_.flags & prog::kMapAnon) == 0 && oracle::writable(record.open_flags);
      forbidding = stores ? daxfs::ext4::kFlagAppend : 0;
      break;
    }
    default: return std::nullopt;
  }
  TreeInode inode;
  const bool known = record.ino != 0 && reader().inode(record.ino, inode) && inode.generation == record.generation;
  return known && (inode.flags & forbidding) != 0 ? changed(record.ino) : std::nullopt;
}

std::optional<Objection> LoneCall::check_touched() const {
  for (const Touched& touched : std::span(touched_).first(touched_count_)) {
    TreeInode inode;
    if (!reader().inode(touched.ino, inode) || inode.generation != touched.generation) { continue; }
    if (!inode.fine_times || (inode.links == 0 && in_memory(fs_, touched.ino) == nullptr)) { continue; }
    const bool ctime = ctime_of(inode) >= now_;
    if (ctime && (!touched.mtime || mtime_of(inode) >= now_)) { continue; }
    auto objection =
        against("LC1", format("%s left %s of inode %u, which is %s, as it was", std::string(op_.info().name).c_str(),
                              ctime ? "mtime" : "ctime", touched.ino, inode.is_directory() ? "a directory" : "a file"));
    objection->ino = touched.ino;
    return objection;
  }
  return std::nullopt;
}

std::optional<Objection> LoneCall::check_untouched() const {
  for (const Untouched& was : std::span(untouched_).first(untouched_count_)) {
    TreeInode inode;
    if (!reader().inode(was.ino, inode) || inode.generation != was.generation) { continue; }
    if (mtime_of(inode) == was.mtime && ctime_of(inode) == was.ctime) { continue; }
    auto objection =
        against("LC1", format("%s changed %s of inode %u, and only reads", std::string(op_.info().name).c_str(),
                              mtime_of(inode) != was.mtime ? "mtime" : "ctime", was.ino));
    objection->ino = was.ino;
    return objection;
  }
  return std::nullopt;
}

std::optional<Objection> LoneCall::check_file_times(const OpRecord& record) {
  TreeInode inode;
  const bool changes = changes_file(op_, record);
  const bool attributes = op_.code == OpCode::kSetXflags || op_.code == OpCode::kSetFlags;
  if ((!changes && !attributes) || record.ino == 0 || !reader().inode(record.ino, inode)) { return std::nullopt; }
  if (inode.generation != record.generation) { return std::nullopt; }
  touched_[0] = {record.ino, record.generation, /*mtime=*/changes, /*forbidden=*/false};
  touched_count_ = 1;
  return check_touched();
}

std::optional<Objection> LoneCall::check_fiemap(const OpRecord& record) const {
  std::vector<TreeExtent> extents;
  if (record.error != daxfs::Errc::kOk || record.ino == 0 || op_.offset < 0 || op_.length <= 0) { return std::nullopt; }
  TreeInode inode;
  if (!reader().inode(record.ino, inode) || !inode.is_regular() || inode.generation != record.generation) {
    return std::nullopt;
  }
  if (!reader().extents(record.ino, extents)) { return std::nullopt; }
  const uint64_t first = static_cast<uint64_t>(op_.offset) / kBlock;
  const uint64_t past =
      daxfs::div_round_up(static_cast<uint64_t>(op_.offset) + static_cast<uint64_t>(op_.length), kBlock);
  const auto wrong = [&](uint64_t block, const char* what) {
    auto objection =
        against("LC2", format("fiemap says of block %" PRIu64 " of inode %u that %s; the medium says otherwise", block,
                              record.ino, what));
    objection->ino = record.ino;
    objection->offset = block * kBlock;
    return objection;
  };
  uint64_t at = first;
  for (size_t row_at = 0; row_at < record.data.size(); row_at += sizeof(oracle::FiemapRow)) {
    oracle::FiemapRow row;
    std::memcpy(row.data(), record.data.data() + row_at, sizeof(row));
    const auto [logical, physical, length, unwritten, last] = row;
    const uint64_t begin = logical / kBlock;
    const uint64_t end = begin + length / kBlock;
    if (begin < at || length == 0 || begin >= past) { return wrong(begin, "it is there a second time"); }
    const Stretch before = stretch_at(extents, at);
    if (at < begin && (before.mapped || before.end < begin)) { return wrong(at, "it is a hole"); }
    for (at = begin; at < end;) {
      const Stretch stretch = stretch_at(extents, at);
      if (!stretch.mapped) { return wrong(at, "it is mapped"); }
      if (stretch.physical != physical / kBlock + (at - begin)) { return wrong(at, "it is somewhere"); }
      if (stretch.unwritten != (unwritten != 0)) {
        return wrong(at, unwritten != 0 ? "it is unwritten" : "it is written");
      }
      at = std::min(stretch.end, end);
    }
    const bool at_end = row_at + sizeof(row) == record.data.size();
    if ((last != 0) != at_end) {
      return wrong(begin, at_end ? "its extent is not the last" : "its extent is the last");
    }
  }
  const Stretch rest = stretch_at(extents, at);
  if (at < past && (rest.mapped || rest.end < past)) { return wrong(at, "nothing is there, or behind it"); }
  return std::nullopt;
}

// Pages in memory over unwritten blocks count as data; which are there is known only if none are.
std::optional<Objection> LoneCall::check_seek(const OpRecord& record) const {
  const bool data = op_.flags == prog::kSeekData;
  if ((!data && op_.flags != prog::kSeekHole) || op_.offset < 0 || record.ino == 0) { return std::nullopt; }
  const bool none = record.error == daxfs::Errc::kNxio;
  if (record.error != daxfs::Errc::kOk && !none) { return std::nullopt; }
  const daxfs::ext4::Inode* const inode = in_memory(fs_, record.ino);
  std::vector<TreeExtent> extents;
  if (inode == nullptr || !inode->is_regular() || inode->generation() != record.generation ||
      !reader().extents(record.ino, extents)) {
    return std::nullopt;
  }
  const auto& mapping = const_cast<daxfs::ext4::Inode*>(inode)->mapping();
  const bool pages = mapping.nrexceptional.peek() != 0 || mapping.nrpages.peek() != 0;
  if (!record.dax && pages) { return std::nullopt; }  // some may be delayed
  const uint64_t size = inode->peek_size();
  const auto offset = static_cast<uint64_t>(op_.offset);
  const uint64_t got = none ? size : static_cast<uint64_t>(record.ret);
  const auto wrong = [&](const char* why, uint64_t at) {
    auto objection = against("LC2", format("lseek %s from %" PRIu64 " of inode %u came to %" PRIu64 " (size %" PRIu64
                                           "), but %s at %" PRIu64,
                                           data ? "SEEK_DATA" : "SEEK_HOLE", offset, record.ino, got, size, why, at));
    objection->ino = record.ino;
    objection->offset = at;
    return objection;
  };
  if (none && !data && offset < size) { return wrong("the file goes on", offset); }
  for (uint64_t at = offset; at < std::min(got, size);) {
    const Stretch stretch = stretch_at(extents, at / kBlock);
    const bool is_data = stretch.mapped && !stretch.unwritten;
    const bool is_hole = !stretch.mapped || (stretch.unwritten && !pages);
    if (data ? is_data : is_hole) { return wrong(data ? "data lie" : "a hole lies", at); }
    at = stretch.end > UINT64_MAX / kBlock ? UINT64_MAX : stretch.end * kBlock;
  }
  if (none || got >= size) { return std::nullopt; }
  const Stretch there = stretch_at(extents, got / kBlock);
  const bool may_be_data = there.mapped && (!there.unwritten || pages);
  const bool may_be_hole = !there.mapped || there.unwritten;
  if (data && !may_be_data) { return wrong("a hole lies", got); }
  if (!data && !may_be_hole) { return wrong("data lie", got); }
  return std::nullopt;
}

std::optional<Objection> LoneCall::check_statfs(const OpRecord& record) const {
  if (record.error != daxfs::Errc::kOk) { return std::nullopt; }
  const daxfs::check::TreeSpace space = reader().space();
  const uint64_t promised = promised_blocks(fs_);
  const uint64_t free = space.blocks_free - std::min(promised, space.blocks_free);
  // What is kept back for delayed conversions, too. Kernel: ext4_calculate_resv_clusters.
  constexpr uint64_t kKeptMax = 4096;
  const uint64_t reserved = space.blocks_reserved + std::min(space.blocks / 50, kKeptMax);
  const uint64_t available = free > reserved ? free - reserved : 0;
  const oracle::SpaceAnswer& said = record.space;
  if (said.blocks_free != free) {
    return against("LC3", format("statfs says %" PRIu64 " free blocks; the groups have %" PRIu64 ", and %" PRIu64
                                 " are promised to pages",
                                 said.blocks_free, space.blocks_free, promised));
  }
  if (said.blocks_available != available) {
    return against("LC3",
                   format("statfs says %" PRIu64 " blocks available; of %" PRIu64 " free ones %" PRIu64 " are reserved",
                          said.blocks_available, free, reserved));
  }
  if (said.files_free != space.inodes_free) {
    return against("LC3", format("statfs says %" PRIu64 " free inodes; the groups have %" PRIu64, said.files_free,
                                 space.inodes_free));
  }
  return std::nullopt;
}

std::optional<Objection> LoneCall::check_stat(const OpRecord& record) const {
  uint64_t row[4];  // mode, links, size, sectors
  TreeInode inode;
  if (record.error != daxfs::Errc::kOk || record.data.size() != sizeof(row) || !reader().inode(record.ino, inode)) {
    return std::nullopt;
  }
  std::memcpy(row, record.data.data(), sizeof(row));
  const daxfs::ext4::Inode* const known = in_memory(fs_, record.ino);
  const uint64_t promised = known != nullptr ? known->peek_delayed_blocks() : 0;
  const auto differs = [&](const char* what, uint64_t said, uint64_t there) -> std::optional<Objection> {
    if (said == there) { return std::nullopt; }
    auto objection =
        against("LC4", format("%s says %s %" PRIu64 " of inode %u; on the medium and promised it has %" PRIu64,
                              std::string(op_.info().name).c_str(), what, said, record.ino, there));
    objection->ino = record.ino;
    return objection;
  };
  if (auto objection = differs("mode", row[0], inode.mode)) { return objection; }
  if (auto objection = differs("links", row[1], inode.links)) { return objection; }
  return differs("sectors", row[3], inode.i_blocks + promised * (kBlock / daxfs::kSectorSize));
}

// Shared memory without a file keeps its pages (fs/mm/mprotect.cc).
std::optional<Objection> LoneCall::check_dropped(const OpRecord& record) const {
  if (record.error != daxfs::Errc::kOk) { return std::nullopt; }
  const uint64_t length = daxfs::round_up(static_cast<uint64_t>(op_.length), daxfs::kPageSize);
  std::optional<Objection> objection;
  machine_.mm(record.process).for_each_pte([&](const daxfs::mm::Vma& vma, daxfs::VirtAddr at, daxfs::mm::Pte pte) {
    const bool inside = at.value() >= record.address && at.value() - record.address < length;
    if (objection || !inside || !pte.present() || (vma.file == nullptr && vma.shared)) { return; }
    objection = against("LC7", format("madvise(DONTNEED) left the page at %" PRIx64 " mapped", at.value()));
  });
  return objection;
}

std::optional<Objection> LoneCall::check_populated(const OpRecord& record) const {
  if (record.error != daxfs::Errc::kOk) { return std::nullopt; }
  const bool write = op_.flags == prog::kAdvPopulateWrite;
  const uint64_t length = daxfs::round_up(static_cast<uint64_t>(op_.length), daxfs::kPageSize);
  uint64_t pages = 0;
  machine_.mm(record.process).for_each_pte([&](const daxfs::mm::Vma&, daxfs::VirtAddr at, daxfs::mm::Pte pte) {
    const bool inside = at.value() >= record.address && at.value() - record.address < length;
    if (inside && pte.allows(write)) { ++pages; }
  });
  if (pages == length / daxfs::kPageSize) { return std::nullopt; }
  return against("LC11", format("madvise(%s) mapped %" PRIu64 " of %" PRIu64 " pages",
                                write ? "POPULATE_WRITE" : "POPULATE_READ", pages, length / daxfs::kPageSize));
}

std::optional<Objection> LoneCall::check_advice(const OpRecord& record) const {
  switch (op_.flags) {
    case prog::kAdvDontNeed: return check_dropped(record);
    case prog::kAdvPopulateRead:
    case prog::kAdvPopulateWrite: return check_populated(record);
    default: return std::nullopt;
  }
}

std::optional<Objection> LoneCall::finish(const OpRecord& record) {
  const ObserverReads atomic;
  if (auto objection = layout_.check(machine_.mm(record.process), record)) { return objection; }
  if (!fs_.volume().journal().idle() || fs_.volume().read_only()) { return std::nullopt; }
  if (auto objection = check_forbidden(record)) { return objection; }
  if (auto objection = check_untouched()) { return objection; }
  if (auto objection = blocks_.check(reader(), record)) { return objection; }
  switch (op_.code) {
    case OpCode::kFiemap: return check_fiemap(record);
    case OpCode::kLseek: return check_seek(record);
    case OpCode::kStatfs: return check_statfs(record);
    case OpCode::kStat:
    case OpCode::kLstat:
    case OpCode::kFstat: return check_stat(record);
    case OpCode::kMadvise: return check_advice(record);
    case OpCode::kMemoryFailure: return failure_.check(record);
    default: break;
  }
  if (record.error != daxfs::Errc::kOk) { return std::nullopt; }
  return touched_count_ == 0 ? check_file_times(record) : check_touched();
}

std::optional<Objection> LoneCall::check_counts(Machine& machine, daxfs::vfs::Filesystem& fs) {
  const ObserverReads atomic;
  if (!fs.volume().journal().idle()) { return std::nullopt; }
  const uint64_t on_medium = machine.reader().space().blocks_free;
  const uint64_t promised = promised_blocks(fs);
  const uint64_t counted = fs.volume().peek_blocks_free();
  if (counted + promised == on_medium) { return std::nullopt; }
  return against("LC3", format("%" PRIu64 " blocks count as free and %" PRIu64
                               " are promised to pages; the groups have %" PRIu64 " free",
                               counted, promised, on_medium));
}

}  // namespace daxfuzz::exec
