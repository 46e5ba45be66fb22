// fs/mm/page_table.cc - walking and changing a page table.
#include "fs/mm/page_table.h"

#include <algorithm>
#include <memory>

#include "fs/base/report.h"
#include "fs/mm/memory.h"
#include "fs/rt/point.h"
#include "fs/rt/step.h"
#include "fs/rt/trace.h"

namespace daxfs::mm {
namespace {

// Flat number of the page, for object ids and index arithmetic.
constexpr uint64_t vpn(VirtAddr address) { return address.value() >> kPageShift; }
// Of the 2 MiB, in the table below the root.
constexpr uint64_t upper_index(VirtAddr address) { return vpn(address) / kTableEntries % kTableEntries; }

constexpr VirtAddr next_boundary(VirtAddr address, uint64_t unit, VirtAddr end) {
  const VirtAddr next(round_down(address.value(), unit) + unit);
  return next < end ? next : end;
}

TablePage* as_table(Pmd pmd) { return pmd.is_table() ? reinterpret_cast<TablePage*>(pmd.table_address()) : nullptr; }

// `word` of `count` pages takes the place of `old`.
void note_change(Memory& memory, uint64_t old, uint64_t word, uint64_t count = 1) {
  const Pte before = Pte::from_word(old);
  const Pte now = Pte::from_word(word);
  if (before.present() && now.present() && before.pfn() == now.pfn()) { return; }
  const auto note = [&](Pte pte, FrameEvent event) {
    if (!pte.present() || !memory.is_pmem(pte.pfn())) { return; }
    for (uint64_t i = 0; i < count; ++i) { memory.history().note(pte.pfn() + i, event); }
  };
  note(before, FrameEvent::kUnmapped);
  note(now, FrameEvent::kMapped);
}

}  // namespace

PageTable::PageTable(Memory& memory, uint64_t mm_id)
    : ptl(rt::Rank::kPageTable, "page table lock"), memory_(memory), mm_id_(mm_id) {}

PageTable::~PageTable() {
  if (table_pages_ != 0 && memory_generation_ == memory_.generation()) {
    give_back(false);  // after an abandoned run entries are left, which is nobody's fault
  }
}

// With huge mappings a change of a PMD is one of every page below: all of them are one object.
rt::ObjectId PageTable::object(VirtAddr address) const {
  const uint64_t page = memory_.huge_mappings() ? vpn(pmd_begin(address)) : vpn(address);
  return rt::object_id(rt::ObjectClass::kPte, mm_id_ << 32 | page);
}

VirtAddr PageTable::pmd_begin(VirtAddr address) const { return VirtAddr(address.value() & ~(memory_.huge_size() - 1)); }

VirtAddr PageTable::pmd_end(VirtAddr address, VirtAddr end) const {
  return std::min(end, pmd_begin(address) + memory_.huge_size());
}

bool PageTable::unfolded() const { return memory_.huge_order() != kPmdOrder; }

uint64_t PageTable::pmd_index(VirtAddr address) const {
  return unfolded() ? vpn(address) % kTableEntries >> memory_.huge_order() : upper_index(address);
}

uint64_t PageTable::pte_index(VirtAddr address) const { return vpn(address) & (memory_.huge_pages() - 1); }

TablePage* PageTable::upper_table(VirtAddr address) const {
  if (address >= kTaskSize) { return nullptr; }
  return __atomic_load_n(&pgd_[address.value() / kPgdSize], __ATOMIC_ACQUIRE);
}

// The table that has the PMD of `address`.
TablePage* PageTable::pmd_table(VirtAddr address) const {
  TablePage* const upper = upper_table(address);
  if (upper == nullptr || !unfolded()) { return upper; }
  return as_table(Pmd::from_word(__atomic_load_n(&upper->entries[upper_index(address)], __ATOMIC_ACQUIRE)));
}

uint64_t* PageTable::pmd_slot(VirtAddr address) const {
  TablePage* const pmds = pmd_table(address);
  return pmds == nullptr ? nullptr : &pmds->entries[pmd_index(address)];
}

Pmd PageTable::load_pmd_unscheduled(VirtAddr address) const {
  const uint64_t* const word = pmd_slot(address);
  return word == nullptr ? Pmd() : Pmd::from_word(__atomic_load_n(word, __ATOMIC_ACQUIRE));
}

Pmd PageTable::load_pmd(VirtAddr address, Site site) const {
  rt::point(rt::PointKind::kPteRead, object(address), site);
  const Pmd pmd = load_pmd_unscheduled(address);
  FS_TRACE_READ(pte_ref(mm_id_, pmd_begin(address), memory_.huge_pages()), pmd.huge() ? pmd.word() : 0);
  return pmd;
}

TablePage* PageTable::pte_table(VirtAddr address) const { return as_table(load_pmd_unscheduled(address)); }

// The word that translates the page: its PTE, or the PMD that maps it huge.
uint64_t* PageTable::translation(VirtAddr address) const {
  uint64_t* const word = pmd_slot(address);
  if (word == nullptr) { return nullptr; }
  const Pmd pmd = Pmd::from_word(__atomic_load_n(word, __ATOMIC_ACQUIRE));
  if (pmd.huge()) { return word; }
  TablePage* const ptes = as_table(pmd);
  return ptes == nullptr ? nullptr : &ptes->entries[pte_index(address)];
}

// What a huge mapping says of one page. The zero page stands for each of its pages.
Pte PageTable::view(Pmd huge, VirtAddr address) const {
  const Pte first = huge.pte();
  return first.special() ? first : first.with_pfn(first.pfn() + pte_index(address));
}

Pte PageTable::load_unscheduled(VirtAddr address) const {
  rt::also(rt::PointKind::kPteRead, object(address));
  const uint64_t* const word = translation(address);
  if (word == nullptr) { return Pte(); }
  const Pte pte = Pte::from_word(__atomic_load_n(word, __ATOMIC_SEQ_CST));
  return pte.huge() ? view(Pmd::mapping(pte), address) : pte;
}

Pte PageTable::load(VirtAddr address, Site site) const {
  rt::point(rt::PointKind::kPteRead, object(address), site);
  const Pte pte = load_unscheduled(address);
  FS_TRACE_READ(pte_ref(mm_id_, address), pte.word());
  return pte;
}

TablePage* PageTable::add_table(TablePage* parent, uint64_t* word) {
  TablePage* const table = memory_.alloc_table();
  memory_generation_ = memory_.generation();
  ++table_pages_;
  ++parent->used;
  __atomic_store_n(word, Pmd::table(reinterpret_cast<uint64_t>(table)).word(), __ATOMIC_RELEASE);
  return table;
}

void PageTable::ensure_pmd_locked(VirtAddr address) {
  TablePage* upper = upper_table(address);
  if (upper == nullptr) {
    upper = memory_.alloc_table();
    memory_generation_ = memory_.generation();
    ++table_pages_;
    __atomic_store_n(&pgd_[address.value() / kPgdSize], upper, __ATOMIC_RELEASE);
  }
  if (pmd_table(address) == nullptr) { add_table(upper, &upper->entries[upper_index(address)]); }
}

void PageTable::ensure_pmd(VirtAddr address, Site site) {
  if (pmd_table(address) != nullptr) { return; }
  rt::SpinGuard guard(ptl, site);
  ensure_pmd_locked(address);
}

bool PageTable::ensure(VirtAddr address, Site site) {
  const Pmd pmd = load_pmd_unscheduled(address);
  if (!pmd.none()) { return !pmd.huge(); }
  rt::SpinGuard guard(ptl, site);
  ensure_pmd_locked(address);
  uint64_t* const word = pmd_slot(address);
  const Pmd now = Pmd::from_word(__atomic_load_n(word, __ATOMIC_ACQUIRE));
  if (!now.none()) {
    return !now.huge();  // somebody was faster
  }
  add_table(pmd_table(address), word);
  return true;
}

void PageTable::require_first(VirtAddr address) const {
  FS_BUG_ON(address != pmd_begin(address), "MM11", about(pte_ref(mm_id_, address)),
            "a huge mapping of process %llu is changed %llu bytes behind its first address",
            static_cast<unsigned long long>(mm_id_), static_cast<unsigned long long>(address - pmd_begin(address)));
}

void PageTable::set_huge(VirtAddr address, Pte first, TablePage* deposit, Site site) {
  require_first(address);
  rt::point(rt::PointKind::kPteWrite, object(address), site);
  TablePage* const pmds = pmd_table(address);
  deposit->deposited = pmds->deposited;
  pmds->deposited = deposit;
  ++pmds->deposits;
  ++table_pages_;
  ++pmds->used;
  const Pmd huge = Pmd::mapping(first.mk_huge());
  __atomic_store_n(&pmds->entries[pmd_index(address)], huge.word(), __ATOMIC_SEQ_CST);
  FS_TRACE_WRITE(pte_ref(mm_id_, pmd_begin(address), memory_.huge_pages()), 0, huge.word());
  note_change(memory_, 0, first.word(), memory_.huge_pages());
}

void PageTable::change_huge(VirtAddr address, Pte first, Site site) {
  require_first(address);
  rt::point(rt::PointKind::kPteWrite, object(address), site);
  const uint64_t word = Pmd::mapping(first.mk_huge()).word();
  [[maybe_unused]] const uint64_t old = __atomic_exchange_n(pmd_slot(address), word, __ATOMIC_SEQ_CST);
  FS_TRACE_WRITE(pte_ref(mm_id_, pmd_begin(address), memory_.huge_pages()), old, word);
}

Pte PageTable::clear_huge(VirtAddr address, Site site) {
  rt::point(rt::PointKind::kPteWrite, object(address), site);
  TablePage* const pmds = pmd_table(address);
  const uint64_t old = __atomic_exchange_n(&pmds->entries[pmd_index(address)], 0, __ATOMIC_SEQ_CST);
  FS_TRACE_WRITE(pte_ref(mm_id_, pmd_begin(address), memory_.huge_pages()), old, 0);
  note_change(memory_, old, 0, memory_.huge_pages());
  --pmds->used;
  TablePage* const deposit = pmds->deposited;
  FS_BUG_ON(deposit == nullptr, "MM10", "a huge mapping goes without its deposited table");
  pmds->deposited = deposit->deposited;
  --pmds->deposits;
  --table_pages_;
  deposit->deposited = nullptr;
  memory_.free_table(deposit);
  return Pte::from_word(old);
}

void PageTable::move_huge(VirtAddr from, VirtAddr to, Site site) {
  rt::point(rt::PointKind::kPteWrite, object(from), site);
  TablePage* const source = pmd_table(from);
  const uint64_t word = __atomic_exchange_n(&source->entries[pmd_index(from)], 0, __ATOMIC_SEQ_CST);
  FS_TRACE_WRITE(pte_ref(mm_id_, pmd_begin(from), memory_.huge_pages()), word, 0);
  --source->used;
  TablePage* const deposit = source->deposited;
  FS_BUG_ON(deposit == nullptr, "MM10", "a huge mapping moves without its deposited table");
  source->deposited = deposit->deposited;
  --source->deposits;
  --table_pages_;  // set_huge counts it again
  set_huge(to, Pte::from_word(word), deposit, site);
}

TablePage* PageTable::unlink_empty(VirtAddr begin, VirtAddr end, Site site) {
  TablePage* chain = nullptr;
  const VirtAddr first(round_up(begin.value(), memory_.huge_size()));
  const VirtAddr past = pmd_begin(end);
  if (first >= past || next_table(first, past) >= past) { return nullptr; }
  rt::SpinGuard guard(ptl, site);
  for (VirtAddr at = next_table(first, past); at < past; at = next_table(pmd_end(at, past), past)) {
    TablePage* const ptes = pte_table(at);
    if (ptes == nullptr || ptes->used != 0) { continue; }
    __atomic_store_n(pmd_slot(at), 0, __ATOMIC_SEQ_CST);
    --pmd_table(at)->used;
    --table_pages_;
    ptes->deposited = chain;
    chain = ptes;
  }
  return chain;
}

void PageTable::give_back_chain(TablePage* first) {
  while (first != nullptr) {
    TablePage* const next = first->deposited;
    first->deposited = nullptr;
    memory_.free_table(first);
    first = next;
  }
}

void PageTable::exchange(VirtAddr address, uint64_t word) {
  TablePage* ptes = pte_table(address);
  const uint64_t old = __atomic_exchange_n(&ptes->entries[pte_index(address)], word, __ATOMIC_SEQ_CST);
  FS_TRACE_WRITE(pte_ref(mm_id_, address), old, word);
  note_change(memory_, old, word);
  if (old == 0 && word != 0) { ++ptes->used; }
  if (old != 0 && word == 0) { --ptes->used; }
}

void PageTable::set(VirtAddr address, Pte pte, Site site) {
  rt::point(rt::PointKind::kPteWrite, object(address), site);
  FS_WARN_ON(!pte.present(), "MM12", about(pte_ref(mm_id_, address)),
             "process %llu gets a PTE that is neither empty nor present, %#llx",
             static_cast<unsigned long long>(mm_id_), static_cast<unsigned long long>(pte.word()));
  exchange(address, pte.word());
}

Pte PageTable::get_and_clear(VirtAddr address, Site site) {
  rt::point(rt::PointKind::kPteWrite, object(address), site);
  TablePage* ptes = pte_table(address);
  if (ptes == nullptr) { return Pte(); }
  const uint64_t old = __atomic_exchange_n(&ptes->entries[pte_index(address)], 0, __ATOMIC_SEQ_CST);
  FS_TRACE_WRITE(pte_ref(mm_id_, address), old, 0);
  note_change(memory_, old, 0);
  if (old != 0) { --ptes->used; }
  return Pte::from_word(old);
}

Pte PageTable::write_protect(VirtAddr address, bool clean, Site site) {
  rt::point(rt::PointKind::kPteWrite, object(address), site);
  uint64_t* word = translation(address);
  if (word == nullptr) { return Pte(); }
  const Pte ones = Pte::from_word(~uint64_t{0}).clear_write();
  const uint64_t keep = (clean ? ones.clear_dirty() : ones).word();
  const uint64_t old = __atomic_fetch_and(word, keep, __ATOMIC_SEQ_CST);
  FS_TRACE_WRITE(pte_ref(mm_id_, address), old, old & keep);
  return Pte::from_word(old);
}

bool PageTable::mark_accessed(VirtAddr address, Pte expected, bool write) {
  rt::also(rt::PointKind::kPteWrite, object(address));
  uint64_t* word = translation(address);
  if (word == nullptr) { return false; }
  uint64_t now = __atomic_load_n(word, __ATOMIC_SEQ_CST);
  for (;;) {
    const Pte pte = Pte::from_word(now);
    const Pte seen = pte.huge() ? view(Pmd::mapping(pte), address) : pte;
    if (seen.mk_young().mk_dirty() != expected.mk_young().mk_dirty()) { return false; }
    const Pte marked = write ? pte.mk_young().mk_dirty() : pte.mk_young();
    if (marked == pte) { return true; }
    if (__atomic_compare_exchange_n(word, &now, marked.word(), false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) {
      return true;
    }
  }
}

VirtAddr PageTable::next_table(VirtAddr begin, VirtAddr end) const {
  VirtAddr at = begin;
  while (at < end) {
    if (upper_table(at) == nullptr) {
      at = next_boundary(at, kPgdSize, end);
      continue;
    }
    const TablePage* const pmds = pmd_table(at);
    const VirtAddr past = next_boundary(at, unfolded() ? kPmdSize : kPgdSize, end);
    if (pmds == nullptr) {
      at = past;
      continue;
    }
    // Slot by slot of one table, which stays: a walk for each would be most of what an audit costs.
    for (uint64_t index = pmd_index(at); at < past; ++index) {
      if (!Pmd::from_word(__atomic_load_n(&pmds->entries[index], __ATOMIC_ACQUIRE)).none()) { return at; }
      at = pmd_end(at, end);
    }
  }
  return end;
}

VirtAddr PageTable::for_each(VirtAddr begin, VirtAddr end, FunctionRef<bool(VirtAddr, Pte)> visit) const {
  for (VirtAddr at = next_table(begin, end); at < end; at = next_table(at, end)) {
    const Pmd pmd = load_pmd_unscheduled(at);
    const TablePage* const ptes = as_table(pmd);
    const VirtAddr table_end = pmd_end(at, end);
    for (; at < table_end; at += kPageSize) {
      const Pte pte = ptes == nullptr
                          ? view(pmd, at)
                          : Pte::from_word(__atomic_load_n(&ptes->entries[pte_index(at)], __ATOMIC_SEQ_CST));
      if (!pte.none() && !visit(at, pte)) { return at; }
    }
  }
  return end;
}

bool PageTable::deposits_match(VirtAddr* where) const {
  if (table_pages_ == 0) { return true; }
  for (VirtAddr at = next_table(VirtAddr(0), kTaskSize); at < kTaskSize;) {
    const TablePage* const pmds = pmd_table(at);
    uint32_t huge = 0;
    for (const uint64_t word : pmds->entries) { huge += Pmd::from_word(word).huge() ? 1 : 0; }
    uint32_t listed = 0;
    for (const TablePage* table = pmds->deposited; table != nullptr; table = table->deposited) { ++listed; }
    if (huge != pmds->deposits || huge != listed) {
      *where = at;
      return false;
    }
    at = next_table(next_boundary(at, unfolded() ? kPmdSize : kPgdSize, kTaskSize), kTaskSize);
  }
  return true;
}

void PageTable::free_tables() { give_back(true); }

// level 0: PTEs.
void PageTable::give_back_table(TablePage* table, unsigned level, bool check_empty) {
  uint32_t left = level != 0 ? table->used.get() : 0;
  for (uint64_t n = 0; left != 0 && n < kTableEntries; ++n) {
    if (TablePage* const below = as_table(Pmd::from_word(table->entries[n])); below != nullptr) {
      give_back_table(below, level - 1, check_empty);
      table->entries[n] = 0;
      --table->used;
      --left;
    }
  }
  FS_WARN_ON(check_empty && table->used != 0, "MM5", "a page table is freed with %u entries", table->used.get());
  FS_WARN_ON(check_empty && table->deposits != 0, "MM10", "a page table is freed with %u deposited tables",
             table->deposits.get());
  give_back_chain(table->deposited);
  if (table->used != 0) { *table = TablePage{}; }
  memory_.free_table(table);
}

void PageTable::give_back(bool check_empty) {
  for (TablePage*& upper : pgd_) {
    if (upper != nullptr) {
      give_back_table(upper, unfolded() ? 2 : 1, check_empty);
      upper = nullptr;
    }
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
