// fuzz/exec/machine.h - the simulated hardware of a run: device, frames, address spaces; kept between runs.
//
// A machine belongs to one pristine image. restore() puts back the few blocks that the last run changed and forgets
// everything else it left, also when that run was abandoned in the middle.
//
// Invariants: a run on a restored machine depends on nothing that an earlier run did (fuzz/exec/executor_test.cc).
// Tested by: fuzz/exec/executor_test.cc.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <vector>

#include "fs/base/result.h"
#include "fs/check/media.h"
#include "fs/check/media_tree.h"
#include "fs/mm/memory.h"
#include "fs/mm/mm.h"
#include "fs/pmem/device.h"
#include "fuzz/oracle/history.h"

namespace daxfuzz::exec {

class Machine {
 public:
  static constexpr uint32_t kDramFrames = 2048;  // private pages and anonymous memory of all processes together

  // `pristine` must outlive the machine. Errors: kInval for a size that is not whole blocks, kNoMem.
  static daxfs::Result<std::unique_ptr<Machine>> create(std::span<const std::byte> pristine);

  void restore();

  daxfs::pmem::Device& device() { return *device_; }
  daxfs::mm::Memory& memory() { return *memory_; }
  // Address space of the i-th process of a run.
  daxfs::mm::Mm& mm(size_t i);

  // For the image check at a run's end: what of the pristine image need not be checksummed again.
  // Empty when the pristine image itself is not clean.
  daxfs::check::MediaScratch& media_scratch() { return media_scratch_; }
  // The pristine image's tree; empty if it is not clean, or large.
  std::span<const oracle::TreeName> start_names() const { return start_names_; }
  // Reads files from the medium; knows the geometry of the pristine image.
  const daxfs::check::ImageReader& reader() const { return *reader_; }
  // Blocks that the medium has for users; what ext4 keeps back for itself does not count.
  uint64_t blocks_available() const;
  std::span<const uint64_t> changed_blocks_for_check() const {
    return has_baseline_ ? device_->changed_blocks() : std::span<const uint64_t>();
  }

 private:
  Machine() = default;

  std::span<const std::byte> pristine_;
  std::unique_ptr<daxfs::pmem::Device> device_;
  std::unique_ptr<daxfs::mm::Memory> memory_;
  std::vector<std::unique_ptr<daxfs::mm::Mm>> mms_;
  daxfs::check::MediaScratch media_scratch_;
  std::unique_ptr<daxfs::check::ImageReader> reader_;
  std::vector<oracle::TreeName> start_names_;
  bool has_baseline_ = false;
};

// What the medium holds, directories before what they hold. False if something is malformed.
bool list_names(const daxfs::check::ImageReader& reader, std::vector<oracle::TreeName>* names);

}  // namespace daxfuzz::exec
