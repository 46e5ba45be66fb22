#include "fuzz/minimize/edits.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <string>
#include <string_view>

#include "fuzz/minimize/cost.h"
#include "fuzz/prog/names.h"

namespace daxfuzz::minimize {

using prog::MemoryKind;
using prog::Op;
using prog::OpCode;
using prog::OperandKind;
using prog::Place;
using prog::Program;

namespace {

constexpr uint8_t kFilesRenamed = 6;  // f0, g0, f1, g1, f2, g2 of the name pool

template <typename Visit>
void for_each_op(Program& program, Visit visit) {
  for (prog::Process& process : program.processes) {
    for (Op& op : process.init) { visit(op); }
  }
  for (prog::Task& task : program.tasks) {
    for (Op& op : task.ops) { visit(op); }
  }
}

template <typename Visit>
void for_each_op_of(Program& program, uint8_t process, Visit visit) {
  for (Op& op : program.processes[process].init) { visit(op); }
  for (prog::Task& task : program.tasks) {
    if (task.process != process) { continue; }
    for (Op& op : task.ops) { visit(op); }
  }
}

uint8_t process_of(const Program& program, Place place) {
  return place.init ? place.list : program.tasks[place.list].process;
}

int64_t* number_of(OperandKind kind, Op& op) {
  switch (kind) {
    case OperandKind::kOffset: return &op.offset;
    case OperandKind::kLength: return &op.length;
    case OperandKind::kLength2: return &op.length2;
    case OperandKind::kAddr:
    case OperandKind::kSplitAddr: return &op.addr.offset;
    case OperandKind::kDest:
    case OperandKind::kSource: return &op.buffer.offset;
    default: return nullptr;
  }
}

// An edit of one operation.
template <typename Change>
Edit change_op(Place place, Change change) {
  return [=](Program& program) {
    Op& op = prog::op_list(program, place)[place.op];
    const Op before = op;
    change(op);
    return !(op == before);
  };
}

void simpler_numbers(Op& op, OperandKind kind, Place place, std::vector<Edit>* edits) {
  const int64_t* number = number_of(kind, op);
  if (number == nullptr || *number == 0) { return; }
  const int64_t now = *number;
  const bool small = number == &op.buffer.offset && op.buffer.kind == MemoryKind::kAnonymous;  // below a page
  for (const int64_t value : {int64_t{0}, kPage, 2 * kPage, now / 2 & ~(kPage - 1), now & ~(kPage - 1)}) {
    if (value == now || (small && value >= kPage)) { continue; }
    edits->push_back(change_op(place, [=](Op& changed) { *number_of(kind, changed) = value; }));
  }
}

void simpler_flags(const Op& op, OperandKind kind, Place place, std::vector<Edit>* edits) {
  const prog::FlagTable* table = prog::flag_table(kind);
  if (table == nullptr || table->is_enum) { return; }
  uint32_t rest = 0;
  const uint32_t rows = prog::flag_rows(*table, kind == OperandKind::kProt ? op.prot : op.flags, &rest);
  for (size_t row = 0; row < table->names.size(); ++row) {
    if ((rows >> row & 1) == 0) { continue; }
    const uint32_t value = table->names[row].value;
    edits->push_back(change_op(place, [=](Op& changed) {
      if (kind == OperandKind::kProt) {
        changed.prot = static_cast<uint8_t>(changed.prot & ~value);
      } else {
        changed.flags &= ~value;
      }
    }));
  }
  if (rest != 0) {
    edits->push_back(change_op(place, [=](Op& changed) { changed.flags &= ~rest; }));
  }
}

void simpler_paths(OperandKind kind, Place place, std::vector<Edit>* edits) {
  for (uint8_t row = 0; row < kFilesRenamed; ++row) {
    edits->push_back(
        change_op(place, [=](Op& changed) { (kind == OperandKind::kPath ? changed.path : changed.path2) = row; }));
  }
}

bool names_fd(const Op& op) { return op.info().has(OperandKind::kFd); }

// `op` with `kept` where it had `gone`, both of one kind; who opens `kept` opens it for reading and writing.
void use_instead(prog::ResultKind kind, uint8_t gone, uint8_t kept, Op* op) {
  if (kind == prog::ResultKind::kMapping) {
    for (prog::Memory* memory : {&op->addr, &op->buffer, &op->at}) {
      if (memory->kind == MemoryKind::kMapping && memory->slot == gone) { memory->slot = kept; }
    }
    return;
  }
  if (names_fd(*op) && op->fd == gone) { op->fd = kept; }
  if (op->code == OpCode::kOpen && op->result == kept) { op->flags = (op->flags & ~prog::kOAccMode) | prog::kORdWr; }
}

using Slots = std::array<bool, 8>;  // of descriptors, or of mappings

Slots slots_made(Program program, uint8_t process, prog::ResultKind kind) {
  Slots made{};
  for_each_op_of(program, process, [&](Op& op) {
    if (op.info().result == kind && op.result < made.size()) { made[op.result] = true; }
  });
  return made;
}

Edit merge_slots(uint8_t process, prog::ResultKind kind, uint8_t gone, uint8_t kept) {
  return [=](Program& program) {
    const auto places = all_places(program);
    for (size_t i = places.size(); i-- > 0;) {
      const Op& op = prog::op_list(program, places[i])[places[i].op];
      if (process_of(program, places[i]) == process && op.info().result == kind && op.result == gone) {
        prog::remove_op(program, places[i]);
      }
    }
    for_each_op_of(program, process, [&](Op& op) { use_instead(kind, gone, kept, &op); });
    return true;
  };
}

bool uses_slot(const Program& program, uint8_t process, prog::ResultKind kind, uint8_t slot) {
  bool used = false;
  const auto look = [&](const std::vector<Op>& ops) {
    for (const Op& op : ops) {
      if (kind == prog::ResultKind::kFd) {
        used |= names_fd(op) && op.fd == slot;
      } else {
        for (const prog::Memory* memory : {&op.addr, &op.buffer, &op.at}) {
          used |= memory->kind == MemoryKind::kMapping && memory->slot == slot;
        }
      }
    }
  };
  look(program.processes[process].init);
  for (const prog::Task& task : program.tasks) {
    if (task.process == process) { look(task.ops); }
  }
  return used;
}

// New numbers for the slots of one process and one kind, in order of first use.
struct SlotMap {
  std::array<uint8_t, 8> to;
  uint8_t used = 0;
  SlotMap() { to.fill(prog::kNoSlot); }
  void apply(uint8_t* slot) {
    if (*slot >= to.size()) { return; }
    if (to[*slot] == prog::kNoSlot) { to[*slot] = used++; }
    *slot = to[*slot];
  }
};

}  // namespace

std::vector<Place> all_places(const Program& program) {
  std::vector<Place> places;
  const auto add = [&](bool init, size_t list, size_t count) {
    for (size_t i = 0; i < count; ++i) {
      places.push_back({init, static_cast<uint8_t>(list), static_cast<uint8_t>(i)});
    }
  };
  for (size_t p = 0; p < program.processes.size(); ++p) { add(true, p, program.processes[p].init.size()); }
  for (size_t t = 0; t < program.tasks.size(); ++t) { add(false, t, program.tasks[t].ops.size()); }
  return places;
}

Edit remove_range(size_t first, size_t count) {
  return [=](Program& program) {
    const auto places = all_places(program);
    if (first >= places.size()) { return false; }
    for (size_t i = std::min(first + count, places.size()); i-- > first;) { prog::remove_op(program, places[i]); }
    return true;
  };
}

Edit remove_one(Place place) {
  return [=](Program& program) {
    prog::remove_op(program, place);
    return true;
  };
}

Edit drop_task(uint8_t task) {
  return [=](Program& program) {
    if (program.tasks.size() < 2) { return false; }
    prog::remove_task(program, task);
    return true;
  };
}

Edit drop_process(uint8_t process) {
  return [=](Program& program) {
    if (process == 0 || program.processes.size() < 2) { return false; }
    auto& init = program.processes[0].init;
    const auto& moved = program.processes[process].init;
    init.insert(init.end(), moved.begin(), moved.end());
    prog::remove_process(program, process);
    return true;
  };
}

Edit set_image(std::string_view name) {
  return [name = std::string(name)](Program& program) {
    if (program.image == name) { return false; }
    program.image = name;
    return true;
  };
}

Edit set_mount(std::string_view options) {
  return [options = std::string(options)](Program& program) {
    if (program.mount == options) { return false; }
    program.mount = options;
    return true;
  };
}

Edit first_op_to_setup(uint8_t task) {
  return [=](Program& program) {
    const Place from{false, task, 0};
    if (program.tasks[task].ops.empty()) { return false; }
    const Op op = program.tasks[task].ops.front();
    const uint8_t process = program.tasks[task].process;
    const Place to{true, process, static_cast<uint8_t>(program.processes[process].init.size())};
    if (!prog::insert_op(program, to, op)) { return false; }
    prog::remove_op(program, from);
    return true;
  };
}

Edit append_task(uint8_t from, uint8_t to) {
  return [=](Program& program) {
    if (from == to || program.tasks[from].process != program.tasks[to].process) { return false; }
    const auto shift = static_cast<uint16_t>(program.tasks[to].ops.size());
    const auto moved = program.tasks[from].ops;
    for (prog::Preemption& p : program.schedule) {
      if (p.task == from && p.op != prog::kBeforeFirstOp) {
        p.task = to;
        p.op = static_cast<uint16_t>(p.op + shift);
      }
      if (p.next == from) { p.next = to; }
    }
    std::erase_if(program.schedule, [](const prog::Preemption& p) { return p.task == p.next; });
    auto& ops = program.tasks[to].ops;
    ops.insert(ops.end(), moved.begin(), moved.end());
    program.tasks[from].ops.clear();
    prog::remove_task(program, from);
    return true;
  };
}

namespace {

// What fails on order, fail_alloc=8 and its like, fails earlier: what came before need not be there then.
void add_earlier_failures(std::string_view mount, std::vector<Edit>* edits) {
  constexpr unsigned kEarlierMax = 4;
  const size_t name = mount.find("fail_");
  const size_t begin = mount.find('=', name);
  if (name == std::string_view::npos || begin == std::string_view::npos) { return; }
  const std::string_view digits = mount.substr(begin + 1, mount.find(',', begin) - (begin + 1));
  unsigned order = 0;
  if (std::from_chars(digits.data(), digits.data() + digits.size(), order).ec != std::errc()) { return; }
  for (unsigned earlier = 1; earlier <= kEarlierMax && earlier < order; ++earlier) {
    std::string options(mount);
    options.replace(begin + 1, digits.size(), std::to_string(order - earlier));
    edits->push_back(set_mount(options));
  }
}

}  // namespace

std::vector<Edit> preparations(const Program& program) {
  std::vector<Edit> edits;
  add_earlier_failures(program.mount, &edits);
  // Files that programs name, and what they could be called instead.
  std::vector<uint8_t> paths;
  Program copy = program;
  bool maps = false;
  for_each_op(copy, [&](Op& op) {
    if (op.info().has(OperandKind::kPath) && std::find(paths.begin(), paths.end(), op.path) == paths.end()) {
      paths.push_back(op.path);
    }
    maps |= op.code == OpCode::kMmap && (op.flags & prog::kMapPopulate) == 0;
  });
  if (maps) {
    edits.push_back([](Program& p) {
      for_each_op(p, [](Op& op) { op.flags |= op.code == OpCode::kMmap ? prog::kMapPopulate : 0; });
      return true;
    });
  }
  for (const uint8_t path : paths) {
    for (uint8_t row = 0; row < kFilesRenamed; ++row) {
      if (std::find(paths.begin(), paths.end(), row) != paths.end()) { continue; }
      edits.push_back([=](Program& p) {
        for_each_op(p, [&](Op& op) {
          if (op.info().has(OperandKind::kPath) && op.path == path) { op.path = row; }
          if (op.info().has(OperandKind::kPath2) && op.path2 == path) { op.path2 = row; }
        });
        return true;
      });
    }
  }
  return edits;
}

std::vector<Edit> mergers(const Program& program) {
  std::vector<Edit> edits;
  for (uint8_t process = 0; process < program.processes.size(); ++process) {
    for (const prog::ResultKind kind : {prog::ResultKind::kMapping, prog::ResultKind::kFd}) {
      const Slots made = slots_made(program, process, kind);
      for (uint8_t gone = 0; gone < made.size(); ++gone) {
        for (uint8_t kept = 0; kept < made.size(); ++kept) {
          if (kept != gone && made[kept] && made[gone]) { edits.push_back(merge_slots(process, kind, gone, kept)); }
        }
      }
    }
  }
  return edits;
}

std::vector<Edit> simplifications(const Program& program, Place place) {
  std::vector<Edit> edits;
  Op op = prog::op_list(program, place)[place.op];
  const uint8_t process = process_of(program, place);
  if (op.result != prog::kNoSlot && !uses_slot(program, process, op.info().result, op.result)) {
    edits.push_back(change_op(place, [](Op& changed) { changed.result = prog::kNoSlot; }));
  }
  for (const OperandKind kind : op.info().operands()) {
    simpler_numbers(op, kind, place, &edits);
    simpler_flags(op, kind, place, &edits);
    switch (kind) {
      case OperandKind::kPath:
      case OperandKind::kPath2: simpler_paths(kind, place, &edits); break;
      case OperandKind::kFileMode: edits.push_back(change_op(place, [](Op& c) { c.mode = 0644; })); break;
      case OperandKind::kDirMode: edits.push_back(change_op(place, [](Op& c) { c.mode = 0755; })); break;
      case OperandKind::kAt: edits.push_back(change_op(place, [](Op& c) { c.at = {}; })); break;
      case OperandKind::kSource:
      case OperandKind::kFill:
        if (op.buffer.kind == MemoryKind::kAnonymous) {
          edits.push_back(change_op(place, [](Op& c) {
            c.buffer.pattern = prog::Pattern::kFill;
            c.buffer.fill = 0x41;
          }));
        }
        break;
      default: break;
    }
  }
  return edits;
}

Edit renumber_variables() {
  return [](Program& program) {
    const Program before = program;
    for (uint8_t process = 0; process < program.processes.size(); ++process) {
      SlotMap fds;
      SlotMap mappings;
      const auto visit = [&](std::vector<Op>& ops) {
        for (Op& op : ops) {
          if (names_fd(op)) { fds.apply(&op.fd); }
          for (prog::Memory* memory : {&op.addr, &op.buffer, &op.at}) {
            if (memory->kind == MemoryKind::kMapping) { mappings.apply(&memory->slot); }
          }
          if (op.info().result == prog::ResultKind::kFd) { fds.apply(&op.result); }
          if (op.info().result == prog::ResultKind::kMapping) { mappings.apply(&op.result); }
        }
      };
      visit(program.processes[process].init);
      for (prog::Task& task : program.tasks) {
        if (task.process == process) { visit(task.ops); }
      }
    }
    return !(program == before);
  };
}

}  // namespace daxfuzz::minimize
