// fuzz/report/states.cc - last values before the first task began, and at the end.
#include "fuzz/report/states.h"

#include <algorithm>
#include <map>
#include <set>

#include "fs/rt/task.h"
#include "fuzz/explain/timeline.h"
#include "fuzz/explain/words.h"
#include "fuzz/prog/text.h"

namespace daxfuzz::report {

using daxfs::Noun;
using daxfs::ObjectRef;
using explain::Facet;
using explain::Step;

namespace {

constexpr size_t kPagesMax = 8;

using Page = std::pair<uint64_t, uint64_t>;  // inode, page

struct Value {
  std::string before, after, by;
  bool begun = false;  // a task has looked: `before` stays
};

// In the order in which they are told; what a file has once comes first. Where Words::state() begins with the name, it
// is left out of the value.
struct Property {
  Noun noun;
  const char* name;
  bool of_file = false;
};
constexpr Property kProperties[] = {
    {Noun::kSize, "size", true},
    {Noun::kDiskSize, "disk size", true},
    {Noun::kOpenFlags, "descriptor", true},
    {Noun::kBlockFormat, "format", true},
    {Noun::kInFlight, "in flight", true},
    {Noun::kConversions, "to convert", true},
    {Noun::kCurrentRequest, "request", true},
    {Noun::kExtent, "block"},
    {Noun::kCachedExtent, "cached"},
    {Noun::kEntry, "entry"},
    {Noun::kDirty, "dirty mark"},
    {Noun::kWriteback, "writeback"},
    {Noun::kBuffer, "buffer"},
    {Noun::kPte, "pte"},
    {Noun::kFrame, "refs"},
    {Noun::kCacheBytes, "cached byte"},
    {Noun::kBytes, "byte"},
    {Noun::kRequest, "marks"},
    {Noun::kLock, "holder"},
};

// Index into kProperties; -1: not told.
int order(Noun noun) {
  for (size_t i = 0; i < std::size(kProperties); ++i) {
    if (kProperties[i].noun == noun) { return static_cast<int>(i); }
  }
  return -1;
}

const Property& property(int order) { return kProperties[static_cast<size_t>(order)]; }

class States {
 public:
  explicit States(const Report& report)
      : report_(report),
        recorder_(report.recording->recorder),
        timeline_(recorder_),
        words_(recorder_, {report.recording->files.begin(), report.recording->files.end()}, true) {}

  std::vector<StateLine> lines() {
    choose_pages();
    follow();
    std::vector<StateLine> lines;
    for (const auto& [place, value] : values_) {
      const auto& [page, property_order, sub] = place;
      StateLine line;
      line.object = object(page, property_order);
      line.property = property(property_order).name;
      if (spaces_.size() > 1 && sub != 0) { line.property += " in address space " + std::to_string(sub); }
      line.before = value.before;
      line.after = value.after;
      line.changed_by = value.by;
      lines.push_back(std::move(line));
    }
    return lines;
  }

 private:
  std::string object(const Page& place, int property_order) const {
    switch (property(property_order).noun) {
      case Noun::kRequest: return "request " + std::to_string(place.second) + " of " + words_.file(place.first);
      case Noun::kLock: return words_.lock({Noun::kLock, place.first, 0, 1});
      default:
        return property(property_order).of_file ? words_.file(place.first)
                                                : words_.page({Noun::kEntry, place.first, place.second, 1});
    }
  }

  // A step past which the finding's own checks and the tear-down follow: the first that the root task looks at
  // something after the last of the program's. Interrupts and workers may come in between.
  size_t end() const {
    const auto& steps = timeline_.steps();
    if (report_.finding.task >= 0 && report_.finding.task != daxfs::rt::kRootTask) { return steps.size(); }
    size_t end = steps.size();
    for (size_t i = steps.size(); i-- > 0;) {
      if (prog::is_program_task(static_cast<prog::TaskId>(steps[i].task))) { break; }
      if (steps[i].task == daxfs::rt::kRootTask && steps[i].is_access()) { end = i; }
    }
    return end;
  }

  void choose_pages() {
    for (const ObjectRef& ref : report_.finding.about.refs) {
      const ObjectRef page = timeline_.page_of(ref);
      if (page.noun == Noun::kEntry) { add_pages({Noun::kEntry, page.a, page.b, ref.count}); }
      switch (ref.noun) {
        case Noun::kInode:
        case Noun::kSize:
        case Noun::kDiskSize:
        case Noun::kOpenFlags:
        case Noun::kBlockFormat: inodes_.insert(ref.a); break;
        case Noun::kRequest: requests_.insert({ref.a, ref.b}); break;
        case Noun::kLock: add_lock(ref); break;
        default: break;
      }
    }
    if (!pages_.empty()) { return; }
    for (const Step& step : timeline_.steps()) {
      const bool of_inode = inodes_.empty() || inodes_.contains(step.page.a);
      if (step.kind == Step::Kind::kWrite && step.page.noun == Noun::kEntry && of_inode &&
          prog::is_program_task(static_cast<prog::TaskId>(step.task))) {
        add_pages(step.page);
      }
    }
  }

  void add_lock(const ObjectRef& lock) {
    locks_.insert(lock.a);
    const explain::ObjectName* name = recorder_.name_of(lock);
    if (name != nullptr && name->owner.noun == Noun::kInode) { inodes_.insert(name->owner.a); }
  }

  void add_pages(const ObjectRef& pages) {
    const uint64_t count = pages.count == 0 ? 1 : std::min<uint64_t>(pages.count, kPagesMax);
    for (uint64_t i = 0; i < count && pages_.size() < kPagesMax; ++i) { pages_.insert({pages.a, pages.b + i}); }
    inodes_.insert(pages.a);
  }

  void follow() {
    const size_t last = end();
    bool tasks_began = false;
    for (size_t i = 0; i < last; ++i) {
      const Step& step = timeline_.steps()[i];
      tasks_began |= prog::is_program_task(static_cast<prog::TaskId>(step.task));
      if (step.is_access()) {
        see(step, tasks_began);
      } else if (step.object.noun == Noun::kLock && locks_.contains(step.object.a)) {
        see_lock(step, tasks_began);
      }
    }
  }

  void see(const Step& step, bool tasks_began) {
    const Noun noun = step.object.noun;
    if (order(noun) < 0) { return; }
    if (property(order(noun)).of_file) {
      if (inodes_.contains(step.object.a)) { see_at(step, {step.object.a, 0}, 0, tasks_began); }
      return;
    }
    if (noun == Noun::kRequest) {
      const Page request{step.object.a, step.object.b};
      if (requests_.contains(request)) { see_at(step, request, 0, tasks_began); }
      return;
    }
    for (const Facet& facet : explain::facets_of(step.object, step.page)) {
      if (pages_.contains({facet.a, facet.b}) && step.page.noun == Noun::kEntry) {
        see_at(step, {facet.a, facet.b}, facet.noun == Noun::kPte ? facet.sub : 0, tasks_began);
      }
    }
  }

  // Who holds it, and how.
  void see_lock(const Step& step, bool tasks_began) {
    auto& holders = holders_[step.object.a];
    const std::string task = prog::print_task_id(static_cast<prog::TaskId>(step.task));
    if (step.kind == Step::Kind::kUnlock) {
      holders.erase(task);
    } else if (step.held != daxfs::rt::HeldMode::kNot) {
      holders[task] = step.held == daxfs::rt::HeldMode::kShared;
    }
    std::string now;
    for (const auto& [holder, shared] : holders) {
      now += (now.empty() ? "" : ", ") + holder + (shared ? " shared" : "");
    }
    if (now.empty()) { now = "nobody"; }
    Value& value = values_[{{step.object.a, 0}, order(Noun::kLock), 0}];
    if (!tasks_began || value.before.empty()) { value.before = tasks_began ? "nobody" : now; }
    if (tasks_began && now != value.after) { value.by = who(step); }
    value.after = now;
    if (value.after == value.before) { value.by.clear(); }
  }

  void see_at(const Step& step, const Page& page, uint64_t sub, bool tasks_began) {
    const Noun noun = step.object.noun;
    if (sub != 0) { spaces_.insert(sub); }
    Value& value = values_[{page, order(noun), sub}];
    if (!tasks_began) {
      value.before = value.after = say(step, step.now);
      return;
    }
    if (!value.begun && value.before.empty() && step.before != daxfs::kUnknownValue) {
      value.before = say(step, step.before);
    }
    value.begun = true;
    const std::string now = say(step, step.now);
    if (step.kind == Step::Kind::kWrite && unlocked(now) != unlocked(value.after)) { value.by = who(step); }
    value.after = now;
    if (value.after == value.before) { value.by.clear(); }
  }

  // Who locks or unlocks an entry does not change it.
  static std::string_view unlocked(std::string_view value) {
    constexpr std::string_view kLocked = ", locked";
    return value.ends_with(kLocked) ? value.substr(0, value.size() - kLocked.size()) : value;
  }

  // The value alone: "2", "rw", "zero page".
  std::string say(const Step& step, uint64_t now) const {
    Step alone = step;
    alone.kind = Step::Kind::kRead;
    alone.now = now;
    std::string text = words_.state(alone);
    const std::string prefix = std::string(property(order(step.object.noun)).name) + " ";
    return text.starts_with(prefix) ? text.substr(prefix.size()) : text;
  }

  std::string who(const Step& step) const {
    std::string text = prog::print_task_id(static_cast<prog::TaskId>(step.task));
    for (size_t at = step.parent; at != explain::kNoStep; at = timeline_.steps()[at].parent) {
      if (timeline_.steps()[at].kind == Step::Kind::kCall) { return text + ", " + timeline_.steps()[at].name + "()"; }
    }
    return text;
  }

  const Report& report_;
  const explain::Recorder& recorder_;
  explain::Timeline timeline_;
  explain::Words words_;
  std::set<Page> pages_;
  std::set<uint64_t> inodes_;
  std::set<uint64_t> spaces_;  // whose PTEs are told
  std::set<Page> requests_;    // inode, number
  std::set<uint64_t> locks_;
  std::map<uint64_t, std::map<std::string, bool>> holders_;  // of a lock: task, shared
  std::map<std::tuple<Page, int, uint64_t>, Value> values_;
};

}  // namespace

std::vector<StateLine> states_of(const Report& report) { return States(report).lines(); }

}  // namespace daxfuzz::report
