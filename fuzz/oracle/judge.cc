// fuzz/oracle/judge.cc - cheap checks of errors first; then the model and every result against it.
#include "fuzz/oracle/judge.h"

#include <utility>

#include "fuzz/oracle/checks.h"
#include "fuzz/oracle/errors.h"
#include "fuzz/oracle/model.h"
#include "fuzz/oracle/names.h"
#include "fuzz/oracle/refusals.h"
#include "fuzz/oracle/stale.h"

namespace daxfuzz::oracle {
namespace {

// Results that need the model: bytes, counts, sizes, signals.
bool worth_a_model(const History& history) {
  if (!history.finals.empty() || !history.start_names.empty()) { return true; }
  for (const OpRecord& record : history.records) {
    const prog::OpInfo& info = record.op->info();
    if (info.has(prog::OperandKind::kDest) || info.has(prog::OperandKind::kSplitAddr) || !record.data.empty() ||
        record.op->code == prog::OpCode::kLseek || record.op->code == prog::OpCode::kFtruncate ||
        is_write(record.op->code) || record.lost.ino != 0 || record.unfenced != 0 || record.error == daxfs::Errc::kIo) {
      return true;
    }
  }
  return false;
}

Objection about(const OpRecord& record, Objection objection) {
  objection.task = record.task;
  objection.index = record.index;
  return objection;
}

}  // namespace

std::optional<Objection> judge(const prog::Program& program, const History& history) {
  for (const OpRecord& record : history.records) {
    // A run that ended inside an operation is somebody else's finding.
    if (!record.finished || record.op == nullptr) { return std::nullopt; }
    if (auto objection = check_error(program, history, record)) { return about(record, std::move(*objection)); }
    if (auto objection = check_operands(program, record)) { return about(record, std::move(*objection)); }
  }
  if (!worth_a_model(history)) { return std::nullopt; }

  static Model& model = *new Model;  // keeps its memory
  model.build(program, history);
  const bool leftovers = leftovers_tell(history);
  for (const OpRecord* record : model.order()) {
    if (auto objection = check_result(model, *record)) { return about(*record, std::move(*objection)); }
    if (!leftovers) { continue; }
    if (auto objection = check_leftovers(*record)) { return about(*record, std::move(*objection)); }
  }
  static NameTree& names = *new NameTree;
  names.start(history.start_names);
  if (auto objection = names.follow(program, model.order(), model.descriptors())) { return objection; }
  if (!history.final_names.empty()) {
    if (auto objection = names.check_medium(history.final_names)) { return objection; }
  }
  for (const FinalFile& found : history.finals) {
    const auto pieces = std::span(history.final_pieces).subspan(found.first_piece, found.piece_count);
    if (auto objection = check_final(model, found, pieces)) { return objection; }
    if (auto objection = leftovers ? check_leftovers(found, pieces) : std::nullopt) { return objection; }
    if (auto objection = check_tail(program, history, found)) { return objection; }
  }
  return std::nullopt;
}

}  // namespace daxfuzz::oracle
