// props/differential_kernel.h - runs a sequential program through the system calls of the machine's own kernel.
//
// The program runs in a child whose root is a folder: that of a freshly mounted ext4 image (without DAX), which needs
// root and a loop device, or one in the temporary folder, on whatever filesystem is there, which needs either root or
// user namespaces. Its answers come back as plain records.
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

class HostKernel {
 public:
  HostKernel() = default;
  HostKernel(const HostKernel&) = delete;
  HostKernel& operator=(const HostKernel&) = delete;
  virtual ~HostKernel() = default;

  bool ok() const { return error_.empty(); }
  const std::string& error() const { return error_; }

  // All of the program's set-up operations, then its only task's. `addresses` has what mmap and mremap returned in the
  // simulated process, by operation (0: failed): the child maps at the same distances, so that ranges that reach beyond
  // a mapping meet the same neighbours.
  std::vector<Answer> run(const prog::Program& program, std::span<const uint64_t> addresses);
  Tree tree() const;
  // Links of a directory count what is in it; some filesystems always say 1.
  bool counts_directory_links() const { return counts_directory_links_; }

 protected:
  std::string error_;
  std::string directory_;
  bool counts_directory_links_ = true;
};

// A mounted copy of an image; unmounts when it dies.
class KernelMount final : public HostKernel {
 public:
  explicit KernelMount(std::span<const std::byte> image);
  ~KernelMount() override;

 private:
  std::string image_;
  bool mounted_ = false;
};

// A folder with what a fresh image has in it; goes with all that is in it when it dies.
class KernelFolder final : public HostKernel {
 public:
  KernelFolder();
  ~KernelFolder() override;
};

}  // namespace daxfuzz::props
