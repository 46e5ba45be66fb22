#include "fuzz/oracle/history.h"

#include "fs/base/text.h"

namespace daxfuzz::oracle {

const char* signal_name(Signal signal) {
  switch (signal) {
    case Signal::kNone: return "";
    case Signal::kSegvMaperr: return "SIGSEGV/MAPERR";
    case Signal::kSegvAccerr: return "SIGSEGV/ACCERR";
    case Signal::kBusAdrerr: return "SIGBUS/ADRERR";
    case Signal::kBusMceerr: return "SIGBUS/MCEERR";
    case Signal::kKilled: return "SIGKILL";
  }
  return "?";
}

std::string name_of(const OpRecord& record) {
  const std::string_view call = record.op->info().name;
  if (record.task == kInitTask) {
    return daxfs::format("P%u set-up op %u (%.*s)", record.process, record.index + 1, static_cast<int>(call.size()),
                         call.data());
  }
  return daxfs::format("T%u op %u (%.*s)", record.task, record.index + 1, static_cast<int>(call.size()), call.data());
}

bool lost_dirty_marks(const OpRecord& record) {
  const bool stopped = record.error == daxfs::Errc::kNoSpc || record.error == daxfs::Errc::kIo;
  if (record.op == nullptr || !stopped) { return false; }
  if (record.op->code == prog::OpCode::kMadvise) { return record.op->flags == prog::kAdvRemove; }
  constexpr uint32_t kDropsPages = prog::kFallocPunch | prog::kFallocZero | prog::kFallocCollapse | prog::kFallocInsert;
  return record.op->code == prog::OpCode::kFallocate && (record.op->flags & kDropsPages) != 0;
}

}  // namespace daxfuzz::oracle
