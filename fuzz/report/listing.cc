// fuzz/report/listing.cc - follows the printed text section by section: operations and preemptions
// come in the program's own order.
#include "fuzz/report/listing.h"

#include <algorithm>
#include <sstream>

#include "fuzz/prog/text.h"

namespace daxfuzz::report {
namespace {

std::string mark(size_t preemption) { return "(" + std::to_string(preemption + 1) + ")"; }

// "after page 0 is busy (refs 2)": the last thing that the task did in the diagram before it was
// preempted.
std::string moment(const explain::Explanation& e, const prog::Preemption& p) {
  for (size_t i = 0; i < e.rows.size(); ++i) {
    const explain::Row& arrow = e.rows[i];
    if (arrow.kind != explain::Row::Kind::kSwitch || arrow.op != p.op || arrow.event != p.event ||
        e.columns[static_cast<size_t>(arrow.column)].task != p.task) {
      continue;
    }
    for (size_t before = i; before-- > 0;) {
      const explain::Row& row = e.rows[before];
      if (row.column != arrow.column || row.kind == explain::Row::Kind::kSwitch) { continue; }
      return " after: " + row.text + (row.state.empty() ? "" : " (" + row.state + ")");
    }
  }
  return "";
}

}  // namespace

std::vector<ListingLine> make_listing(const prog::Program& program, const explain::Explanation& explanation) {
  std::vector<ListingLine> lines;
  std::istringstream text(prog::print(program));
  constexpr size_t kNoTask = ~size_t{0};
  size_t task = kNoTask;  // whose operations come; before the first and in init none
  size_t tasks = 0;
  size_t op = 0;
  size_t preemption = 0;
  bool schedule = false;
  for (std::string line; std::getline(text, line);) {
    ListingLine out;
    out.text = line;
    out.number = lines.size() + 1;
    const bool indented = line.starts_with("  ");
    if (!indented) {
      const bool begins_task = line.starts_with("task ");
      schedule = line == "schedule";
      out.kind =
          schedule || begins_task || line.starts_with("init ") ? ListingLine::Kind::kSection : ListingLine::Kind::kHead;
      task = begins_task ? tasks++ : kNoTask;
      op = 0;
    } else if (schedule) {
      out.kind = ListingLine::Kind::kPreemption;
      out.note = mark(preemption) + moment(explanation, program.schedule[preemption]);
      ++preemption;
    } else {
      out.kind = ListingLine::Kind::kOp;
      out.task = task == kNoTask ? -1 : static_cast<int>(task);
      out.op = static_cast<uint32_t>(op);
      for (size_t i = 0; task != kNoTask && i < program.schedule.size(); ++i) {
        const prog::Preemption& p = program.schedule[i];
        if (p.task != task || p.op != op) { continue; }
        out.note += (out.note.empty() ? "preempted " : " ") + mark(i);
      }
      ++op;
    }
    lines.push_back(std::move(out));
  }
  return lines;
}

std::string listing_text(const Report& report, size_t width) {
  constexpr size_t kGap = 3;
  size_t column = 0;
  for (const ListingLine& line : report.listing) {
    if (!line.note.empty()) { column = std::max(column, line.text.size()); }
  }
  column = std::min(column, width / 2);
  std::string out;
  for (const ListingLine& line : report.listing) {
    if (line.note.empty()) {
      out += line.text + "\n";
      continue;
    }
    const size_t at = std::max(column, line.text.size()) + kGap;
    if (at + 2 + line.note.size() <= width) {
      out += line.text + std::string(at - line.text.size(), ' ') + "# " + line.note + "\n";
    } else {
      out += "  # " + line.note.substr(0, width - 4) + "\n" + line.text + "\n";
    }
  }
  return out;
}

}  // namespace daxfuzz::report
