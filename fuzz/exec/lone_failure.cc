#include "fuzz/exec/lone_failure.h"

#include <algorithm>
#include <cinttypes>
#include <cstring>

#include "fs/base/text.h"
#include "fs/mm/mm.h"
#include "fuzz/exec/lone_blocks.h"

namespace daxfuzz::exec {

using oracle::FailureRow;

void LoneFailure::note(Machine& machine, size_t processes, uint32_t ino, uint64_t offset) {
  std::vector<daxfs::check::TreeExtent> extents;
  if (!machine.reader().extents(ino, extents)) { return; }
  const Stretch stretch = stretch_at(extents, offset / daxfs::kBlockSize);
  if (!stretch.mapped) { return; }
  noted_ = true;
  for (size_t i = 0; i < processes; ++i) {
    const daxfs::mm::Mm& mm = machine.mm(i);
    mm.for_each_pte([&](const daxfs::mm::Vma&, daxfs::VirtAddr at, daxfs::mm::Pte pte) {
      // The device's frames are numbered as its blocks are.
      if (!pte.present() || pte.special() || pte.pfn().value() != stretch.physical) { return; }
      mapped_.push_back({mm.id(), at.value(), pte.huge() ? machine.memory().huge_order() : 0});
    });
  }
  std::sort(mapped_.begin(), mapped_.end());
}

std::optional<oracle::Objection> LoneFailure::check(const oracle::OpRecord& record) const {
  // EBUSY: no file's tree has the page, so nobody maps it.
  if (!noted_ || (record.error != daxfs::Errc::kOk && record.error != daxfs::Errc::kBusy)) { return std::nullopt; }
  std::vector<FailureRow> told(record.data.size() / sizeof(FailureRow));
  if (!told.empty()) { std::memcpy(told.data(), record.data.data(), told.size() * sizeof(FailureRow)); }
  std::sort(told.begin(), told.end());
  if (told == mapped_) { return std::nullopt; }
  const auto [mapped, said] = std::mismatch(mapped_.begin(), mapped_.end(), told.begin(), told.end());
  // The first of either that the other has not.
  const bool forgotten = said == told.end() || (mapped != mapped_.end() && *mapped < *said);
  const FailureRow& row = forgotten ? *mapped : *said;
  oracle::Objection objection{
      .tag = "LC8",
      .title = daxfs::format("memory_failure %s process %" PRIu64 ", which %s the page at %" PRIx64,
                             forgotten ? "did not tell" : "told", row[0], forgotten ? "maps" : "does not map", row[1]),
      .detail = "nothing ran beside the call\n"};
  objection.ino = record.ino;
  return objection;
}

}  // namespace daxfuzz::exec
