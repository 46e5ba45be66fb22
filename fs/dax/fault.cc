// fs/dax/fault.cc - one page for one faulting access.
#include "fs/dax/fault.h"

#include "fs/base/historical.h"
#include "fs/base/report.h"
#include "fs/dax/entry_lock.h"
#include "fs/dax/entry_owner.h"
#include "fs/mm/fault.h"
#include "fs/mm/huge.h"
#include "fs/mm/memory.h"
#include "fs/mm/rmap.h"
#include "fs/rt/trace.h"

namespace daxfs::dax {

namespace {

struct FaultContext {
  mm::VmFault& fault;
  io::IomapHost& host;
  EntryGuard& guard;
  const io::Iomap& iomap;
  bool write;  // the entry becomes writable and dirty; not for a private copy
  bool pmd;    // the whole huge range

  PgOff index() const { return pmd ? fault.huge_pgoff() : fault.pgoff; }
  uint64_t pos() const { return index().value() * kPageSize; }
  unsigned order() const { return pmd ? fault.memory().huge_order() : 0; }
  uint64_t bytes() const { return kPageSize << order(); }
};

FaultOutcome outcome(mm::FaultResult result) {
  FaultOutcome out;
  out.result = result;
  return out;
}

// Kernel: dax_fault_return. Space or medium, the access sees SIGBUS in both cases.
FaultOutcome failed(Status error) {
  FaultOutcome out;
  out.result = error.error() == Errc::kNoMem ? mm::FaultResult::kOom : mm::FaultResult::kSigbus;
  out.error = error;
  return out;
}

// MAP_SYNC: the page may be mapped writable only after the metadata that leads to it is durable.
bool is_synchronous(const FaultContext& c) { return c.write && c.fault.vma.sync && c.iomap.is_dirty(); }

// Puts `entry` into the tree in place of what the guard holds. A block entry that is there already
// stays. Kernel: dax_insert_entry.
void insert_entry(const FaultContext& c, Entry entry) {
  mm::AddressSpace& mapping = c.guard.mapping();
  const PgOff index = c.guard.index();
  FS_TRACE_SCOPE("dax_insert_entry", entry_ref(mapping.host().ino(), index));
  const Entry old = c.guard.entry();
  const bool dirty = c.write && !is_synchronous(c);
  // Bug kUnmapOnlyIfNew (de14b9cb5e02): asked for a flag that blocks zeroed beforehand do not carry.
  const bool unmap = !(historical(Bug::kUnmapOnlyIfNew) && c.pmd);
  if (old.is_zero() && !entry.is_zero() && unmap) {
    // Other processes still have the zero page mapped and would go on reading zeros.
    mm::unmap_mapping_range(mapping, old.base(index), old.pages(), /*even_cows=*/false);
  }
  rt::SpinGuard tree(mapping.i_pages.lock());
  lib::XaCursor xas(mapping.i_pages, index.value(), entry.order());
  if (!old.is_frame()) {
    disassociate_entry(mapping, old, /*truncating=*/false);
    associate_entry(mapping, entry, index);
    const Entry replaced = c.guard.store(xas, entry);
    if (entry.is_zero()) { mapping.zero_page_made = mapping.memory().history().tick(); }
    if (historical(Bug::kUpgradeCountsTwice) && old.is_zero() && !entry.is_zero()) { mapping.nrexceptional += 1; }
    if (!c.guard.locked()) {
      if (old.none()) { mapping.nrexceptional += entry.pages(); }
    } else {
      FS_WARN_ON(replaced != old.locked(), "O4", about(entry_ref(mapping.host().ino(), index)),
                 "the locked entry of page %llu of inode %u changed under its lock",
                 static_cast<unsigned long long>(index.value()), mapping.host().ino().value());
    }
  } else {
    xas.load();  // places the cursor for the mark
  }
  if (dirty) {
    xas.set_mark(kMarkDirty);
    FS_TRACE_WRITE(dirty_ref(mapping.host().ino(), index), kUnknownValue, 1);
  }
}

// A read of a page without a block, or of a huge range without any. Kernel: dax_load_hole, dax_pmd_load_hole.
FaultOutcome load_hole(const FaultContext& c) {
  FS_TRACE_SCOPE("dax_load_hole", entry_ref(c.guard.mapping().host().ino(), c.guard.index()));
  const Pfn zero = c.fault.memory().zero_pfn();
  insert_entry(c, Entry::zero(zero, c.order()));
  if (c.pmd) { return outcome(mm::insert_huge_zero_page(c.fault)); }
  return outcome(mm::insert_pfn(c.fault, zero, /*write=*/false));
}

// A store to a private mapping: the copy is made, and mapped, while the entry lock keeps the source
// in the file. Kernel: dax_fault_cow_page.
FaultOutcome fault_cow_page(const FaultContext& c, Pfn source) {
  mm::Memory& memory = c.fault.memory();
  std::byte bytes[kPageSize];
  if (c.iomap.mapped()) {
    const Status got = memory.read(source, 0, bytes);
    if (!got.ok()) { return failed(got); }
  } else {
    for (std::byte& byte : bytes) { byte = std::byte{0}; }
  }
  const Status put = memory.write(c.fault.cow_page, 0, bytes);
  if (!put.ok()) { return failed(put); }
  return outcome(mm::finish_cow_fault(c.fault));
}

// Kernel: dax_fault_iter.
FaultOutcome fault_iter(const FaultContext& c) {
  const uint64_t pos = c.pos();
  const bool has_block = c.iomap.mapped();
  Pfn pfn;
  if (has_block) {
    const uint64_t at = c.iomap.device_offset(pos);
    pfn = Pfn(at / kPageSize);
    const bool usable = at % c.bytes() == 0 && !c.host.device().poisoned(at, c.bytes());
    if (c.pmd && !usable) { return outcome(mm::FaultResult::kFallback); }
    if (!usable) { return failed(Errc::kIo); }
  }
  if (c.fault.cow) { return fault_cow_page(c, pfn); }
  if (!has_block) {
    if (!c.write) { return load_hole(c); }
    FS_WARN_ON(true, "DF1", "a write fault got no written block for page %llu",
               static_cast<unsigned long long>(c.index().value()));
    return c.pmd ? outcome(mm::FaultResult::kFallback) : failed(Errc::kIo);
  }
  insert_entry(c, Entry::frame(pfn, c.order()));
  if (is_synchronous(c)) {
    FaultOutcome out = outcome(mm::FaultResult::kDone);
    out.needs_sync = true;
    out.pfn = pfn;
    return out;
  }
  return outcome(c.pmd ? mm::insert_pfn_pmd(c.fault, pfn, c.write) : mm::insert_pfn(c.fault, pfn, c.write));
}

struct FaultRange {
  uint64_t pos;
  uint64_t length;
  unsigned flags;
};

FaultRange fault_range(const mm::VmFault& fault, bool pmd) {
  const bool write = fault.write && !fault.cow;
  return {.pos = (pmd ? fault.huge_pgoff() : fault.pgoff).value() * kPageSize,
          .length = pmd ? fault.memory().huge_size() : kPageSize,
          .flags = io::kIomapDax | io::kIomapFault | (write ? unsigned{io::kIomapWrite} : 0U)};
}

// Between the two halves of iomap_begin/iomap_end: everything that the entry lock protects.
FaultOutcome fault_mapped(mm::VmFault& fault, io::IomapHost& host, EntryGuard& guard, const io::Iomap& iomap,
                          const FaultRange& range) {
  const FaultContext context{.fault = fault,
                             .host = host,
                             .guard = guard,
                             .iomap = iomap,
                             .write = (range.flags & io::kIomapWrite) != 0,
                             .pmd = range.length != kPageSize};
  return fault_iter(context);
}

FaultOutcome end_iomap(io::IomapOps& ops, io::IomapHost& host, const io::Iomap& iomap, const FaultRange& range,
                       FaultOutcome out) {
  const uint64_t done = out.result == mm::FaultResult::kDone ? range.length : 0;
  const Status ended = ops.iomap_end(host, range.pos, range.length, done, range.flags, iomap);
  out.allocated = iomap.is_new();
  if (!ended.ok() && out.result == mm::FaultResult::kDone) { return failed(ended); }
  return out;
}

// Bugs kReadFaultVsWrite (13e451fdc1af) and kPmdReadFaultVsWrite (876f29460cbd): the blocks are looked up before the
// entry is locked, so a write that allocates them in between finds nothing to invalidate, and this fault then maps the
// hole that it saw.
FaultOutcome iomap_fault_lookup_first(mm::VmFault& fault, io::IomapHost& host, io::IomapOps& ops,
                                      const FaultRange& range) {
  const bool pmd = range.length != kPageSize;
  io::Iomap iomap;
  const Status begun = io::begin_checked(ops, host, range.pos, range.length, range.flags, &iomap);
  if (!begun.ok() || iomap.end() - range.pos < range.length) {
    return pmd ? outcome(mm::FaultResult::kFallback) : failed(begun);
  }
  bool conflict = false;
  EntryGuard guard(host.mapping(), PgOff(range.pos / kPageSize), pmd ? fault.memory().huge_order() : 0, &conflict);
  if (conflict) { return outcome(mm::FaultResult::kFallback); }
  FaultOutcome out = outcome(mm::FaultResult::kRetry);
  if (!pmd || !fault.mm.page_table.load_pmd(fault.address).is_table()) {
    out = fault_mapped(fault, host, guard, iomap, range);
  }
  guard.unlock();
  return end_iomap(ops, host, iomap, range, out);
}

// Bug kDoubleZero (843172978bb9): whether the block is new is asked before the entry is locked, and the fault itself
// zeroes it then.
bool sees_new_block(io::IomapHost& host, io::IomapOps& ops, const FaultRange& range) {
  if ((range.flags & io::kIomapWrite) == 0) { return false; }
  const unsigned flags = range.flags & ~unsigned{io::kIomapWrite};
  io::Iomap iomap;
  if (!io::begin_checked(ops, host, range.pos, range.length, flags, &iomap).ok()) { return false; }
  const bool is_new = !iomap.mapped();
  return ops.iomap_end(host, range.pos, range.length, 0, flags, iomap).ok() && is_new;
}

}  // namespace

// Kernel: dax_iomap_pte_fault.
FaultOutcome iomap_fault(mm::VmFault& fault, io::IomapHost& host, io::IomapOps& ops) {
  FS_TRACE_SCOPE("dax_iomap_pte_fault", entry_ref(host.ino(), fault.pgoff));
  const FaultRange range = fault_range(fault, /*pmd=*/false);
  // The caller's invalidate lock excludes truncate, so this is no guess.
  if (range.pos >= host.i_size()) { return outcome(mm::FaultResult::kSigbus); }
  if (historical(Bug::kReadFaultVsWrite)) { return iomap_fault_lookup_first(fault, host, ops, range); }

  const bool zero = historical(Bug::kDoubleZero) && sees_new_block(host, ops, range);
  bool conflict = false;
  EntryGuard guard(host.mapping(), fault.pgoff, 0, &conflict);
  if (conflict) { return outcome(mm::FaultResult::kFallback); }
  // A huge fault may have been first. In a private mapping, whose stores are never huge, the two meet here.
  if (fault.memory().huge_mappings() && fault.mm.page_table.load_pmd(fault.address).huge()) {
    guard.unlock();
    return outcome(mm::FaultResult::kRetry);
  }
  io::Iomap iomap;
  FaultOutcome out;
  Status begun = io::begin_checked(ops, host, range.pos, kPageSize, range.flags, &iomap);
  if (begun.ok() && zero) { begun = host.device().zero(iomap.device_offset(range.pos), kPageSize); }
  if (begun.ok()) {
    out = end_iomap(ops, host, iomap, range, fault_mapped(fault, host, guard, iomap, range));
  } else {
    out = failed(begun);
  }
  guard.unlock();
  return out;
}

// Kernel: dax_finish_sync_fault, dax_insert_pfn_mkwrite.
mm::FaultResult finish_sync_fault(mm::VmFault& fault, mm::AddressSpace& mapping, Pfn pfn, bool pmd) {
  const PgOff index = pmd ? fault.huge_pgoff() : fault.pgoff;
  const unsigned order = pmd ? fault.memory().huge_order() : 0;
  FS_TRACE_SCOPE("dax_insert_pfn_mkwrite", entry_ref(mapping.host().ino(), index));
  const EntryRank rank(mapping, index);
  Entry entry;
  {
    rt::SpinGuard tree(mapping.i_pages.lock());
    lib::XaCursor xas(mapping.i_pages, index.value(), order);
    const FoundEntry found = get_unlocked_entry(mapping, xas, order);
    // The sync took its time: the frame may have gone bad, and memory_failure has left already.
    const bool bad = fault.memory().device().poisoned(pfn.value() * kPageSize, kPageSize << order);
    if (bad || !found.entry.is_frame() || found.entry.pfn() + (index - found.entry.base(index)) != pfn) {
      put_unlocked_entry(mapping, index, found.entry);
      return mm::FaultResult::kRetry;
    }
    entry = found.entry;
    lock_entry(mapping, xas, entry);
    xas.set_mark(kMarkDirty);
    FS_TRACE_WRITE(dirty_ref(mapping.host().ino(), index), kUnknownValue, 1);
  }
  const mm::FaultResult result =
      pmd ? mm::insert_pfn_pmd(fault, pfn, /*write=*/true) : mm::insert_pfn(fault, pfn, /*write=*/true);
  rt::SpinGuard tree(mapping.i_pages.lock());
  lib::XaCursor xas(mapping.i_pages, index.value(), order);
  xas.store(entry.to_tree());
  trace_entry_write(mapping, index, entry.locked(), entry);
  wake_entry(mapping, index, entry, WakeMode::kNext);
  return result;
}

// Kernel: dax_iomap_pmd_fault.
FaultOutcome iomap_pmd_fault(mm::VmFault& fault, io::IomapHost& host, io::IomapOps& ops) {
  FS_TRACE_SCOPE("dax_iomap_pmd_fault", entry_ref(host.ino(), fault.huge_pgoff()));
  const FaultRange range = fault_range(fault, /*pmd=*/true);
  const uint64_t size = round_up(host.i_size(), kPageSize);
  if (range.pos >= size) { return outcome(mm::FaultResult::kSigbus); }
  if (range.pos + range.length > size || (fault.write && fault.vma.is_cow())) {
    return outcome(mm::FaultResult::kFallback);
  }
  if (historical(Bug::kPmdReadFaultVsWrite)) { return iomap_fault_lookup_first(fault, host, ops, range); }
  bool conflict = false;
  EntryGuard guard(host.mapping(), fault.huge_pgoff(), fault.memory().huge_order(), &conflict);
  if (conflict) { return outcome(mm::FaultResult::kFallback); }
  if (historical(Bug::kUpgradeLeavesZeroPages) && guard.entry().is_empty()) {
    mm::unmap_mapping_range(host.mapping(), guard.index(), guard.entry().pages(), /*even_cows=*/false);
  }
  // A fault of a single page may have made its table since the caller looked. Bug kPmdOverTable (e2093926a098): not
  // looked at again.
  if (fault.mm.page_table.load_pmd(fault.address).is_table() && !historical(Bug::kPmdOverTable)) {
    guard.unlock();
    return outcome(mm::FaultResult::kRetry);
  }
  io::Iomap iomap;
  FaultOutcome out = outcome(mm::FaultResult::kFallback);
  const Status begun = io::begin_checked(ops, host, range.pos, range.length, range.flags, &iomap);
  if (begun.ok()) {
    if (iomap.end() - range.pos >= range.length) { out = fault_mapped(fault, host, guard, iomap, range); }
    out = end_iomap(ops, host, iomap, range, out);
  }
  guard.unlock();
  return out;
}

}  // namespace daxfs::dax
