// fuzz/report/perfetto.cc - the whole run on a time line: functions as nested slices, changes of
// values as instants and counters, preemptions as arrows, and one track that says who ran.
//
// Time is the number of the event, one a microsecond; what happens between two events is a
// thousandth later each. B and E events are balanced on every thread: what the end of an abandoned
// run left open is closed there.
#include <algorithm>
#include <map>

#include <nlohmann/json.hpp>

#include "fs/rt/task.h"
#include "fuzz/explain/timeline.h"
#include "fuzz/explain/words.h"
#include "fuzz/prog/text.h"
#include "fuzz/report/formats.h"

namespace daxfuzz::report {
namespace {

using daxfs::Noun;
using daxfs::rt::PointKind;
using daxfs::rt::TaskId;
using explain::Record;
using explain::Step;
using nlohmann::json;

constexpr int kHarnessPid = 100;  // above every process of the program
constexpr int kSystemPid = 101;
constexpr int kSchedulePid = 102;

std::string system_name(TaskId task) {
  const std::string id = prog::print_task_id(static_cast<prog::TaskId>(task));
  if (task == daxfs::rt::kRcuTask) { return id + " RCU"; }
  return id + (task < daxfs::rt::kFirstWorkerTask ? " interrupt" : " worker");
}

class Trace {
 public:
  explicit Trace(const Report& report)
      : report_(report),
        timeline_(report.recording->recorder),
        words_(report.recording->recorder, {report.recording->files.begin(), report.recording->files.end()}, true) {
    for (size_t i = 0; i < timeline_.steps().size(); ++i) { step_of_[timeline_.steps()[i].record] = i; }
  }

  std::string render() {
    const auto records = report_.recording->recorder.records();
    for (size_t i = 0; i < records.size(); ++i) { add(records[i], i); }
    finish();
    name_tracks();
    json other = {{"title", report_.title},
                  {"key", report_.key},
                  {"trace", report_.trace},
                  {"time", "1 us is one scheduling event of the run; no real time is in here"},
                  {"daxfuzz", report_.environment.version},
                  {"program", prog::print(report_.program)}};
    if (report_.recording->recorder.dropped() != 0) {
      other["records_left_out"] = report_.recording->recorder.dropped();
    }
    const json out = {{"traceEvents", std::move(events_)}, {"displayTimeUnit", "ns"}, {"otherData", std::move(other)}};
    return out.dump(1, ' ', false, json::error_handler_t::replace) + "\n";
  }

 private:
  struct Thread {
    size_t open = 0;       // slices
    bool waits = false;    // the innermost of them says what for
    uint64_t arrives = 0;  // arrow that ends at its next record
  };

  int pid(TaskId task) const {
    if (task == daxfs::rt::kRootTask) { return kHarnessPid; }
    if (task >= daxfs::rt::kFirstSystemTask) { return kSystemPid; }
    const auto index = static_cast<size_t>(task);
    return index < report_.program.tasks.size() ? report_.program.tasks[index].process + 1 : kHarnessPid;
  }

  double now() const {
    return static_cast<double>(event_) + static_cast<double>(std::min<uint64_t>(between_, 999)) / 1000;
  }

  json base(const char* phase, TaskId task) const {
    return {{"ph", phase}, {"ts", now()}, {"pid", pid(task)}, {"tid", task}};
  }

  void begin(TaskId task, const std::string& name, const char* category) {
    json event = base("B", task);
    event["name"] = name;
    event["cat"] = category;
    events_.push_back(std::move(event));
    ++threads_[task].open;
  }
  void end(TaskId task) {
    Thread& thread = threads_[task];
    if (thread.open == 0) { return; }
    --thread.open;
    events_.push_back(base("E", task));
  }
  void end_all(TaskId task) {
    while (threads_[task].open != 0) { end(task); }
    threads_[task].waits = false;
  }

  void add(const Record& record, size_t index) {
    const TaskId task = record.task;
    if (record.kind == Record::Kind::kEvent) {
      ++event_;
      between_ = 0;
    } else {
      ++between_;
    }
    if (task != running_) { runs(task); }
    Thread& thread = threads_[task];
    if (thread.waits) {
      thread.waits = false;
      end(task);
    }
    switch (record.kind) {
      case Record::Kind::kEvent: add_event(record, index); break;
      case Record::Kind::kBegin: begin(task, words_.call(step(index)), "function"); break;
      case Record::Kind::kEnd:
        if (threads_[task].open > base_of(task)) { end(task); }
        break;
      case Record::Kind::kRead: break;
      case Record::Kind::kWrite: change(record, index); break;
    }
    arrive(task);
  }

  const Step& step(size_t record) const { return timeline_.steps()[step_of_.at(record)]; }

  // Slices that are no function: the operation.
  size_t base_of(TaskId task) const {
    const auto found = in_op_.find(task);
    return found != in_op_.end() && found->second ? 1 : 0;
  }

  void add_event(const Record& record, size_t index) {
    const TaskId task = record.task;
    if (record.point == PointKind::kOpBegin) {
      end_all(task);
      begin(task, op_name(record), "operation");
      in_op_[task] = true;
    }
    if (record.point == PointKind::kOpEnd) {
      end_all(task);
      in_op_[task] = false;
    }
    if (record.name != nullptr) {
      begin(task, words_.blocks(step(index)), "wait");
      threads_[task].waits = true;
    }
    for (const daxfs::rt::TakenSwitch& taken : report_.recording->taken) {
      if (taken.from == task && taken.op == record.op && taken.event_in_op == record.event) { depart(taken); }
    }
  }

  std::string op_name(const Record& record) const {
    const auto index = static_cast<size_t>(record.task);
    if (index < report_.program.tasks.size() && record.op < report_.program.tasks[index].ops.size()) {
      return prog::print_op(report_.program, report_.program.tasks[index].ops[record.op]);
    }
    return "operation " + std::to_string(record.op + 1);
  }

  void change(const Record& record, size_t index) {
    const Step& s = step(index);
    json event = base("i", record.task);
    event["name"] = words_.access(s);
    event["cat"] = "state";
    event["s"] = "t";
    event["args"] = {{"state", words_.state(s)}, {"event", record.event}};
    if (record.op != daxfs::rt::kNoOp) { event["args"]["operation"] = record.op + 1; }
    events_.push_back(std::move(event));
    if (record.object.noun == Noun::kFrame && s.page.noun == Noun::kEntry) {
      events_.push_back({{"ph", "C"},
                         {"ts", now()},
                         {"pid", kSchedulePid},
                         {"tid", 0},
                         {"name", "refs of " + words_.page(s.page)},
                         {"args", {{"refs", record.now}}}});
    }
  }

  // --- preemptions

  // An arrow begins and ends in a slice; where a task has none, in one that says what it is.
  void depart(const daxfs::rt::TakenSwitch& taken) {
    ++arrows_;
    const bool bare = threads_[taken.from].open == 0;
    if (bare) { begin(taken.from, "preempted", "schedule"); }
    json event = base("s", taken.from);
    event["name"] = "preemption";
    event["cat"] = "schedule";
    event["id"] = arrows_;
    events_.push_back(std::move(event));
    if (bare) { end(taken.from); }
    threads_[taken.to].arrives = arrows_;
  }
  void arrive(TaskId task) {
    Thread& thread = threads_[task];
    if (thread.arrives == 0) { return; }
    const bool bare = thread.open == 0;
    if (bare) { begin(task, "goes on", "schedule"); }
    json event = base("f", task);
    event["name"] = "preemption";
    event["cat"] = "schedule";
    event["id"] = thread.arrives;
    event["bp"] = "e";
    events_.push_back(std::move(event));
    if (bare) { end(task); }
    thread.arrives = 0;
  }

  void runs(TaskId task) {
    if (running_ != daxfs::rt::kNoTask) { events_.push_back(turn("E", running_)); }
    running_ = task;
    events_.push_back(turn("B", task));
  }
  json turn(const char* phase, TaskId task) const {
    json event = {{"ph", phase}, {"ts", now()}, {"pid", kSchedulePid}, {"tid", 0}};
    if (*phase == 'B') {
      event["name"] = name(task);
      event["cat"] = "schedule";
    }
    return event;
  }

  void finish() {
    ++between_;
    const TaskId reporter = report_.finding.task >= 0 ? report_.finding.task : daxfs::rt::kRootTask;
    json event = base("i", reporter);
    event["name"] = report_.title;
    event["cat"] = "finding";
    event["s"] = "g";
    events_.push_back(std::move(event));
    threads_[reporter];
    ++event_;
    between_ = 0;
    for (auto& [task, thread] : threads_) { end_all(task); }
    if (running_ != daxfs::rt::kNoTask) { events_.push_back(turn("E", running_)); }
  }

  std::string name(TaskId task) const {
    if (task == daxfs::rt::kRootTask) { return "set-up and checks"; }
    if (task >= daxfs::rt::kFirstSystemTask) { return system_name(task); }
    return prog::print_task_id(static_cast<prog::TaskId>(task));
  }

  void metadata(const char* what, int pid, TaskId task, const std::string& value, int order) {
    events_.push_back(
        {{"ph", "M"}, {"pid", pid}, {"tid", task}, {"ts", 0}, {"name", what}, {"args", {{"name", value}}}});
    const std::string sort = std::string(what) == "process_name" ? "process_sort_index" : "thread_sort_index";
    events_.push_back(
        {{"ph", "M"}, {"pid", pid}, {"tid", task}, {"ts", 0}, {"name", sort}, {"args", {{"sort_index", order}}}});
  }

  void name_tracks() {
    metadata("process_name", kSchedulePid, 0, "who runs (1 us = 1 event)", 0);
    metadata("thread_name", kSchedulePid, 0, "the processor", 0);
    std::map<int, std::string> processes;
    for (const auto& [task, thread] : threads_) {
      const int p = pid(task);
      processes[p] = p == kHarnessPid  ? "harness"
                     : p == kSystemPid ? "interrupts and kernel threads"
                                       : "P" + std::to_string(p - 1);
      metadata("thread_name", p, task, name(task), task);
    }
    for (const auto& [p, text] : processes) { metadata("process_name", p, 0, text, p); }
  }

  const Report& report_;
  explain::Timeline timeline_;
  explain::Words words_;
  std::map<size_t, size_t> step_of_;  // by record
  std::map<TaskId, Thread> threads_;
  std::map<TaskId, bool> in_op_;
  TaskId running_ = daxfs::rt::kNoTask;
  uint64_t event_ = 0;
  uint64_t between_ = 0;
  uint64_t arrows_ = 0;
  json events_ = json::array();
};

}  // namespace

std::string to_perfetto(const Report& report) { return Trace(report).render(); }

}  // namespace daxfuzz::report
