#include "fuzz/tools/trace_text.h"

#include <algorithm>
#include <cstdio>

#include "fs/rt/point.h"

namespace daxfuzz::tools {

void TraceText::on_event(const daxfs::rt::Event& event) { lines_.push_back({daxfs::rt::task_name(event.task), event}); }

std::string TraceText::text() const {
  std::string text;
  text.reserve(lines_.size() * 96);
  for (const Line& line : lines_) {
    const daxfs::rt::Event& event = line.event;
    char head[128];
    const int size =
        std::snprintf(head, sizeof(head), "%-6s op %-5u event %-6llu %-12s %016llx ", line.task, event.op,
                      static_cast<unsigned long long>(event.event_in_op), daxfs::rt::point_kind_name(event.kind),
                      static_cast<unsigned long long>(event.object));
    text.append(head, std::min(static_cast<size_t>(size), sizeof(head) - 1));
    text += event.site.file_name();
    text += ':';
    text += std::to_string(event.site.line());
    text += '\n';
  }
  return text;
}

}  // namespace daxfuzz::tools
