#include "fuzz/oracle/words.h"

#include <cstdarg>
#include <cstdio>

namespace daxfuzz::oracle {

std::string words(const char* format, ...) {
  char line[320];
  va_list arguments;
  va_start(arguments, format);
  std::vsnprintf(line, sizeof(line), format, arguments);
  va_end(arguments);
  return line;
}

}  // namespace daxfuzz::oracle
