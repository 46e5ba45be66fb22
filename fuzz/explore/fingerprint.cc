#include "fuzz/explore/fingerprint.h"

namespace daxfuzz::explore {
namespace {

using daxfs::rt::ObjectId;
using daxfs::rt::PointKind;

constexpr uint64_t mix(uint64_t a, uint64_t b) {
  uint64_t x = (a ^ (b + 0x9e3779b97f4a7c15u + (a << 6) + (a >> 2))) * 0xbf58476d1ce4e5b9u;
  x ^= x >> 29;
  x *= 0x94d049bb133111ebu;
  return x ^ (x >> 32);
}

}  // namespace

Fingerprint::Fingerprint() : slots_(4096) {}

void Fingerprint::reset() {
  ++epoch_;
  used_ = 0;
  sum_ = 0;
  task_.fill(0);
}

void Fingerprint::grow() {
  std::vector<Slot> old(slots_.size() * 2);
  old.swap(slots_);
  for (const Slot& s : old) {
    if (s.epoch == epoch_) { slot(s.object) = s; }
  }
}

Fingerprint::Slot& Fingerprint::slot(ObjectId object) {
  const size_t mask = slots_.size() - 1;
  for (size_t i = mix(object, 0) & mask;; i = (i + 1) & mask) {
    if (slots_[i].epoch != epoch_) { return slots_[i]; }
    if (slots_[i].object == object) { return slots_[i]; }
  }
}

void Fingerprint::add(daxfs::rt::TaskId task, PointKind kind, ObjectId raw_object) {
  const Access access = access_of(kind);
  const ObjectId object = object_of(kind, raw_object);
  uint64_t hash =
      mix(task_[static_cast<size_t>(task)], (static_cast<uint64_t>(task) << 8) | static_cast<uint64_t>(kind));
  if (access != Access::kNone) {
    if (used_ * 2 > slots_.size()) { grow(); }
    Slot& at = slot(object);
    if (at.epoch != epoch_) {
      at = {.object = object, .epoch = epoch_};
      ++used_;
    }
    hash = mix(mix(hash, object), at.version);
    if (access == Access::kWrite) {
      hash = mix(hash, at.reads);
      at.version = hash;
      at.reads = 0;
    } else {
      at.reads += hash;
    }
  }
  task_[static_cast<size_t>(task)] = hash;
  sum_ += hash;
}

}  // namespace daxfuzz::explore
