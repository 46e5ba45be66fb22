// props/xarray_props.cc - the XArray against an interval map: orders, marks, splits, walks that pause.
//
// The model and the operations are those of the fuzz target (fuzz/xarray). A failure is printed as the shrunk
// sequence's text; `xarray_fuzzer FILE` replays it.
//
// Seen to fail: on the five historical bugs below, in each run; on a reservation at index 0 that kept its node, a
// defect of ours (corpus/xarray/reservation-becomes-value.txt).
#include <cstdint>
#include <string>
#include <vector>

#include <rapidcheck.h>

#include "fs/rt/testing.h"
#include "fuzz/xarray/lockstep.h"
#include "props/props.h"

namespace daxfuzz::xarray {
namespace {

// An assertion of the array itself ends the engine's run, not the process.
std::string run_safely(const Sequence& sequence) {
  std::string wrong;
  const auto outcome =
      daxfs::rt::run_lambda([&] { wrong = run(sequence); }, daxfs::rt::default_policy(), {.events_max = 100'000'000});
  if (!outcome.finding) { return wrong; }
  daxfs::lib::XaNodePool<6>::reclaim_all();
  daxfs::lib::XaNodePool<2>::reclaim_all();
  return outcome.finding->title;
}

// Numbers are drawn whole; only how many there are grows with RapidCheck's size.
void agrees() {
  const auto shape = *rc::gen::inRange<uint8_t>(0, 16);
  const auto word = rc::gen::noShrink(rc::gen::resize(rc::kNominalSize, rc::gen::arbitrary<uint64_t>()));
  const auto words = *rc::gen::scale(3.0, rc::gen::container<std::vector<uint64_t>>(word));
  Sequence sequence;
  sequence.fanout = fanout_of(shape);
  for (const uint64_t number : words) { sequence.ops.push_back(op_from_word(shape, number)); }
  const std::string wrong = run_safely(sequence);
  if (wrong.empty()) { return; }
  RC_FAIL(wrong + "\n" + print(sequence) + "replay: xarray_fuzzer FILE, with these lines in it");
}

}  // namespace
}  // namespace daxfuzz::xarray

int main() {
  using daxfuzz::xarray::agrees;
  bool ok = rc::check("an XArray answers as an interval map does", agrees);
  for (const char* bug : {"sibling-mask-lost", "create-ignores-sibling", "delete-leaves-siblings",
                          "iter-retry-keeps-tags", "mark-on-sibling-not-canonical"}) {
    ok &= daxfuzz::props::must_fail("an XArray answers as an interval map does", bug, agrees);
  }
  return ok ? 0 : 1;
}
