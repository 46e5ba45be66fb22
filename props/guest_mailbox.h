// props/guest_mailbox.h - the memory through which the differential test and a virtual machine
// talk.
//
// The test lays an image into the machine's persistent memory and an order into the mailbox, counts
// `asked` up and waits until `answered` is equal. Areas lie at fixed offsets; what does not fit is
// refused by the test.
//
// Locking: `asked` and `answered` pass the memory from one to the other.
// Tested by: props/differential_test.cc, where a machine runs.
#pragma once

#include <atomic>
#include <cstdint>

namespace daxfuzz::props {

struct GuestMailbox {
  static constexpr uint64_t kSize = 4 << 20;
  static constexpr uint64_t kProgramAt = 4096, kProgramMax = 60 << 10;
  static constexpr uint64_t kAddressesAt = 64 << 10, kAddressesMax = 64 << 10;
  static constexpr uint64_t kAnswersAt = 128 << 10, kAnswersMax = 128 << 10;
  static constexpr uint64_t kTreeAt = 256 << 10, kTreeMax = kSize - kTreeAt;

  enum Kind : uint32_t { kRun = 1, kTreeOnly = 2, kStop = 3 };

  std::atomic<uint64_t> asked;
  std::atomic<uint64_t> answered;
  uint32_t kind;
  uint32_t program_bytes;
  uint32_t addresses;
  uint32_t tree_bytes;  // from the machine
  int32_t mount_error;  // from the machine: errno
  int32_t exit_status;  // from the machine: of the process
  char mount_options[128];

  template <typename T>
  T* area(uint64_t at) {
    return reinterpret_cast<T*>(reinterpret_cast<char*>(this) + at);
  }
};

}  // namespace daxfuzz::props
