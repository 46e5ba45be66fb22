// fuzz/explain/recorder.h - records what a run did: points, function scopes, values, names; raw, to be read afterwards.
//
// Attach one around Executor::run and pass it as RunConfig::observer:
//
//   Recorder recorder;
//   recorder.begin_run();
//   { const Recorder::Attached attached(recorder); executor.run(program, config, &outcome); }
//
// Recording changes nothing that the schedule or the trace hash could see. A run that is abandoned in the middle leaves
// its scopes open; that is how the explanation knows where each task stood.
//
// Locking: engine side only (fs/rt/engine.h, Observer; fs/rt/trace.h, Tracer): appends to a vector, looks at nothing.
// Not covered: more than kRecordsMax records; the rest is dropped and counted.
// Tested by: fuzz/explain/slice_test.cc.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "fs/rt/engine.h"
#include "fs/rt/trace.h"

namespace daxfuzz::explain {

struct Record {
  enum class Kind : uint8_t { kEvent, kBegin, kEnd, kRead, kWrite };

  Kind kind = Kind::kEvent;
  daxfs::rt::PointKind point = daxfs::rt::PointKind::kYield;  // kEvent
  daxfs::rt::TaskId task = 0;
  // Of the task's latest event: where in the run this is.
  uint32_t op = 0;
  uint64_t event = 0;
  const char* name = nullptr;  // kBegin: the function; kEvent: what the task blocks on, null if it does not
  daxfs::ObjectRef object;     // kBegin: the subject; kRead, kWrite: what; kEvent of a lock or queue: it
  uint64_t id = 0;             // kEvent: the point's object
  uint64_t before = 0;         // kWrite
  uint64_t now = 0;            // kRead, kWrite
  daxfs::rt::HeldMode held = daxfs::rt::HeldMode::kNot;  // kEvent of a lock that was taken there: how
  const char* file = nullptr;                            // kEvent: the site
  uint32_t line = 0;
};

struct ObjectName {
  const char* name = "";
  daxfs::ObjectRef owner;
};

class Recorder final : public daxfs::rt::Observer, public daxfs::rt::Tracer {
 public:
  static constexpr size_t kRecordsMax = size_t{1} << 20;

  class Attached {
   public:
    explicit Attached(Recorder& recorder) { daxfs::rt::set_tracer(&recorder); }
    Attached(const Attached&) = delete;
    Attached& operator=(const Attached&) = delete;
    ~Attached() { daxfs::rt::set_tracer(nullptr); }
  };

  // Of contents, only byte `in_page` of each page is recorded; none before this call.
  void watch_byte(uint64_t in_page) { watched_ = in_page; }
  // Forgets the last run.
  void begin_run();

  std::span<const Record> records() const { return records_; }
  uint64_t dropped() const { return dropped_; }
  // Null when the object never told its name.
  const ObjectName* name_of(const daxfs::ObjectRef& object) const;
  // The file page behind a virtual page, as the latest mapping before record `at` had it; kNone if there was none.
  daxfs::ObjectRef page_behind(const daxfs::ObjectRef& pte, size_t at) const;
  void on_event(const daxfs::rt::Event& event) override;
  void on_scope_begin(const char* name, const daxfs::ObjectRef& subject) override;
  void on_scope_end() override;
  void on_read(const daxfs::ObjectRef& object, uint64_t value) override;
  void on_write(const daxfs::ObjectRef& object, uint64_t before, uint64_t now) override;
  void on_bytes(const daxfs::ObjectRef& object, std::span<const std::byte> before,
                std::span<const std::byte> now) override;
  void on_name(const daxfs::ObjectRef& object, const char* name, const daxfs::ObjectRef& owner) override;

 private:
  struct Place {
    uint32_t op = daxfs::rt::kNoOp;
    uint64_t event = 0;
    size_t lock = kNoRecord;  // record of the lock event whose outcome is not known yet
  };
  struct Mapping {
    daxfs::ObjectRef pages;  // kPte, count pages
    daxfs::ObjectRef file;   // kEntry of the first
    size_t at = 0;           // records before it
  };

  static constexpr size_t kNoRecord = ~size_t{0};

  Record* append(Record::Kind kind);

  std::vector<Record> records_;
  uint64_t dropped_ = 0;
  uint64_t watched_ = ~uint64_t{0};
  Place places_[daxfs::rt::kMaxTasks];
  std::vector<std::pair<daxfs::ObjectRef, ObjectName>> names_;
  std::vector<Mapping> mappings_;
};

}  // namespace daxfuzz::explain
