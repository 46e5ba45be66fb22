// fuzz/image/run.h - damages an image, mounts it, runs a program on it, unmounts it, and judges.
//
// Any bytes are legal media. So, whatever was damaged: no crash, no sanitizer report, no assertion,
// no deadlock, no endless loop, no frame left in use; checker and reader (fs/check) survive what
// they are given before and after; calls fail with errors that they can have, and a mount that is
// refused says why. If the checker calls the damaged image sound, everything else holds as well: it
// is mounted, nothing is called corrupt, live memory and the image afterwards are in order.
//
// What damage may break, because it gives one block to two owners, and neither ext4 nor the library
// can know: a frame belongs to one page of one file (O1, O15). The device is told not to watch that
// (Device::watch_owners) unless the image is sound.
//
// Tasks run under the program's schedule.
//
// Locking: none; one Runner for one thread.
// Not covered: results of calls (fuzz/oracle), which want sound media.
// Tested by: fuzz/image/image_test.cc, fuzz/targets/targets_test.py
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "fs/base/report.h"
#include "fuzz/image/images.h"

namespace daxfuzz::image {

struct RunConfig {
  uint64_t events_max = 3'000'000;
  // Told of a finding where it was noticed; then the process traps there. Null: the run ends and
  // has an outcome.
  void (*at_finding)(void* context, const daxfs::Finding& finding) = nullptr;
  void* at_finding_context = nullptr;
};

struct Outcome {
  std::optional<daxfs::Finding> finding;
  uint64_t trace_hash = 0;
  uint64_t events = 0;
  bool sound = false;  // the checker has no objection, not even to orphans
  bool mounted = false;
  daxfs::Errc mount_errc = daxfs::Errc::kOk;
  std::string mount_message;
  unsigned corrupted = 0;  // calls that failed with EUCLEAN
};

class Runner {
 public:
  Runner();
  ~Runner();
  Runner(const Runner&) = delete;
  Runner& operator=(const Runner&) = delete;

  // `input` must outlive the call. Overwrites `outcome`.
  void run(const Input& input, const RunConfig& config, Outcome* outcome);
  // The damaged image alone, for e2fsck and `daxfuzz run --image`.
  static std::vector<std::byte> damaged(const Input& input);

 private:
  struct Subject;
  struct Run;

  std::vector<std::unique_ptr<Subject>> subjects_;  // by image number
};

}  // namespace daxfuzz::image
