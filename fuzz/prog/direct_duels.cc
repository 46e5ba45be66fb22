#include "fuzz/prog/direct_duels.h"

#include <algorithm>
#include <string>
#include <utility>

#include "fuzz/prog/edit.h"
#include "fuzz/prog/operands.h"

namespace daxfuzz::prog {
namespace {

constexpr int64_t kData = 2 * kPage;  // at the front of the file, where the duel puts some

Memory bytes_to_write(uint8_t fill) {
  return Memory{.kind = MemoryKind::kAnonymous, .fill = fill, .pattern = Pattern::kSequence};
}

class DirectDuel {
 public:
  DirectDuel(Program& program, World& world, Random& random, const Options& options)
      : program_(program), world_(world), random_(random), options_(options) {}

  void run() {
    static constexpr OpCode kUsers[] = {OpCode::kIoSubmitPwrite, OpCode::kPwrite, OpCode::kIoSubmitPwrite,
                                        OpCode::kIoSubmitPread, OpCode::kPread};
    static constexpr OpCode kChangers[] = {OpCode::kPwrite,    OpCode::kIoSubmitPwrite, OpCode::kFtruncate,
                                           OpCode::kFallocate, OpCode::kFtruncate,      OpCode::kPread,
                                           OpCode::kFallocate, OpCode::kPwrite};
    if (program_.tasks.size() < 2 || world_.fd(0, 1).bindings == 0) { return; }
    // Sometimes it is about EOF: who writes across it, who reads behind it, who moves it.
    eof_ = random_.chance(2, 5) ? random_.between(1, 3) * kPage : 0;
    // What goes without the inode lock meets more there; most of all readers at EOF.
    if (program_.mount.starts_with("dax=inode") && program_.mount.find("dioread") == std::string::npos &&
        random_.chance(1, eof_ != 0 ? 2 : 3)) {
      add_mount_option(program_, "dioread_nolock");
      if (random_.chance(1, 4)) { add_mount_option(program_, "es_test"); }
    }
    if (eof_ != 0) {
      if (random_.chance(1, 2)) { add_init(Op{.code = OpCode::kFtruncate, .fd = 1}); }  // a hole in front of it
      add_init(Op{.code = OpCode::kFtruncate, .fd = 1, .length = eof_});
    } else if (random_.chance(3, 4)) {
      add_init(Op{.code = OpCode::kFallocate, .fd = 1, .length = random_.between(2, 6) * kPage});
      add_init(Op{.code = OpCode::kPwrite, .fd = 1, .length = kData, .buffer = bytes_to_write(0x64)});
    }
    const auto first = static_cast<uint8_t>(random_.below(program_.tasks.size()));
    const auto second =
        static_cast<uint8_t>((first + 1 + random_.below(program_.tasks.size() - 1)) % program_.tasks.size());
    // Sometimes it is about one block, which is new perhaps, and parts of it.
    shared_block_ = eof_ == 0 && random_.chance(1, 4) ? random_.between(0, 4) * kPage : -1;
    if (shared_block_ >= 0) {
      static constexpr OpCode kWriters[] = {OpCode::kIoSubmitPwrite, OpCode::kIoSubmitPwrite, OpCode::kPwrite};
      add(first, random_.pick(kWriters));
      return add(second, random_.pick(kWriters));
    }
    const bool descriptor = random_.chance(1, 4);  // it changes, or another one of the file goes
    const OpCode user = !descriptor            ? random_.pick(kUsers)
                        : random_.chance(2, 3) ? OpCode::kPwrite
                                               : OpCode::kIoSubmitPwrite;
    add(first, user);
    const bool in_flight = user == OpCode::kIoSubmitPwrite || user == OpCode::kIoSubmitPread;
    if (descriptor) {
      change_descriptor(second);
    } else if (in_flight && random_.chance(1, 4)) {  // the task does not wait for it, so it can itself be the other one
      add(first, random_.pick(kChangers));
    } else if (eof_ != 0 && random_.chance(1, 2)) {
      add(second, OpCode::kPread);
    } else {
      add(second, random_.pick(kChangers));
    }
    if (random_.chance(1, 3)) { add(second, OpCode::kPread); }
  }

 private:
  // The descriptor changes under who uses it, or another one of the file goes.
  void change_descriptor(uint8_t task) {
    if (program_.tasks[task].process != 0) { return; }
    Op op{.code = OpCode::kSetFl, .fd = 1, .flags = kORdWr | (random_.chance(1, 4) ? kODirect : 0)};
    if (random_.chance(1, 2)) {
      add_init(Op{.code = OpCode::kOpen, .result = 3, .path = world_.fd(0, 1).path, .mode = 0644, .flags = kORdWr});
      op = Op{.code = OpCode::kClose, .fd = 3};
      if (program_.mount.starts_with("dax=inode") && program_.mount.find("trim_eof") == std::string::npos) {
        add_mount_option(program_, "trim_eof");  // then it matters
      }
    }
    insert_op(program_, Place{false, task, static_cast<uint8_t>(program_.tasks[task].ops.size())}, op);
  }

  void add(uint8_t task, OpCode code) {
    if (program_.tasks[task].process != 0) { return; }
    Op op;
    op.code = code;
    OperandMaker(world_, 0, random_, options_).randomise_all(op);
    op.fd = 1;
    const OpInfo& info = op.info();
    const bool placed = shared_block_ >= 0 || random_.chance(7, 8);
    if ((info.has(OperandKind::kDest) || info.has(OperandKind::kSource)) && placed) {
      // Half of them within the data, or wholly behind it.
      const bool data = random_.chance(1, 2);
      op.offset = random_.between(0, data ? 1 : 3) * kPage + (data ? 0 : kData);
      op.length = data ? kData - op.offset : random_.between(1, 3) * kPage;
      if (random_.chance(1, 4)) { op.offset = random_.between(0, 4) * kPage; }
      // Parts of blocks: what is around them is zeroed if the block is new.
      if (random_.chance(1, 5)) {
        const int64_t skip = random_.between(0, 7) * kSector;
        op.offset += skip;
        op.length = std::max(kSector, op.length - skip - random_.between(0, 7) * kSector);
      }
      if (shared_block_ >= 0) {
        const bool whole = random_.chance(1, 2);
        const int64_t skip = whole ? 0 : random_.between(0, 7) * kSector;
        op.offset = shared_block_ + skip;
        op.length = whole ? kPage : random_.between(1, kPage / kSector - skip / kSector) * kSector;
      }
      if (eof_ != 0) {
        // Up to EOF, across it or behind it: most who write are across, most who read want what is written there.
        const int64_t usual = info.has(OperandKind::kSource) ? -kPage : 0;
        op.offset = eof_ + (random_.chance(3, 4) ? usual : random_.between(-1, 1) * kPage);
        op.length = random_.between(1, 3) * kPage;
      }
      op.buffer = info.has(OperandKind::kSource) ? bytes_to_write(static_cast<uint8_t>(random_.between(0x41, 0x5a)))
                                                 : Memory{.kind = MemoryKind::kAnonymous};
    }
    // Mostly what the other one transfers, or begins in it.
    if (code == OpCode::kFallocate && random_.chance(3, 4)) {
      op.offset = last_.first / kPage * kPage + (random_.chance(1, 4) ? kPage : 0);
      op.length = random_.chance(1, 2) ? last_.second : random_.between(1, 3) * kPage;
    }
    if (info.has(OperandKind::kDest) || info.has(OperandKind::kSource)) { last_ = {op.offset, op.length}; }
    // Far behind what is there; or about EOF, or about what is allocated.
    if (code == OpCode::kFtruncate) {
      op.length = random_.chance(1, 2) ? eof_ + random_.between(6, 16) * kPage : random_.between(0, 4) * kPage;
    }
    insert_op(program_, Place{false, task, static_cast<uint8_t>(program_.tasks[task].ops.size())}, op);
  }

  void add_init(const Op& op) {
    const auto end = static_cast<uint8_t>(program_.processes[0].init.size());
    if (insert_op(program_, Place{true, 0, end}, op)) { world_.apply(0, op); }
  }

  Program& program_;
  World& world_;
  Random& random_;
  const Options& options_;
  int64_t eof_ = 0;                             // 0: of no interest
  int64_t shared_block_ = -1;                   // where the block begins that it is about; -1: none
  std::pair<int64_t, int64_t> last_{0, kPage};  // offset and length of the last transfer
};

}  // namespace

void add_direct_duel(Program& program, World& world, Random& random, const Options& options) {
  DirectDuel(program, world, random, options).run();
}

}  // namespace daxfuzz::prog
