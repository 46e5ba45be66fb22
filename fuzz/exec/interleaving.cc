#include "fuzz/exec/interleaving.h"

namespace daxfuzz::exec {
namespace {

using daxfs::rt::PointKind;

// Accesses that leave the object as it was.
bool only_reads(PointKind kind) {
  switch (kind) {
    case PointKind::kAtomicLoad:
    case PointKind::kPteRead:
    case PointKind::kTreeRead:
    case PointKind::kUserLoad:
      return true;
    default:
      return false;
  }
}

constexpr uint64_t mix(uint64_t x) {
  x ^= x >> 31;
  x *= 0x9e3779b97f4a7c15;
  x ^= x >> 29;
  return x;
}

}  // namespace

void InterleavingCoverage::begin_run(sched::Touches* touches) {
  touches_ = touches;
  if (touches != nullptr) { touches->clear(); }
  for (const uint16_t cell : touched_) { counts_[cell] = 0; }
  touched_.clear();
  ++run_;
}

void InterleavingCoverage::on_event(const daxfs::rt::Event& event) {
  // Begins and ends of operations, yields and task points say nothing about shared state.
  if (event.kind == PointKind::kOpBegin || event.kind == PointKind::kOpEnd || event.kind == PointKind::kYield ||
      event.kind == PointKind::kTask) {
    return;
  }
  Last& last = last_[mix(event.object) % kObjects];
  const uint32_t site = daxfs::rt::site_hash(event.site);
  const bool write = !only_reads(event.kind);
  if (touches_ != nullptr && event.task != daxfs::rt::kRootTask) { touches_->record(event, write); }
  if (last.run == run_ && last.object == event.object && last.task != event.task && (write || last.write)) {
    const auto cell = static_cast<uint16_t>(mix(uint64_t{last.site} << 32 | site) % kCells);
    if (!shared_.has(event.object)) {
      shared_.add(event.object);
      shared_list_.push_back(event.object);
    }
    if (counts_[cell] == 0) { touched_.push_back(cell); }
    if (counts_[cell] != UINT8_MAX) { ++counts_[cell]; }
  }
  last = {event.object, run_, site, event.task, write};
}

}  // namespace daxfuzz::exec
