#include "fuzz/tools/self_check_child.h"

#include <cerrno>
#include <cstdio>
#include <cstring>

#include <sys/wait.h>
#include <unistd.h>

#include "fuzz/puzzles/self_check.h"

namespace daxfuzz::tools {
namespace {

// A complaint is one line, far smaller than what a pipe takes without a reader.
[[noreturn]] void run_child(int out) {
  const std::string failed = puzzles::self_check();
  const bool told = write(out, failed.data(), failed.size()) == static_cast<ssize_t>(failed.size());
  _exit(told ? 0 : 1);
}

std::string how_it_ended(int status) {
  if (WIFSIGNALED(status)) { return "it died of signal " + std::to_string(WTERMSIG(status)); }
  if (WEXITSTATUS(status) != 0) { return "it exited with " + std::to_string(WEXITSTATUS(status)); }
  return {};
}

}  // namespace

std::string self_check_in_child() {
  int ends[2];
  if (pipe(ends) != 0) { return std::string("pipe: ") + std::strerror(errno); }
  std::fflush(nullptr);
  const pid_t pid = fork();
  if (pid < 0) { return std::string("fork: ") + std::strerror(errno); }
  if (pid == 0) {
    close(ends[0]);
    run_child(ends[1]);
  }
  close(ends[1]);
  std::string failed;
  char part[512];
  for (ssize_t size = 0; (size = read(ends[0], part, sizeof(part))) > 0;) {
    failed.append(part, static_cast<size_t>(size));
  }
  close(ends[0]);
  int status = 0;
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {}
  return failed.empty() ? how_it_ended(status) : failed;
}

}  // namespace daxfuzz::tools
