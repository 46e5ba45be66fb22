// fuzz/residual/orders.h - watches a run for orders of conflicting accesses and puts them into a
// table.
//
// Only runs that are sampled have it as observer, so fuzzing without it costs nothing, and with it
// one run in many costs more.
//
// Locking: none; engine side only (fs/rt/engine.h, Observer).
// Not covered: the root task (set-up and tear-down interleave with nobody); what sched::Conflicts does not cover.
// Tested by: fuzz/residual/orders_test.cc.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "fs/rt/engine.h"
#include "fuzz/prog/program.h"
#include "fuzz/residual/order_table.h"
#include "fuzz/sched/conflicts.h"

namespace daxfuzz::residual {

// An order with its places, for people.
struct Sighting {
  Order order;
  daxfs::Site first;
  daxfs::Site then;
};

class OrderRecorder final : public daxfs::rt::Observer {
 public:
  OrderRecorder();

  // `program` must live until end_run(). Events go to `beside`, too, if it is not null.
  void begin_run(const prog::Program& program, daxfs::rt::Observer* beside = nullptr);
  void on_event(const daxfs::rt::Event& event) override;
  void end_run(OrderTable* table);
  // Of the run, each order once.
  std::span<const Sighting> sightings() const { return orders_; }

 private:
  static constexpr size_t kSeen = 16384;  // orders of the run, open addressing
  static constexpr size_t kOrdersMax = kSeen / 2;

  struct Place {
    uint32_t hash = 0;  // rt::site_hash
    uint8_t row = 0;
    daxfs::Site site = {};
  };
  struct Seen {
    uint32_t run = 0;
    Order order = {};
  };

  // The row of the operation that the event belongs to; kRows: of none.
  size_t row_of(const daxfs::rt::Event& event) const;
  void note(const Sighting& sighting);
  void count_pairs(OrderTable* table) const;

  const prog::Program* program_ = nullptr;
  daxfs::rt::Observer* beside_ = nullptr;
  uint32_t run_ = 0;
  sched::Conflicts<4096, Place> conflicts_;
  std::vector<Seen> seen_;
  std::vector<Sighting> orders_;
  std::array<uint64_t, prog::kTasksMax + 1> rows_of_task_{};  // bits; the last: all system tasks
  uint64_t system_tasks_ = 0;                                 // bits: which of them ran
};

}  // namespace daxfuzz::residual
