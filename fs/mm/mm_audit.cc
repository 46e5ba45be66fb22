// fs/mm/mm_audit.cc - an address space at rest against its own invariants.
#include <cinttypes>
#include <cstdio>

#include "fs/base/report.h"
#include "fs/mm/memory.h"
#include "fs/mm/mm.h"

namespace daxfs::mm {
namespace {

void add_line(std::vector<std::string>* report, const char* tag, VirtAddr address, const char* what) {
  char line[160];
  std::snprintf(line, sizeof line, "%s: %s at %" PRIx64, tag, what, address.value());
  report->push_back(line);
}

void audit_pte(const Vma& vma, VirtAddr address, Pte pte, const Memory& memory, std::vector<std::string>* report) {
  const bool pmem = memory.is_pmem(pte.pfn());
  if (pte.write() && !vma.writable()) {
    add_line(report, "MM7", address, "writable PTE in a VMA that is not writable");
  }
  if (pte.write() && !pte.special() && memory.is_file_frame(pte.pfn()) && vma.is_cow()) {
    add_line(report, "MM7", address, "writable PTE of a file's frame in a private VMA");
  }
  if (pte.special() && (pte.write() || pte.pfn() != memory.zero_pfn())) {
    add_line(report, "MM7", address, "special PTE that is not the read-only zero page");
  }
  if (pte.huge() && !pte.special() &&
      (!pmem || pte.pfn().value() % memory.huge_pages() != address.value() / kPageSize % memory.huge_pages())) {
    add_line(report, "MM7", address, "huge mapping of frames that are not aligned");
  }
  const VirtAddr range(round_down(address.value(), memory.huge_size()));
  if (pte.huge() && (range < vma.begin || range + memory.huge_size() > vma.end)) {
    add_line(report, "MM7", address, "huge mapping that reaches out of its VMA");
  }
  if (!pmem && !pte.special() && page_ref_count(memory.page(pte.pfn())) < 1) {
    add_line(report, "MM7", address, "PTE of a free DRAM frame");
  }
}

}  // namespace

void Mm::for_each_pte(FunctionRef<void(const Vma&, VirtAddr, Pte)> visit) const {
  for (const Vma* vma : vmas_.peek()) {
    page_table.for_each(vma->begin, vma->end, [&](VirtAddr address, Pte pte) {
      visit(*vma, address, pte);
      return true;
    });
  }
}

void Mm::peek_vmas(FunctionRef<void(const Vma&)> visit) const {
  for (const Vma* vma : vmas_.peek()) { visit(*vma); }
}

bool Mm::audit(std::vector<std::string>* report) const {
  const size_t before = report->size();
  VirtAddr end(0);
  for (const Vma* vma : vmas_.peek()) {
    if (vma->begin < end || vma->begin >= vma->end || vma->begin.value() % kPageSize != 0 ||
        vma->end.value() % kPageSize != 0 || vma->end > kTaskSize) {
      add_line(report, "MM6", vma->begin, "malformed or overlapping VMA");
    }
    end = vma->end;
  }

  Counters recount;
  uint64_t inside = 0;
  for_each_pte([&](const Vma& vma, VirtAddr address, Pte pte) {
    ++inside;
    audit_pte(vma, address, pte, memory_, report);
    if (!pte.special()) { ++(memory_.is_file_frame(pte.pfn()) ? recount.file_pages : recount.anon_pages); }
  });
  uint64_t all = 0;
  if (page_table.table_pages() != 0) {
    page_table.for_each(VirtAddr(0), kTaskSize, [&](VirtAddr, Pte) {
      ++all;
      return true;
    });
  }
  if (all != inside) { add_line(report, "MM7", VirtAddr(0), "PTE outside of every VMA"); }
  VirtAddr where(0);
  if (!page_table.deposits_match(&where)) {
    add_line(report, "MM10", where, "deposited tables differ from huge mappings");
  }
  const Counters counted = counters();
  if (counted.file_pages != recount.file_pages || counted.anon_pages != recount.anon_pages) {
    add_line(report, "MM8", VirtAddr(0), "counters of mapped frames differ from a recount");
  }
  return report->size() == before;
}

void Mm::check() const {
  std::vector<std::string> report;
  if (audit(&report)) { return; }
  const std::string& first = report.front();
  FS_WARN_ON(first.starts_with("MM6"), "MM6", "%s", first.c_str());
  FS_WARN_ON(first.starts_with("MM7"), "MM7", "%s", first.c_str());
  FS_WARN_ON(first.starts_with("MM10"), "MM10", "%s", first.c_str());
  FS_WARN_ON(first.starts_with("MM8"), "MM8", "%s", first.c_str());
}

}  // namespace daxfs::mm
