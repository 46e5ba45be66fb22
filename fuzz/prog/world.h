// fuzz/prog/world.h - what a program's variables probably refer to: guesses from reading it once,
// without running it.
//
// Concurrent tasks may bind one slot to different things; then a slot refers to a set of files.
// Guesses steer generation to operations that hit something, and answer one question
// conservatively: may a read or write copy memory onto itself?
//
// Not covered: names that become another file by rename or link of a directory above them;
// addresses behind the end of a mapping that happen to be another mapping. Tested by:
// fuzz/prog/generate_test.cc
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "fuzz/prog/program.h"

namespace daxfuzz::prog {

// Set of files: bit i is name pool row i, the last bit any other path.
using FileSet = uint64_t;

struct FdGuess {
  uint8_t bindings = 0;  // operations that assign the slot, saturating
  uint8_t path = 0;      // path operand of the last one
  uint32_t flags = 0;
  FileSet files = 0;
};

struct MappingGuess {
  uint8_t bindings = 0;
  uint8_t prot = 0;
  uint8_t path = 0;
  int64_t offset = 0;  // in the file
  int64_t length = 0;
  FileSet files = 0;
};

class World {
 public:
  World() = default;
  explicit World(const Program& program);

  // Completes the file sets of slots that are copied in one task before they are bound in another.
  void propagate(const Program& program);

  // What the mount options say of huge pages (kernel: PMD_SIZE), bytes; 0: there are none.
  void set_mount(std::string_view options);
  int64_t huge_size() const { return huge_size_; }

  // Takes note of one more operation of `process`.
  void apply(uint8_t process, const Op& op);

  const FdGuess& fd(uint8_t process, uint8_t slot) const { return fds_[process][slot]; }
  const MappingGuess& mapping(uint8_t process, uint8_t slot) const { return mappings_[process][slot]; }
  // Guess of a file's size by path operand, from the largest offset written or allocated.
  int64_t file_size(uint8_t path) const { return sizes_[file_index(path)]; }
  bool uses_path(uint8_t path) const { return (files_used_ & file_bit(path)) != 0; }

  // Whether `op`, in `process`, may read or write a file range through a mapping of that same
  // range.
  bool may_copy_onto_itself(uint8_t process, const Op& op) const;

 private:
  static size_t file_index(uint8_t path);
  static FileSet file_bit(uint8_t path) { return FileSet{1} << file_index(path); }
  void grow(uint8_t process, uint8_t fd, int64_t end);

  std::array<std::array<FdGuess, kFdSlots>, kProcessesMax> fds_{};
  std::array<std::array<MappingGuess, kMappingSlots>, kProcessesMax> mappings_{};
  std::array<int64_t, 64> sizes_{};
  int64_t huge_size_ = 0;
  FileSet files_used_ = 0;
  FileSet linked_ = 0;  // files that a rename or link may have made equal
};

// Gives each read or write that may copy memory onto itself an anonymous buffer instead. True if it
// changed any.
bool avoid_self_copies(Program& program);

}  // namespace daxfuzz::prog
