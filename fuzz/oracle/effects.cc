// fuzz/oracle/effects.cc - what operations did to files' sizes and bytes.
#include <algorithm>

#include "fuzz/oracle/model.h"

namespace daxfuzz::oracle {

using daxfs::Errc;
using prog::MemoryKind;
using prog::OpCode;

namespace {

bool succeeded(const OpRecord& record) { return record.error == Errc::kOk; }

// MADV_REMOVE goes mapping by mapping and may be refused after the first.
bool surely_nothing(const OpRecord& record) { return refused(record) && record.op->code != OpCode::kMadvise; }

uint64_t moved_bytes(const OpRecord& record) {
  return succeeded(record) && record.ret > 0 ? static_cast<uint64_t>(record.ret) : 0;
}

bool truncates_on_open(const OpRecord& record) {
  return record.op->code == OpCode::kOpen && (record.op->flags & (prog::kOTrunc | prog::kOPath)) == prog::kOTrunc;
}

bool is_shift(const OpRecord& record) {
  return record.op->code == OpCode::kFallocate &&
         (record.op->flags & (prog::kFallocCollapse | prog::kFallocInsert)) != 0;
}

bool punches(const OpRecord& record) { return (record.op->flags & prog::kFallocPunch) != 0; }
bool zeroes(const OpRecord& record) { return (record.op->flags & prog::kFallocZero) != 0; }

// Ranges behind every possible byte need no care.
uint64_t clip(uint64_t at) { return std::min(at, kEverything); }
uint64_t unsigned_of(int64_t value) { return clip(static_cast<uint64_t>(std::max<int64_t>(value, 0))); }

}  // namespace

void Model::blur_all(uint64_t from) {
  for (size_t i = 0; i < file_count_; ++i) { files_[i]->blur(from); }
}

bool Model::appends(const OpRecord& record, const FileHistory& file) const {
  if (!file.opened_append && !append_in_doubt_) { return false; }
  const OpRecord* const open = descriptors_.opened_by(record);
  return open == nullptr || (open->op->flags & prog::kOAppend) != 0;
}

// --- shifts

void Model::note_use(const OpRecord& record) {
  if (surely_nothing(record)) { return; }
  const OpCode code = record.op->code;
  const Period period = period_of(record);
  const bool by_fd =
      is_write(code) || code == OpCode::kFtruncate || code == OpCode::kFallocate || truncates_on_open(record);
  if (by_fd) {
    if (FileHistory* file = file_of(record)) { file->used(period, true); }
  }
  if (code == OpCode::kTruncate) {
    for (size_t i = 0; i < file_count_; ++i) { files_[i]->used(period, true); }
  }
  MemoryRange range = memory_of(record);
  if (code == OpCode::kMadvise) { range = {record.address, page_up(static_cast<uint64_t>(record.op->length))}; }
  if (range.length == 0 || reads_memory(code) || is_write(code)) { return; }
  mappings(record).for_each_possible(range.address, range.address + range.length, period,
                                     [&](Region& region, uint64_t, uint64_t) {
                                       if (region.file != nullptr && region.shared) { region.file->used(period, true); }
                                     });
}

void Model::note_shifts() {
  for (const OpRecord* record : order_) {
    note_use(*record);
    if (!is_shift(*record) || !succeeded(*record)) { continue; }
    FileHistory* const file = file_of(*record);
    if (file == nullptr) { continue; }  // blurs all, see note_sizes
    file->shift({.period = period_of(*record),
                 .offset = unsigned_of(record->op->offset),
                 .length = unsigned_of(record->op->length),
                 .insert = (record->op->flags & prog::kFallocInsert) != 0});
  }
  for (size_t i = 0; i < file_count_; ++i) { files_[i]->settle_shifts(); }
}

// --- sizes

void Model::write_sizes(const OpRecord& record, FileHistory& file, std::optional<uint64_t> pos) {
  const Period period = period_of(record);
  if (!pos) { return file.blur(period.begin); }
  if (const uint64_t done = moved_bytes(record); done != 0) { file.grow_size(clip(*pos + done), period, true); }
  if (!succeeded(record)) { file.grow_size(clip(*pos + asked(record)), period, false); }
}

void Model::note_sizes(const OpRecord& record) {
  const prog::Op& op = *record.op;
  const Period period = period_of(record);
  const bool done = succeeded(record);
  if (refused(record)) { return; }
  if (op.code == OpCode::kTruncate) {
    const uint64_t size = unsigned_of(op.length);
    if (FileHistory* file = by_static_path(record)) { return file->set_size({size, size}, period, done); }
    for (size_t i = 0; i < file_count_; ++i) { files_[i]->set_size({size, size}, period, false); }
    return;
  }
  const bool changes =
      is_write(op.code) || op.code == OpCode::kFtruncate || op.code == OpCode::kFallocate || truncates_on_open(record);
  if (!changes) { return; }
  FileHistory* const file = file_of(record);
  if (file == nullptr) { return blur_all(period.begin); }
  if (is_write(op.code)) {
    if (appends(record, *file)) {
      appends_.push_back({&record, std::nullopt});
      return;
    }
    return write_sizes(record, *file, position(record));
  }
  if (op.code == OpCode::kFtruncate || op.code == OpCode::kOpen) {
    const uint64_t size = op.code == OpCode::kOpen ? 0 : unsigned_of(op.length);
    return file->set_size({size, size}, period, done);
  }
  if (is_shift(record)) {
    if (!done) { file->blur(period.begin); }
    return;
  }
  if ((op.flags & prog::kFallocKeepSize) != 0 || punches(record)) { return; }
  file->grow_size(clip(unsigned_of(op.offset) + unsigned_of(op.length)), period, done);
}

// Appends go where the size was. That is clear if one size was possible. Of several at the same time the order is
// not, but they take turns: together they make the file longer by all of their bytes.
void Model::note_appends() {
  for (size_t i = 0; i < appends_.size();) {
    Append& append = appends_[i];
    FileHistory& file = *file_of(*append.record);
    Period period = period_of(*append.record);
    uint64_t bytes = 0;
    bool clear = true;
    size_t end = i;  // appends_ is in order of begins
    for (; end < appends_.size() && appends_[end].record->begin_seq <= period.end; ++end) {
      const OpRecord& record = *appends_[end].record;
      period.end = std::max(period.end, record.end_seq);
      bytes += moved_bytes(record);
      clear = clear && file_of(record) == &file && descriptors_.opened_by(record) != nullptr;
      clear = clear && (end == i || (succeeded(record) && succeeded(*append.record)));
    }
    const SizeRange size = end == i + 1 ? file.size_without(period) : file.size(period);
    clear = clear && size.least == size.most;
    if (end == i + 1) {
      if (clear) { append.pos = size.least; }
      write_sizes(*append.record, file, append.pos);
    } else if (clear) {
      file.grow_size(clip(size.least + bytes), period, true);
      file.write(size.least, clip(size.least + bytes), period, Source::unknown(), true);
    } else {
      for (size_t k = i; k < end; ++k) {
        const OpRecord& record = *appends_[k].record;
        write_sizes(record, *file_of(record), std::nullopt);
      }
    }
    i = end;
  }
}

// --- bytes

void Model::note_writes(const OpRecord& record) {
  const prog::Op& op = *record.op;
  const Period period = period_of(record);
  // Where the harness put its bytes there may have been a mapping of any file by then.
  if (mappings(record).scratch_in_doubt(period)) { blur_all(period.begin); }
  if (surely_nothing(record)) { return; }
  const bool done = succeeded(record);
  switch (op.code) {
    case OpCode::kMemoryFailure: return memory_failure(record);
    case OpCode::kStore:
    case OpCode::kTouch: return store(record);
    case OpCode::kRead:
    case OpCode::kPread:
    case OpCode::kIoSubmitPread: return read_into_memory(record);
    case OpCode::kMadvise:
      if (op.flags == prog::kAdvRemove) { remove_advice(record); }
      return;
    case OpCode::kTruncate: {
      if (FileHistory* file = by_static_path(record)) {
        return truncate_bytes(*file, unsigned_of(op.length), period, done);
      }
      for (size_t i = 0; i < file_count_; ++i) { truncate_bytes(*files_[i], unsigned_of(op.length), period, false); }
      return;
    }
    default: break;
  }
  FileHistory* const file = file_of(record);
  if (file == nullptr) { return; }  // all is blurred already if it matters
  if (is_write(op.code)) { return write_bytes(record, *file); }
  if (op.code == OpCode::kFtruncate) { return truncate_bytes(*file, unsigned_of(op.length), period, done); }
  if (truncates_on_open(record)) { return truncate_bytes(*file, 0, period, done); }
  if (op.code == OpCode::kFallocate) { return fallocate_bytes(record, *file); }
}

// Bytes stay as they are; they only cannot be read. Also with EBUSY, when nobody was told.
void Model::memory_failure(const OpRecord& record) {
  const uint64_t page = page_down(unsigned_of(record.op->offset));
  if (FileHistory* file = file_of(record)) { return file->damage(page, page + kPageBytes, period_of(record)); }
  for (size_t i = 0; i < file_count_; ++i) { files_[i]->damage(page, page + kPageBytes, period_of(record)); }
}

// Zeros from `size` on. Surely so behind the page of the new end; before that only if the file did not grow.
void Model::truncate_bytes(FileHistory& file, uint64_t size, Period period, bool certain) {
  const bool shrinks = size == 0 || file.size_without(period).least > size;
  file.write(size, page_up(size), period, Source::zero(), certain && shrinks);
  file.write(page_up(size), kEverything, period, Source::zero(), certain);
}

// A hole wholly behind EOF is none.
void Model::punch(FileHistory& file, uint64_t begin, uint64_t end, Period period, bool certain) {
  const bool inside = file.size(period).least > begin;
  file.write(begin, end, period, Source::zero(), certain && inside);
}

void Model::fallocate_bytes(const OpRecord& record, FileHistory& file) {
  const uint64_t begin = unsigned_of(record.op->offset);
  const uint64_t end = clip(begin + unsigned_of(record.op->length));
  const Period period = period_of(record);
  if (punches(record)) { return punch(file, begin, end, period, succeeded(record)); }
  if (zeroes(record)) { file.write(begin, end, period, Source::zero(), succeeded(record)); }
}

// madvise(MADV_REMOVE) is a punch through the mapping.
void Model::remove_advice(const OpRecord& record) {
  const uint64_t begin = record.address;
  const uint64_t end = begin + page_up(static_cast<uint64_t>(record.op->length));
  const Period period = period_of(record);
  const bool certain = succeeded(record);
  Mappings& own = mappings(record);
  own.for_each_piece(begin, end, period, [&](const Region* region, uint64_t from, uint64_t to) {
    if (region != nullptr) {
      if (region->file == nullptr || !region->shared) { return; }
      const uint64_t offset = region->offset + (from - region->begin);
      return punch(*region->file, offset, offset + (to - from), period, certain);
    }
    own.for_each_possible(from, to, period, [&](const Region& other, uint64_t low, uint64_t high) {
      if (other.unknown) { return blur_all(period.begin); }
      if (other.file == nullptr || !other.shared) { return; }
      const uint64_t offset = other.offset + (low - other.begin);
      other.file->write(offset, offset + (high - low), period, Source::zero(), false);
    });
  });
}

// Bytes [begin, end) of a write that started at file offset `pos`.
void Model::write_from(const OpRecord& record, FileHistory& file, uint64_t pos, uint64_t begin, uint64_t end,
                       bool certain) {
  const Period period = period_of(record);
  const prog::Memory& buffer = record.op->buffer;
  if (buffer.kind == MemoryKind::kAnonymous) {
    const bool known = scratch_untouched(record);
    return file.write(begin, end, period, known ? Source::pattern(buffer, pos) : Source::unknown(), certain);
  }
  if (buffer.kind != MemoryKind::kMapping) { return file.write(begin, end, period, Source::unknown(), certain); }
  const uint64_t address = record.buffer_address;
  mappings(record).for_each_piece(
      address + (begin - pos), address + (end - pos), period, [&](const Region* region, uint64_t from, uint64_t to) {
        const uint64_t at = pos + (from - address);
        Source source = Source::unknown();
        if (region != nullptr && region->follows_file(period)) {
          source = Source::copy(*region->file, region->offset + (from - region->begin) - at);
        }
        file.write(at, at + (to - from), period, source, certain);
      });
}

void Model::write_bytes(const OpRecord& record, FileHistory& file) {
  const auto pos = position(record);
  if (!pos) { return; }  // blurred
  const Period period = period_of(record);
  const uint64_t done = moved_bytes(record);
  const uint64_t end = clip(*pos + asked(record));
  const uint64_t done_end = std::min(clip(*pos + done), end);
  if (done != 0) {
    const bool overtaken = may_be_overtaken(record, file);
    write_from(record, file, *pos, *pos, done_end, !overtaken);
    // Of a block that was new when it looked, direct I/O zeroes the rest, whatever the page cache has written there
    // since.
    if (overtaken && may_be_direct(record)) {
      file.write(page_down(*pos), *pos, period, Source::zero(), false);
      file.write(done_end, page_up(done_end), period, Source::zero(), false);
    }
    if (record.dax) { file.cure(*pos, done_end, period); }
  }
  if (done_end == end) { return; }
  // What did not get through may be there in part; and the blocks behind EOF go, with what was stored there.
  write_from(record, file, *pos, done_end, end, false);
  const uint64_t least = file.size_without(period).least;
  const uint64_t cut = done == 0 ? least : std::max(least, done_end);
  if (end > least) { file.write(cut, kEverything, period, Source::zero(), false); }
}

void Model::read_into_memory(const OpRecord& record) {
  const MemoryRange range = memory_of(record);
  if (range.length == 0 || (succeeded(record) && record.ret == 0)) { return; }
  const Period period = period_of(record);
  const uint64_t done_end = range.address + std::min(moved_bytes(record), range.length);
  const FileHistory* const from_file = file_of(record);
  const auto pos = position(record);
  Mappings& own = mappings(record);
  const auto piece = [&](FileHistory& file, uint64_t offset, uint64_t address, uint64_t size, bool certain) {
    Source source = Source::unknown();
    if (from_file != nullptr && pos && certain) {
      source = Source::copy(*from_file, *pos + (address - range.address) - offset);
    }
    // A direct write of the file meanwhile takes pages out of the cache that are pinned: what DMA then stores is lost.
    file.write(offset, offset + size, period, source, certain && !may_be_overtaken(record, file));
    file.stored(offset, offset + size, period);
  };
  const auto part = [&](uint64_t begin, uint64_t end, bool certain) {
    own.for_each_piece(begin, end, period, [&](const Region* region, uint64_t from, uint64_t to) {
      if (region != nullptr) {
        if (region->file == nullptr || !region->shared) { return; }
        return piece(*region->file, region->offset + (from - region->begin), from, to - from, certain);
      }
      own.for_each_possible(from, to, period, [&](const Region& other, uint64_t low, uint64_t high) {
        if (other.unknown) { return blur_all(period.begin); }
        if (other.file == nullptr || !other.shared) { return; }
        piece(*other.file, other.offset + (low - other.begin), low, high - low, false);
      });
    });
  };
  if (done_end > range.address) { part(range.address, done_end, true); }
  if (done_end < range.address + range.length) { part(done_end, range.address + range.length, false); }
}

void Model::store(const OpRecord& record) {
  const bool touch = record.op->code == OpCode::kTouch;
  const Period period = period_of(record);
  if (record.ret <= 0) { return; }
  const auto count = static_cast<uint64_t>(record.ret);
  const uint64_t address = record.address;
  const uint64_t end = address + (touch ? (count - 1) * kPageBytes + 1 : count);
  Mappings& own = mappings(record);
  const auto piece = [&](const Region& region, uint64_t from, uint64_t to, bool certain) {
    if (region.file == nullptr || !region.shared) { return; }
    const uint64_t offset = region.offset + (from - region.begin);
    region.file->stored(offset, offset + (to - from), period);
    const uint64_t skip = touch ? (kPageBytes - (from - address) % kPageBytes) % kPageBytes : 0;
    if (touch) {
      const Source source{.kind = Source::Kind::kFill, .fill = record.op->buffer.fill};
      return region.file->write_every_page(offset + skip, offset + (to - from), period, source, certain);
    }
    const Source source = Source::pattern(record.op->buffer, offset - (from - address));
    region.file->write(offset, offset + (to - from), period, source, certain);
  };
  own.for_each_piece(address, end, period, [&](const Region* region, uint64_t from, uint64_t to) {
    if (region != nullptr) { return piece(*region, from, to, true); }
    own.for_each_possible(from, to, period, [&](const Region& other, uint64_t low, uint64_t high) {
      if (other.unknown) { return blur_all(period.begin); }
      piece(other, low, high, false);
    });
  });
}

}  // namespace daxfuzz::oracle
