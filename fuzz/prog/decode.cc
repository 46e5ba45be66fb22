// fuzz/prog/decode.cc - bytes to program, total: every byte string is a valid program.
#include <algorithm>

#include "fuzz/prog/binary.h"
#include "fuzz/prog/binary_tags.h"
#include "fuzz/prog/edit.h"
#include "fuzz/prog/names.h"

namespace daxfuzz::prog {
namespace {

using namespace binary;

// Bytes behind the end read as zero.
class Reader {
 public:
  explicit Reader(std::span<const uint8_t> bytes) : at_(bytes.data()), end_(bytes.data() + bytes.size()) {}

  bool at_end() const { return at_ == end_; }
  uint8_t byte() { return at_ < end_ ? *at_++ : 0; }

  uint64_t little(unsigned bytes) {
    uint64_t value = 0;
    for (unsigned i = 0; i < bytes; i++) { value |= uint64_t{byte()} << (8 * i); }
    return value;
  }

  uint32_t varint() {
    uint32_t value = 0;
    for (unsigned shift = 0; shift < 28; shift += 7) {
      const uint8_t b = byte();
      value |= uint32_t{b & 0x7fu} << shift;
      if ((b & 0x80) == 0) { break; }
    }
    return value;
  }

  std::string_view bytes(size_t count) {
    count = std::min(count, static_cast<size_t>(end_ - at_));
    const std::string_view text(reinterpret_cast<const char*>(at_), count);
    at_ += count;
    return text;
  }

  int64_t number() {
    const uint8_t b = byte();
    const unsigned low = b & 63;
    switch (static_cast<SizeForm>(b >> 6)) {
      case SizeForm::kPages: return int64_t{low} << 12;
      case SizeForm::kNamed: return kSizes[low % std::size(kSizes)];
      case SizeForm::kPagesDelta: return (int64_t{low} << 12) + static_cast<int8_t>(byte());
      case SizeForm::kRaw: break;
    }
    const unsigned count = (low & 7) + 1;
    const unsigned unused = 64 - 8 * count;
    return static_cast<int64_t>(little(count) << unused) >> unused;
  }

  uint8_t slot(uint8_t none) {
    const uint8_t b = byte() & 0x0f;
    return b == kNoSlotByte ? none : b & 7;
  }

  uint32_t flags(const FlagTable& table) {
    const uint8_t first = byte();
    if (table.is_enum) {
      if (first == kEscape) { return static_cast<uint32_t>(little(4)); }
      return table.names[first % table.names.size()].value;
    }
    uint32_t rows = first;
    uint8_t last = first;
    if (wide_flags(table)) {
      last = byte();
      rows |= uint32_t{last} << 8;
    }
    if (last == kEscape) { return static_cast<uint32_t>(little(4)); }
    rows &= (uint32_t{1} << table.names.size()) - 1;
    uint32_t value = 0;
    for (; rows != 0; rows &= rows - 1) { value |= table.names[static_cast<size_t>(__builtin_ctz(rows))].value; }
    return value;
  }

  uint16_t mode(OperandKind kind) {
    const uint8_t b = byte();
    if (b == kEscape) { return static_cast<uint16_t>(little(2) & 07777); }
    const size_t row = b % std::size(kModes);
    return row == 0 ? default_mode(kind) : kModes[row];
  }

  Memory memory(OperandKind kind) {
    const uint8_t b = byte();
    const bool has_fill = kind == OperandKind::kSource || kind == OperandKind::kFill;
    Memory memory;
    bool at_offset = false;
    switch (static_cast<MemoryForm>(b >> 3 & 7)) {
      case MemoryForm::kMappingOffset: at_offset = true; [[fallthrough]];
      case MemoryForm::kMapping:
        memory.kind = MemoryKind::kMapping;
        memory.slot = b & 7;
        break;
      case MemoryForm::kSequenceOffset: at_offset = true; [[fallthrough]];
      case MemoryForm::kSequence:
        memory.kind = MemoryKind::kAnonymous;
        memory.pattern = Pattern::kSequence;
        break;
      case MemoryForm::kAnonymousOffset: at_offset = true; [[fallthrough]];
      case MemoryForm::kAnonymous: memory.kind = MemoryKind::kAnonymous; break;
      case MemoryForm::kBad: memory.kind = MemoryKind::kBad; break;
      case MemoryForm::kNone: break;
    }
    if (memory.kind == MemoryKind::kAnonymous && has_fill) { memory.fill = byte(); }
    if (at_offset) { memory.offset = number(); }
    return memory;
  }

 private:
  const uint8_t* at_;
  const uint8_t* end_;
};

class Decoder {
 public:
  Decoder(std::span<const uint8_t> bytes, Program* program) : reader_(bytes), program_(*program) {}

  void run() {
    for (Process& process : program_.processes) { process.init.clear(); }
    for (Task& task : program_.tasks) { task.ops.clear(); }
    program_.processes.resize(1);
    program_.schedule.clear();
    program_.strings.clear();
    reader_.byte();  // the version: there is only one so far
    read_name(image_names(), valid_image_name, &program_.image);
    read_name(mount_options(), valid_mount_options, &program_.mount);
    while (!reader_.at_end()) { record(); }
    program_.tasks.resize(std::max<size_t>(tasks_, 1));
    if (tasks_ == 0) { program_.tasks[0].process = 0; }
    canonicalise_strings(program_);
  }

 private:
  void read_name(std::span<const std::string_view> table, bool (*valid)(std::string_view), std::string* out) {
    const uint8_t row = reader_.byte();
    if (row != kEscape) {
      *out = table[row % table.size()];
      return;
    }
    const std::string_view text = reader_.bytes(reader_.byte());
    *out = valid(text) ? text : table[0];
  }

  void record() {
    const uint8_t tag = reader_.byte();
    if (tag < kTagTask) { return read_op(static_cast<OpCode>(tag % kOpCount)); }
    if (tag < kTagInit) { return start_task(tag - kTagTask); }
    if (tag < kTagPreempt) {
      need_process(tag - kTagInit);
      init_ = true;
      list_ = tag - kTagInit;
      in_list_ = true;
      return;
    }
    if (tag == kTagPreempt) { return read_preemption(); }
    if (tag < kTagReserved) { need_process(tag - kTagProcess); }
  }

  void need_process(size_t index) {
    if (program_.processes.size() <= index) { program_.processes.resize(index + 1); }
  }

  void start_task(int process) {
    if (tasks_ >= kTasksMax) { return; }
    need_process(static_cast<size_t>(process));
    if (program_.tasks.size() <= tasks_) { program_.tasks.emplace_back(); }
    program_.tasks[tasks_].process = static_cast<uint8_t>(process);
    init_ = false;
    list_ = static_cast<int>(tasks_++);
    in_list_ = true;
  }

  void read_op(OpCode code) {
    Op op;
    op.code = code;
    const OpInfo& info = op.info();
    if (info.result != ResultKind::kNone) { op.result = reader_.slot(kNoSlot); }
    for (OperandKind kind : info.operands()) { operand(kind, op); }
    if (!in_list_) { start_task(0); }
    if (init_) {
      if (init_ops_ >= kInitOpsMax) { return; }
      init_ops_++;
      program_.processes[static_cast<size_t>(list_)].init.push_back(op);
    } else {
      if (ops_ >= kOpsMax) { return; }
      ops_++;
      program_.tasks[static_cast<size_t>(list_)].ops.push_back(op);
    }
  }

  void operand(OperandKind kind, Op& op) {
    switch (kind) {
      case OperandKind::kFd: op.fd = reader_.slot(kBadFd); return;
      case OperandKind::kPath: op.path = read_path(); return;
      case OperandKind::kPath2: op.path2 = read_path(); return;
      case OperandKind::kFileMode:
      case OperandKind::kDirMode: op.mode = reader_.mode(kind); return;
      case OperandKind::kOffset: op.offset = reader_.number(); return;
      case OperandKind::kLength: op.length = reader_.number(); return;
      case OperandKind::kLength2: op.length2 = reader_.number(); return;
      case OperandKind::kAddr:
      case OperandKind::kSplitAddr: op.addr = normal_memory(kind, reader_.memory(kind)); return;
      case OperandKind::kAt: op.at = normal_memory(kind, reader_.memory(kind)); return;
      case OperandKind::kDest:
      case OperandKind::kSource:
      case OperandKind::kFill: op.buffer = normal_memory(kind, reader_.memory(kind)); return;
      case OperandKind::kProt: op.prot = static_cast<uint8_t>(reader_.flags(*flag_table(kind))); return;
      default: op.flags = reader_.flags(*flag_table(kind)); return;
    }
  }

  uint8_t read_path() {
    const uint8_t row = reader_.byte();
    if (row != kEscape) { return static_cast<uint8_t>(row % path_pool().size()); }
    const uint32_t length = reader_.varint();
    return intern_path(program_, reader_.bytes(length));
  }

  static TaskId task_id(uint8_t b) {
    if ((b & kSystemTask0) != 0) { return static_cast<TaskId>(kSystemTask0 | (b & (kSystemTasksMax - 1))); }
    return b == kRootTask ? b : static_cast<TaskId>(b % kTasksMax);
  }

  void read_preemption() {
    Preemption p;
    p.task = task_id(reader_.byte());
    const uint32_t op = reader_.varint();
    p.op = op == 0 ? kBeforeFirstOp : static_cast<uint16_t>((op - 1) % (kAnchorOpMax + 1u));
    p.event = std::clamp<uint32_t>(reader_.varint(), 1, kEventMax);
    p.next = task_id(reader_.byte());
    if (program_.schedule.size() < kPreemptionsMax) { program_.schedule.push_back(p); }
  }

  Reader reader_;
  Program& program_;
  bool in_list_ = false;  // false until the first list starts: operations then go to a task of process 0
  bool init_ = false;
  int list_ = 0;
  size_t tasks_ = 0;
  size_t ops_ = 0;
  size_t init_ops_ = 0;
};

}  // namespace

void decode(std::span<const uint8_t> bytes, Program* program) { Decoder(bytes, program).run(); }

Program decode(std::span<const uint8_t> bytes) {
  Program program;
  decode(bytes, &program);
  return program;
}

unsigned binary_version(std::span<const uint8_t> bytes) {
  if (bytes.empty() || (bytes[0] & 0xf0) != kVersionMark) { return 0; }
  return bytes[0] & 0x0f;
}

}  // namespace daxfuzz::prog
