// fuzz/report/prose.cc - what a report says in words.
#include "fuzz/report/prose.h"

#include <algorithm>

#include "fuzz/explain/explain.h"
#include "fuzz/markup/markup.h"
#include "fuzz/prog/text.h"

namespace daxfuzz::report {
namespace {

std::string join(const std::vector<std::string>& words) {
  std::string text;
  for (size_t i = 0; i < words.size(); ++i) {
    text += (i == 0 ? "" : i + 1 == words.size() ? " and " : ", ") + words[i];
  }
  return text;
}

std::string count(size_t n, const std::string& one) {
  static constexpr const char* kWords[] = {"no", "one", "two", "three", "four", "five", "six"};
  return (n < std::size(kWords) ? kWords[n] : std::to_string(n)) + (" " + one) + (n == 1 ? "" : "s");
}

std::string named(const BugNote& bug) {
  return bug.id + " (" + bug.catalogue + ", Linux " + bug.source + ": " + bug.title + ")";
}

bool is_preemption(const explain::Counterfactual& c) { return c.change.find(" -> ") != std::string::npos; }

std::string capital(std::string text) {
  if (!text.empty() && text[0] >= 'a' && text[0] <= 'z') { text[0] = static_cast<char>(text[0] - 'a' + 'A'); }
  return text;
}

// "fallocate() in T1", "the interrupt S1"
std::string actor(const Report& report, size_t column) {
  const explain::Explanation& e = report.explanation;
  const int task = e.columns[column].task;
  const std::string id = prog::print_task_id(static_cast<prog::TaskId>(task));
  if (task < 0 || !prog::is_program_task(static_cast<prog::TaskId>(task))) {
    const std::string& name = e.columns[column].name;
    return name.ends_with(" irq") ? "the interrupt " + id : "the system task " + id;
  }
  std::vector<std::string> calls;
  const auto& ops = report.program.tasks[static_cast<size_t>(task)].ops;
  for (const explain::Row& row : e.rows) {
    if (row.column != static_cast<int>(column) || row.kind != explain::Row::Kind::kOp || row.op >= ops.size()) {
      continue;
    }
    const std::string call = std::string(ops[row.op].info().name) + "()";
    if (calls.empty() || calls.back() != call) { calls.push_back(call); }
  }
  return calls.empty() ? id : join(calls) + " in " + id;
}

}  // namespace

std::string what_it_takes(const Report& report) {
  std::vector<std::string> actors;
  for (size_t i = 0; i < report.explanation.columns.size(); ++i) { actors.push_back(actor(report, i)); }
  std::string text = actors.empty() ? "" : "It takes " + join(actors) + ".";
  const size_t preemptions = report.program.schedule.size();
  if (preemptions == 0 && actors.size() > 1) {
    return text + " No preemption is needed: it happens when every task runs until it blocks.";
  }
  if (preemptions == 0) { return text; }
  const auto& all = report.explanation.counterfactuals;
  const auto needed = static_cast<size_t>(
      std::count_if(all.begin(), all.end(), [](const auto& c) { return is_preemption(c) && !c.same; }));
  text += " " + capital(count(preemptions, "preemption"));
  if (needed == preemptions) { return text + (needed == 1 ? ", and it is needed." : ", and each of them is needed."); }
  return text + ", " + count(needed, "of them") + " needed.";
}

std::string noticed(const Report& report) {
  if (report.site.starts_with("fs/")) { return report.verdict + " in " + report.function + "(), " + report.site; }
  return report.verdict + ", noticed by daxfuzz's own judge (" + report.invariant.tag + ", " + report.site + ")";
}

std::string about_bugs(const Report& report) {
  std::vector<std::string> on;
  std::vector<std::string> same;
  for (const BugNote& bug : report.bugs) { on.push_back(named(bug)); }
  for (const BugNote& bug : report.same_key) { same.push_back(bug.id + " (" + bug.catalogue + ")"); }
  std::string text;
  if (!on.empty()) {
    text = "The historical bug" + std::string(on.size() > 1 ? "s " : " ") + join(on) +
           (on.size() > 1 ? " were" : " was") + " switched on; this is no defect of today's code.";
    if (!same.empty()) { text += " The programs of " + join(same) + " show the same key."; }
  } else if (!same.empty()) {
    text = "No historical bug was switched on. The programs of the known bugs " + join(same) +
           " show the same key: look there first.";
  }
  return text;
}

std::string about_model(const Report&) {
  return "Found by daxfuzz in daxfs, a user-space model of ext4 with DAX as of Linux 6.1, under a "
         "scheduler that owns "
         "every interleaving. It has not been run on a kernel.";
}

std::vector<Without> withouts(const Report& report) {
  std::vector<Without> all;
  for (const explain::Counterfactual& c : report.explanation.counterfactuals) {
    Without without;
    without.change = c.change;
    without.passes = c.passes;
    without.outcome = c.passes ? "passes" : c.same ? "fails all the same" : "fails otherwise: " + c.verdict;
    for (const ListingLine& line : report.listing) {
      if (line.kind == ListingLine::Kind::kPreemption && line.text == "  " + c.change) { without.moment = line.note; }
    }
    all.push_back(std::move(without));
  }
  return all;
}

std::string diagram(const Report& report, size_t width) {
  explain::Explanation alone = report.explanation;
  alone.title.clear();
  alone.finding = false;  // nothing but rows
  alone.facts.clear();
  for (size_t i = 0; i < alone.columns.size(); ++i) {
    alone.columns[i].name = "CPU " + std::to_string(i) + " (" + alone.columns[i].name + ")";
  }
  std::string text = explain::to_text(alone, width);
  text.erase(0, text.find_first_not_of('\n'));
  return text;
}

std::vector<Command> commands(const Report& report, const std::string& file) {
  const std::string rest = file + bug_options(report);
  return {{"daxfuzz run " + rest, "replay it: same verdict, same trace hash, every time"},
          {"daxfuzz explain " + rest, "draw it"},
          {"daxfuzz run " + rest + " --trace trace.txt", "every scheduling point as a line"}};
}

std::vector<std::pair<std::string, std::string>> environment_lines(const Report& report) {
  const Environment& e = report.environment;
  std::string bugs = "none switched on";
  if (!report.bugs.empty()) {
    bugs.clear();
    for (const BugNote& bug : report.bugs) { bugs += (bugs.empty() ? "" : ", ") + bug.id; }
  }
  return {{"daxfuzz", e.version + (e.revision.empty() ? "" : ", commit " + e.revision)},
          {"flavour", e.flavour},
          {"compiler", e.compiler},
          {"program format", "version " + std::to_string(e.format)},
          {"image, mount",
           report.program.image + ", " + (report.program.mount.empty() ? "defaults" : report.program.mount)},
          {"historical bugs", bugs + " (" + std::to_string(e.bugs_compiled_in) + " compiled in)"}};
}

std::string wrap(std::string_view text, size_t width, std::string_view first, std::string_view hang) {
  std::string out;
  for (const std::string& line : markup::wrap(text, width, first, hang)) { out += line + "\n"; }
  return out;
}

}  // namespace daxfuzz::report
