#include "fuzz/oracle/durable.h"

#include <algorithm>
#include <cinttypes>

#include "fs/base/text.h"
#include "fs/base/types.h"

namespace daxfuzz::oracle {

using daxfs::Errc;
using daxfs::format;
using prog::OpCode;

namespace {

// sync passes over inodes on their way out of memory: those without a name, and with drop_caches any.
bool some_inode_may_leave(const Model& model, const OpRecord& sync) {
  const auto order = model.order();
  return std::any_of(order.begin(), order.end(), [&](const OpRecord* other) {
    if (other->begin_seq > sync.end_seq) { return false; }
    switch (other->op->code) {
      case OpCode::kUnlink:
      case OpCode::kRename: return other->error == Errc::kOk;
      case OpCode::kDropCaches: return true;
      case OpCode::kOpen: return (other->op->flags & prog::kOTmpfile) == prog::kOTmpfile;
      default: return false;
    }
  });
}

bool marks_were_lost(const Model& model, const OpRecord& sync) {
  const auto order = model.order();
  return std::any_of(order.begin(), order.end(), [&](const OpRecord* other) {
    return other->begin_seq <= sync.end_seq && lost_dirty_marks(*other);
  });
}

// A dirty page of the page cache is promised while it is surely inside the file, and no writeback fails on order. What
// a write with O_SYNC wrote may be dirty again by whoever ran beside it.
bool cached_page_promised(Model& model, const OpRecord& record) {
  if (model.writeback_may_fail() || model.foreign_image()) { return false; }
  const auto order = model.order();
  const auto met =
      std::find_if(order.begin(), order.end(), [&](const OpRecord* other) { return other->ino == record.lost.ino; });
  const FileHistory* const file = met == order.end() ? nullptr : model.find((*met)->ino, (*met)->generation);
  if (file == nullptr || file->size(period_of(record)).least <= record.lost.page * kPageBytes) { return false; }
  return !is_write(record.op->code) || std::none_of(order.begin(), order.end(), [&](const OpRecord* other) {
    return other != &record && period_of(*other).overlaps(period_of(record));
  });
}

bool is_fsync(OpCode code) { return code == OpCode::kFsync || code == OpCode::kFdatasync; }

// Whether the call may tell its caller of an error of writeback: with O_SYNC writes do, too.
bool asks_for_errors(const OpRecord& record) {
  return is_fsync(record.op->code) || record.op->code == OpCode::kMsync || is_write(record.op->code);
}

// Who syncs first through an open file is told of an error, and nobody after that; nor who opens the file when somebody
// was told. So nobody else may have been beside, or have been told.
std::optional<Objection> check_refused(const Model& model, const OpRecord& record) {
  const auto order = model.order();
  const bool crowded = std::any_of(order.begin(), order.end(), [&](const OpRecord* other) {
    if (other == &record || !asks_for_errors(*other)) { return false; }
    const bool told = other->error == Errc::kIo && other->begin_seq < record.end_seq;
    return told || period_of(*other).overlaps(period_of(record));
  });
  if (crowded || !model.descriptors().certain(record)) { return std::nullopt; }
  return Objection{"O8",
                   format("%s returned, but the device refused to write page %" PRIu64 " of inode %u meanwhile",
                          name_of(record).c_str(), record.lost.page, record.lost.ino),
                   {}};
}

// An fsync of a descriptor, or an msync of an address, that may have meant something else is not judged.
std::optional<Objection> check_stores(Model& model, const OpRecord& record) {
  const LostStore& lost = record.lost;
  if (lost.ino == 0 || record.error != Errc::kOk) { return std::nullopt; }
  if (lost.refused) { return check_refused(model, record); }
  if (marks_were_lost(model, record)) { return std::nullopt; }
  if (lost.cached && !cached_page_promised(model, record)) { return std::nullopt; }
  if (record.op->code == OpCode::kMsync) {
    Mappings& own = model.mappings(record);
    if (!own.surely_mapped(lost.address, lost.address + 1, period_of(record))) { return std::nullopt; }
  } else if (record.op->code == OpCode::kSync ? some_inode_may_leave(model, record)
                                              : !model.descriptors().certain(record)) {
    return std::nullopt;
  }
  if (lost.cached && is_write(record.op->code)) {
    return Objection{"O8",
                     format("%s with O_DSYNC returned, but page %" PRIu64 " of inode %u is still dirty",
                            name_of(record).c_str(), lost.page, lost.ino),
                     {}};
  }
  if (lost.cached) {
    return Objection{"O8",
                     format("%s returned, but page %" PRIu64 " of inode %u was dirty before and has not been written",
                            name_of(record).c_str(), lost.page, lost.ino),
                     {}};
  }
  return Objection{"O8",
                   format("%s returned, but an earlier store to page %" PRIu64 " of inode %u is not flushed and fenced",
                          name_of(record).c_str(), lost.page, lost.ino),
                   {}};
}

// Writes to files with DAX store past the processor's caches: what is left to do for whoever makes them durable is a
// fence.
std::optional<Objection> check_fenced(Model& model, const OpRecord& record) {
  const bool not_fenced = record.unfenced != 0 && (record.open_flags & prog::kODsync) != 0;
  if (record.error != Errc::kOk || (record.fenced == 0 && !not_fenced)) { return std::nullopt; }
  const bool all = record.op->code == OpCode::kSync;
  if (all ? some_inode_may_leave(model, record) : !model.descriptors().certain(record)) { return std::nullopt; }
  if (not_fenced) {
    return Objection{"O8",
                     format("%s with O_DSYNC returned, but what it wrote to inode %u is not fenced",
                            name_of(record).c_str(), record.ino),
                     {}};
  }
  const auto order = model.order();
  const auto lost = std::find_if(order.begin(), order.end(), [&](const OpRecord* other) {
    return other->end_seq < record.begin_seq && other->unfenced > record.fenced && (all || other->ino == record.ino);
  });
  if (lost == order.end()) { return std::nullopt; }
  return Objection{"O8",
                   format("%s returned, but what %s wrote to inode %u before is not fenced", name_of(record).c_str(),
                          name_of(**lost).c_str(), (*lost)->ino),
                   {}};
}

// One write of a page fails in such a run, and nothing else says EIO: each open file is told of it once, also if it
// was opened afterwards, unless somebody had been told by then.
std::optional<Objection> check_told_once(const Model& model, const OpRecord& record) {
  if (!model.one_bio_fails() || !is_fsync(record.op->code)) { return std::nullopt; }
  const OpRecord* const open = model.descriptors().opened_by(record);
  if (open == nullptr || (record.error != Errc::kOk && record.error != Errc::kIo)) { return std::nullopt; }
  const auto order = model.order();
  const OpRecord* other_told = nullptr;  // through another open file, which may have been told at the same time
  for (const OpRecord* other : order) {
    const bool told = other->error == Errc::kIo && asks_for_errors(*other);
    if (other == &record || !told || other->begin_seq > record.end_seq) { continue; }
    const OpRecord* const through = is_fsync(other->op->code) ? model.descriptors().opened_by(*other) : nullptr;
    if (record.error == Errc::kIo) {
      const bool again = through == open && other->end_seq < record.begin_seq && other->ino == record.ino;
      if (!again) { continue; }
      return Objection{"O8",
                       format("%s is told of an error that %s was told of, through the same open file",
                              name_of(record).c_str(), name_of(*other).c_str()),
                       {}};
    }
    // Told already, perhaps, or nobody need be.
    if (through == nullptr || through == open || other->begin_seq < open->end_seq) { return std::nullopt; }
    if (other->end_seq < record.begin_seq && other->ino == record.ino) { other_told = other; }
  }
  if (other_told == nullptr) { return std::nullopt; }
  return Objection{"O8",
                   format("%s returned, and is not told of the error that %s was told of", name_of(record).c_str(),
                          name_of(*other_told).c_str()),
                   {}};
}

}  // namespace

std::optional<Objection> check_durable(Model& model, const OpRecord& record) {
  if (auto objection = check_stores(model, record)) { return objection; }
  if (auto objection = check_fenced(model, record)) { return objection; }
  return check_told_once(model, record);
}

}  // namespace daxfuzz::oracle
