// fuzz/explain/svg.cc - diagrams for the HTML report: lanes, indented calls, arrows where a task was preempted.
//
// Self-contained: colours and fonts are inline, no script. Sizes follow the text's length in a monospaced font. A page
// around it may give other colours (for a dark background) to its classes: each kind of row has one, beside ground,
// turn, band, lane, arrow, tip and name.
#include <algorithm>
#include <cstdio>
#include <string>
#include <vector>

#include "fuzz/explain/explain.h"
#include "fuzz/markup/markup.h"

namespace daxfuzz::explain {
namespace {

using markup::escape;

constexpr double kLine = 18;   // pixels from row to row
constexpr double kChar = 7.3;  // width of one at 12 px
constexpr double kIndent = 14;
constexpr double kPad = 10;
constexpr double kHead = 30;
constexpr size_t kTextMax = 160;  // of the finding's line

std::string number(double value) {
  char text[32];
  std::snprintf(text, sizeof(text), "%.0f", value);
  return text;
}

std::string label(const Row& row) {
  std::string text = row.text;
  if (row.repeat > 1) { text += " x " + std::to_string(row.repeat); }
  if (text.size() > kTextMax) { text = text.substr(0, kTextMax - 3) + "..."; }
  return text;
}

const char* color(Row::Kind kind) {
  switch (kind) {
    case Row::Kind::kOp: return "#0b3d91";
    case Row::Kind::kCall: return "#222222";
    case Row::Kind::kAccess: return "#5c4400";
    case Row::Kind::kLock:
    case Row::Kind::kBlocks: return "#6a1b9a";
    case Row::Kind::kSwitch:
    case Row::Kind::kFinding: return "#b00020";
  }
  return "#222222";
}

const char* class_of(Row::Kind kind) {
  switch (kind) {
    case Row::Kind::kOp: return "op";
    case Row::Kind::kCall: return "call";
    case Row::Kind::kAccess: return "access";
    case Row::Kind::kLock:
    case Row::Kind::kBlocks: return "lock";
    case Row::Kind::kSwitch:
    case Row::Kind::kFinding: return "finding";
  }
  return "call";
}

class Svg {
 public:
  explicit Svg(const Explanation& explanation) : e_(explanation) {}

  std::string render() {
    measure();
    const double height = kHead + kLine * (static_cast<double>(e_.rows.size()) + 1);
    out_ = "<svg xmlns=\"http://www.w3.org/2000/svg\" role=\"img\" aria-label=\"" + escape(e_.title) +
           "\" viewBox=\"0 0 " + number(width_) + " " + number(height) + "\" width=\"" + number(width_) +
           "\" height=\"" + number(height) + "\" font-family=\"monospace\" font-size=\"12\">\n<title>" +
           escape(e_.title) + "</title>\n" +
           "<defs><marker id=\"tip\" viewBox=\"0 0 8 8\" refX=\"8\" refY=\"4\" markerWidth=\"8\" "
           "markerHeight=\"8\" "
           "orient=\"auto\"><path class=\"tip\" d=\"M0,0 L8,4 L0,8 z\" fill=\"#b00020\"/></marker></defs>\n"
           "<rect class=\"ground\" width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n";
    turns();
    for (size_t i = 0; i < e_.columns.size(); ++i) { lane(i, height); }
    if (state_ > 0) { words(state_at_, kHead - 12, "state", "name", "#666666", true); }
    for (size_t i = 0; i < e_.rows.size(); ++i) { row(e_.rows[i], kHead + kLine * (static_cast<double>(i) + 1)); }
    return out_ + "</svg>\n";
  }

 private:
  void measure() {
    std::vector<double> widths;
    for (const Column& column : e_.columns) { widths.push_back(width_of(column.name)); }
    double finding = 0;
    for (const Row& row : e_.rows) {
      state_ = std::max(state_, row.state.empty() ? 0 : width_of(row.state));
      if (row.kind == Row::Kind::kFinding || row.column < 0) {
        finding = std::max(finding, width_of(label(row)) + kIndent * row.depth);
        continue;
      }
      double& width = widths[static_cast<size_t>(row.column)];
      width = std::max(width, width_of(label(row)) + kIndent * row.depth);
    }
    double at = kPad;
    for (const double width : widths) {
      starts_.push_back(at);
      at += width + 2 * kPad;
    }
    state_at_ = at + kPad;
    width_ = std::max(state_at_ + state_ + kPad, finding + 2 * kPad);
  }

  static double width_of(const std::string& text) { return static_cast<double>(text.size()) * kChar; }

  void words(double x, double y, const std::string& text, const char* kind, const char* fill, bool bold = false) {
    out_ += "<text class=\"" + std::string(kind) + "\" x=\"" + number(x) + "\" y=\"" + number(y) + "\" fill=\"" + fill +
            "\"" + (bold ? " font-weight=\"bold\"" : "") + ">" + escape(text) + "</text>\n";
  }

  void box(const char* kind, const char* fill, double x, double y, double width, double height) {
    out_ += "<rect class=\"" + std::string(kind) + "\" x=\"" + number(x) + "\" y=\"" + number(y) + "\" width=\"" +
            number(width) + "\" height=\"" + number(height) + "\" rx=\"3\" fill=\"" + fill + "\"/>\n";
  }

  // Behind the rows in which a task acts, one after the other.
  void turns() {
    for (size_t i = 0; i < e_.rows.size();) {
      const int column = e_.rows[i].column;
      size_t end = i + 1;
      while (end < e_.rows.size() && e_.rows[end].column == column && e_.rows[end].kind != Row::Kind::kSwitch) {
        ++end;
      }
      if (column >= 0 && e_.rows[i].kind != Row::Kind::kFinding && e_.rows[i].kind != Row::Kind::kSwitch) {
        const auto lane = static_cast<size_t>(column);
        const double next = lane + 1 < starts_.size() ? starts_[lane + 1] : state_at_;
        box("turn", "#f2f5fa", starts_[lane] - 3, kHead + kLine * (static_cast<double>(i) + 1) - 13,
            next - starts_[lane] - kPad / 2, kLine * static_cast<double>(end - i));
      }
      i = end;
    }
  }

  void lane(size_t column, double height) {
    words(starts_[column], kHead - 12, e_.columns[column].name, "op", "#0b3d91", true);
    const double x = starts_[column] - kPad / 2;
    out_ += "<line class=\"lane\" x1=\"" + number(x) + "\" y1=\"4\" x2=\"" + number(x) + "\" y2=\"" +
            number(height - 4) + "\" stroke=\"#d0d0d0\"/>\n";
  }

  void row(const Row& row, double y) {
    if (row.kind == Row::Kind::kSwitch) { return arrow(row, y); }
    const bool wide = row.column < 0;
    double x = wide ? kPad : starts_[static_cast<size_t>(row.column)] + kIndent * row.depth;
    if (row.kind == Row::Kind::kFinding) { x = std::max(kPad, std::min(x, width_ - kPad - width_of(label(row)))); }
    if (row.kind == Row::Kind::kFinding) { box("band", "#fdeaea", 0, y - 13, width_, kLine); }
    words(x, y, label(row), class_of(row.kind), color(row.kind),
          row.kind == Row::Kind::kFinding || row.kind == Row::Kind::kOp);
    if (!row.state.empty()) { words(state_at_, y, row.state, "access", "#5c4400"); }
  }

  void arrow(const Row& row, double y) {
    const double from = starts_[static_cast<size_t>(row.column)] + kIndent * row.depth;
    const double to = starts_[static_cast<size_t>(row.to)] + (row.to < row.column ? 4 * kIndent : -2);
    out_ += "<line class=\"arrow\" x1=\"" + number(from) + "\" y1=\"" + number(y - 4) + "\" x2=\"" + number(to) +
            "\" y2=\"" + number(y - 4) + "\" stroke=\"#b00020\" stroke-dasharray=\"5 3\" marker-end=\"url(#tip)\"/>\n";
  }

  const Explanation& e_;
  std::vector<double> starts_;
  double state_ = 0;
  double state_at_ = 0;
  double width_ = 0;
  std::string out_;
};

}  // namespace

std::string to_svg(const Explanation& explanation) { return Svg(explanation).render(); }

}  // namespace daxfuzz::explain
