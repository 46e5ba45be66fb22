// fuzz/prog/encode.cc - program to bytes.
#include <algorithm>
#include <cstring>

#include "fuzz/prog/binary.h"
#include "fuzz/prog/binary_tags.h"
#include "fuzz/prog/names.h"

namespace daxfuzz::prog {
namespace {

using namespace binary;

class Writer {
 public:
  explicit Writer(std::span<uint8_t> out) : out_(out) {}

  size_t size() const { return size_; }

  void byte(size_t value) {
    if (size_ < out_.size()) { out_[size_] = static_cast<uint8_t>(value); }
    size_++;
  }

  void little(uint64_t value, unsigned bytes) {
    for (unsigned i = 0; i < bytes; i++) { byte((value >> (8 * i)) & 0xff); }
  }

  void varint(uint32_t value) {
    while (value >= 0x80) {
      byte((value & 0x7f) | 0x80);
      value >>= 7;
    }
    byte(value);
  }

  void bytes(std::string_view text) {
    if (size_ + text.size() <= out_.size()) { std::memcpy(out_.data() + size_, text.data(), text.size()); }
    size_ += text.size();
  }

  void name(std::span<const std::string_view> table, std::string_view text) {
    for (size_t row = 0; row < table.size(); row++) {
      if (table[row] == text) { return byte(row); }
    }
    byte(kEscape);
    byte(text.size());
    bytes(text);
  }

  void number(int64_t value) {
    const int64_t pages = value >> 12;
    const int64_t delta = value & 4095;
    if (delta == 0 && pages >= 0 && pages < 64) { return form(SizeForm::kPages, pages); }
    for (size_t row = 0; row < std::size(kSizes); row++) {
      if (kSizes[row] == value) { return form(SizeForm::kNamed, row); }
    }
    if (delta < 128 && pages >= 0 && pages < 64) {
      form(SizeForm::kPagesDelta, pages);
      return byte(delta);
    }
    if (delta >= 4096 - 128 && pages >= -1 && pages < 63) {
      form(SizeForm::kPagesDelta, pages + 1);
      return byte(delta & 0xff);
    }
    unsigned count = 1;
    while (count < 8 && (value >> (8 * count - 1)) != 0 && (value >> (8 * count - 1)) != -1) { count++; }
    form(SizeForm::kRaw, count - 1);
    little(static_cast<uint64_t>(value), count);
  }

  void memory(OperandKind kind, const Memory& memory) {
    const bool has_fill = kind == OperandKind::kSource || kind == OperandKind::kFill;
    const bool at_offset = memory.offset != 0;
    MemoryForm form = MemoryForm::kNone;
    switch (memory.kind) {
      case MemoryKind::kMapping: form = at_offset ? MemoryForm::kMappingOffset : MemoryForm::kMapping; break;
      case MemoryKind::kAnonymous:
        form = memory.pattern == Pattern::kSequence
                   ? (at_offset ? MemoryForm::kSequenceOffset : MemoryForm::kSequence)
                   : (at_offset ? MemoryForm::kAnonymousOffset : MemoryForm::kAnonymous);
        break;
      case MemoryKind::kBad: form = MemoryForm::kBad; break;
      case MemoryKind::kNone: form = MemoryForm::kNone; break;
    }
    byte(static_cast<unsigned>(form) << 3 | memory.slot);
    if (memory.kind == MemoryKind::kAnonymous && has_fill) { byte(memory.fill); }
    if (at_offset) { number(memory.offset); }
  }

  void flags(const FlagTable& table, uint32_t value) {
    uint32_t rest = 0;
    const uint32_t rows = flag_rows(table, value, &rest);
    if (table.is_enum) {
      if (rows != 0) { return byte(static_cast<size_t>(__builtin_ctz(rows))); }
      byte(kEscape);
      return little(value, 4);
    }
    if (rest != 0) {
      if (wide_flags(table)) { byte(0); }
      byte(kEscape);
      return little(value, 4);
    }
    little(rows, wide_flags(table) ? 2 : 1);
  }

  void mode(OperandKind kind, uint16_t mode) {
    if (mode == default_mode(kind)) { return byte(0); }
    for (size_t row = 1; row < std::size(kModes); row++) {
      if (kModes[row] == mode) { return byte(row); }
    }
    byte(kEscape);
    little(mode, 2);
  }

  void path(const Program& program, uint8_t path) {
    if (path < kPathString) { return byte(path); }
    const std::string& text = program.strings[path - kPathString];
    byte(kEscape);
    varint(static_cast<uint32_t>(text.size()));
    bytes(text);
  }

  void op(const Program& program, const Op& op) {
    const OpInfo& info = op.info();
    byte(static_cast<size_t>(op.code));
    if (info.result != ResultKind::kNone) { byte(op.result == kNoSlot ? kNoSlotByte : op.result); }
    for (OperandKind kind : info.operands()) { operand(program, op, kind); }
  }

 private:
  template <typename T>
  void form(SizeForm form, T low) {
    byte(static_cast<unsigned>(form) << 6 | static_cast<unsigned>(low));
  }

  void operand(const Program& program, const Op& op, OperandKind kind) {
    switch (kind) {
      case OperandKind::kFd: return byte(op.fd == kBadFd ? kNoSlotByte : op.fd);
      case OperandKind::kPath: return path(program, op.path);
      case OperandKind::kPath2: return path(program, op.path2);
      case OperandKind::kFileMode:
      case OperandKind::kDirMode: return mode(kind, op.mode);
      case OperandKind::kOffset: return number(op.offset);
      case OperandKind::kLength: return number(op.length);
      case OperandKind::kLength2: return number(op.length2);
      case OperandKind::kAddr:
      case OperandKind::kSplitAddr: return memory(kind, op.addr);
      case OperandKind::kAt: return memory(kind, op.at);
      case OperandKind::kDest:
      case OperandKind::kSource:
      case OperandKind::kFill: return memory(kind, op.buffer);
      case OperandKind::kProt: return flags(*flag_table(kind), op.prot);
      default: return flags(*flag_table(kind), op.flags);
    }
  }

  std::span<uint8_t> out_;
  size_t size_ = 0;
};

}  // namespace

size_t encode(const Program& program, std::span<uint8_t> out) {
  Writer writer(out);
  writer.byte(kVersionMark | kFormatVersion);
  writer.name(image_names(), program.image);
  writer.name(mount_options(), program.mount);
  // Processes exist by being named; the last one must be declared if nothing else names it.
  size_t named = 1;
  for (const Task& task : program.tasks) { named = std::max<size_t>(named, task.process + size_t{1}); }
  for (size_t i = 0; i < program.processes.size(); i++) {
    if (!program.processes[i].init.empty()) { named = std::max(named, i + 1); }
  }
  if (named < program.processes.size()) { writer.byte(kTagProcess + program.processes.size() - 1); }
  for (size_t i = 0; i < program.processes.size(); i++) {
    if (program.processes[i].init.empty()) { continue; }
    writer.byte(kTagInit + i);
    for (const Op& op : program.processes[i].init) { writer.op(program, op); }
  }
  for (const Task& task : program.tasks) {
    writer.byte(size_t{kTagTask} + task.process);
    for (const Op& op : task.ops) { writer.op(program, op); }
  }
  for (const Preemption& p : program.schedule) {
    writer.byte(kTagPreempt);
    writer.byte(p.task);
    writer.varint(p.op == kBeforeFirstOp ? 0 : p.op + 1u);
    writer.varint(p.event);
    writer.byte(p.next);
  }
  return writer.size();
}

std::vector<uint8_t> encode(const Program& program) {
  std::vector<uint8_t> bytes(512);
  const size_t size = encode(program, bytes);
  const bool complete = size <= bytes.size();
  bytes.resize(size);
  if (!complete) { encode(program, bytes); }
  return bytes;
}

size_t encoded_size(const Program& program) { return encode(program, std::span<uint8_t>()); }

}  // namespace daxfuzz::prog
