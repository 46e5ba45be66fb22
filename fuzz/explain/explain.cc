// fuzz/explain/explain.cc - record, slice, draw; then leave one thing out at a time.
#include "fuzz/explain/explain.h"

#include <algorithm>
#include <cinttypes>
#include <cstdio>
#include <map>
#include <set>

#include "fs/base/historical.h"
#include "fuzz/explain/recorder.h"
#include "fuzz/explain/rows.h"
#include "fuzz/explain/slice.h"
#include "fuzz/explain/timeline.h"
#include "fuzz/explain/words.h"
#include "fuzz/prog/text.h"

namespace daxfuzz::explain {

using daxfs::Noun;
using daxfs::ObjectRef;

namespace {

std::string hex(uint64_t value) {
  char digits[17];
  std::snprintf(digits, sizeof(digits), "%016" PRIx64, value);
  return digits;
}

// How the pages were before the tasks touched them: the first value that a kept step found.
class FirstValues {
 public:
  FirstValues(const Timeline& timeline, const Slice& slice, const Words& words) {
    for (size_t i = 0; i < timeline.steps().size(); ++i) {
      const Step& step = timeline.steps()[i];
      if (!slice.keep[i] || !step.is_access() || step.page.noun != Noun::kEntry || step.page.count != 1) { continue; }
      if (step.before == daxfs::kUnknownValue) { continue; }
      Step first = step;
      first.kind = Step::Kind::kRead;
      first.now = first.before;
      pages_[{step.page.a, step.page.b}].try_emplace({order(step.object.noun), step.object.a}, words.state(first));
    }
  }

  std::vector<std::string> lines(const Words& words) const {
    std::vector<std::string> lines;
    for (auto at = pages_.begin(); at != pages_.end();) {
      const std::string state = text(at->second);
      ObjectRef pages{Noun::kEntry, at->first.first, at->first.second, 1};
      for (++at;
           at != pages_.end() && at->first == std::pair(pages.a, pages.b + pages.count) && text(at->second) == state;
           ++at) {
        ++pages.count;
      }
      lines.push_back("before: " + words.page(pages) + ": " + state);
    }
    return lines;
  }

 private:
  using Values = std::map<std::pair<int, uint64_t>, std::string>;
  static int order(Noun noun) {
    switch (noun) {
      case Noun::kExtent: return 0;
      case Noun::kEntry: return 1;
      case Noun::kPte: return 2;
      case Noun::kFrame: return 3;
      default: return 4;
    }
  }
  static std::string text(const Values& values) {
    std::string text;
    std::string last;
    for (const auto& [key, value] : values) {
      if (value != last) { text += (text.empty() ? "" : ", ") + value; }
      last = value;
    }
    return text;
  }
  std::map<std::pair<uint64_t, uint64_t>, Values> pages_;
};

bool several_files(const Timeline& timeline, const Slice& slice) {
  std::set<uint64_t> inodes;
  for (size_t i = 0; i < timeline.steps().size(); ++i) {
    const Step& step = timeline.steps()[i];
    if (slice.keep[i] && step.page.noun == Noun::kEntry) { inodes.insert(step.page.a); }
  }
  return inodes.size() > 1;
}

constexpr uint64_t kLivelockEvents = 3000;

class Explainer {
 public:
  Explainer(exec::Executor& executor, const prog::Program& program, const Options& options, Explanation* out)
      : executor_(executor), program_(program), options_(options), out_(*out) {}

  bool run(std::string* error) {
    out_ = {};
    if (!fix_schedule(error)) { return false; }
    if (!record(error)) { return false; }
    draw();
    if (options_.counterfactuals && outcome_.finding) { leave_out(); }
    return true;
  }

 private:
  // A policy's choices become the program's own schedule, so that single ones can be left out.
  bool fix_schedule(std::string* error) {
    config_ = options_.run;
    config_.observer = nullptr;
    if (config_.policy == nullptr) { return true; }
    executor_.run(program_, config_, &outcome_);
    if (!ran(error)) { return false; }
    if (!exec::adopt_schedule(outcome_.taken, &program_)) {
      *error = "the run has more than " + std::to_string(prog::kPreemptionsMax) +
               " preemptions: minimize the finding first (daxfuzz minimize)";
      return false;
    }
    config_.policy = nullptr;
    return true;
  }

  bool ran(std::string* error) const {
    if (outcome_.mount_error.empty() && outcome_.mount_errc == daxfs::Errc::kOk) { return true; }
    *error = std::string("mount: ") + daxfs::errc_name(outcome_.mount_errc) + ": " + outcome_.mount_error;
    return false;
  }

  bool record(std::string* error) {
    executor_.run(program_, config_, &outcome_);
    if (!ran(error)) { return false; }
    describe_run();
    record_run(executor_, program_, config_, &outcome_, &recorder_);
    return ran(error);
  }

  void describe_run() {
    out_.trace = hex(outcome_.trace_hash);
    out_.finding = outcome_.finding.has_value();
    if (outcome_.finding) {
      out_.title = exec::finding_title(*outcome_.finding);
      out_.key = exec::finding_key(*outcome_.finding);
      out_.tag = outcome_.finding->tag;
    } else {
      out_.title = "no finding";
    }
    for (const auto& info : daxfs::historical_bugs()) {
      if (daxfs::get_historical()[static_cast<size_t>(info.bug)]) { out_.bugs.emplace_back(info.id); }
    }
  }

  // With everything that matters, or, if that is too long, with what is nearer to the finding.
  void draw() {
    unsigned rounds = ~0U;
    size_t rows = 0;
    for (;;) {
      const unsigned needed = draw_within(rounds);
      if (rounds == ~0U) { rows = out_.rows.size(); }
      if (out_.rows.size() <= options_.rows_max || rounds == 0 || needed == 0) { break; }
      rounds = std::min(rounds, needed) - 1;
    }
    out_.rows_left_out = rows - std::min(rows, out_.rows.size());
    if (outcome_.finding) { draw_finding(); }
  }

  // RETURNS: after how many rounds nothing new came in.
  unsigned draw_within(unsigned rounds) {
    out_.rows.clear();
    out_.columns.clear();
    out_.facts.clear();
    Timeline timeline(recorder_);
    const daxfs::Finding none;
    const Slice chosen = slice(&timeline, outcome_.finding ? *outcome_.finding : none, outcome_.taken, rounds);
    const Words words(recorder_, file_names(program_, outcome_), several_files(timeline, chosen));
    name_files(timeline, chosen, words);
    for (std::string& line : FirstValues(timeline, chosen, words).lines(words)) {
      out_.facts.push_back(std::move(line));
    }
    draw_rows(timeline, chosen, outcome_.taken, program_, words, &out_);
    return chosen.rounds;
  }

  // Titles speak of inodes, programs of files.
  void name_files(const Timeline& timeline, const Slice& chosen, const Words& words) {
    std::set<uint64_t> inodes;
    for (size_t i = 0; i < timeline.steps().size(); ++i) {
      const Step& step = timeline.steps()[i];
      if (!chosen.keep[i]) { continue; }
      if (step.page.noun == Noun::kEntry) { inodes.insert(step.page.a); }
      if (step.object.noun == Noun::kSize) { inodes.insert(step.object.a); }
    }
    for (const uint64_t ino : inodes) { out_.facts.push_back(words.file(ino) + " is inode " + std::to_string(ino)); }
  }

  void draw_finding() {
    const daxfs::Finding& finding = *outcome_.finding;
    Row row;
    row.kind = Row::Kind::kFinding;
    row.column = -1;
    for (size_t i = 0; i < out_.columns.size(); ++i) {
      if (out_.columns[i].task == finding.task && finding.verdict != daxfs::Verdict::kDeadlock) {
        row.column = static_cast<int>(i);
      }
    }
    row.text = std::string(daxfs::verdict_name(finding.verdict)) + " " + finding.tag + ": " + finding.title;
    if (row.column == -1 && finding.verdict != daxfs::Verdict::kDeadlock) { row.text = "at rest: " + row.text; }
    for (const Row& last : out_.rows) {
      const bool opens = last.kind == Row::Kind::kCall || last.kind == Row::Kind::kOp;
      if (last.column == row.column && last.kind != Row::Kind::kSwitch) { row.depth = last.depth + (opens ? 1 : 0); }
    }
    out_.rows.push_back(std::move(row));
  }

  void try_without(std::string change, const prog::Program& program) {
    exec::Outcome outcome;
    executor_.run(program, config_, &outcome);
    Counterfactual result;
    result.change = std::move(change);
    result.passes = !outcome.finding;
    if (outcome.finding) {
      result.verdict = exec::finding_title(*outcome.finding);
      result.same = exec::finding_key(*outcome.finding) == out_.key;
    }
    out_.counterfactuals.push_back(std::move(result));
  }

  void leave_out() {
    for (size_t i = 0; i < program_.schedule.size(); ++i) {
      prog::Program without = program_;
      without.schedule.erase(without.schedule.begin() + static_cast<ptrdiff_t>(i));
      try_without(prog::print_preemption(program_.schedule[i]), without);
    }
    const daxfs::BugSet bugs = daxfs::get_historical();
    for (const auto& info : daxfs::historical_bugs()) {
      daxfs::BugSet fewer = bugs;
      if (!fewer[static_cast<size_t>(info.bug)]) { continue; }
      fewer.reset(static_cast<size_t>(info.bug));
      daxfs::set_historical(fewer);
      try_without("bug " + std::string(info.id), program_);
      daxfs::set_historical(bugs);
    }
  }

  exec::Executor& executor_;
  prog::Program program_;
  const Options& options_;
  Explanation& out_;
  exec::RunConfig config_;
  exec::Outcome outcome_;
  Recorder recorder_;
};

}  // namespace

void record_run(exec::Executor& executor, const prog::Program& program, exec::RunConfig config, exec::Outcome* outcome,
                Recorder* recorder) {
  if (outcome->finding && outcome->finding->verdict == daxfs::Verdict::kLivelock) {
    config.events_max = std::min(config.events_max, outcome->tasks_begin + kLivelockEvents);
  }
  recorder->begin_run();
  if (outcome->finding) {
    for (const daxfs::ObjectRef& ref : outcome->finding->about.refs) {
      if (ref.noun == Noun::kContents) { recorder->watch_byte(ref.b % daxfs::kPageSize); }
    }
  }
  config.observer = recorder;
  const Recorder::Attached attached(*recorder);
  executor.run(program, config, outcome);
}

std::map<uint64_t, std::string> file_names(const prog::Program& program, const exec::Outcome& outcome) {
  std::map<uint64_t, std::string> names;
  for (const oracle::OpRecord& record : outcome.history.records) {
    if (!record.finished || record.op == nullptr || record.ino == 0 || record.op->code != prog::OpCode::kOpen) {
      continue;
    }
    names.try_emplace(record.ino, program.path_text(record.op->path));
  }
  return names;
}

bool explain(exec::Executor& executor, const prog::Program& program, const Options& options, Explanation* out,
             std::string* error) {
  return Explainer(executor, program, options, out).run(error);
}

}  // namespace daxfuzz::explain
