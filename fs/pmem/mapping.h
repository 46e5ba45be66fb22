// fs/pmem/mapping.h - the libpmem2 side of a device: how bytes reach the medium behind a mapping.
//
// Granularity decides what a fence costs. With CACHE_LINE or BYTE granularity (real pmem)
// libpmem2's flush and drain are used as they are. With PAGE granularity (any other filesystem)
// durability is msync, so flushed pages are collected and the fence syncs them: the same meaning as
// on pmem, one msync a run of pages.
//
// Locking: none to the caller; the set of pages to sync is atomic, and msync runs in one task at a
//   time.  Tested by: fs/pmem/device_test.cc.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include <libpmem2.h>

#include "fs/base/result.h"
#include "fs/pmem/bit_set.h"
#include "fs/pmem/device.h"

namespace daxfs::pmem {

struct Device::Mapping {
  struct Source {
    int fd = -1;  // -1: anonymous memory of `size` bytes
    uint64_t size = 0;
    bool read_only = false;
    bool private_copy = false;
  };

  // Errors: kIo, with libpmem2's own sentence in `message`.
  static Result<std::unique_ptr<Mapping>> map(const Source& source, std::string* message);

  Mapping() = default;
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;
  ~Mapping();

  std::byte* base() const { return static_cast<std::byte*>(pmem2_map_get_address(map_)); }
  // False for memory that no crash survives: then flush and fence have nothing to do.
  bool durable() const { return durable_; }

  void store_nt(std::byte* to, const std::byte* from, size_t size);
  void zero_nt(std::byte* to, size_t size);
  void flush(std::byte* at, size_t size);
  void fence();

 private:
  void sync_later(const std::byte* at, size_t size);
  void sync_pages();

  pmem2_map* map_ = nullptr;
  bool durable_ = false;
  bool by_pages_ = false;
  pmem2_persist_fn persist_fn_ = nullptr;
  pmem2_flush_fn flush_fn_ = nullptr;
  pmem2_drain_fn drain_fn_ = nullptr;
  pmem2_memcpy_fn memcpy_fn_ = nullptr;
  pmem2_memset_fn memset_fn_ = nullptr;
  BitSet to_sync_;        // by_pages_: pages that the next fence syncs
  bool syncing_ = false;  // a fence must not return while another one still syncs its pages
};

}  // namespace daxfs::pmem
