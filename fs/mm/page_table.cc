// fs/mm/page_table.cc - walking and changing a page table.
#include "fs/mm/page_table.h"

#include <memory>

#include "fs/base/report.h"
#include "fs/mm/memory.h"
#include "fs/rt/point.h"
#include "fs/rt/trace.h"

namespace daxfs::mm {
namespace {

// Flat number of the page, for object ids and index arithmetic.
constexpr uint64_t vpn(VirtAddr address) { return address.value() >> kPageShift; }
constexpr uint64_t pte_index(VirtAddr address) { return vpn(address) % kTableEntries; }
constexpr uint64_t pmd_index(VirtAddr address) {
  return vpn(address) / kTableEntries % kTableEntries;
}

constexpr VirtAddr next_boundary(VirtAddr address, uint64_t unit, VirtAddr end) {
  const VirtAddr next(round_down(address.value(), unit) + unit);
  return next < end ? next : end;
}

TablePage* as_table(Pmd pmd) {
  return pmd.is_table() ? reinterpret_cast<TablePage*>(pmd.table_address()) : nullptr;
}

}  // namespace

PageTable::PageTable(Memory& memory, uint64_t mm_id)
    : ptl(rt::Rank::kPageTable, "page table lock"), memory_(memory), mm_id_(mm_id) {}

PageTable::~PageTable() {
  if (table_pages_ != 0 && memory_generation_ == memory_.generation()) {
    give_back(false);  // after an abandoned run entries are left, which is nobody's fault
  }
}

rt::ObjectId PageTable::object(VirtAddr address) const {
  return rt::object_id(rt::ObjectClass::kPte, mm_id_ << 32 | vpn(address));
}

TablePage* PageTable::pmd_table(VirtAddr address) const {
  if (address >= kTaskSize) {
    return nullptr;
  }
  return __atomic_load_n(&pgd_[address.value() / kPgdSize], __ATOMIC_ACQUIRE);
}

TablePage* PageTable::pte_table(VirtAddr address) const {
  TablePage* pmds = pmd_table(address);
  if (pmds == nullptr) {
    return nullptr;
  }
  return as_table(
      Pmd::from_word(__atomic_load_n(&pmds->entries[pmd_index(address)], __ATOMIC_ACQUIRE)));
}

uint64_t* PageTable::slot(VirtAddr address) const {
  TablePage* ptes = pte_table(address);
  return ptes == nullptr ? nullptr : &ptes->entries[pte_index(address)];
}

Pte PageTable::load_unscheduled(VirtAddr address) const {
  const uint64_t* word = slot(address);
  return word == nullptr ? Pte() : Pte::from_word(__atomic_load_n(word, __ATOMIC_SEQ_CST));
}

Pte PageTable::load(VirtAddr address, Site site) const {
  rt::point(rt::PointKind::kPteRead, object(address), site);
  const Pte pte = load_unscheduled(address);
  FS_TRACE_READ(pte_ref(mm_id_, address), pte.word());
  return pte;
}

void PageTable::ensure(VirtAddr address, Site site) {
  if (pte_table(address) != nullptr) {
    return;
  }
  rt::SpinGuard guard(ptl, site);
  TablePage* pmds = pmd_table(address);
  if (pmds == nullptr) {
    pmds = memory_.alloc_table();
    memory_generation_ = memory_.generation();
    ++table_pages_;
    __atomic_store_n(&pgd_[address.value() / kPgdSize], pmds, __ATOMIC_RELEASE);
  }
  if (pte_table(address) != nullptr) {
    return;
  }  // somebody was faster
  TablePage* ptes = memory_.alloc_table();
  ++table_pages_;
  ++pmds->used;
  __atomic_store_n(&pmds->entries[pmd_index(address)],
                   Pmd::table(reinterpret_cast<uint64_t>(ptes)).word(), __ATOMIC_RELEASE);
}

void PageTable::exchange(VirtAddr address, uint64_t word) {
  TablePage* ptes = pte_table(address);
  const uint64_t old =
      __atomic_exchange_n(&ptes->entries[pte_index(address)], word, __ATOMIC_SEQ_CST);
  FS_TRACE_WRITE(pte_ref(mm_id_, address), old, word);
  if (old == 0 && word != 0) {
    ++ptes->used;
  }
  if (old != 0 && word == 0) {
    --ptes->used;
  }
}

void PageTable::set(VirtAddr address, Pte pte, Site site) {
  rt::point(rt::PointKind::kPteWrite, object(address), site);
  exchange(address, pte.word());
}

Pte PageTable::get_and_clear(VirtAddr address, Site site) {
  rt::point(rt::PointKind::kPteWrite, object(address), site);
  TablePage* ptes = pte_table(address);
  if (ptes == nullptr) {
    return Pte();
  }
  const uint64_t old = __atomic_exchange_n(&ptes->entries[pte_index(address)], 0, __ATOMIC_SEQ_CST);
  FS_TRACE_WRITE(pte_ref(mm_id_, address), old, 0);
  if (old != 0) {
    --ptes->used;
  }
  return Pte::from_word(old);
}

Pte PageTable::write_protect(VirtAddr address, bool clean, Site site) {
  rt::point(rt::PointKind::kPteWrite, object(address), site);
  uint64_t* word = slot(address);
  if (word == nullptr) {
    return Pte();
  }
  const Pte ones = Pte::from_word(~uint64_t{0}).clear_write();
  const uint64_t keep = (clean ? ones.clear_dirty() : ones).word();
  const uint64_t old = __atomic_fetch_and(word, keep, __ATOMIC_SEQ_CST);
  FS_TRACE_WRITE(pte_ref(mm_id_, address), old, old & keep);
  return Pte::from_word(old);
}

bool PageTable::mark_accessed(VirtAddr address, Pte expected, bool write) {
  uint64_t* word = slot(address);
  if (word == nullptr) {
    return false;
  }
  uint64_t now = __atomic_load_n(word, __ATOMIC_SEQ_CST);
  for (;;) {
    const Pte pte = Pte::from_word(now);
    if (pte.mk_young().mk_dirty() != expected.mk_young().mk_dirty()) {
      return false;
    }
    const Pte marked = write ? pte.mk_young().mk_dirty() : pte.mk_young();
    if (marked == pte) {
      return true;
    }
    if (__atomic_compare_exchange_n(word, &now, marked.word(), false, __ATOMIC_SEQ_CST,
                                    __ATOMIC_SEQ_CST)) {
      return true;
    }
  }
}

VirtAddr PageTable::next_table(VirtAddr begin, VirtAddr end) const {
  VirtAddr at = begin;
  while (at < end) {
    if (pmd_table(at) == nullptr) {
      at = next_boundary(at, kPgdSize, end);
    } else if (pte_table(at) == nullptr) {
      at = next_boundary(at, kPmdSize, end);
    } else {
      return at;
    }
  }
  return end;
}

VirtAddr PageTable::for_each(VirtAddr begin, VirtAddr end,
                             FunctionRef<bool(VirtAddr, Pte)> visit) const {
  for (VirtAddr at = next_table(begin, end); at < end; at = next_table(at, end)) {
    const TablePage* ptes = pte_table(at);
    const VirtAddr table_end = next_boundary(at, kPmdSize, end);
    for (; at < table_end; at += kPageSize) {
      const Pte pte =
          Pte::from_word(__atomic_load_n(&ptes->entries[pte_index(at)], __ATOMIC_SEQ_CST));
      if (!pte.none() && !visit(at, pte)) {
        return at;
      }
    }
  }
  return end;
}

void PageTable::free_tables() { give_back(true); }

void PageTable::give_back(bool check_empty) {
  for (TablePage*& pmds : pgd_) {
    if (pmds == nullptr) {
      continue;
    }
    for (uint64_t n = 0; pmds->used != 0 && n < kTableEntries; ++n) {
      TablePage* ptes = as_table(Pmd::from_word(pmds->entries[n]));
      if (ptes == nullptr) {
        continue;
      }
      FS_WARN_ON(check_empty && ptes->used != 0, "MM5", "a page table is freed with %u entries",
                 ptes->used);
      if (ptes->used != 0) {
        *ptes = TablePage{};
      }
      pmds->entries[n] = 0;
      --pmds->used;
      memory_.free_table(ptes);
    }
    memory_.free_table(pmds);
    pmds = nullptr;
  }
  table_pages_ = 0;
}

void PageTable::reset() {
  // The tables themselves are Memory::reset's to take back.
  pgd_.fill(nullptr);
  table_pages_ = 0;
  std::destroy_at(&ptl);
  std::construct_at(&ptl, rt::Rank::kPageTable, "page table lock");
}

}  // namespace daxfs::mm
