#include "fuzz/oracle/file_history.h"

#include <algorithm>

namespace daxfuzz::oracle {
namespace {

constexpr int kDepthMax = 3;  // of copies of copies; deeper is unknown

}  // namespace

uint64_t Writer::next_border(uint64_t at) const {
  if (at < begin) { return begin; }
  if (at >= end) { return kEverything; }
  if (!every_page) { return end; }
  const uint64_t in_page = (at - begin) % kPageBytes;
  return std::min(end, in_page == 0 ? at + 1 : at - in_page + kPageBytes);
}

void PossibleBytes::add(const Source& source) {
  if (source.kind == Source::Kind::kUnknown) { anything = true; }
  if (anything) { return; }
  for (size_t i = 0; i < count; ++i) {
    const Source& known = sources[i];
    const bool same = known.kind == source.kind && known.fill == source.fill &&
                      (known.kind == Source::Kind::kFill || known.origin == source.origin);
    if (same) { return; }
  }
  if (count == kSourcesMax) {
    anything = true;
    return;
  }
  sources[count++] = source;
}

void FileHistory::reset(uint32_t ino, uint32_t generation, bool unknown_at_start) {
  ino_ = ino;
  generation_ = generation;
  unknown_at_start_ = unknown_at_start;
  blur_from_ = kNever;
  regular = opened_append = opened_direct = through_cache = zeroed_in_cache = cached = false;
  writers_.clear();
  sizes_.clear();
  shifts_.clear();
  uses_.clear();
  damage_.clear();
  cures_.clear();
  shifted_ = false;
}

bool FileHistory::may_be_bad(uint64_t begin, uint64_t end, Period reader) const {
  begin = page_down(begin);
  end = page_up(std::min(end, kEverything));
  for (const PageRange& bad : damage_) {
    if (reader.before(bad.period)) { continue; }
    if (shifted_ || blurred(reader)) { return true; }
    for (uint64_t page = std::max(begin, bad.begin); page < std::min(end, bad.end); page += kPageBytes) {
      const bool cured = std::any_of(cures_.begin(), cures_.end(), [&](const PageRange& cure) {
        return cure.begin <= page && page + kPageBytes <= cure.end && bad.period.before(cure.period) &&
               cure.period.before(reader);
      });
      if (!cured) { return true; }
    }
  }
  return false;
}

// Of a change. None overlaps an exact shift; if one does all the same, the uses were incomplete.
int FileHistory::epoch_of_change(Period period) {
  const int epoch = epoch_of(period);
  if (epoch >= 0) { return epoch; }
  blur(period.begin);
  return 0;
}

void FileHistory::write(uint64_t begin, uint64_t end, Period period, Source source, bool certain) {
  if (begin >= end) { return; }
  writers_.push_back({begin, end, period, source, certain, false, epoch_of_change(period)});
}

void FileHistory::stored(uint64_t begin, uint64_t end, Period period) {
  if (!cached) { return; }
  const uint64_t least = size(period).least;
  if (end > least) { write(std::max(begin, least), end, {period.begin, kNever}, Source::zero(), false); }
}

void FileHistory::write_every_page(uint64_t begin, uint64_t end, Period period, Source source, bool certain) {
  if (begin >= end) { return; }
  writers_.push_back({begin, end, period, source, certain, true, epoch_of_change(period)});
}

void FileHistory::set_size(SizeRange to, Period period, bool certain) {
  sizes_.push_back({period, to, false, certain, epoch_of_change(period)});
}

void FileHistory::grow_size(uint64_t to, Period period, bool certain) {
  sizes_.push_back({period, {to, to}, true, certain, epoch_of_change(period)});
}

void FileHistory::settle_shifts() {
  if (shifts_.empty()) { return; }
  std::vector<Shift> candidates;
  candidates.swap(shifts_);
  const auto alone = [&](const Shift& shift) {
    // Its own use is in the list too.
    const auto others = std::count_if(uses_.begin(), uses_.end(),
                                      [&](const Use& use) { return use.changes && use.period.overlaps(shift.period); });
    return others <= 1;
  };
  for (const Shift& shift : candidates) {
    if (alone(shift)) { shifts_.push_back(shift); }
  }
  std::sort(shifts_.begin(), shifts_.end(),
            [](const Shift& a, const Shift& b) { return a.period.begin < b.period.begin; });
  for (const Shift& shift : candidates) {
    if (alone(shift)) { continue; }
    write(shift.offset, kEverything, shift.period, Source::unknown(), true);
    set_size({0, kEverything}, shift.period, true);
  }
}

int FileHistory::epoch_of(Period period) const {
  int epoch = 0;
  for (const Shift& shift : shifts_) {
    if (shift.period.before(period)) {
      ++epoch;
    } else if (shift.period.overlaps(period)) {
      return -1;
    }
  }
  return epoch;
}

SizeRange FileHistory::size(Period reader) const { return size_at(reader, epoch_of(reader), {}); }

SizeRange FileHistory::size_before_shift(Period shift) const {
  for (size_t i = 0; i < shifts_.size(); ++i) {
    const Period period = shifts_[i].period;
    if (period.begin == shift.begin && period.end == shift.end) { return size_at(period, static_cast<int>(i), {}); }
  }
  return {0, kEverything};
}

bool FileHistory::counts(const SizeChange& change, Period reader, Without without) const {
  if (without.own && change.period.begin == reader.begin && change.period.end == reader.end) { return false; }
  if (without.through == kEverything || !change.grows || change.period.before(reader)) { return true; }
  return std::none_of(writers_.begin(), writers_.end(), [&](const Writer& writer) {
    return writer.certain && writer.epoch == change.epoch && writer.covers(without.through) &&
           writer.period.begin == change.period.begin && writer.period.end == change.period.end;
  });
}

SizeRange FileHistory::size_at(Period reader, int epoch, Without without) const {
  if (epoch < 0 || blurred(reader)) { return {0, kEverything}; }
  SizeRange start = {0, unknown_at_start_ ? kEverything : 0};
  uint64_t start_begin = 0;
  if (epoch > 0) {
    const Shift& shift = shifts_[static_cast<size_t>(epoch) - 1];
    start_begin = shift.period.begin;
    start = size_at(shift.period, epoch - 1, {});
    const auto moved = [&](uint64_t size) {
      if (shift.insert) { return size + shift.length; }
      return size > shift.length ? size - shift.length : 0;
    };
    start = {moved(start.least), moved(start.most)};
  }
  // What the size may become after a certain change, at any time until the reader ends.
  const auto from = [&](SizeRange range, Period since, const SizeChange* self) {
    for (const SizeChange& change : sizes_) {
      if (change.epoch != epoch || &change == self || !counts(change, reader, without)) { continue; }
      if (change.period.end < since.begin || change.period.begin > reader.end) { continue; }
      range.most = std::max(range.most, change.to.most);
      if (!change.grows) { range.least = std::min(range.least, change.to.least); }
    }
    return range;
  };
  SizeRange result = from(start, {start_begin, start_begin}, nullptr);
  for (const SizeChange& change : sizes_) {
    if (change.epoch != epoch || !change.certain || !change.period.before(reader)) { continue; }
    if (!counts(change, reader, without)) { continue; }
    const SizeRange range = from(change.to, change.period, &change);
    result.least = std::max(result.least, range.least);
    if (!change.grows) { result.most = std::min(result.most, range.most); }
  }
  return result;
}

// Since when a byte in front of EOF is what a write made it that also moved EOF behind it; 0: it may be in the file
// without.
uint64_t FileHistory::in_file_since(uint64_t offset, int epoch, Period reader, uint64_t* until) const {
  uint64_t since = kNever;
  for (const Writer& writer : writers_) {
    const bool at_once = writer.certain && writer.epoch == epoch && writer.covers(offset) &&
                         writer.period.begin <= reader.end && !writer.period.before(reader);
    if (at_once) { since = std::min(since, writer.period.begin); }
  }
  if (since == kNever) { return 0; }
  const uint64_t most = size_at(reader, epoch, {.through = offset}).most;
  if (offset >= most) { return since; }
  *until = std::min(*until, most);
  return 0;
}

void FileHistory::possible_bytes(uint64_t offset, Period reader, PossibleBytes* out, bool in_file) const {
  out->count = 0;
  out->anything = false;
  out->until = kEverything;
  collect_seen(offset, epoch_of(reader), reader, 0, 0, in_file, out);
}

// Adds what `reader` may see at `offset`. The caller's offsets are these minus `delta`.
void FileHistory::collect(uint64_t offset, int epoch, Period reader, uint64_t delta, int depth,
                          PossibleBytes* out) const {
  collect_seen(offset, epoch, reader, delta, depth, /*in_file=*/false, out);
}

void FileHistory::collect_seen(uint64_t offset, int epoch, Period reader, uint64_t delta, int depth, bool in_file,
                               PossibleBytes* out) const {
  if (out->anything) { return; }
  if (epoch < 0 || depth > kDepthMax || blurred(reader)) {
    out->anything = true;
    return;
  }
  // The latest begin of a certain writer that was there before the reader: hides all that ended before it.
  uint64_t hidden_before = 0;
  bool overwritten = false;
  uint64_t until = kEverything;
  for (const Writer& writer : writers_) {
    if (writer.epoch != epoch || writer.period.begin > reader.end) { continue; }
    until = std::min(until, writer.next_border(offset));
    if (!writer.certain || !writer.covers(offset) || !writer.period.before(reader)) { continue; }
    overwritten = true;
    hidden_before = std::max(hidden_before, writer.period.begin);
  }
  if (const uint64_t since = in_file ? in_file_since(offset, epoch, reader, &until) : 0; since != 0) {
    overwritten = true;
    hidden_before = std::max(hidden_before, since);
  }
  out->until = std::min(out->until, until == kEverything ? until : until - delta);
  for (const Writer& writer : writers_) {
    if (writer.epoch != epoch || writer.period.begin > reader.end || !writer.covers(offset)) { continue; }
    if (writer.period.end < hidden_before) { continue; }
    add_writer(writer, offset, delta, depth, out);
  }
  if (!overwritten) { collect_start(offset, epoch, delta, depth, out); }
}

// What the epoch began with.
void FileHistory::collect_start(uint64_t offset, int epoch, uint64_t delta, int depth, PossibleBytes* out) const {
  if (epoch == 0) { return out->add(unknown_at_start_ ? Source::unknown() : Source::zero()); }
  const Shift& shift = shifts_[static_cast<size_t>(epoch) - 1];
  const auto border = [&](uint64_t at) {
    if (offset < at) { out->until = std::min(out->until, at - delta); }
  };
  border(shift.offset);
  uint64_t moved = 0;
  if (offset >= shift.offset) {
    if (shift.insert) {
      border(shift.offset + shift.length);
      if (offset < shift.offset + shift.length) { return out->add(Source::zero()); }
      moved = uint64_t{0} - shift.length;
    } else {
      moved = shift.length;
    }
  }
  collect(offset + moved, epoch - 1, shift.period, delta + moved, depth + 1, out);
}

void FileHistory::add_writer(const Writer& writer, uint64_t offset, uint64_t delta, int depth,
                             PossibleBytes* out) const {
  Source source = writer.source;
  switch (source.kind) {
    case Source::Kind::kUnknown: out->anything = true; return;
    case Source::Kind::kFill: return out->add(source);
    case Source::Kind::kSequence: source.origin -= delta; return out->add(source);
    case Source::Kind::kCopy: {
      const FileHistory& from = *source.file;
      from.collect(offset + source.delta, from.epoch_of(writer.period), writer.period, delta + source.delta, depth + 1,
                   out);
      return;
    }
  }
}

}  // namespace daxfuzz::oracle
