// props/kernel_calls.h - a sequential program as real system calls, and what they leave behind.
//
// Used where the kernel is: in a forked child of the test (differential_kernel.h), or inside a virtual machine
// (guest_init.cc).
//
// Not covered: more than one process or task; memory_failure and reclaim; addresses. Asynchronous requests are waited
// for when they are begun.
//
// Locking: none; the process that runs a program is its own.  Tested by: props/differential_test.cc.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "fuzz/prog/program.h"

namespace daxfuzz::props {

// What one operation answered; the parts that mean the same on every filesystem.
struct Answer {
  bool done = false;
  int64_t ret = -1;  // addresses: 0
  int error = 0;     // errno
  int signal = 0;    // SIGBUS, SIGSEGV
  int code = 0;      // of the signal: si_code
  int64_t fault_offset = -1;
  uint64_t data_hash = 0;
};

struct TreeEntry {
  char type = '?';  // f, d, l, c
  uint64_t links = 0;
  uint64_t size = 0;  // of files and symlinks
  uint64_t contents_hash = 0;
  bool operator==(const TreeEntry&) const = default;
};
using Tree = std::map<std::string, TreeEntry>;                   // "/dir/name"
inline constexpr uint64_t kTreeContentsMax = uint64_t{8} << 20;  // sparse monsters are named by their beginning

// All of the program's set-up operations, then its only task's, in this process, whose root is the filesystem.
// `addresses` has what mmap and mremap returned in the simulated process, by operation (0: failed): the real one maps
// at the same distances, so that ranges that reach beyond a mapping meet the same neighbours. `drop_caches`: a
// descriptor of the kernel's file of that name, or -1. Never returns if the process is killed.
void run_calls(const prog::Program& program, std::span<const uint64_t> addresses, int drop_caches, Answer* answers);

size_t count_operations(const prog::Program& program);

Tree read_tree(const std::string& root);

uint64_t hash_of(std::span<const std::byte> bytes);
// Hash of a directory's names, whatever their order.
uint64_t names_hash(std::vector<std::string> names);
// Hash of the blocks of a range that are mapped: [logical, length, unwritten] of each extent, adjacent ones joined.
struct MappedRange {
  uint64_t logical, length, unwritten;
};
uint64_t layout_hash(const std::vector<MappedRange>& extents, uint64_t begin, uint64_t length);

}  // namespace daxfuzz::props
