#include "fs/base/text.h"

#include <cstdio>

namespace daxfs {

std::string vformat(const char* pattern, va_list arguments) {
  va_list copy;
  va_copy(copy, arguments);
  const int size = std::vsnprintf(nullptr, 0, pattern, copy);
  va_end(copy);
  std::string text(size > 0 ? static_cast<size_t>(size) : 0, '\0');
  if (size > 0) { std::vsnprintf(text.data(), text.size() + 1, pattern, arguments); }
  return text;
}

std::string format(const char* pattern, ...) {
  va_list arguments;
  va_start(arguments, pattern);
  std::string text = vformat(pattern, arguments);
  va_end(arguments);
  return text;
}

}  // namespace daxfs
