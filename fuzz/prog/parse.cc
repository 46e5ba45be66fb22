// fuzz/prog/parse.cc - text to program, with errors that say what was expected where.
#include <algorithm>
#include <string>

#include "fuzz/prog/binary_tags.h"
#include "fuzz/prog/edit.h"
#include "fuzz/prog/lexer.h"
#include "fuzz/prog/names.h"
#include "fuzz/prog/numbers.h"
#include "fuzz/prog/text.h"
#include "fuzz/prog/variables.h"

namespace daxfuzz::prog {
namespace {

bool is_identifier(std::string_view text) {
  if (text.empty() || text.size() > 32 || (text[0] >= '0' && text[0] <= '9')) { return false; }
  for (char c : text) {
    const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
    if (!letter && !(c >= '0' && c <= '9')) { return false; }
  }
  return text != "buf" && text != "bad" && text != "at" && text != "seq";
}

// "T3" with letter 'T' gives 3; -1 for anything else and for numbers of `count` and above.
int indexed_name(std::string_view text, char letter, size_t count) {
  if (text.size() < 2 || text.size() > 3 || text[0] != letter || (text[1] == '0' && text.size() > 2)) { return -1; }
  size_t index = 0;
  for (char c : text.substr(1)) {
    if (c < '0' || c > '9') { return -1; }
    index = index * 10 + static_cast<size_t>(c - '0');
  }
  return index < count ? static_cast<int>(index) : -1;
}

class Parser {
 public:
  Parser(std::string_view text, std::string_view name, Program* program, std::string* error)
      : lexer_(text), name_(name), program_(*program), error_(*error) {}

  bool run() {
    program_ = Program();
    if (!header()) { return false; }
    while (lexer_.next_line()) {
      at_ = 0;
      if (!line()) { return false; }
    }
    line_ = lexer_.line() + 1;
    if (program_.processes.empty()) { program_.processes.resize(1); }
    if (program_.tasks.empty()) { return fail_at(line_, 1, "expected a `task` section before the end"); }
    if (!assign_slots()) { return false; }
    canonicalise_strings(program_);
    return true;
  }

 private:
  enum class Section : uint8_t { kHeader, kList, kSchedule };

  // --- errors ---

  bool fail_at(uint32_t line, uint32_t column, std::string_view message) {
    error_.assign(name_);
    error_.push_back(':');
    append_number(error_, line);
    error_.push_back(':');
    append_number(error_, column);
    error_.append(": ").append(message);
    return false;
  }

  // Complains about the word that is next, or about the end of the line.
  bool expected(std::string_view what) {
    std::string message = "expected ";
    message.append(what);
    if (at_ >= lexer_.size()) {
      message.append(", got the end of the line");
      return fail_at(lexer_.line(), lexer_.end_column(), message);
    }
    message.append(", got ");
    append_excerpt(message, word());
    return fail_at(lexer_.line(), column(), message);
  }

  static void append_excerpt(std::string& out, std::string_view text) {
    const bool cut = text.size() > 40;
    out.push_back('"');
    for (char c : text.substr(0, 40)) { out.push_back(c >= 0x20 && c < 0x7f && c != '"' ? c : '?'); }
    out.append(cut ? "...\"" : "\"");
  }

  // --- words ---

  bool more() const { return at_ < lexer_.size(); }
  size_t words_left() const { return lexer_.size() - at_; }
  std::string_view word() const { return more() ? lexer_.word(at_).text : std::string_view(); }
  uint32_t column() const { return lexer_.word(at_).column; }
  bool at_word(std::string_view text) const { return more() && word() == text; }

  bool end_of_line() {
    if (lexer_.overflow()) { return fail_at(lexer_.line(), lexer_.end_column(), "expected the end of the line"); }
    return more() ? expected("the end of the line") : true;
  }

  // --- lines ---

  bool header() {
    if (!lexer_.next_line() || lexer_.line() != 1 || !at_word("daxfuzz") || lexer_.size() < 2 ||
        lexer_.word(1).text != "program") {
      return fail_at(1, 1, "expected `daxfuzz program 1`");
    }
    at_ = 2;
    int64_t version = 0;
    if (!more() || !parse_size(word(), &version) || version < 1) { return expected("the format version, 1"); }
    if (version > kFormatVersion) {
      return fail_at(1, column(), "expected format version 1; this program was written by a newer daxfuzz");
    }
    at_++;
    return end_of_line();
  }

  bool line() {
    const std::string_view first = word();
    if (!lexer_.indented()) {
      at_++;
      if (first == "image") { return image(); }
      if (first == "mount") { return mount(); }
      if (first == "process") { return process(); }
      if (first == "init") { return init(); }
      if (first == "task") { return task(); }
      if (first == "schedule") {
        section_ = Section::kSchedule;
        return end_of_line();
      }
      at_--;
    }
    switch (section_) {
      case Section::kList: return operation();
      case Section::kSchedule: return preemption();
      case Section::kHeader: break;
    }
    return expected("`image`, `mount`, `process`, `init`, `task` or `schedule`");
  }

  bool image() {
    if (!valid_image_name(word())) { return expected("an image name of up to 32 of a-z 0-9 _ . -"); }
    program_.image = word();
    at_++;
    return end_of_line();
  }

  bool mount() {
    if (at_word("defaults")) {
      program_.mount.clear();
    } else if (!more() || !valid_mount_options(word())) {
      return expected("mount options (dax=always,ro) or `defaults`");
    } else {
      program_.mount = word();
    }
    at_++;
    return end_of_line();
  }

  bool process() {
    if (program_.processes.size() >= kProcessesMax) { return expected("at most 4 processes"); }
    const int index = indexed_name(word(), 'P', kProcessesMax);
    if (index < 0 || static_cast<size_t>(index) != program_.processes.size()) {
      std::string what = "P";
      append_number(what, program_.processes.size());
      return expected(what.append(", as processes are numbered in order"));
    }
    program_.processes.emplace_back();
    at_++;
    return end_of_line();
  }

  // [in P<k>]; process 0 need not be declared.
  bool in_process(uint8_t* process) {
    if (program_.processes.empty()) { program_.processes.resize(1); }
    *process = 0;
    if (!more()) { return true; }
    if (!at_word("in")) { return expected("`in PROCESS`"); }
    at_++;
    const int index = indexed_name(word(), 'P', program_.processes.size());
    if (index < 0) { return expected("a process declared above (P0)"); }
    *process = static_cast<uint8_t>(index);
    at_++;
    return true;
  }

  bool init() {
    section_ = Section::kList;
    list_is_init_ = true;
    return in_process(&list_) && end_of_line();
  }

  bool task() {
    if (program_.tasks.size() >= kTasksMax) { return expected("at most 8 tasks"); }
    const int index = indexed_name(word(), 'T', kTasksMax);
    if (index < 0 || static_cast<size_t>(index) != program_.tasks.size()) {
      std::string what = "T";
      append_number(what, program_.tasks.size());
      return expected(what.append(", as tasks are numbered in order"));
    }
    at_++;
    section_ = Section::kList;
    list_is_init_ = false;
    list_ = static_cast<uint8_t>(index);
    Task task;
    if (!in_process(&task.process) || !end_of_line()) { return false; }
    program_.tasks.push_back(task);
    return true;
  }

  // --- schedule ---

  bool task_id(TaskId* id) {
    int index = at_word("root") ? int{kRootTask} : indexed_name(word(), 'T', kTasksMax);
    if (index < 0) {
      index = indexed_name(word(), 'S', kSystemTasksMax);
      if (index < 0) { return expected("a task (T0..T7), a system task (S0..S63) or root"); }
      index += kSystemTask0;
    }
    *id = static_cast<TaskId>(index);
    at_++;
    return true;
  }

  bool keyword(std::string_view text) {
    if (!at_word(text)) {
      std::string what = "`";
      return expected(what.append(text).append("`"));
    }
    at_++;
    return true;
  }

  bool count(int64_t min, int64_t max, std::string_view what, int64_t* value) {
    if (!more() || !parse_size(word(), value) || *value < min || *value > max) { return expected(what); }
    at_++;
    return true;
  }

  bool preemption() {
    Preemption p;
    int64_t op = 0;
    int64_t event = 0;
    if (program_.schedule.size() >= kPreemptionsMax) { return expected("at most 256 preemptions"); }
    if (!task_id(&p.task) || !keyword("op") ||
        !count(0, kAnchorOpMax + 1, "an operation number (1, 2...; 0 before the first)", &op) || !keyword("event") ||
        !count(1, kEventMax, "an event number from 1", &event) || !keyword("->") || !task_id(&p.next)) {
      return false;
    }
    p.op = op == 0 ? kBeforeFirstOp : static_cast<uint16_t>(op - 1);
    p.event = static_cast<uint32_t>(event);
    program_.schedule.push_back(p);
    return end_of_line();
  }

  // --- operations ---

  std::vector<Op>& list() { return list_is_init_ ? program_.processes[list_].init : program_.tasks[list_].ops; }

  bool operation() {
    Op op;
    std::string_view result;
    size_t result_at = 0;
    if (lexer_.size() >= 2 && lexer_.word(1).text == "=") {
      if (!is_identifier(word())) { return expected("a variable name before `=`"); }
      result = word();
      result_at = at_;
      at_ += 2;
    }
    const OpInfo* info = more() ? find_op(word()) : nullptr;
    if (info == nullptr) { return expected("an operation (open, pread, mmap, store...)"); }
    if (list_is_init_ ? program_.init_op_count() >= kInitOpsMax : program_.op_count() >= kOpsMax) {
      return expected(list_is_init_ ? "at most 16 set-up operations" : "at most 64 operations");
    }
    if (!result.empty() && info->result == ResultKind::kNone) {
      at_ = result_at;
      return expected("an operation without result variable (only open, dup, mmap and mremap have one)");
    }
    op.code = info->code;
    at_++;
    for (OperandKind kind : info->operands()) {
      if (!operand(kind, op)) { return false; }
    }
    if (!end_of_line()) { return false; }
    if (!result.empty()) {
      at_ = result_at;
      Variables& variables = info->result == ResultKind::kFd ? fds_ : mappings_;
      if (!variable(variables, result, &op.result)) { return false; }
      variables.mark_assigned(op.result);
    }
    list().push_back(op);
    return true;
  }

  // Until the end of the text a slot member holds the number of a variable.
  bool variable(Variables& variables, std::string_view name, uint8_t* number) {
    *number = variables.find_or_add(name, lexer_.line(), column());
    if (*number == Variables::kFull) {
      return expected(&variables == &fds_ ? "at most 8 descriptor variables" : "at most 8 mapping variables");
    }
    return true;
  }

  bool operand(OperandKind kind, Op& op) {
    switch (kind) {
      case OperandKind::kFd: return fd(&op.fd);
      case OperandKind::kPath: return path(&op.path);
      case OperandKind::kPath2: return path(&op.path2);
      case OperandKind::kFileMode:
      case OperandKind::kDirMode: return mode(kind, &op.mode);
      case OperandKind::kOffset: return size("an offset (0, 4096, 8K, 2M-1, -1)", &op.offset);
      case OperandKind::kLength:
      case OperandKind::kLength2:
        return size("a size (0, 4096, 8K, 2M)", kind == OperandKind::kLength ? &op.length : &op.length2);
      case OperandKind::kAddr: return address("an address (m+0, m+4K, bad)", true, &op.addr);
      case OperandKind::kSplitAddr: return split_address(&op.addr);
      case OperandKind::kAt:
        if (!at_word("at")) { return true; }
        at_++;
        return address("an address (m+0, m+4K, bad)", true, &op.at);
      case OperandKind::kDest: return destination(&op.buffer);
      case OperandKind::kSource:
      case OperandKind::kFill: return source(kind, &op.buffer);
      case OperandKind::kFallocMode: {
        const bool named = more() && !(word()[0] >= '0' && word()[0] <= '9') && word()[0] != '-' && word()[0] != '+';
        return named || words_left() > 2 ? flags(*flag_table(kind), &op.flags) : true;
      }
      case OperandKind::kRenameFlags: return more() ? flags(*flag_table(kind), &op.flags) : true;
      case OperandKind::kProt: {
        uint32_t prot = 0;
        if (!flags(*flag_table(kind), &prot)) { return false; }
        if (prot > 0xff) {
          at_--;
          return expected("a protection below 0x100");
        }
        op.prot = static_cast<uint8_t>(prot);
        return true;
      }
      default: return flags(*flag_table(kind), &op.flags);
    }
  }

  bool fd(uint8_t* fd) {
    if (at_word("bad")) {
      *fd = kBadFd;
    } else {
      if (!is_identifier(word())) { return expected("a descriptor (f, f0, bad)"); }
      if (!variable(fds_, word(), fd)) { return false; }
    }
    at_++;
    return true;
  }

  bool path(uint8_t* path) {
    if (!more()) { return expected("a path in quotes (\"f0\")"); }
    std::string text;
    if (const char* problem = unquote(word(), kStringBytesMax, &text); problem != nullptr) {
      if (word().front() != '"') { return expected("a path in quotes (\"f0\")"); }
      return fail_at(lexer_.line(), column(), problem);
    }
    *path = intern_path(program_, text);
    if (program_.path_text(*path) != text) { return expected("at most 16 unusual paths of 9000 bytes together"); }
    at_++;
    return true;
  }

  bool mode(OperandKind kind, uint16_t* mode) {
    *mode = binary::default_mode(kind);
    if (!more()) { return true; }
    unsigned value = 0;
    for (char c : word()) {
      if (c < '0' || c > '7' || value > 07777) { return expected("a permission mode (0644)"); }
      value = value * 8 + static_cast<unsigned>(c - '0');
    }
    if (value > 07777 || word().front() != '0') { return expected("a permission mode (0644)"); }
    *mode = static_cast<uint16_t>(value);
    at_++;
    return true;
  }

  bool size(std::string_view what, int64_t* value) {
    if (!more() || !parse_size(word(), value)) { return expected(what); }
    at_++;
    return true;
  }

  // NAME, NAME+SIZE or NAME-SIZE. `bad` only where allowed.
  bool address(std::string_view what, bool bad_allowed, Memory* memory) {
    if (bad_allowed && at_word("bad")) {
      memory->kind = MemoryKind::kBad;
      at_++;
      return true;
    }
    const std::string_view text = word();
    const size_t sign = std::min(text.find_first_of("+-"), text.size());
    const std::string_view name = text.substr(0, sign);
    if (!is_identifier(name)) { return expected(what); }
    if (sign < text.size() && !parse_size(text.substr(sign), &memory->offset)) { return expected(what); }
    memory->kind = MemoryKind::kMapping;
    if (!variable(mappings_, name, &memory->slot)) { return false; }
    at_++;
    return true;
  }

  bool split_address(Memory* memory) {
    const bool joined = word().find_first_of("+-") != std::string_view::npos;
    if (!address("a mapping (m)", false, memory)) { return false; }
    return joined ? true : size("an offset in the mapping (0, 4K)", &memory->offset);
  }

  bool destination(Memory* memory) {
    constexpr std::string_view kWhat = "a buffer (buf, buf+1, m+4K, bad)";
    if (word() != "buf" && !word().starts_with("buf+")) { return address(kWhat, true, memory); }
    memory->kind = MemoryKind::kAnonymous;
    if (word().size() > 3 && (!parse_size(word().substr(3), &memory->offset) || !offset_in_page(*memory))) {
      return expected("a buffer offset below 4096 (buf+1)");
    }
    at_++;
    return true;
  }

  static bool offset_in_page(const Memory& memory) { return memory.offset >= 0 && memory.offset < 4096; }

  bool source(OperandKind kind, Memory* memory) {
    const bool only_fill = kind == OperandKind::kFill;
    const std::string_view what =
        only_fill ? "a fill byte (0x41, seq:0x41)" : "a source (0x41, seq:0x41, 0x41@1, m+4K, bad)";
    std::string_view text = word();
    const bool sequence = text.starts_with("seq:");
    const bool digit = !text.empty() && text[0] >= '0' && text[0] <= '9';
    if (!sequence && !digit) { return only_fill ? expected(what) : address(what, true, memory); }
    if (sequence) { text.remove_prefix(4); }
    memory->kind = MemoryKind::kAnonymous;
    memory->pattern = sequence ? Pattern::kSequence : Pattern::kFill;
    const size_t at_sign = std::min(text.find('@'), text.size());
    if (!parse_byte(text.substr(0, at_sign), &memory->fill)) { return expected(what); }
    if (at_sign < text.size()) {
      if (only_fill || !parse_size(text.substr(at_sign + 1), &memory->offset) || !offset_in_page(*memory)) {
        return expected(what);
      }
    }
    at_++;
    return true;
  }

  bool flags(const FlagTable& table, uint32_t* value) {
    if (!more()) { return expected_flags(table); }
    std::string_view text = word();
    *value = 0;
    while (true) {
      const size_t bar = std::min(text.find('|'), text.size());
      uint32_t part = 0;
      if (!flag(table, text.substr(0, bar), &part)) { return expected_flags(table); }
      *value |= part;
      if (bar == text.size()) { break; }
      if (table.is_enum) { return expected_flags(table); }
      text.remove_prefix(bar + 1);
    }
    at_++;
    return true;
  }

  static bool flag(const FlagTable& table, std::string_view text, uint32_t* value) {
    for (const FlagName& name : table.names) {
      if (name.name == text) {
        *value = name.value;
        return true;
      }
    }
    if (text == table.zero_name) { return true; }
    int64_t number = 0;
    if (text.empty() || text[0] < '0' || text[0] > '9' || !parse_size(text, &number) || number < 0 ||
        number > UINT32_MAX) {
      return false;
    }
    *value = static_cast<uint32_t>(number);
    return true;
  }

  bool expected_flags(const FlagTable& table) {
    std::string what(table.what);
    what.append(" (");
    for (const FlagName& name : table.names) {
      if (&name != table.names.data()) { what.append(table.is_enum ? ", " : "|"); }
      what.append(name.name);
    }
    return expected(what.append(")"));
  }

  // --- variables to slots ---

  bool assign_slots() {
    for (const Variables* variables : {&fds_, &mappings_}) {
      const Variable* variable = variables->unassigned();
      if (variable == nullptr) { continue; }
      std::string message = variables == &fds_ ? "expected a descriptor assigned somewhere (f = open ...), got "
                                               : "expected a mapping assigned somewhere (m = mmap ...), got ";
      append_excerpt(message, variable->name);
      return fail_at(variable->line, variable->column, message);
    }
    const auto fd_slots = fds_.slots();
    const auto mapping_slots = mappings_.slots();
    auto rename = [&](std::vector<Op>& ops) {
      for (Op& op : ops) {
        const OpInfo& info = op.info();
        if (op.result != kNoSlot) {
          op.result = (info.result == ResultKind::kFd ? fd_slots : mapping_slots)[op.result];
        }
        if (info.has(OperandKind::kFd) && op.fd != kBadFd) { op.fd = fd_slots[op.fd]; }
        for (Memory* memory : {&op.addr, &op.buffer, &op.at}) {
          if (memory->kind == MemoryKind::kMapping) { memory->slot = mapping_slots[memory->slot]; }
        }
      }
    };
    for (Process& process : program_.processes) { rename(process.init); }
    for (Task& task : program_.tasks) { rename(task.ops); }
    return true;
  }

  Lexer lexer_;
  std::string_view name_;
  Program& program_;
  std::string& error_;
  uint32_t line_ = 1;
  size_t at_ = 0;  // next word of the line
  Section section_ = Section::kHeader;
  bool list_is_init_ = false;
  uint8_t list_ = 0;
  Variables fds_{'f'};
  Variables mappings_{'m'};
};

}  // namespace

bool is_text(std::span<const uint8_t> bytes) {
  return bytes.size() >= kTextMagic.size() && std::equal(kTextMagic.begin(), kTextMagic.end(), bytes.begin());
}

bool parse(std::string_view text, std::string_view name, Program* program, std::string* error) {
  return Parser(text, name, program, error).run();
}

}  // namespace daxfuzz::prog
