#include "props/extent_status_steps.h"

#include <algorithm>
#include <map>
#include <optional>
#include <set>

#include "fs/ext4/extent_status.h"
#include "props/draw.h"

namespace daxfuzz::props {
namespace {

using daxfs::FsBlock;
using daxfs::LogicalBlock;
using daxfs::ext4::ExtentStatus;
using State = ExtentStatus::State;

constexpr uint32_t kSpan = 120;  // enough for more ranges than the cache keeps

struct Block {
  State state = State::kHole;
  uint64_t physical = 0;  // 0 of a hole
  bool operator==(const Block&) const = default;
};

class StatusSteps {
 public:
  std::string step(uint64_t word) {
    Draw draw(word);
    const uint64_t kind = draw.below(10);
    const auto first = static_cast<uint32_t>(draw.below(kSpan));
    const uint64_t end = first + 1 + draw.below(draw.below(4) == 0 ? 40 : 3);
    switch (kind) {
      case 0:
      case 1:
      case 2:
      case 3: return insert(first, end, draw);
      case 4:
        cache_.remove(LogicalBlock(first), end);
        known_.erase(known_.lower_bound(first), known_.lower_bound(static_cast<uint32_t>(end)));
        break;
      case 5:
        if (draw.below(8) != 0) { return look_up(first, end); }
        cache_.clear();
        known_.clear();
        break;
      case 6:
        cache_.add_delayed(LogicalBlock(first), end);
        for (uint64_t at = first; at < end; ++at) { delayed_.insert(at); }
        break;
      case 7:
        cache_.remove_delayed(LogicalBlock(first), end);
        delayed_.erase(delayed_.lower_bound(first), delayed_.lower_bound(end));
        break;
      case 8: {
        cache_.spread_delayed(LogicalBlock(first), end);
        const auto inside = delayed_.lower_bound(first);
        if (inside == delayed_.end() || *inside >= end) { break; }
        for (uint64_t at = first; at < end; ++at) { delayed_.insert(at); }
        break;
      }
      default: return look_up(first, end);
    }
    return compare();
  }

 private:
  std::string insert(uint32_t first, uint64_t end, Draw& draw) {
    const State state = static_cast<State>(draw.below(3));
    const uint64_t physical = state == State::kHole ? 0 : 1000 + draw.below(1000);
    const ExtentStatus::Range range{.lblk = LogicalBlock(first), .end = end, .pblk = FsBlock(physical), .state = state};
    cache_.insert(range);
    for (uint64_t at = first; at < end; ++at) {
      known_[static_cast<uint32_t>(at)] = {state, physical == 0 ? 0 : physical + (at - first)};
    }
    const auto found = cache_.lookup(LogicalBlock(first), static_cast<uint32_t>(end - first));
    if (found != range) { return "what was just inserted at " + std::to_string(first) + " is not found"; }
    return compare();
  }

  std::string look_up(uint32_t first, uint64_t end) const {
    const auto found = cache_.lookup(LogicalBlock(first), static_cast<uint32_t>(end - first));
    if (!found) { return {}; }
    if (found->lblk.value() > first || found->end < end) { return "a range that does not cover the request"; }
    return check(*found);
  }

  std::string check(const ExtentStatus::Range& range) const {
    for (uint64_t at = range.lblk.value(); at < range.end; ++at) {
      const auto known = known_.find(static_cast<uint32_t>(at));
      const uint64_t physical = range.state == State::kHole ? 0 : range.pblk.value() + (at - range.lblk.value());
      if (known == known_.end() || known->second != Block{range.state, physical}) {
        return "block " + std::to_string(at) + " is not what it was said to be";
      }
    }
    return {};
  }

  std::string compare() const {
    uint64_t behind = 0;
    for (const ExtentStatus::Range& range : cache_.ranges()) {
      if (range.lblk.value() < behind || range.end <= range.lblk.value()) {
        return "ranges overlap or are out of order";
      }
      behind = range.end;
      if (std::string wrong = check(range); !wrong.empty()) { return wrong; }
    }
    std::set<uint64_t> delayed;
    std::optional<uint64_t> last;
    for (const ExtentStatus::Delayed& range : cache_.delayed()) {
      if (range.begin >= range.end || (last && range.begin <= *last)) { return "delayed ranges touch or are empty"; }
      last = range.end;
      for (uint64_t at = range.begin; at < range.end; ++at) { delayed.insert(at); }
    }
    if (delayed != delayed_ || cache_.has_delayed() == delayed_.empty()) { return "other blocks are delayed"; }
    for (uint32_t at = 0; at < kSpan; at += 7) {
      if (cache_.is_delayed(LogicalBlock(at)) != delayed_.contains(at)) { return "is_delayed " + std::to_string(at); }
      const auto next = cache_.next_delayed(LogicalBlock(at));
      const auto expected = delayed_.lower_bound(at);
      if (next.has_value() != (expected != delayed_.end()) ||
          (next && std::max<uint64_t>(next->begin, at) != *expected)) {
        return "next_delayed " + std::to_string(at);
      }
    }
    return {};
  }

  ExtentStatus cache_;
  std::map<uint32_t, Block> known_;
  std::set<uint64_t> delayed_;
};

}  // namespace

std::string extent_status_steps(const std::vector<uint64_t>& words) {
  StatusSteps steps;
  for (size_t i = 0; i < words.size(); ++i) {
    if (std::string wrong = steps.step(words[i]); !wrong.empty()) {
      return "after operation " + std::to_string(i + 1) + ": " + wrong;
    }
  }
  return {};
}

}  // namespace daxfuzz::props
