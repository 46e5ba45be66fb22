// fuzz/report/test_source.cc - a finding as a C++ program of its own: exit code 0 when it is gone,
// 1 while it is there.
//
// It is built against a build tree; that tree's test_source.rsp names include folders, the archive
// of the executor and what it needs:
//
//   clang++-19 test.cc @build/release/test_source.rsp -o test
#include <algorithm>

#include "fuzz/prog/text.h"
#include "fuzz/report/formats.h"
#include "fuzz/report/prose.h"

namespace daxfuzz::report {
namespace {

// With `@NAME@` replaced. It looks near the recorded schedule, too: an edit that only moves events
// is no repair.
constexpr const char* kSource = R"source(@TITLE@//
// Fails (exit code 1) while that finding is there, passes (0) when it is gone. 2: the program could not be run.
// `--no-bugs` runs it without the historical bugs that it was found with@BUGCOMMENT@.
//
@TEXT@//
// Build it at the root of a daxfuzz checkout, against one of its build folders:
//   clang++-19 @FILE@ @build/release/test_source.rsp -o finding_test && ./finding_test
#include <cstdio>
#include <cstring>
#include <string>

#include "fs/base/historical.h"
#include "fuzz/exec/executor.h"
#include "fuzz/prog/random.h"
#include "fuzz/prog/text.h"
#include "fuzz/sched/policies.h"

namespace {

constexpr const char* kProgram = R"@DELIM@(@PROGRAM@)@DELIM@";
constexpr const char* kBugs[] = {@BUGS@nullptr};
constexpr const char* kKey = "@KEY@";
constexpr unsigned kNear = 300;    // schedules near the recorded one
constexpr unsigned kReach = 12;    // events that an anchor is moved at most

// 0: nothing, 1: the finding, 2: cannot run, 3: another finding.
int run(daxfuzz::exec::Executor& executor, const daxfuzz::prog::Program& program, daxfs::rt::Policy* policy,
        bool recorded) {
  daxfuzz::exec::RunConfig config;
  config.policy = policy;
  daxfuzz::exec::Outcome outcome;
  executor.run(program, config, &outcome);
  if (outcome.mount_errc != daxfs::Errc::kOk || !outcome.mount_error.empty()) {
    std::printf("cannot mount: %s\n", outcome.mount_error.c_str());
    return 2;
  }
  if (recorded && outcome.drift != 0) {
    std::printf("%zu of %zu preemptions met no event: the library was edited since\n", outcome.drift,
                program.schedule.size());
  }
  if (!outcome.finding) { return 0; }
  const std::string key = daxfuzz::exec::finding_key(*outcome.finding);
  std::printf("%s: %s key=%s\n", recorded ? "as recorded" : "near the recorded schedule",
              daxfuzz::exec::finding_title(*outcome.finding).c_str(), key.c_str());
  return key == kKey ? 1 : 3;
}

}  // namespace

int main(int argc, char** argv) {
  daxfs::BugSet bugs;
  const bool no_bugs = argc > 1 && std::strcmp(argv[1], "--no-bugs") == 0;
  for (const char* const* bug = kBugs; *bug != nullptr && !no_bugs; ++bug) {
    if (daxfs::select_historical(*bug, &bugs) == 0) {
      std::printf("no historical bug %s in this build: build with DAXFS_HISTORICAL_BUGS=ON\n", *bug);
      return 2;
    }
  }
  daxfs::set_historical(bugs);
  daxfuzz::prog::Program program;
  std::string error;
  if (!daxfuzz::prog::parse(kProgram, "program", &program, &error)) {
    std::printf("%s\n", error.c_str());
    return 2;
  }
  daxfuzz::exec::Executor executor;
  int result = run(executor, program, nullptr, true);
  daxfuzz::prog::Random random(1);
  for (unsigned i = 0; i < kNear && result == 0; ++i) {
    daxfuzz::prog::Program moved = program;
    daxfuzz::sched::RandomWalk walk(i + 1, 20);
    for (auto& anchor : moved.schedule) {
      const unsigned lowest = anchor.event > kReach ? anchor.event - kReach : 1;
      anchor.event = lowest + static_cast<unsigned>(random.below(2 * kReach + 1));
    }
    result = run(executor, moved, program.schedule.empty() ? &walk : nullptr, false);
  }
  std::printf(result == 0 ? "passed: the finding is gone\n" : "failed\n");
  return result;
}
)source";

void replace(std::string* text, const std::string& name, const std::string& value) {
  for (size_t at = 0; (at = text->find(name, at)) != std::string::npos; at += value.size()) {
    text->replace(at, name.size(), value);
  }
}

// A backslash at a line's end would go on with the next line.
std::string comment(std::string text) {
  std::replace(text.begin(), text.end(), '\\', '/');
  return wrap(text, 110, "// ", "// ");
}

// A raw string ends at its delimiter: one that the program does not contain.
std::string delimiter(const std::string& program) {
  std::string delimiter = "daxfuzz";
  while (program.find(")" + delimiter + "\"") != std::string::npos) { delimiter += "_"; }
  return delimiter;
}

}  // namespace

std::string to_test(const Report& report) {
  const std::string program = prog::print(report.program);
  std::string bugs;
  for (const BugNote& bug : report.bugs) { bugs += "\"" + bug.id + "\", "; }
  std::string source = kSource;
  replace(&source, "@TITLE@", comment(report.title));
  replace(&source, "@BUGCOMMENT@", report.bugs.empty() ? " (none)" : "");
  std::string text = comment(what_it_takes(report));
  if (!report.invariant.text.empty()) {
    text += comment("What should hold (" + report.invariant.tag + "): " + report.invariant.text + ".");
  }
  replace(&source, "@TEXT@", text);
  replace(&source, "@FILE@", "finding_test.cc");
  replace(&source, "@BUGS@", bugs);
  replace(&source, "@KEY@", report.key);
  replace(&source, "@DELIM@", delimiter(program));
  replace(&source, "@PROGRAM@", program);
  return source;
}

}  // namespace daxfuzz::report
