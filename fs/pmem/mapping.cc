// fs/pmem/mapping.cc - libpmem2 configuration, stores and durability of one mapping.
#include "fs/pmem/mapping.h"

#include <bit>

#include <sched.h>

#include "fs/base/scope_guard.h"
#include "fs/pmem/raw_copy.h"

namespace daxfs::pmem {
namespace {

Errc failed(std::string* message) {
  if (message != nullptr) { *message = pmem2_errormsg(); }
  return Errc::kIo;
}

}  // namespace

Result<std::unique_ptr<Device::Mapping>> Device::Mapping::map(const Source& from, std::string* message) {
  pmem2_source* source = nullptr;
  pmem2_config* config = nullptr;
  ScopeGuard cleanup([&] {
    pmem2_config_delete(&config);
    pmem2_source_delete(&source);
  });

  const int sourced =
      from.fd >= 0 ? pmem2_source_from_fd(&source, from.fd) : pmem2_source_from_anon(&source, from.size);
  if (sourced != 0 || pmem2_config_new(&config) != 0) { return failed(message); }
  // PAGE is what any filesystem can give; libpmem2 still reports finer granularity where the medium
  // has it.
  if (pmem2_config_set_required_store_granularity(config, PMEM2_GRANULARITY_PAGE) != 0) { return failed(message); }
  if (from.private_copy && pmem2_config_set_sharing(config, PMEM2_PRIVATE) != 0) { return failed(message); }
  if (from.read_only && pmem2_config_set_protection(config, PMEM2_PROT_READ) != 0) { return failed(message); }

  auto mapping = std::make_unique<Mapping>();
  if (pmem2_map_new(&mapping->map_, config, source) != 0) { return failed(message); }
  if (pmem2_map_get_size(mapping->map_) < from.size) {
    if (message != nullptr) { *message = "the mapping is smaller than the file: it changed size while it was opened"; }
    return Errc::kIo;
  }
  mapping->durable_ = from.fd >= 0 && !from.read_only && !from.private_copy;
  mapping->by_pages_ = pmem2_map_get_store_granularity(mapping->map_) == PMEM2_GRANULARITY_PAGE;
  mapping->persist_fn_ = pmem2_get_persist_fn(mapping->map_);
  mapping->flush_fn_ = pmem2_get_flush_fn(mapping->map_);
  mapping->drain_fn_ = pmem2_get_drain_fn(mapping->map_);
  mapping->memcpy_fn_ = pmem2_get_memcpy_fn(mapping->map_);
  mapping->memset_fn_ = pmem2_get_memset_fn(mapping->map_);
  if (mapping->durable_ && mapping->by_pages_) { mapping->to_sync_ = BitSet(div_round_up(from.size, kPageSize)); }
  return mapping;
}

Device::Mapping::~Mapping() {
  if (map_ != nullptr) { pmem2_map_delete(&map_); }
}

void Device::Mapping::store_nt(std::byte* to, const std::byte* from, size_t size) {
#if !defined(DAXFS_TSAN)  // libpmem2's memcpy may end in one that TSan intercepts: see raw_copy.h
  if (durable_ && !by_pages_) {
    memcpy_fn_(to, from, size, PMEM2_F_MEM_NONTEMPORAL | PMEM2_F_MEM_NODRAIN);
    return;
  }
#endif
  raw_copy(to, from, size);
  flush(to, size);
}

void Device::Mapping::zero_nt(std::byte* to, size_t size) {
#if !defined(DAXFS_TSAN)
  if (durable_ && !by_pages_) {
    memset_fn_(to, 0, size, PMEM2_F_MEM_NONTEMPORAL | PMEM2_F_MEM_NODRAIN);
    return;
  }
#endif
  raw_zero(to, size);
  flush(to, size);
}

void Device::Mapping::flush(std::byte* at, size_t size) {
  if (!durable_) { return; }
  if (by_pages_) {
    sync_later(at, size);
  } else {
    flush_fn_(at, size);
  }
}

void Device::Mapping::fence() {
  if (!durable_) { return; }
  if (by_pages_) {
    sync_pages();
  } else {
    drain_fn_();
  }
}

void Device::Mapping::sync_later(const std::byte* at, size_t size) {
  const uint64_t offset = static_cast<uint64_t>(at - base());
  to_sync_.set_range(offset / kPageSize, div_round_up(offset + size, kPageSize));
}

void Device::Mapping::sync_pages() {
  if (!to_sync_.any()) { return; }
  // Below the simulation: not an rt lock, because it is held across a host system call and is no
  // scheduling point.
  while (__atomic_test_and_set(&syncing_, __ATOMIC_ACQUIRE)) { ::sched_yield(); }
  ScopeGuard done([this] { __atomic_clear(&syncing_, __ATOMIC_RELEASE); });

  const std::byte* start = base();
  uint64_t run_begin = 0;
  uint64_t run_end = 0;  // pages [run_begin, run_end) wait; runs may go on across words
  auto sync_run = [&] {
    if (run_begin < run_end) { persist_fn_(start + run_begin * kPageSize, (run_end - run_begin) * kPageSize); }
  };
  for (size_t word = 0; word < to_sync_.words().size(); ++word) {
    for (uint64_t bits = to_sync_.take_word(word); bits != 0; bits &= bits - 1) {
      const uint64_t page = word * 64 + static_cast<unsigned>(std::countr_zero(bits));
      if (page != run_end) {
        sync_run();
        run_begin = page;
      }
      run_end = page + 1;
    }
  }
  sync_run();
}

}  // namespace daxfs::pmem
