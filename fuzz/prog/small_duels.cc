#include "fuzz/prog/small_duels.h"

#include <algorithm>
#include <array>
#include <span>

#include "fuzz/prog/edit.h"
#include "fuzz/prog/names.h"
#include "fuzz/prog/operands.h"

namespace daxfuzz::prog {
namespace {

constexpr uint8_t kOwnFd = 3;  // the slots that a set-up leaves free begin here
constexpr uint8_t kDirectoryFd = 4;
constexpr uint8_t kCopies = 4;  // of mappings

class SmallDuel {
 public:
  SmallDuel(Program& program, World& world, Random& random, const Options& options)
      : program_(program), world_(world), random_(random), options_(options) {}

  void over_names() {
    choose_names();
    static constexpr OpCode kCodes[] = {
        OpCode::kUnlink, OpCode::kRename, OpCode::kLink,   OpCode::kUnlink,   OpCode::kRename,  OpCode::kOpen,
        OpCode::kOpen,   OpCode::kRmdir,  OpCode::kMkdir,  OpCode::kLink,     OpCode::kSymlink, OpCode::kTruncate,
        OpCode::kStat,   OpCode::kClose,  OpCode::kRename, OpCode::kGetdents, OpCode::kLstat,   OpCode::kDropCaches};
    in_tasks(kCodes, [this](Op& op) {
      op.path = random_.pick(names());
      op.path2 = random_.pick(names());
      if (op.path2 == op.path && random_.chance(3, 4)) { op.path2 = other_than(op.path); }
      if (op.code == OpCode::kClose) { op.fd = kOwnFd; }
      if (op.code == OpCode::kGetdents) { op.fd = kDirectoryFd; }
    });
  }

  void over_addresses() {
    static constexpr OpCode kCodes[] = {OpCode::kStore,    OpCode::kLoad,    OpCode::kTouch,     OpCode::kStore,
                                        OpCode::kMprotect, OpCode::kMunmap,  OpCode::kMremap,    OpCode::kMremap,
                                        OpCode::kMadvise,  OpCode::kMadvise, OpCode::kMsync,     OpCode::kMmap,
                                        OpCode::kMprotect, OpCode::kPread,   OpCode::kFallocate, OpCode::kFtruncate};
    const int64_t pages = std::clamp<int64_t>(world_.mapping(0, 0).length / kPage, 1, 4);
    const int64_t page = random_.between(0, pages - 1) * kPage;
    const bool copies = random_.chance(1, 3);
    if (copies) { map_copies(pages * kPage); }
    in_tasks(kCodes, [&](Op& op) {
      const OpInfo& info = op.info();
      // The page, or one that goes into it or begins in it.
      const int64_t at = std::max<int64_t>(page + (random_.chance(3, 4) ? 0 : random_.between(-1, 1) * kPage), 0);
      const uint8_t slot = copies && random_.chance(1, 2) ? kCopies : 0;
      const Memory there{.kind = MemoryKind::kMapping, .slot = slot, .offset = at};
      if (info.has(OperandKind::kAddr) || info.has(OperandKind::kSplitAddr)) { op.addr = there; }
      if (info.has(OperandKind::kDest)) { op.buffer = there; }
      if (info.has(OperandKind::kFd)) { op.fd = op.code == OpCode::kPread ? 1 : 0; }
      if (info.has(OperandKind::kOffset)) { op.offset = op.code == OpCode::kPread ? 0 : at; }
      op.length = op.code == OpCode::kFtruncate ? at : random_.between(1, 2) * kPage;
      if (info.has(OperandKind::kLength2)) { op.length2 = random_.between(1, 3) * kPage; }
      if (op.code == OpCode::kMremap && random_.chance(1, 2)) {  // else few of them move
        op.flags = kRemapMayMove | kRemapFixed;
        OperandMaker(world_, 0, random_, options_).randomise(OperandKind::kAt, op);
      }
      if (op.code == OpCode::kMmap && random_.chance(1, 2)) {  // over what is there
        op.flags = (random_.chance(1, 4) ? kMapPrivate : kMapShared) | kMapFixed;
        op.at = there;
      }
    });
  }

  void over_position() {
    const uint32_t flags = kORdWr | (random_.chance(1, 2) ? kOAppend : 0) | (random_.chance(1, 6) ? kODsync : 0);
    add_init(Op{.code = OpCode::kOpen, .result = kOwnFd, .path = world_.fd(0, 0).path, .flags = flags});
    static constexpr OpCode kCodes[] = {OpCode::kWrite, OpCode::kWrite,     OpCode::kWrite, OpCode::kRead,
                                        OpCode::kWrite, OpCode::kFtruncate, OpCode::kPread, OpCode::kPwrite,
                                        OpCode::kLseek, OpCode::kFstat,     OpCode::kRead,  OpCode::kFallocate};
    const int64_t size = std::clamp<int64_t>(world_.file_size(world_.fd(0, 0).path), 0, 16 * kPage);
    in_tasks(kCodes, [&](Op& op) {
      const OpInfo& info = op.info();
      const bool by_position = op.code == OpCode::kWrite || op.code == OpCode::kRead || random_.chance(1, 2);
      op.fd = by_position ? kOwnFd : 0;
      const int64_t near_end = std::max<int64_t>(size + random_.between(-2, 2) * 512, 0);
      if (info.has(OperandKind::kOffset) && random_.chance(3, 4)) { op.offset = near_end; }
      op.length = op.code == OpCode::kFtruncate ? near_end
                  : random_.chance(1, 2)        ? random_.between(1, 600)
                                                : random_.between(1, 2) * kPage;
      if (info.has(OperandKind::kSource)) {
        op.buffer = Memory{.kind = MemoryKind::kAnonymous,
                           .fill = static_cast<uint8_t>(random_.between(0x41, 0x5a)),
                           .pattern = Pattern::kSequence};
      }
      if (info.has(OperandKind::kDest)) { op.buffer = Memory{.kind = MemoryKind::kAnonymous}; }
    });
  }

 private:
  // The operations of the tasks, with random operands that `aim` then directs to the matter.
  template <size_t n, typename Aim>
  void in_tasks(const OpCode (&codes)[n], Aim aim) {
    for (size_t i = 0; i < program_.tasks.size(); ++i) {
      Task& task = program_.tasks[i];
      task.process = 0;
      for (uint32_t left = random_.chance(1, 3) ? 2 : 1; left != 0; --left) {
        Op op;
        op.code = random_.pick(codes);
        if (options_.weights[static_cast<size_t>(op.code)] == 0) { continue; }
        OperandMaker(world_, 0, random_, options_).randomise_all(op);
        aim(op);
        normalise_op(op, program_.strings.size());
        insert_op(program_, Place{false, static_cast<uint8_t>(i), static_cast<uint8_t>(task.ops.size())}, op);
      }
    }
  }

  void add_init(const Op& op) {
    const auto end = static_cast<uint8_t>(program_.processes[0].init.size());
    if (insert_op(program_, Place{true, 0, end}, op)) { world_.apply(0, op); }
  }

  // The same pages once more, with private copies of them, or of some: they live on whatever becomes of the file's.
  void map_copies(int64_t length) {
    const Memory there{.kind = MemoryKind::kMapping, .slot = kCopies};
    add_init(Op{.code = OpCode::kMmap,
                .result = kCopies,
                .fd = 0,
                .prot = kProtRead | kProtWrite,
                .flags = kMapPrivate,
                .length = length});
    if (random_.chance(1, 2)) { add_init(Op{.code = OpCode::kLoad, .length = length, .addr = there}); }
    add_init(Op{.code = OpCode::kTouch,
                .length = random_.chance(1, 2) ? length : kPage,
                .addr = there,
                .buffer = Memory{.kind = MemoryKind::kAnonymous, .fill = 0x43}});
  }

  // Two or three names; the directories that they are in, and most of the names themselves, exist.
  void choose_names() {
    static constexpr std::string_view kNames[] = {"f0",    "g0",    "f1",    "d0",    "d1",
                                                  "d0/f0", "d0/f1", "d1/f0", "d0/d1", "l0"};
    names_count_ = 2 + random_.below(2);
    for (size_t i = 0; i < names_count_; ++i) {
      std::string_view name = random_.pick(kNames);
      // Often a directory and what is in it, or two of one directory.
      const bool near = i != 0 && random_.chance(1, 2);
      for (int tries = 0; near && tries < 4 && top_of(name) != top_of(program_.path_text(names_[0])); ++tries) {
        name = random_.pick(kNames);
      }
      names_[i] = static_cast<uint8_t>(find_path(name));
      if (const size_t slash = name.rfind('/'); slash != std::string_view::npos) {
        make_directory(name.substr(0, slash));
      }
      if (random_.chance(1, 4)) { continue; }
      if (name.ends_with("d0") || name.ends_with("d1")) {
        make_directory(name);
      } else if (name == "l0") {
        add_init(Op{.code = OpCode::kSymlink, .path = names_[0], .path2 = names_[i]});
      } else {
        add_init(
            Op{.code = OpCode::kOpen, .result = kOwnFd, .path = names_[i], .mode = 0644, .flags = kORdWr | kOCreat});
        if (random_.chance(1, 2)) { add_init(Op{.code = OpCode::kClose, .fd = kOwnFd}); }
      }
    }
    if (random_.chance(1, 2)) {  // for who lists it
      const std::string_view name = program_.path_text(random_.pick(names()));
      const size_t slash = name.rfind('/');
      const std::string_view directory = slash == std::string_view::npos ? "." : name.substr(0, slash);
      add_init(Op{.code = OpCode::kOpen,
                  .result = kDirectoryFd,
                  .path = static_cast<uint8_t>(find_path(directory)),
                  .flags = kORdOnly | kODirectory});
    }
  }

  static std::string_view top_of(std::string_view name) { return name.substr(0, name.find('/')); }

  void make_directory(std::string_view name) {
    add_init(Op{.code = OpCode::kMkdir, .path = static_cast<uint8_t>(find_path(name)), .mode = 0755});
  }

  std::span<const uint8_t> names() const { return std::span(names_).first(names_count_); }
  uint8_t other_than(uint8_t path) const {
    for (const uint8_t name : names()) {
      if (name != path) { return name; }
    }
    return path;
  }

  Program& program_;
  World& world_;
  Random& random_;
  const Options& options_;
  std::array<uint8_t, 3> names_{};
  size_t names_count_ = 0;
};

}  // namespace

void add_small_duel(Program& program, World& world, Random& random, const Options& options) {
  SmallDuel duel(program, world, random, options);
  switch (random.below(4)) {
    case 0:
    case 1: return duel.over_names();
    case 2: return duel.over_addresses();
    default: return duel.over_position();
  }
}

}  // namespace daxfuzz::prog
