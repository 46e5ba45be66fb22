// props/differential_kernel.h - runs a sequential program through the system calls of the machine's own kernel.
//
// The program runs in a child whose root is a freshly mounted ext4 image (without DAX); its answers come back
// as plain records. Needs root and a loop device.
//
// Not covered: drop_caches (it would be the whole machine's).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "props/kernel_calls.h"

namespace daxfuzz::props {

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

}  // namespace daxfuzz::props
