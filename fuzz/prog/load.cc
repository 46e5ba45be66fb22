// fuzz/prog/load.cc - a program from a file's bytes, whichever form it has.
#include "fuzz/prog/binary.h"
#include "fuzz/prog/text.h"

namespace daxfuzz::prog {

bool load(std::span<const uint8_t> bytes, std::string_view name, Program* program, std::string* error) {
  if (is_text(bytes)) {
    return parse(std::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size()), name, program, error);
  }
  decode(bytes, program);
  return true;
}

}  // namespace daxfuzz::prog
