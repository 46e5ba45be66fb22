// fuzz/explain/timeline.cc - nesting records, and finding out which file page each is about.
#include "fuzz/explain/timeline.h"

#include "fs/dax/entry.h"
#include "fs/mm/pte.h"

namespace daxfuzz::explain {

using daxfs::Noun;
using daxfs::ObjectRef;
using daxfs::dax::Entry;
using daxfs::rt::PointKind;
using daxfs::rt::TaskId;

namespace {

bool is_lock_event(const Record& record) {
  return record.object.noun == Noun::kLock && (record.point == PointKind::kLock || record.point == PointKind::kUnlock);
}

}  // namespace

std::vector<Facet> facets_of(const ObjectRef& object, const ObjectRef& page) {
  if (object.noun == Noun::kNone) { return {}; }
  if (object.noun == Noun::kContents) {  // on the medium, in the page cache
    const uint64_t index = object.b / daxfs::kPageSize;
    return {Facet{Noun::kBytes, object.a, index, 0}, Facet{Noun::kCacheBytes, object.a, index, 0}};
  }
  switch (object.noun) {
    case Noun::kBytes:
    case Noun::kCacheBytes:
    case Noun::kBuffer:
    case Noun::kWriteback:
    case Noun::kFolioLock:
      if (page.noun != Noun::kEntry) { return {}; }  // of a file's page, or nobody's concern
      return {Facet{object.noun, page.a, page.b, 0}};
    default: break;
  }
  if (page.noun != Noun::kEntry) { return {Facet{object.noun, object.a, object.b, 0}}; }
  std::vector<Facet> facets;
  const uint64_t count = page.count == 0 || page.count > kFacetsMax ? kFacetsMax : page.count;
  for (uint64_t i = 0; i < count; ++i) {
    const bool one_of_several = object.noun == Noun::kPte || object.noun == Noun::kFrame;
    facets.push_back({object.noun, page.a, page.b + i, one_of_several ? object.a : 0});
  }
  return facets;
}

Timeline::Timeline(const Recorder& recorder) : recorder_(recorder) {
  const auto records = recorder.records();
  for (size_t i = 0; i < records.size(); ++i) { learn_block(records[i], i); }
  for (size_t i = 0; i < records.size(); ++i) {
    const Record& record = records[i];
    std::vector<size_t>& open = open_[record.task];
    if (record.kind == Record::Kind::kEnd) {
      if (!open.empty() && steps_[open.back()].kind == Step::Kind::kCall) { open.pop_back(); }
      continue;
    }
    if (record.kind == Record::Kind::kEvent && record.point == PointKind::kOpBegin) { open.clear(); }
    Step step;
    step.task = record.task;
    step.op = record.op;
    step.event = record.event;
    step.parent = open.empty() ? kNoStep : open.back();
    step.record = i;
    step.name = record.name;
    step.object = record.object;
    step.before = record.before;
    step.now = record.now;
    step.held = record.held;
    step.point = record.point;
    switch (record.kind) {
      case Record::Kind::kBegin: step.kind = Step::Kind::kCall; break;
      case Record::Kind::kRead: step.kind = Step::Kind::kRead; break;
      case Record::Kind::kWrite: step.kind = Step::Kind::kWrite; break;
      case Record::Kind::kEvent:
        if (record.name != nullptr) {
          step.kind = Step::Kind::kBlocks;
        } else if (is_lock_event(record)) {
          step.kind = record.point == PointKind::kLock ? Step::Kind::kLock : Step::Kind::kUnlock;
        } else if (record.point == PointKind::kOpBegin) {
          step.kind = Step::Kind::kOp;
        }
        break;
      case Record::Kind::kEnd: break;
    }
    step.page = resolve(record, i);
    step.is_event = record.kind == Record::Kind::kEvent;
    if (step.is_access()) { learn(&step); }
    steps_.push_back(step);
    if (step.kind == Step::Kind::kCall || step.kind == Step::Kind::kOp) { open.push_back(steps_.size() - 1); }
    if (step.point == PointKind::kOpEnd && record.kind == Record::Kind::kEvent) { open.clear(); }
  }
}

void Timeline::learn_block(const Record& record, size_t at) {
  if (record.kind != Record::Kind::kRead && record.kind != Record::Kind::kWrite) { return; }
  const ObjectRef& object = record.object;
  if (object.noun == Noun::kExtent && record.now != 0 && record.now != daxfs::kUnknownValue) {
    blocks_.push_back({record.now >> 1, {Noun::kEntry, object.a, object.b, object.count}, at});
  }
  if (object.noun == Noun::kEntry) {
    const Entry entry = Entry::from_trace_value(record.now);
    if (entry.is_frame()) {
      const uint64_t first = entry.base(daxfs::PgOff(object.b)).value();
      blocks_.push_back({entry.pfn().value(), {Noun::kEntry, object.a, first, entry.pages()}, at});
    }
  }
}

// As known at record `at`; what nobody had told by then, as told next: a block is zeroed before it is the file's.
ObjectRef Timeline::page_in(uint64_t frame, size_t at) const {
  const Block* known = nullptr;
  for (const Block& block : blocks_) {
    if (frame < block.first || frame - block.first >= block.pages.count) { continue; }
    if (block.at > at && known != nullptr) { break; }
    known = &block;
  }
  if (known == nullptr) { return {}; }
  return {Noun::kEntry, known->pages.a, known->pages.b + (frame - known->first), 1};
}

ObjectRef Timeline::resolve(const Record& record, size_t at) {
  const ObjectRef& object = record.object;
  switch (object.noun) {
    case Noun::kEntry: return object;
    case Noun::kDirty:
    case Noun::kCachedExtent:
    case Noun::kExtent: return {Noun::kEntry, object.a, object.b, object.count};
    case Noun::kPte: return recorder_.page_behind(object, at);
    case Noun::kCacheBytes:
    case Noun::kBuffer:
    case Noun::kWriteback:
    case Noun::kFolioLock:
    case Noun::kFrame: {
      const auto found = frame_owner_.find(object.a);
      return found == frame_owner_.end() ? ObjectRef{} : found->second;
    }
    case Noun::kBytes: return page_in(object.a, at);
    default: return {};
  }
}

// An entry that names a frame says whose page the frame is, until its last count goes and others may have it; a
// change whose old value nobody looked up changed the latest.
void Timeline::learn(Step* step) {
  if (step->object.noun == Noun::kEntry) {
    const Entry entry = Entry::from_trace_value(step->now);
    const uint64_t first = entry.is_frame() ? entry.base(daxfs::PgOff(step->page.b)).value() : 0;
    for (uint64_t i = 0; entry.is_frame() && i < entry.pages(); ++i) {
      frame_owner_[entry.pfn().value() + i] = {Noun::kEntry, step->page.a, first + i, 1};
    }
  }
  if (step->object.noun == Noun::kFrame && step->kind == Step::Kind::kWrite && step->now == 0) {
    frame_owner_.erase(step->object.a);
  }
  for (const Facet& facet : facets_of(step->object, step->page)) {
    const auto [at, fresh] = latest_.try_emplace(facet, step->now);
    if (step->kind == Step::Kind::kWrite && step->before == daxfs::kUnknownValue && !fresh) {
      step->before = at->second;
    }
    at->second = step->now;
  }
}

ObjectRef Timeline::page_of(const ObjectRef& object) const {
  switch (object.noun) {
    case Noun::kEntry: return {Noun::kEntry, object.a, object.b, 1};
    case Noun::kContents: return {Noun::kEntry, object.a, object.b / daxfs::kPageSize, 1};
    case Noun::kDirty:
    case Noun::kCachedExtent:
    case Noun::kExtent: return {Noun::kEntry, object.a, object.b, 1};
    case Noun::kPte: return recorder_.page_behind(object, recorder_.records().size());
    case Noun::kBuffer:
    case Noun::kWriteback:
    case Noun::kFolioLock:
    case Noun::kFrame: {
      const auto found = frame_owner_.find(object.a);
      return found == frame_owner_.end() ? ObjectRef{} : found->second;
    }
    default: return {};
  }
}

size_t Timeline::open_step(TaskId task) const {
  const auto found = open_.find(task);
  return found == open_.end() || found->second.empty() ? kNoStep : found->second.back();
}

size_t Timeline::last_step(TaskId task) const {
  for (size_t i = steps_.size(); i-- > 0;) {
    if (steps_[i].task == task) { return i; }
  }
  return kNoStep;
}

}  // namespace daxfuzz::explain
