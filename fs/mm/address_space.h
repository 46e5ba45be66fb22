// fs/mm/address_space.h - the cached and mapped pages of one inode, and every VMA that maps it.
//
// Lives in mm because VMAs and the reverse map need it; what the entries of `i_pages` mean is the
// business of dax.
//
// Kernel: struct address_space.
// Locking: i_pages has its own lock, which also guards the two counters. i_mmap_rwsem guards the
// list of VMAs and, while
//   a VMA is on it, that VMA's begin, end and pgoff: write to change, read to walk.
//   invalidate_lock: faults hold it for read while they map blocks, truncate and punch hold it for
//   write.
// Invariants:
//   MM4  an inode that is evicted has no VMA on its list.
// Tested by: fs/mm/address_space_test.cc.
#pragma once

#include <cstdint>

#include "fs/base/compiler.h"
#include "fs/base/site.h"
#include "fs/base/types.h"
#include "fs/lib/xarray.h"
#include "fs/mm/errseq.h"
#include "fs/rt/rwsem.h"
#include "fs/rt/shared.h"
#include "fs/rt/wait_queue.h"

namespace daxfs::cache {
class CacheOps;
}

namespace daxfs::mm {

class Memory;
struct Vma;

// The inode's face to mm and dax.
class MappingHost {
 public:
  virtual ~MappingHost() = default;
  virtual uint64_t i_size() const = 0;  // bytes
  virtual Ino ino() const = 0;
  virtual bool is_dax() const = 0;
  // A page of the page cache has become dirty. Any context. YIELDS.
  virtual void note_dirty_page() {}
};

class AddressSpace {
 public:
  AddressSpace(Memory& memory, MappingHost& host);
  AddressSpace(const AddressSpace&) = delete;
  AddressSpace& operator=(const AddressSpace&) = delete;

  MappingHost& host() const { return host_; }
  Memory& memory() const { return memory_; }
  bool dax() const { return host_.is_dax(); }

  // Whether some VMA maps the file; a hint unless i_mmap_rwsem is held (kernel: mapping_mapped).
  bool mapped() const { return __atomic_load_n(&first_vma_, __ATOMIC_RELAXED) != nullptr; }
  // First VMA in the order in which they were mapped; go on by Vma::next_in_file.
  Vma* first_vma() const FS_REQUIRES_SHARED(i_mmap_rwsem) { return first_vma_; }
  void link_vma(Vma& vma) FS_REQUIRES(i_mmap_rwsem);
  void unlink_vma(Vma& vma) FS_REQUIRES(i_mmap_rwsem);
  // Inode eviction calls it (MM4); the destructor does not, as it also runs after an abandoned run.
  void assert_unmapped(Site site = Site::current()) const;

  lib::XArray i_pages;
  rt::Shared<uint64_t, "nrpages"> nrpages = 0;  // guarded by i_pages' lock
  // Guarded by i_pages' lock; in pages: a PMD entry counts 512.
  rt::Shared<uint64_t, "nrexceptional"> nrexceptional = 0;
  uint64_t zero_page_made = 0;  // the latest zero page entry, in FrameHistory's time; guarded by i_pages' lock
  rt::RwSem invalidate_lock;
  rt::RwSem i_mmap_rwsem;
  ErrSeq wb_error;
  cache::CacheOps* cache_ops = nullptr;  // of a file without DAX; constant
  // Tasks that wait for a locked DAX entry, keyed by the entry's first index. Kernel: a hashed
  // table in fs/dax.c; here it lives and dies with the mapping, so that an abandoned run leaves no
  // waiters behind.
  rt::WaitQueue entry_waiters{"DAX entry"};

 private:
  Memory& memory_;
  MappingHost& host_;
  Vma* first_vma_ = nullptr;
  rt::Shared<Vma*, "i_mmap"> last_vma_ = nullptr;
};

}  // namespace daxfs::mm
