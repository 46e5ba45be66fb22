// fuzz/prog/validate.cc - every bound and canonical form of a program.
#include <cstdio>

#include "fuzz/prog/names.h"
#include "fuzz/prog/program.h"

namespace daxfuzz::prog {
namespace {

// Checks one program; `problem_` stays null as long as nothing is wrong.
class Validator {
 public:
  explicit Validator(const Program& program) : program_(program) {}

  std::string run() {
    header();
    if (problem_ != nullptr) { return problem_; }
    for (size_t i = 0; i < program_.processes.size(); i++) { list(program_.processes[i].init, "process", i); }
    for (size_t i = 0; i < program_.tasks.size(); i++) {
      if (program_.tasks[i].process >= program_.processes.size()) { return located("task", i, "process"); }
      list(program_.tasks[i].ops, "task", i);
    }
    schedule();
    strings();
    if (problem_ == nullptr) { return std::string(); }
    if (where_ == nullptr) { return problem_; }
    return located(where_, index_, problem_);
  }

 private:
  void fail(const char* problem) {
    if (problem_ == nullptr) { problem_ = problem; }
  }
  void require(bool condition, const char* problem) {
    if (!condition) { fail(problem); }
  }

  std::string located(const char* where, size_t index, const char* problem) const {
    char text[160];
    if (op_ != nullptr) {
      std::snprintf(text, sizeof(text), "%s %zu, operation %zu (%s): %s", where, index, op_index_ + 1,
                    op_->info().name.data(), problem);
    } else {
      std::snprintf(text, sizeof(text), "%s %zu: %s", where, index, problem);
    }
    return text;
  }

  void header() {
    require(valid_image_name(program_.image), "image name");
    require(valid_mount_options(program_.mount), "mount options");
    require(!program_.processes.empty() && program_.processes.size() <= kProcessesMax, "number of processes");
    require(!program_.tasks.empty() && program_.tasks.size() <= kTasksMax, "number of tasks");
    require(program_.op_count() <= kOpsMax, "number of operations");
    require(program_.init_op_count() <= kInitOpsMax, "number of set-up operations");
    require(program_.schedule.size() <= kPreemptionsMax, "number of preemptions");
    require(program_.strings.size() <= kStringsMax, "number of strings");
  }

  void list(const std::vector<Op>& ops, const char* where, ptrdiff_t index) {
    for (const Op& op : ops) {
      if (problem_ != nullptr) { return; }
      where_ = where;
      index_ = index;
      op_ = &op;
      op_index_ = static_cast<size_t>(&op - ops.data());
      check_op(op);
      if (problem_ == nullptr) {
        op_ = nullptr;
        where_ = nullptr;
      }
    }
  }

  void check_op(const Op& op) {
    if (static_cast<size_t>(op.code) >= kOpCount) {
      op_ = nullptr;
      return fail("unknown operation");
    }
    const OpInfo& info = op.info();
    const size_t slots = info.result == ResultKind::kNone ? 0
                         : info.result == ResultKind::kFd ? kFdSlots
                                                          : kMappingSlots;
    require(op.result == kNoSlot || op.result < slots, "result slot");
    Op rest = op;  // what is left after its operands are cleared must be a default operation
    for (OperandKind kind : info.operands()) { check_operand(kind, op, rest); }
    rest.code = OpCode::kSync;
    rest.result = kNoSlot;
    require(rest == Op(), "a member that is not an operand");
  }

  void check_operand(OperandKind kind, const Op& op, Op& rest) {
    switch (kind) {
      case OperandKind::kFd:
        require(op.fd < kFdSlots || op.fd == kBadFd, "descriptor slot");
        rest.fd = 0;
        break;
      case OperandKind::kPath:
        check_path(op.path);
        rest.path = 0;
        break;
      case OperandKind::kPath2:
        check_path(op.path2);
        rest.path2 = 0;
        break;
      case OperandKind::kFileMode:
      case OperandKind::kDirMode:
        require(op.mode <= 07777, "permission mode");
        rest.mode = 0;
        break;
      case OperandKind::kProt: rest.prot = 0; break;
      case OperandKind::kOffset: rest.offset = 0; break;
      case OperandKind::kLength: rest.length = 0; break;
      case OperandKind::kLength2: rest.length2 = 0; break;
      case OperandKind::kAddr:
        check_memory(op.addr);
        require(op.addr.kind == MemoryKind::kMapping || op.addr.kind == MemoryKind::kBad, "kind of address");
        rest.addr = Memory();
        break;
      case OperandKind::kSplitAddr:
        check_memory(op.addr);
        require(op.addr.kind == MemoryKind::kMapping, "kind of address");
        rest.addr = Memory();
        break;
      case OperandKind::kAt:
        check_memory(op.at);
        require(op.at.kind != MemoryKind::kAnonymous, "kind of address");
        rest.at = Memory();
        break;
      case OperandKind::kDest:
        require(op.buffer.fill == 0 && op.buffer.pattern == Pattern::kFill, "fill of a destination");
        [[fallthrough]];
      case OperandKind::kSource:
        check_memory(op.buffer);
        require(op.buffer.kind != MemoryKind::kNone, "no buffer");
        rest.buffer = Memory();
        break;
      case OperandKind::kFill:
        check_memory(op.buffer);
        require(op.buffer.kind == MemoryKind::kAnonymous && op.buffer.offset == 0, "kind of fill");
        rest.buffer = Memory();
        break;
      default: rest.flags = 0; break;  // flags and enums: any value
    }
  }

  void check_memory(const Memory& memory) {
    switch (memory.kind) {
      case MemoryKind::kMapping:
        require(memory.slot < kMappingSlots, "mapping slot");
        require(memory.fill == 0 && memory.pattern == Pattern::kFill, "fill of a mapping");
        break;
      case MemoryKind::kAnonymous:
        require(memory.slot == 0, "slot of anonymous memory");
        require(memory.offset >= 0 && memory.offset < 4096, "offset of anonymous memory");
        require(memory.pattern <= Pattern::kSequence, "pattern");
        break;
      case MemoryKind::kNone: require(memory == Memory(), "a member of absent memory"); break;
      case MemoryKind::kBad: require(memory == Memory{.kind = MemoryKind::kBad}, "a member of bad memory"); break;
      default: fail("kind of memory"); break;
    }
  }

  void check_path(uint8_t path) {
    if (path < kPathString) { return require(path < path_pool().size(), "name pool row"); }
    const size_t index = path - size_t{kPathString};
    if (index >= program_.strings.size() || index >= kStringsMax) { return fail("string index"); }
    require(index <= strings_used_, "strings are not in order of first use");
    if (index == strings_used_) { strings_used_++; }
  }

  void schedule() {
    for (const Preemption& p : program_.schedule) {
      if (problem_ != nullptr) { return; }
      where_ = "preemption";
      index_ = static_cast<size_t>(&p - program_.schedule.data());
      require(is_task_id(p.task), "task");
      require(is_task_id(p.next), "next task");
      require(p.op <= kAnchorOpMax || p.op == kBeforeFirstOp, "operation");
      require(p.event >= 1 && p.event <= kEventMax, "event");
      if (problem_ == nullptr) { where_ = nullptr; }
    }
  }

  void strings() {
    if (problem_ != nullptr) { return; }
    require(strings_used_ == program_.strings.size(), "unused string");
    size_t total = 0;
    for (const std::string& text : program_.strings) {
      total += text.size();
      require(text.size() <= kStringBytesMax, "length of a string");
      require(text.find('\0') == std::string::npos, "NUL in a string");
      require(find_path(text) < 0, "a string that is in the pool");
      for (const std::string* other = program_.strings.data(); other != &text; other++) {
        require(*other != text, "equal strings");
      }
    }
    require(total <= kStringBytesTotalMax, "length of all strings");
  }

  const Program& program_;
  const char* problem_ = nullptr;
  const char* where_ = nullptr;
  size_t index_ = 0;
  const Op* op_ = nullptr;
  size_t op_index_ = 0;
  size_t strings_used_ = 0;
};

}  // namespace

std::string validate(const Program& program) { return Validator(program).run(); }

}  // namespace daxfuzz::prog
