// props/differential_guest.h - runs a sequential program in a virtual machine, on ext4 with DAX of
// the kernel that we model.
//
// The machine is started by ci/kernel-guest and keeps running. Its folder has `ram`, the machine's
// whole memory, in which its persistent memory is, and `mailbox` (guest_mailbox.h).
//
// Locking: none; one test at a time asks a machine.
// Tested by: props/differential_test.cc, where a machine runs.
// Not covered: more than one process or task; memory_failure and reclaim; addresses.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "props/guest_mailbox.h"
#include "props/kernel_calls.h"

namespace daxfuzz::props {

class GuestKernel {
 public:
  explicit GuestKernel(const std::string& folder);
  GuestKernel(const GuestKernel&) = delete;
  GuestKernel& operator=(const GuestKernel&) = delete;
  ~GuestKernel();

  const std::string& error() const { return error_; }

  // Lays the image into the machine's memory, runs the program and reads the tree. False: error()
  // says why.
  bool run(std::span<const std::byte> image, const std::string& mount, const prog::Program& program,
           std::span<const uint64_t> addresses, std::vector<Answer>* answers, Tree* tree);
  // Only what an image holds.
  bool read(std::span<const std::byte> image, Tree* tree);

 private:
  bool order(std::span<const std::byte> image, const std::string& mount, Tree* tree);

  std::string error_;
  std::byte* memory_ = nullptr;  // where the image goes
  GuestMailbox* box_ = nullptr;
};

}  // namespace daxfuzz::props
