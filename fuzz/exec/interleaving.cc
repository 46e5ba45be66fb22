#include "fuzz/exec/interleaving.h"

namespace daxfuzz::exec {

void InterleavingCoverage::begin_run(sched::Touches* touches) {
  touches_ = touches;
  if (touches != nullptr) { touches->clear(); }
  for (const uint16_t cell : touched_) { counts_[cell] = 0; }
  touched_.clear();
  conflicts_.begin_run();
}

void InterleavingCoverage::on_event(const daxfs::rt::Event& event) {
  if (sched::touches_nothing(event.kind)) { return; }
  const uint32_t site = daxfs::rt::site_hash(event.site);
  if (touches_ != nullptr && event.task != daxfs::rt::kRootTask) {
    touches_->record(event, sched::access_of(event.kind) == sched::Access::kWrite, site, daxfs::rt::run_events());
  }
  const auto* const before = conflicts_.follow(event, site);
  if (before == nullptr) { return; }
  const auto cell = sched::order_cell(before->note, site);
  if (!shared_.has(event.object)) {
    shared_.add(event.object);
    shared_list_.push_back(event.object);
  }
  if (counts_[cell] == 0) { touched_.push_back(cell); }
  if (counts_[cell] != UINT8_MAX) { ++counts_[cell]; }
}

}  // namespace daxfuzz::exec
