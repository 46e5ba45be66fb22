// fuzz/report/known.cc - lookups in the compiled-in tables.
#include "fuzz/report/known.h"

#include <algorithm>

#include "fs/base/historical.h"
#include "fuzz/prog/text.h"

namespace daxfuzz::report {

std::vector<Invariant> invariants() {
  std::vector<Invariant> all;
  for (const InvariantText& row : invariant_texts()) { all.push_back({row.tag, row.text, row.declared}); }
  return all;
}

Invariant invariant_of(std::string_view tag) {
  for (const InvariantText& row : invariant_texts()) {
    if (tag == row.tag) { return {row.tag, row.text, row.declared}; }
  }
  return {std::string(tag), "", ""};
}

BugNote note_of(const daxfs::BugInfo& info) {
  return {std::string(info.id), std::string(info.catalogue), std::string(info.source), std::string(info.title)};
}

namespace {

struct KnownKey {
  daxfs::BugSet bugs;
  std::string key;
};

// What each known program shows in this build. Run once a process: the answer cannot change.
const std::vector<KnownKey>& known_keys(exec::Executor& executor) {
  static std::vector<KnownKey>& keys = *new std::vector<KnownKey>;
  if (!keys.empty()) { return keys; }
  const daxfs::BugSet on = daxfs::get_historical();
  for (const KnownProgram& known : known_programs()) {
    daxfs::BugSet bugs;
    std::string_view ids = known.bugs;
    while (!ids.empty()) {
      const size_t end = std::min(ids.find(' '), ids.size());
      daxfs::select_historical(ids.substr(0, end), &bugs);
      ids.remove_prefix(std::min(end + 1, ids.size()));
    }
    prog::Program program;
    std::string error;
    if (bugs.none() || !prog::parse(known.text, known.bugs, &program, &error)) { continue; }
    daxfs::set_historical(bugs);
    exec::Outcome outcome;
    executor.run(program, {}, &outcome);
    if (outcome.finding) { keys.push_back({bugs, exec::finding_key(*outcome.finding)}); }
  }
  daxfs::set_historical(on);
  return keys;
}

}  // namespace

std::vector<BugNote> bugs_with_key(exec::Executor& executor, std::string_view key) {
  const daxfs::BugSet on = daxfs::get_historical();
  std::vector<BugNote> same;
  for (const KnownKey& known : known_keys(executor)) {
    if ((known.bugs & on) == known.bugs || known.key != key) { continue; }
    for (const auto& info : daxfs::historical_bugs()) {
      if (known.bugs[static_cast<size_t>(info.bug)]) { same.push_back(note_of(info)); }
    }
  }
  return same;
}

}  // namespace daxfuzz::report
