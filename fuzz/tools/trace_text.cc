#include "fuzz/tools/trace_text.h"

#include <cstdio>

#include "fs/rt/point.h"

namespace daxfuzz::tools {

void TraceText::on_event(const daxfs::rt::Event& event) {
  char line[512];
  const int size = std::snprintf(
      line, sizeof(line), "%-6s op %-5u event %-6llu %-12s %016llx %s:%u\n",
      daxfs::rt::task_name(event.task), event.op,
      static_cast<unsigned long long>(event.event_in_op), daxfs::rt::point_kind_name(event.kind),
      static_cast<unsigned long long>(event.object), event.site.file_name(), event.site.line());
  text_.append(line, static_cast<size_t>(size < static_cast<int>(sizeof(line))
                                             ? size
                                             : static_cast<int>(sizeof(line)) - 1));
}

}  // namespace daxfuzz::tools
