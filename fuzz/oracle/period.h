// fuzz/oracle/period.h - when an operation ran: its begin and its end, as sequence numbers of the run.
//
// Tested by: fuzz/oracle/judge_test.cc
#pragma once

#include <cstdint>

#include "fuzz/oracle/history.h"

namespace daxfuzz::oracle {

inline constexpr uint64_t kNever = UINT64_MAX;

struct Period {
  uint64_t begin = 0;
  uint64_t end = 0;

  // Ended before `other` began: its effect is in place when `other` looks.
  constexpr bool before(Period other) const { return end < other.begin; }
  constexpr bool overlaps(Period other) const { return begin < other.end && other.begin < end; }
};

// Of the call, without what a request that it began did later: while its operands were looked at.
inline Period call_period_of(const OpRecord& record) {
  return {record.begin_seq, record.submitted_seq != 0 ? record.submitted_seq : record.end_seq};
}

inline Period period_of(const OpRecord& record) { return {record.begin_seq, record.end_seq}; }

}  // namespace daxfuzz::oracle
