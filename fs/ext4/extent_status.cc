// fs/ext4/extent_status.cc - ranges in order, cut where they overlap.
#include "fs/ext4/extent_status.h"

#include <algorithm>
#include <utility>

#include "fs/base/report.h"
#include "fs/rt/step.h"
#include "fs/rt/trace.h"

namespace daxfs::ext4 {

namespace {

using Range = ExtentStatus::Range;

// The part of `range` from `at` on.
Range tail(Range range, uint64_t at) {
  if (range.state != ExtentStatus::State::kHole) { range.pblk = range.pblk + (at - range.lblk.value()); }
  range.lblk = LogicalBlock(static_cast<uint32_t>(at));
  return range;
}

uint64_t traced(ExtentStatus::State state) {
  switch (state) {
    case ExtentStatus::State::kHole: return static_cast<uint64_t>(CachedState::kHole);
    case ExtentStatus::State::kWritten: return static_cast<uint64_t>(CachedState::kWritten);
    case ExtentStatus::State::kUnwritten: return static_cast<uint64_t>(CachedState::kUnwritten);
  }
  return 0;
}

void trace_change(Ino ino, const Range& range, uint64_t before, uint64_t now) {
  FS_TRACE_WRITE(cached_extent_ref(ino, range.lblk.value(), range.length()), before, now);
}

}  // namespace

std::optional<Range> ExtentStatus::lookup(LogicalBlock lblk, uint32_t len) const {
  const RawGuard guard(lock_);
  for (const Range& range : ranges_) {
    if (range.end <= lblk.value()) { continue; }
    if (range.lblk > lblk || range.end < uint64_t{lblk.value()} + len) { break; }
    FS_TRACE_READ(cached_extent_ref(ino_, lblk.value(), len), traced(range.state));
    return range;
  }
  return std::nullopt;
}

void ExtentStatus::remove_locked(uint64_t first, uint64_t end) {
  for (size_t i = 0; i < ranges_.size();) {
    const Range range = ranges_[i];
    if (range.end <= first || range.lblk.value() >= end) {
      ++i;
      continue;
    }
    ranges_.erase(ranges_.begin() + static_cast<ptrdiff_t>(i));
    Range gone = range;
    gone.lblk = LogicalBlock(static_cast<uint32_t>(std::max<uint64_t>(range.lblk.value(), first)));
    gone.end = std::min(range.end, end);
    trace_change(ino_, gone, traced(range.state), static_cast<uint64_t>(CachedState::kNothing));
    if (range.end > end) { ranges_.insert(ranges_.begin() + static_cast<ptrdiff_t>(i), tail(range, end)); }
    if (range.lblk.value() < first) {
      Range head = range;
      head.end = first;
      ranges_.insert(ranges_.begin() + static_cast<ptrdiff_t>(i), head);
      ++i;
    }
  }
}

void ExtentStatus::insert(const Range& range) {
  FS_BUG_ON(range.length() == 0 || range.end <= range.lblk.value(), "ES1", "a range of no blocks at %u",
            range.lblk.value());
  const RawGuard guard(lock_);
  remove_locked(range.lblk.value(), range.end);
  if (ranges_.size() >= kRangesMax) { clear_locked(); }
  const auto at =
      std::find_if(ranges_.begin(), ranges_.end(), [&](const Range& other) { return other.lblk > range.lblk; });
  ranges_.insert(at, range);
  trace_change(ino_, range, static_cast<uint64_t>(CachedState::kNothing), traced(range.state));
}

void ExtentStatus::remove(LogicalBlock first, uint64_t end) {
  const RawGuard guard(lock_);
  remove_locked(first.value(), end);
}

void ExtentStatus::clear() {
  const RawGuard guard(lock_);
  clear_locked();
}

void ExtentStatus::clear_locked() {
  for (const Range& range : ranges_) {
    trace_change(ino_, range, traced(range.state), static_cast<uint64_t>(CachedState::kNothing));
  }
  ranges_.clear();
}

std::vector<Range> ExtentStatus::ranges() const {
  const RawGuard guard(lock_);
  return ranges_;
}

// --- delayed blocks

void ExtentStatus::tell_delayed(rt::PointKind kind) const {
  rt::also(kind, rt::object_id(rt::ObjectClass::kInode, ino_.value()));
}

bool ExtentStatus::delayed_in(uint64_t first, uint64_t end) const {
  return std::any_of(delayed_.begin(), delayed_.end(),
                     [&](const Delayed& range) { return range.begin < end && range.end > first; });
}

void ExtentStatus::add_delayed_locked(uint64_t first, uint64_t end) {
  Delayed merged{.begin = first, .end = end};
  std::erase_if(delayed_, [&](const Delayed& range) {
    const bool touches = range.begin <= merged.end && range.end >= merged.begin;
    if (touches) { merged = {std::min(range.begin, merged.begin), std::max(range.end, merged.end)}; }
    return touches;
  });
  const auto at =
      std::find_if(delayed_.begin(), delayed_.end(), [&](const Delayed& range) { return range.begin > merged.begin; });
  delayed_.insert(at, merged);
}

void ExtentStatus::add_delayed(LogicalBlock first, uint64_t end) {
  tell_delayed(rt::PointKind::kAtomicRmw);
  const RawGuard guard(lock_);
  add_delayed_locked(first.value(), end);
}

void ExtentStatus::remove_delayed(LogicalBlock first, uint64_t end) {
  tell_delayed(rt::PointKind::kAtomicRmw);
  const RawGuard guard(lock_);
  const uint64_t begin = first.value();
  if (!delayed_in(begin, end)) { return; }
  std::vector<Delayed> kept;
  for (const Delayed& range : delayed_) {
    if (range.begin < begin) { kept.push_back({range.begin, std::min(range.end, begin)}); }
    if (range.end > end) { kept.push_back({std::max(range.begin, end), range.end}); }
  }
  delayed_ = std::move(kept);
}

void ExtentStatus::spread_delayed(LogicalBlock first, uint64_t end) {
  tell_delayed(rt::PointKind::kAtomicRmw);
  const RawGuard guard(lock_);
  if (delayed_in(first.value(), end)) { add_delayed_locked(first.value(), end); }
}

bool ExtentStatus::is_delayed(LogicalBlock lblk) const {
  tell_delayed(rt::PointKind::kAtomicLoad);
  const RawGuard guard(lock_);
  return delayed_in(lblk.value(), uint64_t{lblk.value()} + 1);
}

std::optional<ExtentStatus::Delayed> ExtentStatus::next_delayed(LogicalBlock lblk) const {
  tell_delayed(rt::PointKind::kAtomicLoad);
  const RawGuard guard(lock_);
  const auto next = std::ranges::find_if(delayed_, [&](const Delayed& range) { return range.end > lblk.value(); });
  return next == delayed_.end() ? std::nullopt : std::optional(*next);
}

bool ExtentStatus::has_delayed() const {
  tell_delayed(rt::PointKind::kAtomicLoad);
  const RawGuard guard(lock_);
  return !delayed_.empty();
}

std::vector<ExtentStatus::Delayed> ExtentStatus::delayed() const {
  const RawGuard guard(lock_);
  return delayed_;
}

}  // namespace daxfs::ext4
