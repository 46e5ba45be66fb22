// fs/dax/fault.cc - one page for one faulting access.
#include "fs/dax/fault.h"

#include "fs/base/historical.h"
#include "fs/base/report.h"
#include "fs/dax/entry_lock.h"
#include "fs/dax/entry_owner.h"
#include "fs/mm/fault.h"
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
bool is_synchronous(const FaultContext& c) {
  return c.write && c.fault.vma.sync && c.iomap.is_dirty();
}

// Puts `entry` into the tree in place of what the guard holds. A block entry that is there already
// stays. Kernel: dax_insert_entry.
void insert_entry(const FaultContext& c, Entry entry) {
  mm::AddressSpace& mapping = c.guard.mapping();
  const PgOff index = c.guard.index();
  FS_TRACE_SCOPE("dax_insert_entry", entry_ref(mapping.host().ino(), index));
  const Entry old = c.guard.entry();
  const bool dirty = c.write && !is_synchronous(c);
  if (old.is_zero() && !entry.is_zero()) {
    // Other processes still have the zero page mapped and would go on reading zeros.
    mm::unmap_mapping_range(mapping, old.base(index), old.pages(), /*even_cows=*/false);
  }
  rt::SpinGuard tree(mapping.i_pages.lock());
  lib::XaCursor xas(mapping.i_pages, index.value(), entry.order());
  if (!old.is_frame()) {
    disassociate_entry(mapping, old, /*truncating=*/false);
    associate_entry(mapping, entry, index);
    const Entry replaced = c.guard.store(xas, entry);
    if (!c.guard.locked()) {
      if (old.none()) {
        mapping.nrexceptional += entry.pages();
      }
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

// A read of a page without a block. Kernel: dax_load_hole.
FaultOutcome load_hole(const FaultContext& c) {
  FS_TRACE_SCOPE("dax_load_hole", entry_ref(c.guard.mapping().host().ino(), c.guard.index()));
  const Pfn zero = c.fault.memory().zero_pfn();
  insert_entry(c, Entry::zero(zero, 0));
  return outcome(mm::insert_pfn(c.fault, zero, /*write=*/false));
}

// A store to a private mapping: the copy is made, and mapped, while the entry lock keeps the source
// in the file. Kernel: dax_fault_cow_page.
FaultOutcome fault_cow_page(const FaultContext& c, Pfn source) {
  mm::Memory& memory = c.fault.memory();
  std::byte bytes[kPageSize];
  if (c.iomap.mapped()) {
    const Status got = memory.read(source, 0, bytes);
    if (!got.ok()) {
      return failed(got);
    }
  } else {
    for (std::byte& byte : bytes) {
      byte = std::byte{0};
    }
  }
  const Status put = memory.write(c.fault.cow_page, 0, bytes);
  if (!put.ok()) {
    return failed(put);
  }
  return outcome(mm::finish_cow_fault(c.fault));
}

// Kernel: dax_fault_iter.
FaultOutcome fault_iter(const FaultContext& c) {
  const uint64_t pos = c.fault.pgoff.value() * kPageSize;
  const bool has_block = c.iomap.mapped();
  Pfn pfn;
  if (has_block) {
    const uint64_t at = c.iomap.device_offset(pos);
    pfn = Pfn(at / kPageSize);
    if (c.host.device().poisoned(at, kPageSize)) {
      return failed(Errc::kIo);
    }
  }
  if (c.fault.cow) {
    return fault_cow_page(c, pfn);
  }
  if (!has_block) {
    if (!c.write) {
      return load_hole(c);
    }
    FS_WARN_ON(true, "DF1", "a write fault got no written block for page %llu",
               static_cast<unsigned long long>(c.fault.pgoff.value()));
    return failed(Errc::kIo);
  }
  insert_entry(c, Entry::frame(pfn, 0));
  if (is_synchronous(c)) {
    FaultOutcome out = outcome(mm::FaultResult::kDone);
    out.needs_sync = true;
    out.pfn = pfn;
    return out;
  }
  return outcome(mm::insert_pfn(c.fault, pfn, c.write));
}

struct FaultRange {
  uint64_t pos;
  unsigned flags;
};

FaultRange fault_range(const mm::VmFault& fault) {
  const bool write = fault.write && !fault.cow;
  return {.pos = fault.pgoff.value() * kPageSize,
          .flags = io::kIomapDax | io::kIomapFault | (write ? unsigned{io::kIomapWrite} : 0U)};
}

// Between the two halves of iomap_begin/iomap_end: everything that the entry lock protects.
FaultOutcome fault_mapped(mm::VmFault& fault, io::IomapHost& host, EntryGuard& guard,
                          const io::Iomap& iomap, const FaultRange& range) {
  const FaultContext context{.fault = fault,
                             .host = host,
                             .guard = guard,
                             .iomap = iomap,
                             .write = (range.flags & io::kIomapWrite) != 0};
  return fault_iter(context);
}

FaultOutcome end_iomap(io::IomapOps& ops, io::IomapHost& host, const io::Iomap& iomap,
                       const FaultRange& range, FaultOutcome out) {
  const uint64_t done = out.result == mm::FaultResult::kDone ? kPageSize : 0;
  const Status ended = ops.iomap_end(host, range.pos, kPageSize, done, range.flags, iomap);
  out.allocated = iomap.is_new();
  if (!ended.ok() && out.result == mm::FaultResult::kDone) {
    return failed(ended);
  }
  return out;
}

// Bug kReadFaultVsWrite (13e451fdc1af): the blocks are looked up before the entry is locked, so a
// write that allocates them in between finds nothing to invalidate, and this fault then maps the
// hole that it saw.
FaultOutcome iomap_fault_lookup_first(mm::VmFault& fault, io::IomapHost& host, io::IomapOps& ops,
                                      const FaultRange& range) {
  io::Iomap iomap;
  const Status begun = io::begin_checked(ops, host, range.pos, kPageSize, range.flags, &iomap);
  if (!begun.ok()) {
    return failed(begun);
  }
  bool conflict = false;
  EntryGuard guard(host.mapping(), fault.pgoff, 0, &conflict);
  if (conflict) {
    return outcome(mm::FaultResult::kFallback);
  }
  FaultOutcome out = fault_mapped(fault, host, guard, iomap, range);
  guard.unlock();
  return end_iomap(ops, host, iomap, range, out);
}

}  // namespace

// Kernel: dax_iomap_pte_fault.
FaultOutcome iomap_fault(mm::VmFault& fault, io::IomapHost& host, io::IomapOps& ops) {
  FS_TRACE_SCOPE("dax_iomap_pte_fault", entry_ref(host.ino(), fault.pgoff));
  const FaultRange range = fault_range(fault);
  // The caller's invalidate lock excludes truncate, so this is no guess.
  if (range.pos >= host.i_size()) {
    return outcome(mm::FaultResult::kSigbus);
  }
  if (historical(Bug::kReadFaultVsWrite)) {
    return iomap_fault_lookup_first(fault, host, ops, range);
  }

  bool conflict = false;
  EntryGuard guard(host.mapping(), fault.pgoff, 0, &conflict);
  if (conflict) {
    return outcome(mm::FaultResult::kFallback);
  }
  io::Iomap iomap;
  FaultOutcome out;
  const Status begun = io::begin_checked(ops, host, range.pos, kPageSize, range.flags, &iomap);
  if (begun.ok()) {
    out = end_iomap(ops, host, iomap, range, fault_mapped(fault, host, guard, iomap, range));
  } else {
    out = failed(begun);
  }
  guard.unlock();
  return out;
}

// Kernel: dax_finish_sync_fault, dax_insert_pfn_mkwrite.
mm::FaultResult finish_sync_fault(mm::VmFault& fault, mm::AddressSpace& mapping, Pfn pfn) {
  FS_TRACE_SCOPE("dax_insert_pfn_mkwrite", entry_ref(mapping.host().ino(), fault.pgoff));
  const EntryRank rank(mapping, fault.pgoff);
  Entry entry;
  {
    rt::SpinGuard tree(mapping.i_pages.lock());
    lib::XaCursor xas(mapping.i_pages, fault.pgoff.value());
    const FoundEntry found = get_unlocked_entry(mapping, xas);
    if (!found.entry.is_frame() ||
        found.entry.pfn() + (fault.pgoff - found.entry.base(fault.pgoff)) != pfn) {
      put_unlocked_entry(mapping, fault.pgoff, found.entry);
      return mm::FaultResult::kRetry;
    }
    entry = found.entry;
    lock_entry(mapping, xas, entry);
    xas.set_mark(kMarkDirty);
    FS_TRACE_WRITE(dirty_ref(mapping.host().ino(), fault.pgoff), kUnknownValue, 1);
  }
  const mm::FaultResult result = mm::insert_pfn(fault, pfn, /*write=*/true);
  rt::SpinGuard tree(mapping.i_pages.lock());
  lib::XaCursor xas(mapping.i_pages, fault.pgoff.value());
  xas.store(entry.to_tree());
  trace_entry_write(mapping, fault.pgoff, entry.locked(), entry);
  wake_entry(mapping, fault.pgoff, entry, WakeMode::kNext);
  return result;
}

}  // namespace daxfs::dax
