// fuzz/prog/crossover.cc - a child with parts of two programs.
#include <algorithm>

#include "fuzz/prog/edit.h"
#include "fuzz/prog/mutate.h"
#include "fuzz/prog/world.h"

namespace daxfuzz::prog {
namespace {

// `op` of `from` as an operation of `to`: the paths keep their text.
Op imported(const Program& from, Op op, Program& to) {
  const OpInfo& info = op.info();
  if (info.has(OperandKind::kPath) && op.path >= kPathString) { op.path = intern_path(to, from.path_text(op.path)); }
  if (info.has(OperandKind::kPath2) && op.path2 >= kPathString) {
    op.path2 = intern_path(to, from.path_text(op.path2));
  }
  return op;
}

void append_ops(const Program& from, std::span<const Op> ops, Program& to, Place place) {
  for (const Op& op : ops) {
    if (!insert_op(to, place, imported(from, op, to))) { return; }
    place.op++;
  }
}

std::span<const Op> random_run(const std::vector<Op>& ops, Random& random) {
  if (ops.empty()) { return {}; }
  const size_t begin = random.below(ops.size());
  return std::span<const Op>(ops).subspan(begin, 1 + random.below(ops.size() - begin));
}

void take_run(Program& child, const Program& b, Random& random) {
  const Task& source = b.tasks[random.below(b.tasks.size())];
  const auto task = static_cast<uint8_t>(random.below(child.tasks.size()));
  const auto at = static_cast<uint8_t>(random.below(child.tasks[task].ops.size() + 1));
  append_ops(b, random_run(source.ops, random), child, Place{false, task, at});
}

void take_task(Program& child, const Program& b, Random& random) {
  const Task& source = b.tasks[random.below(b.tasks.size())];
  const auto process = static_cast<uint8_t>(source.process % child.processes.size());
  auto task = static_cast<uint8_t>(child.tasks.size());
  if (!add_task(child, process) || random.chance(1, 2)) {  // in place of another task
    if (task < child.tasks.size()) { remove_task(child, task); }
    task = static_cast<uint8_t>(random.below(child.tasks.size()));
    remove_ops(child, Place{false, task, 0}, child.tasks[task].ops.size());
    child.tasks[task].process = process;
  }
  append_ops(b, source.ops, child, Place{false, task, 0});
}

void take_tail(Program& child, const Program& b, Random& random) {
  const size_t common = std::min(child.tasks.size(), b.tasks.size());
  for (size_t i = 0; i < common; i++) {
    const auto task = static_cast<uint8_t>(i);
    const size_t ours = child.tasks[i].ops.size();
    const size_t keep = random.below(ours + 1);
    remove_ops(child, Place{false, task, static_cast<uint8_t>(keep)}, ours - keep);
    const std::vector<Op>& theirs = b.tasks[i].ops;
    const size_t from = random.below(theirs.size() + 1);
    append_ops(b, std::span<const Op>(theirs).subspan(from), child, Place{false, task, static_cast<uint8_t>(keep)});
  }
}

void take_set_up(Program& child, const Program& b) {
  for (size_t i = 0; i < child.processes.size(); i++) { child.processes[i].init.clear(); }
  while (child.processes.size() < b.processes.size()) { add_process(child); }
  for (size_t i = 0; i < b.processes.size(); i++) {
    append_ops(b, b.processes[i].init, child, Place{true, static_cast<uint8_t>(i), 0});
  }
  child.image = b.image;
  child.mount = b.mount;
}

void take_schedule(Program& child, const Program& b, Random& random) {
  if (random.chance(1, 2)) { child.schedule.clear(); }
  for (const Preemption& p : b.schedule) {
    if (child.schedule.size() < kPreemptionsMax && random.chance(3, 4)) { child.schedule.push_back(p); }
  }
}

}  // namespace

Program crossover(const Program& a, const Program& b, Random& random, const Options& options) {
  Program child = a;
  switch (random.below(6)) {
    case 0: take_schedule(child, b, random); break;
    case 1: take_set_up(child, b); break;
    case 2: take_tail(child, b, random); break;
    case 3: take_task(child, b, random); break;
    default: take_run(child, b, random); break;
  }
  canonicalise_strings(child);
  if (!options.self_copies) { avoid_self_copies(child); }
  return child;
}

}  // namespace daxfuzz::prog
