#include "fuzz/tools/regress.h"

#include <algorithm>

#include "fs/base/historical.h"
#include "fuzz/minimize/near_search.h"
#include "fuzz/prog/text.h"
#include "fuzz/tools/exec_subject.h"
#include "fuzz/tools/finding_file.h"

namespace daxfuzz::tools {
namespace {

// A repaired race may come back in another place of the same schedules; a lost one is worth a longer look.
constexpr minimize::Effort kSilence = {.sweep = true, .wide = false, .walks = 100};
constexpr minimize::Effort kLost = {.sweep = true, .wide = true, .walks = 2000};

std::string describe(const exec::Outcome& outcome) {
  return exec::finding_title(*outcome.finding) + " key=" + exec::finding_key(*outcome.finding);
}

RegressResult unusable(std::string message) { return {RegressState::kUnusable, std::move(message), 0, {}}; }

// Nothing may fire, neither in the recorded schedule nor near it.
RegressResult replay_silent(const prog::Program& program, const std::string& name) {
  daxfs::set_historical({});
  ExecSubject subject("");
  minimize::NearSearch search(subject);
  prog::Program found = program;
  const bool at_once = search.fires(found);
  RegressResult result{RegressState::kAsExpected, {}, search.last().drift, {}};
  if (!subject.outcome().mount_error.empty()) { return unusable(name + ": mount: " + subject.outcome().mount_error); }
  if (at_once || search.find(&found, {}, kSilence)) {
    result.state = RegressState::kFiresAgain;
    result.message =
        name + ": fires again" + (at_once ? "" : ", near its recorded schedule") + ": " + describe(subject.outcome());
    result.program = found;
  }
  return result;
}

RegressResult replay_with_switches(const prog::Program& program, const FindingNote& note, const daxfs::BugSet& bugs,
                                   const std::string& name) {
  daxfs::set_historical(bugs);
  ExecSubject subject(note.key);
  minimize::NearSearch search(subject);
  RegressResult result{RegressState::kAsExpected, {}, 0, program};
  if (search.fires(program)) { return result; }
  result.drift = search.last().drift;
  const std::string drift =
      std::to_string(result.drift) + " of " + std::to_string(program.schedule.size()) + " anchors met no event";
  if (search.find(&result.program, {}, kLost)) {
    result.state = RegressState::kMoved;
    result.message = name + ": fires near its recorded schedule only (" + drift +
                     "); `daxfuzz regress check --update` writes the new anchors";
  } else {
    result.state = RegressState::kLost;
    result.message =
        name + ": " + note.headline + " is not found any more, nor near its recorded schedule (" + drift + ")";
  }
  return result;
}

}  // namespace

RegressResult replay_regression(std::string_view text, const std::string& name) {
  prog::Program program;
  std::string error;
  if (!prog::parse(text, name, &program, &error)) { return unusable(error); }
  const auto note = read_finding_note(text);
  RegressResult result = replay_silent(program, name);
  if (result.state != RegressState::kAsExpected || !note || note->bugs.empty()) { return result; }
  if (daxfs::historical_bugs().empty()) { return result; }  // a build without them can only see the silence
  daxfs::BugSet bugs;
  for (const std::string& id : note->bugs) {
    if (daxfs::select_historical(id, &bugs) == 0) { return unusable(name + ": no historical bug '" + id + "'"); }
  }
  result = replay_with_switches(program, *note, bugs, name);
  daxfs::set_historical({});
  return result;
}

std::string with_schedule(std::string_view text, const prog::Program& program) {
  std::string out;
  bool in_schedule = false;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    const bool keyword = !line.empty() && line.front() != ' ' && line.front() != '\t' && line.front() != '#';
    if (keyword) { in_schedule = line.starts_with("schedule"); }
    if (!in_schedule) { out += std::string(line) + "\n"; }
  }
  if (program.schedule.empty()) { return out; }
  out += "schedule\n";
  for (const prog::Preemption& p : program.schedule) { out += "  " + prog::print_preemption(p) + "\n"; }
  return out;
}

}  // namespace daxfuzz::tools
