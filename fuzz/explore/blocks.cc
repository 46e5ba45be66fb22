#include "fuzz/explore/blocks.h"

#include <algorithm>

namespace daxfuzz::explore {

uint64_t Blocks::hash(std::span<const Touch> touches) {
  uint64_t x = touches.size();
  for (const Touch& touch : touches) {
    x = (x ^ touch.object ^ touch.write << 63) * 0x9e3779b97f4a7c15u;
    x ^= x >> 32;
  }
  return x;
}

uint32_t Blocks::number_of(std::span<const Touch> touches) {
  const auto next = static_cast<uint32_t>(count());
  const auto [at, fresh] = numbers_.try_emplace(hash(touches), next);
  if (fresh) {
    touches_.insert(touches_.end(), touches.begin(), touches.end());
    begins_.push_back(static_cast<uint32_t>(touches_.size()));
  }
  return std::ranges::equal(this->touches(at->second), touches) ? at->second : kUnknown;
}

bool Blocks::restore(std::vector<Touch> touches, std::vector<uint32_t> begins) {
  const bool whole = begins.size() >= 2 && begins.front() == 0 && begins[1] == 0 && begins.back() == touches.size() &&
                     std::ranges::is_sorted(begins);
  if (!whole) { return false; }
  touches_ = std::move(touches);
  begins_ = std::move(begins);
  numbers_.clear();
  for (uint32_t i = 1; i < count(); ++i) { numbers_.emplace(hash(this->touches(i)), i); }
  return true;
}

}  // namespace daxfuzz::explore
