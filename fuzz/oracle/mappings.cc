#include "fuzz/oracle/mappings.h"

#include <algorithm>

namespace daxfuzz::oracle {

void Mappings::map(Region region) {
  // An unmapping at the same time may have come after.
  for (const Range& unmap : unmaps_) {
    if (unmap.period.begin == region.born.begin) { continue; }  // the same call makes room first
    if (unmap.begin < region.end && region.begin < unmap.end && unmap.period.end > region.born.begin) {
      region.dies.begin = std::min(region.dies.begin, region.born.begin);
    }
  }
  regions_.push_back(region);
}

void Mappings::unmap(uint64_t begin, uint64_t end, Period period, bool certain) {
  if (begin >= end) { return; }
  const bool inside = surely_mapped(begin, end, period);
  const size_t count = regions_.size();  // pieces are appended
  for (size_t i = 0; i < count; ++i) {
    Region region = regions_[i];
    if (region.begin >= end || region.end <= begin || !region.may_live(period)) { continue; }
    if (region.begin < begin) {
      Region left = region;
      left.end = begin;
      regions_.push_back(left);
    }
    if (region.end > end) {
      Region right = region;
      right.offset += end - region.begin;
      right.begin = end;
      regions_.push_back(right);
    }
    if (region.begin < begin) {
      region.offset += begin - region.begin;
      region.begin = begin;
    }
    region.end = std::min(region.end, end);
    region.dies.begin = std::min(region.dies.begin, period.begin);
    if (certain && region.born.before(period)) { region.dies.end = std::min(region.dies.end, period.end); }
    regions_[i] = region;
  }
  unmaps_.push_back({begin, end, period, inside});
}

bool Mappings::unmapped_during(Period period) const {
  return std::any_of(unmaps_.begin(), unmaps_.end(),
                     [&](const Range& unmap) { return !unmap.inside && unmap.period.overlaps(period); });
}

bool Mappings::scratch_in_doubt(Period period) const {
  return std::any_of(scratches_.begin(), scratches_.end(),
                     [&](const Scratch& scratch) { return scratch.in_doubt && scratch.period.begin == period.begin; });
}

void Mappings::finish() {
  // Two at once: what the first removed may be scratch memory when the second comes.
  for (Range& unmap : unmaps_) {
    unmap.inside = unmap.inside && std::none_of(unmaps_.begin(), unmaps_.end(), [&](const Range& other) {
                     return &other != &unmap && other.begin < unmap.end && unmap.begin < other.end &&
                            other.period.overlaps(unmap.period);
                   });
  }
  // Somebody may have unmapped the scratch memory. Then the transfer's own munmap removes what came to its place: a new
  // mapping, or another transfer's scratch memory, and so on.
  for (bool again = true; again;) {
    again = false;
    for (Scratch& scratch : scratches_) {
      if (scratch.in_doubt) { continue; }
      scratch.in_doubt = unmapped_during(scratch.period) ||
                         std::any_of(scratches_.begin(), scratches_.end(), [&](const Scratch& other) {
                           return other.in_doubt && other.period.overlaps(scratch.period);
                         });
      again |= scratch.in_doubt;
    }
  }
  for (const Scratch& scratch : scratches_) {
    if (!scratch.in_doubt) { continue; }
    for (Region& region : regions_) {
      if (region.born.overlaps(scratch.period)) { region.dies.begin = std::min(region.dies.begin, region.born.begin); }
    }
  }
  for (const Range& range : protects_) {
    for (Region& region : regions_) {
      const bool met = region.begin < range.end && range.begin < region.end;
      if (met && region.may_live(range.period)) { region.prot_certain = false; }
    }
  }
}

Region* Mappings::certain_at(uint64_t address, Period period) {
  for (Region& region : regions_) {
    if (region.begin <= address && address < region.end && region.lives_throughout(period)) {
      return region.unknown ? nullptr : &region;
    }
  }
  return nullptr;
}

bool Mappings::surely_unmapped(uint64_t address, Period period) const {
  return std::none_of(regions_.begin(), regions_.end(),
                      [&](const Region& region) {
                        return region.begin <= address && address < region.end && region.may_live(period);
                      }) &&
         std::none_of(scratches_.begin(), scratches_.end(),
                      [&](const Scratch& scratch) { return scratch.in_doubt || scratch.period.overlaps(period); });
}

bool Mappings::surely_mapped(uint64_t begin, uint64_t end, Period period) {
  bool mapped = true;
  for_each_piece(begin, end, period, [&](const Region* region, uint64_t, uint64_t) { mapped &= region != nullptr; });
  return mapped;
}

}  // namespace daxfuzz::oracle
