// fuzz/prog/generate.cc - random programs: a set-up that makes operations hit, then tasks that
// collide.
#include "fuzz/prog/generate.h"

#include <algorithm>
#include <optional>
#include <string>

#include "fs/base/types.h"
#include "fuzz/prog/direct_duels.h"
#include "fuzz/prog/edit.h"
#include "fuzz/prog/names.h"
#include "fuzz/prog/operands.h"
#include "fuzz/prog/small_duels.h"
#include "fuzz/prog/world.h"

namespace daxfuzz::prog {
namespace {

constexpr uint8_t kF0 = 0;  // rows of the name pool
constexpr uint8_t kG0 = 1;
constexpr uint8_t kG1 = 3;
constexpr uint8_t kAgain = 2;  // the mapping of a range that descriptor 0 has mapped already

Memory anonymous(uint8_t fill, Pattern pattern) {
  return Memory{.kind = MemoryKind::kAnonymous, .fill = fill, .pattern = pattern};
}

class Generator {
 public:
  Generator(Random& random, const Options& options) : random_(random), options_(options) {}

  Program run() {
    program_ = Program::minimal();
    program_.image = random_.pick(options_.images);
    program_.mount = random_.pick(options_.mounts);
    world_.set_mount(program_.mount);
    if (random_.chance(1, 24)) { order_failure(program_, random_); }
    choose_swarm();
    small_ = options_.tasks_min <= 2 && options_.tasks_max >= 2 && random_.chance(3, 5);
    set_up();
    if (small_) {
      small_scope();
    } else {
      tasks();
      if (random_.chance(3, 4)) { duel(); }
      if (random_.chance(1, 4)) { duel(); }
      if (random_.chance(1, 8)) { dismantle(); }
      if (random_.chance(1, 8)) { add_direct_duel(program_, world_, random_, options_); }
    }
    if (random_.chance(1, 24)) { fragment(); }
    if (random_.chance(1, 32)) { accident(); }
    if (random_.chance(1, 16)) { mistake(); }
    const uint32_t preemptions = random_.below(options_.preemptions_max + uint64_t{1});
    for (uint32_t i = 0; i < preemptions; i++) {
      program_.schedule.push_back(random_preemption(program_, random_, options_));
    }
    if (!options_.self_copies) { avoid_self_copies(program_); }
    return std::move(program_);
  }

 private:
  void choose_swarm() {
    swarm_ = options_;
    if (!options_.swarm || random_.chance(1, 4)) { return; }
    uint32_t total = 0;
    for (uint16_t& weight : swarm_.weights) {
      if (random_.chance(1, 2)) { weight = 0; }
      total += weight;
    }
    if (total < 8) { swarm_.weights = options_.weights; }
  }

  void add_init(uint8_t process, const Op& op) {
    if (insert_op(program_, Place{true, process, static_cast<uint8_t>(program_.processes[process].init.size())}, op)) {
      world_.apply(process, op);
    }
  }

  void open(uint8_t process, uint8_t slot, uint8_t path, uint32_t flags) {
    add_init(process, Op{.code = OpCode::kOpen, .result = slot, .path = path, .mode = 0644, .flags = flags});
  }

  // `data`: mostly bytes, not holes or unwritten blocks. A device works on nothing else.
  void fill(uint8_t process, uint8_t fd, uint8_t byte, int64_t length, bool data = false) {
    // Two megabytes of data would cost more than all the rest of the run.
    switch (random_.below(length > 16 * kPage ? 2 : data ? 8 : 4)) {
      case 0: return add_init(process, Op{.code = OpCode::kFallocate, .fd = fd, .length = length});
      case 1: return add_init(process, Op{.code = OpCode::kFtruncate, .fd = fd, .length = length});
      default:
        return add_init(
            process,
            Op{.code = OpCode::kPwrite, .fd = fd, .length = length, .buffer = anonymous(byte, Pattern::kSequence)});
    }
  }

  // The file of `fd` ends inside its last page: what is behind the end of a block, and who moves the end within it.
  void end_inside_page(uint8_t fd, int64_t length) {
    if (!random_.chance(1, 5)) { return; }
    const int64_t cut = random_.chance(1, 2) ? random_.between(1, 7) * kSector : random_.between(1, kPage - 1);
    add_init(0, Op{.code = OpCode::kFtruncate, .fd = fd, .length = length - cut});
  }

  void map(uint8_t process, uint8_t slot, uint8_t fd, int64_t offset, int64_t length, uint32_t flags) {
    const bool read_only = random_.chance(1, 6);
    add_init(process, Op{.code = OpCode::kMmap,
                         .result = slot,
                         .fd = fd,
                         .prot = static_cast<uint8_t>(read_only ? kProtRead : kProtRead | kProtWrite),
                         .flags = flags,
                         .offset = offset,
                         .length = length});
  }

  // Descriptor 0 and mapping 0 are the contended file; descriptor 1 is a file for I/O from and to
  // that mapping.
  void set_up() {
    // With dax=inode new files inherit the flag from the templates' root directory; g0 exists there without it.
    cached_ = random_.chance(1, world_.huge_size() != 0 ? 16 : 5);           // the page cache has no huge pages
    if (cached_ && program_.mount == "dax=inode" && random_.chance(1, 2)) {  // what becomes dirty is written soon
      add_mount_option(program_, "flush=" + std::to_string(1 << random_.below(4)));
    }
    const uint8_t file = cached_ ? kG0 : kF0;
    if (random_.chance(1, 24)) { return; }  // rarely: nothing is prepared
    static constexpr uint8_t kPages[] = {1, 2, 2, 2, 3, 4, 4, 8, 16};
    const int64_t huge = world_.huge_size();
    const int64_t length = huge != 0 && random_.chance(7, 8) ? huge * random_.between(1, 3)
                           : small_ && random_.chance(1, 2)  ? random_.between(1, 2) * kPage
                           : random_.chance(1, 16)           ? static_cast<int64_t>(daxfs::kPmdSize)
                                                             : random_.pick(kPages) * kPage;
    open(0, 0, file, kORdWr | kOCreat);
    fill(0, 0, 0x41, length);
    if (huge == 0) { end_inside_page(0, length); }
    // Blocks for pages that are dirty perhaps, and room behind them.
    if (cached_ && random_.chance(1, 3)) {
      add_init(0, Op{.code = OpCode::kFallocate, .length = std::min<int64_t>(2 * length, 16 * kPage)});
    }
    if (cached_ && random_.chance(1, 2)) { add_init(0, Op{.code = OpCode::kFsync}); }  // pages that are clean
    const bool dax = !cached_ && !program_.mount.starts_with("dax=never");
    const uint32_t shared = dax && random_.chance(1, 12) ? kMapSharedValidate | kMapSync : kMapShared;
    map(0, 0, 0, 0, length, random_.chance(1, 6) ? kMapPrivate : shared);
    if (random_.chance(huge != 0 ? 3 : 2, 4)) {  // a huge mapping must be there before it can be used or taken away
      add_init(0, Op{.code = OpCode::kTouch,
                     .length = std::min<int64_t>(length, 16 * kPage),
                     .addr = Memory{.kind = MemoryKind::kMapping},
                     .buffer = anonymous(0x54, Pattern::kFill)});
    }
    if (random_.chance(7, 8)) {
      const uint8_t other = !cached_ ? kG0 : random_.chance(1, 4) ? kF0 : kG1;  // f0 needs no device
      open(0, 1, other, kORdWr | kOCreat | (random_.chance(7, 8) ? kODirect : 0));
      fill(0, 1, 0x61, std::min<int64_t>(length, 16 * kPage), /*data=*/true);
      end_inside_page(1, std::min<int64_t>(length, 16 * kPage));
    }
    if (random_.chance(1, 4)) {  // the same file again: another offset, another descriptor
      open(0, 2, file, kORdWr | (random_.chance(1, 2) ? kODirect : random_.chance(1, 3) ? kODsync : 0));
      map(0, 1, 2, length > kPage && random_.chance(1, 2) ? kPage : 0, length, kMapShared);
    }
    if (options_.processes_max > 1 && random_.chance(1, 6) && add_process(program_)) {
      open(1, 0, file, kORdWr);
      map(1, 0, 0, 0, length, kMapShared);
    }
    // One range, mapped by a huge page here and by single ones there, or by huge ones twice.
    if (huge != 0 && random_.chance(1, 2)) {
      const auto process = static_cast<uint8_t>(program_.processes.size() - 1);
      if (random_.chance(1, 3)) {
        again_ = process;
        map(process, kAgain, 0, 0, length, random_.chance(1, 2) ? kMapPrivate : kMapShared);
        return;
      }
      const int64_t first = random_.between(0, length / kPage - 1);
      map(process, kAgain, 0, first * kPage, random_.between(1, length / kPage - first) * kPage,
          random_.chance(1, 4) ? kMapPrivate : kMapShared);
    }
  }

  void tasks() {
    const uint32_t count = static_cast<uint32_t>(
        random_.between(std::clamp<int64_t>(options_.tasks_min, 1, kTasksMax),
                        std::clamp<int64_t>(options_.tasks_max, std::max<int64_t>(options_.tasks_min, 1), kTasksMax)));
    while (program_.tasks.size() < count) { add_task(program_, 0); }
    for (Task& task : program_.tasks) {
      task.process = static_cast<uint8_t>(random_.below(program_.processes.size()));
      // Short lists more often than long ones: their runs are cheap, and their schedules few.
      const uint32_t ops_max = std::max<uint8_t>(options_.ops_per_task_max, 1);
      const uint32_t ops = 1 + std::min(random_.below(ops_max), random_.below(ops_max));
      for (uint32_t i = 0; i < ops && program_.op_count() < kOpsMax; i++) {
        const Op op = random_op(random_, swarm_, world_, task.process);
        world_.apply(task.process, op);
        task.ops.push_back(op);
      }
    }
  }

  // Most races need two operations: a program of few has few schedules, each cheap, and nothing else in their way.
  // The small scope hypothesis: Jackson, Damon, "Elements of style", ISSTA 1996.
  void small_scope() {
    const size_t count = options_.tasks_max >= 3 && random_.chance(1, 4) ? 3 : 2;
    while (program_.tasks.size() < count) { add_task(program_, 0); }
    for (Task& task : program_.tasks) { task.process = static_cast<uint8_t>(random_.below(program_.processes.size())); }
    if (random_.chance(1, 4) && world_.fd(0, 0).bindings != 0) {
      add_small_duel(program_, world_, random_, options_);
    } else if (random_.chance(3, 10)) {
      add_direct_duel(program_, world_, random_, options_);
    } else if (again_ && random_.chance(1, 2)) {
      first_touch();
    } else if (random_.chance(3, 4)) {
      duel();
    }
    for (size_t i = 0; i < program_.tasks.size(); i++) {
      Task& task = program_.tasks[i];
      const bool more = task.ops.empty() || random_.chance(1, 4);
      if (!more || program_.op_count() >= kOpsMax) { continue; }
      const Op op = random_op(random_, swarm_, world_, task.process);
      task.ops.insert(task.ops.begin() + static_cast<ptrdiff_t>(random_.below(task.ops.size() + 1)), op);
    }
  }

  // Two operations on the contended file in two tasks: one uses its pages, one changes what is
  // behind them.
  void duel() {
    static constexpr OpCode kUsers[] = {OpCode::kPread, OpCode::kPwrite, OpCode::kPread,         OpCode::kPwrite,
                                        OpCode::kStore, OpCode::kLoad,   OpCode::kTouch,         OpCode::kPwrite,
                                        OpCode::kMsync, OpCode::kFsync,  OpCode::kProcessVmReadv};
    static constexpr OpCode kChangers[] = {OpCode::kFallocate, OpCode::kFallocate, OpCode::kFallocate,
                                           OpCode::kFtruncate, OpCode::kFtruncate, OpCode::kPwrite,
                                           OpCode::kFallocate, OpCode::kMunmap,    OpCode::kStore};
    // Of pages of the cache under a device: whoever takes them for clean, or away.
    static constexpr OpCode kCleaners[] = {OpCode::kReclaim, OpCode::kFsync,     OpCode::kReclaim,
                                           OpCode::kMsync,   OpCode::kFtruncate, OpCode::kFallocate};
    // And whoever writes them back while they are written to.
    static constexpr OpCode kSyncers[] = {OpCode::kFsync, OpCode::kMsync, OpCode::kFsync, OpCode::kSync,
                                          OpCode::kReclaim};
    if (program_.tasks.size() < 2 || program_.processes[0].init.empty()) { return; }
    const auto first = static_cast<uint8_t>(random_.below(program_.tasks.size()));
    const auto second =
        static_cast<uint8_t>((first + 1 + random_.below(program_.tasks.size() - 1)) % program_.tasks.size());
    const bool under_device = cached_ && random_.chance(1, 2);
    const Op user = add_duellist(first, under_device ? OpCode::kPread : random_.pick(kUsers));
    const bool meet = random_.chance(3, 4);
    const bool synced = cached_ && !under_device && random_.chance(1, 3);
    const OpCode changer = under_device ? random_.pick(kCleaners)
                           : synced     ? random_.pick(kSyncers)
                                        : random_.pick(kChangers);
    add_duellist(second, changer, meet ? page_of(user) : -1);
    if (small_ && program_.tasks.size() == 3 && random_.chance(1, 2)) {  // and a third party, who meets both
      const OpCode third = random_.chance(2, 3) ? random_.pick(kUsers) : random_.pick(kChangers);
      add_duellist(static_cast<uint8_t>(3 - first - second), third, page_of(user));
    }
  }

  // Two tasks touch one huge page of a mapping that nobody has touched yet.
  void first_touch() {
    static constexpr OpCode kTouchers[] = {OpCode::kLoad, OpCode::kStore, OpCode::kLoad, OpCode::kStore,
                                           OpCode::kTouch};
    for (Task& task : program_.tasks) { task.process = *again_; }
    const Op one = add_duellist(0, random_.pick(kTouchers), -1, kAgain);
    const int64_t huge = world_.huge_size();
    const int64_t near = page_of(one) / huge * huge + random_.between(0, huge / kPage - 1) * kPage;
    const int64_t page = random_.chance(1, 2) ? page_of(one) : near;
    add_duellist(1, random_.pick(kTouchers), page, kAgain);
  }

  // Where the page begins that an operation uses: in its mapping, which begins where the contended file does, or in the
  // file.
  static int64_t page_of(const Op& op) {
    const Memory& memory = op.buffer.kind == MemoryKind::kMapping ? op.buffer : op.addr;
    const int64_t at = memory.kind == MemoryKind::kMapping ? memory.offset : op.offset;
    return std::max<int64_t>(at, 0) / kPage * kPage;
  }

  // One task takes away all that holds the contended file - mapping, descriptor, name - while another one transfers
  // to or from its pages: the file's last moments under I/O.
  void dismantle() {
    if (program_.tasks.size() < 2 || program_.processes.size() > 1 || program_.processes[0].init.empty()) { return; }
    const auto first = static_cast<uint8_t>(random_.below(program_.tasks.size()));
    const auto second = static_cast<uint8_t>((first + 1) % program_.tasks.size());
    add_duellist(first, random_.chance(1, 2) ? OpCode::kPread : OpCode::kProcessVmReadv);
    std::array<Op, 3> ops = {
        Op{.code = OpCode::kMunmap, .length = int64_t{16} * kPage, .addr = Memory{.kind = MemoryKind::kMapping}},
        Op{.code = OpCode::kClose, .fd = 0}, Op{.code = OpCode::kUnlink, .path = kF0}};
    for (size_t i = ops.size(); i > 1; i--) { std::swap(ops[i - 1], ops[random_.below(i)]); }
    for (const Op& op : ops) {
      insert_op(program_, Place{false, second, static_cast<uint8_t>(program_.tasks[second].ops.size())}, op);
    }
  }

  // The file of descriptor 1 gets as many extents as an inode holds, the last one unwritten, and a task writes to its
  // middle: the tree must grow for that. Often it cannot: the allocation fails on order.
  void fragment() {
    if (world_.fd(0, 1).bindings == 0 || program_.tasks[0].process != 0) { return; }
    add_init(0, Op{.code = OpCode::kFtruncate, .fd = 1});
    for (int64_t page = 0; page < 6; page += 2) {
      add_init(0, Op{.code = OpCode::kPwrite,
                     .fd = 1,
                     .offset = page * kPage,
                     .length = kPage,
                     .buffer = anonymous(0x66, Pattern::kSequence)});
    }
    const int64_t pages = random_.between(3, 8);
    add_init(0, Op{.code = OpCode::kFallocate, .fd = 1, .offset = 6 * kPage, .length = pages * kPage});
    insert_op(program_, Place{false, 0, 0},
              Op{.code = random_.chance(1, 4) ? OpCode::kIoSubmitPwrite : OpCode::kPwrite,
                 .fd = 1,
                 .offset = (6 + random_.between(0, pages - 1)) * kPage,
                 .length = kPage,
                 .buffer = anonymous(0x67, Pattern::kSequence)});
    // What the set-up before allocated is not counted here: a few more or less.
    if (random_.chance(3, 4) && program_.mount.find("fail_") == std::string::npos) {
      add_mount_option(program_, "fail_alloc=" + std::to_string(random_.between(4, 10)));
    }
  }

  // The memory behind a page of the contended file goes bad, in a task of its own where there is room for one: so that
  // it can strike at any event of what the others do.
  void accident() {
    if (program_.processes[0].init.empty() || options_.weights[static_cast<size_t>(OpCode::kMemoryFailure)] == 0) {
      return;
    }
    if (program_.tasks.size() < std::min<size_t>(options_.tasks_max, kTasksMax)) { add_task(program_, 0); }
    add_duellist(static_cast<uint8_t>(program_.tasks.size() - 1), OpCode::kMemoryFailure);
  }

  // A call that is to be refused, for what its descriptor is for or for one of its operands; or is not, and then shows
  // what it does all the same.
  void mistake() {
    static constexpr uint32_t kOpens[] = {kOWrOnly,
                                          kORdOnly,
                                          kOPath,
                                          kOWrOnly | kODirect,
                                          kORdWr | kOAppend,
                                          kORdOnly | kODirectory,
                                          kORdWr | kOTmpfile,
                                          kORdOnly | kOTmpfile,
                                          kORdWr | kOCreat | kODirectory,
                                          kORdWr | kOTrunc,
                                          kORdWr | kONoFollow};
    constexpr uint8_t kSlot = 5;
    const auto task = static_cast<uint8_t>(random_.below(program_.tasks.size()));
    const uint8_t process = program_.tasks[task].process;
    auto at = static_cast<uint8_t>(random_.below(program_.tasks[task].ops.size() + 1));
    OperandMaker maker(world_, process, random_, options_);
    Op op = random_op(random_, options_, world_, process);
    if (op.info().has(OperandKind::kFd) && random_.chance(1, 2)) {
      Op open{.code = OpCode::kOpen};
      maker.randomise_all(open);
      open.result = op.fd = kSlot;
      open.flags = random_.pick(kOpens);
      if (random_.chance(1, 2)) { open.path = cached_ ? kG0 : kF0; }
      if (insert_op(program_, Place{false, task, at}, open)) { at++; }
    } else {
      maker.spoil(op);
    }
    insert_op(program_, Place{false, task, at}, op);
  }

  // `page` is where the operation shall begin, if it has a range; -1: anywhere.
  Op add_duellist(uint8_t task, OpCode code, int64_t page = -1, uint8_t mapping = 0) {
    Op op;
    op.code = code;
    OperandMaker(world_, program_.tasks[task].process, random_, options_).randomise_all(op);
    const OpInfo& info = op.info();
    const bool transfers = info.has(OperandKind::kDest) || info.has(OperandKind::kSource);
    const bool through_mapping = transfers && random_.chance(3, 4);
    if (through_mapping) {  // transfer between the other file and the contended pages
      const int64_t offset = page >= 0 ? page : op.buffer.kind == MemoryKind::kMapping ? op.buffer.offset : 0;
      op.buffer = Memory{.kind = MemoryKind::kMapping, .slot = mapping, .offset = offset};
      // Of a page or two, and what the other file has: whatever meets the page then meets all of the transfer.
      if (small_ && random_.chance(3, 4)) {
        op.offset = 0;
        op.length = random_.between(1, 2) * kPage;
      }
    }
    if (info.has(OperandKind::kFd)) { op.fd = through_mapping ? 1 : 0; }
    if (op.addr.kind == MemoryKind::kMapping) { op.addr.slot = mapping; }
    if (page >= 0 && !through_mapping) {
      if (info.has(OperandKind::kOffset)) { op.offset = page; }
      if (code == OpCode::kFtruncate) { op.length = random_.chance(3, 4) ? page : 0; }
      if (op.addr.kind == MemoryKind::kMapping) { op.addr.offset = page; }
    }
    const auto at = static_cast<uint8_t>(random_.below(program_.tasks[task].ops.size() + 1));
    insert_op(program_, Place{false, task, at}, op);
    return op;
  }

  Random& random_;
  const Options& options_;
  Options swarm_;
  Program program_;
  World world_;
  std::optional<uint8_t> again_;  // the process with a second mapping of the contended file, which nobody touched yet
  bool cached_ = false;           // the contended file has no DAX flag
  bool small_ = false;            // two or three tasks with an operation or two
};

}  // namespace

bool order_failure(Program& program, Random& random) {
  static constexpr std::string_view kKinds[] = {"fail_bio=", "fail_alloc=", "fail_memory="};
  const size_t at = program.mount.find("fail_");
  std::string mount = program.mount;
  if (at != std::string::npos) {
    mount.resize(at == 0 ? 0 : at - 1);
    if (random.chance(1, 2)) {
      program.mount = mount;
      return true;
    }
  }
  if (!mount.empty()) { mount += ','; }
  // Each power of two is as likely as the next.
  const uint32_t top = uint32_t{1} << random.below(6);
  mount.append(random.pick(std::span<const std::string_view>(kKinds))).append(std::to_string(top + random.below(top)));
  if (!valid_mount_options(mount)) { return false; }
  program.mount = mount;
  return true;
}

std::array<uint16_t, kOpCount> Options::table_weights() {
  std::array<uint16_t, kOpCount> weights{};
  for (const OpInfo& row : op_table()) { weights[static_cast<size_t>(row.code)] = row.weight; }
  return weights;
}

const Options& default_options() {
  static const Options options;
  return options;
}

Op random_op(Random& random, const Options& options, const World& world, uint8_t process) {
  uint32_t total = 0;
  for (uint16_t weight : options.weights) { total += weight; }
  Op op;
  uint32_t at = random.below(total);
  for (size_t i = 0; i < kOpCount; i++) {
    if (at < options.weights[i]) {
      op.code = static_cast<OpCode>(i);
      break;
    }
    at -= options.weights[i];
  }
  OperandMaker(world, process, random, options).randomise_all(op);
  return op;
}

Program generate(Random& random, const Options& options) { return Generator(random, options).run(); }

}  // namespace daxfuzz::prog
