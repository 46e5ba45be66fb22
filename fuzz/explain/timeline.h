// fuzz/explain/timeline.h - a recorded run as a tree of steps: operations, calls in them, accesses in those.
//
// Still everything: what matters is chosen by slice.h. Accesses to frames, PTEs, entries and extents are resolved to
// the file page that they are about, so that a pin, a mapping and an entry of one page are seen to belong together.
//
// Tested by: fuzz/explain/slice_test.cc.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <vector>

#include "fs/base/object_ref.h"
#include "fs/rt/engine.h"
#include "fuzz/explain/recorder.h"

namespace daxfuzz::explain {

inline constexpr size_t kNoStep = ~size_t{0};

// One property of one page, file or lock: what two accesses can have in common.
struct Facet {
  daxfs::Noun noun = daxfs::Noun::kNone;
  uint64_t a = 0;    // inode; lock
  uint64_t b = 0;    // page
  uint64_t sub = 0;  // of a PTE its address space; of a count its frame: a page that went and came back has another

  auto operator<=>(const Facet&) const = default;
};

struct Step {
  enum class Kind : uint8_t { kOp, kCall, kRead, kWrite, kLock, kUnlock, kBlocks, kPoint };

  Kind kind = Kind::kPoint;
  daxfs::rt::TaskId task = 0;
  uint32_t op = 0;
  uint64_t event = 0;
  size_t parent = kNoStep;  // the enclosing call or operation
  size_t record = 0;
  const char* name = nullptr;  // kCall: the function; kBlocks: what for
  daxfs::ObjectRef object;     // as recorded
  daxfs::ObjectRef page;       // kEntry noun: the file page that `object` is about; kNone if about none
  uint64_t before = 0;
  uint64_t now = 0;
  uint64_t seen = daxfs::kUnknownValue;  // kWrite: what the task had seen there, if it was another value than `before`
  daxfs::rt::HeldMode held = daxfs::rt::HeldMode::kNot;
  daxfs::rt::PointKind point = daxfs::rt::PointKind::kYield;

  bool is_access() const { return kind == Kind::kRead || kind == Kind::kWrite; }
  bool is_event = false;  // a scheduling point: the task can be preempted right after it
};

// Facets of an object; a range that reaches to the end of a file counts as kFacetsMax pages.
inline constexpr uint64_t kFacetsMax = 64;
std::vector<Facet> facets_of(const daxfs::ObjectRef& object, const daxfs::ObjectRef& page);

class Timeline {
 public:
  explicit Timeline(const Recorder& recorder);

  const std::vector<Step>& steps() const { return steps_; }
  Step& step(size_t i) { return steps_[i]; }
  // Where a task stood at the end: its innermost open step, kNoStep if it ended.
  size_t open_step(daxfs::rt::TaskId task) const;
  // The last step of a task, kNoStep if it has none.
  size_t last_step(daxfs::rt::TaskId task) const;
  const Recorder& recorder() const { return recorder_; }
  // The file page of a reference as known at the end; kNone if there is none.
  daxfs::ObjectRef page_of(const daxfs::ObjectRef& object) const;

 private:
  // Which page a frame is part of, as extents and entries told.
  struct Block {
    uint64_t first = 0;  // frame
    daxfs::ObjectRef pages;
    size_t at = 0;  // record
  };
  void learn_block(const Record& record, size_t at);
  daxfs::ObjectRef page_in(uint64_t frame, size_t at) const;
  daxfs::ObjectRef resolve(const Record& record, size_t at);
  void learn(Step* step);

  const Recorder& recorder_;
  std::vector<Step> steps_;
  std::map<daxfs::rt::TaskId, std::vector<size_t>> open_;
  std::map<uint64_t, daxfs::ObjectRef> frame_owner_;  // pfn -> page
  std::vector<Block> blocks_;                         // ascending by record
  std::map<Facet, uint64_t> latest_;                  // values
};

}  // namespace daxfuzz::explain
