// fuzz/exec/lone_call.h - a call that nothing ran beside has one right answer, and leaves one right trace.
//
// Compared with what the checker's own reader finds on the medium, which is up to date when no handle runs: who was
// to be touched has new times there, fiemap and lseek say what the extents say, statfs what the groups count.
// Concurrent calls are not looked at: there is enough that runs alone in any run.
//
// Locking: none; a look between two points of the task that made the call (observer_reads.h).
// Invariants:
//   LC1 a call leaves the times that it is to change, and those of the directories it changes, at its own time or
//       later; a call that only reads leaves mtime and ctime of its file.
//   LC2 fiemap lists the blocks of the range; SEEK_DATA and SEEK_HOLE stop at written blocks and holes, or at pages of
//       unwritten ones.
//   LC3 the count of free blocks is what the groups count, without those promised to pages; statfs says so.
//   LC4 stat says mode, links and sectors as they are on the medium, with the blocks promised to pages.
//   LC7 after madvise(DONTNEED) nothing of the range is mapped, private copies neither.
//   LC10 a call changes no immutable file, and no name in an immutable directory or of such a file; nor does it cut or
//       rename an append-only file, or take a name out of an append-only directory. Nor is the one opened for writing,
//       or the other for more than appending, or mapped for stores.
//   LC11 after madvise(POPULATE_READ) every page of the range is mapped, after POPULATE_WRITE every one writable.
// Not covered: atime; times of stores through mappings; asynchronous calls; runs with daemons (flush=, reclaim=), with
// failures on order, or of foreign images; native threads.
// Tested by: fuzz/exec/lone_call_test.cc
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "fs/check/media_tree.h"
#include "fs/vfs/filesystem.h"
#include "fuzz/exec/lone_blocks.h"
#include "fuzz/exec/lone_failure.h"
#include "fuzz/exec/lone_layout.h"
#include "fuzz/exec/machine.h"
#include "fuzz/oracle/history.h"
#include "fuzz/oracle/judge.h"
#include "fuzz/prog/program.h"

namespace daxfuzz::exec {

// Whether runs of this program can be looked at in this way.
bool lone_calls_tell(const prog::Program& program);

class LoneCall {
 public:
  // Before the operation. Not a scheduling point.
  LoneCall(Machine& machine, daxfs::vfs::Filesystem& fs, const prog::Program& program, const prog::Op& op);
  // Still before it, when the file of its descriptor is known.
  void note_file(const oracle::OpRecord& record);
  // After it, if nothing else ran meanwhile.
  std::optional<oracle::Objection> finish(const oracle::OpRecord& record);

  // LC3, at rest.
  static std::optional<oracle::Objection> check_counts(Machine& machine, daxfs::vfs::Filesystem& fs);

 private:
  // An inode that the call is to touch if it succeeds.
  struct Touched {
    uint32_t ino;
    uint32_t generation;
    bool mtime;
    bool forbidden;  // by its flags
  };
  // One that it may not touch.
  struct Untouched {
    uint32_t ino;
    uint32_t generation;
    uint64_t mtime;
    uint64_t ctime;
  };

  const daxfs::check::ImageReader& reader() const { return machine_.reader(); }
  uint32_t parent_of(std::string_view path) const;
  void expect(uint32_t ino, bool mtime, uint32_t forbidding_flags);
  void expect_names();
  void expect_open();
  void note_untouched();
  std::optional<oracle::Objection> check_forbidden(const oracle::OpRecord& record) const;
  std::optional<oracle::Objection> check_touched() const;
  std::optional<oracle::Objection> check_untouched() const;
  std::optional<oracle::Objection> check_file_times(const oracle::OpRecord& record);
  std::optional<oracle::Objection> check_fiemap(const oracle::OpRecord& record) const;
  std::optional<oracle::Objection> check_seek(const oracle::OpRecord& record) const;
  std::optional<oracle::Objection> check_stat(const oracle::OpRecord& record) const;
  std::optional<oracle::Objection> check_dropped(const oracle::OpRecord& record) const;
  std::optional<oracle::Objection> check_populated(const oracle::OpRecord& record) const;
  std::optional<oracle::Objection> check_advice(const oracle::OpRecord& record) const;
  std::optional<oracle::Objection> check_statfs(const oracle::OpRecord& record) const;

  Machine& machine_;
  daxfs::vfs::Filesystem& fs_;
  const prog::Program& program_;
  const prog::Op& op_;
  uint64_t now_ = 0;  // ns
  std::array<Touched, 4> touched_;
  size_t touched_count_ = 0;
  std::array<Untouched, 12> untouched_;
  size_t untouched_count_ = 0;
  LoneBlocks blocks_;
  LoneFailure failure_;
  LoneLayout layout_;
};

}  // namespace daxfuzz::exec
