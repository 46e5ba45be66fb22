#include "fuzz/minimize/near_search.h"

#include <algorithm>
#include <cstdlib>
#include <tuple>

#include "fuzz/prog/binary.h"

namespace daxfuzz::minimize {

using daxfs::rt::TaskId;

namespace {

constexpr uint32_t kVisitReach = 3;  // a place's earlier and later visits that are tried
constexpr size_t kSweepMax = 400;    // events of one operation that are tried, nearest first
constexpr size_t kWideMax = 1500;    // events of all tasks

}  // namespace

uint64_t seed_of(const prog::Program& program) {
  uint64_t hash = 0xcbf29ce484222325;
  for (const uint8_t byte : prog::encode(program)) { hash = (hash ^ byte) * 0x100000001b3; }
  return hash;
}

bool NearSearch::run(const prog::Program& program, daxfs::rt::Policy* policy, daxfs::rt::Observer* observer) {
  ++runs_;
  subject_.run(program, policy, observer, &trial_);
  return trial_.fires;
}

bool NearSearch::fires(const prog::Program& program) { return run(program, nullptr); }

std::vector<Landmark> NearSearch::landmarks(const prog::Program& program) {
  log_.clear();
  run(program, nullptr, &log_);
  return landmarks_of(program.schedule, log_);
}

// What the last run took becomes the program's schedule, if that shows the finding, too.
bool NearSearch::adopt(prog::Program* program) {
  if (!trial_.complete) { return false; }
  prog::Program adopted = *program;
  adopted.schedule = trial_.taken;
  if (!run(adopted, nullptr)) { return false; }
  *program = std::move(adopted);
  return true;
}

bool NearSearch::try_marks(prog::Program* program, std::span<const Landmark> marks) {
  by_landmarks_.set(marks);
  return run(*program, &by_landmarks_) && adopt(program);
}

bool NearSearch::try_fewer(prog::Program* program) {
  for (size_t i = 0; i < marks_.size(); ++i) {
    tried_ = marks_;
    tried_.erase(tried_.begin() + static_cast<ptrdiff_t>(i));
    if (stopped() || try_marks(program, tried_)) { return !stopped(); }
  }
  return false;
}

bool NearSearch::try_visits(prog::Program* program) {
  for (size_t i = 0; i < marks_.size(); ++i) {
    if (marks_[i].site == 0) { continue; }
    for (uint32_t distance = 1; distance <= kVisitReach; ++distance) {
      for (const bool later : {false, true}) {
        if (!later && marks_[i].visit <= distance) { continue; }
        tried_ = marks_;
        tried_[i].visit = later ? marks_[i].visit + distance : marks_[i].visit - distance;
        if (stopped() || try_marks(program, tried_)) { return !stopped(); }
      }
    }
  }
  return false;
}

// A run under `marks`, logged. RETURNS: the log's first entry of a task that the root spawned.
size_t NearSearch::look(const prog::Program& program, std::span<const Landmark> marks) {
  by_landmarks_.set(marks);
  log_.clear();
  run(program, &by_landmarks_, &log_);
  const auto& entries = log_.entries();
  const auto first = std::find_if(entries.begin(), entries.end(),
                                  [](const EventLog::Entry& e) { return e.task < daxfs::rt::kRootTask; });
  return static_cast<size_t>(first - entries.begin());
}

// RETURNS: whether the i-th of tried_, moved to `entry`, shows the finding.
bool NearSearch::try_at(prog::Program* program, size_t i, const EventLog::Entry& entry, TaskId next) {
  if (entry.task == next) { return false; }
  tried_[i] = {.task = entry.task, .next = next, .op = entry.op, .event = entry.event};
  return try_marks(program, tried_);
}

bool NearSearch::sweep(prog::Program* program, bool wide) {
  for (size_t i = 0; i < marks_.size(); ++i) {
    const Landmark mark = marks_[i];
    tried_ = marks_;
    tried_.erase(tried_.begin() + static_cast<ptrdiff_t>(i));
    const size_t first = look(*program, tried_);
    std::vector<EventLog::Entry> places(log_.entries().begin() + static_cast<ptrdiff_t>(first), log_.entries().end());
    if (!wide) {
      const bool system = mark.task >= daxfs::rt::kFirstSystemTask;
      std::erase_if(places,
                    [&](const EventLog::Entry& e) { return e.task != mark.task || (!system && e.op != mark.op); });
      const auto far = [&](const EventLog::Entry& e) { return std::abs(int64_t{e.event} - int64_t{mark.event}); };
      std::sort(places.begin(), places.end(), [&](const EventLog::Entry& a, const EventLog::Entry& b) {
        return std::tuple(far(a), a.op, a.event) < std::tuple(far(b), b.op, b.event);
      });
      places.resize(std::min(places.size(), kSweepMax));
    } else {
      const auto shared = log_.shared_objects(first);
      std::erase_if(places, [&](const EventLog::Entry& e) {
        return e.task == daxfs::rt::kRootTask || !std::binary_search(shared.begin(), shared.end(), e.object);
      });
      places.resize(std::min(places.size(), kWideMax));
    }
    tried_ = marks_;
    for (const EventLog::Entry& entry : places) {
      if (stopped()) { return false; }
      if (try_at(program, i, entry, mark.next)) { return true; }
      for (size_t task = 0; wide && task < program->tasks.size(); ++task) {
        if (static_cast<TaskId>(task) != mark.next && try_at(program, i, entry, static_cast<TaskId>(task))) {
          return true;
        }
      }
    }
  }
  return false;
}

bool NearSearch::walk(prog::Program* program, unsigned count) {
  if (program->tasks.size() < 2) { return false; }
  log_.clear();
  if (run(*program, nullptr, &log_)) { return adopt(program); }
  const auto& entries = log_.entries();
  const uint64_t begin = trial_.tasks_begin;
  const size_t first = std::min<size_t>(begin, entries.size());
  const uint64_t length = trial_.tasks_end > begin ? trial_.tasks_end - begin : entries.size() - first + 1;
  const auto objects = log_.shared_objects(first);
  shared_.clear();
  for (const auto object : objects) { shared_.add(object); }
  sched::SmallRandom random(seed_of(*program));
  for (unsigned i = 0; i < count; ++i) {
    if (stopped()) { return false; }
    daxfs::rt::Policy* policy = &conflict_;
    if (i % 3 == 2) {
      pct_.reseed(random.next(), 2 + i / 3 % 3, length, begin);
      policy = &pct_;
    } else {
      sched::draw_focus(random, shared_, objects, &focus_);
      conflict_.reseed(random.next(), 2 + random.below(6), &focus_, begin);
    }
    if (run(*program, policy) && adopt(program)) { return true; }
  }
  return false;
}

bool NearSearch::find(prog::Program* program, std::span<const Landmark> marks, const Effort& effort) {
  if (fires(*program)) { return true; }
  marks_.assign(marks.begin(), marks.end());
  if (marks_.empty()) {
    for (const prog::Preemption& p : program->schedule) { marks_.push_back(exact_landmark(p)); }
  }
  if (try_marks(program, marks_) || try_fewer(program)) { return true; }
  if (effort.sweep && (try_visits(program) || sweep(program, false))) { return true; }
  if (effort.wide && sweep(program, true)) { return true; }
  return walk(program, effort.walks);
}

}  // namespace daxfuzz::minimize
