#include "fuzz/minimize/cost.h"

#include <algorithm>
#include <bit>

#include "fuzz/prog/names.h"

namespace daxfuzz::minimize {
namespace {

using prog::MemoryKind;
using prog::OperandKind;

// 0, then one page, then whole pages, then the rest: the smaller the plainer.
uint64_t number_cost(int64_t value) {
  if (value == 0) { return 0; }
  const auto magnitude = static_cast<uint64_t>(value < 0 ? ~value : value);
  const auto bits = static_cast<uint64_t>(std::bit_width(magnitude));
  if (value > 0 && value % kPage == 0) {
    return 1 + 4 * (bits - 13) + static_cast<uint64_t>(std::popcount(magnitude)) - 1;
  }
  return 80 + bits;
}

uint64_t memory_cost(const prog::Memory& memory) {
  uint64_t cost = number_cost(memory.offset) + (memory.pattern == prog::Pattern::kFill ? 0 : 4);
  if (memory.kind == MemoryKind::kAnonymous && memory.fill != 0 && memory.fill != 0x41) { cost += 1; }
  return cost + memory.slot;
}

uint64_t path_cost(uint8_t path) { return path < prog::kPathString ? path / 2 : 100; }

uint64_t operand_cost(OperandKind kind, const prog::Op& op) {
  switch (kind) {
    case OperandKind::kFd: return op.fd == prog::kBadFd ? 8 : op.fd;
    case OperandKind::kPath: return path_cost(op.path);
    case OperandKind::kPath2: return path_cost(op.path2);
    case OperandKind::kFileMode: return op.mode != 0644;
    case OperandKind::kDirMode: return op.mode != 0755;
    case OperandKind::kProt: return 4 * static_cast<uint64_t>(std::popcount(op.prot));
    case OperandKind::kOffset: return number_cost(op.offset);
    case OperandKind::kLength: return number_cost(op.length);
    case OperandKind::kLength2: return number_cost(op.length2);
    case OperandKind::kAddr:
    case OperandKind::kSplitAddr: return memory_cost(op.addr);
    case OperandKind::kAt: return op.at.kind == MemoryKind::kNone ? 0 : 20 + memory_cost(op.at);
    case OperandKind::kDest:
    case OperandKind::kSource:
    case OperandKind::kFill: return memory_cost(op.buffer);
    default: return 4 * static_cast<uint64_t>(std::popcount(op.flags));
  }
}

template <typename Names>
uint64_t name_cost(const Names& names, std::string_view name) {
  const auto found = std::find(names.begin(), names.end(), name);
  return found == names.end() ? 40 : 2 * static_cast<uint64_t>(found - names.begin());
}

uint64_t list_cost(const std::vector<prog::Op>& ops) {
  uint64_t cost = 0;
  for (const prog::Op& op : ops) {
    cost += op.result == prog::kNoSlot ? 0 : 1 + op.result;
    for (const OperandKind kind : op.info().operands()) { cost += operand_cost(kind, op); }
  }
  return cost;
}

}  // namespace

Cost cost_of(const prog::Program& program) {
  Cost cost;
  cost.task_ops = program.op_count();
  cost.ops = cost.task_ops + program.init_op_count();
  cost.preemptions = program.schedule.size();
  cost.tasks = program.tasks.size();
  cost.processes = program.processes.size();
  cost.detail = name_cost(prog::image_names(), program.image) + name_cost(prog::mount_options(), program.mount);
  for (const prog::Process& process : program.processes) { cost.detail += list_cost(process.init); }
  for (const prog::Task& task : program.tasks) { cost.detail += list_cost(task.ops); }
  return cost;
}

}  // namespace daxfuzz::minimize
