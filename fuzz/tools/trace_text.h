// fuzz/tools/trace_text.h - every point of a run as a line of text: task, operation, event, what, where.
#pragma once

#include <string>

#include "fs/rt/engine.h"

namespace daxfuzz::tools {

class TraceText final : public daxfs::rt::Observer {
 public:
  void on_event(const daxfs::rt::Event& event) override;
  const std::string& text() const { return text_; }

 private:
  std::string text_;
};

}  // namespace daxfuzz::tools
