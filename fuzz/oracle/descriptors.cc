#include "fuzz/oracle/descriptors.h"

#include <algorithm>

namespace daxfuzz::oracle {

using prog::OpCode;

void Descriptors::build(std::span<const OpRecord* const> order, bool starts_empty) {
  starts_empty_ = starts_empty;
  order_ = order;
  opens_.clear();
  closes_.clear();
  for (const OpRecord* record : order) {
    const OpCode code = record->op->code;
    if (code == OpCode::kOpen || code == OpCode::kDup) { opens_.push_back(record); }
    if (code == OpCode::kClose && record->ret == 0) { closes_.push_back(record); }
  }
}

bool Descriptors::certain(const OpRecord& record) const {
  if (record.ino == 0) { return false; }
  const Period period = call_period_of(record);
  if (record.op->code == OpCode::kOpen) {
    // The inode is asked for after the open: somebody may have closed and reused the number.
    return std::none_of(closes_.begin(), closes_.end(), [&](const OpRecord* close) {
      return close->process == record.process && close->fd == record.ret && call_period_of(*close).overlaps(period);
    });
  }
  if (!record.op->info().has(prog::OperandKind::kFd)) { return true; }  // attributes by name
  for (const OpRecord* close : closes_) {
    if (close->process != record.process || close == &record) { continue; }
    if (close->fd == record.fd && call_period_of(*close).overlaps(period)) { return false; }
  }
  return true;
}

const OpRecord* Descriptors::opened_by(const OpRecord& record) const {
  if (!certain(record)) { return nullptr; }
  const Period period = call_period_of(record);
  const OpRecord* found = nullptr;
  for (const OpRecord* open : opens_) {
    if (open->process != record.process || open->ret != record.fd || open->error != daxfs::Errc::kOk) { continue; }
    if (call_period_of(*open).before(period)) {
      if (found == nullptr || found->begin_seq < open->begin_seq) { found = open; }
    } else if (call_period_of(*open).overlaps(period)) {
      return nullptr;
    }
  }
  if (found == nullptr || found->op->code != OpCode::kOpen || found->ino != record.ino) { return nullptr; }
  for (const OpRecord* open : opens_) {
    const bool same = open->process == record.process && open->ret == found->ret && open != found;
    if (same && call_period_of(*open).overlaps(call_period_of(*found))) { return nullptr; }
  }
  for (const OpRecord* close : closes_) {
    if (close->process != record.process || close->fd != found->fd || close == &record) { continue; }
    if (close->end_seq > found->begin_seq && close->begin_seq < call_period_of(record).end) { return nullptr; }
  }
  return found;
}

bool Descriptors::first_use(const OpRecord& record) const {
  const OpRecord* const open = opened_by(record);
  if (open == nullptr) { return false; }
  return std::none_of(order_.begin(), order_.end(), [&](const OpRecord* other) {
    if (other == &record || other->process != record.process || other->begin_seq > record.end_seq) { return false; }
    if (other->op->code == OpCode::kDup) { return true; }
    const bool moves = other->op->code == OpCode::kGetdents || other->op->code == OpCode::kLseek;
    return moves && (other->fd == record.fd || opened_by(*other) == nullptr) && other->end_seq > open->begin_seq;
  });
}

std::optional<int> Descriptors::lowest_free(const OpRecord& record) const {
  if (!starts_empty_) { return std::nullopt; }
  const Period period = call_period_of(record);
  std::vector<int> users;  // how many opens of a number are not closed
  const auto count = [&](int64_t fd, int change) {
    if (fd < 0) { return; }
    const auto at = static_cast<size_t>(fd);
    if (users.size() <= at) { users.resize(at + 1); }
    users[at] += change;
  };
  for (const OpRecord* open : opens_) {
    if (open == &record || open->process != record.process || period.before(call_period_of(*open))) { continue; }
    if (!call_period_of(*open).before(period)) { return std::nullopt; }
    if (open->error == daxfs::Errc::kOk) { count(open->ret, 1); }
  }
  for (const OpRecord* close : closes_) {
    if (close->process != record.process || period.before(call_period_of(*close))) { continue; }
    if (!call_period_of(*close).before(period)) { return std::nullopt; }
    count(close->fd, -1);
  }
  return static_cast<int>(std::find_if(users.begin(), users.end(), [](int n) { return n <= 0; }) - users.begin());
}

bool Descriptors::moves_position(const OpRecord& record) const {
  const OpCode code = record.op->code;
  return code == OpCode::kRead || code == OpCode::kWrite || code == OpCode::kLseek;
}

std::optional<uint64_t> Descriptors::position(const OpRecord& record) const {
  const OpRecord* const open = opened_by(record);
  if (open == nullptr) { return std::nullopt; }
  const auto duplicated = [&](const OpRecord* dup) {
    return dup->op->code == OpCode::kDup && dup->process == record.process && dup->error == daxfs::Errc::kOk;
  };
  if (std::any_of(opens_.begin(), opens_.end(), duplicated)) { return std::nullopt; }

  bool known = true;
  uint64_t at = 0;
  for (const OpRecord* other : order_) {
    const bool self = other == &record;
    if (other->process != record.process || !moves_position(*other)) { continue; }
    if (other->begin_seq > record.end_seq) { break; }
    const OpRecord* const its_open = opened_by(*other);
    // One that may have worked on this descriptor without our knowing.
    if (its_open == nullptr && other->error != daxfs::Errc::kBadf) { return std::nullopt; }
    if (its_open != open) { continue; }
    const bool crowded = std::any_of(order_.begin(), order_.end(), [&](const OpRecord* third) {
      return third != other && third->process == record.process && moves_position(*third) &&
             call_period_of(*third).overlaps(call_period_of(*other));
    });
    if (self) { return known && !crowded ? std::optional(at) : std::nullopt; }
    if (crowded) {
      // Reads and writes of one descriptor take turns: where each began is unclear, where all ended is not.
      const bool moves_on = other->op->code != OpCode::kLseek && other->error == daxfs::Errc::kOk &&
                            (open->op->flags & prog::kOAppend) == 0;
      known = known && moves_on;
      if (moves_on) { at += static_cast<uint64_t>(other->ret); }
    } else if (other->op->code == OpCode::kLseek) {
      if (other->error == daxfs::Errc::kOk) {
        known = true;
        at = static_cast<uint64_t>(other->ret);
      }
    } else if (other->error != daxfs::Errc::kOk || (open->op->flags & prog::kOAppend) != 0) {
      known = false;
    } else {
      at += static_cast<uint64_t>(other->ret);
    }
  }
  return std::nullopt;
}

}  // namespace daxfuzz::oracle
