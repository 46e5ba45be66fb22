// fuzz/oracle/mappings.h - what a process' addresses meant, and when: a model built from what mmap, munmap and
// mremap said.
//
// A region is a run of addresses that one successful mmap or mremap gave one meaning, with the periods of its birth and
// death. Between them it surely has that meaning; during them it may. An access is certain where one region surely
// lived from its begin to its end.
//
// The harness gives direct I/O an anonymous scratch mapping of unknown place (fuzz/exec/interpreter.cc): always where
// nothing certain is, so only unclear accesses and unmappings can meet it.
//
// Tested by: fuzz/oracle/judge_test.cc
#pragma once

#include <cstdint>
#include <vector>

#include "fuzz/oracle/file_history.h"
#include "fuzz/oracle/period.h"

namespace daxfuzz::oracle {

struct Region {
  uint64_t begin = 0;  // addresses
  uint64_t end = 0;
  uint64_t offset = 0;          // in the file, of `begin`
  FileHistory* file = nullptr;  // null: anonymous memory, or unknown
  bool unknown = false;         // may be anything
  bool shared = false;
  uint8_t prot = 0;
  bool prot_certain = true;
  uint64_t copied_from = kNever;  // private: pages may be copies from here on
  Period born;
  Period dies = {kNever, kNever};

  bool lives_throughout(Period period) const { return born.end < period.begin && dies.begin > period.end; }
  bool may_live(Period period) const { return born.begin < period.end && dies.end > period.begin; }
  bool follows_file(Period period) const {  // its bytes are the file's
    return file != nullptr && (shared || copied_from > period.end);
  }
};

class Mappings {
 public:
  void reset() {
    regions_.clear();
    unmaps_.clear();
    scratches_.clear();
    protects_.clear();
  }

  // --- in order of begin
  void map(Region region);
  // Nothing of [begin, end) that lived before does so afterwards; not `certain`: perhaps.
  void unmap(uint64_t begin, uint64_t end, Period period, bool certain);
  void protect(uint64_t begin, uint64_t end, Period period) { protects_.push_back({begin, end, period}); }
  // A transfer through scratch memory.
  void scratch(Period period) { scratches_.push_back({period, false}); }
  // After the last: what scratch mappings and protections make unclear.
  void finish();

  // The only region that can be at `address` throughout the period; null if that is unclear.
  Region* certain_at(uint64_t address, Period period);
  bool surely_mapped(uint64_t begin, uint64_t end, Period period);
  // No mapping of the program, nor scratch memory, can have been at the address at any time of the period.
  bool surely_unmapped(uint64_t address, Period period) const;
  // Whether the scratch memory of the transfer with this period may have been unmapped, or unmapped
  // by another transfer.
  bool scratch_in_doubt(Period period) const;

  // Calls piece(Region*, begin, end) for each run of [begin, end) that has one certain region, and with null otherwise.
  template <typename Piece>
  void for_each_piece(uint64_t begin, uint64_t end, Period period, Piece piece) {
    uint64_t at = begin;
    while (at < end) {
      Region* const region = certain_at(at, period);
      uint64_t until = end;
      if (region != nullptr) {
        until = region->end < end ? region->end : end;
      } else {
        for (const Region& other : regions_) {
          if (other.begin > at && other.begin < until) { until = other.begin; }
          if (other.begin <= at && other.end > at && other.end < until) { until = other.end; }
        }
      }
      piece(region, at, until);
      at = until;
    }
  }

  // Calls piece(Region&, begin, end) for each region that may be met.
  template <typename Piece>
  void for_each_possible(uint64_t begin, uint64_t end, Period period, Piece piece) {
    for (Region& region : regions_) {
      if (region.begin >= end || region.end <= begin || !region.may_live(period)) { continue; }
      piece(region, region.begin > begin ? region.begin : begin, region.end < end ? region.end : end);
    }
  }

 private:
  struct Range {
    uint64_t begin;
    uint64_t end;
    Period period;
    bool inside = false;  // of certain regions: no scratch memory was there
  };

  std::vector<Region> regions_;
  std::vector<Range> unmaps_;
  std::vector<Range> protects_;
  struct Scratch {
    Period period;
    bool in_doubt;
  };
  bool unmapped_during(Period period) const;

  std::vector<Scratch> scratches_;
};

}  // namespace daxfuzz::oracle
