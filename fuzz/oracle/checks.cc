#include "fuzz/oracle/checks.h"

#include <algorithm>
#include <array>
#include <cinttypes>
#include <cstring>
#include <vector>

#include "fs/base/text.h"
#include "fs/base/types.h"
#include "fuzz/oracle/durable.h"
#include "fuzz/oracle/errors.h"
#include "fuzz/oracle/model.h"
#include "fuzz/oracle/refusals.h"

namespace daxfuzz::oracle {

using daxfs::Errc;
using daxfs::format;
using prog::MemoryKind;
using prog::OpCode;

namespace {

using Bytes = std::span<const std::byte>;

std::string detail_of(const OpRecord& record, const FileHistory& file) {
  return format("inode %u generation %u, operation at %" PRIu64 "..%" PRIu64 ", returned %lld\n", file.ino(),
                file.generation(), record.begin_seq, record.end_seq, static_cast<long long>(record.ret));
}

std::optional<Objection> object(std::string title, std::string detail) {
  return Objection{"O9", std::move(title), std::move(detail)};
}

// --- bytes

// How many bytes from the front equal `value`. Most ranges are equal throughout: a library call says so, at the same
// price in builds whose compiler checks each load.
size_t mismatch_fill(Bytes data, uint8_t value) {
  if (data.empty() || std::to_integer<uint8_t>(data[0]) != value) { return 0; }
  if (std::memcmp(data.data(), data.data() + 1, data.size() - 1) == 0) { return data.size(); }
  size_t at = 1;
  for (; at + 64 < data.size() && std::memcmp(data.data() + at - 1, data.data() + at, 64) == 0; at += 64) {}
  while (std::to_integer<uint8_t>(data[at]) == value) { ++at; }  // ends: some byte differs
  return at;
}

// 0, 1, 2 ... 255, twice: 256 bytes of the pattern are a stretch of it.
constexpr std::array<uint8_t, 512> kCounting = [] {
  std::array<uint8_t, 512> bytes{};
  for (size_t i = 0; i < bytes.size(); ++i) { bytes[i] = static_cast<uint8_t>(i); }
  return bytes;
}();

size_t mismatch_sequence(Bytes data, const Source& source, uint64_t offset) {
  size_t at = 0;
  while (at < data.size()) {
    // Within 256 bytes of the pattern the byte just counts up.
    const uint64_t index = offset + at - source.origin;
    const size_t run = static_cast<size_t>(std::min<uint64_t>(256 - index % 256, data.size() - at));
    const uint8_t first = prog::sequence_byte(source.fill, index);
    if (std::memcmp(data.data() + at, kCounting.data() + first, run) != 0) { break; }
    at += run;
  }
  while (at < data.size() && std::to_integer<uint8_t>(data[at]) == source.at(offset + at)) { ++at; }
  return at;
}

// First byte of `data`, read at `offset`, that no source gives; data.size() if there is none.
size_t unexplained(Bytes data, uint64_t offset, const PossibleBytes& possible) {
  size_t at = 0;
  while (at < data.size()) {
    size_t longest = 0;
    for (size_t i = 0; i < possible.count && at + longest < data.size(); ++i) {
      const Source& source = possible.sources[i];
      const Bytes rest = data.subspan(at);
      const size_t matched = source.kind == Source::Kind::kFill ? mismatch_fill(rest, source.fill)
                                                                : mismatch_sequence(rest, source, offset + at);
      longest = std::max(longest, matched);
    }
    if (longest == 0) { return at; }
    at += longest;
  }
  return at;
}

std::string values_of(const PossibleBytes& possible, uint64_t offset) {
  std::string values;
  for (size_t i = 0; i < possible.count; ++i) {
    if (i != 0) { values += ", "; }
    values += format("0x%02x", possible.sources[i].at(offset));
  }
  return values;
}

struct WrongByte {
  uint64_t offset = 0;
  uint8_t value = 0;
  PossibleBytes possible;
};

bool find_wrong_byte(const FileHistory& file, uint64_t offset, Bytes data, Period period, WrongByte* wrong,
                     bool in_file = false) {
  PossibleBytes& possible = wrong->possible;
  size_t at = 0;
  while (at < data.size()) {
    file.possible_bytes(offset + at, period, &possible, in_file);
    const size_t size = static_cast<size_t>(std::min<uint64_t>(possible.until - (offset + at), data.size() - at));
    if (!possible.anything) {
      const size_t good = unexplained(data.subspan(at, size), offset + at, possible);
      if (good < size) {
        wrong->offset = offset + at + good;
        wrong->value = std::to_integer<uint8_t>(data[at + good]);
        return true;
      }
    }
    at += size;
  }
  return false;
}

// The same for a range that reads as zeros. Holes are large: where zero is possible throughout, no byte is looked at.
bool find_wrong_zero(const FileHistory& file, uint64_t offset, uint64_t length, Period period, WrongByte* wrong) {
  static constexpr std::array<std::byte, 16 * kPageBytes> kZeros = {};
  PossibleBytes& possible = wrong->possible;
  const uint64_t end = offset + length;
  while (offset < end) {
    file.possible_bytes(offset, period, &possible);
    uint64_t until = std::min(possible.until, end);
    const auto sources = std::span(possible.sources).first(possible.count);
    const bool zero = std::any_of(sources.begin(), sources.end(), [](const Source& source) {
      return source.kind == Source::Kind::kFill && source.fill == 0;
    });
    if (!possible.anything && !zero) {
      until = std::min(until, offset + kZeros.size());
      if (find_wrong_byte(file, offset, Bytes(kZeros).first(until - offset), period, wrong)) { return true; }
    }
    offset = until;
  }
  return false;
}

std::optional<Objection> object_to_byte(const std::string& who, const WrongByte& wrong, const FileHistory& file,
                                        std::string detail) {
  const bool stale = wrong.value == daxfs::kStaleByte;
  std::string title =
      format("%s got %s0x%02x at file offset %" PRIu64 "; only %s possible", who.c_str(), stale ? "stale byte " : "",
             wrong.value, wrong.offset, values_of(wrong.possible, wrong.offset).c_str());
  Objection objection{stale ? "O16" : "O9", std::move(title), std::move(detail)};
  objection.ino = file.ino();
  objection.offset = wrong.offset;
  return objection;
}

std::optional<Objection> check_bytes(const OpRecord& record, const FileHistory& file, uint64_t offset, Bytes data,
                                     bool in_file) {
  static WrongByte wrong;
  if (!find_wrong_byte(file, offset, data, period_of(record), &wrong, in_file)) { return std::nullopt; }
  // The tail of a bad page is not zeroed when the file ends in it (nor does the kernel's truncate insist).
  if (file.may_be_bad(wrong.offset, wrong.offset + 1, period_of(record))) { return std::nullopt; }
  return object_to_byte(name_of(record), wrong, file, detail_of(record, file));
}

// --- reads

bool may_read_zero(const FileHistory& file, uint64_t offset, Period period) {
  static PossibleBytes possible;
  file.possible_bytes(offset, period, &possible);
  const auto sources = std::span(possible.sources).first(possible.count);
  return possible.anything ||
         std::ranges::any_of(sources, [offset](const Source& source) { return source.at(offset) == 0; });
}

// Where bytes arrived, the caller may store: otherwise EFAULT was due, also from direct I/O (bug B27).
std::optional<Objection> check_target(Model& model, const OpRecord& record, uint64_t got) {
  const MemoryRange range = memory_of(record);
  const uint64_t end = range.address + std::min(got, range.length);
  std::optional<Objection> objection;
  model.mappings(record).for_each_piece(
      range.address, end, period_of(record), [&](const Region* region, uint64_t from, uint64_t) {
        if (objection || region == nullptr || !region->prot_certain || (region->prot & prog::kProtWrite) != 0) {
          return;
        }
        objection = object(format("%s wrote to byte %" PRIu64 " of its buffer, in a mapping without write permission",
                                  name_of(record).c_str(), from - range.address),
                           {});
      });
  return objection;
}

// Whether a read of `length` bytes may have met a bad page. Without DAX there is no telling what was cured.
bool may_meet_bad_page(Model& model, const OpRecord& record, uint64_t length) {
  const FileHistory* const file = model.file_of(record);
  const auto pos = model.position(record);
  if (file == nullptr || !pos || !record.dax || model.foreign_image() || model.bios_fail()) { return true; }
  if (*pos >= kFar) { return true; }  // check_error judges that
  return file->may_be_bad(*pos, *pos + length, period_of(record));
}

std::optional<Objection> check_read(Model& model, const OpRecord& record) {
  if (record.error == Errc::kIo && !may_meet_bad_page(model, record, asked(record))) {
    return object(name_of(record) + " failed with EIO where no page is bad", detail_of(record, *model.file_of(record)));
  }
  if (record.error != Errc::kOk) { return std::nullopt; }
  const uint64_t length = asked(record);
  const auto got = static_cast<uint64_t>(record.ret);
  if (record.ret < 0 || got > length) {
    return object(format("%s returned %lld for %" PRIu64 " bytes", name_of(record).c_str(),
                         static_cast<long long>(record.ret), length),
                  {});
  }
  if (got != 0) {
    if (auto objection = check_target(model, record, got)) { return objection; }
  }
  const FileHistory* const file = model.file_of(record);
  const auto pos = model.position(record);
  if (file == nullptr || !pos) { return std::nullopt; }
  const SizeRange size = file->size(period_of(record));
  const uint64_t most = size.most > *pos ? std::min(length, size.most - *pos) : 0;
  const uint64_t least = size.least > *pos ? std::min(length, size.least - *pos) : 0;
  // Through a mapping a read may end early at a page that cannot be had.
  const bool whole = record.op->buffer.kind == MemoryKind::kAnonymous && model.scratch_untouched(record);
  const bool cut_short = whole && got < least && !file->may_be_bad(*pos, *pos + length, period_of(record)) &&
                         (!uses_scratch(record) || !model.memory_ran_out());
  // Into whatever memory: bytes or an error. Only holes of files with DAX end a read at memory that is not there.
  const bool stopped = got == 0 && least != 0 && !(record.dax && may_read_zero(*file, *pos, period_of(record)));
  if (got > most || cut_short || stopped) {
    return object(
        format("%s at file offset %" PRIu64 " returned %" PRIu64 " bytes; only %" PRIu64 " to %" PRIu64 " possible",
               name_of(record).c_str(), *pos, got, least, most),
        detail_of(record, *file));
  }
  if (record.data.size() != got || !whole) { return std::nullopt; }
  // Who mixes direct I/O and the cache may find a size whose bytes are still in the cache.
  const bool coherent = !model.direct_in_doubt() && !(file->through_cache && file->opened_direct);
  return check_bytes(record, *file, *pos, record.data, /*in_file=*/coherent);
}

std::optional<Objection> check_number(Model& model, const OpRecord& record) {
  if (record.error != Errc::kOk) { return std::nullopt; }
  const auto lowest = model.descriptors().lowest_free(record);
  if (!lowest || *lowest == record.ret) { return std::nullopt; }
  return object(format("%s returned descriptor %lld; the lowest free one was %d", name_of(record).c_str(),
                       static_cast<long long>(record.ret), *lowest),
                {});
}

std::optional<Objection> check_write(const OpRecord& record) {
  if (record.error != Errc::kOk) { return std::nullopt; }
  const uint64_t length = asked(record);
  const bool nothing = record.ret == 0 && length != 0;
  if (record.ret >= 0 && static_cast<uint64_t>(record.ret) <= length && !nothing) { return std::nullopt; }
  return object(format("%s returned %lld for %" PRIu64 " bytes", name_of(record).c_str(),
                       static_cast<long long>(record.ret), asked(record)),
                {});
}

// --- accesses through mappings

std::optional<Objection> check_signal(Model& model, const OpRecord& record, uint64_t address) {
  const Period period = period_of(record);
  const Region* const region = model.mappings(record).certain_at(address, period);
  if (region == nullptr) { return std::nullopt; }
  const bool reads = reads_memory(record.op->code);
  const uint8_t needed = reads ? prog::kProtRead : prog::kProtWrite;
  bool wrong = false;
  switch (record.signal) {
    case Signal::kSegvMaperr: wrong = true; break;
    case Signal::kSegvAccerr: wrong = region->prot_certain && (region->prot & needed) != 0; break;
    case Signal::kBusAdrerr: {
      // A store may find no space (NR1).
      if (region->file == nullptr) {
        wrong = true;
      } else if (reads || (model.plenty_of_room() && !model.stores_may_fail())) {
        const uint64_t offset = region->offset + (address - region->begin);
        wrong = page_down(offset) < region->file->size(period).least &&
                !region->file->may_be_bad(offset, offset + 1, period);
      }
      break;
    }
    default: break;
  }
  if (!wrong) { return std::nullopt; }
  std::string title = format("%s got %s at byte %" PRIu64 " of its range, which was mapped and inside the file",
                             name_of(record).c_str(), signal_name(record.signal), address - record.address);
  return object(std::move(title), region->file != nullptr ? detail_of(record, *region->file) : std::string());
}

// process_vm_readv ended at `address`, short of what was asked.
std::optional<Objection> check_stop(Model& model, const OpRecord& record, uint64_t address) {
  const MemoryRange range = memory_of(record);
  if (address >= range.address + range.length || (record.error != Errc::kOk && record.error != Errc::kFault)) {
    return std::nullopt;
  }
  const Period period = period_of(record);
  const Region* const region = model.mappings(record).certain_at(address, period);
  if (region == nullptr || !region->prot_certain || (region->prot & prog::kProtRead) == 0) { return std::nullopt; }
  if (model.memory_ran_out()) { return std::nullopt; }
  if (region->file != nullptr) {
    const uint64_t offset = region->offset + (address - region->begin);
    if (page_down(offset) >= region->file->size(period).least) { return std::nullopt; }
    if (region->file->may_be_bad(offset, offset + 1, period)) { return std::nullopt; }
  }
  return object(format("%s stopped at byte %" PRIu64 " of its range, which was mapped and inside the file",
                       name_of(record).c_str(), address - record.address),
                region->file != nullptr ? detail_of(record, *region->file) : std::string());
}

// What takes private copies away: advice about their addresses, and a file that loses its pages from some place on.
bool may_drop_copy(const OpRecord& record, uint64_t address) {
  const prog::Op& op = *record.op;
  switch (op.code) {
    case OpCode::kMadvise: {
      const uint64_t page = page_down(address);
      return record.address <= page && page - record.address < page_up(static_cast<uint64_t>(op.length));
    }
    case OpCode::kTruncate:
    case OpCode::kFtruncate: return true;
    case OpCode::kOpen: return (op.flags & prog::kOTrunc) != 0;
    case OpCode::kFallocate: return (op.flags & (prog::kFallocCollapse | prog::kFallocInsert)) != 0;
    default: return false;
  }
}

// A store, or touch, that surely made the page's copy in this mapping, where nothing can have taken
// the copy away since: a hole that is punched into the file, and what others write to it, do not
// show. With `address` also one that wrote that very byte. Null: there is none.
const OpRecord* copier_of(Model& model, const OpRecord& record, const Region& region, uint64_t page,
                          std::optional<uint64_t> address) {
  const auto order = model.order();
  for (const OpRecord* store : order) {
    const bool touch = store->op->code == OpCode::kTouch;
    const bool stores = touch || store->op->code == OpCode::kStore;
    if (!stores || store->process != record.process || store->signal != Signal::kNone || store->ret <= 0) { continue; }
    const MemoryRange range = memory_of(*store);
    const uint64_t pages = (range.length + kPageBytes - 1) / kPageBytes;
    if (static_cast<uint64_t>(store->ret) != (touch ? pages : range.length)) { continue; }  // not all of it
    Writer writer;
    writer.begin = range.address;
    writer.end = range.address + range.length;
    writer.every_page = touch;
    // A touch writes one byte of each page that it comes to, where the first of them lies in its page.
    const uint64_t in_page = touch ? page + range.address % kPageBytes : std::max(page, writer.begin);
    const bool here = in_page < page + kPageBytes && writer.covers(in_page);
    if (!here || (address && !writer.covers(*address))) { continue; }
    const Period since{store->begin_seq, record.end_seq};
    if (!period_of(*store).before(period_of(record)) || model.mappings(record).certain_at(page, since) != &region) {
      continue;
    }
    const bool dropped = std::any_of(order.begin(), order.end(), [&](const OpRecord* other) {
      return period_of(*other).overlaps(since) && may_drop_copy(*other, page);
    });
    if (!dropped) { return store; }
  }
  return nullptr;
}

// A private mapping some of whose pages may be copies: a byte is the file's at some time since the first copy, or what
// the process stored there; of a page that surely is a copy, the file's until then, and only what was stored where it
// was. Copies that mremap moved are not followed.
std::optional<Objection> check_private(Model& model, const OpRecord& record, const Region& region, uint64_t from,
                                       Bytes data) {
  std::vector<Writer> stores;  // addresses for offsets
  for (const OpRecord* other : model.order()) {
    if (other->process != record.process || other->begin_seq > record.end_seq) { continue; }
    const prog::Op& op = *other->op;
    if (op.code == OpCode::kMremap) { return std::nullopt; }
    const MemoryRange range = memory_of(*other);
    if (range.length == 0 || reads_memory(op.code) || is_write(op.code)) { continue; }
    Source source = Source::unknown();
    if (op.code == OpCode::kStore) { source = Source::pattern(op.buffer, range.address); }
    if (op.code == OpCode::kTouch) { source = {.kind = Source::Kind::kFill, .fill = op.buffer.fill}; }
    stores.push_back({.begin = range.address,
                      .end = range.address + range.length,
                      .period = period_of(*other),
                      .source = source,
                      .every_page = op.code == OpCode::kTouch});
  }
  static WrongByte wrong;
  PossibleBytes& possible = wrong.possible;
  for (size_t at = 0; at < data.size();) {
    const uint64_t address = from + at;
    const uint64_t offset = region.offset + (address - region.begin);
    const uint64_t since = std::min(region.copied_from, record.begin_seq);
    const uint64_t page = page_down(address);
    const OpRecord* const copier = copier_of(model, record, region, page, std::nullopt);
    region.file->possible_bytes(offset, {since, copier != nullptr ? copier->end_seq : record.end_seq}, &possible);
    size_t size = static_cast<size_t>(std::min<uint64_t>(possible.until - offset, data.size() - at));
    size = static_cast<size_t>(std::min<uint64_t>(size, kPageBytes - address % kPageBytes));
    if (copier != nullptr && copier_of(model, record, region, page, address) != nullptr) {
      possible.count = 0;
      possible.anything = false;
    }
    for (const Writer& store : stores) {
      size = static_cast<size_t>(std::min<uint64_t>(store.next_border(address) - address, size));
      if (!store.covers(address)) { continue; }
      Source source = store.source;
      source.origin += offset - address;
      possible.add(source);
    }
    const size_t good = possible.anything ? size : unexplained(data.subspan(at, size), offset, possible);
    if (good < size) {
      wrong.offset = offset + good;
      wrong.value = std::to_integer<uint8_t>(data[at + good]);
      return object_to_byte(name_of(record) + ", through a private mapping,", wrong, *region.file,
                            detail_of(record, *region.file));
    }
    at += size;
  }
  return std::nullopt;
}

std::optional<Objection> check_access(Model& model, const OpRecord& record) {
  const Period period = period_of(record);
  const OpCode code = record.op->code;
  const uint64_t count = record.ret > 0 ? static_cast<uint64_t>(record.ret) : 0;
  const uint64_t begin = record.address;
  const uint64_t end = count == 0 ? begin : begin + (code == OpCode::kTouch ? (count - 1) * kPageBytes + 1 : count);
  std::optional<Objection> objection;
  model.mappings(record).for_each_piece(begin, end, period, [&](const Region* region, uint64_t from, uint64_t to) {
    if (objection) { return; }
    if (region == nullptr) {
      if (!model.mappings(record).surely_unmapped(from, period) || model.asynchronous()) { return; }
      objection = object(format("%s succeeded at byte %" PRIu64 " of its range, where nothing is mapped",
                                name_of(record).c_str(), from - begin),
                         {});
      return;
    }
    if (!region->follows_file(period)) {
      if (region->file == nullptr || !reads_memory(code) || record.data.size() != count) { return; }
      objection = check_private(model, record, *region, from, record.data.subspan(from - begin, to - from));
      return;
    }
    const FileHistory& file = *region->file;
    const uint64_t offset = region->offset + (from - region->begin);
    uint64_t last = offset + (to - from) - 1;
    if (code == OpCode::kTouch) {
      const uint64_t skip = (kPageBytes - (from - begin) % kPageBytes) % kPageBytes;
      if (skip >= to - from) { return; }
      last -= (to - from - skip - 1) % kPageBytes;
    }
    const SizeRange size = file.size(period);
    if (page_down(last) >= size.most) {
      objection = object(format("%s reached file offset %" PRIu64 "; the file had at most %" PRIu64 " bytes",
                                name_of(record).c_str(), last, size.most),
                         detail_of(record, file));
    } else if (reads_memory(code) && record.data.size() == count) {
      objection = check_bytes(record, file, offset, record.data.subspan(from - begin, to - from), /*in_file=*/false);
    } else if (!reads_memory(code) && region->prot_certain && (region->prot & prog::kProtWrite) == 0) {
      objection = object(name_of(record) + " succeeded in a mapping without write permission", detail_of(record, file));
    }
  });
  if (objection) { return objection; }
  if (code == OpCode::kProcessVmReadv) { return check_stop(model, record, begin + count); }
  if (record.signal == Signal::kNone || record.fault_offset < 0) { return objection; }
  return check_signal(model, record, begin + static_cast<uint64_t>(record.fault_offset));
}

// --- sizes

std::optional<Objection> check_attributes(Model& model, const OpRecord& record) {
  uint64_t row[4];  // mode, links, size, sectors
  if (record.error != Errc::kOk || record.data.size() != sizeof(row)) { return std::nullopt; }
  std::memcpy(row, record.data.data(), sizeof(row));
  const bool regular = (row[0] & 0170000) == 0100000;
  const FileHistory* const file = model.file_of(record);
  if (!regular || file == nullptr) { return std::nullopt; }
  const SizeRange size = file->size(period_of(record));
  if (size.least <= row[2] && row[2] <= size.most) { return std::nullopt; }
  return object(format("%s says size %" PRIu64 "; only %" PRIu64 " to %" PRIu64 " possible", name_of(record).c_str(),
                       row[2], size.least, size.most),
                detail_of(record, *file));
}

std::optional<Objection> check_lseek(Model& model, const OpRecord& record) {
  const FileHistory* const file = model.file_of(record);
  if (file == nullptr || !file->regular) { return std::nullopt; }
  const SizeRange size = file->size(period_of(record));
  const int64_t offset = record.op->offset;
  const auto got = static_cast<uint64_t>(record.ret);
  bool wrong = false;
  if (record.error == Errc::kOk) {
    switch (record.op->flags) {
      case prog::kSeekSet: wrong = record.ret != offset; break;
      case prog::kSeekEnd:
        wrong = got - static_cast<uint64_t>(offset) < size.least || got - static_cast<uint64_t>(offset) > size.most;
        break;
      case prog::kSeekData: wrong = record.ret < offset || got >= size.most; break;
      case prog::kSeekHole: wrong = record.ret < offset || got > size.most; break;
      default: break;
    }
  } else if (record.error == Errc::kNxio && record.op->flags == prog::kSeekHole && offset >= 0) {
    wrong = static_cast<uint64_t>(offset) < size.least;
  }
  if (!wrong) { return std::nullopt; }
  return object(format("%s to %lld returned %lld (%s) in a file of %" PRIu64 " to %" PRIu64 " bytes",
                       name_of(record).c_str(), static_cast<long long>(offset), static_cast<long long>(record.ret),
                       daxfs::errc_name(record.error), size.least, size.most),
                detail_of(record, *file));
}

// --- errors

std::optional<Objection> check_bad_descriptor(Model& model, const OpRecord& record) {
  const OpRecord* const open = model.descriptors().opened_by(record);
  if (open == nullptr) { return std::nullopt; }
  const uint32_t flags = open->op->flags;
  bool good = false;
  switch (record.op->code) {
    case OpCode::kRead:
    case OpCode::kPread:
    case OpCode::kIoSubmitPread: good = readable(flags); break;
    case OpCode::kWrite:
    case OpCode::kPwrite:
    case OpCode::kIoSubmitPwrite:
    case OpCode::kFallocate: good = writable(flags); break;
    case OpCode::kFsync:
    case OpCode::kFdatasync:
    case OpCode::kLseek:
    case OpCode::kFstat:
    case OpCode::kFtruncate: good = (flags & prog::kOPath) == 0; break;
    default: break;
  }
  if (!good) { return std::nullopt; }
  return object(name_of(record) + " failed with EBADF on an open descriptor", {});
}

}  // namespace

std::optional<Objection> check_result(Model& model, const OpRecord& record) {
  if (auto objection = check_durable(model, record)) { return objection; }
  if (record.error == Errc::kBadf) { return check_bad_descriptor(model, record); }
  if (auto objection = check_objects(model, record)) { return objection; }
  switch (record.op->code) {
    case OpCode::kOpen:
    case OpCode::kDup: return check_number(model, record);
    case OpCode::kRead:
    case OpCode::kPread:
    case OpCode::kIoSubmitPread: return check_read(model, record);
    case OpCode::kWrite:
    case OpCode::kPwrite:
    case OpCode::kIoSubmitPwrite: return check_write(record);
    case OpCode::kLoad:
    case OpCode::kStore:
    case OpCode::kTouch:
    case OpCode::kProcessVmReadv: return check_access(model, record);
    case OpCode::kStat:
    case OpCode::kLstat:
    case OpCode::kFstat: return check_attributes(model, record);
    case OpCode::kLseek: return check_lseek(model, record);
    default: return std::nullopt;
  }
}

std::optional<Objection> check_final(Model& model, const FinalFile& found, std::span<const FinalPiece> pieces) {
  const FileHistory* const file = model.find(found.ino, found.generation);
  if (file == nullptr || !file->regular) { return std::nullopt; }
  const Period end = {kNever - 1, kNever - 1};
  const SizeRange size = file->size(end);
  if (found.size < size.least || found.size > size.most) {
    auto objection =
        object(format("on the medium inode %u has size %" PRIu64 "; only %" PRIu64 " to %" PRIu64 " possible",
                      found.ino, found.size, size.least, size.most),
               {});
    objection->ino = found.ino;
    objection->of_size = true;
    return objection;
  }
  static WrongByte wrong;
  for (const FinalPiece& piece : pieces) {
    if (piece.offset >= found.size) { continue; }
    const uint64_t length = std::min(piece.length, found.size - piece.offset);
    if (file->may_be_bad(piece.offset, piece.offset + length, end)) { continue; }  // nobody could read it
    const bool bad = piece.bytes.empty() ? find_wrong_zero(*file, piece.offset, length, end, &wrong)
                                         : find_wrong_byte(*file, piece.offset, piece.bytes.first(length), end, &wrong);
    if (bad) { return object_to_byte(format("on the medium inode %u", found.ino), wrong, *file, {}); }
  }
  return std::nullopt;
}

}  // namespace daxfuzz::oracle
