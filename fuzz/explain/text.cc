// fuzz/explain/text.cc - diagrams for terminals and mails.
#include <algorithm>
#include <string>
#include <vector>

#include "fuzz/explain/explain.h"
#include "fuzz/markup/markup.h"

namespace daxfuzz::explain {
namespace {

constexpr size_t kTextIndent = 2;
constexpr size_t kGap = 3;     // " | "
constexpr size_t kLeast = 16;  // of a column that gives way

// The first line indented by `indent`, the others by `hang`, in narrow columns less.
std::vector<std::string> wrap(const std::string& text, size_t width, size_t indent, size_t hang) {
  const auto blanks = [&](size_t count) { return std::string(std::min(count, width / 2), ' '); };
  return markup::wrap(text, width, blanks(indent), blanks(hang));
}

std::string row_text(const Row& row) {
  std::string text = row.text;
  if (row.repeat > 1) { text += " x " + std::to_string(row.repeat); }
  return text;
}

class Text {
 public:
  Text(const Explanation& explanation, size_t width) : e_(explanation), width_(std::clamp<size_t>(width, 72, 200)) {}

  std::string render() {
    measure();
    out_ += e_.title + "\n";
    if (e_.finding) { out_ += "key " + e_.key + ", trace " + e_.trace + "\n"; }
    for (const std::string& fact : e_.facts) { append_wrapped(fact); }
    out_ += "\n";
    if (!e_.columns.empty()) { head(); }
    for (const Row& row : e_.rows) { append_row(row); }
    if (e_.rows_left_out != 0) { out_ += "(" + std::to_string(e_.rows_left_out) + " less important steps left out)\n"; }
    tail();
    return std::move(out_);
  }

 private:
  void measure() {
    columns_.assign(e_.columns.size(), 0);
    for (size_t i = 0; i < columns_.size(); ++i) { columns_[i] = e_.columns[i].name.size(); }
    for (const Row& row : e_.rows) {
      state_ = std::max(state_, row.state.size());
      if (row.column < 0 || row.kind == Row::Kind::kFinding) { continue; }
      size_t& column = columns_[static_cast<size_t>(row.column)];
      column = std::max(column, static_cast<size_t>(row.depth) * kTextIndent + row_text(row).size());
    }
    state_ = std::min(state_, size_t{24});
    if (!columns_.empty()) { narrow(width_ - (state_ == 0 ? 0 : state_ + kGap)); }
  }

  // Where the columns need more than `room`, each begins early enough that its own text fits: the ones to its left,
  // whose text may run over it, give way.
  void narrow(size_t room) {
    const std::vector<size_t> need = columns_;
    std::vector<size_t> start;
    for (size_t i = 0, at = 0; i < need.size(); at += need[i] + kGap, ++i) { start.push_back(at); }
    const size_t share = (room - std::min(room, (need.size() - 1) * kGap)) / need.size();
    const auto least = [&](size_t i) {
      return std::min(share, std::max(e_.columns[i].name.size(), std::min(need[i], kLeast)));
    };
    for (size_t i = need.size(); i-- > 1;) {
      const size_t latest = i + 1 < need.size() ? start[i + 1] - std::min(start[i + 1], least(i) + kGap) : room;
      start[i] = std::min({start[i], room - std::min(room, need[i]), latest});
    }
    for (size_t i = 1; i < need.size(); ++i) { start[i] = std::max(start[i], start[i - 1] + least(i - 1) + kGap); }
    for (size_t i = 0; i + 1 < need.size(); ++i) { columns_[i] = start[i + 1] - kGap - start[i]; }
    const size_t last = need.size() - 1;
    columns_[last] = std::max(std::min(need[last], room - std::min(room, start[last])), least(last));
  }

  size_t start_of(size_t column) const {
    size_t at = 0;
    for (size_t i = 0; i < column; ++i) { at += columns_[i] + kGap; }
    return at;
  }

  void finish(std::string line) {
    line.resize(std::max(line.find_last_not_of(' ') + 1, size_t{0}));
    out_ += line + "\n";
  }

  // A line with bars between the columns and `text` in column `column`. Only one column speaks on a line: a long text
  // goes on over the empty cells to its right.
  std::string line_with(size_t column, const std::string& text) const {
    std::string line;
    for (size_t i = 0; i < columns_.size(); ++i) {
      line.append(columns_[i], ' ');
      if (i + 1 < columns_.size() || state_ != 0) { line += " | "; }
    }
    if (column < columns_.size()) {
      const size_t begin = start_of(column);
      line.replace(begin, std::min(text.size(), line.size() - begin), text);
      // A bar that the text ends close to would look like part of it.
      const size_t end = begin + text.size();
      if (end < line.size() && end > begin + columns_[column] && line[end] == '|') { line[end] = ' '; }
    }
    return line;
  }
  size_t room_from(size_t column) const {
    return start_of(columns_.size()) - start_of(column) - (state_ != 0 ? kGap : 0);
  }

  void head() {
    std::string line;
    std::string rule;
    for (size_t i = 0; i < columns_.size(); ++i) {
      std::string cell = e_.columns[i].name;
      cell.resize(columns_[i], ' ');
      const bool bar = i + 1 < columns_.size() || state_ != 0;
      line += cell + (bar ? " | " : "");
      rule += std::string(columns_[i], '-') + (bar ? "-+-" : "");
    }
    if (state_ != 0) {
      line += "state";
      rule += std::string(state_, '-');
    }
    finish(line);
    finish(rule);
  }

  void append_row(const Row& row) {
    if (row.kind == Row::Kind::kSwitch) { return append_switch(row); }
    if (row.column < 0 || row.kind == Row::Kind::kFinding) { return append_finding(row); }
    const auto column = static_cast<size_t>(row.column);
    const size_t indent = static_cast<size_t>(row.depth) * kTextIndent;
    const auto lines = wrap(row_text(row), room_from(column), indent, indent + kTextIndent);
    std::vector<std::string> states = row.state.empty() ? std::vector<std::string>{} : wrap(row.state, state_, 0, 2);
    for (size_t i = 0; i < std::max(lines.size(), states.size()); ++i) {
      std::string line = line_with(column, i < lines.size() ? lines[i] : "");
      if (i < states.size()) { line += states[i]; }
      finish(line);
    }
  }

  void append_switch(const Row& row) {
    std::string line = line_with(columns_.size(), "");
    const auto from = static_cast<size_t>(row.column);
    const auto to = static_cast<size_t>(row.to);
    if (to > from) {
      const size_t begin = start_of(from);
      const size_t end = start_of(to) - 1;  // before the cell
      for (size_t i = begin; i < end; ++i) { line[i] = '-'; }
      line[end - 1] = '>';
    } else {
      const size_t begin = start_of(to) + columns_[to] + 1;
      const size_t end = start_of(from) + columns_[from];
      for (size_t i = begin; i < end; ++i) { line[i] = '-'; }
      line[begin] = '<';
    }
    finish(line);
  }

  // May use all the room to its right, and as many lines as it needs.
  void append_finding(const Row& row) {
    size_t begin =
        row.column < 0 ? 0 : start_of(static_cast<size_t>(row.column)) + static_cast<size_t>(row.depth) * kTextIndent;
    if (begin > width_ - std::min(width_, size_t{44})) { begin = width_ - 44; }
    for (const std::string& part : wrap("*** " + row.text, width_ - begin, 0, 4)) {
      std::string line = row.column < 0 ? "" : line_with(columns_.size(), "").substr(0, begin);
      line.resize(begin, ' ');
      finish(line + part);
    }
  }

  void append_wrapped(const std::string& text, size_t hang = 2) {
    for (const std::string& line : wrap(text, width_, 0, hang)) { out_ += line + "\n"; }
  }

  void tail() {
    if (!e_.finding) { return; }
    out_ += "\n";
    bool preempted = false;
    for (const Counterfactual& c : e_.counterfactuals) { preempted |= c.change.find("->") != std::string::npos; }
    if (!preempted && e_.columns.size() > 1) {
      append_wrapped("No preemption is needed: it happens when every task runs until it blocks.");
    }
    std::string idle;
    for (const Counterfactual& c : e_.counterfactuals) {
      if (c.same) {
        idle += (idle.empty() ? "" : ", ") + c.change;
        continue;
      }
      append_wrapped("without " + c.change + ": " + (c.passes ? "passes" : c.verdict));
    }
    if (!idle.empty()) { append_wrapped("fails all the same without any one of: " + idle); }
  }

  const Explanation& e_;
  size_t width_;
  std::vector<size_t> columns_;
  size_t state_ = 0;
  std::string out_;
};

}  // namespace

std::string to_text(const Explanation& explanation, size_t width) { return Text(explanation, width).render(); }

}  // namespace daxfuzz::explain
