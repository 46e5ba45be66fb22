// fuzz/bench/prog_bench.cc - the cost of programs as values: codecs, generation, mutation.
//
// A fuzzer decodes, mutates and encodes once a run; a run takes tens of microseconds.
#include <cstring>
#include <string>
#include <vector>

#include <benchmark/benchmark.h>

#include "fuzz/prog/binary.h"
#include "fuzz/prog/fuzz_bytes.h"
#include "fuzz/prog/generate.h"
#include "fuzz/prog/mutate.h"
#include "fuzz/prog/text.h"

namespace daxfuzz::prog {
namespace {

constexpr size_t kPrograms = 1000;

const std::vector<Program>& programs() {
  static const std::vector<Program> made = [] {
    std::vector<Program> out;
    Random random(1);
    for (size_t i = 0; i < kPrograms; i++) { out.push_back(generate(random)); }
    return out;
  }();
  return made;
}

void generate_program(benchmark::State& state) {
  Random random(1);
  for (auto _ : state) { benchmark::DoNotOptimize(generate(random)); }
}
BENCHMARK(generate_program);

void decode_program(benchmark::State& state) {
  std::vector<std::vector<uint8_t>> encodings;
  for (const Program& program : programs()) { encodings.push_back(encode(program)); }
  Program program;
  size_t i = 0;
  for (auto _ : state) {
    decode(encodings[i++ % kPrograms], &program);
    benchmark::DoNotOptimize(program);
  }
}
BENCHMARK(decode_program);

void encode_program(benchmark::State& state) {
  uint8_t bytes[4096];
  size_t i = 0;
  for (auto _ : state) { benchmark::DoNotOptimize(encode(programs()[i++ % kPrograms], bytes)); }
}
BENCHMARK(encode_program);

void decode_mutate_encode(benchmark::State& state) {
  std::vector<std::vector<uint8_t>> encodings;
  for (const Program& program : programs()) { encodings.push_back(encode(program)); }
  uint8_t bytes[4096];
  unsigned i = 0;
  for (auto _ : state) {
    const std::vector<uint8_t>& from = encodings[i % kPrograms];
    std::memcpy(bytes, from.data(), from.size());
    benchmark::DoNotOptimize(mutate_bytes(bytes, from.size(), sizeof(bytes), i++));
  }
}
BENCHMARK(decode_mutate_encode);

void parse_text(benchmark::State& state) {
  std::vector<std::string> texts;
  for (const Program& program : programs()) { texts.push_back(print(program)); }
  Program program;
  std::string error;
  size_t i = 0;
  for (auto _ : state) { benchmark::DoNotOptimize(parse(texts[i++ % kPrograms], "", &program, &error)); }
}
BENCHMARK(parse_text);

}  // namespace
}  // namespace daxfuzz::prog
