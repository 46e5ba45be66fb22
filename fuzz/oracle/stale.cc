// fuzz/oracle/stale.cc - leftovers in what was read, and behind the ends of files.
#include "fuzz/oracle/stale.h"

#include <algorithm>
#include <cinttypes>
#include <string>
#include <utility>

#include "fs/base/text.h"
#include "fs/base/types.h"
#include "fuzz/oracle/model.h"

namespace daxfuzz::oracle {

using daxfs::format;
using daxfs::kStaleByte;
using prog::MemoryKind;
using prog::OpCode;

namespace {

constexpr size_t kRun = 64;  // a counting pattern has one such byte in 256

using Bytes = std::span<const std::byte>;

bool is_leftover(std::byte byte) { return std::to_integer<uint8_t>(byte) == kStaleByte; }

// Where a run of leftovers begins that covers an aligned stretch of its length / 2; data.size() if there is none.
size_t find_run(Bytes data) {
  for (size_t at = kRun / 2 - 1; at < data.size(); at += kRun / 2) {
    if (!is_leftover(data[at])) { continue; }
    size_t begin = at;
    while (begin > 0 && is_leftover(data[begin - 1])) { --begin; }
    size_t end = at + 1;
    while (end < data.size() && is_leftover(data[end])) { ++end; }
    if (end - begin >= kRun) { return begin; }
    at = end;
  }
  return data.size();
}

bool stores_leftovers(const prog::Op& op) {
  const prog::OpInfo& info = op.info();
  if (!info.has(prog::OperandKind::kSource) && !info.has(prog::OperandKind::kFill)) { return false; }
  return op.buffer.kind == MemoryKind::kAnonymous && op.buffer.pattern == prog::Pattern::kFill &&
         op.buffer.fill == kStaleByte;
}

// Through a pin the device may write behind the end of a file whose last page is on its way to the medium, its tail
// zeroed already; in Linux, too.
bool device_writes_mapping(const OpRecord& record, bool flags_change) {
  if (!record.op->info().has(prog::OperandKind::kDest) || record.op->buffer.kind != MemoryKind::kMapping) {
    return false;
  }
  return flags_change || is_asynchronous(record.op->code) || (record.open_flags & prog::kODirect) != 0;
}

}  // namespace

bool leftovers_tell(const History& history) {
  const bool stored = std::any_of(history.records.begin(), history.records.end(), [](const OpRecord& record) {
    return record.op != nullptr && stores_leftovers(*record.op);
  });
  return !history.foreign_image && !stored;
}

std::optional<Objection> check_leftovers(const OpRecord& record) {
  switch (record.op->code) {
    case OpCode::kRead:
    case OpCode::kPread:
    case OpCode::kIoSubmitPread:
    case OpCode::kLoad:
    case OpCode::kProcessVmReadv: break;
    default: return std::nullopt;
  }
  const size_t at = find_run(record.data);
  if (at == record.data.size()) { return std::nullopt; }
  std::string title =
      format("%s got stale bytes 0x%02x at byte %zu of what it read", name_of(record).c_str(), kStaleByte, at);
  return Objection{"O16", std::move(title),
                   "free blocks and fresh pages hold that byte, and the program never writes it\n"};
}

std::optional<Objection> check_leftovers(const FinalFile& found, std::span<const FinalPiece> pieces) {
  for (const FinalPiece& piece : pieces) {
    if (piece.offset >= found.size) { continue; }
    const Bytes inside = piece.bytes.first(std::min<uint64_t>(piece.bytes.size(), found.size - piece.offset));
    const size_t at = find_run(inside);
    if (at == inside.size()) { continue; }
    std::string title = format("on the medium inode %u has stale bytes 0x%02x at file offset %" PRIu64, found.ino,
                               kStaleByte, piece.offset + at);
    Objection objection{"O16", title, "free blocks hold that byte, and the program never writes it\n"};
    objection.ino = found.ino;
    objection.offset = piece.offset + at;
    return objection;
  }
  return std::nullopt;
}

std::optional<Objection> check_tail(const prog::Program& program, const History& history, const FinalFile& found) {
  const bool fails = program.mount.find("fail_") != std::string::npos || history.memory_ran_out;
  if (found.tail.empty() || history.foreign_image || fails) { return std::nullopt; }
  const bool flags_change = std::any_of(history.records.begin(), history.records.end(), [](const OpRecord& record) {
    return record.op != nullptr && record.op->code == OpCode::kSetFl;
  });
  bool met = false;
  for (const OpRecord& record : history.records) {
    if (record.op == nullptr || record.op->code == OpCode::kSetXflags || record.op->code == OpCode::kSetFlags ||
        device_writes_mapping(record, flags_change)) {
      return std::nullopt;
    }
    if (record.ino != found.ino) { continue; }
    if (record.dax) { return std::nullopt; }
    met = true;
  }
  const auto wrong = std::find_if(found.tail.begin(), found.tail.end(), [](std::byte b) { return b != std::byte{0}; });
  if (!met || wrong == found.tail.end()) { return std::nullopt; }
  const uint64_t offset = found.size + static_cast<uint64_t>(wrong - found.tail.begin());
  std::string title =
      format("on the medium inode %u has 0x%02x behind its end, at offset %" PRIu64 "; only 0x00 possible", found.ino,
             std::to_integer<unsigned>(*wrong), offset);
  Objection objection{"O16", title, "the end of the last block of a file shows when the file grows\n"};
  objection.ino = found.ino;
  objection.offset = offset;
  return objection;
}

}  // namespace daxfuzz::oracle
