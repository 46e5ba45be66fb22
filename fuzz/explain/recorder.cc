// fuzz/explain/recorder.cc - appending records; looking names up.
#include "fuzz/explain/recorder.h"

#include "fs/rt/task.h"

namespace daxfuzz::explain {

using daxfs::Noun;
using daxfs::ObjectRef;
using daxfs::rt::ObjectClass;
using daxfs::rt::TaskId;

void Recorder::begin_run() {
  records_.clear();
  records_.reserve(size_t{1} << 14);
  dropped_ = 0;
  for (Place& place : places_) { place = {}; }
  names_.clear();
  mappings_.clear();
}

Record* Recorder::append(Record::Kind kind) {
  const TaskId task = daxfs::rt::current_task();
  Place& place = places_[task];
  // A lock is taken after its point: by the task's next record it is known how.
  if (place.lock != kNoRecord) {
    Record& lock = records_[place.lock];
    lock.held = daxfs::rt::held_mode(lock.id);
    place.lock = kNoRecord;
  }
  if (records_.size() == kRecordsMax) {
    ++dropped_;
    return nullptr;
  }
  Record& record = records_.emplace_back();
  record.kind = kind;
  record.task = task;
  record.op = place.op;
  record.event = place.event;
  return &record;
}

void Recorder::on_event(const daxfs::rt::Event& event) {
  Record* record = append(Record::Kind::kEvent);
  places_[event.task].op = event.op;
  places_[event.task].event = event.event_in_op;
  if (record == nullptr) { return; }
  record->op = event.op;
  record->event = event.event_in_op;
  record->point = event.kind;
  record->name = event.waits_for;
  record->id = event.object;
  const ObjectClass cls = daxfs::rt::object_class(event.object);
  if (cls == ObjectClass::kLock) { record->object = daxfs::lock_ref(event.object); }
  if (cls == ObjectClass::kWaitQueue) { record->object = daxfs::wait_ref(event.object); }
  if (event.kind == daxfs::rt::PointKind::kLock) { places_[event.task].lock = records_.size() - 1; }
  record->file = event.site.file_name();
  record->line = event.site.line();
}

void Recorder::on_scope_begin(const char* name, const ObjectRef& subject) {
  if (Record* record = append(Record::Kind::kBegin)) {
    record->name = name;
    record->object = subject;
  }
}

// Every scope is closed even when records are dropped: a missing end would only leave it open, which says the same.
void Recorder::on_scope_end() { append(Record::Kind::kEnd); }

void Recorder::on_read(const ObjectRef& object, uint64_t value) {
  if (Record* record = append(Record::Kind::kRead)) {
    record->object = object;
    record->before = record->now = value;
  }
}

void Recorder::on_write(const ObjectRef& object, uint64_t before, uint64_t now) {
  if (Record* record = append(Record::Kind::kWrite)) {
    record->object = object;
    record->before = before;
    record->now = now;
  }
}

void Recorder::on_bytes(const ObjectRef& object, std::span<const std::byte> before, std::span<const std::byte> now) {
  if (watched_ < object.b || watched_ - object.b >= now.size()) { return; }
  const size_t at = watched_ - object.b;
  if (Record* record = append(before.empty() ? Record::Kind::kRead : Record::Kind::kWrite)) {
    record->object = {object.noun, object.a, watched_, now.size()};
    record->now = std::to_integer<uint64_t>(now[at]);
    record->before = before.empty() ? record->now : std::to_integer<uint64_t>(before[at]);
  }
}

void Recorder::on_name(const ObjectRef& object, const char* name, const ObjectRef& owner) {
  if (object.noun == Noun::kPte) {
    mappings_.push_back({object, owner, records_.size()});
    return;
  }
  names_.push_back({object, {name, owner}});
}

const ObjectName* Recorder::name_of(const ObjectRef& object) const {
  for (size_t i = names_.size(); i-- > 0;) {
    if (names_[i].first == object) { return &names_[i].second; }
  }
  return nullptr;
}

ObjectRef Recorder::page_behind(const ObjectRef& pte, size_t at) const {
  for (size_t i = mappings_.size(); i-- > 0;) {
    const Mapping& mapping = mappings_[i];
    if (mapping.at > at || mapping.pages.a != pte.a) { continue; }
    if (pte.b < mapping.pages.b || pte.b - mapping.pages.b >= mapping.pages.count) { continue; }
    return {Noun::kEntry, mapping.file.a, mapping.file.b + (pte.b - mapping.pages.b), pte.count};
  }
  return {};
}

}  // namespace daxfuzz::explain
