// props/posix_model.h - a sequential POSIX filesystem in a few maps; does a history have an order that explains it?
//
// The oracle of every run (fuzz/oracle) keeps, for each byte and each name, the set of what is possible, and is silent
// where that gets large. This model is exact instead: it runs the operations, one after another, on one state, and
// for concurrent histories tries every order (Wing and Gong), so it serves programs of a handful of operations.
//
// What is atomic is what Linux promises. Calls on a descriptor take effect at one moment (reads and writes of a DAX
// file hold the inode lock). Calls on paths are not: each walks to its directories first, one name at a time; link and
// stat look up their file before they act on it.
//
// Not covered: mappings, symbolic links, O_TRUNC and O_APPEND, positions, times, out of space.
// Tested by: props/posix_props.cc
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "fuzz/oracle/history.h"
#include "fuzz/prog/program.h"

namespace daxfuzz::props {

inline constexpr int64_t kCell = 512;  // every offset and size of a program is a multiple of it
inline constexpr int kNoInode = -1;

struct PosixInode {
  bool directory = false;
  int links = 0;      // of a directory: 0 once it was removed
  std::string cells;  // one character for each kCell bytes of a file
  std::map<std::string, int> names;
};

struct PosixState {
  std::vector<PosixInode> inodes;  // 0 is the root
  std::array<int, prog::kFdSlots> slots;
  std::array<bool, prog::kFdSlots> read_to_end{};  // of directories: a second getdents finds nothing

  PosixState();
};

// One call between its begin and its end.
struct PosixCall {
  const prog::Program* program = nullptr;
  const oracle::OpRecord* record = nullptr;
  unsigned step = 0;
  int inode = kNoInode;  // that a path led to
  int parent = kNoInode;
  int parent2 = kNoInode;
  bool count_left = false;  // the name is gone, the inode's count still to be lowered
  bool any_size = false;    // an fallocate that grew files ran beside it: that grows block by block
  const std::set<std::string>* program_names = nullptr;
};

enum class Step : uint8_t {
  kMore,   // took one step
  kDone,   // took the last, and the result is the recorded one
  kNotSo,  // the recorded result is not what this order gives
};

// Takes the call's next step on the state.
Step take_step(PosixState* state, PosixCall* call);

// Is there an order? RETURNS the empty string, or what could not be explained.
std::string explain_history(const prog::Program& program, const oracle::History& history);

}  // namespace daxfuzz::props
