// fuzz/tools/trace_text.h - every point of a run as a line of text: task, operation, event, what, where.
//
// During the run it only notes what happened: on_event runs on the observed fiber's stack, and a libc function that
// wrote there under the host's name would be a data race in TSan's eyes.
// Tested by: fuzz/tools/daxfuzz_test.py.
#pragma once

#include <string>
#include <vector>

#include "fs/rt/engine.h"

namespace daxfuzz::tools {

class TraceText final : public daxfs::rt::Observer {
 public:
  void on_event(const daxfs::rt::Event& event) override;
  // REQUIRES: the run has ended.
  std::string text() const;

 private:
  struct Line {
    const char* task;  // its name then: a task id can serve several tasks of a run, one after the other
    daxfs::rt::Event event;
  };
  std::vector<Line> lines_;
};

}  // namespace daxfuzz::tools
