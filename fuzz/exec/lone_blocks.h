// fuzz/exec/lone_blocks.h - where a call that nothing ran beside leaves the blocks of its file.
//
// Compares what the checker's own reader finds on the medium before and after the call.
//
// Locking: none; a look between two points of the task that made the call (observer_reads.h).
// Invariants:
//   LC5 after fallocate every block of the range is mapped; after a punch no whole block of it, up to the end of the
//       file, is.
//   LC6 fallocate, truncate and write leave every other block of the file where it is, and add none outside their
//       range; collapse and insert move those behind their offset by their length; a file that truncate did not make
//       longer has no blocks behind its end.
// Not covered: written or unwritten; collapse and insert of files with a page cache, which they write back first.
// Tested by: fuzz/exec/lone_call_test.cc
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "fs/check/media_tree.h"
#include "fuzz/oracle/history.h"
#include "fuzz/oracle/judge.h"
#include "fuzz/prog/program.h"

namespace daxfuzz::exec {

// What the extents say of a block, and up to where they say the same.
struct Stretch {
  bool mapped = false;
  bool unwritten = false;
  uint64_t physical = 0;
  uint64_t end = UINT64_MAX;
};
// `extents`: by logical block.
Stretch stretch_at(const std::vector<daxfs::check::TreeExtent>& extents, uint64_t block);

class LoneBlocks {
 public:
  // Whether the call is one of those above.
  static bool about(const prog::Op& op);
  // Before the call. `size`: of the file in memory.
  void note(const daxfs::check::ImageReader& reader, uint32_t ino, uint64_t size);
  // After it.
  std::optional<oracle::Objection> check(const daxfs::check::ImageReader& reader, const oracle::OpRecord& record);

 private:
  enum class Rule : uint8_t { kSame, kKept };  // kKept: what was mapped is where it was, and there may be more
  struct Blocks {
    uint64_t first;
    uint64_t past;
  };

  // The first block of the range that is mapped now, or is not.
  std::optional<uint64_t> first_block(Blocks range, bool mapped) const;
  std::optional<oracle::Objection> check_truncate(uint64_t new_size) const;
  std::optional<oracle::Objection> check_allocation(Blocks touched) const;
  std::optional<oracle::Objection> check_punch(uint64_t begin, uint64_t end) const;
  // Blocks [first, past) against those that were `from` blocks further to the end of the file.
  std::optional<oracle::Objection> compare(Blocks range, Rule rule, int64_t from = 0) const;
  std::optional<oracle::Objection> wrong(const char* tag, uint64_t block, const char* what) const;

  const prog::Op* op_ = nullptr;
  uint32_t ino_ = 0;  // 0: nothing noted
  uint32_t generation_ = 0;
  uint64_t size_ = 0;  // before
  std::vector<daxfs::check::TreeExtent> before_;
  std::vector<daxfs::check::TreeExtent> after_;
};

}  // namespace daxfuzz::exec
