// fuzz/prog/edit.cc - edits that keep a program valid and its schedule meaningful.
#include "fuzz/prog/edit.h"

#include <algorithm>
#include <string>

#include "fuzz/prog/names.h"

namespace daxfuzz::prog {
namespace {

uint8_t normal_path(uint8_t path, size_t strings) {
  if (path < kPathString) { return static_cast<uint8_t>(path % path_pool().size()); }
  return path - size_t{kPathString} < strings ? path : 0;
}

// Applies `change(anchor's op index)` to the anchors of one task; drops those for which it returns
// false.
template <typename Change>
void update_anchors(Program& program, TaskId task, Change change) {
  std::erase_if(program.schedule,
                [&](Preemption& p) { return p.task == task && p.op != kBeforeFirstOp && !change(p.op); });
}

template <typename Visit>
void for_each_path(Program& program, Visit visit) {
  auto visit_list = [&](std::vector<Op>& ops) {
    for (Op& op : ops) {
      for (OperandKind kind : op.info().operands()) {
        if (kind == OperandKind::kPath) { visit(op.path); }
        if (kind == OperandKind::kPath2) { visit(op.path2); }
      }
    }
  };
  for (Process& process : program.processes) { visit_list(process.init); }
  for (Task& task : program.tasks) { visit_list(task.ops); }
}

}  // namespace

std::vector<Op>& op_list(Program& program, Place place) {
  return place.init ? program.processes[place.list].init : program.tasks[place.list].ops;
}

const std::vector<Op>& op_list(const Program& program, Place place) {
  return place.init ? program.processes[place.list].init : program.tasks[place.list].ops;
}

bool insert_op(Program& program, Place place, const Op& op) {
  if (place.init ? program.init_op_count() >= kInitOpsMax : program.op_count() >= kOpsMax) { return false; }
  std::vector<Op>& ops = op_list(program, place);
  ops.insert(ops.begin() + place.op, op);
  if (!place.init) {
    update_anchors(program, place.list, [&](uint16_t& index) {
      if (index >= place.op) { index++; }
      return index <= kAnchorOpMax;
    });
  }
  return true;
}

void remove_op(Program& program, Place place) {
  std::vector<Op>& ops = op_list(program, place);
  ops.erase(ops.begin() + place.op);
  if (place.init) { return; }
  update_anchors(program, place.list, [&](uint16_t& index) {
    if (index == place.op) { return false; }
    if (index > place.op) { index--; }
    return true;
  });
}

void remove_ops(Program& program, Place place, size_t count) {
  for (size_t i = 0; i < count; i++) { remove_op(program, place); }
}

bool add_task(Program& program, uint8_t process) {
  if (program.tasks.size() >= kTasksMax) { return false; }
  program.tasks.push_back(Task{process, {}});
  return true;
}

void remove_task(Program& program, uint8_t task) {
  program.tasks.erase(program.tasks.begin() + task);
  std::erase_if(program.schedule, [&](const Preemption& p) { return p.task == task || p.next == task; });
  for (Preemption& p : program.schedule) {
    if (is_program_task(p.task) && p.task > task) { p.task--; }
    if (is_program_task(p.next) && p.next > task) { p.next--; }
  }
}

bool add_process(Program& program) {
  if (program.processes.size() >= kProcessesMax) { return false; }
  program.processes.emplace_back();
  return true;
}

void remove_process(Program& program, uint8_t process) {
  program.processes.erase(program.processes.begin() + process);
  for (Task& task : program.tasks) {
    if (task.process == process) {
      task.process = 0;
    } else if (task.process > process) {
      task.process--;
    }
  }
}

bool add_mount_option(Program& program, std::string_view option) {
  std::string mount = program.mount;
  if (!mount.empty()) { mount += ','; }
  mount += option;
  if (!valid_mount_options(mount)) { return false; }
  program.mount = mount;
  return true;
}

uint8_t intern_path(Program& program, std::string_view text) {
  text = text.substr(0, std::min(text.find('\0'), text.size()));
  text = text.substr(0, kStringBytesMax);
  if (const int row = find_path(text); row >= 0) { return static_cast<uint8_t>(row); }
  size_t total = text.size();
  for (size_t i = 0; i < program.strings.size(); i++) {
    if (program.strings[i] == text) { return static_cast<uint8_t>(kPathString + i); }
    total += program.strings[i].size();
  }
  if (program.strings.size() >= kStringsMax || total > kStringBytesTotalMax) { return 0; }
  program.strings.emplace_back(text);
  return static_cast<uint8_t>(kPathString + program.strings.size() - 1);
}

void canonicalise_strings(Program& program) {
  if (program.strings.empty()) { return; }
  uint8_t renumbered[kStringsMax];
  std::fill_n(renumbered, kStringsMax, kNoSlot);
  std::vector<std::string> kept;
  for_each_path(program, [&](uint8_t& path) {
    if (path < kPathString) { return; }
    const size_t old = path - size_t{kPathString};
    if (renumbered[old] == kNoSlot) {
      renumbered[old] = static_cast<uint8_t>(kPathString + kept.size());
      kept.push_back(std::move(program.strings[old]));
    }
    path = renumbered[old];
  });
  program.strings = std::move(kept);
}

Memory normal_memory(OperandKind kind, const Memory& in) {
  const Memory mapping = {.kind = MemoryKind::kMapping,
                          .slot = static_cast<uint8_t>(in.slot % kMappingSlots),
                          .offset = in.kind == MemoryKind::kMapping ? in.offset : 0};
  Memory anonymous = {
      .kind = MemoryKind::kAnonymous, .fill = in.fill, .pattern = in.pattern, .offset = in.offset & 4095};
  switch (kind) {
    case OperandKind::kAddr: return in.kind == MemoryKind::kBad ? Memory{.kind = MemoryKind::kBad} : mapping;
    case OperandKind::kSplitAddr: return mapping;
    case OperandKind::kAt:
      if (in.kind == MemoryKind::kMapping) { return mapping; }
      return Memory{.kind = in.kind == MemoryKind::kBad ? MemoryKind::kBad : MemoryKind::kNone};
    case OperandKind::kFill: anonymous.offset = 0; return anonymous;
    case OperandKind::kDest:
      anonymous.fill = 0;
      anonymous.pattern = Pattern::kFill;
      [[fallthrough]];
    default:  // kSource
      if (in.kind == MemoryKind::kMapping) { return mapping; }
      return in.kind == MemoryKind::kBad ? Memory{.kind = MemoryKind::kBad} : anonymous;
  }
}

void normalise_op(Op& op, size_t strings) {
  const OpInfo& info = op.info();
  Op out;
  out.code = op.code;
  const size_t slots = info.result == ResultKind::kNone ? 0 : kFdSlots;
  out.result = op.result < slots ? op.result : kNoSlot;
  for (OperandKind kind : info.operands()) {
    switch (kind) {
      case OperandKind::kFd: out.fd = op.fd == kBadFd ? kBadFd : static_cast<uint8_t>(op.fd % kFdSlots); break;
      case OperandKind::kPath: out.path = normal_path(op.path, strings); break;
      case OperandKind::kPath2: out.path2 = normal_path(op.path2, strings); break;
      case OperandKind::kFileMode:
      case OperandKind::kDirMode: out.mode = op.mode & 07777; break;
      case OperandKind::kProt: out.prot = op.prot; break;
      case OperandKind::kOffset: out.offset = op.offset; break;
      case OperandKind::kLength: out.length = op.length; break;
      case OperandKind::kLength2: out.length2 = op.length2; break;
      case OperandKind::kAddr:
      case OperandKind::kSplitAddr: out.addr = normal_memory(kind, op.addr); break;
      case OperandKind::kAt: out.at = normal_memory(kind, op.at); break;
      case OperandKind::kDest:
      case OperandKind::kSource:
      case OperandKind::kFill: out.buffer = normal_memory(kind, op.buffer); break;
      default: out.flags = op.flags; break;
    }
  }
  op = out;
}

static_assert(kFdSlots == kMappingSlots, "normalise_op uses one bound for both kinds of result");

}  // namespace daxfuzz::prog
