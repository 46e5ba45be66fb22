// fuzz/prog/fuzz_bytes.cc - mutations on byte buffers.
#include "fuzz/prog/fuzz_bytes.h"

#include <algorithm>
#include <string>

#include "fuzz/prog/binary.h"
#include "fuzz/prog/generate.h"
#include "fuzz/prog/mutate.h"
#include "fuzz/prog/random.h"
#include "fuzz/prog/text.h"

namespace daxfuzz::prog {
namespace {

// Edits of a program keep its shape, and an engine that starts from nothing must find every shape by edits: programs as
// they are drawn for `daxfuzz fuzz`, with their prepared files and duels, come in between. An engine applies several
// mutations on end, so that a quarter of its runs are new programs and their neighbours.
constexpr uint32_t kFreshOneIn = 12;

// Below minimal_size() the encoding is cut: its prefixes are programs too.
size_t encode_within(Program& program, uint8_t* out, size_t out_max, Random& random) {
  const size_t size = encode(program, std::span<uint8_t>(out, out_max));
  if (size <= out_max) { return size; }
  shrink_below(program, out_max, random);
  return std::min(encode(program, std::span<uint8_t>(out, out_max)), out_max);
}

}  // namespace

void decode_any(std::span<const uint8_t> bytes, Program* program) {
  std::string error;
  if (!load(bytes, "", program, &error)) { decode(bytes, program); }
}

size_t mutate_bytes(uint8_t* data, size_t size, size_t size_max, unsigned seed) {
  Random random(seed);
  Program program;
  decode_any(std::span<const uint8_t>(data, size), &program);
  if (size_max < size) {
    shrink_below(program, size_max, random);
  } else if (random.chance(1, kFreshOneIn)) {
    program = generate(random);
  } else {
    mutate(program, random);
  }
  return encode_within(program, data, size_max, random);
}

size_t crossover_bytes(const uint8_t* data1, size_t size1, const uint8_t* data2, size_t size2, uint8_t* out,
                       size_t out_max, unsigned seed) {
  Random random(seed);
  Program a;
  Program b;
  decode_any(std::span<const uint8_t>(data1, size1), &a);
  decode_any(std::span<const uint8_t>(data2, size2), &b);
  Program child = crossover(a, b, random);
  return encode_within(child, out, out_max, random);
}

}  // namespace daxfuzz::prog
