#include "fuzz/markup/markup.h"

#include <algorithm>
#include <cstdarg>
#include <cstdio>

namespace daxfuzz::markup {

std::string escape(std::string_view text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '<': out += "&lt;"; break;
      case '>': out += "&gt;"; break;
      case '&': out += "&amp;"; break;
      case '"': out += "&quot;"; break;
      default: out += c; break;
    }
  }
  return out;
}

std::vector<std::string> wrap(std::string_view text, size_t width, std::string_view first, std::string_view hang) {
  std::vector<std::string> lines;
  std::string line(first);
  bool empty = true;
  while (!text.empty()) {
    const size_t end = std::min(text.find(' '), text.size());
    const std::string_view word = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (!empty && line.size() + 1 + word.size() > width) {
      lines.push_back(line);
      line = hang;
      empty = true;
    }
    if (!empty) { line += ' '; }
    line += word;
    empty = false;
    while (line.size() > width) {  // one long word
      lines.push_back(line.substr(0, width));
      line = std::string(hang) + line.substr(width);
    }
  }
  lines.push_back(line);
  return lines;
}

}  // namespace daxfuzz::markup
