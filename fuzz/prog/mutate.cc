// fuzz/prog/mutate.cc - typed mutators as a table of method and name.
#include "fuzz/prog/mutate.h"

#include <algorithm>
#include <array>

#include "fuzz/prog/edit.h"
#include "fuzz/prog/generate.h"
#include "fuzz/prog/names.h"
#include "fuzz/prog/operands.h"
#include "fuzz/prog/world.h"

namespace daxfuzz::prog {
namespace {

// One mutation of one program. Each method returns false when the program offers nothing to do.
class Mutator {
 public:
  Mutator(Program& program, Random& random, const Options& options)
      : program_(program), random_(random), options_(options) {}

  bool insert_random_op() {
    Place place = random_list();
    place.op = random_index(op_list(program_, place).size() + 1);
    const uint8_t process = process_of(place);
    return insert_op(program_, place, random_op(random_, options_, World(program_), process));
  }

  bool remove_random_op() {
    Place place;
    if (!random_place(&place)) { return false; }
    remove_op(program_, place);
    return true;
  }

  bool duplicate_op() {
    Place place;
    if (!random_place(&place)) { return false; }
    const Op op = op_list(program_, place)[place.op];
    return insert_op(program_, place, op);
  }

  bool swap_ops() {
    Place place;
    if (!random_place(&place)) { return false; }
    std::vector<Op>& ops = op_list(program_, place);
    if (ops.size() < 2) { return false; }
    std::swap(ops[place.op], ops[random_index(ops.size())]);
    return true;
  }

  bool change_operand() {
    Place place;
    if (!random_place(&place)) { return false; }
    Op& op = op_list(program_, place)[place.op];
    const std::span<const OperandKind> operands = op.info().operands();
    const World world(program_);
    OperandMaker maker(world, process_of(place), random_, options_);
    const size_t choice = random_.below(operands.size() + (op.info().result != ResultKind::kNone ? 1 : 0));
    if (choice < operands.size()) {
      maker.randomise(operands[choice], op);
    } else if (op.info().result != ResultKind::kNone) {
      op.result = maker.result_slot();
    } else {
      return false;
    }
    normalise_op(op, program_.strings.size());
    return true;
  }

  // The numbers that matter differ by one, by a page, or are equal to another operation's.
  bool tweak_number() {
    Place place;
    if (!random_place(&place)) { return false; }
    Op& op = op_list(program_, place)[place.op];
    int64_t* numbers[8];
    size_t count = 0;
    for (OperandKind kind : op.info().operands()) {
      if (int64_t* number = number_of(kind, op); number != nullptr) { numbers[count++] = number; }
    }
    if (count == 0) { return false; }
    int64_t& number = *numbers[random_.below(count)];
    auto bits = static_cast<uint64_t>(number);
    const auto huge = static_cast<uint64_t>(huge_bytes(program_.mount));
    if (huge != 0 && random_.chance(1, 3)) {
      const uint64_t down = bits - bits % huge;
      const uint64_t moved[] = {bits + huge, bits - huge, down, down + huge - 4096, down + huge, down + huge + 4096};
      number = static_cast<int64_t>(moved[random_.below(6)]);
      normalise_op(op, program_.strings.size());
      return true;
    }
    switch (random_.below(7)) {
      case 0: bits += 1; break;
      case 1: bits -= 1; break;
      case 2: bits += 4096; break;
      case 3: bits -= 4096; break;
      case 4: bits &= ~uint64_t{4095}; break;
      case 5: bits = random_.chance(1, 2) ? bits * 2 : bits / 2; break;
      default: bits = copied_number(bits); break;
    }
    number = static_cast<int64_t>(bits);
    normalise_op(op, program_.strings.size());
    return true;
  }

  // An operation comes to where another one works: to the same descriptor or mapping, and to a range that is the same,
  // half of it, or begins where it ends.
  bool meet_op() {
    Place place;
    Place at;
    if (!random_place(&place) || !random_place(&at)) { return false; }
    const Op other = op_list(program_, at)[at.op];
    Op& op = op_list(program_, place)[place.op];
    if (place.init == at.init && place.list == at.list && place.op == at.op) { return false; }
    const OpInfo& info = op.info();
    const OpInfo& theirs = other.info();
    const auto maps = [](const OpInfo& row, const Op& of) {
      return (row.has(OperandKind::kAddr) || row.has(OperandKind::kSplitAddr)) && of.addr.kind == MemoryKind::kMapping;
    };
    const bool by_fd = info.has(OperandKind::kFd) && theirs.has(OperandKind::kFd);
    const bool mapped = maps(info, op);
    if (process_of(place) == process_of(at)) {
      if (by_fd) { op.fd = other.fd; }
      if (mapped && maps(theirs, other)) { op.addr.slot = other.addr.slot; }
    }
    if (!theirs.has(OperandKind::kOffset) && !maps(theirs, other)) { return by_fd; }
    const int64_t begin = theirs.has(OperandKind::kOffset) ? other.offset : other.addr.offset;
    const int64_t length =
        theirs.has(OperandKind::kLength) ? std::clamp<int64_t>(other.length, 0, kMeetMax) : kMeetPage;
    if (begin < 0 || begin > kMeetMax) { return by_fd; }
    const int64_t half = length / 2;
    const int64_t begins[] = {begin, begin + half, begin + length, begin};
    const int64_t lengths[] = {length, length - half, length, half};
    const size_t row = random_.below(4);
    int64_t* const offset = info.has(OperandKind::kOffset) ? &op.offset : mapped ? &op.addr.offset : nullptr;
    if (offset != nullptr) { *offset = begins[row]; }
    if (info.has(OperandKind::kLength)) {
      op.length = offset == nullptr ? begins[row] : random_.chance(3, 4) ? lengths[row] : op.length;
    }
    normalise_op(op, program_.strings.size());
    return true;
  }

  // Another operation with the operands that both have.
  bool change_opcode() {
    Place place;
    if (!random_place(&place)) { return false; }
    Op& op = op_list(program_, place)[place.op];
    const World world(program_);
    OperandMaker maker(world, process_of(place), random_, options_);
    Op other = random_op(random_, options_, world, process_of(place));
    const OpInfo& from = op.info();
    for (OperandKind kind : other.info().operands()) {
      if (!from.has(kind)) { continue; }
      switch (kind) {
        case OperandKind::kFd: other.fd = op.fd; break;
        case OperandKind::kPath: other.path = op.path; break;
        case OperandKind::kPath2: other.path2 = op.path2; break;
        case OperandKind::kOffset: other.offset = op.offset; break;
        case OperandKind::kLength: other.length = op.length; break;
        case OperandKind::kAddr:
        case OperandKind::kSplitAddr: other.addr = op.addr; break;
        case OperandKind::kDest:
        case OperandKind::kSource: other.buffer = op.buffer; break;
        default: break;
      }
    }
    normalise_op(other, program_.strings.size());
    op = other;
    return true;
  }

  bool move_op() { return transfer_op(true); }
  // The same operation in two tasks: races of an operation with itself.
  bool copy_op_to_task() { return transfer_op(false); }

  // From a task to the set-up, or back.
  bool hoist_op() {
    Place place;
    if (!random_place(&place)) { return false; }
    const Op op = op_list(program_, place)[place.op];
    const uint8_t process = process_of(place);
    Place to{!place.init, process, 0};
    if (place.init) {
      const int task = random_task_of(process);
      if (task < 0) { return false; }
      to.list = static_cast<uint8_t>(task);
    } else {
      to.op = static_cast<uint8_t>(program_.processes[process].init.size());
    }
    if (!insert_op(program_, to, op)) { return false; }
    remove_op(program_, place);
    return true;
  }

  bool add_preemption() {
    if (program_.schedule.size() >= kPreemptionsInvented) { return false; }
    const uint8_t at = random_index(program_.schedule.size() + 1);
    program_.schedule.insert(program_.schedule.begin() + at, random_preemption(program_, random_, options_));
    return true;
  }

  bool remove_preemption() {
    if (program_.schedule.empty()) { return false; }
    program_.schedule.erase(program_.schedule.begin() + random_index(program_.schedule.size()));
    return true;
  }

  bool shift_event() {
    Preemption* p = random_anchor();
    if (p == nullptr) { return false; }
    const int64_t distance = int64_t{1} << random_.below(6);
    const int64_t event = int64_t{p->event} + (random_.chance(1, 2) ? distance : -distance);
    p->event = static_cast<uint32_t>(std::clamp<int64_t>(event, 1, kEventMax));
    return true;
  }

  bool redirect_preemption() {
    Preemption* p = random_anchor();
    if (p == nullptr) { return false; }
    p->next = random_preemption(program_, random_, options_).next;
    return true;
  }

  bool move_anchor() {
    Preemption* p = random_anchor();
    if (p == nullptr) { return false; }
    const Preemption other = random_preemption(program_, random_, options_);
    p->task = other.task;
    p->op = other.op;
    if (random_.chance(1, 2)) { p->event = other.event; }
    return true;
  }

  bool add_random_task() {
    const uint8_t process = random_index(program_.processes.size());
    if (!add_task(program_, process)) { return false; }
    Place place{false, static_cast<uint8_t>(program_.tasks.size() - 1), 0};
    if (random_.chance(1, 2)) {  // a twin of another task
      const std::vector<Op> ops = program_.tasks[random_.below(program_.tasks.size() - 1)].ops;
      for (const Op& op : ops) {
        if (!insert_op(program_, place, op)) { break; }
        place.op++;
      }
    } else {
      insert_op(program_, place, random_op(random_, options_, World(program_), process));
    }
    return true;
  }

  bool remove_random_task() {
    if (program_.tasks.size() < 2) { return false; }
    remove_task(program_, random_index(program_.tasks.size()));
    return true;
  }

  bool change_process() {
    if (program_.processes.size() < options_.processes_max && random_.chance(1, 2)) { add_process(program_); }
    if (program_.processes.size() < 2) { return false; }
    program_.tasks[random_.below(program_.tasks.size())].process = random_index(program_.processes.size());
    return true;
  }

  bool change_mount() {
    const std::string_view mount = random_.pick(options_.mounts);
    if (program_.mount == mount) { return false; }
    program_.mount = mount;
    return true;
  }

  bool change_failure() { return order_failure(program_, random_); }

  bool change_image() {
    const std::string_view image = random_.pick(options_.images);
    if (program_.image == image) { return false; }
    program_.image = image;
    return true;
  }

 private:
  uint8_t random_index(size_t count) { return static_cast<uint8_t>(random_.below(count)); }

  uint8_t process_of(Place place) const { return place.init ? place.list : program_.tasks[place.list].process; }

  // Mostly a task; the set-up is worth less change.
  Place random_list() {
    if (random_.chance(1, 5)) { return Place{true, random_index(program_.processes.size()), 0}; }
    return Place{false, random_index(program_.tasks.size()), 0};
  }

  bool random_place(Place* place) {
    for (int tries = 0; tries < 6; tries++) {
      *place = random_list();
      const size_t count = op_list(program_, *place).size();
      if (count == 0) { continue; }
      place->op = random_index(count);
      return true;
    }
    return false;
  }

  int random_task_of(uint8_t process) {
    for (int tries = 0; tries < 4; tries++) {
      const size_t task = random_.below(program_.tasks.size());
      if (program_.tasks[task].process == process) { return static_cast<int>(task); }
    }
    return -1;
  }

  bool transfer_op(bool move) {
    Place place;
    if (!random_place(&place) || place.init) { return false; }
    const Op op = op_list(program_, place)[place.op];
    Place to{false, random_index(program_.tasks.size()), 0};
    to.op = random_index(program_.tasks[to.list].ops.size() + 1);
    if (move) {
      if (to.list == place.list) { return false; }
      remove_op(program_, place);
    }
    return insert_op(program_, to, op);
  }

  Preemption* random_anchor() {
    if (program_.schedule.empty()) { return nullptr; }
    return &program_.schedule[random_.below(program_.schedule.size())];
  }

  static int64_t* number_of(OperandKind kind, Op& op) {
    switch (kind) {
      case OperandKind::kOffset: return &op.offset;
      case OperandKind::kLength: return &op.length;
      case OperandKind::kLength2: return &op.length2;
      case OperandKind::kAddr:
      case OperandKind::kSplitAddr: return op.addr.kind == MemoryKind::kMapping ? &op.addr.offset : nullptr;
      case OperandKind::kDest:
      case OperandKind::kSource: return op.buffer.kind == MemoryKind::kMapping ? &op.buffer.offset : nullptr;
      default: return nullptr;
    }
  }

  uint64_t copied_number(uint64_t unchanged) {
    Place place;
    if (!random_place(&place)) { return unchanged; }
    const Op& op = op_list(program_, place)[place.op];
    const OpInfo& info = op.info();
    if (info.has(OperandKind::kOffset) && random_.chance(1, 2)) { return static_cast<uint64_t>(op.offset); }
    if (info.has(OperandKind::kLength)) { return static_cast<uint64_t>(op.length); }
    return unchanged;
  }

  static constexpr int64_t kMeetMax = int64_t{1} << 40;  // what lies behind is of no file
  static constexpr int64_t kMeetPage = 4096;

  Program& program_;
  Random& random_;
  const Options& options_;
};

// Columns: method (its name is the mutator's), weight.
#define DAXFUZZ_MUTATORS(X) \
  X(insert_random_op, 10)   \
  X(remove_random_op, 6)    \
  X(duplicate_op, 3)        \
  X(swap_ops, 4)            \
  X(change_operand, 16)     \
  X(tweak_number, 12)       \
  X(meet_op, 8)             \
  X(change_opcode, 6)       \
  X(move_op, 5)             \
  X(copy_op_to_task, 5)     \
  X(hoist_op, 2)            \
  X(add_preemption, 10)     \
  X(remove_preemption, 6)   \
  X(shift_event, 14)        \
  X(redirect_preemption, 4) \
  X(move_anchor, 6)         \
  X(add_random_task, 2)     \
  X(remove_random_task, 1)  \
  X(change_process, 1)      \
  X(change_mount, 1)        \
  X(change_image, 1)        \
  X(change_failure, 1)

using Method = bool (Mutator::*)();
constexpr Method kMethods[] = {
#define DAXFUZZ_X(method, weight) &Mutator::method,
    DAXFUZZ_MUTATORS(DAXFUZZ_X)
#undef DAXFUZZ_X
};
constexpr MutatorInfo kInfos[] = {
#define DAXFUZZ_X(method, weight) {#method, weight},
    DAXFUZZ_MUTATORS(DAXFUZZ_X)
#undef DAXFUZZ_X
};

size_t random_row(Random& random) {
  constexpr unsigned kTotal = [] {
    unsigned total = 0;
    for (const MutatorInfo& info : kInfos) { total += info.weight; }
    return total;
  }();
  unsigned at = random.below(kTotal);
  for (size_t row = 0; row < std::size(kInfos); row++) {
    if (at < kInfos[row].weight) { return row; }
    at -= kInfos[row].weight;
  }
  return 0;
}

}  // namespace

std::span<const MutatorInfo> mutators() { return kInfos; }

bool apply_mutator(size_t row, Program& program, Random& random, const Options& options) {
  const bool changed = (Mutator(program, random, options).*kMethods[row])();
  canonicalise_strings(program);
  return changed;
}

void mutate(Program& program, Random& random, const Options& options, std::string* chain) {
  uint32_t wanted = 1;
  while (wanted < 5 && random.chance(1, 3)) { wanted++; }
  for (int tries = 0; tries < 20 && wanted > 0; tries++) {
    const size_t row = random_row(random);
    if (!(Mutator(program, random, options).*kMethods[row])()) { continue; }
    if (chain != nullptr) { chain->append(kInfos[row].name).push_back('-'); }
    wanted--;
  }
  canonicalise_strings(program);
  if (!options.self_copies) { avoid_self_copies(program); }
}

}  // namespace daxfuzz::prog
