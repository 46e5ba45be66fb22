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

int order(Noun noun) {
  switch (noun) {
    case Noun::kSize:
      return 0;
    case Noun::kExtent:
      return 1;
    case Noun::kEntry:
      return 2;
    case Noun::kDirty:
      return 3;
    case Noun::kPte:
      return 4;
    case Noun::kBytes:
      return 6;
    default:
      return 5;
  }
}

const char* property(Noun noun) {
  switch (noun) {
    case Noun::kSize:
      return "size";
    case Noun::kExtent:
      return "block";
    case Noun::kEntry:
      return "entry";
    case Noun::kDirty:
      return "dirty mark";
    case Noun::kPte:
      return "pte";
    case Noun::kBytes:
      return "byte";
    default:
      return "refs";
  }
}

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
      line.object = property_order == order(Noun::kSize)
                        ? words_.file(page.first)
                        : words_.page({Noun::kEntry, page.first, page.second, 1});
      line.property = property(nouns_.at(property_order));
      if (spaces_.size() > 1 && sub != 0) {
        line.property += " in address space " + std::to_string(sub);
      }
      line.before = value.before;
      line.after = value.after;
      line.changed_by = value.by;
      lines.push_back(std::move(line));
    }
    return lines;
  }

 private:
  // A step past which the finding's own checks and the tear-down follow.
  size_t end() const {
    const auto& steps = timeline_.steps();
    if (report_.finding.task >= 0 && report_.finding.task != daxfs::rt::kRootTask) {
      return steps.size();
    }
    for (size_t i = steps.size(); i-- > 0;) {
      if (prog::is_program_task(static_cast<prog::TaskId>(steps[i].task))) {
        return i + 1;
      }
    }
    return steps.size();
  }

  void choose_pages() {
    for (const ObjectRef& ref : report_.finding.about.refs) {
      const ObjectRef page = timeline_.page_of(ref);
      if (page.noun == Noun::kEntry) {
        add_pages({Noun::kEntry, page.a, page.b, ref.count});
      }
      if (ref.noun == Noun::kInode || ref.noun == Noun::kSize) {
        inodes_.insert(ref.a);
      }
    }
    if (!pages_.empty()) {
      return;
    }
    for (const Step& step : timeline_.steps()) {
      const bool of_inode = inodes_.empty() || inodes_.contains(step.page.a);
      if (step.kind == Step::Kind::kWrite && step.page.noun == Noun::kEntry && of_inode &&
          prog::is_program_task(static_cast<prog::TaskId>(step.task))) {
        add_pages(step.page);
      }
    }
  }

  void add_pages(const ObjectRef& pages) {
    const uint64_t count = pages.count == 0 ? 1 : std::min<uint64_t>(pages.count, kPagesMax);
    for (uint64_t i = 0; i < count && pages_.size() < kPagesMax; ++i) {
      pages_.insert({pages.a, pages.b + i});
    }
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
      }
    }
  }

  void see(const Step& step, bool tasks_began) {
    if (step.object.noun == Noun::kSize) {
      if (inodes_.contains(step.object.a)) {
        see_at(step, {step.object.a, 0}, 0, tasks_began);
      }
      return;
    }
    for (const Facet& facet : explain::facets_of(step.object, step.page)) {
      if (pages_.contains({facet.a, facet.b}) && step.page.noun == Noun::kEntry) {
        see_at(step, {facet.a, facet.b}, facet.sub, tasks_began);
      }
    }
  }

  void see_at(const Step& step, const Page& page, uint64_t sub, bool tasks_began) {
    const Noun noun = step.object.noun;
    nouns_[order(noun)] = noun;
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
    if (step.kind == Step::Kind::kWrite && unlocked(now) != unlocked(value.after)) {
      value.by = who(step);
    }
    value.after = now;
    if (value.after == value.before) {
      value.by.clear();
    }
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
    const std::string prefix = std::string(property(step.object.noun)) + " ";
    return text.starts_with(prefix) ? text.substr(prefix.size()) : text;
  }

  std::string who(const Step& step) const {
    std::string text = prog::print_task_id(static_cast<prog::TaskId>(step.task));
    for (size_t at = step.parent; at != explain::kNoStep; at = timeline_.steps()[at].parent) {
      if (timeline_.steps()[at].kind == Step::Kind::kCall) {
        return text + ", " + timeline_.steps()[at].name + "()";
      }
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
  std::map<int, Noun> nouns_;  // by order()
  std::map<std::tuple<Page, int, uint64_t>, Value> values_;
};

}  // namespace

std::vector<StateLine> states_of(const Report& report) { return States(report).lines(); }

}  // namespace daxfuzz::report
