#include "fuzz/explore/explorer.h"

#include <algorithm>

namespace daxfuzz::explore {

Explorer::Explorer(Subject& subject, const Options& options)
    : subject_(subject), options_(options), walker_(options.reduce) {}

// Random runs show most shared objects at once; what they miss costs a pass.
void Explorer::warm_up() {
  constexpr uint64_t kWalks = 64;
  RunReport report;
  const daxfs::rt::WatchSteps watch(&walker_);
  walker_.follow({}, false, UINT64_MAX);
  subject_.run(walker_, &report);
  tasks_begin_ = report.tasks_begin;
  if (!options_.reduce) { return; }
  for (uint64_t seed = 1; seed <= kWalks; ++seed) {
    walker_.wander(seed, tasks_begin_);
    subject_.run(walker_, &report);
  }
}

void Explorer::start_pass() {
  walker_.states().clear();
  nodes_.clear();
  next_.clear();
  now_.assign(1, kNoParent);  // the empty path
  grown_ = false;
  pass_runs_ = 0;
  progress_.level = 0;
  progress_.done = 0;
  progress_.known = 1;
}

std::vector<Step> Explorer::path_to(uint32_t node) const {
  std::vector<Step> path;
  for (; node != kNoParent; node = nodes_[node].parent) { path.push_back(nodes_[node].step); }
  std::reverse(path.begin(), path.end());
  return path;
}

// Runs of a level go in one order: by the first decision in which they differ, "go on" before "switch". The last of
// now_ is next. Of two ways to one state the earlier is explored, and the way that preempts later is the earlier one:
// that is what allows Walker::too_early() together with the set of states (docs/decisions/0018).
void Explorer::sort_next_level() {
  // Nodes as a tree, depth first: a run, then what deviates from it, the latest deviation first. The deviations of a
  // run stand one behind the other in nodes_, in the order of its events.
  std::vector<uint32_t> first_child(nodes_.size() + 1, kNoParent);
  std::vector<uint32_t> last_child(nodes_.size() + 1, kNoParent);
  for (uint32_t i = 0; i < nodes_.size(); ++i) {
    const size_t parent = nodes_[i].parent == kNoParent ? nodes_.size() : nodes_[i].parent;
    if (first_child[parent] == kNoParent) { first_child[parent] = i; }
    last_child[parent] = i;
  }
  std::vector<bool> wanted(nodes_.size());
  for (const uint32_t node : next_) { wanted[node] = true; }
  now_.clear();
  std::vector<uint32_t> stack;
  const auto push_children = [&](size_t parent) {
    if (first_child[parent] == kNoParent) { return; }
    for (uint32_t i = first_child[parent]; i <= last_child[parent]; ++i) { stack.push_back(i); }
  };
  for (push_children(nodes_.size()); !stack.empty();) {
    const uint32_t node = stack.back();
    stack.pop_back();
    if (wanted[node]) { now_.push_back(node); }
    push_children(node);
  }
  std::reverse(now_.begin(), now_.end());
  next_.clear();
}

// RETURNS: false when the exploration is at its end because of what the run showed.
bool Explorer::run_node(uint32_t node, Result* result) {
  const std::vector<Step> path = path_to(node);
  walker_.follow(path, progress_.level < options_.preemptions, tasks_begin_);
  RunReport report;
  {
    const daxfs::rt::WatchSteps watch(&walker_);
    subject_.run(walker_, &report);
  }
  walker_.end_run();
  ++progress_.runs;
  ++progress_.done;
  ++pass_runs_;
  grown_ |= walker_.met_new_shared_object();
  if (!walker_.followed()) {
    result->unstable = true;
    return false;
  }
  if (options_.collect_outcomes) { result->outcomes.insert(report.outcome); }
  for (const Step& step : walker_.alternatives()) {
    const auto child = static_cast<uint32_t>(nodes_.size());
    nodes_.push_back({node, step});
    (step.preemption ? next_ : now_).push_back(child);
    progress_.known += !step.preemption;
  }
  if (report.finding && !result->finding) {
    result->finding = std::move(report);
    if (options_.stop_at_finding) { return false; }
  }
  return true;
}

Result Explorer::run(Watcher* watcher) {
  Result result;
  if (!started_) {
    started_ = true;
    warm_up();
    start_pass();
  }
  for (;;) {
    while (!now_.empty()) {
      const uint32_t node = now_.back();
      now_.pop_back();
      const bool more = run_node(node, &result);
      result.progress = progress_;
      result.explored = pass_runs_;
      result.shared_objects = walker_.shared().count();
      if (!more) { return result; }
      if (watcher != nullptr && !watcher->go_on(progress_)) { return result; }
    }
    if (progress_.level < options_.preemptions && !next_.empty()) {
      sort_next_level();
      ++progress_.level;
      progress_.done = 0;
      progress_.known = now_.size();
      continue;
    }
    if (!grown_ || !options_.reduce) { break; }
    ++progress_.pass;
    start_pass();
    result.outcomes.clear();
  }
  result.complete = true;
  return result;
}

}  // namespace daxfuzz::explore
