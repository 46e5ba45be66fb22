#include "fuzz/minimize/minimizer.h"

#include <algorithm>
#include <map>
#include <string>

#include "fuzz/minimize/edits.h"
#include "fuzz/minimize/near_search.h"
#include "fuzz/prog/binary.h"
#include "fuzz/prog/names.h"
#include "fuzz/prog/text.h"

namespace daxfuzz::minimize {
namespace {

using prog::Place;
using prog::Program;

constexpr size_t kPreemptionsFew = 3;  // as many a smaller program may have more

std::string bytes_of(const Program& program) {
  const auto bytes = prog::encode(program);
  return {bytes.begin(), bytes.end()};
}

class Minimizer {
 public:
  Minimizer(Subject& subject, const Options& options, Watcher* watcher)
      : options_(options), watcher_(watcher), search_(subject, [this] { return stopping(); }) {}

  Result run(const Program& program) {
    if (start(program)) {
      bool minimal = false;
      while (!minimal && !stopping()) {
        while (!stopping() && round()) {}
        minimal = !stopping() && !widest() && !stopping();
      }
      result_.end = minimal ? End::kMinimal : stopped_ ? End::kStopped : End::kRunsUsedUp;
    }
    if (stopped_ && result_.end == End::kDoesNotFire) { result_.end = End::kStopped; }
    result_.program = best_;
    result_.runs = search_.runs();
    return result_;
  }

 private:
  bool stopping() {
    stopped_ = stopped_ || (watcher_ != nullptr && watcher_->stop());
    return stopped_ || search_.runs() >= options_.runs_max;
  }

  void doing(const char* what) {
    if (watcher_ != nullptr) { watcher_->progress(what, search_.runs()); }
  }

  Effort normal() const { return {.sweep = true, .wide = false, .walks = options_.walks}; }
  Effort quick() const { return {.sweep = false, .wide = false, .walks = 0}; }
  Effort last() const { return {.sweep = true, .wide = true, .walks = options_.walks_last}; }

  bool start(const Program& program) {
    doing("replay");
    best_ = program;
    const bool fires = search_.fires(best_);
    result_.drift = search_.last().drift;
    if (!fires) {
      doing("search near the recorded schedule");
      result_.searched = true;
      Effort effort = last();
      effort.walks *= 10;
      if (!search_.find(&best_, {}, effort)) { return false; }
    }
    adopt_best(best_);
    doing("drop preemptions");
    drop_preemptions();
    return true;
  }

  // One pass over everything. RETURNS: whether anything got smaller.
  bool round() {
    const Cost before = cost_;
    if (options_.mode == Mode::kEverything) {
      cut_tasks();
      cut_ops();
      prepared_cuts();
      merge();
      simplify();
    }
    fewer_preemptions();
    return cost_ < before;
  }

  // The last look before the result calls itself minimal. RETURNS: whether something got smaller after all.
  bool widest() {
    doing("check that nothing can go");
    bool smaller = drop_preemptions();
    if (options_.mode != Mode::kEverything) { return smaller; }
    const auto places = all_places(best_);
    for (size_t i = places.size(); i-- > 0;) {
      if (stopping()) { return smaller; }
      if (attempt(remove_one(places[i]), last())) { return true; }
    }
    return smaller;
  }

  // --- cuts

  void cut_tasks() {
    doing("cut tasks");
    for (size_t t = best_.tasks.size(); t-- > 0;) {
      if (t < best_.tasks.size()) { attempt(drop_task(static_cast<uint8_t>(t)), normal()); }
    }
    for (size_t p = best_.processes.size(); p-- > 1;) {
      if (p < best_.processes.size()) { attempt(drop_process(static_cast<uint8_t>(p)), normal()); }
    }
  }

  void cut_ops() {
    doing("cut operations");
    for (size_t count = std::max<size_t>(1, all_places(best_).size() / 2);; count /= 2) {
      // From the end: what comes late depends on what comes early.
      for (size_t end = all_places(best_).size(); end > 0 && !stopping();) {
        const size_t first = end > count ? end - count : 0;
        attempt(remove_range(first, end - first), count == 1 ? normal() : quick_walks());
        end = first;
      }
      if (count == 1) { break; }
    }
  }
  Effort quick_walks() const { return {.sweep = true, .wide = false, .walks = options_.walks / 4}; }

  // Operations that can go if something else changes at the same time.
  void prepared_cuts() {
    doing("cut operations after other edits");
    for (const std::string& image : options_.images) {
      if (image == best_.image) { continue; }
      for (size_t i = all_places(best_).size(); i-- > 0 && !stopping();) {
        attempt_all({set_image(image), remove_range(i, 1)}, normal());
      }
    }
    attempt_while([this] { return mergers(best_); }, quick_walks());
    cut_after_preparations({});
    for (const std::string& image : options_.images) {
      if (image != best_.image) { cut_after_preparations(image); }
    }
  }

  void cut_after_preparations(const std::string& image) {
    std::vector<Edit> edits = preparations(best_);
    for (size_t e = 0; e < edits.size(); ++e) {
      for (size_t i = all_places(best_).size(); i-- > 0 && !stopping();) {
        std::vector<Edit> all = {edits[e], remove_range(i, 1)};
        if (!image.empty()) { all.insert(all.begin(), set_image(image)); }
        if (attempt_all(all, image.empty() ? quick_walks() : quick())) {
          edits = preparations(best_);
          if (e >= edits.size()) { break; }
        }
      }
    }
  }

  // Fewer tasks, fewer operations that run concurrently.
  void merge() {
    doing("merge tasks");
    for (size_t from = best_.tasks.size(); from-- > 0;) {
      for (size_t to = 0; from < best_.tasks.size() && to < best_.tasks.size() && !stopping(); ++to) {
        if (attempt(append_task(static_cast<uint8_t>(from), static_cast<uint8_t>(to)), quick_walks())) { break; }
      }
    }
    for (size_t t = 0; t < best_.tasks.size(); ++t) {
      while (!stopping() && attempt(first_op_to_setup(static_cast<uint8_t>(t)), quick_walks())) {}
    }
  }

  void simplify() {
    doing("simplify operands");
    for (const std::string& image : options_.images) { attempt(set_image(image), sweeps()); }
    for (const auto mount : prog::mount_options()) { attempt(set_mount(mount), sweeps()); }
    const auto places = all_places(best_);
    for (const Place place : places) {
      attempt_while([&] { return simplifications(best_, place); }, sweeps());
    }
    attempt(renumber_variables(), sweeps());
  }
  Effort sweeps() const { return {.sweep = true, .wide = false, .walks = 0}; }

  // --- schedule

  // Anchors that the finding does not need. RETURNS: whether there were any.
  bool drop_preemptions() {
    const size_t before = best_.schedule.size();
    Program smaller = best_;
    trim(&smaller);
    if (smaller.schedule.size() == before) { return false; }
    adopt_best(smaller);
    return true;
  }

  // By exact replay, largest runs first.
  void trim(Program* program) {
    for (size_t count = std::max<size_t>(1, program->schedule.size() / 2);; count /= 2) {
      for (size_t end = program->schedule.size(); end > 0 && !stopping();) {
        const size_t first = end > count ? end - count : 0;
        Program less = *program;
        less.schedule.erase(less.schedule.begin() + static_cast<ptrdiff_t>(first),
                            less.schedule.begin() + static_cast<ptrdiff_t>(end));
        if (fires(less)) { *program = less; }
        end = first;
      }
      if (count == 1) { break; }
    }
  }

  // Another schedule with fewer preemptions: one less, the others moved.
  void fewer_preemptions() {
    doing("look for fewer preemptions");
    while (!best_.schedule.empty() && !stopping()) {
      bool found = false;
      for (size_t i = 0; i < best_.schedule.size() && !found; ++i) {
        Program less = best_;
        std::vector<Landmark> marks = marks_;
        less.schedule.erase(less.schedule.begin() + static_cast<ptrdiff_t>(i));
        marks.erase(marks.begin() + static_cast<ptrdiff_t>(i));
        found = try_candidate(std::move(less), std::move(marks), {.sweep = true, .wide = true, .walks = 0});
      }
      if (!found) { return; }
    }
  }

  // --- candidates

  bool attempt(const Edit& edit, const Effort& effort) { return attempt_all({edit}, effort); }

  // As long as one of them is accepted: that may leave others to do, so they are made anew.
  template <typename MakeEdits>
  void attempt_while(MakeEdits make_edits, const Effort& effort) {
    const auto accepted = [&](const Edit& edit) { return attempt(edit, effort); };
    while (!stopping() && std::ranges::any_of(make_edits(), accepted)) {}
  }

  // Edits of the best program; the landmarks of preemptions that survive go along.
  bool attempt_all(const std::vector<Edit>& edits, const Effort& effort) {
    if (stopping()) { return false; }
    Program program = best_;
    for (size_t i = 0; i < program.schedule.size(); ++i) { program.schedule[i].event = static_cast<uint32_t>(i + 1); }
    for (const Edit& edit : edits) {
      if (!edit(program)) { return false; }
    }
    prog::canonicalise_strings(program);
    std::vector<Landmark> marks;
    for (prog::Preemption& p : program.schedule) {
      Landmark mark = marks_[p.event - 1];
      p.event = mark.event;
      const Landmark moved = exact_landmark(p);
      mark.task = moved.task;
      mark.next = moved.next;
      mark.op = moved.op;
      marks.push_back(mark);
    }
    if (!prog::validate(program).empty()) { return false; }
    return try_candidate(std::move(program), std::move(marks), effort);
  }

  bool try_candidate(Program program, std::vector<Landmark> marks, const Effort& effort) {
    // What it costs if the schedule stays: fewer operations may need more preemptions, everything else may not.
    if (!(cost_of(program) < cost_)) { return false; }
    if (known(program, effort)) { return false; }
    if (!search_.find(&program, marks, effort)) { return false; }
    trim(&program);
    const Cost cost = cost_of(program);
    const bool few = cost.preemptions <= std::max(cost_.preemptions, kPreemptionsFew);
    if (!(cost < cost_) || !few || stopping()) { return false; }
    adopt_best(program);
    return true;
  }

  // Whether this was tried with as much effort already. Memoised by the program's bytes.
  bool known(const Program& program, const Effort& effort) {
    const unsigned level = effort.walks + (effort.sweep ? 1u << 16 : 0) + (effort.wide ? 1u << 17 : 0);
    unsigned& tried = tried_[bytes_of(program)];
    if (tried > level) { return true; }
    tried = level + 1;
    return false;
  }

  bool fires(const Program& program) {
    const std::string bytes = bytes_of(program);
    if (const auto found = replayed_.find(bytes); found != replayed_.end()) { return found->second; }
    return replayed_[bytes] = search_.fires(program);
  }

  void adopt_best(const Program& program) {
    best_ = program;
    cost_ = cost_of(best_);
    marks_ = search_.landmarks(best_);
    result_.trace_hash = search_.last().trace_hash;
    if (watcher_ != nullptr) { watcher_->better(best_, cost_); }
  }

  const Options& options_;
  Watcher* watcher_;
  NearSearch search_;
  bool stopped_ = false;
  Program best_;
  Cost cost_;
  std::vector<Landmark> marks_;
  std::map<std::string, unsigned> tried_;
  std::map<std::string, bool> replayed_;
  Result result_;
};

}  // namespace

Result minimize(Subject& subject, const Program& program, const Options& options, Watcher* watcher) {
  return Minimizer(subject, options, watcher).run(program);
}

}  // namespace daxfuzz::minimize
