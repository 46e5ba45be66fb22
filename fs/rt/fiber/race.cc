// fs/rt/fiber/race.cc - happens-before by vector clocks, and the fields that are watched by them (rt/shared.h).
//
// Each task has a vector of clocks, each primitive the join of the vectors that released it. A field remembers its last
// write and the reads since, each as (task, that task's clock): an access that the vector of the current task does not
// cover is not ordered before this one. FastTrack's idea, with a bounded list of readers.
//
// Tables are keyed by address and never walked; what begins at an address (a lock, a field) forgets what was there, so
// that nothing depends on where memory comes from. Plain arrays: this runs on every fiber, and TSan shall not look.
#include "fs/rt/race.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "fs/base/happens_before.h"
#include "fs/rt/fiber/engine_state.h"
#include "fs/rt/shared.h"

namespace daxfs::internal {

const HappensBefore* g_happens_before = nullptr;

}  // namespace daxfs::internal

namespace daxfs::rt {
namespace internal {

bool g_races_watched = false;
const char* g_unordered_lock = nullptr;

namespace {

// Tasks of one run that are told apart; the later ones count as one (which can only hide a race).
constexpr unsigned kSlots = 48;
constexpr unsigned kReaders = 4;

// Signed: baseline x86-64 has a maximum of four signed numbers at once, and none of unsigned ones.
using Clock = int32_t;

// Small: fields are looked at more often than anything else here.
struct Access {
  Clock clock = 0;  // 0: there was none
  uint32_t event = 0;
  uint16_t op = kNoOp;
  uint8_t slot = 0;
  uint8_t task = 0;
  PointKind kind = PointKind::kTask;  // of the task's latest point
  Site site;
  const char* held = nullptr;  // the innermost lock
};
static_assert(sizeof(Access) == 32 && kMaxTasks <= 256);

struct Field {
  Access write;
  Access reads[kReaders];
  uint8_t read_count = 0;
  uint8_t next_victim = 0;
};

constexpr unsigned kGroup = 4;  // clocks that are joined at once
static_assert(kSlots % kGroup == 0);

struct Clocks {
  Clock at[kSlots];
};

// TSan sees what memcpy and memset do, whoever calls them, and an assignment of a large struct may be such a call.
#if defined(__clang__)
template <typename T>
FS_NO_TSAN void copy(T* to, const T& from) {
  __builtin_memcpy_inline(to, &from, sizeof(T));
}
template <typename T>
FS_NO_TSAN void zero(T* what) {
  __builtin_memset_inline(what, 0, sizeof(T));
}
#else
template <typename T>
void copy(T* to, const T& from) {
  *to = from;
}
template <typename T>
void zero(T* what) {
  __builtin_memset(what, 0, sizeof(T));
}
#endif

// Address -> T, forgotten as a whole when a run begins. Open addressing; what is of an older run counts as free.
template <typename T>
class Table {
 public:
  FS_NO_TSAN void forget_all() {
    ++run_;
    used_ = 0;
  }
  FS_NO_TSAN T* find(const void* key) {
    if (slots_ == nullptr) { return nullptr; }
    Slot& slot = probe(key);
    return slot.run == run_ ? &slot.value : nullptr;
  }
  FS_NO_TSAN T& get(const void* key, bool* fresh) {
    if ((used_ + 1) * 10 > size_ * 7) { grow(); }
    Slot& slot = probe(key);
    *fresh = slot.run != run_;
    if (*fresh) {
      slot.key = key;
      slot.run = run_;
      ++used_;
    }
    return slot.value;
  }

 private:
  struct Slot {
    const void* key;
    uint64_t run;
    T value;
  };
  FS_NO_TSAN Slot& probe(const void* key) {
    uint64_t hash = reinterpret_cast<uint64_t>(key) * 0x9e3779b97f4a7c15u;
    size_t at = hash >> 32 & (size_ - 1);
    while (slots_[at].run == run_ && slots_[at].key != key) { at = (at + 1) & (size_ - 1); }
    return slots_[at];
  }
  FS_NO_TSAN void grow() {
    Slot* old = slots_;
    const size_t old_size = size_;
    size_ = size_ == 0 ? 1024 : size_ * 2;
    slots_ = static_cast<Slot*>(std::calloc(size_, sizeof(Slot)));
    if (slots_ == nullptr) { std::abort(); }
    for (size_t i = 0; i < old_size; ++i) {
      if (old[i].run == run_) { copy(&probe(old[i].key), old[i]); }
    }
    std::free(old);
  }

  Slot* slots_ = nullptr;
  size_t size_ = 0;
  size_t used_ = 0;
  uint64_t run_ = 1;
};

struct Detector {
  Races mode = Races::kIgnore;
  unsigned slots_used = 0;
  uint8_t slot_of[kMaxTasks];  // kNoSlot: not seen in this run
  Clocks clocks[kSlots];
  Table<Clocks> primitives;
  Table<Field> fields;
  bool found = false;
  const char* field = "";
  void (*stop)() = nullptr;
  Access first;  // the earlier access of the first race
  Access second;
  bool first_writes = false;
  bool second_writes = false;
  uint64_t unordered_uses = 0;
};

constexpr uint8_t kNoSlot = 0xff;
Detector g_detector;

FS_NO_TSAN unsigned current_slot() {
  Detector& d = g_detector;
  const auto task = static_cast<size_t>(g_current->id);
  if (d.slot_of[task] == kNoSlot) {
    const unsigned slot = d.slots_used < kSlots ? d.slots_used++ : kSlots - 1;
    d.slot_of[task] = static_cast<uint8_t>(slot);
    Clocks& own = d.clocks[slot];
    if (own.at[slot] == 0) { own.at[slot] = 1; }
  }
  return d.slot_of[task];
}

FS_NO_TSAN void join(Clocks* into, const Clocks& from) {
  const unsigned used = g_detector.slots_used;
  for (unsigned i = 0; i < used; i += kGroup) {
    Clock latest[kGroup];
    for (unsigned j = 0; j < kGroup; ++j) {
      latest[j] = from.at[i + j] > into->at[i + j] ? from.at[i + j] : into->at[i + j];
    }
    for (unsigned j = 0; j < kGroup; ++j) { into->at[i + j] = latest[j]; }
  }
}

FS_NO_TSAN void clear(Clocks* clocks) { zero(clocks); }
FS_NO_TSAN void clear(Field* field) {
  field->write.clock = 0;
  field->write.slot = 0;
  field->read_count = field->next_victim = 0;
}

FS_NO_TSAN void acquire(const void* primitive) {
  const unsigned slot = current_slot();
  if (const Clocks* released = g_detector.primitives.find(primitive)) { join(&g_detector.clocks[slot], *released); }
}

FS_NO_TSAN void release(const void* primitive) {
  const unsigned slot = current_slot();
  bool fresh = false;
  Clocks& released = g_detector.primitives.get(primitive, &fresh);
  if (fresh) { clear(&released); }
  join(&released, g_detector.clocks[slot]);
  ++g_detector.clocks[slot].at[slot];
}

FS_NO_TSAN void begin(const void* primitive) {
  if (Clocks* released = g_detector.primitives.find(primitive)) { clear(released); }
}

constexpr daxfs::internal::HappensBefore kHooks{acquire, release, begin};

FS_NO_TSAN void note(unsigned slot, Access* access) {
  settle();
  const Task* task = current();
  access->clock = g_detector.clocks[slot].at[slot];
  access->event = static_cast<uint32_t>(task->event_in_op);
  access->op = static_cast<uint16_t>(task->op);
  access->slot = static_cast<uint8_t>(slot);
  access->task = static_cast<uint8_t>(task->id);
  access->kind = task->point_kind;
  access->site = task->point_site;
  access->held = task->held_count == 0 ? nullptr : task->held[task->held_count - 1].name;
}

FS_NO_TSAN bool ordered(const Access& earlier, unsigned slot) {
  return earlier.clock == 0 || g_detector.clocks[slot].at[earlier.slot] >= earlier.clock;
}

FS_COLD void found_race(const char* field, void (*stop)(), const Access& earlier, bool earlier_writes, unsigned slot,
                        bool writes) {
  Detector& d = g_detector;
  if (d.found) { return; }
  d.stop = stop;
  d.found = true;
  d.field = field;
  d.first = earlier;
  d.first_writes = earlier_writes;
  note(slot, &d.second);
  d.second_writes = writes;
  if (d.mode == Races::kReportAtOnce) { stop(); }
}

FS_NO_TSAN bool watched() { return g_engine.active; }

FS_NO_TSAN bool same_moment(const Access& access, unsigned slot) {
  return access.slot == slot && access.clock == g_detector.clocks[slot].at[slot];
}

FS_NO_TSAN std::string bare_name(const char* pretty) {
  std::string name(pretty);
  if (const size_t noise = name.find("(anonymous namespace)::"); noise != std::string::npos) { name.erase(noise, 23); }
  name.resize(std::min(name.find('('), name.size()));
  if (const size_t space = name.rfind(' '); space != std::string::npos) { name.erase(0, space + 1); }
  for (const char* outer : {"daxfs::", "daxfuzz::"}) {
    if (name.starts_with(outer)) { name.erase(0, std::strlen(outer)); }
  }
  return name;
}

std::string describe(const Access& access, bool writes) {
  std::string line = writes ? "write by " : "read by ";
  line += access.task == kRootTask ? "root" : "T" + std::to_string(access.task);
  if (access.op != kNoOp) { line += " op " + std::to_string(access.op); }
  line += " event " + std::to_string(access.event) + ", after its point " + point_kind_name(access.kind) + " in " +
          bare_name(access.site.function_name()) + " (" + access.site.file_name() + ":" +
          std::to_string(access.site.line()) + "), ";
  return line + (access.held == nullptr ? "holding nothing" : std::string("innermost lock ") + access.held) + "\n";
}

}  // namespace

FS_NO_TSAN bool lock_is_unordered(const char* name) {
  if (name == nullptr || std::strcmp(name, g_unordered_lock) != 0) { return false; }
  ++g_detector.unordered_uses;
  return true;
}

FS_NO_TSAN void races_begin_run(Races mode) {
  Detector& d = g_detector;
  d.mode = mode;
  d.found = false;
  const bool watch = mode != Races::kIgnore;
  g_races_watched = watch;
  daxfs::internal::g_happens_before = watch ? &kHooks : nullptr;
  if (!watch) { return; }
  for (unsigned i = 0; i < d.slots_used; ++i) { clear(&d.clocks[i]); }
  d.slots_used = 0;
  __builtin_memset(d.slot_of, kNoSlot, sizeof(d.slot_of));
  d.primitives.forget_all();
  d.fields.forget_all();
}

FS_NO_TSAN void races_end_run() {
  g_races_watched = false;
  daxfs::internal::g_happens_before = nullptr;
}

FS_NO_TSAN void race_read(const void* address, const char* name, void (*stop)()) {
  if (!watched()) { return; }
  const unsigned slot = current_slot();
  bool fresh = false;
  Field& field = g_detector.fields.get(address, &fresh);
  if (fresh) { clear(&field); }
  Access* mine = nullptr;
  for (unsigned i = 0; i < field.read_count; ++i) {
    if (same_moment(field.reads[i], slot)) { return; }
    if (mine == nullptr && ordered(field.reads[i], slot)) { mine = &field.reads[i]; }
  }
  const bool racy = !ordered(field.write, slot);
  if (mine == nullptr) {
    mine = &field.reads[field.read_count < kReaders ? field.read_count++ : field.next_victim++ % kReaders];
  }
  note(slot, mine);
  if (racy) { found_race(name, stop, field.write, true, slot, false); }
}

FS_NO_TSAN void race_write(const void* address, const char* name, void (*stop)()) {
  if (!watched()) { return; }
  const unsigned slot = current_slot();
  bool fresh = false;
  Field& field = g_detector.fields.get(address, &fresh);
  if (fresh) { clear(&field); }
  if (field.read_count == 0 && same_moment(field.write, slot)) { return; }
  if (!ordered(field.write, slot)) { found_race(name, stop, field.write, true, slot, true); }
  for (unsigned i = 0; i < field.read_count; ++i) {
    if (!ordered(field.reads[i], slot)) { found_race(name, stop, field.reads[i], false, slot, true); }
  }
  field.read_count = field.next_victim = 0;
  note(slot, &field.write);
}

FS_NO_TSAN void race_forget(const void* address) {
  if (Field* field = g_detector.fields.find(address)) { clear(field); }
}

void stop_at_race() {
  if (g_detector.found) { g_detector.stop(); }
}

// The key names the function of the write: which of the two came second is the schedule's doing.
void report_first_race() {
  const Detector& d = g_detector;
  const bool by_first = d.first_writes && (!d.second_writes || std::strcmp(d.first.site.function_name(),
                                                                           d.second.site.function_name()) < 0);
  const Access& named = by_first ? d.first : d.second;
  const Access& other = by_first ? d.second : d.first;
  const bool other_writes = by_first ? d.second_writes : d.first_writes;
  Finding finding;
  finding.verdict = Verdict::kDataRace;
  finding.tag = "O14";
  finding.title = std::string(d.field) + ": a write here and a " + (other_writes ? "write" : "read") + " in " +
                  bare_name(other.site.function_name()) + " are not ordered";
  finding.detail = "first:  " + describe(d.first, d.first_writes) + "second: " + describe(d.second, d.second_writes) +
                   "No lock, RCU grace period or other primitive orders the one before the other.\n";
  finding.function = named.site.function_name();
  finding.file = named.site.file_name();
  finding.line = named.site.line();
  finding.message = d.field;
  finding.about = about(op_ref(d.first.task, d.first.op), op_ref(d.second.task, d.second.op));
  daxfs::report_finding(std::move(finding));
}

}  // namespace internal

void plant_unordered_lock(const char* name) {
  internal::g_unordered_lock = name;
  internal::g_detector.unordered_uses = 0;
}

uint64_t unordered_lock_uses() { return internal::g_detector.unordered_uses; }

}  // namespace daxfs::rt
