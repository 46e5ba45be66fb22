// fuzz/prog/print.cc - program to its canonical text.
#include <string>

#include "fuzz/prog/binary_tags.h"
#include "fuzz/prog/numbers.h"
#include "fuzz/prog/text.h"

namespace daxfuzz::prog {
namespace {

void append_quoted_bytes(std::string& out, std::string_view text) {
  out.push_back('"');
  for (char c : text) {
    if (c == '"' || c == '\\') {
      out.push_back('\\');
      out.push_back(c);
    } else if (c >= 0x20 && c < 0x7f) {
      out.push_back(c);
    } else {
      const auto byte = static_cast<uint8_t>(c);
      out.append("\\x");
      out.push_back("0123456789abcdef"[byte >> 4]);
      out.push_back("0123456789abcdef"[byte & 15]);
    }
  }
  out.push_back('"');
}

// Long names are mostly one letter, long paths one short component: "n"*256, "d/"*2048.
void append_quoted(std::string& out, std::string_view text) {
  for (size_t unit = 1; unit <= 2 && text.size() >= 32; unit++) {
    if (text.size() % unit == 0 && text.substr(unit) == text.substr(0, text.size() - unit)) {
      append_quoted_bytes(out, text.substr(0, unit));
      out.push_back('*');
      return append_number(out, text.size() / unit);
    }
  }
  append_quoted_bytes(out, text);
}

void append_flags(std::string& out, const FlagTable& table, uint32_t value) {
  uint32_t rest = 0;
  const uint32_t rows = flag_rows(table, value, &rest);
  if (rows == 0 && rest == 0) {
    out.append(table.zero_name);
    return;
  }
  bool first = true;
  for (size_t row = 0; row < table.names.size(); row++) {
    if ((rows >> row & 1) == 0) { continue; }
    if (!first) { out.push_back('|'); }
    first = false;
    out.append(table.names[row].name);
  }
  if (rest != 0) {
    if (!first) { out.push_back('|'); }
    append_hex(out, rest, 1);
  }
}

void append_slot(std::string& out, char letter, uint8_t slot) {
  out.push_back(letter);
  append_number(out, slot);
}

void append_memory(std::string& out, OperandKind kind, const Memory& memory) {
  switch (memory.kind) {
    case MemoryKind::kNone: return;
    case MemoryKind::kBad: out.append("bad"); return;
    case MemoryKind::kMapping:
      append_slot(out, 'm', memory.slot);
      if (kind == OperandKind::kSplitAddr) {
        out.push_back(' ');
      } else if (memory.offset >= 0) {
        out.push_back('+');
      }
      return append_size(out, memory.offset);
    case MemoryKind::kAnonymous: break;
  }
  if (kind == OperandKind::kDest) {
    out.append("buf");
    if (memory.offset == 0) { return; }
    out.push_back('+');
    return append_number(out, static_cast<uint64_t>(memory.offset));
  }
  if (memory.pattern == Pattern::kSequence) { out.append("seq:"); }
  append_hex(out, memory.fill, 2);
  if (memory.offset != 0) {
    out.push_back('@');
    append_number(out, static_cast<uint64_t>(memory.offset));
  }
}

void append_mode(std::string& out, uint16_t mode) {
  out.push_back('0');
  for (int shift = mode > 0777 ? 9 : 6; shift >= 0; shift -= 3) {
    out.push_back(static_cast<char>('0' + (mode >> shift & 7)));
  }
}

void append_operand(std::string& out, const Program& program, const Op& op, OperandKind kind) {
  switch (kind) {
    case OperandKind::kFd:
      out.push_back(' ');
      if (op.fd == kBadFd) {
        out.append("bad");
      } else {
        append_slot(out, 'f', op.fd);
      }
      return;
    case OperandKind::kPath: out.push_back(' '); return append_quoted(out, program.path_text(op.path));
    case OperandKind::kPath2: out.push_back(' '); return append_quoted(out, program.path_text(op.path2));
    case OperandKind::kFileMode:
    case OperandKind::kDirMode:
      if (op.mode == binary::default_mode(kind)) { return; }
      out.push_back(' ');
      return append_mode(out, op.mode);
    case OperandKind::kOffset: out.push_back(' '); return append_size(out, op.offset);
    case OperandKind::kLength: out.push_back(' '); return append_size(out, op.length);
    case OperandKind::kLength2: out.push_back(' '); return append_size(out, op.length2);
    case OperandKind::kAddr:
    case OperandKind::kSplitAddr: out.push_back(' '); return append_memory(out, kind, op.addr);
    case OperandKind::kAt:
      if (op.at.kind == MemoryKind::kNone) { return; }
      out.append(" at ");
      return append_memory(out, kind, op.at);
    case OperandKind::kDest:
    case OperandKind::kSource:
    case OperandKind::kFill: out.push_back(' '); return append_memory(out, kind, op.buffer);
    case OperandKind::kFallocMode:
    case OperandKind::kRenameFlags:
      if (op.flags == 0) { return; }
      break;
    default: break;
  }
  out.push_back(' ');
  append_flags(out, *flag_table(kind), kind == OperandKind::kProt ? op.prot : op.flags);
}

void append_op(std::string& out, const Program& program, const Op& op) {
  const OpInfo& info = op.info();
  if (op.result != kNoSlot) {
    append_slot(out, info.result == ResultKind::kFd ? 'f' : 'm', op.result);
    out.append(" = ");
  }
  out.append(info.name);
  for (OperandKind kind : info.operands()) { append_operand(out, program, op, kind); }
}

void append_task_id(std::string& out, TaskId id) {
  if (is_system_task(id)) { return append_slot(out, 'S', id - kSystemTask0); }
  if (id == kRootTask) {
    out.append("root");
    return;
  }
  append_slot(out, 'T', id);
}

void append_list(std::string& out, const Program& program, const std::vector<Op>& ops) {
  for (const Op& op : ops) {
    out.append("  ");
    append_op(out, program, op);
    out.push_back('\n');
  }
}

}  // namespace

std::string print(const Program& program) {
  std::string out(kTextMagic);
  out.push_back(' ');
  append_number(out, kFormatVersion);
  out.append("\nimage ").append(program.image);
  out.append("\nmount ").append(program.mount.empty() ? "defaults" : program.mount);
  out.push_back('\n');
  for (size_t i = 0; i < program.processes.size(); i++) {
    out.append("process P");
    append_number(out, i);
    out.push_back('\n');
  }
  for (size_t i = 0; i < program.processes.size(); i++) {
    if (program.processes[i].init.empty()) { continue; }
    out.append("init in P");
    append_number(out, i);
    out.push_back('\n');
    append_list(out, program, program.processes[i].init);
  }
  for (size_t i = 0; i < program.tasks.size(); i++) {
    out.append("task T");
    append_number(out, i);
    out.append(" in P");
    append_number(out, program.tasks[i].process);
    out.push_back('\n');
    append_list(out, program, program.tasks[i].ops);
  }
  if (!program.schedule.empty()) { out.append("schedule\n"); }
  for (const Preemption& preemption : program.schedule) {
    out.append("  ").append(print_preemption(preemption)).push_back('\n');
  }
  return out;
}

std::string print_op(const Program& program, const Op& op) {
  std::string out;
  append_op(out, program, op);
  return out;
}

std::string print_preemption(const Preemption& preemption) {
  std::string out;
  append_task_id(out, preemption.task);
  out.append(" op ");
  append_number(out, preemption.op == kBeforeFirstOp ? 0 : preemption.op + 1u);
  out.append(" event ");
  append_number(out, preemption.event);
  out.append(" -> ");
  append_task_id(out, preemption.next);
  return out;
}

std::string print_task_id(TaskId id) {
  std::string out;
  append_task_id(out, id);
  return out;
}

}  // namespace daxfuzz::prog
