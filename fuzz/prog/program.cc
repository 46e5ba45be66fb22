// fuzz/prog/program.cc - small members of Program.
#include "fuzz/prog/program.h"

#include "fuzz/prog/names.h"

namespace daxfuzz::prog {

Program Program::minimal() {
  Program program;
  program.processes.resize(1);
  program.tasks.resize(1);
  return program;
}

size_t Program::op_count() const {
  size_t count = 0;
  for (const Task& task : tasks) { count += task.ops.size(); }
  return count;
}

size_t Program::init_op_count() const {
  size_t count = 0;
  for (const Process& process : processes) { count += process.init.size(); }
  return count;
}

std::string_view Program::path_text(uint8_t path) const {
  if (path < kPathString) { return path_pool()[path].text; }
  return strings[path - kPathString];
}

}  // namespace daxfuzz::prog
