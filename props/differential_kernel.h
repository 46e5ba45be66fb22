// props/differential_kernel.h - runs a sequential program through the system calls of the machine's own kernel.
//
// The program runs in a child whose root is a freshly mounted ext4 image (without DAX); its answers come back
// as plain records. Needs root and a loop device.
//
// Not covered: more than one process or task; drop_caches, fiemap and setxflags (they differ by design, see
// props/differential_test.cc); addresses.
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
using Tree = std::map<std::string, TreeEntry>;

// A mounted copy of an image; unmounts when it dies.
class KernelMount {
 public:
  explicit KernelMount(std::span<const std::byte> image);
  KernelMount(const KernelMount&) = delete;
  KernelMount& operator=(const KernelMount&) = delete;
  ~KernelMount();

  bool ok() const { return error_.empty(); }
  const std::string& error() const { return error_; }

  // All of the program's set-up operations, then its only task's. `addresses` has what mmap and mremap returned in the
  // simulated process, by operation (0: failed): the child maps at the same distances, so that ranges that reach beyond
  // a mapping meet the same neighbours.
  std::vector<Answer> run(const prog::Program& program, std::span<const uint64_t> addresses);
  Tree tree() const;

 private:
  std::string error_;
  std::string image_;
  std::string directory_;
  bool mounted_ = false;
};

// Hash of a directory's names, whatever their order.
uint64_t names_hash(std::vector<std::string> names);

}  // namespace daxfuzz::props
