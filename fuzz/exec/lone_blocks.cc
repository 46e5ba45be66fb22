#include "fuzz/exec/lone_blocks.h"

#include <algorithm>
#include <cinttypes>
#include <string>

#include "fs/base/text.h"
#include "fs/base/types.h"

namespace daxfuzz::exec {

using daxfs::div_round_up;
using daxfs::kBlockSize;
using daxfs::check::TreeExtent;
using oracle::Objection;
using oracle::OpRecord;
using prog::OpCode;

namespace {

constexpr uint64_t kEnd = UINT64_MAX;

}  // namespace

Stretch stretch_at(const std::vector<TreeExtent>& extents, uint64_t block) {
  Stretch stretch;
  for (const TreeExtent& extent : extents) {
    const uint64_t begin = extent.logical;
    const uint64_t end = begin + extent.length;
    if (end <= block) { continue; }
    if (begin > block) {
      stretch.end = begin;
      return stretch;
    }
    return {true, extent.unwritten, extent.physical + (block - begin), end};
  }
  return stretch;
}

bool LoneBlocks::about(const prog::Op& op) {
  switch (op.code) {
    case OpCode::kFallocate:
    case OpCode::kFtruncate:
    case OpCode::kPwrite:
    case OpCode::kWrite: return true;
    default: return false;
  }
}

void LoneBlocks::note(const daxfs::check::ImageReader& reader, uint32_t ino, uint64_t size) {
  daxfs::check::TreeInode inode;
  if (!reader.inode(ino, inode) || !inode.is_regular() || !reader.extents(ino, before_)) { return; }
  ino_ = ino;
  generation_ = inode.generation;
  size_ = size;
}

std::optional<Objection> LoneBlocks::wrong(const char* tag, uint64_t block, const char* what) const {
  Objection objection{.tag = tag,
                      .title = daxfs::format("%s of inode %u %s block %" PRIu64, std::string(op_->info().name).c_str(),
                                             ino_, what, block),
                      .detail = "nothing ran beside the call\n"};
  objection.ino = ino_;
  objection.offset = block * kBlockSize;
  return objection;
}

std::optional<uint64_t> LoneBlocks::first_block(Blocks range, bool mapped) const {
  for (uint64_t at = range.first; at < range.past;) {
    const Stretch stretch = stretch_at(after_, at);
    if (stretch.mapped == mapped) { return at; }
    at = stretch.end;
  }
  return std::nullopt;
}

std::optional<Objection> LoneBlocks::compare(Blocks range, Rule rule, int64_t from) const {
  const auto shift = static_cast<uint64_t>(from);
  for (uint64_t at = range.first; at < range.past;) {
    const Stretch now = stretch_at(after_, at);
    const Stretch was = stretch_at(before_, at + shift);
    if (was.mapped && !now.mapped) { return wrong("LC6", at, "took away"); }
    if (was.mapped && now.physical != was.physical) { return wrong("LC6", at, "moved"); }
    if (now.mapped && !was.mapped && rule == Rule::kSame) { return wrong("LC6", at, "made"); }
    at = std::min(now.end, was.end == kEnd ? kEnd : was.end - shift);
  }
  return std::nullopt;
}

std::optional<Objection> LoneBlocks::check_truncate(uint64_t new_size) const {
  if (new_size > size_) { return compare({0, kEnd}, Rule::kSame); }
  const uint64_t past = div_round_up(new_size, kBlockSize);
  if (const auto block = first_block({past, kEnd}, true)) { return wrong("LC6", *block, "left, behind the end,"); }
  return compare({0, past}, Rule::kSame);
}

std::optional<Objection> LoneBlocks::check_allocation(Blocks touched) const {
  if (const auto block = first_block(touched, false)) { return wrong("LC5", *block, "left out"); }
  if (auto objection = compare({0, touched.first}, Rule::kSame)) { return objection; }
  if (auto objection = compare(touched, Rule::kKept)) { return objection; }
  return compare({touched.past, kEnd}, Rule::kSame);
}

std::optional<Objection> LoneBlocks::check_punch(uint64_t begin, uint64_t end) const {
  if (begin >= size_) { return compare({0, kEnd}, Rule::kSame); }
  end = std::min(end, daxfs::round_up(size_, kBlockSize));  // behind it nothing is punched
  const Blocks touched{begin / kBlockSize, div_round_up(end, kBlockSize)};
  const Blocks whole{div_round_up(begin, kBlockSize), end / kBlockSize};
  if (const auto block = first_block(whole, true)) { return wrong("LC5", *block, "punched a hole and left"); }
  if (auto objection = compare({0, touched.first}, Rule::kSame)) { return objection; }
  // Parts of blocks are written back first, which may give them one.
  if (auto objection = compare({touched.first, std::min(whole.first, touched.past)}, Rule::kKept)) { return objection; }
  if (auto objection = compare({std::max(whole.past, touched.first), touched.past}, Rule::kKept)) { return objection; }
  return compare({touched.past, kEnd}, Rule::kSame);
}

std::optional<Objection> LoneBlocks::check(const daxfs::check::ImageReader& reader, const OpRecord& record) {
  daxfs::check::TreeInode inode;
  const bool writes = record.op->code == OpCode::kPwrite || record.op->code == OpCode::kWrite;
  if (ino_ == 0 || record.error != daxfs::Errc::kOk || record.ino != ino_ || record.generation != generation_ ||
      (writes && record.ret <= 0) || !reader.inode(ino_, inode) || inode.generation != generation_ ||
      !reader.extents(ino_, after_)) {
    return std::nullopt;
  }
  op_ = record.op;
  const auto begin = static_cast<uint64_t>(op_->offset);
  const auto length = static_cast<uint64_t>(op_->length);
  if (op_->code == OpCode::kFtruncate) { return check_truncate(length); }
  // A write that gets less far than it had allocated cuts off what is behind the end.
  if (writes) { return compare({0, div_round_up(size_, kBlockSize)}, Rule::kKept); }
  if ((op_->flags & prog::kFallocPunch) != 0) { return check_punch(begin, begin + length); }
  const uint64_t first = begin / kBlockSize;
  const uint64_t blocks = length / kBlockSize;
  if ((op_->flags & (prog::kFallocCollapse | prog::kFallocInsert)) == 0) {
    return check_allocation({first, div_round_up(begin + length, kBlockSize)});
  }
  if (!record.dax) { return std::nullopt; }
  if (auto objection = compare({0, first}, Rule::kSame)) { return objection; }
  if ((op_->flags & prog::kFallocCollapse) != 0) {
    return compare({first, kEnd}, Rule::kSame, static_cast<int64_t>(blocks));
  }
  if (const auto block = first_block({first, first + blocks}, true)) { return wrong("LC6", *block, "made"); }
  return compare({first + blocks, kEnd}, Rule::kSame, -static_cast<int64_t>(blocks));
}

}  // namespace daxfuzz::exec
