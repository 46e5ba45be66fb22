// fuzz/explain/rows.cc - from a slice to lines.
#include "fuzz/explain/rows.h"

#include <algorithm>
#include <map>

#include "fuzz/prog/text.h"

namespace daxfuzz::explain {

using daxfs::Noun;
using daxfs::rt::TaskId;

namespace {

// A row with the step behind it, so that its words can be said anew for more pages.
struct Draft {
  Row row;
  Step step;
  bool foldable = false;  // false for arrows
  bool layers = false;    // calls between it and the row above were left out
};

class Drawing {
 public:
  Drawing(const Timeline& timeline, const Slice& slice, std::span<const daxfs::rt::TakenSwitch> taken,
          const prog::Program& program, const Words& words, Explanation* out)
      : steps_(timeline.steps()),
        slice_(slice),
        taken_(taken),
        program_(program),
        words_(words),
        out_(*out),
        keep_(slice.keep) {}

  void draw() {
    name_columns();
    draft();
    while (fold()) {}
    shorten_chains();
    for (Draft& d : drafts_) { out_.rows.push_back(std::move(d.row)); }
  }

 private:
  void name_columns() {
    for (const TaskId task : slice_.columns) {
      std::string name = prog::print_task_id(static_cast<prog::TaskId>(task));
      if (task == daxfs::rt::kRcuTask) { name += " rcu"; }
      if (task >= daxfs::rt::kFirstIrqTask && task < daxfs::rt::kFirstWorkerTask) { name += " irq"; }
      if (task >= daxfs::rt::kFirstWorkerTask) { name += " worker"; }
      column_of_[task] = static_cast<int>(out_.columns.size());
      out_.columns.push_back({task, name});
    }
  }

  int depth(size_t i) const {
    int depth = 0;
    for (size_t at = steps_[i].parent; at != kNoStep; at = steps_[at].parent) { depth += keep_[at] ? 1 : 0; }
    return depth;
  }

  void draft() {
    size_t next = 0;
    for (size_t i = 0; i < steps_.size(); ++i) {
      if (keep_[i]) { drafts_.push_back(make(i)); }
      for (; next < slice_.preempted.size() && slice_.preempted[next].step == i; ++next) {
        draft_switch(slice_.preempted[next]);
      }
    }
  }

  Draft make(size_t i) const {
    Draft d;
    d.step = steps_[i];
    d.row.column = column_of_.at(d.step.task);
    d.row.depth = depth(i);
    d.row.op = d.step.op;
    d.row.event = d.step.event;
    d.foldable = true;
    say(&d);
    return d;
  }

  void say(Draft* d) const {
    const Step& step = d->step;
    Row& row = d->row;
    switch (step.kind) {
      case Step::Kind::kOp:
        row.kind = Row::Kind::kOp;
        row.text = op_text(step);
        break;
      case Step::Kind::kCall:
        row.kind = Row::Kind::kCall;
        row.text = (d->layers ? "... " : "") + words_.call(step);
        break;
      case Step::Kind::kRead:
      case Step::Kind::kWrite:
        row.kind = Row::Kind::kAccess;
        row.text = words_.access(step);
        row.state = words_.state(step);
        break;
      case Step::Kind::kLock:
      case Step::Kind::kUnlock:
        row.kind = Row::Kind::kLock;
        row.text = words_.lock_step(step);
        break;
      case Step::Kind::kBlocks:
        row.kind = Row::Kind::kBlocks;
        row.text = words_.blocks(step);
        break;
      case Step::Kind::kPoint: row.text = daxfs::rt::point_kind_name(step.point); break;
    }
  }

  std::string op_text(const Step& step) const {
    const auto task = static_cast<size_t>(step.task);
    if (task < program_.tasks.size() && step.op < program_.tasks[task].ops.size()) {
      return prog::print_op(program_, program_.tasks[task].ops[step.op]);
    }
    return "operation " + std::to_string(step.op + 1);
  }

  void draft_switch(const Slice::Preempted& p) {
    const daxfs::rt::TakenSwitch& s = taken_[p.taken];
    Draft d;
    d.step = steps_[p.step];
    d.row.kind = Row::Kind::kSwitch;
    d.row.column = column_of_.at(s.from);
    d.row.depth = depth(p.step) + 1;
    d.row.to = column_of_.at(p.to);
    d.row.op = s.op;
    d.row.event = s.event_in_op;
    drafts_.push_back(std::move(d));
  }

  // --- the same again, for the next page.

  // `b` does for the page after a's last one what `a` does; or exactly the same.
  enum class Same : uint8_t { kNo, kAgain, kNextPage };
  Same same(const Draft& a, const Draft& b) const {
    if (!a.foldable || !b.foldable || a.row.column != b.row.column || a.row.depth != b.row.depth ||
        a.row.kind != b.row.kind || a.row.state != b.row.state || a.step.task != b.step.task ||
        a.step.op != b.step.op) {
      return Same::kNo;
    }
    if (a.row.kind == Row::Kind::kOp) { return Same::kNo; }
    if (a.row.text == b.row.text) { return Same::kAgain; }
    const auto& p = a.step.page;
    const auto& q = b.step.page;
    if (p.noun != Noun::kEntry || q.noun != Noun::kEntry || p.a != q.a || p.b + p.count != q.b) { return Same::kNo; }
    Draft moved = a;
    moved.step.page = q;
    say(&moved);
    return moved.row.text == b.row.text && moved.row.state == b.row.state ? Same::kNextPage : Same::kNo;
  }

  // Whether [at, at + n) is one subtree: a head and what is below it.
  bool subtree(size_t at, size_t n) const {
    for (size_t i = at + 1; i < at + n; ++i) {
      if (drafts_[i].row.depth <= drafts_[at].row.depth || drafts_[i].row.column != drafts_[at].row.column) {
        return false;
      }
    }
    return true;
  }

  static constexpr size_t kFoldMax = 24;  // rows of one repetition

  bool fold() {
    bool any = false;
    for (size_t at = 0; at < drafts_.size(); ++at) {
      for (size_t n = 1; n <= kFoldMax && at + 2 * n <= drafts_.size() && subtree(at, n);) {
        if (fold_at(at, n)) {
          any = true;
        } else {
          ++n;
        }
      }
    }
    return any;
  }

  bool fold_at(size_t at, size_t n) {
    if (!subtree(at + n, n)) { return false; }
    // The second one must be whole.
    if (at + 2 * n < drafts_.size() && drafts_[at + 2 * n].row.depth > drafts_[at].row.depth &&
        drafts_[at + 2 * n].row.column == drafts_[at].row.column) {
      return false;
    }
    bool next_page = false;
    for (size_t i = 0; i < n; ++i) {
      const Same how = same(drafts_[at + i], drafts_[at + n + i]);
      if (how == Same::kNo) { return false; }
      next_page |= how == Same::kNextPage;
    }
    for (size_t i = 0; i < n; ++i) {
      Draft& first = drafts_[at + i];
      const Draft& second = drafts_[at + n + i];
      if (same(first, second) == Same::kNextPage) {
        first.step.page.count += second.step.page.count;
        say(&first);
      } else if (!next_page) {
        first.row.repeat += i == 0 ? second.row.repeat : 0;
      }
    }
    drafts_.erase(drafts_.begin() + static_cast<ptrdiff_t>(at + n),
                  drafts_.begin() + static_cast<ptrdiff_t>(at + 2 * n));
    return true;
  }

  // A call that does nothing but call another one, and is all that its caller does, says nothing:
  // "... a few layers ...".
  void shorten_chains() {
    for (size_t i = 0; i < drafts_.size(); ++i) {
      const size_t child = only_call(i);
      if (child == kNoStep) { continue; }
      const size_t grandchild = only_call(child);
      if (grandchild == kNoStep) { continue; }
      const int depth = drafts_[child].row.depth;
      for (size_t k = child + 1; k < drafts_.size(); ++k) {
        if (drafts_[k].row.column != drafts_[child].row.column) { continue; }
        if (drafts_[k].row.depth <= depth) { break; }
        --drafts_[k].row.depth;
      }
      drafts_[grandchild].layers = true;
      say(&drafts_[grandchild]);
      drafts_.erase(drafts_.begin() + static_cast<ptrdiff_t>(child));
      --i;
    }
  }

  // The call below the call at `i`, if that has nothing else below it.
  size_t only_call(size_t i) const {
    const Row& head = drafts_[i].row;
    if (head.kind != Row::Kind::kCall) { return kNoStep; }
    size_t child = kNoStep;
    for (size_t k = i + 1; k < drafts_.size(); ++k) {
      const Row& row = drafts_[k].row;
      if (row.column != head.column) { continue; }
      if (row.depth <= head.depth) { break; }
      if (row.depth > head.depth + 1) { continue; }
      if (child != kNoStep || row.kind != Row::Kind::kCall) { return kNoStep; }
      child = k;
    }
    return child;
  }

  const std::vector<Step>& steps_;
  const Slice& slice_;
  std::span<const daxfs::rt::TakenSwitch> taken_;
  const prog::Program& program_;
  const Words& words_;
  Explanation& out_;
  std::vector<bool> keep_;
  std::map<TaskId, int> column_of_;
  std::vector<Draft> drafts_;
};

}  // namespace

void draw_rows(const Timeline& timeline, const Slice& slice, std::span<const daxfs::rt::TakenSwitch> taken,
               const prog::Program& program, const Words& words, Explanation* out) {
  Drawing(timeline, slice, taken, program, words, out).draw();
}

}  // namespace daxfuzz::explain
