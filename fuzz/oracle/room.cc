#include "fuzz/oracle/room.h"

#include <algorithm>
#include <string_view>

#include "fuzz/oracle/file_history.h"
#include "fuzz/prog/names.h"

namespace daxfuzz::oracle {

using prog::OpCode;

namespace {

constexpr uint64_t kTooMuch = uint64_t{1} << 40;  // blocks
constexpr uint64_t kEachCall = 8;                 // nodes of trees, blocks of directories, partial blocks
constexpr uint64_t kHugePages = 512;

uint64_t pages_of(int64_t length) {
  return length < 0 ? kTooMuch : std::min(static_cast<uint64_t>(length) / kPageBytes + 2, kTooMuch);
}

// Pages that a fault of one of them may allocate together.
uint64_t fault_unit(const prog::Program& program) {
  if (const int64_t huge = prog::huge_bytes(program.mount); huge != 0) {
    return static_cast<uint64_t>(huge) / kPageBytes;
  }
  const auto maps_much = [](const prog::Op& op) {
    const bool maps = op.code == OpCode::kMmap || op.code == OpCode::kMremap;
    return maps && std::max(pages_of(op.length), pages_of(op.length2)) >= kHugePages;
  };
  const auto any = [&](const auto& lists, auto ops_of) {
    return std::any_of(lists.begin(), lists.end(), [&](const auto& list) {
      return std::any_of(ops_of(list).begin(), ops_of(list).end(), maps_much);
    });
  };
  const bool much = any(program.processes, [](const prog::Process& p) -> const auto& { return p.init; }) ||
                    any(program.tasks, [](const prog::Task& t) -> const auto& { return t.ops; });
  return much ? kHugePages : 1;
}

void add(const prog::Op& op, uint64_t unit, Demand* demand) {
  const uint64_t by_faults = (pages_of(op.length) / unit + 2) * unit;
  demand->blocks += kEachCall;
  switch (op.code) {
    case OpCode::kWrite:
    case OpCode::kPwrite:
    case OpCode::kIoSubmitPwrite:
    case OpCode::kFallocate: demand->blocks += pages_of(op.length); break;
    case OpCode::kStore:
    case OpCode::kTouch:
    case OpCode::kRead:
    case OpCode::kPread:
    case OpCode::kIoSubmitPread:
    case OpCode::kMmap:
    case OpCode::kMadvise:  // to populate
      demand->blocks += by_faults;
      break;
    case OpCode::kOpen:
    case OpCode::kMkdir:
    case OpCode::kSymlink:
    case OpCode::kRename:  // a whiteout
      ++demand->inodes;
      break;
    default: break;
  }
  demand->blocks = std::min(demand->blocks, kTooMuch);
}

}  // namespace

Demand demand_of(const prog::Program& program) {
  const uint64_t unit = fault_unit(program);
  Demand demand;
  for (const prog::Process& process : program.processes) {
    for (const prog::Op& op : process.init) { add(op, unit, &demand); }
  }
  for (const prog::Task& task : program.tasks) {
    for (const prog::Op& op : task.ops) { add(op, unit, &demand); }
  }
  return demand;
}

bool plenty_of_room(const prog::Program& program, const History& history) {
  if (history.foreign_image || program.mount.find("fail_") != std::string::npos) { return false; }
  const Demand demand = demand_of(program);
  // Twice: a page that was promised a block holds both for a moment.
  return 2 * demand.blocks < history.blocks_available && demand.inodes < history.inodes_free;
}

}  // namespace daxfuzz::oracle
