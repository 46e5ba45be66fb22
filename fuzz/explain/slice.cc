// fuzz/explain/slice.cc - the dependency closure.
#include "fuzz/explain/slice.h"

#include <algorithm>
#include <map>
#include <set>

#include "fs/dax/entry.h"
#include "fs/rt/task.h"
#include "fuzz/prog/program.h"

namespace daxfuzz::explain {

using daxfs::Noun;
using daxfs::ObjectRef;
using daxfs::Verdict;
using daxfs::dax::Entry;
using daxfs::rt::HeldMode;
using daxfs::rt::kRootTask;
using daxfs::rt::TaskId;

namespace {

struct OpId {
  TaskId task = 0;
  uint32_t op = 0;
  auto operator<=>(const OpId&) const = default;
};

// Who uses a facet, within what counts so far.
struct Users {
  std::set<OpId> readers, writers;

  bool conflict() const {
    const auto other_than = [&](const OpId& writer, const std::set<OpId>& others) {
      return std::any_of(others.begin(), others.end(), [&](const OpId& other) { return other.task != writer.task; });
    };
    return std::any_of(writers.begin(), writers.end(),
                       [&](const OpId& writer) { return other_than(writer, readers) || other_than(writer, writers); });
  }
};

class Slicer {
 public:
  Slicer(Timeline* timeline, const daxfs::Finding& finding, std::span<const daxfs::rt::TakenSwitch> taken,
         unsigned rounds_max)
      : timeline_(*timeline), steps_(timeline->steps()), finding_(finding), taken_(taken), rounds_max_(rounds_max) {
    result_.keep.assign(steps_.size(), false);
    for (size_t i = 0; i < steps_.size() && begin_ == 0; ++i) {
      if (prog::is_program_task(static_cast<prog::TaskId>(steps_[i].task))) { begin_ = i; }
    }
  }

  Slice run() {
    if (steps_.empty()) { return std::move(result_); }
    result_.reporter = finding_.task < 0 ? kRootTask : finding_.task;
    find_facets();
    seed();
    start();
    if (rounds_max_ == 0) { drawn_ = relevant_; }
    while (widen()) {
      ++result_.rounds;
      if (result_.rounds == rounds_max_) { drawn_ = relevant_; }
    }
    if (result_.rounds < rounds_max_) { drawn_ = relevant_; }
    keep_accesses();
    merge_changes();
    name_columns();
    keep_blocks_and_locks();
    keep_preemptions();
    keep_calls();
    return std::move(result_);
  }

 private:
  // Nothing that ends before the first task of the program begins: that is how things were.
  bool acts(size_t i) const { return steps_[i].task != kRootTask && i >= begin_; }
  bool counts(size_t i) const {
    const auto found = prefix_.find(steps_[i].task);
    return found != prefix_.end() && i <= found->second;
  }

  bool is_spinlock(const Step& step) const {
    return step.held == HeldMode::kSpin ||
           timeline_.recorder().name_of({Noun::kSpinLock, step.object.a, 0, 1}) != nullptr;
  }

  // Facets of each access and lock step, and which locks never let anybody sleep.
  void find_facets() {
    facets_.resize(steps_.size());
    for (size_t i = 0; i < steps_.size(); ++i) {
      const Step& step = steps_[i];
      if (step.object.noun == Noun::kLock && is_spinlock(step)) { spinlocks_.insert(step.object.a); }
      if (!acts(i) || !step.is_access()) { continue; }
      facets_[i] = facets_of(step.object, step.page);
      // Tasks may share pages and mean different bytes: only the byte that the finding is about counts. Memory that is
      // no file's page is its task's own.
      const bool bytes = step.object.noun == Noun::kBytes || step.object.noun == Noun::kCacheBytes;
      const bool nobodys = step.object.noun == Noun::kFrame && step.page.noun == Noun::kNone;
      if ((bytes || nobodys) && !about(facets_[i])) { facets_[i].clear(); }
    }
    for (size_t i = 0; i < steps_.size(); ++i) {
      const Step& step = steps_[i];
      if (!acts(i) || step.object.noun != Noun::kLock || spinlocks_.contains(step.object.a)) { continue; }
      if (step.kind == Step::Kind::kLock || step.kind == Step::Kind::kUnlock || step.kind == Step::Kind::kBlocks) {
        facets_[i] = {Facet{Noun::kLock, step.object.a, 0, 0}};
      }
    }
  }

  bool about(const std::vector<Facet>& facets) const {
    return std::any_of(std::begin(finding_.about.refs), std::end(finding_.about.refs), [&](const ObjectRef& ref) {
      const auto wanted = facets_of(ref, timeline_.page_of(ref));
      return std::any_of(facets.begin(), facets.end(),
                         [&](const Facet& f) { return std::count(wanted.begin(), wanted.end(), f) != 0; });
    });
  }

  // What explains a finding that it is not about.
  enum class Weight : uint8_t {
    kValue,    // whenever one task sees what another one did
    kAwaited,  // if somebody waited for it
    kDetail,   // never: what else there is says the same
  };
  static Weight weight_of(Noun noun) {
    switch (noun) {
      case Noun::kLock:
      case Noun::kFolioLock:
      case Noun::kWriteback:
      case Noun::kInFlight: return Weight::kAwaited;
      case Noun::kBuffer:
      case Noun::kCachedExtent:
      case Noun::kRequest:
      case Noun::kConversions: return Weight::kDetail;
      default: return Weight::kValue;
    }
  }

  static bool changes(const Step& step) {
    switch (step.kind) {
      case Step::Kind::kWrite: return true;
      case Step::Kind::kLock:
      case Step::Kind::kBlocks: return step.held != HeldMode::kShared;
      default: return false;
    }
  }

  std::map<Facet, Users> users() const {
    std::map<Facet, Users> users;
    for (size_t i = 0; i < steps_.size(); ++i) {
      if (!counts(i)) { continue; }
      for (const Facet& facet : facets_[i]) {
        Users& u = users[facet];
        (changes(steps_[i]) ? u.writers : u.readers).insert({steps_[i].task, steps_[i].op});
      }
    }
    return users;
  }

  // --- what the finding is about.

  void seed() {
    for (const ObjectRef& ref : finding_.about.refs) {
      switch (ref.noun) {
        case Noun::kNone: break;
        case Noun::kInode:
          seed_if([&](const Facet& f) { return weight_of(f.noun) == Weight::kValue && f.a == ref.a; });
          break;
        case Noun::kWait: seed_waiters(ref); break;
        case Noun::kOp:
          for (size_t i = 0; i < steps_.size(); ++i) {
            if (steps_[i].task == static_cast<TaskId>(ref.a) && steps_[i].op == ref.b && steps_[i].is_access() &&
                weight_of(steps_[i].object.noun) == Weight::kValue) {
              relevant_.insert(facets_[i].begin(), facets_[i].end());
            }
          }
          break;
        default:
          for (const Facet& facet : facets_of(ref, timeline_.page_of(ref))) { relevant_.insert(facet); }
          // What a byte of a file is, its block says, too.
          if (ref.noun == Noun::kContents) { relevant_.insert({Noun::kExtent, ref.a, ref.b / daxfs::kPageSize, 0}); }
      }
    }
    if (relevant_.empty()) {
      seed_if([](const Facet& f) { return weight_of(f.noun) == Weight::kValue; });
    }
  }

  // Everything that tasks share, among the facets that `wanted` accepts; what they changed if they share nothing.
  template <typename F>
  void seed_if(F wanted) {
    for (size_t i = 0; i < steps_.size(); ++i) { prefix_[steps_[i].task] = i; }
    prefix_.erase(kRootTask);
    const auto all = users();
    for (const auto& [facet, u] : all) {
      if (wanted(facet) && u.conflict()) { relevant_.insert(facet); }
    }
    if (relevant_.empty()) {
      for (const auto& [facet, u] : all) {
        if (wanted(facet) && !u.writers.empty()) { relevant_.insert(facet); }
      }
    }
    prefix_.clear();
  }

  // Who sleeps on a queue at the end of the run: about the page of the innermost call that is about one.
  void seed_waiters(const ObjectRef& queue) {
    for (TaskId task = 0; task < daxfs::rt::kMaxTasks; ++task) {
      const size_t last = timeline_.last_step(task);
      if (last == kNoStep || steps_[last].kind != Step::Kind::kBlocks || !(steps_[last].object == queue)) { continue; }
      for (size_t at = steps_[last].parent; at != kNoStep; at = steps_[at].parent) {
        if (steps_[at].page.noun != Noun::kEntry) { continue; }
        for (const Facet& facet : facets_of(steps_[at].object, steps_[at].page)) { relevant_.insert(facet); }
        break;
      }
    }
  }

  // --- how far tasks count.

  bool count_to(TaskId task, size_t i) {
    if (task == kRootTask) { return false; }
    const auto [at, fresh] = prefix_.try_emplace(task, i);
    if (fresh) { return true; }
    if (at->second >= i) { return false; }
    at->second = i;
    return true;
  }

  void start() {
    const size_t end = steps_.size() - 1;
    if (finding_.verdict == Verdict::kDeadlock || finding_.verdict == Verdict::kOk) {
      for (TaskId task = 0; task < daxfs::rt::kMaxTasks; ++task) {
        const size_t last = timeline_.last_step(task);
        if (last == kNoStep) { continue; }
        if (finding_.verdict == Verdict::kOk || steps_[last].kind == Step::Kind::kBlocks) { count_to(task, end); }
      }
    } else if (result_.reporter != kRootTask) {
      count_to(result_.reporter, end);
    }
    for (const ObjectRef& ref : finding_.about.refs) {
      if (ref.noun == Noun::kOp) { count_to(static_cast<TaskId>(ref.a), end_of_op(ref)); }
    }
    seeds_ = relevant_;  // the finding itself looked at these: widen() finds whose values it saw
  }

  // Where a system task that counts was set going.
  bool count_raisers() {
    bool more = false;
    for (size_t i = 0; i < steps_.size(); ++i) {
      const Step& step = steps_[i];
      if (!step.is_event || step.point != daxfs::rt::PointKind::kTask || !acts(i)) { continue; }
      const auto raised = static_cast<TaskId>(timeline_.recorder().records()[step.record].id &
                                              ((uint64_t{1} << daxfs::rt::kObjectClassShift) - 1));
      if (raised < daxfs::rt::kFirstSystemTask || raised == step.task || !prefix_.contains(raised)) { continue; }
      if (i < prefix_.at(raised)) {
        more |= count_to(step.task, i);
        raises_.insert(i);
      }
    }
    return more;
  }

  size_t end_of_op(const ObjectRef& op) const {
    size_t last = 0;
    for (size_t i = 0; i < steps_.size(); ++i) {
      if (steps_[i].task == static_cast<TaskId>(op.a) && steps_[i].op == op.b) { last = i; }
    }
    return last;
  }

  // The last change before step `before` by a task other than `reader`.
  size_t last_write(const Facet& facet, size_t before, TaskId reader) const {
    for (size_t i = before; i-- > 0;) {
      if (steps_[i].task == reader || !changes(steps_[i])) { continue; }
      if (std::count(facets_[i].begin(), facets_[i].end(), facet) != 0) { return i; }
    }
    return kNoStep;
  }

  // Whether the reader of step `reader` changed the facet itself after step `writer`.
  bool overwritten(const Facet& facet, size_t writer, size_t reader) const {
    for (size_t i = writer + 1; i < reader; ++i) {
      if (steps_[i].task != steps_[reader].task || steps_[i].kind != Step::Kind::kWrite) { continue; }
      if (std::count(facets_[i].begin(), facets_[i].end(), facet) != 0) { return true; }
    }
    return false;
  }

  // Of a flag, somebody saw it set; a count is only looked at by who waits.
  bool waited_for(const Facet& facet) const {
    for (size_t i = 0; i < steps_.size(); ++i) {
      const Step& step = steps_[i];
      const bool waits = step.kind == Step::Kind::kBlocks ||
                         (step.kind == Step::Kind::kRead && (step.now != 0 || facet.noun == Noun::kInFlight));
      if (waits && counts(i) && facets_[i] == std::vector<Facet>{facet}) { return true; }
    }
    return false;
  }

  // One round. RETURNS: whether anything came in.
  bool widen() {
    bool more = count_raisers();
    for (const auto& [facet, u] : users()) {
      if (!u.conflict() || relevant_.contains(facet)) { continue; }
      // What nobody had to wait for only orders accesses that show by themselves.
      const Weight weight = weight_of(facet.noun);
      if (weight == Weight::kDetail || (weight == Weight::kAwaited && !waited_for(facet))) { continue; }
      relevant_.insert(facet);
      more = true;
    }
    for (const Facet& facet : seeds_) {
      const size_t last = last_write(facet, steps_.size(), result_.reporter);
      if (last != kNoStep) { more |= count_to(steps_[last].task, last); }
    }
    for (size_t i = 0; i < steps_.size(); ++i) {
      if (!counts(i)) { continue; }
      for (const Facet& facet : facets_[i]) {
        const bool known = relevant_.contains(facet);
        if (!known && (steps_[i].kind != Step::Kind::kRead || weight_of(facet.noun) != Weight::kValue)) { continue; }
        const size_t last = last_write(facet, i, steps_[i].task);
        if (last == kNoStep || overwritten(facet, last, i)) { continue; }
        if (!known) { relevant_.insert(facet); }
        more |= !known;
        more |= count_to(steps_[last].task, last);
      }
    }
    return more;
  }

  // --- what is drawn.

  bool drawn(size_t i) const {
    return std::any_of(facets_[i].begin(), facets_[i].end(), [&](const Facet& f) { return drawn_.contains(f); });
  }

  void keep_accesses() {
    std::set<Facet> changing;  // what stays as it is needs no words
    for (const auto& [facet, u] : users()) {
      if (!u.writers.empty()) { changing.insert(facet); }
    }
    std::map<std::pair<OpId, Facet>, uint64_t> known;  // the value that an operation knows a facet to have
    for (size_t i = 0; i < steps_.size(); ++i) {
      const Step& step = steps_[i];
      if (!counts(i) || !step.is_access()) { continue; }
      bool wanted = false;
      if (step.kind == Step::Kind::kWrite && facets_[i].size() == 1) {
        const auto saw = known.find({{step.task, step.op}, facets_[i].front()});
        if (saw != known.end() && saw->second != step.before) { timeline_.step(i).seen = saw->second; }
      }
      for (const Facet& facet : facets_[i]) {
        const auto [at, fresh] = known.try_emplace({{step.task, step.op}, facet}, step.now);
        const bool news = fresh || at->second != step.now || step.kind == Step::Kind::kWrite;
        at->second = step.now;
        wanted |= news && drawn_.contains(facet) && changing.contains(facet);
      }
      result_.keep[i] = wanted;
    }
  }

  // What a task does to a facet before another one is drawn again is one change, or none.
  void merge_changes() {
    std::map<std::pair<OpId, Facet>, size_t> latest;  // kept write that nobody saw yet
    TaskId running = kRootTask;
    for (size_t i = 0; i < steps_.size(); ++i) {
      if (!result_.keep[i]) { continue; }
      const Step& step = steps_[i];
      if (step.task != running) { latest.clear(); }
      running = step.task;
      if (facets_[i].size() != 1) { continue; }
      const auto [at, fresh] = latest.try_emplace({{step.task, step.op}, facets_[i].front()}, i);
      if (fresh) { continue; }
      const size_t first = at->second;
      at->second = i;
      if (step.kind == Step::Kind::kRead) {
        // Its own value read back, or read twice.
        result_.keep[i] = false;
        at->second = first;
        continue;
      }
      if (step.before == daxfs::kUnknownValue || steps_[first].before == daxfs::kUnknownValue) { continue; }
      if (steps_[first].kind == Step::Kind::kRead && step.before != step.now) {
        result_.keep[first] = false;  // the change says what was read
        continue;
      }
      if (steps_[first].kind != Step::Kind::kWrite) { continue; }
      if (step.before == step.now && step.seen == daxfs::kUnknownValue) {
        result_.keep[i] = false;  // the same again
        at->second = first;
        continue;
      }
      merge(first, i, &at->second);
    }
    for (size_t i = 0; i < steps_.size(); ++i) {
      // Nothing changed; unless the task had seen something else there before.
      if (result_.keep[i] && steps_[i].kind == Step::Kind::kWrite && steps_[i].before == steps_[i].now &&
          steps_[i].seen == daxfs::kUnknownValue) {
        result_.keep[i] = false;
      }
    }
  }

  // Two changes of one facet: the one that changes more of it stays and stands for both.
  void merge(size_t first, size_t second, size_t* stays) {
    const uint64_t before = steps_[first].before;
    const uint64_t now = steps_[second].now;
    const size_t main = weight(steps_[first]) > weight(steps_[second]) ? first : second;
    result_.keep[first] = result_.keep[second] = false;
    result_.keep[main] = true;
    timeline_.step(main).seen = steps_[first].seen;
    timeline_.step(main).before = before;
    timeline_.step(main).now = now;
    *stays = main;
  }
  // How much a change says: a page that appears or goes, more than its lock bit.
  static int weight(const Step& step) {
    if (step.object.noun != Noun::kEntry) { return 0; }
    const Entry before = Entry::from_trace_value(step.before).unlocked();
    const Entry now = Entry::from_trace_value(step.now).unlocked();
    if (before == now) { return 0; }
    return now.is_empty() ? 1 : 2;
  }

  void name_columns() {
    std::set<TaskId> tasks;
    for (size_t i = 0; i < steps_.size(); ++i) {
      if (result_.keep[i]) { tasks.insert(steps_[i].task); }
    }
    if (result_.reporter != kRootTask && prefix_.contains(result_.reporter)) { tasks.insert(result_.reporter); }
    for (const auto& [task, last] : prefix_) {
      if (timeline_.last_step(task) != kNoStep && steps_[timeline_.last_step(task)].kind == Step::Kind::kBlocks &&
          finding_.verdict == Verdict::kDeadlock) {
        tasks.insert(task);
      }
    }
    result_.columns.assign(tasks.begin(), tasks.end());
  }

  bool in_columns(TaskId task) const { return std::count(result_.columns.begin(), result_.columns.end(), task) != 0; }

  void keep_blocks_and_locks() {
    std::map<std::pair<TaskId, uint64_t>, size_t> taken;  // kept lock step, and nobody else was drawn since
    TaskId running = kRootTask;
    for (size_t i = 0; i < steps_.size(); ++i) {
      const Step& step = steps_[i];
      if (!in_columns(step.task) || !counts(i)) { continue; }
      if (result_.keep[i] || step.kind == Step::Kind::kBlocks) {
        if (running != step.task) { taken.clear(); }
        running = step.task;
      }
      if (step.kind == Step::Kind::kBlocks) {
        result_.keep[i] = step.object.noun != Noun::kLock || !spinlocks_.contains(step.object.a);
        continue;
      }
      if (!drawn(i) || step.is_access()) { continue; }
      const std::pair key{step.task, step.object.a};
      if (step.kind == Step::Kind::kLock && step.held != HeldMode::kNot) {
        result_.keep[i] = true;
        taken[key] = i;
      } else if (step.kind == Step::Kind::kUnlock) {
        // Taken and given back while nobody else did anything: as if it had not been.
        const auto at = taken.find(key);
        result_.keep[i] = at == taken.end();
        if (at != taken.end()) { result_.keep[at->second] = false; }
      }
    }
  }

  // Of the preemptions between two steps that matter, the one that took the turn from the first one's task; if that
  // stopped by itself, the last of another column's.
  void keep_preemptions() {
    std::vector<Slice::Preempted> all;
    for (size_t k = 0; k < taken_.size(); ++k) {
      const size_t step = step_of(taken_[k]);
      if (step != kNoStep) { all.push_back({step, k, 0}); }
    }
    std::sort(all.begin(), all.end(), [](const auto& a, const auto& b) { return a.step < b.step; });
    size_t first = 0;
    TaskId before = daxfs::rt::kNoTask;
    for (size_t i = 0; i < steps_.size(); ++i) {
      if (!result_.keep[i] || steps_[i].kind == Step::Kind::kCall || steps_[i].kind == Step::Kind::kOp) { continue; }
      const Slice::Preempted* chosen = nullptr;
      for (; first < all.size() && all[first].step < i; ++first) {
        const TaskId task = steps_[all[first].step].task;
        if (task == steps_[i].task) { continue; }
        if (chosen == nullptr || (task != before && steps_[chosen->step].task != before)) { chosen = &all[first]; }
      }
      if (chosen != nullptr && before != steps_[i].task) {
        result_.preempted.push_back({chosen->step, chosen->taken, steps_[i].task});
        const size_t parent = steps_[chosen->step].parent;
        if (counts(chosen->step) && parent != kNoStep) { result_.keep[parent] = true; }
      }
      before = steps_[i].task;
    }
  }

  // The step of the event at which another task took a column's turn: it was preempted, or had stopped and the choice
  // of the next one is part of the schedule. kNoStep for tasks without a column.
  size_t step_of(const daxfs::rt::TakenSwitch& s) const {
    if (!in_columns(s.from)) { return kNoStep; }
    for (size_t i = 0; i < steps_.size(); ++i) {
      const Step& step = steps_[i];
      if (step.is_event && step.task == s.from && step.op == s.op && step.event == s.event_in_op) { return i; }
    }
    return kNoStep;
  }

  void keep_calls() {
    for (const size_t i : raises_) {
      if (in_columns(steps_[i].task) && steps_[i].parent != kNoStep) { result_.keep[steps_[i].parent] = true; }
    }
    keep_last_sleeps();
    if (result_.reporter != kRootTask && in_columns(result_.reporter)) {
      const size_t open = timeline_.open_step(result_.reporter);
      if (open != kNoStep) { result_.keep[open] = true; }
    }
    for (size_t i = steps_.size(); i-- > 0;) {
      // Of calls that go on after what counts, only those that began before.
      if (result_.keep[i] && steps_[i].parent != kNoStep && (counts(i) || counts(steps_[i].parent))) {
        result_.keep[steps_[i].parent] = true;
      }
    }
    for (size_t i = 0; i < steps_.size(); ++i) {
      if (steps_[i].kind == Step::Kind::kCall && !counts(i)) { result_.keep[i] = false; }
    }
  }

  // Why a task whose part is over stopped, if it stopped by itself.
  void keep_last_sleeps() {
    for (const TaskId task : result_.columns) {
      const auto at = prefix_.find(task);
      if (at == prefix_.end()) { continue; }
      for (size_t i = at->second + 1; i < steps_.size() && steps_[i].task == task; ++i) {
        if (steps_[i].kind == Step::Kind::kBlocks) { result_.keep[i] = !spinlocks_.contains(steps_[i].object.a); }
      }
    }
  }

  Timeline& timeline_;
  const std::vector<Step>& steps_;
  const daxfs::Finding& finding_;
  std::span<const daxfs::rt::TakenSwitch> taken_;
  std::vector<std::vector<Facet>> facets_;  // by step; of accesses and of locks that one sleeps for
  std::set<uint64_t> spinlocks_;
  std::map<TaskId, size_t> prefix_;  // the last step of a task that counts
  std::set<size_t> raises_;          // events that set a system task going
  size_t begin_ = 0;                 // the first step of a task of the program
  const unsigned rounds_max_;
  std::set<Facet> seeds_;
  std::set<Facet> relevant_;
  std::set<Facet> drawn_;  // of the relevant ones those that came in early enough
  Slice result_;
};

}  // namespace

Slice slice(Timeline* timeline, const daxfs::Finding& finding, std::span<const daxfs::rt::TakenSwitch> taken,
            unsigned rounds_max) {
  return Slicer(timeline, finding, taken, rounds_max).run();
}

}  // namespace daxfuzz::explain
