// fuzz/oracle/model.cc - who is who: files, descriptors, addresses.
#include "fuzz/oracle/model.h"

#include <algorithm>

#include "fuzz/oracle/room.h"

namespace daxfuzz::oracle {

using daxfs::Errc;
using prog::MemoryKind;
using prog::OpCode;

namespace {

constexpr uint64_t kUserTop = uint64_t{1} << 47;  // one past the last address that can be mapped

}  // namespace

bool is_write(OpCode code) {
  return code == OpCode::kWrite || code == OpCode::kPwrite || code == OpCode::kIoSubmitPwrite;
}

bool is_asynchronous(OpCode code) { return code == OpCode::kIoSubmitPread || code == OpCode::kIoSubmitPwrite; }

bool is_positioned(OpCode code) { return code == OpCode::kPread || code == OpCode::kPwrite || is_asynchronous(code); }

bool uses_scratch(const OpRecord& record) {
  if (record.op->buffer.kind != MemoryKind::kAnonymous || record.ino == 0 || !is_transfer(record.op->code)) {
    return false;
  }
  return !record.dax || is_asynchronous(record.op->code);
}

bool reads_memory(OpCode code) { return code == OpCode::kLoad || code == OpCode::kProcessVmReadv; }

bool is_transfer(OpCode code) {
  return is_write(code) || code == OpCode::kRead || code == OpCode::kPread || code == OpCode::kIoSubmitPread;
}

uint64_t asked(const OpRecord& record) {
  return record.op->length < 0 ? 0 : std::min(static_cast<uint64_t>(record.op->length), kTransferMax);
}

MemoryRange memory_of(const OpRecord& record) {
  const prog::Op& op = *record.op;
  switch (op.code) {
    case OpCode::kLoad:
    case OpCode::kStore:
    case OpCode::kTouch:
    case OpCode::kProcessVmReadv: return {record.address, std::min(static_cast<uint64_t>(op.length), kTransferMax)};
    case OpCode::kRead:
    case OpCode::kWrite:
    case OpCode::kPread:
    case OpCode::kPwrite:
    case OpCode::kIoSubmitPread:
    case OpCode::kIoSubmitPwrite:
      if (op.buffer.kind != MemoryKind::kMapping) { return {}; }
      return {record.buffer_address, asked(record)};
    default: return {};
  }
}

bool readable(uint32_t open_flags) {
  const uint32_t mode = open_flags & prog::kOAccMode;
  return (open_flags & prog::kOPath) == 0 && (mode == prog::kORdOnly || mode == prog::kORdWr);
}

bool writable(uint32_t open_flags) {
  const uint32_t mode = open_flags & prog::kOAccMode;
  return (open_flags & prog::kOPath) == 0 && (mode == prog::kOWrOnly || mode == prog::kORdWr);
}

bool refused(const OpRecord& record) {
  const prog::Op& op = *record.op;
  switch (record.error) {
    case Errc::kBadf:
    case Errc::kRoFs:
    case Errc::kIsDir:
    case Errc::kNoEnt:
    case Errc::kExist:
    case Errc::kNotDir:
    case Errc::kLoop:
    case Errc::kNameTooLong:
    case Errc::kAccess:
    case Errc::kOpNotSupp:
    case Errc::kNoDev:
    case Errc::kNxio:
    case Errc::kTxtBsy: return true;
    // What a direct write cannot fill goes through the cache, which looks again whether the file may be written to.
    case Errc::kPerm:
    case Errc::kFBig: return !is_write(op.code) || record.dax || (record.open_flags & prog::kODirect) == 0;
    case Errc::kInval:
      // Direct I/O finds out about alignment piece by piece.
      return !is_transfer(op.code) || record.dax || op.length < 0 || (op.offset < 0 && is_positioned(op.code));
    case Errc::kAgain: return is_asynchronous(op.code);
    default: return false;
  }
}

void Model::order_records(const History& history) {
  order_.clear();
  for (const OpRecord& record : history.records) {
    if (record.op != nullptr) { order_.push_back(&record); }
  }
  const auto earlier = [](const OpRecord* a, const OpRecord* b) { return a->begin_seq < b->begin_seq; };
  if (!std::is_sorted(order_.begin(), order_.end(), earlier)) { std::sort(order_.begin(), order_.end(), earlier); }
}

FileHistory* Model::find(uint32_t ino, uint32_t generation) {
  for (size_t i = 0; i < file_count_; ++i) {
    if (files_[i]->ino() == ino && files_[i]->generation() == generation) { return files_[i].get(); }
  }
  return nullptr;
}

FileHistory& Model::file_for(uint32_t ino, uint32_t generation, bool foreign) {
  if (FileHistory* known = find(ino, generation)) { return *known; }
  if (file_count_ == files_.size()) { files_.push_back(std::make_unique<FileHistory>()); }
  FileHistory& file = *files_[file_count_++];
  file.reset(ino, generation, foreign);
  return file;
}

FileHistory* Model::file_of(const OpRecord& record) {
  return descriptors_.certain(record) ? find(record.ino, record.generation) : nullptr;
}

std::optional<uint64_t> Model::position(const OpRecord& record) const {
  const OpCode code = record.op->code;
  if (is_write(code)) {
    for (const Append& append : appends_) {
      if (append.record == &record) { return append.pos; }
    }
  }
  if (is_positioned(code)) {
    if (record.op->offset < 0) { return std::nullopt; }
    return static_cast<uint64_t>(record.op->offset);
  }
  return descriptors_.position(record);
}

namespace {

// Parts of blocks are zeroed in the page cache, also for descriptors with O_DIRECT.
bool may_zero_edges(const prog::Op& op) {
  constexpr uint32_t kZeroing = prog::kFallocPunch | prog::kFallocZero;
  const auto begin = static_cast<uint64_t>(op.offset);
  const uint64_t end = begin + static_cast<uint64_t>(op.length);
  switch (op.code) {
    case OpCode::kFtruncate:
    case OpCode::kTruncate: return true;
    case OpCode::kFallocate: return (op.flags & kZeroing) != 0 && (begin % kPageBytes != 0 || end % kPageBytes != 0);
    default: return false;
  }
}

}  // namespace

// Without extents a direct write into a hole goes through the cache.
bool may_have_block_maps(const prog::Program& program, const History& history) {
  return program.image == "maps" || std::any_of(history.records.begin(), history.records.end(), [](const auto& record) {
           return record.op != nullptr && record.op->code == OpCode::kSetFlags;
         });
}

// Files of all records, and what is known about them at once.
void Model::note_files(const prog::Program& program, const History& history) {
  bool edges_in_doubt = false;  // some file's, of which we do not know
  const bool maps = may_have_block_maps(program, history);
  for (const OpRecord* record : order_) {
    const prog::Op& op = *record->op;
    switch (op.code) {
      case OpCode::kRename:
      case OpCode::kLink:
      case OpCode::kSymlink:
      case OpCode::kUnlink:
      case OpCode::kRmdir:  // a file may get the name of the directory
        if (!refused(*record)) { names_static_ = false; }
        break;
      case OpCode::kFallocate:
        if ((op.flags & (prog::kFallocCollapse | prog::kFallocInsert)) != 0 && record->ret == 0) {
          shifts_seen_ = true;
        }
        break;
      case OpCode::kMmap:
      case OpCode::kMremap:
      case OpCode::kMunmap: mapping_calls_.push_back(record); break;
      default: break;
    }
    const bool opens_append = op.code == OpCode::kOpen && (op.flags & prog::kOAppend) != 0;
    if (opens_append && record->error == Errc::kOk && !descriptors_.certain(*record)) { append_in_doubt_ = true; }
    const bool zeroes_edges = may_zero_edges(op);
    const bool sets_flags = op.code == OpCode::kSetFl && record->error == Errc::kOk;
    if (record->ino == 0 || !descriptors_.certain(*record)) {
      direct_in_doubt_ = direct_in_doubt_ || sets_flags;
      edges_in_doubt = edges_in_doubt || zeroes_edges;
      continue;
    }
    FileHistory& file = file_for(record->ino, record->generation, history.foreign_image || history.filled_files);
    const bool done = record->error == Errc::kOk;
    file.cached = file.cached || !record->dax;
    file.zeroed_in_cache = file.zeroed_in_cache || (zeroes_edges && !record->dax);
    if (op.code == OpCode::kOpen && done) {
      if ((op.flags & (prog::kOAccMode | prog::kOPath)) != 0 && (op.flags & prog::kOPath) == 0) { file.regular = true; }
      if ((op.flags & prog::kOAppend) != 0) { file.opened_append = true; }
      if ((op.flags & prog::kODirect) != 0) { file.opened_direct = true; }
      if (((op.flags & prog::kODirect) == 0 || maps) && !record->dax) { file.through_cache = true; }
    }
    if (sets_flags) {
      const bool direct = (op.flags & prog::kODirect) != 0;
      file.opened_direct = file.opened_direct || direct;
      file.through_cache = file.through_cache || ((!direct || maps) && !record->dax);
    }
    if ((is_transfer(op.code) || op.code == OpCode::kMmap) && done) {
      const bool anonymous = op.code == OpCode::kMmap && (op.flags & prog::kMapAnon) != 0;
      if (!anonymous) { file.regular = true; }
      if (!anonymous && op.code == OpCode::kMmap && !record->dax) { file.through_cache = true; }
    }
  }
  if (!writeback_may_fail_) { return; }
  for (size_t i = 0; i < file_count_; ++i) {
    FileHistory& file = *files_[i];
    const bool dirty_pages = file.through_cache || file.zeroed_in_cache;
    if (dirty_pages || (file.cached && (direct_in_doubt_ || edges_in_doubt))) { file.blur(0); }
  }
}

bool Model::overlapped_by_mapping_call(const OpRecord& record) const {
  return std::any_of(mapping_calls_.begin(), mapping_calls_.end(), [&](const OpRecord* other) {
    return other != &record && other->process == record.process && period_of(*other).overlaps(period_of(record));
  });
}

// A call that failed may have unmapped its target first. Where that is was only in a variable.
void Model::may_unmap_target(const OpRecord& record, uint64_t length) {
  const prog::Memory& at = record.op->at;
  if (at.kind != MemoryKind::kMapping) { return; }
  for (const OpRecord* other : mapping_calls_) {
    if (other->process != record.process || other->op->result != at.slot || other->error != Errc::kOk) { continue; }
    const uint64_t target = static_cast<uint64_t>(other->ret) + static_cast<uint64_t>(at.offset);
    mappings(record).unmap(target, target + length, period_of(record), false);
  }
}

void Model::note_mremap(const OpRecord& record) {
  const prog::Op& op = *record.op;
  Mappings& mappings = this->mappings(record);
  const Period period = period_of(record);
  const uint64_t old_length = page_up(static_cast<uint64_t>(op.length));
  const uint64_t new_length = page_up(static_cast<uint64_t>(op.length2));
  const bool fixed = (op.flags & prog::kRemapFixed) != 0;
  if (record.error != Errc::kOk) {
    if (fixed) {
      may_unmap_target(record, new_length);
      mappings.unmap(record.address, record.address + old_length, period, false);
    }
    return;
  }
  const uint64_t target = static_cast<uint64_t>(record.ret);
  Region* const source = overlapped_by_mapping_call(record) ? nullptr : mappings.certain_at(record.address, period);
  Region moved;
  moved.unknown = true;
  if (source != nullptr) {
    moved = *source;
    moved.offset += record.address - source->begin;
    moved.copied_from = period.begin;  // of a private one: it keeps its copies
  }
  moved.prot_certain = false;
  moved.born = period;
  moved.dies = {kNever, kNever};
  moved.begin = target;
  moved.end = target + new_length;
  if (target == record.address) {
    if (new_length <= old_length) {
      mappings.unmap(target + new_length, target + old_length, period, true);
      return;
    }
    moved.begin = target + old_length;
    moved.offset += old_length;
  } else {
    if (fixed) { mappings.unmap(target, target + new_length, period, true); }
    // A length that wraps should have been refused: then anything may be gone.
    const bool sane = old_length <= kUserTop - std::min(record.address, kUserTop);
    // What DONTUNMAP leaves shows the same file, apart from copies, which have moved.
    const bool stays = (op.flags & prog::kRemapDontUnmap) != 0 && sane;
    if (!stays) { mappings.unmap(record.address, sane ? record.address + old_length : kUserTop, period, sane); }
  }
  mappings.map(moved);
}

void Model::note_mapping(const OpRecord& record) {
  const prog::Op& op = *record.op;
  Mappings& mappings = this->mappings(record);
  const Period period = period_of(record);
  const uint64_t length = page_up(static_cast<uint64_t>(op.length));
  switch (op.code) {
    case OpCode::kMmap: {
      if (record.error != Errc::kOk) {
        if ((op.flags & prog::kMapFixed) != 0) { may_unmap_target(record, length); }
        return;
      }
      Region region;
      region.begin = static_cast<uint64_t>(record.ret);
      region.end = region.begin + length;
      region.offset = static_cast<uint64_t>(op.offset);
      region.prot = op.prot;
      region.born = period;
      region.shared = (op.flags & prog::kMapType) != prog::kMapPrivate;
      if ((op.flags & prog::kMapAnon) == 0) {
        region.file = file_of(record);
        region.unknown = region.file == nullptr;
      }
      const bool populates = (op.flags & (prog::kMapPopulate | prog::kMapLocked)) != 0;
      if (!region.shared && populates) { region.copied_from = period.begin; }
      if ((op.flags & prog::kMapFixed) != 0) { mappings.unmap(region.begin, region.end, period, true); }
      return mappings.map(region);
    }
    case OpCode::kMunmap:
      if (record.error == Errc::kInval) { return; }
      return mappings.unmap(record.address, record.address + length, period, record.error == Errc::kOk);
    case OpCode::kMremap: return note_mremap(record);
    case OpCode::kMprotect: return mappings.protect(record.address, record.address + length, period);
    case OpCode::kRead:
    case OpCode::kWrite:
    case OpCode::kPread:
    case OpCode::kPwrite:
    case OpCode::kIoSubmitPread:
    case OpCode::kIoSubmitPwrite:
      if (uses_scratch(record)) { mappings.scratch(period); }
      return;
    default: return;
  }
}

// Pages of private mappings stop following the file with the first store.
void Model::note_private_copies() {
  for (const OpRecord* record : order_) {
    const prog::Op& op = *record->op;
    MemoryRange range = memory_of(*record);
    if (reads_memory(op.code) || is_write(op.code)) { continue; }
    if (op.code == OpCode::kMadvise && op.flags == prog::kAdvPopulateWrite) {
      range = {record->address, page_up(static_cast<uint64_t>(op.length))};
    }
    if (range.length == 0) { continue; }
    const Period period = period_of(*record);
    mappings(*record).for_each_possible(range.address, range.address + range.length, period,
                                        [&](Region& region, uint64_t, uint64_t) {
                                          if (!region.shared) {
                                            region.copied_from = std::min(region.copied_from, period.begin);
                                          }
                                        });
  }
}

// If no name ever changed, a path that some open used is that open's file.
FileHistory* Model::by_static_path(const OpRecord& record) {
  if (!names_static_) { return nullptr; }
  for (const OpRecord* other : order_) {
    if (other->op->code != OpCode::kOpen || other->op->path != record.op->path) { continue; }
    if (other->error == Errc::kOk && (other->op->flags & prog::kONoFollow) == 0) {
      if (FileHistory* file = file_of(*other)) { return file; }
    }
  }
  return nullptr;
}

namespace {

// Whether it makes shared pages dirty, or could: stores, transfers into mappings, and faults for writing that store
// nothing.
bool dirties_pages(const OpRecord& record) {
  const prog::Op& op = *record.op;
  if (op.code == OpCode::kMadvise) { return op.flags == prog::kAdvPopulateWrite; }
  return memory_of(record).length != 0 && !reads_memory(op.code) && !is_write(op.code);
}

}  // namespace

bool Model::may_be_overtaken(const OpRecord& write, const FileHistory& file) {
  if (!direct_in_doubt_ && (!file.through_cache || !file.opened_direct)) { return false; }
  const Period period = period_of(write);
  return std::any_of(order_.begin(), order_.end(), [&](const OpRecord* other) {
    if (other == &write || !period_of(*other).overlaps(period)) { return false; }
    const OpCode code = other->op->code;
    if (is_write(code)) { return file_of(*other) == &file || other->ino == 0; }
    return dirties_pages(*other);
  });
}

bool Model::may_be_direct(const OpRecord& write) const {
  if (write.dax) { return false; }
  return (write.open_flags & prog::kODirect) != 0 || std::ranges::any_of(order_, [&](const OpRecord* other) {
           return other->op->code == OpCode::kSetFl && period_of(*other).overlaps(period_of(write));
         });
}

bool Model::scratch_untouched(const OpRecord& record) {
  if (!uses_scratch(record)) { return true; }
  const Period period = period_of(record);
  Mappings& own = mappings(record);
  if (own.scratch_in_doubt(period)) { return false; }
  for (const OpRecord* other : order_) {
    if (other == &record || other->process != record.process || !period_of(*other).overlaps(period)) { continue; }
    if (other->op->code == OpCode::kMprotect || other->op->code == OpCode::kMadvise) { return false; }
    // The memory stays, and its pages go elsewhere.
    const bool empties = other->op->code == OpCode::kMremap && (other->op->flags & prog::kRemapDontUnmap) != 0;
    if (empties && !own.surely_mapped(other->address, other->address + 1, period_of(*other))) { return false; }
    const MemoryRange range = memory_of(*other);
    if (range.length == 0 || reads_memory(other->op->code) || is_write(other->op->code)) { continue; }
    if (!own.surely_mapped(range.address, range.address + range.length, period_of(*other))) { return false; }
  }
  return true;
}

bool orders_failing_bio(const prog::Program& program) { return program.mount.find("fail_bio=") != std::string::npos; }

namespace {

// Writeback comes after the calls whose bytes it loses, and the one that is told may be another one.
bool writeback_may_fail(const prog::Program& program) {
  return orders_failing_bio(program) || program.mount.find("fail_alloc=") != std::string::npos;
}

}  // namespace

void Model::build(const prog::Program& program, const History& history) {
  writeback_may_fail_ = oracle::writeback_may_fail(program);
  bios_fail_ = orders_failing_bio(program);
  plenty_of_room_ = oracle::plenty_of_room(program, history);
  stores_may_fail_ = std::any_of(history.records.begin(), history.records.end(), [](const OpRecord& record) {
    const prog::Op& op = *record.op;
    return op.code == OpCode::kMemoryFailure || (op.code == OpCode::kMadvise && op.flags == prog::kAdvHwPoison) ||
           (op.code == OpCode::kSetXflags && (op.flags & prog::kXflagImmutable) != 0) ||
           (op.code == OpCode::kSetFlags && (op.flags & prog::kFsImmutable) != 0);
  });
  asynchronous_ = std::any_of(history.records.begin(), history.records.end(),
                              [](const OpRecord& record) { return is_asynchronous(record.op->code); });
  file_count_ = 0;
  names_static_ = true;
  append_in_doubt_ = false;
  direct_in_doubt_ = false;
  shifts_seen_ = false;
  foreign_image_ = history.foreign_image;
  block_maps_possible_ = history.foreign_image || may_have_block_maps(program, history);
  appends_.clear();
  mapping_calls_.clear();
  for (size_t i = 0; i < program.processes.size(); ++i) { mappings_[i].reset(); }

  order_records(history);
  memory_ran_out_ = history.memory_ran_out;
  descriptors_.build(order_, history.no_descriptors);
  note_files(program, history);
  for (const OpRecord* record : order_) { note_mapping(*record); }
  for (size_t i = 0; i < program.processes.size(); ++i) { mappings_[i].finish(); }
  note_private_copies();
  if (shifts_seen_) { note_shifts(); }
  for (const OpRecord* record : order_) { note_sizes(*record); }
  note_appends();
  for (const OpRecord* record : order_) { note_writes(*record); }
}

}  // namespace daxfuzz::oracle
