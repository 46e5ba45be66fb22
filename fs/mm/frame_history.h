// fs/mm/frame_history.h - what happened to each pmem frame last, and in which order: how a frame
// came to be as a finding shows it.
//
// Never decides anything. Two bugs that break one invariant at one place look alike to the
// assertion there; the order of what came before tells them apart, in titles and in dedup keys.
// Kernel: page_owner and page_pinner do this for frames that leak.
//
// Stamps grow over all runs, so that a new run costs nothing: what is older than its begin did not
// happen.
//
// Locking: none; relaxed atomics, and none of it is a scheduling point. With native threads a stamp
// may be lost.
// Not covered: which of several pins or mappings of a frame it was; only the latest is known.
// Tested by: fs/mm/frame_history_test.cc, corpus/keys_test.cc
#pragma once

#include <array>
#include <cstdint>
#include <memory>

#include "fs/base/types.h"
#include "fs/rt/task.h"

namespace daxfs::mm {

enum class FrameEvent : uint8_t {
  kWritten,   // its block came to hold data of a file
  kMapped,    // a PTE leads to it
  kUnmapped,  // a PTE does no more
  kPinned,
  kSearched,  // somebody who wants to free its block looked at its reference count
};

class FrameHistory {
 public:
  explicit FrameHistory(uint64_t frames) : frames_(std::make_unique<Frame[]>(frames)) {}

  void begin_run() { run_ = tick(); }
  // The time of something else, to be compared with that of an event.
  uint64_t tick() {
    const uint64_t now = __atomic_load_n(&clock_, __ATOMIC_RELAXED) + 1;
    __atomic_store_n(&clock_, now, __ATOMIC_RELAXED);
    return now;
  }

  void note(Pfn pfn, FrameEvent event) { put(frames_[pfn.value()].at[static_cast<size_t>(event)], tick()); }
  // The running operation begins to look for pins; then for each frame that it looks at.
  void note_search() {
    put(searches_[task()].who, who());
    put(searches_[task()].at, tick());
  }
  void note_searched(Pfn pfn) {
    note(pfn, FrameEvent::kSearched);
    put(frames_[pfn.value()].searcher, who());
  }

  // How the frame comes to be pinned although the running operation is about to free its block.
  const char* of_pin(Pfn pfn) const;
  // Whether what stands for a hole was made, at `when`, before the frame's block came to hold data.
  // "": the block held them from the begin of the run.
  const char* of_hole(uint64_t when, Pfn pfn) const;

 private:
  struct Frame {
    std::array<uint64_t, 5> at{};  // by FrameEvent; 0: never
    uint64_t searcher = 0;
  };

  struct Search {
    uint64_t who = 0;
    uint64_t at = 0;
  };

  static void put(uint64_t& field, uint64_t value) { __atomic_store_n(&field, value, __ATOMIC_RELAXED); }
  static size_t task() {
    const rt::TaskId id = rt::current_task();
    return id >= 0 && id < rt::kMaxTasks ? static_cast<size_t>(id) : 0;
  }
  uint64_t who() const { return run_ << 24 | static_cast<uint64_t>(task()) << 16 | (rt::current_op() & 0xffff); }
  uint64_t when(Pfn pfn, FrameEvent event) const;

  std::unique_ptr<Frame[]> frames_;
  std::array<Search, rt::kMaxTasks> searches_{};  // by task: its latest
  uint64_t clock_ = 0;
  uint64_t run_ = 0;
};

}  // namespace daxfs::mm
