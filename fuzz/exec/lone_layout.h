// fuzz/exec/lone_layout.h - what a call that nothing ran beside made of its process' mappings.
//
// Works out from the man pages what munmap, mprotect, mmap and mremap make of the mappings that were there, and
// compares that with those that are. How the kernel splits and merges them is nothing that anybody sees: neighbours
// that map one file on, with the same protection, count as one.
//
// Locking: none; a look between two points of the task that made the call (observer_reads.h).
// Invariants:
//   LC9 mmap, munmap, mremap and mprotect, where they succeed, leave the mappings that their operands ask for, and
//       those of all other addresses as they were; none but MAP_FIXED and MREMAP_FIXED take the place of others.
// Not covered: calls that fail, which may have done a part; where the kernel puts what has no fixed place.
// Tested by: fuzz/exec/lone_call_test.cc
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "fs/mm/mm.h"
#include "fuzz/oracle/history.h"
#include "fuzz/oracle/judge.h"
#include "fuzz/prog/program.h"

namespace daxfuzz::exec {

class LoneLayout {
 public:
  // Whether the call is one of those above.
  static bool about(const prog::Op& op);
  // Before the call.
  void note(const daxfs::mm::Mm& mm);
  // After it.
  std::optional<oracle::Objection> check(const daxfs::mm::Mm& mm, const oracle::OpRecord& record);

 private:
  struct Piece {
    uint64_t begin;
    uint64_t end;
    uint32_t ino;    // 0: no file
    uint64_t pgoff;  // at `begin`; 0 without a file
    unsigned prot;
    bool shared;
    bool operator==(const Piece&) const = default;
    Piece part(uint64_t from, uint64_t to) const;
    bool continues(const Piece& before) const;
  };
  using Pieces = std::vector<Piece>;  // by address

  static Pieces pieces_of(const daxfs::mm::Mm& mm);
  const Piece* at(uint64_t address) const;
  bool free(uint64_t begin, uint64_t end) const;
  void cut(uint64_t begin, uint64_t end);
  void put(const Piece& piece);
  // What the call makes of `before_`. RETURNS: what it may not have done at all, or null.
  const char* apply(const oracle::OpRecord& record);
  const char* apply_mmap(const oracle::OpRecord& record);
  const char* apply_mprotect(const oracle::OpRecord& record);
  const char* apply_mremap(const oracle::OpRecord& record);

  bool noted_ = false;
  Pieces pieces_;
};

}  // namespace daxfuzz::exec
