// fuzz/oracle/descriptors.h - which file and which position a descriptor stood for when an operation used it.
//
// Descriptors are shared by a process' tasks: where a close ran at the same time, the answer is "unclear".
//
// Not covered: positions of duplicated descriptors.
// Tested by: fuzz/oracle/judge_test.cc
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "fuzz/oracle/period.h"

namespace daxfuzz::oracle {

class Descriptors {
 public:
  // `order`: all records by begin; borrowed.
  void build(std::span<const OpRecord* const> order, bool starts_empty);

  // The record's inode is surely the one that the call worked on.
  bool certain(const OpRecord& record) const;
  // The open that made the descriptor; null if unclear, or if it came from dup.
  const OpRecord* opened_by(const OpRecord& record) const;
  // A getdents that surely starts at the directory's begin.
  bool first_use(const OpRecord& record) const;
  // The number that an open or dup had to return; nothing if unclear.
  std::optional<int> lowest_free(const OpRecord& record) const;
  // Where read, write or lseek started; nothing if unclear.
  std::optional<uint64_t> position(const OpRecord& record) const;

 private:
  bool moves_position(const OpRecord& record) const;

  bool starts_empty_ = false;
  std::span<const OpRecord* const> order_;
  std::vector<const OpRecord*> opens_;   // open and dup, failed ones too
  std::vector<const OpRecord*> closes_;  // successful
};

}  // namespace daxfuzz::oracle
