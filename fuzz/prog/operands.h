// fuzz/prog/operands.h - random operands that mostly mean something where they stand.
//
// Tested by: fuzz/prog/generate_test.cc
#pragma once

#include <cstdint>

#include "fs/base/types.h"
#include "fuzz/prog/options.h"
#include "fuzz/prog/program.h"
#include "fuzz/prog/random.h"
#include "fuzz/prog/world.h"

namespace daxfuzz::prog {

inline constexpr int64_t kPage = daxfs::kPageSize;  // signed, as offsets of operations are
inline constexpr int64_t kSector = daxfs::kSectorSize;

class OperandMaker {
 public:
  OperandMaker(const World& world, uint8_t process, Random& random, const Options& options)
      : world_(world), process_(process), random_(random), options_(options) {}

  // Gives the operand of `op` that `kind` names a new value.
  void randomise(OperandKind kind, Op& op);
  // Gives every operand, and the result, a new value.
  void randomise_all(Op& op);
  // Makes one operand of `op` such that the call is to be refused, mostly.
  void spoil(Op& op);
  uint8_t result_slot();

 private:
  uint8_t fd();
  uint8_t path();
  uint8_t border_of_link();
  Memory address(int64_t length);
  Memory buffer(const Op& op, bool source);
  Memory fill();
  int64_t size_of_target(const Op& op) const;
  int64_t offset(int64_t file_size);
  int64_t length(int64_t file_size);
  int64_t odd_size();
  int64_t huge_border();
  uint32_t flags(OperandKind kind);
  uint8_t bound_mapping();

  const World& world_;
  uint8_t process_;
  Random& random_;
  const Options& options_;
};

// A random anchor in `program`.
Preemption random_preemption(const Program& program, Random& random, const Options& options);

}  // namespace daxfuzz::prog
