// props/prog_codec_props.cc - properties of the program codecs, generator, mutators and shrinker.
//
// Programs come from two sources: arbitrary bytes through the decoder (any shape the format allows)
// and the generator (shapes that fuzzing uses). RapidCheck shrinks bytes and seeds; RC_PARAMS in
// the environment sets seed and number of cases.
#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include <rapidcheck.h>

#include "fuzz/prog/binary.h"
#include "fuzz/prog/fuzz_bytes.h"
#include "fuzz/prog/generate.h"
#include "fuzz/prog/mutate.h"
#include "fuzz/prog/text.h"

namespace daxfuzz::prog {
namespace {

using Bytes = std::vector<uint8_t>;

// Half of all programs from each source; bytes are scaled up so that several tasks and strings
// appear.
Program arbitrary_program() {
  if (*rc::gen::arbitrary<bool>()) {
    const auto size = *rc::gen::inRange<size_t>(0, 1200);
    return decode(*rc::gen::container<Bytes>(size, rc::gen::arbitrary<uint8_t>()));
  }
  Random random(*rc::gen::arbitrary<uint64_t>());
  return generate(random);
}

void require_valid(const Program& program) { RC_ASSERT(validate(program) == std::string()); }

bool codec_properties() {
  bool ok = true;
  ok &= rc::check("any bytes decode to a valid program", [](const Bytes& bytes) { require_valid(decode(bytes)); });
  ok &= rc::check("decode(encode(p)) == p", [] {
    const Program program = arbitrary_program();
    require_valid(program);
    const Bytes bytes = encode(program);
    RC_ASSERT(bytes.size() == encoded_size(program));
    RC_ASSERT(decode(bytes) == program);
    RC_ASSERT(binary_version(bytes) == kFormatVersion);
    RC_ASSERT(!is_text(bytes));
  });
  ok &= rc::check("parse(print(p)) == p, and printing is canonical", [] {
    const Program program = arbitrary_program();
    const std::string text = print(program);
    Program back;
    std::string error;
    RC_ASSERT(parse(text, "text", &back, &error));
    RC_ASSERT(back == program);
    RC_ASSERT(print(back) == text);
  });
  ok &= rc::check("text to binary to text is the identity", [] {
    const std::string text = print(arbitrary_program());
    Program back;
    std::string error;
    RC_ASSERT(parse(text, "text", &back, &error));
    RC_ASSERT(print(decode(encode(back))) == text);
  });
  ok &= rc::check("no text crashes the parser", [](const std::string& tail) {
    Program program;
    std::string error;
    if (parse("daxfuzz program 1\ntask T0\n" + tail, "text", &program, &error)) {
      require_valid(program);
    } else {
      RC_ASSERT(error.starts_with("text:"));
    }
  });
  return ok;
}

bool transformation_properties() {
  bool ok = true;
  ok &= rc::check("the same seed generates the same program and leaves the same next number", [](uint64_t seed) {
    Random a(seed);
    Random b(seed);
    RC_ASSERT(print(generate(a)) == print(generate(b)));
    RC_ASSERT(a.next() == b.next());
  });
  ok &= rc::check("mutants are valid and depend on the seed alone", [](uint64_t seed) {
    const Program program = arbitrary_program();
    Random a(seed);
    Random b(seed);
    Program first = program;
    Program second = program;
    mutate(first, a);
    mutate(second, b);
    require_valid(first);
    RC_ASSERT(first == second);
    RC_ASSERT(a.next() == b.next());
  });
  ok &= rc::check("every mutator alone keeps programs valid", [](uint64_t seed) {
    Program program = arbitrary_program();
    Random random(seed);
    apply_mutator(*rc::gen::inRange<size_t>(0, mutators().size()), program, random, default_options());
    require_valid(program);
  });
  ok &= rc::check("children of a crossover are valid", [](uint64_t seed) {
    const Program a = arbitrary_program();
    const Program b = arbitrary_program();
    Random random(seed);
    require_valid(crossover(a, b, random));
  });
  ok &= rc::check("shrinking gives a valid program of at most the size asked for, strictly smaller", [](uint64_t seed) {
    const Program program = arbitrary_program();
    const size_t size = encoded_size(program);
    RC_PRE(size > minimal_size());
    const auto max = *rc::gen::inRange(minimal_size(), size);
    Program shrunk = program;
    Random random(seed);
    shrink_below(shrunk, max, random);
    require_valid(shrunk);
    RC_ASSERT(encoded_size(shrunk) <= max);
    RC_ASSERT(encoded_size(shrunk) < size);
  });
  ok &= rc::check("byte mutation respects its maximum and decodes to a valid program", [](Bytes bytes, unsigned seed) {
    const size_t size = bytes.size();
    const auto max = *rc::gen::inRange<size_t>(0, 2 * size + 64);
    bytes.resize(std::max(size, max));
    const size_t result = mutate_bytes(bytes.data(), size, max, seed);
    RC_ASSERT(result <= max);
    if (max < size) { RC_ASSERT(result < size); }
    require_valid(decode(std::span<const uint8_t>(bytes).first(result)));
  });
  return ok;
}

}  // namespace
}  // namespace daxfuzz::prog

int main() {
  const bool codec = daxfuzz::prog::codec_properties();
  const bool transformation = daxfuzz::prog::transformation_properties();
  return codec && transformation ? 0 : 1;
}
