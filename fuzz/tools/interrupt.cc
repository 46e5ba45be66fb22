#include "fuzz/tools/interrupt.h"

#include <csignal>

namespace daxfuzz::tools {
namespace {

volatile sig_atomic_t g_interrupted = 0;

}  // namespace

void catch_interrupts() {
  std::signal(SIGINT, [](int) { g_interrupted = 1; });
  std::signal(SIGTERM, [](int) { g_interrupted = 1; });
}

bool interrupted() { return g_interrupted != 0; }
void interrupt() { g_interrupted = 1; }

}  // namespace daxfuzz::tools
