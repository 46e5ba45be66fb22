// props/differential_test.cc - the library against the machine's own kernel: random sequential programs, same answers?
//
// Each program runs twice: in our executor on a DAX mount, and as real system calls on the same image, loop-mounted by
// the kernel as ext4 without DAX. Operations whose answers differ by design between the two are not generated (see
// restrict_program), and differences of kernel versions are listed below as data. Afterwards both images hold the same
// tree; ours is read by the kernel, too.
//
// Skipped, with a message, without root or a loop device.
// DAXFS_DIFFERENTIAL="first count" in the environment chooses other seeds.
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "fs/ext4/test_image.h"
#include "fuzz/exec/executor.h"
#include "fuzz/exec/interpreter.h"
#include "fuzz/oracle/model.h"
#include "fuzz/prog/edit.h"
#include "fuzz/prog/generate.h"
#include "fuzz/prog/text.h"
#include "props/differential_kernel.h"

namespace daxfuzz::props {
namespace {

using prog::MemoryKind;
using prog::Op;
using prog::OpCode;

// Programs with stores keep every size and offset on page boundaries: what is stored behind EOF in the last page stays
// on a DAX file (6.1) and is lost on others; without DAX it is lost when the file grows, since 6.8.
enum class Family : uint8_t { kNoStores, kAligned, kNames, kDirect, kDirectAligned };

// Files without DAX only, where O_DIRECT means something.
bool never_dax(Family family) { return family == Family::kDirect || family == Family::kDirectAligned; }
bool has_stores(Family family) { return family == Family::kAligned || family == Family::kDirectAligned; }

prog::Options options_for(Family family) {
  prog::Options options;
  options.processes_max = 1;
  options.tasks_min = options.tasks_max = 1;
  options.ops_per_task_max = 40;
  options.preemptions_max = 0;
  static constexpr std::string_view kMounts[] = {"dax=always"};
  options.mounts = kMounts;
  options.swarm = family != Family::kNames;
  const auto off = [&](std::initializer_list<OpCode> codes) {
    for (const OpCode code : codes) { options.weights[static_cast<size_t>(code)] = 0; }
  };
  // Differ by design: extents and what counts as data; drop_caches changes that too; DAX has other flag rules.
  // Nobody's memory fails.
  off({OpCode::kFiemap, OpCode::kDropCaches, OpCode::kSetXflags, OpCode::kMemoryFailure});
  // Not made over there: what is begun here and ends later.
  off({OpCode::kIoSubmitPread, OpCode::kIoSubmitPwrite, OpCode::kIoGetevents, OpCode::kReclaim});
  if (!has_stores(family)) { off({OpCode::kStore, OpCode::kTouch}); }
  if (family == Family::kNames) {
    off({OpCode::kStore, OpCode::kTouch, OpCode::kLoad, OpCode::kProcessVmReadv,
         OpCode::kMmap, OpCode::kMunmap, OpCode::kMremap,
         OpCode::kMprotect, OpCode::kMadvise, OpCode::kMsync, OpCode::kPread, OpCode::kPwrite, OpCode::kFallocate});
    for (const OpCode code :
         {OpCode::kRename, OpCode::kLink, OpCode::kSymlink, OpCode::kUnlink, OpCode::kMkdir, OpCode::kRmdir,
          OpCode::kOpen, OpCode::kReadlink, OpCode::kStat, OpCode::kLstat, OpCode::kGetdents}) {
      options.weights[static_cast<size_t>(code)] = 12;
    }
  }
  return options;
}

bool has(const prog::Program& program, std::initializer_list<OpCode> codes) {
  const auto any = [&](const std::vector<Op>& ops) {
    return std::any_of(ops.begin(), ops.end(),
                       [&](const Op& op) { return std::find(codes.begin(), codes.end(), op.code) != codes.end(); });
  };
  return any(program.processes[0].init) || any(program.tasks[0].ops);
}

void align(int64_t* value) {
  // Keeps signs and the extremes that errors come from.
  if (*value > 0 && *value < (int64_t{1} << 43)) { *value = (*value + 4095) / 4096 * 4096; }
}

void restrict_op(Op* op, Family family, bool has_unwritten) {
  if (op->code == OpCode::kOpen) {
    if (!never_dax(family)) { op->flags &= ~prog::kODirect; }
    // Since 6.3 an error, before that a regular file that was not opened.
    if ((op->flags & prog::kOCreat) != 0 && (op->flags & prog::kOPath) == 0) { op->flags &= ~prog::kODirectory; }
    if (has_stores(family)) { op->flags &= ~prog::kOAppend; }
  }
  if (op->code == OpCode::kIoSubmitPread) { op->code = OpCode::kPread; }  // of shapes that weights do not switch off
  if (op->code == OpCode::kIoSubmitPwrite) { op->code = OpCode::kPwrite; }
  if (op->code == OpCode::kIoGetevents) { *op = Op{.code = OpCode::kSync}; }
  // A bad buffer on a DAX file makes a short transfer, elsewhere an error; and the kernel has a bug there.
  if (op->info().has(prog::OperandKind::kDest) || op->info().has(prog::OperandKind::kSource)) {
    const bool stores = op->info().has(prog::OperandKind::kDest);
    const bool mapped = never_dax(family) && (has_stores(family) || !stores);
    if (!mapped && op->buffer.kind != MemoryKind::kAnonymous) {
      op->buffer = prog::Memory{.kind = MemoryKind::kAnonymous, .fill = 0x5a};
    }
  }
  if (op->code == OpCode::kMmap) { op->flags &= ~prog::kMapSync; }
  // What reaches beyond the area where we map is somebody else's memory in the real process.
  if (op->info().has(prog::OperandKind::kAddr) && op->length > (int64_t{1} << 36)) { op->length = 4096; }
  if (op->code == OpCode::kMadvise && op->length < -(int64_t{1} << 36)) { op->length = -1; }
  if (op->code == OpCode::kMadvise && (op->flags >= prog::kAdvHwPoison || op->flags == prog::kAdvFree)) {
    op->flags = prog::kAdvNormal;
  }
  // What counts as data on DAX is a matter of its own (zero-filled neighbours, loaded pages); and
  // in unwritten extents what is read ahead does.
  if ((!never_dax(family) || has_unwritten) && op->code == OpCode::kLseek &&
      (op->flags == prog::kSeekData || op->flags == prog::kSeekHole)) {
    op->flags = prog::kSeekSet;
  }
  if (op->code == OpCode::kFallocate) { op->length = std::min<int64_t>(op->length, 8 << 20); }
  if (!has_stores(family)) { return; }
  align(&op->offset);
  align(&op->length);
  align(&op->length2);
}

void restrict_program(prog::Program* program, Family family) {
  const bool has_unwritten = has(*program, {OpCode::kFallocate});
  for (Op& op : program->processes[0].init) { restrict_op(&op, family, has_unwritten); }
  for (Op& op : program->tasks[0].ops) { restrict_op(&op, family, has_unwritten); }
}

Answer our_answer(const oracle::OpRecord& record) {
  Answer answer;
  const Op& op = *record.op;
  answer.done = record.finished;
  const bool address = op.code == OpCode::kMmap || op.code == OpCode::kMremap;
  answer.ret = record.error != daxfs::Errc::kOk ? -1 : address ? 0 : record.ret;
  answer.error = static_cast<int>(record.error);
  switch (record.signal) {
    case oracle::Signal::kBusAdrerr: case oracle::Signal::kBusMceerr: answer.signal = SIGBUS; break;
    case oracle::Signal::kSegvMaperr: case oracle::Signal::kSegvAccerr: answer.signal = SIGSEGV; break;
    default: break;
  }
  answer.fault_offset = record.fault_offset;
  answer.data_hash = record.data.data() != nullptr ? exec::fnv1a64(record.data) : 0;
  if (op.code == OpCode::kGetdents && answer.error == 0) {
    std::vector<std::string> names;
    const auto* text = reinterpret_cast<const char*>(record.data.data());
    for (size_t at = 0; at < record.data.size();) {
      const size_t end = std::string_view(text, record.data.size()).find('\n', at);
      names.emplace_back(text + at, end - at);
      at = end + 1;
    }
    answer.data_hash = names_hash(names);
  }
  if ((op.code == OpCode::kStat || op.code == OpCode::kLstat || op.code == OpCode::kFstat) && answer.error == 0) {
    uint64_t row[3];
    std::memcpy(row, record.data.data(), sizeof(row));
    if ((row[0] & 0170000) == 0040000) { row[2] = 0; }
    answer.data_hash = exec::fnv1a64(std::as_bytes(std::span(row)));
  }
  return answer;
}

std::string to_text(const Answer& answer) {
  char text[160];
  std::snprintf(text, sizeof(text), "ret %lld errno %s signal %d at %lld data %016llx",
                static_cast<long long>(answer.ret), answer.error != 0 ? strerrorname_np(answer.error) : "0",
                answer.signal, static_cast<long long>(answer.fault_offset),
                static_cast<unsigned long long>(answer.data_hash));
  return text;
}

bool same(const Answer& a, const Answer& b) {
  return a.ret == b.ret && a.error == b.error && a.signal == b.signal && a.fault_offset == b.fault_offset &&
         (a.data_hash == b.data_hash || a.signal != 0);
}

// Differences between what Linux 6.1 answers, which we model, and newer kernels; and effects of the real address space.
struct KnownDifference {
  OpCode code;
  int ours;
  int theirs;
  const char* why;
};
constexpr KnownDifference kKnown[] = {
    {OpCode::kFallocate, EINVAL, EOPNOTSUPP, "mode combinations, since 6.10"},
    {OpCode::kFallocate, EOPNOTSUPP, EINVAL, "mode combinations, since 6.10"},
    {OpCode::kMremap, EFAULT, EINVAL, "checks the new range before it looks for the old one, since 6.17"},
    {OpCode::kMremap, EFAULT, 0, "moves several mappings at once, since 6.17"},
    {OpCode::kMremap, ENOMEM, 0, "ours do not grow in place across the top of the area for mappings"},
    {OpCode::kMremap, EINVAL, 0, "lengths are rounded up before they are compared, since 6.17"},
    {OpCode::kPread, EINVAL, 0, "buffers of direct I/O need less alignment, since 6.2"},
    {OpCode::kRead, EINVAL, 0, "the same"},
    {OpCode::kPwrite, EINVAL, 0, "the same"},
    {OpCode::kWrite, EINVAL, 0, "the same"},
    {OpCode::kPread, EINVAL, EFAULT, "the same, and then the buffer is bad"},
    {OpCode::kRead, EINVAL, EFAULT, "the same"},
    {OpCode::kPwrite, EINVAL, EFAULT, "the same"},
    {OpCode::kWrite, EINVAL, EFAULT, "the same"},
    {OpCode::kPwrite, EFAULT, 0, "moves the end of the file before it looks at the buffer, since 6.16"},
    {OpCode::kWrite, EFAULT, 0, "the same"},
    {OpCode::kMremap, ENOMEM, EINVAL, "the new length is looked at first, since 6.17"},
    {OpCode::kMremap, EINVAL, EFAULT, "lengths are rounded up before they are compared, since 6.17"},
    {OpCode::kMmap, ENOMEM, 0, "our address space is smaller"},
    {OpCode::kMadvise, EACCES, 0, "REMOVE needs only a mapping that could become writable, since 6.7"},
    {OpCode::kMadvise, EACCES, ENOMEM, "the same"},
    {OpCode::kMadvise, 0, EINVAL, "MAP_LOCKED means nothing to DAX mappings"},
    {OpCode::kWrite, ENOMEM, 0, "our memory is smaller, and nobody waits for pages to become clean"},
    {OpCode::kPwrite, ENOMEM, 0, "the same"},
    {OpCode::kMunmap, EINVAL, 0, "our mappings lie nearer to the end of the address space"},
};

// How much fits differs (delayed allocation), and so does everything afterwards.
bool out_of_space(const Op& op, const Answer& answer) {
  const bool writes = op.code == OpCode::kWrite || op.code == OpCode::kPwrite;
  return answer.error == ENOSPC ||
         (writes && answer.ret > 0 && answer.ret != std::min(op.length, int64_t{64} << 20));
}

// Of a transfer whose buffer is bad: since 6.16 a write moves the end of the file up to its
// beginning before it looks at the buffer, and direct I/O is cut to whole blocks. Of a move that
// fails: since 6.17 the target stays mapped.
bool effects_may_differ(const Op& op, const Answer& answer) {
  return oracle::is_transfer(op.code) ? answer.error == EFAULT
                                      : answer.error != 0 && op.code == OpCode::kMremap;
}

bool known_difference(const Op& op, const Answer& ours, const Answer& theirs) {
  for (const KnownDifference& known : kKnown) {
    if (op.code == known.code && ours.error == known.ours && theirs.error == known.theirs) { return true; }
  }
  return false;
}

const std::vector<std::byte>& image() {
  return daxfs::ext4::testing::make_image(4096, "-N 256 -O ^has_journal,^resize_inode");
}

std::string tree_difference(const Tree& ours, const Tree& theirs) {
  std::string text;
  for (const auto& [path, entry] : ours) {
    const auto other = theirs.find(path);
    if (other == theirs.end()) {
      text += "only ours: " + path.substr(0, 40) + "\n";
    } else if (!(other->second == entry)) {
      char line[200];
      std::snprintf(line, sizeof(line),
                    "%.40s: ours %c links %llu size %llu %016llx, theirs %c links %llu size %llu %016llx\n",
                    path.c_str(), entry.type, static_cast<unsigned long long>(entry.links),
                    static_cast<unsigned long long>(entry.size), static_cast<unsigned long long>(entry.contents_hash),
                    other->second.type, static_cast<unsigned long long>(other->second.links),
                    static_cast<unsigned long long>(other->second.size),
                    static_cast<unsigned long long>(other->second.contents_hash));
      text += line;
    }
  }
  for (const auto& [path, entry] : theirs) {
    if (!ours.contains(path)) { text += "only theirs: " + path.substr(0, 40) + "\n"; }
  }
  return text;
}

class Differential : public ::testing::Test {
 protected:
  void SetUp() override {
    if (const KernelMount probe(image()); !probe.ok()) { GTEST_SKIP() << probe.error(); }
    if (const char* text = std::getenv("DAXFS_DIFFERENTIAL")) { std::sscanf(text, "%lu %lu", &first_, &count_); }
  }

  void run_family(Family family) {
    for (uint64_t seed = first_; seed < first_ + count_; ++seed) {
      prog::Random random(seed * 3 + static_cast<uint64_t>(family));
      prog::Program program = prog::generate(random, options_for(family));
      // The kernel's allocations do not fail on order.
      program.mount = random.chance(1, 2) && !never_dax(family) ? "dax=always" : "dax=never";
      restrict_program(&program, family);
      compare(program, seed);
    }
    std::printf("%zu operations the same, %zu known to differ, %zu of %zu programs with new differences\n", same_,
                known_, different_programs_, static_cast<size_t>(count_));
  }

  // Up to the first difference: what follows it may differ because of it.
  void compare(const prog::Program& program, uint64_t seed) {
    std::vector<std::byte> after;
    exec::RunConfig config;
    config.image = image();
    config.image_out = &after;
    config.events_max = 50'000'000;
    exec::Outcome outcome;
    executor_.run(program, config, &outcome);
    if (outcome.finding) {
      ++different_programs_;
      ADD_FAILURE() << "seed " << seed << ": " << exec::finding_title(*outcome.finding) << "\n"
                    << outcome.finding->detail << prog::print(program);
      return;
    }
    KernelMount kernel(image());
    std::vector<uint64_t> addresses;
    for (const oracle::OpRecord& record : outcome.history.records) {
      const bool address = record.op->code == OpCode::kMmap || record.op->code == OpCode::kMremap;
      addresses.push_back(address && record.error == daxfs::Errc::kOk ? static_cast<uint64_t>(record.ret) : 0);
    }
    const std::vector<Answer> theirs = kernel.run(program, addresses);
    for (size_t i = 0; i < theirs.size(); ++i) {
      const oracle::OpRecord& record = outcome.history.records[i];
      const Answer ours = our_answer(record);
      if (!theirs[i].done || out_of_space(*record.op, ours) || out_of_space(*record.op, theirs[i])) { return; }
      if (same(ours, theirs[i])) {
        ++same_;
        if (effects_may_differ(*record.op, ours)) { return; }
        continue;
      }
      if (known_difference(*record.op, ours, theirs[i])) {
        ++known_;
        if (record.op->code != OpCode::kFallocate) { return; }  // one of them changed something
        continue;
      }
      ++different_programs_;
      std::string before;
      for (size_t k = 0; k <= i; ++k) {
        before += "  " + prog::print_op(program, *outcome.history.records[k].op) + "\n";
      }
      if (before.size() > 6000) { before = "..."; }
      ADD_FAILURE() << "seed " << seed << " operation " << i + 1 << ": " << prog::print_op(program, *record.op)
                    << "\n  ours:   " << to_text(ours) << "\n  theirs: " << to_text(theirs[i]) << "\n" << before;
      return;
    }
    const KernelMount ours(after);
    if (!ours.ok()) {
      ADD_FAILURE() << "seed " << seed << ": the kernel does not mount our image\n" << prog::print(program);
      return;
    }
    const std::string difference = tree_difference(ours.tree(), kernel.tree());
    if (!difference.empty()) {
      ++different_programs_;
      ADD_FAILURE() << "seed " << seed << ", final trees:\n" << difference << prog::print(program);
    }
  }

  exec::Executor executor_;
  unsigned long first_ = 1, count_ = 25;
  size_t same_ = 0, known_ = 0, different_programs_ = 0;
};

TEST_F(Differential, NameCallsAnswerAsTheKernelDoes) { run_family(Family::kNames); }
TEST_F(Differential, ReadsWritesAndSizesAnswerAsTheKernelDoes) { run_family(Family::kNoStores); }
TEST_F(Differential, MappingsAnswerAsTheKernelDoes) { run_family(Family::kAligned); }
TEST_F(Differential, DirectReadsAndWritesAnswerAsTheKernelDoes) { run_family(Family::kDirect); }
TEST_F(Differential, DirectIoAndMappingsAnswerAsTheKernelDoes) { run_family(Family::kDirectAligned); }

}  // namespace
}  // namespace daxfuzz::props
