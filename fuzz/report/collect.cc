// fuzz/report/collect.cc - explain, record, replay, look up.
#include "fuzz/report/collect.h"

#include <algorithm>
#include <cinttypes>
#include <cstdio>

#include "fs/base/historical.h"
#include "fuzz/exec/honesty.h"
#include "fuzz/explain/explain.h"
#include "fuzz/report/details.h"
#include "fuzz/report/environment.h"
#include "fuzz/report/known.h"
#include "fuzz/report/listing.h"
#include "fuzz/report/states.h"

namespace daxfuzz::report {
namespace {

std::string hex(uint64_t value) {
  char digits[17];
  std::snprintf(digits, sizeof(digits), "%016" PRIx64, value);
  return digits;
}

void make_printable(explain::Explanation* e) {
  e->title = printable(e->title);
  for (std::string& fact : e->facts) { fact = printable(fact); }
  for (explain::Row& row : e->rows) {
    row.text = printable(row.text);
    row.state = printable(row.state);
  }
  for (explain::Counterfactual& c : e->counterfactuals) { c.verdict = printable(c.verdict); }
}

void describe(const daxfs::Finding& finding, uint64_t trace_hash, Report* out) {
  out->finding = finding;
  out->verdict = daxfs::verdict_name(finding.verdict);
  out->title = printable(exec::finding_title(finding));
  out->message = printable(finding.title);
  out->function = exec::short_function(finding.function);
  out->site = site_path(finding.file) + ":" + std::to_string(finding.line);
  out->detail = readable_detail(printable(finding.detail), finding.verdict == daxfs::Verdict::kDeadlock);
  out->key = exec::finding_key(finding);
  out->trace = hex(trace_hash);
  out->invariant = invariant_of(finding.tag);
  if (finding.verdict == daxfs::Verdict::kCorruptMedia) {  // its tag has another meaning in memory
    out->invariant.text = "the image checker accepts the image after the unmount";
    out->invariant.declared = "fs/check/media.h";
  }
}

void record(exec::Executor& executor, const CollectOptions& options, Report* out) {
  exec::RunConfig config;
  config.events_max = options.events_max;
  exec::Outcome outcome;
  executor.run(out->program, config, &outcome);
  auto recording = std::make_shared<Recording>();
  explain::record_run(executor, out->program, config, &outcome, &recording->recorder);
  recording->taken = outcome.taken;
  recording->events = outcome.events;
  const auto files = explain::file_names(out->program, outcome);
  recording->files.assign(files.begin(), files.end());
  out->recording = std::move(recording);
}

}  // namespace

Collected collect(exec::Executor& executor, const prog::Program& program, const CollectOptions& options, Report* out,
                  std::string* error) {
  *out = {};
  out->file = options.file;
  out->program = program;
  exec::RunConfig config;
  config.events_max = options.events_max;
  exec::Outcome outcome;
  executor.run(out->program, config, &outcome);
  if (!outcome.mount_error.empty() || outcome.mount_errc != daxfs::Errc::kOk) {
    *error = std::string("mount: ") + daxfs::errc_name(outcome.mount_errc) + ": " + outcome.mount_error;
    return Collected::kCannotRun;
  }
  if (!outcome.finding) {
    *error = "it ran clean (trace " + hex(outcome.trace_hash) + ", " + std::to_string(outcome.drift) + " of " +
             std::to_string(program.schedule.size()) + " preemptions met no event)";
    return Collected::kNoFinding;
  }
  describe(*outcome.finding, outcome.trace_hash, out);
  out->replays = exec::equal_replays(executor, program, *outcome.finding, outcome.trace_hash, options.before_replay,
                                     options.events_max);
  const unsigned needed = exec::replays_needed(*outcome.finding);
  if (out->replays != needed) {
    *error = "it did not replay: " + std::to_string(out->replays) + " of " + std::to_string(needed) +
             " runs showed key " + out->key + " with trace " + out->trace;
    return Collected::kDishonest;
  }
  const auto stopped = [&] { return options.stop && options.stop(); };
  if (stopped()) { return Collected::kStopped; }
  explain::Options how;
  how.run = config;
  how.rows_max = options.rows_max;
  if (!explain::explain(executor, program, how, &out->explanation, error)) { return Collected::kCannotRun; }
  make_printable(&out->explanation);
  record(executor, options, out);
  if (stopped()) { return Collected::kStopped; }
  for (const auto& info : daxfs::historical_bugs()) {
    if (daxfs::get_historical()[static_cast<size_t>(info.bug)]) { out->bugs.push_back(note_of(info)); }
  }
  out->same_key = bugs_with_key(executor, out->key);
  out->environment = environment();
  out->listing = make_listing(out->program, out->explanation);
  out->states = states_of(*out);
  return Collected::kOk;
}

std::vector<std::string> bugs_that_fire(exec::Executor& executor, const prog::Program& program) {
  const daxfs::BugSet on = daxfs::get_historical();
  std::vector<std::string> firing;
  for (const auto& info : daxfs::historical_bugs()) {
    if (on[static_cast<size_t>(info.bug)]) { continue; }
    daxfs::BugSet more = on;
    more.set(static_cast<size_t>(info.bug));
    daxfs::set_historical(more);
    exec::Outcome outcome;
    executor.run(program, {}, &outcome);
    if (outcome.finding) { firing.emplace_back(info.id); }
  }
  daxfs::set_historical(on);
  return firing;
}

std::string site_path(std::string_view file) {
  while (file.starts_with("../")) { file.remove_prefix(3); }
  return std::string(file);
}

std::string printable(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '\n' || (byte >= 0x20 && byte < 0x7f)) {
      out += c;
    } else {
      char escaped[8];
      std::snprintf(escaped, sizeof(escaped), "\\x%02x", byte);
      out += escaped;
    }
  }
  return out;
}

std::string bug_options(const Report& report) {
  std::string options;
  for (const BugNote& bug : report.bugs) { options += " --bug " + bug.id; }
  return options;
}

}  // namespace daxfuzz::report
