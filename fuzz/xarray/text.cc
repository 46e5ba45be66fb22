// fuzz/xarray/text.cc - sequences of XArray operations as text.
#include <algorithm>
#include <charconv>
#include <iterator>

#include "fuzz/xarray/ops.h"

namespace daxfuzz::xarray {

namespace {

using daxfs::lib::XEntry;

constexpr std::string_view kHeader = "xarray fanout ";

// Which operands follow the verb: i index, o [order N], e entry, m mark, l last.
struct Verb {
  OpKind kind;
  std::string_view name;
  std::string_view operands;
};
constexpr Verb kVerbs[] = {
    {OpKind::kStore, "store", "ioe"},
    {OpKind::kErase, "erase", "io"},
    {OpKind::kLoad, "load", "io"},
    {OpKind::kGet, "get", "i"},
    {OpKind::kMark, "mark", "im"},
    {OpKind::kUnmark, "unmark", "im"},
    {OpKind::kUnmarkAll, "unmark_all", "i"},
    {OpKind::kSplit, "split", "ioe"},
    {OpKind::kConflict, "conflict", "io"},
    {OpKind::kFind, "find", "il"},
    {OpKind::kFindMarked, "find_marked", "ilm"},
    {OpKind::kWalk, "walk", "i"},
    {OpKind::kWalkMarked, "walk_marked", "im"},
    {OpKind::kWalkOn, "walk_on", ""},
};

// What a pointer entry points to: number k of a small pool, whose first is the entry of word 0 bits.
XEntry pointer_entry(uint64_t number) {
  // Decoded operations draw from the same pool, so that text -> operations is the identity.
  Op op = op_from_word(0, uint64_t{1} << 14 | number % 8 << 17);
  return op.entry;
}

std::string print_entry(XEntry entry) {
  if (entry.is_zero_entry()) { return "reserved"; }
  if (entry.is_value()) { return "value " + std::to_string(entry.value()); }
  return "pointer " + std::to_string((entry.raw() - pointer_entry(0).raw()) / 8);
}

class Words {
 public:
  explicit Words(std::string_view line) : rest_(line.substr(0, line.find('#'))) {}
  std::string_view next() {
    const std::string_view word = peek();
    if (!word.empty()) { rest_.remove_prefix(static_cast<size_t>(word.data() + word.size() - rest_.data())); }
    return word;
  }
  std::string_view peek() const {
    const size_t begin = rest_.find_first_not_of(" \t\r");
    if (begin == std::string_view::npos) { return {}; }
    const size_t end = rest_.find_first_of(" \t\r", begin);
    return rest_.substr(begin, end == std::string_view::npos ? end : end - begin);
  }
  bool number(uint64_t max, uint64_t* value) {
    const std::string_view word = next();
    const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), *value);
    return error == std::errc() && end == word.data() + word.size() && *value <= max;
  }

 private:
  std::string_view rest_;
};

std::string parse_entry(Words* words, XEntry* entry) {
  const std::string_view word = words->next();
  uint64_t number = 0;
  if (word == "reserved") {
    *entry = XEntry::zero_entry();
  } else if (word == "value" && words->number(~uint64_t{0} >> 1, &number)) {
    *entry = XEntry::from_value(number);
  } else if (word == "pointer" && words->number(7, &number)) {
    *entry = pointer_entry(number);
  } else {
    return "`value N` below 2^63, `pointer N` up to 7, or `reserved`";
  }
  return {};
}

// What was expected, or empty.
std::string parse_operand(char operand, Words* words, Op* op) {
  uint64_t number = 0;
  switch (operand) {
    case 'i': return words->number(~uint64_t{0}, &op->index) ? "" : "an index";
    case 'l': return words->number(~uint64_t{0}, &op->last) ? "" : "the last index";
    case 'm':
      if (!words->number(kMarkCount - 1, &number)) { return "a mark: 0, 1 or 2"; }
      op->mark = static_cast<uint8_t>(number);
      return {};
    case 'o':
      if (words->peek() != "order") { return {}; }
      words->next();
      if (!words->number(63, &number)) { return "an order up to 63"; }
      op->order = static_cast<uint8_t>(number);
      return {};
    default: return parse_entry(words, &op->entry);
  }
}

std::string parse_line(Words words, Op* op) {
  const std::string_view name = words.next();
  const auto* verb = std::find_if(std::begin(kVerbs), std::end(kVerbs), [&](const Verb& v) { return v.name == name; });
  if (verb == std::end(kVerbs)) { return "an operation (fuzz/xarray/ops.h lists them)"; }
  op->kind = verb->kind;
  for (const char operand : verb->operands) {
    if (std::string expected = parse_operand(operand, &words, op); !expected.empty()) { return expected; }
  }
  return words.peek().empty() ? "" : "the end of the line";
}

}  // namespace

std::string print_op(const Op& op) {
  const Verb& verb = kVerbs[static_cast<size_t>(op.kind)];
  std::string text(verb.name);
  for (const char operand : verb.operands) {
    switch (operand) {
      case 'i': text += " " + std::to_string(op.index); break;
      case 'l': text += " " + std::to_string(op.last); break;
      case 'm': text += " " + std::to_string(op.mark); break;
      case 'o':
        if (op.order != 0) { text += " order " + std::to_string(op.order); }
        break;
      default: text += " " + print_entry(op.entry);
    }
  }
  return text;
}

std::string print(const Sequence& sequence) {
  std::string text = std::string(kHeader) + std::to_string(sequence.fanout) + "\n";
  for (const Op& op : sequence.ops) { text += print_op(op) + "\n"; }
  return text;
}

bool is_text(std::span<const uint8_t> bytes) {
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  return text.starts_with(kHeader) || text.starts_with("#");
}

bool parse(std::string_view text, std::string_view file, Sequence* sequence, std::string* error) {
  *sequence = {};
  size_t number = 0;
  bool header = false;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    ++number;
    Words words(line);
    if (words.peek().empty()) { continue; }
    std::string expected;
    if (!header) {
      uint64_t fanout = 0;
      const bool right = words.next() == "xarray" && words.next() == "fanout" && words.number(64, &fanout);
      if (!right || (fanout != 4 && fanout != 64)) { expected = "`xarray fanout 64` or `xarray fanout 4`"; }
      sequence->fanout = static_cast<unsigned>(fanout);
      header = true;
    } else if (sequence->ops.size() == kOpsMax) {
      expected = "at most " + std::to_string(kOpsMax) + " operations";
    } else {
      sequence->ops.emplace_back();
      expected = parse_line(words, &sequence->ops.back());
    }
    if (!expected.empty()) {
      *error = std::string(file) + ":" + std::to_string(number) + ": expected " + expected;
      return false;
    }
  }
  if (!header) { *error = std::string(file) + ":1: expected `xarray fanout 64` or `xarray fanout 4`"; }
  return header;
}

}  // namespace daxfuzz::xarray
