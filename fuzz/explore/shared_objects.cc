#include "fuzz/explore/shared_objects.h"

namespace daxfuzz::explore {

size_t SharedObjects::index_of(daxfs::rt::ObjectId object) const {
  const size_t mask = slots_.size() - 1;
  size_t i = (object * 0x9e3779b97f4a7c15u >> 20) & mask;
  while (slots_[i].task >= 0 && slots_[i].object != object) { i = (i + 1) & mask; }
  return i;
}

void SharedObjects::grow() {
  std::vector<Slot> old(slots_.size() * 2);
  old.swap(slots_);
  for (const Slot& slot : old) {
    if (slot.task >= 0) { slots_[index_of(slot.object)] = slot; }
  }
}

bool SharedObjects::restore(std::vector<Slot> slots) {
  if (slots.size() < 4096 || (slots.size() & (slots.size() - 1)) != 0) { return false; }
  size_t used = 0;
  size_t shared = 0;
  for (const Slot& slot : slots) {
    used += slot.task >= 0;
    shared += slot.task >= 0 && slot.shared();
  }
  if (used * 2 > slots.size()) { return false; }
  slots_ = std::move(slots);
  used_ = used;
  shared_ = shared;
  return true;
}

bool SharedObjects::has(daxfs::rt::ObjectId object) const { return slots_[index_of(object)].shared(); }

bool SharedObjects::note(daxfs::rt::TaskId task, Access access, daxfs::rt::ObjectId object) {
  if (access == Access::kNone) { return false; }
  if (used_ * 2 > slots_.size()) { grow(); }
  Slot& slot = slots_[index_of(object)];
  if (slot.task < 0) {
    slot.object = object;
    slot.task = static_cast<int16_t>(task);
    ++used_;
  }
  const bool before = slot.shared();
  slot.several_tasks |= slot.task != task;
  slot.written |= access == Access::kWrite;
  const bool fresh = !before && slot.shared();
  shared_ += fresh;
  return fresh;
}

}  // namespace daxfuzz::explore
