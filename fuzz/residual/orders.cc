#include "fuzz/residual/orders.h"

namespace daxfuzz::residual {
namespace {

static_assert(kRows <= 64, "rows are bits of a word");

}  // namespace

OrderRecorder::OrderRecorder() : seen_(kSeen) { orders_.reserve(kOrdersMax); }

void OrderRecorder::begin_run(const prog::Program& program, daxfs::rt::Observer* beside) {
  program_ = &program;
  beside_ = beside;
  ++run_;
  conflicts_.begin_run();
  orders_.clear();
  rows_of_task_.fill(0);
  system_tasks_ = 0;
}

size_t OrderRecorder::row_of(const daxfs::rt::Event& event) const {
  if (prog::is_system_task(static_cast<prog::TaskId>(event.task))) { return kSystemRow; }
  const auto task = static_cast<size_t>(event.task);
  if (task >= program_->tasks.size() || event.op >= program_->tasks[task].ops.size()) { return kRows; }
  return static_cast<size_t>(program_->tasks[task].ops[event.op].code);
}

void OrderRecorder::note(const Sighting& sighting) {
  const Order& order = sighting.order;
  size_t at = hash(order) % kSeen;
  for (;; at = (at + 1) % kSeen) {
    Seen& seen = seen_[at];
    if (seen.run == run_ && seen.order == order) { return; }
    if (seen.run != run_) {
      if (orders_.size() == kOrdersMax) { return; }
      seen = {run_, order};
      orders_.push_back(sighting);
      return;
    }
  }
}

void OrderRecorder::on_event(const daxfs::rt::Event& event) {
  if (beside_ != nullptr) { beside_->on_event(event); }
  using daxfs::rt::PointKind;
  if (event.kind == PointKind::kOpEnd || event.kind == PointKind::kYield || event.kind == PointKind::kTask) { return; }
  const size_t row = row_of(event);
  if (row == kRows) { return; }
  const size_t task = row == kSystemRow ? prog::kTasksMax : static_cast<size_t>(event.task);
  rows_of_task_[task] |= uint64_t{1} << row;
  if (row == kSystemRow) { system_tasks_ |= uint64_t{1} << (event.task - prog::kSystemTask0) % 64; }
  if (sched::touches_nothing(event.kind)) { return; }
  const Place now = {daxfs::rt::site_hash(event.site), static_cast<uint8_t>(row), event.site};
  if (const auto* const before = conflicts_.follow(event, now)) {
    note({{before->note.hash, now.hash, before->note.row, now.row}, before->note.site, event.site});
  }
}

// Each pair once, however many tasks ran it.
void OrderRecorder::count_pairs(OrderTable* table) const {
  std::array<uint64_t, kRows> met{};
  for (size_t task = 0; task < rows_of_task_.size(); ++task) {
    uint64_t others = 0;
    for (size_t other = 0; other < rows_of_task_.size(); ++other) {
      if (other != task) { others |= rows_of_task_[other]; }
    }
    for (uint64_t rows = rows_of_task_[task]; rows != 0; rows &= rows - 1) {
      met[static_cast<size_t>(__builtin_ctzll(rows))] |= others;
    }
  }
  if ((system_tasks_ & (system_tasks_ - 1)) != 0) { met[kSystemRow] |= uint64_t{1} << kSystemRow; }
  for (size_t row = 0; row < kRows; ++row) {
    for (uint64_t others = met[row]; others != 0; others &= others - 1) {
      ++table->runs_of_pair[row][__builtin_ctzll(others)];
    }
  }
}

void OrderRecorder::end_run(OrderTable* table) {
  ++table->runs;
  count_pairs(table);
  for (const Sighting& sighting : orders_) { table->add(sighting.order); }
}

}  // namespace daxfuzz::residual
