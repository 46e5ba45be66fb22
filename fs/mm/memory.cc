// fs/mm/memory.cc - frames, their bytes, and the pools of DRAM and table pages.
#include "fs/mm/memory.h"

#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>

#include <sys/mman.h>

#include "fs/base/report.h"
#include "fs/mm/folio.h"
#include "fs/mm/page_table.h"
#include "fs/pmem/raw_copy.h"
#include "fs/rt/inject.h"
#include "fs/rt/step.h"
#include "fs/rt/trace.h"

namespace daxfs::mm {
namespace {

// Untouched frames cost nothing, however large the limit.
std::byte* map_dram(size_t bytes) {
  void* base = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (base == MAP_FAILED) { std::abort(); }
  return static_cast<std::byte*>(base);
}

constexpr const char* kFrameWaiters = "DAX entry of a frame";

// Its own, so that the queue does not shift the identities of what is made after it.
rt::ObjectId frame_waiters_object() { return rt::object_id(rt::ObjectClass::kWaitQueue, 0, 1); }

constexpr const char* kFolioWaiters = "folio";
rt::ObjectId folio_waiters_object() { return rt::object_id(rt::ObjectClass::kWaitQueue, 0, 2); }

// Who takes a frame to fill it and does not shows what it held before: of another run, perhaps, and then the same input
// gives another verdict. Not in the library that users link.
#if defined(DAXFS_RT_FIBER)
constexpr bool kFillsFreshFrames = true;
#else
constexpr bool kFillsFreshFrames = false;
#endif

// As the points of Mm::access_page tell it.
rt::ObjectId bytes_object(bool pmem, Pfn pfn) {
  return rt::object_id(pmem ? rt::ObjectClass::kPmem : rt::ObjectClass::kFrame, pfn.value());
}

// The free list is last in, first out: who takes a frame when decides who has which.
void note_pool(const Page& page) {
  rt::also(rt::PointKind::kAtomicRmw, rt::object_id(rt::ObjectClass::kFrame, 0, 2));
  rt::also(rt::PointKind::kAtomicRmw, rt::object_id(rt::ObjectClass::kFrame, page_pfn(page).value()));
}

std::string describe(const Page& page, uint64_t pfn, const char* problem) {
  char line[160];
  std::snprintf(line, sizeof line, "%s frame %" PRIu64 ": %s (reference count %d)", page.is_pmem() ? "pmem" : "DRAM",
                pfn, problem, page_ref_count(page));
  return line;
}

// Every run passes over all pmem frames twice, so these two loops do without coverage counters and
// branches.
#if defined(__clang__)
#define MM_NO_COVERAGE __attribute__((no_sanitize("coverage")))
#else
#define MM_NO_COVERAGE
#endif

MM_NO_COVERAGE void fill_pages(Page* pages, uint64_t count, const Page& value) {
  for (uint64_t n = 0; n < count; ++n) { pages[n] = value; }
}

MM_NO_COVERAGE bool all_idle(const Page* pages, uint64_t count) {
  uint64_t busy = 0;
  for (uint64_t n = 0; n < count; ++n) {
    busy |= static_cast<uint64_t>(pages[n].refcount ^ 1) | reinterpret_cast<uintptr_t>(pages[n].mapping);
  }
  return busy == 0;
}
#undef MM_NO_COVERAGE

}  // namespace

void Memory::Unmapper::operator()(std::byte* base) const { ::munmap(base, bytes); }

Memory::Memory(pmem::Device& device, uint32_t dram_frames_max)
    : device_(device),
      pmem_frames_(device.block_count()),
      dram_frames_(dram_frames_max + 1),
      pages_(std::make_unique<Page[]>(pmem_frames_ + dram_frames_)),
      history_(pmem_frames_),
      dram_(map_dram(dram_frames_ * kPageSize), Unmapper{dram_frames_ * kPageSize}),
      folios_(std::make_unique<Folio[]>(dram_frames_)),
      folio_waiters_(kFolioWaiters, folio_waiters_object()),
      frame_waiters_(kFrameWaiters, frame_waiters_object()) {
  fill_pages(pages_.get(), pmem_frames_ + dram_frames_, {.memory = this});
  reset();
}

Memory::~Memory() = default;

void Memory::reset() {
  RawGuard guard(pool_lock_);
  ++generation_;
  history_.begin_run();
  fill_pages(pages_.get(), pmem_frames_, {.memory = this, .refcount = 1, .flags = Page::kPmem});
  fill_pages(pages_.get() + pmem_frames_, dram_fresh_, {.memory = this});
  std::fill_n(folios_.get(), dram_fresh_, Folio{});
  Page& zero = page(zero_pfn());
  zero.refcount = 1;
  zero.flags = Page::kReserved;
  dram_free_.clear();
  dram_fresh_ = 1;
  dram_in_use_ = 0;
  dram_ran_out_ = false;

  tables_free_.clear();
  for (const auto& table : tables_) {
    // An abandoned run leaves tables in use; a run that ended gave them back empty.
    if (table->used != 0) { std::memset(static_cast<void*>(table.get()), 0, sizeof(TablePage)); }
    tables_free_.push_back(table.get());
  }
  tables_in_use_ = 0;
  huge_order_ = kPmdOrder;
  huge_mappings_ = false;

  std::destroy_at(&idle_queue_);
  std::construct_at(&idle_queue_, "page idle");
  std::destroy_at(&folio_waiters_);
  std::construct_at(&folio_waiters_, kFolioWaiters, folio_waiters_object());
  std::destroy_at(&lru_.lock);
  std::construct_at(&lru_.lock, rt::Rank::kLeaf, "lru_lock");
  reset_lru();
  std::destroy_at(&frame_waiters_);
  std::construct_at(&frame_waiters_, kFrameWaiters, frame_waiters_object());
}

// No tasks run.
void Memory::reset_lru() FS_NO_THREAD_SAFETY_ANALYSIS { lru_.frames.write().clear(); }

Folio& Memory::folio(Pfn pfn) { return folios_[pfn.value() - pmem_frames_]; }

Status Memory::set_huge(bool mappings, unsigned order) {
  RawGuard guard(pool_lock_);
  if (tables_in_use_ != 0 && (order != huge_order_ || mappings != huge_mappings_)) { return Errc::kBusy; }
  huge_order_ = order;
  huge_mappings_ = mappings;
  return ok_status();
}

Result<Pfn> Memory::alloc_dram(bool zeroed) {
  uint32_t frame = 0;
  {
    RawGuard guard(pool_lock_);
    if (rt::inject(Injection::kMemory)) {
      dram_ran_out_ = true;
      return Errc::kNoMem;
    }
    if (!dram_free_.empty()) {
      frame = dram_free_.back();
      dram_free_.pop_back();
    } else if (dram_fresh_ < dram_frames_) {
      frame = dram_fresh_++;
    } else {
      dram_ran_out_ = true;
      return Errc::kNoMem;
    }
    ++dram_in_use_;
  }
  const Pfn pfn(pmem_frames_ + frame);
  note_pool(page(pfn));
  if (zeroed) {
    pmem::raw_zero(dram(pfn), kPageSize);
  } else if constexpr (kFillsFreshFrames) {
    pmem::raw_fill(dram(pfn), std::byte{kStaleByte}, kPageSize);
  }
  __atomic_store_n(&page(pfn).refcount, 1, __ATOMIC_SEQ_CST);
  return pfn;
}

void Memory::free_dram(Pfn pfn) {
  const int32_t now = __atomic_sub_fetch(&page(pfn).refcount, 1, __ATOMIC_SEQ_CST);
  FS_BUG_ON(now != 0, "MM2", "frame %" PRIu64 " freed at reference count %d", pfn.value(), now + 1);
  recycle_dram(pfn);
}

void Memory::recycle_dram(Pfn pfn) {
  note_pool(page(pfn));
  if (page(pfn).is_cached()) {
    note_folio_change(page(pfn));
    page(pfn).set_cached(false);
    folio(pfn) = Folio{};
  }
  RawGuard guard(pool_lock_);
  dram_free_.push_back(static_cast<uint32_t>(pfn.value() - pmem_frames_));
  --dram_in_use_;
}

// Only of the page cache: what is in anonymous memory is one process's own concern.
void Memory::trace_dram(Pfn pfn, size_t offset, std::span<const std::byte> before,
                        std::span<const std::byte> now) const {
  if (rt::tracing() && page(pfn).is_cached()) {
    rt::trace_bytes(cache_bytes_ref(pfn, offset, now.size()), before, now);
  }
}

Status Memory::read(Pfn pfn, size_t offset, std::span<std::byte> out, Site site) {
  if (offset + out.size() > kPageSize) { return Errc::kInval; }
  if (is_pmem(pfn)) { return device_.read(pfn.value() * kPageSize + offset, out, site); }
  trace_dram(pfn, offset, {}, std::span(dram(pfn) + offset, out.size()));
  note_bytes_read(page(pfn));
  pmem::raw_copy(out.data(), dram(pfn) + offset, out.size());
  return ok_status();
}

Status Memory::write(Pfn pfn, size_t offset, std::span<const std::byte> bytes, Site site) {
  if (offset + bytes.size() > kPageSize) { return Errc::kInval; }
  if (is_pmem(pfn)) { return device_.store(pfn.value() * kPageSize + offset, bytes, site); }
  trace_dram(pfn, offset, std::span(dram(pfn) + offset, bytes.size()), bytes);
  note_bytes_written(page(pfn));
  pmem::raw_copy(dram(pfn) + offset, bytes.data(), bytes.size());
  return ok_status();
}

void Memory::zero_dram(Pfn pfn, size_t offset, size_t size) {
  static constexpr std::array<std::byte, kPageSize> kZeros{};
  trace_dram(pfn, offset, std::span(dram(pfn) + offset, size), std::span(kZeros).first(size));
  note_bytes_written(page(pfn));
  pmem::raw_zero(dram(pfn) + offset, size);
}

void Memory::user_read(Pfn pfn, size_t offset, std::span<std::byte> out, Site site) {
  if (is_pmem(pfn)) {
    device_.require_owned(pfn.value() * kPageSize + offset, out.size(), "load", site);
    device_.trace_load(pfn.value() * kPageSize + offset, out.size());
  } else {
    trace_dram(pfn, offset, {}, std::span(dram(pfn) + offset, out.size()));
  }
  rt::also(rt::PointKind::kUserLoad, bytes_object(is_pmem(pfn), pfn));
  const std::byte* from = is_pmem(pfn) ? device_.data() + pfn.value() * kPageSize + offset : dram(pfn) + offset;
  pmem::raw_copy(out.data(), from, out.size());
}

Status Memory::user_write(Pfn pfn, size_t offset, std::span<const std::byte> bytes, Site site) {
  rt::also(rt::PointKind::kUserStore, bytes_object(is_pmem(pfn), pfn));
  if (is_pmem(pfn)) { return device_.store_unscheduled(pfn.value() * kPageSize + offset, bytes, site); }
  trace_dram(pfn, offset, std::span(dram(pfn) + offset, bytes.size()), bytes);
  pmem::raw_copy(dram(pfn) + offset, bytes.data(), bytes.size());
  return ok_status();
}

void Memory::wait_page_idle(Page& page, FunctionRef<void()> before_sleep, FunctionRef<void()> after_sleep, Site site) {
  FS_TRACE_SCOPE("wait_var_event", frame_ref(pfn(page)));
  rt::Waiter waiter(pfn(page).value() + 1);
  for (;;) {
    idle_queue_.prepare_to_wait(waiter, false, site);
    if (read_page_ref(page, site) == 1) { break; }
    before_sleep();
    rt::schedule(site);
    after_sleep();
  }
  idle_queue_.finish_wait(waiter, site);
}

void Memory::wake_page_idle(Page& page, Site site) { idle_queue_.wake_all(pfn(page).value() + 1, nullptr, site); }

TablePage* Memory::alloc_table() {
  RawGuard guard(pool_lock_);
  ++tables_in_use_;
  if (tables_free_.empty()) {
    tables_.push_back(std::make_unique<TablePage>());
    return tables_.back().get();
  }
  TablePage* table = tables_free_.back();
  tables_free_.pop_back();
  table->deposited = nullptr;
  table->deposits = 0;
  return table;
}

void Memory::free_table(TablePage* table) {
  RawGuard guard(pool_lock_);
  --tables_in_use_;
  tables_free_.push_back(table);
}

bool Memory::audit_idle(std::vector<std::string>* report) const {
  const size_t before = report->size();
  if (!all_idle(pages_.get(), pmem_frames_)) {
    for (uint64_t n = 0; n < pmem_frames_; ++n) {
      const Page& page = pages_[n];
      if (page_ref_count(page) != 1) { report->push_back(describe(page, n, "pinned")); }
      if (page.mapping != nullptr) { report->push_back(describe(page, n, "still has a mapping")); }
    }
  }
  const Page& zero = page(zero_pfn());
  if (page_ref_count(zero) != 1) { report->push_back(describe(zero, pmem_frames_, "zero page pinned")); }
  for (uint64_t n = pmem_frames_ + 1; dram_in_use_ != 0 && n < pmem_frames_ + dram_frames_; ++n) {
    if (page_ref_count(pages_[n]) != 0) { report->push_back(describe(pages_[n], n, "not freed")); }
  }
  if (tables_in_use_ != 0) { report->push_back(std::to_string(tables_in_use_) + " page-table pages not freed"); }
  return report->size() == before;
}

void Memory::check_idle() const {
  std::vector<std::string> report;
  const bool idle = audit_idle(&report);
  FS_WARN_ON(!idle, "MM3", "memory is still in use: %s", report.front().c_str());
}

}  // namespace daxfs::mm
