#include "fuzz/image/run.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>

#include "fs/check/audit.h"
#include "fs/check/media.h"
#include "fs/check/media_tree.h"
#include "fs/rt/engine.h"
#include "fs/rt/task.h"
#include "fs/vfs/filesystem.h"
#include "fs/vfs/process.h"
#include "fuzz/exec/executor.h"
#include "fuzz/exec/interpreter.h"
#include "fuzz/exec/machine.h"
#include "fuzz/sched/policies.h"

namespace daxfuzz::image {

using daxfs::Errc;
using daxfs::Finding;
using daxfs::kBlockSize;
using daxfs::Verdict;
namespace rt = daxfs::rt;

// What is kept between runs of one image.
struct Runner::Subject {
  std::unique_ptr<exec::Machine> machine;
  std::vector<std::byte> damaged;  // the image, and during run() what is made of it
  std::vector<uint64_t> touched;
};

struct Runner::Run {
  const Input& input;
  const RunConfig& config;
  Outcome& outcome;
  exec::Machine& machine;
  daxfs::ext4::MountOptions options;
  std::unique_ptr<daxfs::vfs::Filesystem> fs;
  std::array<std::optional<daxfs::vfs::Process>, prog::kProcessesMax> processes;
  std::array<exec::Interpreter::ProcessState, prog::kProcessesMax> states;
  std::array<exec::Arena, prog::kTasksMax + 1> arenas;
  // Of a task each, the last one the set-up's. The end of a request that was left in flight comes back to its own.
  std::array<std::vector<oracle::OpRecord>, prog::kTasksMax + 1> records{};
  uint64_t sequence = 0;
  daxfs::FindingHandler engines_handler = nullptr;
  void* engines_context = nullptr;

  static void root(void* run);
  static void on_finding(void* run, Finding&& finding);
  void step(size_t process, exec::Interpreter& interpreter, const prog::Op& op, oracle::OpRecord& record);
  void run_program();
  void finish();
  void check_image();
};

namespace {

// The reader walks whatever there is; what it sees goes into the trace, so that it is not left out.
class Reader final : public daxfs::check::TreeVisitor {
 public:
  void visit(const daxfs::check::TreeEntry& entry) override { sum += entry.path.size() + entry.extents.size(); }
  uint64_t sum = 0;
};

volatile int g_judged_by = 0;  // keeps the functions below apart

void report(Verdict verdict, const char* tag, std::string title, std::string detail = {}) {
  Finding finding;
  finding.verdict = verdict;
  finding.tag = tag;
  finding.title = std::move(title);
  finding.detail = std::move(detail);
  finding.function = "image::Run";
  finding.file = __FILE__;
  finding.line = __LINE__;
  daxfs::report_finding(std::move(finding));
}

// The last function of a crash's stack, one for each judge.
#define DAXFUZZ_IMAGE_JUDGE(name, verdict, tag)                   \
  FS_COLD void name(std::string title, std::string detail = {}) { \
    g_judged_by = __LINE__;                                       \
    report(verdict, tag, std::move(title), std::move(detail));    \
    FS_STOP_AT_FINDING();                                         \
  }
DAXFUZZ_IMAGE_JUDGE(image_error_objects, Verdict::kWrongResult, "ERRNO")
DAXFUZZ_IMAGE_JUDGE(image_sound_objects, Verdict::kWrongResult, "SOUND")
DAXFUZZ_IMAGE_JUDGE(image_leak_objects, Verdict::kLeak, "MM3")
DAXFUZZ_IMAGE_JUDGE(image_media_objects, Verdict::kCorruptMedia, "MEDIA")
DAXFUZZ_IMAGE_JUDGE(image_message_objects, Verdict::kWrongResult, "MOUNT")
#undef DAXFUZZ_IMAGE_JUDGE

bool about_names(const prog::OpInfo& info) {
  return info.has(prog::OperandKind::kPath) || info.has(prog::OperandKind::kPath2);
}

// Errors that no damage explains.
bool explicable(const prog::OpInfo& info, Errc error) {
  switch (error) {
    case Errc::kIntr:
    case Errc::kXdev:
    case Errc::kNFile:
    case Errc::kNotBlk:
    case Errc::kNoSys:
    case Errc::kNoData:
    case Errc::kRange: return false;
    case Errc::kExist:
    case Errc::kNotEmpty:
    case Errc::kLoop:
    case Errc::kNameTooLong:
    case Errc::kMLink: return about_names(info) || info.has(prog::OperandKind::kMapFlags);
    case Errc::kNotDir: return about_names(info) || info.code == prog::OpCode::kGetdents;
    case Errc::kHwPoison: return info.code == prog::OpCode::kMemoryFailure || info.code == prog::OpCode::kMadvise;
    default: return true;
  }
}

}  // namespace

// Stands before the engine's handler during a run.
void Runner::Run::on_finding(void* arg, Finding&& finding) {
  Run& run = *static_cast<Run*>(arg);
  if (run.config.at_finding != nullptr) {
    run.config.at_finding(run.config.at_finding_context, finding);
    daxfs::internal::g_stop_at_findings = true;  // whoever noticed traps when this returns
    return;
  }
  run.engines_handler(run.engines_context, std::move(finding));
}

void Runner::Run::step(size_t process, exec::Interpreter& interpreter, const prog::Op& op, oracle::OpRecord& record) {
  record.op = &op;
  record.process = static_cast<uint8_t>(process);
  interpreter.step(states[process], op, record);
  exec::mix_result(record);
  if (record.error == Errc::kOk) { return; }
  if (record.error == Errc::kCorrupted) {
    __atomic_add_fetch(&outcome.corrupted, 1, __ATOMIC_RELAXED);  // any task's
    if (outcome.sound) {
      image_sound_objects("an image that the checker calls sound is called corrupt by " + std::string(op.info().name));
    }
  } else if (!explicable(op.info(), record.error)) {
    image_error_objects(std::string(op.info().name) + " fails with " + daxfs::errc_name(record.error));
  }
}

void Runner::Run::run_program() {
  const prog::Program& program = input.program;
  std::vector<oracle::OpRecord>& set_up = records[prog::kTasksMax];
  set_up.resize(program.init_op_count());
  size_t done = 0;
  for (size_t p = 0; p < program.processes.size(); ++p) {
    exec::Interpreter interpreter(program, arenas[prog::kTasksMax], &sequence);
    for (const prog::Op& op : program.processes[p].init) { step(p, interpreter, op, set_up[done++]); }
  }
  for (size_t t = 0; t < program.tasks.size(); ++t) {
    Run* const run = this;
    records[t].resize(program.tasks[t].ops.size());
    rt::spawn(exec::kTaskNames[t], [run, t] {
      const prog::Task& task = run->input.program.tasks[t];
      exec::Interpreter interpreter(run->input.program, run->arenas[t], &run->sequence);
      for (size_t i = 0; i < task.ops.size(); ++i) {
        rt::begin_op(static_cast<uint32_t>(i));
        run->step(task.process, interpreter, task.ops[i], run->records[t][i]);
        rt::end_op();
      }
    });
  }
  rt::join_all_spawned();
}

void Runner::Run::check_image() {
  Reader reader;
  machine.reader().walk(reader);  // by the geometry of the sound image
  daxfs::check::walk_tree(machine.device().bytes(), reader);
  rt::trace_mix(reader.sum);
  daxfs::check::MediaOptions media_options;
  media_options.changed_blocks = machine.changed_blocks_for_check();
  media_options.expect_clean_unmount = outcome.sound;
  const auto media = daxfs::check::check_media(machine.device().bytes(), media_options, machine.media_scratch());
  rt::trace_mix(media.problems.size());
  if (outcome.sound && !options.read_only && !media.clean()) {
    image_media_objects(media.problems.front().where + ": " + media.problems.front().what, media.text());
  }
}

void Runner::Run::finish() {
  rt::run_pending_system_tasks();
  exec::Interpreter interpreter(input.program, arenas[prog::kTasksMax], &sequence);
  for (size_t p = 0; p < input.program.processes.size(); ++p) {
    uint64_t hash = 0;
    interpreter.collect_events(states[p], 0, &hash);
    rt::trace_mix(hash);
  }
  rt::run_pending_system_tasks();  // looking at buffers may have begun to read pages
  if (outcome.sound) {
    daxfs::check::AuditScope scope{*fs, {}};
    for (size_t p = 0; p < input.program.processes.size(); ++p) { scope.mms.push_back(&processes[p]->mm()); }
    daxfs::check::audit(scope);
  }
  for (size_t p = 0; p < input.program.processes.size(); ++p) { processes[p]->exit(); }
  rt::run_pending_system_tasks();
  const auto unmounted = fs->unmount();
  rt::run_pending_system_tasks();
  if (!unmounted.ok() && outcome.sound) {
    image_sound_objects(std::string("unmount of a sound image failed: ") + daxfs::errc_name(unmounted.error()));
  }
  fs.reset();
  std::vector<std::string> held;
  if (!machine.memory().audit_idle(&held)) {
    image_leak_objects(held.empty() ? "frames in use after unmount" : held.front());
  }
  check_image();
}

void Runner::Run::root(void* arg) {
  Run& run = *static_cast<Run*>(arg);
  daxfs::set_finding_handler(&Run::on_finding, &run, &run.engines_handler, &run.engines_context);
  auto mounted = daxfs::vfs::Filesystem::mount(run.machine.device(), run.machine.memory(), run.options,
                                               &run.outcome.mount_message);
  if (!mounted.ok()) {
    run.outcome.mount_errc = mounted.error();
    if (run.outcome.mount_message.empty()) { image_message_objects("a mount is refused without a reason"); }
    if (run.outcome.sound && mounted.error() == Errc::kCorrupted) {
      image_sound_objects("an image that the checker calls sound is refused as corrupt", run.outcome.mount_message);
    }
    std::vector<std::string> held;
    if (!run.machine.memory().audit_idle(&held)) {
      image_leak_objects(held.empty() ? "frames in use after a refused mount" : held.front());
    }
    return;
  }
  run.outcome.mounted = true;
  run.fs = std::move(mounted).value();
  for (size_t i = 0; i < run.input.program.processes.size(); ++i) {
    run.processes[i].emplace(*run.fs, &run.machine.mm(i));
    run.states[i].process = &*run.processes[i];
  }
  run.run_program();
  run.finish();
}

Runner::Runner() : subjects_(image_names().size()) {}
Runner::~Runner() = default;

std::vector<std::byte> Runner::damaged(const Input& input) {
  std::vector<std::byte> bytes = image_at(input.image).bytes;
  std::vector<uint64_t> touched;
  apply(input, bytes, &touched);
  return bytes;
}

void Runner::run(const Input& input, const RunConfig& config, Outcome* outcome) {
  *outcome = {};
  const Image& image = image_at(input.image);
  std::unique_ptr<Subject>& subject = subjects_[input.image];
  if (subject == nullptr) {
    auto machine = exec::Machine::create(image.bytes);
    if (!machine.ok()) { std::abort(); }
    subject = std::make_unique<Subject>(Subject{std::move(machine).value(), image.bytes, {}});
  }
  exec::Machine& machine = *subject->machine;
  machine.restore();
  const auto block = [](std::span<std::byte> bytes, uint64_t n) { return bytes.subspan(n * kBlockSize, kBlockSize); };
  apply(input, subject->damaged, &subject->touched);
  for (const uint64_t n : subject->touched) {
    const auto now = block(subject->damaged, n);
    const std::byte* const before = image.bytes.data() + n * kBlockSize;
    if (std::memcmp(now.data(), before, kBlockSize) == 0) { continue; }
    machine.device().store_nt(n * kBlockSize, now).ignore_error("no media error is set");
    std::memcpy(now.data(), before, kBlockSize);  // as it was, for the next run
  }
  daxfs::check::MediaOptions media_options;
  media_options.changed_blocks = machine.changed_blocks_for_check();
  outcome->sound = daxfs::check::check_media(machine.device().bytes(), media_options, machine.media_scratch()).clean();
  machine.device().watch_freed(outcome->sound);
  machine.device().watch_owners(outcome->sound);
  auto options = daxfs::vfs::parse_mount_options(input.program.mount, &outcome->mount_message);
  if (!options.ok()) {
    outcome->mount_errc = options.error();
    return;
  }
  // On the heap and released only when the run came to its end: an abandoned run's fibers still
  // point into it.
  std::unique_ptr<Run> run(new Run{input, config, *outcome, machine, *options, {}, {}, {}, {}});
  std::vector<sched::Anchor> anchors;
  exec::to_anchors(input.program, &anchors);
  sched::PreemptionList schedule;
  schedule.set(anchors);
  const rt::RunLimits limits{.events_max = config.events_max, .races = rt::Races::kReportAtEnd};
  rt::RunOutcome engine;
  rt::run_into(schedule, limits, nullptr, &Run::root, run.get(), &engine);
  outcome->trace_hash = engine.trace_hash;
  outcome->events = engine.events;
  daxfs::take_corruption_messages();
  if (engine.finding) {
    outcome->finding = std::move(engine.finding);
    (void)run.release();  // NOLINT(bugprone-unused-return-value): abandoned by the finding
  }
}

}  // namespace daxfuzz::image
