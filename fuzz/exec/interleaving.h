// fuzz/exec/interleaving.h - interleaving coverage: which pairs of places met on the same object from different tasks.
//
// Feature: (site of the earlier access, site of the later one), ordered, when two tasks touched the same object one
// after the other and at least one access may have changed it. Counts of a run are put into log2 buckets, so that the
// set of features of a program settles. The idea of alias coverage: Xu, Kashyap, Zhao, Kim, "Krace: data race fuzzing
// for kernel file systems", IEEE S&P 2020.
//
// Locking: none; engine side only (fs/rt/engine.h, Observer).  Tested by: fuzz/exec/interleaving_test.cc.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "fs/rt/engine.h"
#include "fuzz/sched/conflicts.h"
#include "fuzz/sched/order_cell.h"
#include "fuzz/sched/policies.h"
#include "fuzz/sched/touches.h"

namespace daxfuzz::exec {

class InterleavingCoverage final : public daxfs::rt::Observer {
 public:
  static constexpr size_t kCells = sched::kOrderCells;  // features are hashed into these

  // Touches of tasks and system tasks go into `touches` as well, which is cleared, when it is not null.
  void begin_run(sched::Touches* touches = nullptr);
  void on_event(const daxfs::rt::Event& event) override;

  // Objects that met two tasks, one of them writing, since the last forget_shared(): over several runs of a program.
  const sched::SharedObjects& shared() const { return shared_; }
  std::span<const daxfs::rt::ObjectId> shared_list() const { return shared_list_; }
  void forget_shared() {
    shared_.clear();
    shared_list_.clear();
  }

  // Hit counts of the run by cell, saturating; only cells in touched() are non-zero.
  std::span<const uint8_t, kCells> counts() const { return counts_; }
  std::span<const uint16_t> touched() const { return touched_; }

 private:
  sched::Conflicts<2048, uint32_t> conflicts_;  // with the sites
  std::array<uint8_t, kCells> counts_{};
  std::vector<uint16_t> touched_;
  sched::SharedObjects shared_;
  std::vector<daxfs::rt::ObjectId> shared_list_;
  sched::Touches* touches_ = nullptr;
};

// 0: none; 1, 2, 3, 4..7, 8..15, ... : as libFuzzer buckets its counters, in 8 classes.
constexpr uint8_t count_class(uint8_t count) {
  if (count < 4) { return count; }
  if (count < 8) { return 4; }
  if (count < 16) { return 5; }
  if (count < 32) { return 6; }
  return count < 128 ? 7 : 8;
}

}  // namespace daxfuzz::exec
