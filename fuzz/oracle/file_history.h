// fuzz/oracle/file_history.h - everything that operations did to one file's bytes and size, and what a reader may see.
//
// Bytes are an infinite array that starts as zeros. A byte is a regular register: a reader may get the value of any
// writer that began before the reader ended, unless a certain writer came wholly between the two. Writers that may
// or may not have happened (failed and short calls, unclear addresses) add values and hide none. Bytes behind the
// page of EOF are zero; those behind EOF inside it are what stores through mappings put there, and growing shows them
// (Linux 6.1 on DAX; without DAX writeback zeroes them).
//
// Who reads a byte as part of the file, where it belongs to the file only because of a write that put it there, sees
// that write's value or a later one: the size follows the bytes.
//
// The size is a range: the least and the largest that some order of the calls gives at some time of a period.
//
// Collapse and insert move bytes. One that ran alone on its file (an exact shift) begins a new epoch: what came
// before is looked up at the place it had before. One that did not makes everything behind its offset unknown.
//
// Not covered: order between several readers of one byte (new value, then old).
// Tested by: fuzz/oracle/judge_test.cc, fuzz/oracle/judge_random_test.cc
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "fuzz/oracle/period.h"
#include "fuzz/prog/program.h"

namespace daxfuzz::oracle {

class FileHistory;

inline constexpr uint64_t kEverything = uint64_t{1} << 62;  // end of a range that has none
inline constexpr uint64_t kPageBytes = 4096;

constexpr uint64_t page_down(uint64_t at) { return at & ~(kPageBytes - 1); }
constexpr uint64_t page_up(uint64_t at) { return page_down(at + kPageBytes - 1); }

// Where a writer's bytes come from.
struct Source {
  enum class Kind : uint8_t { kUnknown, kFill, kSequence, kCopy };
  Kind kind = Kind::kUnknown;
  uint8_t fill = 0;
  uint64_t origin = 0;                // kSequence: the offset of the pattern's first byte, modulo 2^64
  const FileHistory* file = nullptr;  // kCopy: bytes of this file, as seen during the writer's period
  uint64_t delta = 0;                 // kCopy: offset there minus offset here, modulo 2^64

  static Source zero() { return {.kind = Kind::kFill}; }
  static Source unknown() { return {}; }
  static Source copy(const FileHistory& from, uint64_t delta) {
    return {.kind = Kind::kCopy, .file = &from, .delta = delta};
  }
  static Source pattern(const prog::Memory& memory, uint64_t origin) {
    const bool sequence = memory.pattern == prog::Pattern::kSequence;
    return {.kind = sequence ? Kind::kSequence : Kind::kFill, .fill = memory.fill, .origin = origin};
  }
  // kFill, kSequence: the byte at `offset`.
  uint8_t at(uint64_t offset) const { return kind == Kind::kFill ? fill : prog::sequence_byte(fill, offset - origin); }
};

struct Writer {
  uint64_t begin = 0;  // bytes [begin, end)
  uint64_t end = 0;
  Period period;
  Source source;
  bool certain = false;     // surely written, to every byte of the range
  bool every_page = false;  // only one byte every 4096, from `begin` on
  int epoch = 0;

  bool covers(uint64_t at) const { return begin <= at && at < end && (!every_page || (at - begin) % kPageBytes == 0); }
  // The first offset behind `at` where covers() may answer differently.
  uint64_t next_border(uint64_t at) const;
};

struct SizeRange {
  uint64_t least = 0;
  uint64_t most = 0;
};

struct SizeChange {
  Period period;
  SizeRange to;        // grow: `least` == `most`
  bool grows = false;  // to at least this; otherwise to exactly this
  bool certain = false;
  int epoch = 0;
};

// A collapse (by_bytes < 0 in effect) or insert that ran alone.
struct Shift {
  Period period;
  uint64_t offset = 0;
  uint64_t length = 0;
  bool insert = false;
};

// What a reader of one byte may get; the same, as formulas, for all bytes up to `until`.
struct PossibleBytes {
  static constexpr size_t kSourcesMax = 24;
  std::array<Source, kSourcesMax> sources;  // kFill or kSequence
  size_t count = 0;
  bool anything = false;
  uint64_t until = 0;

  void add(const Source& source);
};

class FileHistory {
 public:
  void reset(uint32_t ino, uint32_t generation, bool unknown_at_start);

  uint32_t ino() const { return ino_; }
  uint32_t generation() const { return generation_; }

  // --- what happened
  void write(uint64_t begin, uint64_t end, Period period, Source source, bool certain);
  void write_every_page(uint64_t begin, uint64_t end, Period period, Source source, bool certain);
  void set_size(SizeRange to, Period period, bool certain);
  void grow_size(uint64_t to, Period period, bool certain);
  // Bytes [begin, end) were stored through a mapping. Behind EOF, writeback of a file with cached pages makes them
  // zeros again, now or later.
  void stored(uint64_t begin, uint64_t end, Period period);
  // Contents and size are unknown to whoever ends behind `from`.
  void blur(uint64_t from) { blur_from_ = from < blur_from_ ? from : blur_from_; }
  void shift(const Shift& shift) {
    shifts_.push_back(shift);
    shifted_ = true;
  }
  // The medium may have gone bad behind [begin, end), whole pages.
  void damage(uint64_t begin, uint64_t end, Period period) { damage_.push_back({begin, end, period}); }
  // A write(2) that surely reached the medium: whole pages of it are good again.
  void cure(uint64_t begin, uint64_t end, Period period) { cures_.push_back({begin, end, period}); }
  // Takes note that an operation used the file: shifts at the same time are not exact.
  void used(Period period, bool changes) { uses_.push_back({period, changes}); }
  // Decides which shifts are exact. REQUIRES: all uses and shifts are known, nothing is written yet.
  void settle_shifts();

  // --- what a reader may see
  bool blurred(Period reader) const { return blur_from_ < reader.end; }
  // Number of exact shifts before; -1 if one overlaps.
  int epoch_of(Period period) const;
  SizeRange size(Period reader) const;
  SizeRange size_before_shift(Period shift) const;
  // Without the changes of the call with this very period.
  SizeRange size_without(Period reader) const { return size_at(reader, epoch_of(reader), {.own = true}); }
  // `in_file`: the reader found the byte to be in front of EOF.
  void possible_bytes(uint64_t offset, Period reader, PossibleBytes* out, bool in_file = false) const;

  // Whether a page that has a byte of [begin, end) may be bad. After a collapse or an insert any page may.
  bool may_be_bad(uint64_t begin, uint64_t end, Period reader) const;

  bool regular = false;          // seen to be a regular file
  bool opened_append = false;    // some descriptor has O_APPEND
  bool opened_direct = false;    // some descriptor has O_DIRECT
  bool through_cache = false;    // without DAX, opened without O_DIRECT or mapped: dirty pages are possible
  bool zeroed_in_cache = false;  // without DAX, truncated or punched: there too
  bool cached = false;           // seen without DAX: its bytes pass through the page cache

 private:
  struct Use {
    Period period;
    bool changes;
  };

  struct PageRange {
    uint64_t begin;
    uint64_t end;
    Period period;
  };

  int epoch_of_change(Period period);
  // Changes that do not count.
  struct Without {
    bool own = false;                // of the call with the reader's very period
    uint64_t through = kEverything;  // of writes at the reader's time that certainly wrote this byte
  };
  bool counts(const SizeChange& change, Period reader, Without without) const;
  SizeRange size_at(Period reader, int epoch, Without without) const;
  uint64_t in_file_since(uint64_t offset, int epoch, Period reader, uint64_t* until) const;
  void collect_seen(uint64_t offset, int epoch, Period reader, uint64_t delta, int depth, bool in_file,
                    PossibleBytes* out) const;
  void collect(uint64_t offset, int epoch, Period reader, uint64_t delta, int depth, PossibleBytes* out) const;
  void collect_start(uint64_t offset, int epoch, uint64_t delta, int depth, PossibleBytes* out) const;
  void add_writer(const Writer& writer, uint64_t offset, uint64_t delta, int depth, PossibleBytes* out) const;

  uint32_t ino_ = 0;
  uint32_t generation_ = 0;
  bool unknown_at_start_ = false;
  uint64_t blur_from_ = kNever;
  std::vector<Writer> writers_;
  std::vector<SizeChange> sizes_;
  std::vector<Shift> shifts_;
  std::vector<Use> uses_;
  std::vector<PageRange> damage_;
  std::vector<PageRange> cures_;
  bool shifted_ = false;  // or may be
};

}  // namespace daxfuzz::oracle
