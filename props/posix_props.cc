// props/posix_props.cc - what system calls return, against a sequential POSIX model: one task in its order, several
// tasks in some order (linearizability).
//
// A failure is shrunk and printed as a program with the schedule that showed it. `posix_props FILE` replays it: the
// program runs once under its own schedule and its history is judged.
//
// Seen to fail on: the plants of docs/properties.md, made by hand and undone.
#include <cstdint>
#include <fstream>
#include <iostream>
#include <sstream>
#include <string>
#include <vector>

#include <rapidcheck.h>

#include "fuzz/exec/executor.h"
#include "fuzz/prog/text.h"
#include "fuzz/sched/policies.h"
#include "props/draw.h"
#include "props/posix_model.h"

namespace daxfuzz::props {
namespace {

enum class Kind : uint8_t { kFiles, kNames, kBoth };

constexpr const char* kFds[] = {"f", "g"};
constexpr const char* kNames[] = {"a", "b", "l", "d/a", "d/b"};
constexpr const char* kDirectories[] = {"d", "e"};

std::string file_op(Draw& draw) {
  const std::string fd = draw.one_of(kFds);
  const uint64_t kind = draw.below(12);
  const std::string offset = std::to_string(draw.below(24) * kCell);
  const std::string size = std::to_string((1 + draw.below(20)) * kCell);
  const std::string blocks = std::to_string((1 + draw.below(2)) * 4096);
  const std::string at_block = std::to_string(draw.below(3) * 4096);
  switch (kind) {
    case 0:
    case 1:
    case 2: return "pwrite " + fd + " " + std::to_string(1 + draw.below(9)) + " " + size + " " + offset;
    case 3:
    case 4:
    case 5: return "pread " + fd + " buf " + size + " " + offset;
    case 6: return "ftruncate " + fd + " " + offset;
    case 7: return "fallocate " + fd + " punch|keep_size " + offset + " " + size;
    case 8: return "fallocate " + fd + (draw.below(2) == 0 ? " zero " : " ") + offset + " " + size;
    case 9: return "fallocate " + fd + (draw.below(2) == 0 ? " collapse " : " insert ") + at_block + " " + blocks;
    case 10: return "fsync " + fd;
    default: return "fstat " + fd;
  }
}

std::string name_op(Draw& draw) {
  const auto quoted = [](const std::string& name) { return " \"" + name + "\""; };
  const uint64_t kind = draw.below(12);
  const std::string name = quoted(draw.one_of(kNames));
  const std::string other = quoted(draw.one_of(kNames));
  const std::string directory = quoted(draw.one_of(kDirectories));
  switch (kind) {
    case 0: return "open" + name + " rdwr|creat|excl";
    case 1: return "open" + name + (draw.below(2) == 0 ? " rdonly" : " rdwr|creat");
    case 2:
    case 3: return "link" + name + other;
    case 4:
    case 5: return "unlink" + name;
    case 6: return "rename" + name + other;
    case 7: return draw.below(2) == 0 ? "rename" + directory + other : "rename" + quoted("d") + quoted("e");
    case 8: return "mkdir" + directory;
    case 9: return "rmdir" + directory;
    case 10: return "getdents " + std::string(draw.below(2) == 0 ? "r" : "s");
    default: return "stat" + name;
  }
}

std::string set_up() {
  return "daxfuzz program 1\nimage small\nmount dax=always\nprocess P0\ninit in P0\n"
         "  r = open \".\" rdonly|directory\n  mkdir \"d\"\n  s = open \"d\" rdonly|directory\n"
         "  f = open \"a\" rdwr|creat\n  g = open \"d/a\" rdwr|creat\n  pwrite f 1 4608 0\n  link \"a\" \"l\"\n";
}

prog::Program program_of(Kind kind, size_t tasks, const std::vector<uint64_t>& words) {
  std::vector<std::string> bodies(tasks);
  for (const uint64_t word : words) {
    Draw draw(word);
    const uint64_t task = draw.below(tasks);
    const bool file = kind == Kind::kFiles || (kind == Kind::kBoth && draw.below(2) == 0);
    bodies[task] += "  " + (file ? file_op(draw) : name_op(draw)) + "\n";
  }
  std::string text = set_up();
  for (size_t t = 0; t < tasks; ++t) { text += "task T" + std::to_string(t) + " in P0\n" + bodies[t]; }
  prog::Program program;
  std::string error;
  RC_ASSERT(prog::parse(text, "generated", &program, &error));
  return program;
}

std::vector<uint64_t> draw_words(size_t max) {
  const auto word = rc::gen::noShrink(rc::gen::resize(rc::kNominalSize, rc::gen::arbitrary<uint64_t>()));
  auto words = *rc::gen::resize(static_cast<int>(max), rc::gen::container<std::vector<uint64_t>>(word));
  if (words.size() > max) { words.resize(max); }
  return words;
}

exec::Executor& executor() {
  static exec::Executor& instance = *new exec::Executor;
  return instance;
}

// Empty, or what is wrong with one run.
std::string judge(const prog::Program& program, daxfs::rt::Policy* policy, exec::Outcome* outcome) {
  exec::RunConfig config;
  config.policy = policy;
  executor().run(program, config, outcome);
  if (outcome->finding) { return exec::finding_title(*outcome->finding); }
  if (!outcome->mount_error.empty()) { return outcome->mount_error; }
  return explain_history(program, outcome->history);
}

[[noreturn]] void fail(const std::string& wrong, prog::Program program, const exec::Outcome& outcome) {
  const bool whole = exec::adopt_schedule(outcome.taken, &program);
  RC_FAIL(wrong + "\n" + prog::print(program) + (whole ? "" : "# not all of its preemptions\n") +
          "replay: posix_props FILE, with this program in it");
}

void sequential(Kind kind) {
  const prog::Program program = program_of(kind, 1, draw_words(40));
  exec::Outcome outcome;
  const std::string wrong = judge(program, nullptr, &outcome);
  if (!wrong.empty()) { fail(wrong, program, outcome); }
}

// Few operations, many schedules: a race needs the right moment, not the right length.
void concurrent(Kind kind) {
  const size_t tasks = *rc::gen::inRange<size_t>(2, 4);
  const prog::Program program = program_of(kind, tasks, draw_words(7));
  exec::Outcome outcome;
  sched::RandomWalk walk(1, 1);
  uint64_t begin = 0;
  for (uint64_t seed = 1; seed <= 12; ++seed) {
    walk.reseed(seed, static_cast<uint32_t>(seed % 4 == 0 ? 64 : seed % 4 * 4), begin);
    const std::string wrong = judge(program, &walk, &outcome);
    begin = outcome.tasks_begin;
    if (!wrong.empty()) { fail(wrong, program, outcome); }
  }
}

int replay(const char* path) {
  std::stringstream text;
  text << std::ifstream(path).rdbuf();
  prog::Program program;
  std::string error;
  if (!prog::parse(text.str(), path, &program, &error)) {
    std::cerr << error << "\n";
    return 1;
  }
  exec::Outcome outcome;
  const std::string wrong = judge(program, nullptr, &outcome);
  std::cout << (wrong.empty() ? "OK" : wrong) << "\n";
  if (outcome.drift != 0) { std::cout << outcome.drift << " anchors of its schedule were not reached\n"; }
  return wrong.empty() ? 0 : 77;
}

}  // namespace
}  // namespace daxfuzz::props

int main(int argc, char** argv) {
  using namespace daxfuzz::props;  // NOLINT: the main file
  if (argc > 1) { return replay(argv[1]); }
  bool ok = rc::check("one task: reads, writes and sizes are POSIX's", [] { sequential(Kind::kFiles); });
  ok &= rc::check("one task: names are POSIX's", [] { sequential(Kind::kNames); });
  ok &= rc::check("one task: both together", [] { sequential(Kind::kBoth); });
  ok &=
      rc::check("several tasks on two files: some order explains what calls return", [] { concurrent(Kind::kFiles); });
  ok &= rc::check("several tasks on a few names: some order explains what calls return",
                  [] { concurrent(Kind::kNames); });
  ok &= rc::check("several tasks, files and names: some order explains what calls return",
                  [] { concurrent(Kind::kBoth); });
  return ok ? 0 : 1;
}
