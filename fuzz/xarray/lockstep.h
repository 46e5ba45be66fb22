// fuzz/xarray/lockstep.h - an XArray and the interval map, one operation at a time on both: do they answer the same?
//
// The one model of the property (props/xarray_props.cc), the fuzz target (fuzz/targets/xarray_fuzzer.cc) and the
// benchmark (fuzz/bench/xarray_bench.cc). Between the steps of an iteration that paused, any other operation may
// change the array.
//
// Locking: none; takes the array's.
// Not covered: lockless readers (fs/lib/xarray_test.cc has them).
// Tested by: fuzz/xarray/lockstep_test.cc, props/xarray_props.cc
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "fs/lib/xarray.h"
#include "fs/lib/xarray_model.h"
#include "fuzz/xarray/ops.h"

namespace daxfuzz::xarray {

template <unsigned kShift>
class Lockstep {
 public:
  using Array = daxfs::lib::BasicXArray<kShift>;

  Lockstep() = default;

  // False when array and model disagree; then wrong() says how.
  bool step(const Op& op);
  // Shape of the tree (XA1..XA5) and every entry, order and mark.
  bool check();
  // Empties the array and looks for nodes that are still allocated.
  bool finish();

  const std::string& wrong() const { return wrong_; }
  Array& array() { return xa_; }
  const daxfs::lib::XArrayModel& model() const { return model_; }

 private:
  using State = daxfs::lib::XaState<kShift>;
  using Model = daxfs::lib::XArrayModel;
  using Entry = daxfs::lib::XEntry;

  struct Walk {
    Walk(Array& xa, const Op& op, bool is_marked)
        : cursor(xa, op.index), next(op.index), mark(daxfs::lib::XaMark{op.mark}), marked(is_marked) {}
    State cursor;
    uint64_t next;  // where it looks from
    daxfs::lib::XaMark mark;
    bool marked;
    bool ended = false;  // behind the last index there is
  };

  bool store(const Op& op);
  bool load(const Op& op);
  bool get(const Op& op);
  bool change_mark(const Op& op);
  bool split(const Op& op);
  bool conflict(const Op& op);
  bool find(const Op& op);
  bool walk_on();
  // The first item at or behind `index` (that has the mark).
  Model::iterator model_next(uint64_t index, const daxfs::lib::XaMark* mark);
  bool same(const char* what, uint64_t index, Entry got, Entry expected);
  bool fail(const char* what, uint64_t index, const std::string& got, const std::string& expected);

  const uint64_t nodes_before_ = daxfs::lib::XaNodePool<kShift>::live();
  Array xa_{1};
  Model model_;
  std::optional<Walk> walk_;
  std::string wrong_;
};

// In words, without addresses.
std::string describe(daxfs::lib::XEntry entry);

// All operations, a check after each, and the end. Empty, or what is wrong and after which operation (from 1).
// *failed_at: its index; the number of operations for the end.
std::string run(const Sequence& sequence, size_t* failed_at = nullptr);

extern template class Lockstep<6>;
extern template class Lockstep<2>;

}  // namespace daxfuzz::xarray
