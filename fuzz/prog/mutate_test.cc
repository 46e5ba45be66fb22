// fuzz/prog/mutate_test.cc - mutants are valid; shrinking shrinks; byte buffers behave as libFuzzer
// expects.
#include "fuzz/prog/mutate.h"

#include <algorithm>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "fuzz/prog/binary.h"
#include "fuzz/prog/fuzz_bytes.h"
#include "fuzz/prog/generate.h"
#include "fuzz/prog/text.h"

namespace daxfuzz::prog {
namespace {

TEST(Mutate, EveryMutatorChangesSomethingAndKeepsProgramsValid) {
  Options options;
  static constexpr std::string_view kImages[] = {"small", "csum"};
  options.images = kImages;
  for (size_t row = 0; row < mutators().size(); row++) {
    Random random(row);
    int changes = 0;
    for (int i = 0; i < 1000; i++) {
      Program program = generate(random, options);
      const Program before = program;
      const bool claims = apply_mutator(row, program, random, options);
      ASSERT_EQ(validate(program), "") << mutators()[row].name;
      if (!claims) { ASSERT_EQ(program.op_count(), before.op_count()) << mutators()[row].name; }
      changes += program == before ? 0 : 1;
    }
    EXPECT_GT(changes, 50) << mutators()[row].name;
  }
}

TEST(Mutate, LongChainsStayValidAndBounded) {
  Random random(5);
  Program program = generate(random);
  for (int i = 0; i < 20000; i++) {
    mutate(program, random);
    ASSERT_EQ(validate(program), "");
  }
}

TEST(Mutate, ChainNamesWhatWasDone) {
  Random random(6);
  Program program = generate(random);
  std::string chain;
  mutate(program, random, default_options(), &chain);
  ASSERT_FALSE(chain.empty());
  const std::string first = chain.substr(0, chain.find('-'));
  bool known = false;
  for (const MutatorInfo& info : mutators()) { known |= info.name == first; }
  EXPECT_TRUE(known) << chain;
}

TEST(Mutate, SameSeedSameMutant) {
  for (unsigned seed = 0; seed < 100; seed++) {
    Random random(seed);
    Random again(seed);
    Program a = generate(random);
    Program b = generate(again);
    mutate(a, random);
    mutate(b, again);
    EXPECT_EQ(print(a), print(b));
    EXPECT_EQ(random.next(), again.next());
  }
}

TEST(Crossover, ChildrenAreValidAndHavePartsOfBoth) {
  Random random(7);
  int both = 0;
  for (int i = 0; i < 5000; i++) {
    const Program a = generate(random);
    const Program b = generate(random);
    const Program child = crossover(a, b, random);
    ASSERT_EQ(validate(child), "");
    both += child != a && child != b ? 1 : 0;
  }
  EXPECT_GT(both, 3500);
}

TEST(Crossover, UnusualNamesKeepTheirText) {
  Program a = Program::minimal();
  Program b;
  std::string error;
  ASSERT_TRUE(parse("daxfuzz program 1\ntask T0\n  unlink \"first\"\n  rename \"f0\" \"second\"\n", "", &b, &error));
  Random random(8);
  int seen = 0;
  for (int i = 0; i < 200; i++) {
    const std::string text = print(crossover(a, b, random));
    seen += text.find("unlink \"first\"\n  rename \"f0\" \"second\"") != std::string::npos ? 1 : 0;
  }
  EXPECT_GT(seen, 10);
}

TEST(Shrink, ReachesEverySizeDownToTheMinimalProgram) {
  Random random(9);
  for (int i = 0; i < 500; i++) {
    const Program program = generate(random);
    const size_t size = encoded_size(program);
    const size_t max = minimal_size() + random.below(size - minimal_size());
    Program shrunk = program;
    shrink_below(shrunk, max, random);
    ASSERT_EQ(validate(shrunk), "");
    ASSERT_LE(encoded_size(shrunk), max);
    shrink_below(shrunk, 0, random);
    ASSERT_EQ(shrunk, Program::minimal());
  }
}

TEST(Shrink, DropsPartsAndKeepsTheRestAsItWas) {
  Random random(10);
  for (int i = 0; i < 200; i++) {
    const Program program = generate(random);
    Program shrunk = program;
    shrink_below(shrunk, encoded_size(program) - 1, random);
    const std::string before = print(program);
    for (const Task& task : shrunk.tasks) {
      for (const Op& op : task.ops) { ASSERT_NE(before.find(print_op(shrunk, op)), std::string::npos); }
    }
    ASSERT_LT(encoded_size(shrunk), encoded_size(program));
  }
}

TEST(FuzzBytes, ResultNeverExceedsTheMaximum) {
  Random random(11);
  for (int i = 0; i < 20000; i++) {
    std::vector<uint8_t> data(random.below(200));
    for (uint8_t& b : data) { b = static_cast<uint8_t>(random.next()); }
    const size_t size = data.size();
    const size_t max = random.below(300);
    data.resize(std::max(size, max));
    const std::vector<uint8_t> before = data;
    const size_t result = mutate_bytes(data.data(), size, max, static_cast<unsigned>(i));
    ASSERT_LE(result, max);
    ASSERT_EQ(validate(decode(std::span<const uint8_t>(data).first(result))), "");
    for (size_t k = std::max(max, result); k < data.size(); k++) {
      ASSERT_EQ(data[k], before[k]) << "wrote behind max";
    }
  }
}

// libFuzzer's -minimize_crash asks for one byte less until nothing reproduces any more.
TEST(FuzzBytes, AskedForLessAgainAndAgainItReachesNothing) {
  Random random(12);
  std::vector<uint8_t> data = encode(generate(random));
  size_t size = data.size();
  unsigned rounds = 0;
  while (size > 0) {
    const size_t next = mutate_bytes(data.data(), size, size - 1, rounds++);
    ASSERT_LT(next, size);
    size = next;
  }
  EXPECT_GT(rounds, 5u);
}

TEST(FuzzBytes, TextIsMutatedAsAProgramAndMalformedTextAsBytes) {
  const std::string text = "daxfuzz program 1\ntask T0\n  unlink \"only here\"\n";
  int kept = 0;
  for (unsigned seed = 0; seed < 50; seed++) {
    std::vector<uint8_t> data(text.begin(), text.end());
    data.resize(300);
    const size_t size = mutate_bytes(data.data(), text.size(), data.size(), seed);
    const Program program = decode(std::span<const uint8_t>(data).first(size));
    kept += print(program).find("only here") != std::string::npos ? 1 : 0;
  }
  EXPECT_GT(kept, 20);
  Program program;
  const std::string bad = "daxfuzz program one";
  decode_any({reinterpret_cast<const uint8_t*>(bad.data()), bad.size()}, &program);
  EXPECT_EQ(validate(program), "");
}

TEST(FuzzBytes, OutOfNothingComeWholePrograms) {
  int whole = 0;
  for (unsigned seed = 0; seed < 500; seed++) {
    std::vector<uint8_t> data(4096);
    const size_t size = mutate_bytes(data.data(), 0, data.size(), seed);
    const Program program = decode(std::span<const uint8_t>(data).first(size));
    whole += program.tasks.size() > 1 && program.init_op_count() > 3 ? 1 : 0;
  }
  EXPECT_GT(whole, 20);
  EXPECT_LT(whole, 100);
}

TEST(Mutators, MeetOpBringsAnOperationToTheRangeOfAnother) {
  const size_t row = static_cast<size_t>(std::find_if(mutators().begin(), mutators().end(),
                                                      [](const MutatorInfo& info) { return info.name == "meet_op"; }) -
                                         mutators().begin());
  ASSERT_LT(row, mutators().size());
  std::string error;
  Program start;
  ASSERT_TRUE(
      parse("daxfuzz program 1\nprocess P0\ntask T0 in P0\n  pwrite f0 0x41 8K 64K\n"
            "task T1 in P0\n  pread f1 buf 512 0\n",
            "test", &start, &error))
      << error;
  Random random(14);
  std::set<std::pair<int64_t, int64_t>> seen;
  for (int i = 0; i < 400; i++) {
    Program program = start;
    if (!apply_mutator(row, program, random, default_options())) { continue; }
    const Op& pread = program.tasks[1].ops[0];
    if (pread.fd == program.tasks[0].ops[0].fd) { seen.insert({pread.offset, pread.length}); }
  }
  EXPECT_TRUE(seen.contains({64 << 10, 8 << 10}));
  EXPECT_TRUE(seen.contains({68 << 10, 4 << 10}));
  EXPECT_TRUE(seen.contains({72 << 10, 8 << 10}));
}

TEST(FuzzBytes, CrossoverFitsItsBuffer) {
  Random random(13);
  for (int i = 0; i < 2000; i++) {
    const std::vector<uint8_t> a = encode(generate(random));
    const std::vector<uint8_t> b = encode(generate(random));
    std::vector<uint8_t> out(1 + random.below(400), 0xaa);
    const size_t max = out.size() - 1;
    const size_t size =
        crossover_bytes(a.data(), a.size(), b.data(), b.size(), out.data(), max, static_cast<unsigned>(i));
    ASSERT_LE(size, max);
    ASSERT_EQ(out[max], 0xaa);
  }
}

}  // namespace
}  // namespace daxfuzz::prog
