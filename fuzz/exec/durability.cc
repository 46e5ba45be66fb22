#include "fuzz/exec/durability.h"

#include <bit>

#include "fs/base/report.h"
#include "fs/mm/address_space.h"
#include "fs/mm/folio.h"
#include "fs/vfs/process.h"
#include "fuzz/exec/observer_reads.h"

namespace daxfuzz::exec {

using daxfs::FsBlock;
using daxfs::Pfn;
using prog::OpCode;

namespace {

bool promises(const prog::Op& op) {
  switch (op.code) {
    case OpCode::kFsync:
    case OpCode::kFdatasync:
    case OpCode::kSync: return true;
    case OpCode::kMsync: return (op.flags & prog::kMsSync) != 0;
    default: return false;
  }
}

template <typename F>
void for_each_unfenced(const daxfs::pmem::Device& device, F visit) {
  const auto words = device.unfenced_blocks();
  for (size_t word = 0; word < words.size(); ++word) {
    for (uint64_t bits = words[word]; bits != 0; bits &= bits - 1) {
      visit(FsBlock(word * 64 + static_cast<unsigned>(std::countr_zero(bits))));
    }
  }
}

}  // namespace

DurabilityCheck::DurabilityCheck(Machine& machine, daxfs::vfs::Process& process, const prog::Op& op, uint64_t address)
    : machine_(machine), op_(op) {
  if (!promises(op) || !machine.device().watches_durability()) { return; }
  const ObserverReads atomic;
  time_ = machine.device().watch_time();
  if (op.code == OpCode::kMsync) {
    note_range(process, address, static_cast<uint64_t>(op.length));
  } else {
    note_all();
  }
}

void DurabilityCheck::note(FsBlock block, uint64_t address) {
  if (!machine_.device().undurable(block, time_)) { return; }
  const daxfs::mm::Page& page = machine_.memory().page(Pfn(block.value()));
  if (page.mapping != nullptr) { suspects_.push_back({block, page.mapping, page.index, address}); }
}

void DurabilityCheck::note_page(const daxfs::mm::Page& page, uint64_t address) {
  using daxfs::mm::Folio;
  const Folio& folio = daxfs::mm::folio_of(page);
  const bool dirty = folio.marked_dirty && (folio.state & Folio::kDirty) != 0;
  if (!dirty && (folio.state & Folio::kWriteback) == 0) { return; }
  pages_.push_back({&page, page.mapping, page.index, folio.came, folio.writes_ended,
                    folio.writes_begun + (dirty ? 1U : 0U), address});
}

void DurabilityCheck::note_all() {
  machine_.memory().for_each_cached_page([&](const daxfs::mm::Page& page) { note_page(page, 0); });
  for_each_unfenced(machine_.device(), [&](FsBlock block) { note(block, 0); });
}

// What the process maps writable and shared now is what msync must find: those that are unmapped meanwhile it need not.
void DurabilityCheck::note_range(daxfs::vfs::Process& process, uint64_t address, uint64_t length) {
  length = daxfs::round_up(length, daxfs::kPageSize);  // wraps to 0, as the call's own does: then nothing is asked for
  process.mm().for_each_pte([&](const daxfs::mm::Vma& vma, daxfs::VirtAddr at, daxfs::mm::Pte pte) {
    const bool inside = at.value() >= address && at.value() - address < length;
    if (!inside || vma.file == nullptr || !vma.shared || !pte.present() || pte.special()) { return; }
    if (machine_.memory().is_pmem(pte.pfn())) { return note(FsBlock(pte.pfn().value()), at.value()); }
    const daxfs::mm::Page& page = machine_.memory().page(pte.pfn());
    if (page.is_cached() && page.mapping != nullptr) { note_page(page, at.value()); }
  });
}

// What was dirty and is the file's still must have been written since, whatever became of it after that.
void DurabilityCheck::finish_pages(oracle::OpRecord& record) const {
  const bool by_file = op_.code == OpCode::kFsync || op_.code == OpCode::kFdatasync;
  for (const DirtyPage& was : pages_) {
    const daxfs::mm::Page& page = *was.page;
    if (!page.is_cached() || page.mapping != was.mapping || page.index != was.index) { continue; }
    const daxfs::mm::Folio& folio = daxfs::mm::folio_of(page);
    const bool written = folio.writes_ended >= was.writes;
    // The write that the call waited for, and no later one, nor a direct one, is what the block waits for.
    const bool last = written && folio.writes_begun == was.writes && folio.buffer == daxfs::mm::BufferState::kMapped;
    const uint64_t store = last ? machine_.device().unfenced_store_in(folio.block) : 0;
    const bool unfenced = store != 0 && store <= folio.last_write_ended;
    if (folio.came != was.came || (written && !unfenced)) { continue; }
    const uint32_t ino = was.mapping->host().ino().value();
    if (by_file && ino != record.ino) { continue; }
    record.lost = {ino, was.index.value(), was.address, /*cached=*/!written};
    return;
  }
}

// The write that the call had to wait for did not reach the device.
void DurabilityCheck::finish_refused(oracle::OpRecord& record) const {
  if (op_.code != OpCode::kFsync && op_.code != OpCode::kFdatasync) { return; }
  for (const DirtyPage& was : pages_) {
    const daxfs::mm::Page& page = *was.page;
    if (!page.is_cached() || page.mapping != was.mapping || page.index != was.index) { continue; }
    const daxfs::mm::Folio& folio = daxfs::mm::folio_of(page);
    const bool refused = was.writes_before < folio.write_refused && folio.write_refused <= was.writes;
    const uint32_t ino = was.mapping->host().ino().value();
    if (folio.came != was.came || folio.writes_ended < was.writes || !refused || ino != record.ino) { continue; }
    record.lost = {ino, was.index.value(), was.address, /*cached=*/true, /*refused=*/true};
    return;
  }
}

// The oracle knows whether somebody else may have made the pages dirty again.
void DurabilityCheck::finish_write(oracle::OpRecord& record) const {
  using daxfs::mm::Folio;
  const bool sync = (record.open_flags & prog::kODsync) != 0 && (record.open_flags & prog::kOAppend) == 0;
  if (!sync || record.dax || record.ret <= 0) { return; }
  const auto begin = static_cast<uint64_t>(op_.offset);
  const uint64_t last = begin + static_cast<uint64_t>(record.ret) - 1;
  machine_.memory().for_each_cached_page([&](const daxfs::mm::Page& page) {
    const uint64_t index = page.index.value();
    const bool inside = begin / daxfs::kPageSize <= index && index <= last / daxfs::kPageSize;
    if (!inside || page.mapping->host().ino().value() != record.ino) { return; }
    if ((daxfs::mm::folio_of(page).state & (Folio::kDirty | Folio::kWriteback)) == 0) { return; }
    record.lost = {record.ino, index, 0, /*cached=*/true};
  });
}

void DurabilityCheck::finish_fences(oracle::OpRecord& record) const {
  const daxfs::pmem::Device& device = machine_.device();
  if (promises(op_)) {
    record.fenced = op_.code == OpCode::kMsync ? 0 : device.last_fence();
  } else if (record.dax && record.ret > 0) {
    record.unfenced = device.unfenced_store_of(daxfs::rt::current_task());
  }
}

void DurabilityCheck::finish(oracle::OpRecord& record) const {
  const bool writes = op_.code == OpCode::kPwrite || op_.code == OpCode::kWrite;
  if (!writes && !promises(op_)) { return; }  // or somebody else may have the record by now
  if (record.error != daxfs::Errc::kOk || !machine_.device().watches_durability()) { return; }
  const ObserverReads atomic;
  finish_fences(record);
  if (op_.code == OpCode::kPwrite) { return finish_write(record); }
  finish_pages(record);
  if (record.lost.ino == 0) { finish_refused(record); }
  const bool by_file = op_.code == OpCode::kFsync || op_.code == OpCode::kFdatasync;
  for (const Suspect& suspect : suspects_) {
    const daxfs::mm::Page& page = machine_.memory().page(Pfn(suspect.block.value()));
    if (page.mapping != suspect.mapping || page.index != suspect.index) { continue; }
    const uint32_t ino = suspect.mapping->host().ino().value();
    if (by_file && ino != record.ino) { continue; }
    if (!machine_.device().undurable(suspect.block, time_)) { continue; }
    record.lost = {ino, suspect.index.value(), suspect.address};
    return;
  }
}

void DurabilityCheck::check_unmounted(Machine& machine, uint32_t ino, uint64_t first, uint64_t count) {
  const daxfs::pmem::Device& device = machine.device();
  for (uint64_t block = first; block < first + count; ++block) {
    const daxfs::ObjectRef file = daxfs::inode_ref(daxfs::Ino(ino));
    FS_WARN_ON(device.undurable(FsBlock(block), device.watch_time()), "O8", daxfs::about(file),
               "after the unmount a store to inode %u is not flushed and fenced", ino);
    FS_WARN_ON(device.unfenced_store_in(FsBlock(block)) != 0, "O8", daxfs::about(file),
               "after the unmount what was written to inode %u is not fenced", ino);
  }
}

}  // namespace daxfuzz::exec
