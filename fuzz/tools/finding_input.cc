#include "fuzz/tools/finding_input.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>

#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fuzz/exec/executor.h"
#include "fuzz/prog/binary.h"
#include "fuzz/prog/text.h"
#include "fuzz/tools/commands.h"
#include "fuzz/tools/crash_trap.h"
#include "fuzz/tools/files.h"
#include "fuzz/tools/shared_text.h"

namespace daxfuzz::tools {
namespace {

constexpr uint64_t kEventsMax = 5'000'000;     // as exec::RunConfig
constexpr uint64_t kEventsMaxLeast = 200'000;  // what runs longer than this and 20 times the replay is no such finding
constexpr uint64_t kEventsMaxLivelock = 200'000;  // runs of small programs have some thousands

// What the child tells, through shared memory: it may die.
struct Replay {
  bool ended;
  bool fires;
  bool livelock;
  char key[17];
  char title[300];
  char mount_error[300];
  uint64_t trace_hash;
  uint64_t events;
  uint64_t drift;
};

void replay(const prog::Program& program, Replay* told) {
  exec::Executor executor;
  exec::Outcome outcome;
  executor.run(program, {}, &outcome);
  if (outcome.mount_errc != daxfs::Errc::kOk || !outcome.mount_error.empty()) {
    const std::string why = std::string(daxfs::errc_name(outcome.mount_errc)) + ": " + outcome.mount_error;
    copy_text(why, told->mount_error);
  }
  told->fires = outcome.finding.has_value();
  if (told->fires) {
    copy_text(exec::finding_key(*outcome.finding), told->key);
    copy_text(exec::finding_title(*outcome.finding), told->title);
    told->livelock = outcome.finding->verdict == daxfs::Verdict::kLivelock;
  }
  told->trace_hash = outcome.trace_hash;
  told->events = outcome.events;
  told->drift = outcome.drift;
  told->ended = true;
}

// RETURNS: the wait status of the child.
int replay_apart(const prog::Program& program, Replay* out) {
  void* memory = mmap(nullptr, sizeof(Replay), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) { return -1; }
  auto* told = new (memory) Replay();
  std::fflush(nullptr);
  const pid_t child = fork();
  if (child == 0) {
    catch_crashes();
    print_no_reports();  // whoever asks runs it again
    replay(program, told);
    _exit(0);
  }
  int status = -1;
  while (child > 0 && waitpid(child, &status, 0) < 0 && errno == EINTR) {}
  *out = *told;
  munmap(memory, sizeof(Replay));
  return status;
}

// Switches that the file names and the caller did not give: "--bug a --bug b".
std::string missing_bugs(const FindingInput& input) {
  std::string missing;
  if (!input.note) { return missing; }
  for (const std::string& id : input.note->bugs) {
    daxfs::BugSet wanted;
    const bool known = daxfs::select_historical(id, &wanted) != 0;
    if (!known || (wanted & ~input.bugs).any()) { missing += (missing.empty() ? "--bug " : " --bug ") + id; }
  }
  return missing;
}

}  // namespace

std::string no_finding_message(const FindingInput& input, const std::string& file) {
  std::string message = file + ": no finding";
  if (input.drift != 0) { message += "; " + std::to_string(input.drift) + " of its preemptions met no event"; }
  if (const std::string missing = missing_bugs(input); !missing.empty()) {
    const bool compiled_in = !daxfs::historical_bugs().empty();
    return message + "; it was found with " + missing +
           (compiled_in ? ": add that" : ": this build has no historical bugs, take one with DAXFS_HISTORICAL_BUGS=ON");
  }
  message += ", nor in schedules near the recorded one. ";
  if (input.note) {
    return message + "It was " + input.note->headline +
           ": fixed since, or recorded by another build; run it with the build that found it";
  }
  return message + "If it needs a historical bug, add --bug ID (`daxfuzz bugs` lists them)";
}

uint64_t events_max_near(uint64_t events, bool livelock) {
  return livelock ? kEventsMaxLivelock : std::min(kEventsMax, std::max(kEventsMaxLeast, 20 * events));
}

bool load_finding(const std::string& file, const std::vector<std::string>& bugs, FindingInput* input,
                  std::string* error) {
  std::vector<uint8_t> bytes;
  if (!read_file(file, &bytes, error)) { return false; }
  if (bytes.empty()) {
    *error = file + ": empty";
    return false;
  }
  if (!prog::load(bytes, file, &input->program, error)) { return false; }
  if (prog::is_text(bytes)) {
    input->note = read_finding_note({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
  } else if (prog::binary_version(bytes) > prog::kFormatVersion) {
    *error = file + ": of a newer format version than " + std::to_string(prog::kFormatVersion) +
             "; use the daxfuzz that wrote it (`daxfuzz show` prints it as text)";
    return false;
  }
  for (const std::string& id : bugs) {
    if (daxfs::select_historical(id, &input->bugs) == 0) {
      *error = daxfs::historical_bugs().empty()
                   ? "--bug " + id + ": this build has no historical bugs; build with DAXFS_HISTORICAL_BUGS=ON"
                   : "--bug " + id + ": no such historical bug; `daxfuzz bugs` lists them";
      return false;
    }
  }
  daxfs::set_historical(input->bugs);
  Replay told{};
  const int status = replay_apart(input->program, &told);
  if (!told.ended) {
    const std::string how = WIFSIGNALED(status) ? std::string("signal ") + strsignal(WTERMSIG(status)) : "its own exit";
    *error = file + ": running it kills the process (" + how +
             "). Let the fuzzer's engine shrink it: syscalls_fuzzer -minimize_crash=1 -runs=10000 FILE";
    return false;
  }
  if (told.mount_error[0] != '\0') {
    *error = file + ": mount: " + told.mount_error;
    return false;
  }
  input->fires = told.fires;
  input->trace_hash = told.trace_hash;
  input->drift = told.drift;
  input->livelock = told.livelock;
  input->events_max = events_max_near(told.events, told.livelock);
  input->key = input->note && !input->note->key.empty() ? input->note->key : told.key;
  if (told.fires && input->key != told.key) {
    *error = file + ": says it is " + input->note->headline + " (key " + input->key + "), but here it shows " +
             told.title + " (key " + told.key +
             "). It was recorded by another build or with other --bug switches; to go on with what " +
             "it shows here, remove its line `# FINDING`";
    return false;
  }
  if (!told.fires && !missing_bugs(*input).empty()) {
    *error = no_finding_message(*input, file);
    return false;
  }
  return true;
}

bool can_write(const std::string& path, std::string* error) {
  const std::string beside = path + ".tmp";
  std::FILE* file = std::fopen(beside.c_str(), "wb");
  if (file == nullptr) {
    *error = path + ": cannot be written: " + std::strerror(errno);
    return false;
  }
  std::fclose(file);
  std::remove(beside.c_str());
  return true;
}

}  // namespace daxfuzz::tools
