// fuzz/oracle/judge_random_test.cc - the oracle never objects to correct histories, and notices most wrong bytes.
#include <gtest/gtest.h>

#include "fuzz/oracle/simulator.h"

namespace daxfuzz::oracle {
namespace {

using namespace testing;

std::string describe(Story& story) {
  std::string out;
  for (const OpRecord& r : story.history().records) {
    char line[300];
    std::snprintf(line, sizeof(line),
                  "%llu..%llu T%u %s ino %u off %lld len %lld flags %x addr %llx buf %llx fill "
                  "%02x ret %lld err %s %s\n",
                  static_cast<unsigned long long>(r.begin_seq), static_cast<unsigned long long>(r.end_seq), r.task,
                  std::string(r.op->info().name).c_str(), r.ino, static_cast<long long>(r.op->offset),
                  static_cast<long long>(r.op->length), r.op->flags, static_cast<unsigned long long>(r.address),
                  static_cast<unsigned long long>(r.buffer_address), r.op->buffer.fill, static_cast<long long>(r.ret),
                  daxfs::errc_name(r.error), signal_name(r.signal));
    out += line;
  }
  return out;
}

TEST(JudgeRandom, SequentialHistoriesAreAccepted) {
  for (uint64_t seed = 0; seed < 3000; ++seed) {
    Simulator simulator(seed);
    simulator.run(1, 20);
    ASSERT_EQ(simulator.story().said(), "") << "seed " << seed << "\n" << describe(simulator.story());
  }
}

TEST(JudgeRandom, ConcurrentHistoriesAreAccepted) {
  for (uint64_t seed = 0; seed < 10000; ++seed) {
    Simulator simulator(seed);
    simulator.run(2 + seed % 3, 2 + seed % 7);
    ASSERT_EQ(simulator.story().said(), "") << "seed " << seed << "\n" << describe(simulator.story());
  }
}

// Changes one byte of what a read or load returned.
bool spoil(Story& story, prog::Random& random) {
  std::vector<OpRecord*> readings;
  for (OpRecord& record : story.history().records) {
    const bool reads = record.op->code == OpCode::kPread || record.op->code == OpCode::kLoad;
    if (reads && !record.data.empty()) { readings.push_back(&record); }
  }
  if (readings.empty()) { return false; }
  OpRecord& record = *readings[random.below(readings.size())];
  std::vector<uint8_t> data(record.data.size());
  std::memcpy(data.data(), record.data.data(), data.size());
  data[random.below(data.size())] ^= 0xa5;
  record.data = story.keep(std::move(data));
  return true;
}

TEST(JudgeRandom, MostWrongBytesAreNoticed) {
  for (const unsigned tasks : {1u, 3u}) {
    unsigned spoiled = 0;
    unsigned noticed = 0;
    for (uint64_t seed = 0; seed < 1000; ++seed) {
      Simulator simulator(seed);
      simulator.run(tasks, 12 / tasks);
      prog::Random random(seed);
      if (!spoil(simulator.story(), random)) { continue; }
      ++spoiled;
      noticed += simulator.story().verdict().has_value();
    }
    // What is left: copies of a file onto itself, and bytes that two writers explain.
    EXPECT_GT(spoiled, 200u);
    EXPECT_GT(noticed * 100, spoiled * (tasks == 1 ? 95 : 80)) << tasks << " tasks";
    ::testing::Test::RecordProperty("noticed", static_cast<int>(noticed));
  }
}

TEST(JudgeRandom, MostWrongSizesAreNoticed) {
  unsigned spoiled = 0;
  unsigned noticed = 0;
  for (uint64_t seed = 0; seed < 1000; ++seed) {
    Simulator simulator(seed);
    simulator.run(1, 12);
    for (OpRecord& record : simulator.story().history().records) {
      if (record.op->code != OpCode::kFstat) { continue; }
      uint64_t row[4];
      std::memcpy(row, record.data.data(), sizeof(row));
      row[2] += 1;
      std::vector<uint8_t> data(sizeof(row));
      std::memcpy(data.data(), row, sizeof(row));
      record.data = simulator.story().keep(std::move(data));
      ++spoiled;
      noticed += simulator.story().verdict().has_value();
      break;
    }
  }
  // What is left: a write that failed in the middle may have grown the file.
  EXPECT_GT(spoiled, 200u);
  EXPECT_GT(noticed * 100, spoiled * 90);
}

}  // namespace
}  // namespace daxfuzz::oracle
