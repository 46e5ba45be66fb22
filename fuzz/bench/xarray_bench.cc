// fuzz/bench/xarray_bench.cc - what one XArray operation costs, beside the same operations on an
// interval model.
//
// BM_Load, BM_Store: single operations through the whole-array calls (lock, cursor, walk).
// BM_Cursor*: under one lock. BM_RandomOps: a mix of stores of orders 0..9, loads, erases, marks
// and conflict searches; BM_RandomOpsModel runs it on the model (fs/lib/xarray_model.h), which is the ratio to
// watch. BM_Lockstep/SHAPE: random operations on both, compared (fuzz/xarray/lockstep.h).
#include <cstdint>
#include <random>
#include <vector>

#include <benchmark/benchmark.h>

#include "fs/lib/xarray.h"
#include "fs/lib/xarray_model.h"
#include "fuzz/xarray/lockstep.h"

namespace daxfs::lib {
namespace {

constexpr uint64_t kIndices = 2048;  // an 8 MiB file

// Drawn beforehand: the generator must not be what is measured.
std::vector<uint64_t> draw(size_t count) {
  std::mt19937_64 random(42);
  std::vector<uint64_t> drawn(count);
  for (uint64_t& word : drawn) { word = random(); }
  return drawn;
}

template <unsigned kShift>
void BM_Load(benchmark::State& state) {
  BasicXArray<kShift> xa(1);
  for (uint64_t i = 0; i < kIndices; ++i) { xa.store(i, XEntry::from_value(i)); }
  const std::vector<uint64_t> drawn = draw(4096);
  size_t at = 0;
  for (auto _ : state) { benchmark::DoNotOptimize(xa.load(drawn[at++ % 4096] % kIndices)); }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(BM_Load<6>);
BENCHMARK(BM_Load<2>);

template <unsigned kShift>
void BM_Store(benchmark::State& state) {
  BasicXArray<kShift> xa(1);
  const std::vector<uint64_t> drawn = draw(4096);
  size_t at = 0;
  for (auto _ : state) {
    const uint64_t word = drawn[at++ % 4096];
    benchmark::DoNotOptimize(xa.store(word % kIndices, XEntry::from_value(at)));
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(BM_Store<6>);
BENCHMARK(BM_Store<2>);

// An empty array gets one entry and loses it: the node life of a small file.
void BM_FirstStoreAndErase(benchmark::State& state) {
  XArray xa(1);
  for (auto _ : state) {
    xa.store(5, XEntry::from_value(1));
    xa.erase(5);
  }
  state.SetItemsProcessed(state.iterations() * 2);
}
BENCHMARK(BM_FirstStoreAndErase);

void BM_CursorStorePmd(benchmark::State& state) {
  XArray xa(1);
  rt::SpinGuard guard(xa.lock());
  uint64_t at = 0;
  for (auto _ : state) {
    XaCursor xas(xa, ++at % 4 * 512, 9);
    benchmark::DoNotOptimize(xas.store(XEntry::from_value(at)));
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(BM_CursorStorePmd);

void BM_CursorFind(benchmark::State& state) {
  XArray xa(1);
  for (uint64_t i = 0; i < kIndices; ++i) { xa.store(i, XEntry::from_value(i)); }
  rt::SpinGuard guard(xa.lock());
  int64_t found = 0;
  for (auto _ : state) {
    XaCursor xas(xa, 0);
    while (xas.find(kIndices)) { ++found; }
  }
  state.SetItemsProcessed(found);
}
BENCHMARK(BM_CursorFind);

struct Step {
  unsigned kind;
  uint64_t index;
  unsigned order;
};

std::vector<Step> draw_steps() {
  std::mt19937_64 random(7);
  std::vector<Step> steps(8192);
  for (Step& step : steps) {
    step = {static_cast<unsigned>(random() % 16), random() % kIndices,
            random() % 4 == 0 ? static_cast<unsigned>(random() % 10) : 0};
  }
  return steps;
}

template <unsigned kShift>
void BM_RandomOps(benchmark::State& state) {
  BasicXArray<kShift> xa(1);
  const std::vector<Step> steps = draw_steps();
  size_t at = 0;
  for (auto _ : state) {
    const Step& step = steps[at++ % 8192];
    rt::SpinGuard guard(xa.lock());
    XaState<kShift> xas(xa, step.index, step.order);
    if (step.kind < 5) {
      benchmark::DoNotOptimize(xas.store(XEntry::from_value(at)));
    } else if (step.kind < 7) {
      benchmark::DoNotOptimize(xas.store(XEntry::null()));
    } else if (step.kind < 9) {
      benchmark::DoNotOptimize(xas.find_conflict());
    } else if (step.kind < 11) {
      xas.set_order(step.index, 0);
      if (xas.load()) { xas.set_mark(XaMark::k0); }
    } else {
      xas.set_order(step.index, 0);
      benchmark::DoNotOptimize(xas.load());
    }
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(BM_RandomOps<6>);
BENCHMARK(BM_RandomOps<2>);

void BM_RandomOpsModel(benchmark::State& state) {
  XArrayModel model;
  const std::vector<Step> steps = draw_steps();
  size_t at = 0;
  for (auto _ : state) {
    const Step& step = steps[at++ % 8192];
    if (step.kind < 5) {
      model.store(step.index, step.order, XEntry::from_value(at));
    } else if (step.kind < 7) {
      model.store(step.index, step.order, XEntry::null());
    } else if (step.kind < 9) {
      benchmark::DoNotOptimize(model.at_or_after(XArrayModel::first_of(step.index, step.order)));
    } else if (step.kind < 11) {
      if (auto it = model.covering(step.index); it != model.items().end()) { it->marks |= 1; }
    } else {
      benchmark::DoNotOptimize(model.covering(step.index));
    }
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(BM_RandomOpsModel);

// Random sequences of every shape on the array and on its model, answers compared: what the property and the fuzz
// target do, without their walk over everything after each operation.
template <unsigned kShift>
void BM_Lockstep(benchmark::State& state) {
  const auto shape = static_cast<uint8_t>(state.range(0));
  const std::vector<uint64_t> drawn = draw(8192);
  std::vector<daxfuzz::xarray::Op> ops;
  for (const uint64_t word : drawn) { ops.push_back(daxfuzz::xarray::op_from_word(shape, word)); }
  daxfuzz::xarray::Lockstep<kShift> both;
  size_t at = 0;
  for (auto _ : state) {
    if (!both.step(ops[at++ % ops.size()])) {
      state.SkipWithError(both.wrong().c_str());
      break;
    }
  }
  if (!both.check()) { state.SkipWithError(both.wrong().c_str()); }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(BM_Lockstep<6>)->DenseRange(0, 7);
BENCHMARK(BM_Lockstep<2>)->DenseRange(0, 7);

}  // namespace
}  // namespace daxfs::lib
