#include "fuzz/exec/executor.h"

#include <algorithm>
#include <cstdio>
#include <set>

#include "fs/check/audit.h"
#include "fs/check/media.h"
#include "fs/rt/task.h"
#include "fs/vfs/filesystem.h"
#include "fs/vfs/process.h"
#include "fuzz/exec/durability.h"
#include "fuzz/exec/interpreter.h"
#include "fuzz/exec/lone_call.h"
#include "fuzz/exec/templates.h"
#include "fuzz/oracle/judge.h"
#include "fuzz/oracle/model.h"

namespace daxfuzz::exec {

static_assert(daxfs::rt::kNoOp == prog::kBeforeFirstOp && daxfs::rt::kRootTask == prog::kRootTask);
static_assert(daxfs::rt::kFirstSystemTask == prog::kSystemTask0);

using daxfs::Finding;
using daxfs::Verdict;
namespace rt = daxfs::rt;

struct Executor::TaskState {
  Arena arena;
  Run* run = nullptr;
  uint8_t task = 0;
  size_t first_record = 0;
};

// Everything one run needs; lives on the caller's stack, so that an abandoned run leaks only what the library owns.
struct Executor::Run {
  Executor& executor;
  const prog::Program& program;
  const RunConfig& config;
  Outcome& outcome;
  Machine& machine;
  daxfs::ext4::MountOptions options;
  std::unique_ptr<daxfs::vfs::Filesystem> fs;
  std::array<std::optional<daxfs::vfs::Process>, prog::kProcessesMax> processes;
  std::array<Interpreter::ProcessState, prog::kProcessesMax> states;
  uint64_t sequence = 0;
  uint32_t running = 0;     // operations begun and not ended
  bool lone_calls = false;  // LoneCall may look
  // What LoneCall objected to, by task: each has a place of its own, because nothing orders them for TSan.
  struct LoneWrong {
    uint64_t begin_seq = 0;
    oracle::Objection objection;
  };
  std::array<std::optional<LoneWrong>, prog::kTasksMax + 1> lone_wrongs = {};

  uint64_t next_sequence() { return __atomic_add_fetch(&sequence, 1, __ATOMIC_RELAXED); }
  void step(Interpreter& interpreter, const prog::Op& op, oracle::OpRecord& record);
  std::optional<LoneWrong>& lone_wrong_of(const oracle::OpRecord& record) {
    return lone_wrongs[record.task == oracle::kInitTask ? prog::kTasksMax : record.task];
  }
  void judge_lone(LoneCall& call, const oracle::OpRecord& record);
  std::optional<oracle::Objection> first_lone_wrong() const;
  void run_init();
  void run_tasks();
  void run_task(TaskState& task);
  void audit();
  void collect_events();
  void finish();
  void check_image();
  void read_finals();
  void read_final(const oracle::OpRecord& record);
  std::string during(const Finding& finding) const;
  static void at_finding(void* run, const Finding& finding, uint64_t trace_hash);
};

namespace {

// The last functions of a crash's stack where a judge of ours objects: one for each tag. They do something different
// each, or the linker would fold them into one.
#define DAXFUZZ_JUDGED_TAGS(X) X(O9) X(O15) X(O16) X(UNMOUNT) X(MM3)
volatile int g_judged_by = 0;
enum JudgedTag : int {
#define DAXFUZZ_X(tag) kJudged_##tag,
  DAXFUZZ_JUDGED_TAGS(DAXFUZZ_X) kJudgedOther
#undef DAXFUZZ_X
};
#define DAXFUZZ_X(tag)                    \
  FS_COLD void oracle_##tag##_objects() { \
    g_judged_by = kJudged_##tag;          \
    FS_STOP_AT_FINDING();                 \
  }
DAXFUZZ_JUDGED_TAGS(DAXFUZZ_X)
#undef DAXFUZZ_X

void stop_by_tag(std::string_view tag) {
#define DAXFUZZ_X(name) \
  if (tag == #name) { return oracle_##name##_objects(); }
  DAXFUZZ_JUDGED_TAGS(DAXFUZZ_X)
#undef DAXFUZZ_X
  g_judged_by = kJudgedOther;
  FS_STOP_AT_FINDING();
}

void report(Verdict verdict, const char* tag, std::string title, std::string detail, const char* function,
            daxfs::About about = {}) {
  Finding finding;
  finding.verdict = verdict;
  finding.tag = tag;
  finding.title = std::move(title);
  finding.detail = std::move(detail);
  finding.function = function;
  finding.about = about;
  finding.file = __FILE__;
  finding.line = __LINE__;
  daxfs::report_finding(std::move(finding));
  stop_by_tag(tag);
}

// A file that was made is also looked at by its inode; other changes of names only here.
bool moved_names(const oracle::History& history) {
  return std::any_of(history.records.begin(), history.records.end(), [](const oracle::OpRecord& record) {
    switch (record.op->code) {
      case prog::OpCode::kRename:
      case prog::OpCode::kLink:
      case prog::OpCode::kSymlink:
      case prog::OpCode::kUnlink:
      case prog::OpCode::kMkdir:
      case prog::OpCode::kRmdir: return record.error == daxfs::Errc::kOk;
      default: return false;
    }
  });
}

std::string joined(const std::set<std::string>& words) {
  std::string all;
  for (const std::string& word : words) { all += (all.empty() ? "" : "+") + word; }
  return all;
}

uint64_t mapped_address(const Interpreter::ProcessState& state, const prog::Memory& memory) {
  if (memory.kind != prog::MemoryKind::kMapping) { return 0; }
  return state.mapping(memory.slot) + static_cast<uint64_t>(memory.offset);
}

bool submits(const prog::Program& program) {
  const auto asynchronous = [](const prog::Op& op) { return oracle::is_asynchronous(op.code); };
  const auto any = [&](const auto& list) { return std::any_of(list.begin(), list.end(), asynchronous); };
  return std::any_of(program.processes.begin(), program.processes.end(),
                     [&](const prog::Process& process) { return any(process.init); }) ||
         std::any_of(program.tasks.begin(), program.tasks.end(), [&](const prog::Task& task) { return any(task.ops); });
}

}  // namespace

void Executor::Run::step(Interpreter& interpreter, const prog::Op& op, oracle::OpRecord& record) {
  record.begin_seq = next_sequence();
  __atomic_add_fetch(&running, 1, __ATOMIC_RELAXED);
  const Interpreter::ProcessState& state = states[record.process];
  const DurabilityCheck durability(machine, *state.process, op, mapped_address(state, op.addr));
  std::optional<LoneCall> lone;
  const bool alone = __atomic_load_n(&running, __ATOMIC_RELAXED) == 1;
  if (lone_calls && alone && !lone_wrong_of(record)) { lone.emplace(machine, *fs, program, op); }
  interpreter.step(states[record.process], op, record, [&] {
    if (lone) { lone->note_file(record); }
  });
  durability.finish(record);
  if (lone && __atomic_load_n(&sequence, __ATOMIC_RELAXED) == record.begin_seq) { judge_lone(*lone, record); }
  record.end_seq = next_sequence();
  if (oracle::is_asynchronous(op.code)) { record.submitted_seq = record.end_seq; }
  record.finished = true;
  if (!oracle::is_asynchronous(op.code)) { mix_result(record); }
  if (__atomic_sub_fetch(&running, 1, __ATOMIC_RELAXED) == 0 && config.audit_each_op) { audit(); }
}

void Executor::Run::judge_lone(LoneCall& call, const oracle::OpRecord& record) {
  std::optional<oracle::Objection> wrong = call.finish(record);
  if (!wrong) { return; }
  wrong->task = record.task;
  wrong->index = record.index;
  lone_wrong_of(record) = LoneWrong{record.begin_seq, std::move(*wrong)};
}

std::optional<oracle::Objection> Executor::Run::first_lone_wrong() const {
  const LoneWrong* first = nullptr;
  for (const auto& wrong : lone_wrongs) {
    if (wrong && (first == nullptr || wrong->begin_seq < first->begin_seq)) { first = &*wrong; }
  }
  return first == nullptr ? std::nullopt : std::optional(first->objection);
}

void Executor::Run::run_init() {
  TaskState& state = *executor.tasks_[prog::kTasksMax];
  Interpreter interpreter(program, state.arena, &sequence);
  size_t at = 0;
  for (uint8_t p = 0; p < program.processes.size(); ++p) {
    const auto& init = program.processes[p].init;
    for (size_t i = 0; i < init.size(); ++i) {
      oracle::OpRecord& record = outcome.history.records[at++];
      record.task = oracle::kInitTask;
      record.process = p;
      record.index = static_cast<uint16_t>(i);
      step(interpreter, init[i], record);
    }
  }
}

void Executor::Run::run_task(TaskState& task) {
  const prog::Task& list = program.tasks[task.task];
  Interpreter interpreter(program, task.arena, &sequence);
  for (size_t i = 0; i < list.ops.size(); ++i) {
    oracle::OpRecord& record = outcome.history.records[task.first_record + i];
    record.task = task.task;
    record.process = list.process;
    record.index = static_cast<uint16_t>(i);
    rt::begin_op(static_cast<uint32_t>(i));
    step(interpreter, list.ops[i], record);
    rt::end_op();
  }
}

void Executor::Run::run_tasks() {
  size_t first = program.init_op_count();
  outcome.tasks_begin = rt::run_events();
  for (uint8_t t = 0; t < program.tasks.size(); ++t) {
    TaskState* task = executor.tasks_[t].get();
    task->run = this;
    task->task = t;
    task->first_record = first;
    first += program.tasks[t].ops.size();
    rt::spawn(kTaskNames[t], [task] { task->run->run_task(*task); });
  }
  rt::join_all_spawned();
  outcome.tasks_end = rt::run_events();
}

void Executor::Run::audit() {
  daxfs::check::AuditScope scope{*fs, {}};
  for (size_t i = 0; i < program.processes.size(); ++i) { scope.mms.push_back(&processes[i]->mm()); }
  daxfs::check::audit(scope);
}

void Executor::Run::check_image() {
  daxfs::check::MediaOptions media_options;
  media_options.changed_blocks = machine.changed_blocks_for_check();
  const auto media = daxfs::check::check_media(machine.device().bytes(), media_options, machine.media_scratch());
  if (media.clean()) { return; }
  std::string detail;
  for (const auto& problem : media.problems) { detail += problem.where + ": " + problem.what + "\n"; }
  report(Verdict::kCorruptMedia, "O15", media.problems.front().where + ": " + media.problems.front().what, detail,
         "check_image");
}

// The files that operations met, as the medium has them now. Large ones in part: both ends of each extent and a page
// in between that differs from run to run.
void Executor::Run::read_finals() {
  const auto& finals = outcome.history.finals;
  for (const oracle::OpRecord& record : outcome.history.records) {
    if (record.ino == 0) { continue; }
    const bool known = std::any_of(finals.begin(), finals.end(), [&](const oracle::FinalFile& file) {
      return file.ino == record.ino && file.generation == record.generation;
    });
    if (!known) { read_final(record); }
  }
}

void Executor::Run::read_final(const oracle::OpRecord& record) {
  constexpr uint64_t kPage = daxfs::kBlockSize;
  constexpr uint64_t kEnds = 4;  // pages
  oracle::History& history = outcome.history;
  daxfs::check::TreeInode inode;
  const auto& reader = machine.reader();
  if (!reader.valid() || !reader.inode(record.ino, inode) || !inode.is_regular() || inode.links == 0 ||
      inode.generation != record.generation) {
    return;  // gone, or a directory; or another file has its number
  }
  std::vector<daxfs::check::TreeExtent>& extents = executor.extents_;
  if (!reader.extents(record.ino, extents)) { return; }  // the image check's
  const auto image = machine.device().bytes();
  const size_t first = history.final_pieces.size();
  const bool marks_lost = std::any_of(history.records.begin(), history.records.end(), oracle::lost_dirty_marks);
  uint64_t at = 0;
  std::span<const std::byte> tail;
  const auto hole_until = [&](uint64_t offset) {
    if (at < offset) { history.final_pieces.push_back({at, offset - at, {}}); }
    at = offset;
  };
  for (const auto& extent : extents) {
    const uint64_t begin = extent.logical * kPage;
    const uint64_t end = std::min(begin + extent.length * kPage, inode.size);
    if (!extent.unwritten && begin < inode.size && inode.size < begin + extent.length * kPage) {
      tail = image.subspan(extent.physical * kPage + (inode.size - begin), (kPage - inode.size % kPage) % kPage);
    }
    if (extent.unwritten || begin >= end) { continue; }
    hole_until(begin);
    if (!marks_lost) { DurabilityCheck::check_unmounted(machine, record.ino, extent.physical, extent.length); }
    const auto piece = [&](uint64_t from, uint64_t to) {
      const uint64_t on_medium = extent.physical * kPage + (from - begin);
      history.final_pieces.push_back({from, to - from, image.subspan(on_medium, to - from)});
    };
    const uint64_t pages = daxfs::div_round_up(end - begin, kPage);
    if (pages <= 2 * kEnds + 1) {
      piece(begin, end);
    } else {
      piece(begin, begin + kEnds * kPage);
      const uint64_t middle = kEnds + rt::run_events() % (pages - 2 * kEnds);
      piece(begin + middle * kPage, begin + (middle + 1) * kPage);
      piece(begin + (pages - kEnds) * kPage, end);
    }
    at = end;
  }
  hole_until(inode.size);
  const size_t pieces = history.final_pieces.size() - first;
  history.finals.push_back({record.ino, record.generation, inode.size, first, pieces, tail});
}

// Transfers that nobody waited for, so that they are judged like the others.
void Executor::Run::collect_events() {
  Interpreter interpreter(program, executor.tasks_[prog::kTasksMax]->arena, &sequence);
  for (size_t i = 0; i < program.processes.size(); ++i) {
    uint64_t hash = 0;
    interpreter.collect_events(states[i], 0, &hash);
    rt::trace_mix(hash);
  }
  for (oracle::OpRecord& record : outcome.history.records) {
    record.end_seq = std::max(record.end_seq, record.collected_seq);
  }
}

void Executor::Run::finish() {
  rt::run_pending_system_tasks();
  if (submits(program)) {
    collect_events();
    rt::run_pending_system_tasks();  // a buffer that is looked at may be a mapping by now, and its file be read ahead
  }
  audit();
  const bool looks = machine.device().watches_durability() && !outcome.history.foreign_image && !options.read_only;
  std::optional<oracle::Objection> lone_wrong = first_lone_wrong();
  if (looks && !lone_wrong) { lone_wrong = LoneCall::check_counts(machine, *fs); }
  for (size_t i = 0; i < program.processes.size(); ++i) { processes[i]->exit(); }
  rt::run_pending_system_tasks();
  const auto unmounted = fs->unmount();
  rt::run_pending_system_tasks();
  if (!unmounted.ok()) {
    report(Verdict::kCorruptMedia, "UNMOUNT", std::string("unmount failed: ") + daxfs::errc_name(unmounted.error()), {},
           "finish");
  }
  fs.reset();
  outcome.history.memory_ran_out = machine.memory().dram_ran_out();
  std::vector<std::string> held;
  if (!machine.memory().audit_idle(&held)) {
    std::string detail;
    for (const auto& line : held) { detail += line + "\n"; }
    report(Verdict::kLeak, "MM3", held.empty() ? "frames in use after unmount" : held.front(), detail, "finish");
  }
  if (!options.read_only) { check_image(); }
  read_finals();
  if (moved_names(outcome.history) && !list_names(machine.reader(), &outcome.history.final_names)) {
    outcome.history.final_names.clear();  // the image check's
  }
  if (const auto wrong = lone_wrong ? lone_wrong : oracle::judge(program, outcome.history)) {
    const bool of_op = wrong->task != oracle::kInitTask;
    daxfs::ObjectRef what;
    if (wrong->ino != 0) { what = daxfs::contents_ref(wrong->ino, wrong->offset); }
    if (wrong->of_size) { what = daxfs::disk_size_ref(daxfs::Ino(static_cast<uint32_t>(wrong->ino))); }
    const auto about = daxfs::about(of_op ? daxfs::op_ref(wrong->task, wrong->index) : daxfs::ObjectRef{}, what);
    report(Verdict::kWrongResult, wrong->tag, wrong->title, wrong->detail, "judge", about);
  }
}

// The kind of call that `finding` was noticed in. A deadlock is noticed by whoever sleeps last: that says nothing. A
// livelock, wherever its loop was when the budget ended: it is all calls that never came to their end.
std::string Executor::Run::during(const Finding& finding) const {
  if (finding.verdict == Verdict::kDeadlock) { return {}; }
  if (finding.verdict == Verdict::kWrongResult) {  // judged when all is done: of one call, or of a file at rest
    for (const oracle::OpRecord& record : outcome.history.records) {
      const bool judged = finding.about.refs[0] == daxfs::op_ref(record.task, record.index);
      if (record.op != nullptr && judged) { return call_kind(*record.op); }
    }
    return {};
  }
  if (finding.verdict == Verdict::kLivelock) {
    std::set<std::string> kinds;
    for (const oracle::OpRecord& record : outcome.history.records) {
      if (record.op != nullptr && !record.finished) { kinds.insert(call_kind(*record.op)); }
    }
    return joined(kinds);
  }
  if (finding.verdict == Verdict::kDataRace) {  // of both calls, whichever came first
    std::set<std::string> kinds;
    for (const oracle::OpRecord& record : outcome.history.records) {
      for (const daxfs::ObjectRef& ref : finding.about.refs) {
        if (record.op != nullptr && ref == daxfs::op_ref(record.task, record.index)) {
          kinds.insert(call_kind(*record.op));
        }
      }
    }
    return joined(kinds);
  }
  const int task = finding.task == rt::kRootTask ? oracle::kInitTask : finding.task;
  for (const oracle::OpRecord& record : outcome.history.records) {
    if (record.op != nullptr && !record.finished && record.task == task) { return call_kind(*record.op); }
  }
  return {};
}

void Executor::Run::at_finding(void* arg, const Finding& finding, uint64_t trace_hash) {
  const Run& run = *static_cast<Run*>(arg);
  Finding complete = finding;
  complete.during = run.during(finding);
  run.config.at_finding(run.config.at_finding_context, complete, trace_hash);
}

void Executor::root(void* arg) {
  Run& run = *static_cast<Run*>(arg);
  auto mounted =
      daxfs::vfs::Filesystem::mount(run.machine.device(), run.machine.memory(), run.options, &run.outcome.mount_error);
  if (!mounted.ok()) {
    run.outcome.mount_errc = mounted.error();
    return;
  }
  run.fs = std::move(mounted).value();
  for (size_t i = 0; i < run.program.processes.size(); ++i) {
    run.processes[i].emplace(*run.fs, &run.machine.mm(i));
    run.states[i].process = &*run.processes[i];
  }
  run.lone_calls = run.machine.device().watches_durability() && !run.outcome.history.foreign_image &&
                   !run.options.read_only && lone_calls_tell(run.program) && !submits(run.program);
  run.run_init();
  run.run_tasks();
  run.finish();
}

Executor::Executor() {
  for (size_t i = 0; i <= prog::kTasksMax; ++i) { tasks_.push_back(std::make_unique<TaskState>()); }
}

Executor::~Executor() = default;

Machine* Executor::machine_for(const prog::Program& program, const RunConfig& config, Outcome* outcome) {
  const auto image = config.image.empty() ? image_template(program.image) : config.image;
  if (image.empty()) {
    outcome->mount_errc = daxfs::Errc::kNoEnt;
    outcome->mount_error = "no image template '" + program.image + "'; expected one of " + template_names();
    return nullptr;
  }
  for (NamedMachine& known : machines_) {
    if (known.image == image.data()) { return known.machine.get(); }
  }
  auto machine = Machine::create(image);
  if (!machine.ok()) {
    outcome->mount_errc = machine.error();
    outcome->mount_error = "the image's size is not a positive multiple of 4096 bytes";
    return nullptr;
  }
  machines_.push_back({program.image, image.data(), std::move(machine).value()});
  return machines_.back().machine.get();
}

void Executor::run(const prog::Program& program, const RunConfig& config, Outcome* outcome) {
  outcome->finding.reset();
  outcome->trace_hash = outcome->events = outcome->switches = 0;
  outcome->tasks_begin = outcome->tasks_end = 0;
  outcome->drift = 0;
  outcome->mount_error.clear();
  outcome->mount_errc = daxfs::Errc::kOk;
  outcome->taken.clear();
  outcome->history.finals.clear();
  outcome->history.final_pieces.clear();
  outcome->history.final_names.clear();
  outcome->history.start_names = {};
  outcome->history.memory_ran_out = false;
  outcome->history.no_descriptors = true;
  outcome->history.foreign_image = !config.image.empty();
  outcome->history.filled_files = config.image.empty() && template_has_contents(program.image);
  outcome->history.records.assign(program.init_op_count() + program.op_count(), {});
  const auto options = daxfs::vfs::parse_mount_options(program.mount, &outcome->mount_error);
  if (!options.ok()) {
    outcome->mount_errc = options.error();
    return;
  }
  Machine* machine = machine_for(program, config, outcome);
  if (machine == nullptr) { return; }
  machine->restore();
  outcome->history.start_names = machine->start_names();
  outcome->history.blocks_available = machine->blocks_available();
  outcome->history.inodes_free = machine->reader().space().inodes_free;
  for (const auto& task : tasks_) { task->arena.reset(); }
  // On the heap and released only when the run came to its end: an abandoned run's fibers still point into it.
  std::unique_ptr<Run> run(new Run{*this, program, config, *outcome, *machine, *options, {}, {}, {}, 0, 0});
  rt::Policy* policy = config.policy;
  if (policy == nullptr) {
    to_anchors(program, &anchors_);
    own_schedule_.set(anchors_);
    policy = &own_schedule_;
  }
  const rt::RunLimits limits{.events_max = config.events_max,
                             .observe = config.observer != nullptr,
                             .races = config.races,
                             .capture_stacks = config.capture_stacks,
                             .at_finding = config.at_finding != nullptr ? &Run::at_finding : nullptr,
                             .at_finding_context = run.get(),
                             .log = config.log};
  rt::run_into(*policy, limits, config.observer, &Executor::root, run.get(), &engine_outcome_);
  outcome->trace_hash = engine_outcome_.trace_hash;
  outcome->events = engine_outcome_.events;
  outcome->switches = engine_outcome_.switches;
  outcome->taken.swap(engine_outcome_.taken);
  if (config.policy == nullptr) { outcome->drift = own_schedule_.drift(); }
  if (engine_outcome_.finding) {
    outcome->finding = std::move(engine_outcome_.finding);
    outcome->finding->during = run->during(*outcome->finding);
    (void)run.release();  // NOLINT(bugprone-unused-return-value): abandoned by the finding
  } else if (config.image_out != nullptr) {
    const auto bytes = machine->device().bytes();
    config.image_out->assign(bytes.begin(), bytes.end());
  }
}

void to_anchors(const prog::Program& program, std::vector<sched::Anchor>* anchors) {
  anchors->clear();
  for (const prog::Preemption& p : program.schedule) { anchors->push_back({p.task, p.op, p.event, p.next}); }
}

bool adopt_schedule(std::span<const rt::TakenSwitch> taken, prog::Program* program) {
  program->schedule.clear();
  for (const rt::TakenSwitch& s : taken) {
    const bool op_fits = s.op <= prog::kAnchorOpMax || s.op == rt::kNoOp;
    if (!op_fits || s.event_in_op > prog::kEventMax) { continue; }
    if (program->schedule.size() == prog::kPreemptionsMax) { return false; }
    prog::Preemption& preemption = program->schedule.emplace_back();
    preemption.task = static_cast<prog::TaskId>(s.from);
    preemption.op = static_cast<uint16_t>(s.op);  // kNoOp is kBeforeFirstOp
    preemption.event = static_cast<uint32_t>(s.event_in_op);
    preemption.next = static_cast<prog::TaskId>(s.to);
  }
  return true;
}

}  // namespace daxfuzz::exec
