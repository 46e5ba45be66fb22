// fuzz/prog/operands.cc - random operands that mostly mean something where they stand.
#include "fuzz/prog/operands.h"

#include <algorithm>
#include <limits>

#include "fs/base/types.h"
#include "fuzz/prog/binary_tags.h"
#include "fuzz/prog/edit.h"
#include "fuzz/prog/names.h"

namespace daxfuzz::prog {
namespace {

constexpr int64_t kSizeMax = int64_t{64} << 20;  // larger guesses are of no use

// Flag combinations with their shares; the first column adds up to the total of its table.
struct Choice {
  uint16_t weight;
  uint32_t value;
};

constexpr int64_t kFarPages = 1024;  // beyond all that programs map

constexpr Choice kOpenChoices[] = {
    {8, kORdWr | kOCreat},
    {5, kORdWr | kOCreat | kODirect},
    {3, kORdWr},
    {2, kORdWr | kODirect},
    {1, kORdOnly},
    {1, kORdOnly | kODirect},
    {1, kOWrOnly},
    {2, kORdWr | kOTrunc},
    {1, kORdWr | kOCreat | kOTrunc},
    {1, kORdWr | kOAppend},
    {1, kORdWr | kOCreat | kOExcl},
    {1, kORdOnly | kODirectory},
    {1, kORdWr | kOSync},
    {1, kORdWr | kOCreat | kODsync},
    {1, kORdOnly | kONoFollow},
};
constexpr Choice kFallocChoices[] = {
    {10, kFallocPunch | kFallocKeepSize},
    {5, 0},
    {3, kFallocKeepSize},
    {4, kFallocZero},
    {2, kFallocZero | kFallocKeepSize},
    {4, kFallocCollapse},
    {3, kFallocInsert},
    {1, kFallocPunch},
};
constexpr Choice kRenameChoices[] = {{5, 0}, {2, kRenameNoReplace}, {3, kRenameExchange}};
constexpr Choice kMapChoices[] = {
    {12, kMapShared},
    {3, kMapPrivate},
    {1, kMapSharedValidate},
    {2, kMapSharedValidate | kMapSync},
    {1, kMapShared | kMapFixed},
    {1, kMapShared | kMapPopulate},
    {1, kMapPrivate | kMapAnon},
};
constexpr Choice kRemapChoices[] = {{5, kRemapMayMove}, {2, 0}, {2, kRemapMayMove | kRemapFixed}};
constexpr Choice kSyncChoices[] = {
    {6, kMsSync}, {2, kMsAsync}, {1, kMsInvalidate}, {1, kMsSync | kMsInvalidate}, {1, 0}};
constexpr Choice kXattrChoices[] = {{6, kXflagDax}, {3, 0}, {1, kXflagImmutable}, {1, kXflagAppend}};
constexpr Choice kInodeChoices[] = {
    {4, 0}, {4, kFsDax}, {3, kFsExtents}, {3, kFsExtents | kFsDax}, {1, kFsExtents | kFsImmutable}};
constexpr Choice kWhenceChoices[] = {{3, kSeekSet}, {1, kSeekCur}, {1, kSeekEnd}, {3, kSeekData}, {3, kSeekHole}};
constexpr Choice kAdviceChoices[] = {{8, kAdvDontNeed},     {1, kAdvRemove}, {1, kAdvWillNeed}, {1, kAdvPopulateWrite},
                                     {1, kAdvPopulateRead}, {1, kAdvNormal}, {1, kAdvHugePage}, {1, kAdvHwPoison}};
constexpr Choice kProtChoices[] = {{12, kProtRead | kProtWrite}, {4, kProtRead}, {1, kProtWrite}, {1, kProtNone}};

std::span<const Choice> choices(OperandKind kind) {
  switch (kind) {
    case OperandKind::kOpenFlags: return kOpenChoices;
    case OperandKind::kFallocMode: return kFallocChoices;
    case OperandKind::kRenameFlags: return kRenameChoices;
    case OperandKind::kMapFlags: return kMapChoices;
    case OperandKind::kRemapFlags: return kRemapChoices;
    case OperandKind::kSyncFlags: return kSyncChoices;
    case OperandKind::kXattrFlags: return kXattrChoices;
    case OperandKind::kInodeFlags: return kInodeChoices;
    case OperandKind::kWhence: return kWhenceChoices;
    case OperandKind::kAdvice: return kAdviceChoices;
    default: return kProtChoices;
  }
}

TaskId random_task(const Program& program, Random& random, const Options& options, uint32_t system_share) {
  if (!options.system_tasks.empty() && random.chance(system_share, 16)) { return random.pick(options.system_tasks); }
  return static_cast<TaskId>(random.below(program.tasks.size()));
}

}  // namespace

uint32_t OperandMaker::flags(OperandKind kind) {
  const FlagTable& table = *flag_table(kind);
  if (random_.chance(1, 24)) {  // any mixture of names
    uint32_t value = random_.pick(table.names).value;
    if (!table.is_enum) { value |= random_.pick(table.names).value; }
    return value;
  }
  const std::span<const Choice> from = choices(kind);
  uint32_t total = 0;
  for (const Choice& choice : from) { total += choice.weight; }
  uint32_t at = random_.below(total);
  for (const Choice& choice : from) {
    if (at < choice.weight) { return choice.value; }
    at -= choice.weight;
  }
  return from[0].value;
}

uint8_t OperandMaker::fd() {
  if (random_.chance(1, 64)) { return kBadFd; }
  uint8_t bound[kFdSlots];
  size_t count = 0;
  for (uint8_t slot = 0; slot < kFdSlots; slot++) {
    if (world_.fd(process_, slot).bindings > 0) { bound[count++] = slot; }
  }
  if (count == 0 || random_.chance(1, 24)) { return static_cast<uint8_t>(random_.below(kFdSlots)); }
  return bound[random_.below(count)];
}

uint8_t OperandMaker::path() {
  const std::span<const PoolName> pool = path_pool();
  // A name that the program uses already collides with something.
  if (random_.chance(3, 4)) {
    uint8_t used[64];
    size_t count = 0;
    for (size_t row = 0; row < pool.size(); row++) {
      if (pool[row].same_as == row && world_.uses_path(static_cast<uint8_t>(row))) {
        used[count++] = static_cast<uint8_t>(row);
      }
    }
    if (count > 0) { return used[random_.below(count)]; }
  }
  static const uint32_t total = [] {
    uint32_t sum = 0;
    for (const PoolName& name : path_pool()) { sum += name.weight; }
    return sum;
  }();
  uint32_t at = random_.below(total);
  for (size_t row = 0; row < pool.size(); row++) {
    if (at < pool[row].weight) { return static_cast<uint8_t>(row); }
    at -= pool[row].weight;
  }
  return 0;
}

uint8_t OperandMaker::border_of_link() { return static_cast<uint8_t>(find_path(random_.pick(link_target_borders()))); }

// The low slots hold what the set-up made; operations that replace it make those behind them miss.
uint8_t OperandMaker::result_slot() {
  return static_cast<uint8_t>(random_.chance(1, 6) ? random_.below(3) : 3 + random_.below(4));
}

int64_t OperandMaker::odd_size() { return random_.pick(std::span<const int64_t>(binary::kSizes)); }

// A multiple of the huge size, or a page beside it.
int64_t OperandMaker::huge_border() {
  const int64_t border = world_.huge_size() * random_.between(0, 3);
  return std::max<int64_t>(border + (random_.chance(1, 2) ? 0 : random_.between(-1, 1) * kPage), 0);
}

int64_t OperandMaker::offset(int64_t file_size) {
  if (world_.huge_size() != 0 && random_.chance(1, 3)) { return huge_border(); }
  if (random_.chance(1, 32)) { return odd_size(); }
  const int64_t pages = std::min<int64_t>(std::max<int64_t>(file_size / kPage, 1), 64);
  int64_t value = 0;  // the start of the file in half of all cases
  if (random_.chance(1, 2)) { value = random_.between(0, pages) * kPage; }
  if (random_.chance(1, 16)) { value = file_size; }
  if (random_.chance(1, 24)) { value = static_cast<int64_t>(daxfs::kPmdSize); }
  if (random_.chance(1, 8)) { value += random_.between(-2, 2) * (random_.chance(1, 2) ? 1 : 256); }
  return std::max<int64_t>(value, 0);
}

int64_t OperandMaker::length(int64_t file_size) {
  if (world_.huge_size() != 0 && random_.chance(1, 4)) {
    return std::clamp<int64_t>(huge_border(), kPage, options_.file_bytes_max);
  }
  if (random_.chance(1, 32)) { return odd_size(); }
  int64_t value = kPage << random_.below(3);
  if (random_.chance(1, 4)) { value = std::max<int64_t>(file_size, kPage); }
  if (random_.chance(1, 24)) { value = static_cast<int64_t>(daxfs::kPmdSize); }
  if (random_.chance(1, 10)) { value += random_.between(-2, 2) * (random_.chance(1, 2) ? 1 : 256); }
  if (random_.chance(1, 16)) { value = random_.between(1, 600); }
  return std::min(value, options_.file_bytes_max);
}

uint8_t OperandMaker::bound_mapping() {
  uint8_t bound[kMappingSlots];
  size_t count = 0;
  for (uint8_t slot = 0; slot < kMappingSlots; slot++) {
    if (world_.mapping(process_, slot).bindings > 0) { bound[count++] = slot; }
  }
  if (count == 0 || random_.chance(1, 32)) { return static_cast<uint8_t>(random_.below(kMappingSlots)); }
  return bound[random_.below(count)];
}

Memory OperandMaker::address(int64_t length_hint) {
  Memory memory = {.kind = MemoryKind::kMapping, .slot = bound_mapping()};
  const int64_t pages = std::clamp<int64_t>(world_.mapping(process_, memory.slot).length / kPage, 1, 64);
  const int64_t used = std::clamp<int64_t>(length_hint / kPage, 0, pages);
  if (world_.huge_size() != 0 && random_.chance(1, 4)) {
    memory.offset = std::min(huge_border(), std::max<int64_t>(pages - 1, 0) * kPage);
  } else if (random_.chance(1, 2)) {
    memory.offset = random_.between(0, pages - used) * kPage;
  }
  if (random_.chance(1, 32)) { memory.offset = pages * kPage; }
  return memory;
}

Memory OperandMaker::fill() {
  return Memory{.kind = MemoryKind::kAnonymous,
                .fill = static_cast<uint8_t>(random_.between(0x41, 0x5a)),
                .pattern = random_.chance(1, 3) ? Pattern::kSequence : Pattern::kFill};
}

Memory OperandMaker::buffer(const Op& op, bool source) {
  if (random_.chance(1, 48)) { return Memory{.kind = MemoryKind::kBad}; }
  if (random_.chance(1, 2)) {
    Memory memory = address(op.length);
    if (random_.chance(1, 16)) { memory.offset += random_.chance(1, 2) ? 512 : 1; }
    if (world_.mapping(process_, memory.slot).bindings > 0) { return memory; }
  }
  Memory memory = source ? fill() : Memory{.kind = MemoryKind::kAnonymous};
  if (random_.chance(1, 16)) { memory.offset = random_.chance(1, 2) ? 512 : 1; }
  return memory;
}

// Size of the file or mapping that the operation works on, as far as known; mappings may claim any
// length.
int64_t OperandMaker::size_of_target(const Op& op) const {
  const OpInfo& info = op.info();
  int64_t size = kPage;
  if (info.has(OperandKind::kFd) && op.fd != kBadFd) {
    size = world_.file_size(world_.fd(process_, op.fd).path);
  } else if (info.has(OperandKind::kPath)) {
    size = world_.file_size(op.path);
  } else if (op.addr.kind == MemoryKind::kMapping) {
    size = world_.mapping(process_, op.addr.slot).length;
  }
  return std::clamp<int64_t>(size, 0, kSizeMax);
}

void OperandMaker::randomise(OperandKind kind, Op& op) {
  switch (kind) {
    case OperandKind::kFd: op.fd = fd(); return;
    case OperandKind::kPath:
      // Where the target of a link is kept depends on its length.
      op.path = op.code == OpCode::kSymlink && random_.chance(1, 4) ? border_of_link() : path();
      return;
    case OperandKind::kPath2: op.path2 = path(); return;
    case OperandKind::kFileMode:
    case OperandKind::kDirMode:
      op.mode =
          random_.chance(1, 16) ? random_.pick(std::span<const uint16_t>(binary::kModes)) : binary::default_mode(kind);
      return;
    case OperandKind::kProt: op.prot = static_cast<uint8_t>(flags(kind)); return;
    case OperandKind::kOffset: {
      op.offset = offset(size_of_target(op));
      if (op.code == OpCode::kMmap && random_.chance(15, 16)) { op.offset = op.offset / kPage * kPage; }
      return;
    }
    case OperandKind::kLength:
      op.length = op.code == OpCode::kIoGetevents ? random_.below(4) : length(size_of_target(op));
      return;
    case OperandKind::kLength2: op.length2 = length(size_of_target(op)); return;
    case OperandKind::kAddr:
      op.addr = random_.chance(1, 48) ? Memory{.kind = MemoryKind::kBad} : address(op.length);
      if (random_.chance(1, 64)) { op.addr.offset += random_.chance(1, 2) ? kSector : 1; }  // refused
      return;
    case OperandKind::kSplitAddr: {
      op.addr = address(op.length);
      if (random_.chance(1, 12)) {
        op.addr.offset += random_.between(op.addr.offset > 0 || random_.chance(1, 4) ? -3 : 0, 3);
      }
      return;
    }
    case OperandKind::kAt: {
      const bool fixed =
          op.code == OpCode::kMmap ? (op.flags & (kMapFixed | kMapFixedNoReplace)) != 0 : (op.flags & kRemapFixed) != 0;
      op.at = fixed || random_.chance(1, 48) ? address(op.length) : Memory();
      // What moves within its own mapping is refused if it overlaps itself: mostly to where nothing is.
      if (fixed && op.code == OpCode::kMremap && random_.chance(2, 3)) {
        op.at.offset += (1 + random_.below(4)) * kFarPages * kPage;
      }
      if (fixed && random_.chance(1, 48)) { op.at.offset += 1; }
      return;
    }
    case OperandKind::kDest: op.buffer = buffer(op, false); return;
    case OperandKind::kSource: op.buffer = buffer(op, true); return;
    case OperandKind::kFill: op.buffer = fill(); return;
    default: op.flags = flags(kind); return;
  }
}

void OperandMaker::spoil(Op& op) {
  const OpInfo& info = op.info();
  if (info.operands().empty()) { return; }
  const OperandKind kind = random_.pick(info.operands());
  // A transfer that is merely too long would be cut, and cost more than all the rest of the run.
  const bool moves =
      info.has(OperandKind::kDest) || info.has(OperandKind::kSource) || info.has(OperandKind::kSplitAddr);
  const auto spoilt = [&](int64_t number, bool any) {
    static constexpr int64_t kNumbers[] = {-1, 0, std::numeric_limits<int64_t>::max(), int64_t{1} << 44};
    if (random_.chance(1, 2)) { return number + (random_.chance(1, 2) ? 1 : kSector); }
    return kNumbers[random_.below(any ? std::size(kNumbers) : 2)];
  };
  switch (kind) {
    case OperandKind::kFd: op.fd = kBadFd; break;
    case OperandKind::kOffset: op.offset = spoilt(op.offset, true); break;
    case OperandKind::kLength: op.length = spoilt(op.length, !moves); break;
    case OperandKind::kLength2: op.length2 = spoilt(op.length2, true); break;
    case OperandKind::kAddr: op.addr.offset += random_.chance(1, 2) ? kSector : 1; break;
    case OperandKind::kDest:
    case OperandKind::kSource: op.buffer.offset += random_.chance(1, 2) ? kSector : 1; break;
    case OperandKind::kProt: op.prot = static_cast<uint8_t>(random_.below(32)); break;
    case OperandKind::kPath:
    case OperandKind::kPath2: randomise(kind, op); break;
    default:
      if (const FlagTable* const table = flag_table(kind); table != nullptr) {
        const FlagName& name = random_.pick(table->names);
        op.flags = table->is_enum ? name.value : (op.flags & ~name.mask) | (op.flags ^ name.value);
      }
  }
  normalise_op(op, 0);
}

void OperandMaker::randomise_all(Op& op) {
  const OpInfo& info = op.info();
  // Lengths last but for those that addresses look at.
  for (OperandKind kind : info.operands()) { randomise(kind, op); }
  // Block-granular operations are refused unless aligned: mostly align them.
  const bool shifts = op.code == OpCode::kFallocate && (op.flags & (kFallocCollapse | kFallocInsert)) != 0;
  if (shifts && random_.chance(15, 16)) {
    op.offset = op.offset / kPage * kPage;
    op.length = std::max<int64_t>(op.length / kPage * kPage, kPage);
    // What is collapsed must end before the file does.
    const int64_t pages = size_of_target(op) / kPage;
    if ((op.flags & kFallocCollapse) != 0 && pages > 1) {
      op.offset = op.offset / kPage % (pages - 1) * kPage;
      op.length = std::min(op.length, pages * kPage - kPage - op.offset);
    }
  }
  // A whole-sector transfer is what direct I/O to a file without DAX accepts.
  if (info.has(OperandKind::kFd) && op.fd != kBadFd && (world_.fd(process_, op.fd).flags & kODirect) != 0 &&
      random_.chance(7, 8) && (op.buffer.kind == MemoryKind::kMapping || op.buffer.kind == MemoryKind::kAnonymous)) {
    op.offset = op.offset / kSector * kSector;
    op.length = std::max<int64_t>(op.length / kSector * kSector, kSector);
    op.buffer.offset = op.buffer.offset / kSector * kSector;
  }
  if (info.result == ResultKind::kNone) {
    op.result = kNoSlot;
  } else {
    op.result = random_.chance(1, 32) ? kNoSlot : result_slot();
    if (op.code == OpCode::kMremap && op.addr.kind == MemoryKind::kMapping && random_.chance(1, 2)) {
      op.result = op.addr.slot;
    }
  }
  normalise_op(op, 0);
}

Preemption random_preemption(const Program& program, Random& random, const Options& options) {
  Preemption p;
  p.task = random_task(program, random, options, 1);
  // A system task's operations are its activations: few in a small program.
  const size_t ops = is_system_task(p.task) ? 3 : program.tasks[p.task].ops.size();
  p.op = random.chance(1, 48) ? kBeforeFirstOp : static_cast<uint16_t>(random.below(std::max<size_t>(ops, 1)));
  // Each power of two is as likely as the next: most operations have few events, some have many.
  unsigned bits = 1;
  while (bits < 24 && (options.event_max >> bits) != 0) { bits++; }
  const uint32_t top = uint32_t{1} << random.below(bits);
  p.event = std::clamp<uint32_t>(top + random.below(top), 1, kEventMax);
  for (int tries = 0; tries < 4; tries++) {
    p.next = random_task(program, random, options, 3);
    if (p.next != p.task) { break; }
  }
  return p;
}

}  // namespace daxfuzz::prog
