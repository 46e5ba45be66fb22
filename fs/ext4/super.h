// fs/ext4/super.h - a mounted ext4 volume: options, geometry, counters, and the parts that hang off
// it.
//
// Kernel: struct ext4_sb_info, ext4_fill_super, ext4_put_super, ext4_commit_super, ext4_statfs
// (fs/ext4/super.c). Locking: geometry and options are constant after mount. Free counters are
// atomics; they run ahead of the groups'
//   by what allocations in flight have claimed. The rename mutex (rank kRename) is namei's, the
//   orphan mutex orphan.h's.
// Invariants:
//   SB1  a volume that was mounted is unmounted before it dies.
//   SB2  after unmount and sync_fs the superblock's free counters are the sums of the groups'.
// Mount errors (each with a one-sentence message): kInval (not ext4, unsupported features or
// geometry), kRoFs (journal
//   needs recovery, also for read-only mounts: this library cannot replay it; read-only device
//   mounted rw), kCorrupted (checksums, descriptors that do not fit, overlapping metadata), kIo,
//   kNoMem.
// Not covered: quota, bigalloc, meta_bg, inline data, encryption, block sizes other than 4096,
// online resize. Tested by: fs/ext4/super_test.cc, fs/ext4/mount_fuzz_test.cc.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "fs/base/compiler.h"
#include "fs/base/inject.h"
#include "fs/base/result.h"
#include "fs/base/types.h"
#include "fs/ext4/format.h"
#include "fs/ext4/groups.h"
#include "fs/jbd2/buffer.h"
#include "fs/jbd2/handle.h"
#include "fs/jbd2/journal.h"
#include "fs/pmem/device.h"
#include "fs/rt/atomic.h"
#include "fs/rt/mutex.h"
#include "fs/rt/shared.h"
#include "fs/rt/spinlock.h"
#include "fs/rt/wait_queue.h"
#include "fs/rt/workqueue.h"

namespace daxfs::mm {
class Memory;
}

namespace daxfs::ext4 {

class Flusher;
class InodeCache;
class Volume;

// Which files use DAX (mount option dax=).
enum class DaxMode : uint8_t { kInode /* files with the DAX flag */, kAlways, kNever };

struct MountOptions {
  bool read_only = false;
  DaxMode dax = DaxMode::kInode;
  // Huge mappings of 2^huge_order pages; 0: none. The frames' users are told when the volume is mounted.
  unsigned huge_order = 0;
  // Direct reads, and direct writes that change no block, go without the inode lock (file_dio.h).
  bool dioread_nolock = false;
  // What the extent status cache says is compared with the tree (kernel: ES_AGGRESSIVE_TEST).
  bool es_test = false;
  // The last close of a file open for writing frees blocks behind its end, also those that KEEP_SIZE put there: XFS'
  // way with what it allocated ahead (xfs_release, xfs_free_eofblocks). ext4 keeps them.
  bool trim_eof = false;
  // Memory is short all the time: each call wakes kswapd, which looks at so many pages. 0: it is not.
  uint32_t reclaim_pages = 0;
  // Dirty pages are written without being asked for: each call wakes the flusher, which writes so many. 0: by fsync,
  // sync, eviction and reclaim only.
  uint32_t flush_pages = 0;
  InjectionPlan fail{};       // counted from the mount on
  bool poison_freed = false;  // fill freed blocks with kStaleByte, so that stale reads show
};

// What a reader of statfs(2) gets.
struct StatFs {
  uint64_t block_size = 0;  // f_bsize
  uint64_t blocks = 0;      // without overhead
  uint64_t blocks_free = 0;
  uint64_t blocks_available = 0;  // to others than root
  uint64_t files = 0;
  uint64_t files_free = 0;
  uint64_t fsid = 0;
  uint32_t name_length_max = 0;
  uint32_t magic = 0;
};

// The layer of inodes as the volume sees it; volumes mounted without one (tests) pass null.
struct InodeLayer {
  InodeCache* (*create)(Volume&);
  void (*destroy)(InodeCache*);
  // Finishes what a crash interrupted: truncates a linked inode to its size, deletes an unlinked one. The inode is
  // on the orphan list and must be off it afterwards. YIELDS.
  Status (*process_orphan)(Volume&, Ino);
  // Evicts all inodes. YIELDS.
  void (*evict_all)(InodeCache&);
};
// The real one: InodeCache. Defined by fs/ext4/inode_cache.cc.
const InodeLayer& inode_layer();

class Volume {
 public:
  // Mounts the image on `device`. On failure `message` (if not null) says why, and nothing was written.
  // YIELDS. PERSISTS (rw): the superblock's mount state.
  static Result<std::unique_ptr<Volume>> mount(pmem::Device& device, mm::Memory& memory, const MountOptions& options,
                                               std::string* message);
  // The same with a chosen inode layer, or none (null): then orphans stay listed.
  static Result<std::unique_ptr<Volume>> mount_with(pmem::Device& device, mm::Memory* memory,
                                                    const MountOptions& options, const InodeLayer* inodes,
                                                    std::string* message);
  Volume(const Volume&) = delete;
  Volume& operator=(const Volume&) = delete;
  ~Volume();

  // Evicts inodes, writes counters and state. The volume may only be destroyed afterwards, whatever it returns.
  // Waits for every interrupt and work item that is pending, so call it from the root task. YIELDS. PERSISTS.
  [[nodiscard]] Status unmount();
  // Makes counters on the medium exact. YIELDS. PERSISTS.
  Status sync_fs();
  StatFs statfs();

  pmem::Device& device() { return device_; }
  mm::Memory& memory() { return *memory_; }
  bool has_memory() const { return memory_ != nullptr; }
  // Blocks of a huge page: where extents should begin.
  uint32_t huge_blocks() const;
  jbd2::BufferCache& buffers() { return buffers_; }
  jbd2::Journal& journal() { return journal_; }
  Groups& groups() { return groups_; }
  InodeCache& inodes() { return *inodes_; }
  Flusher* flusher() { return flusher_.get(); }  // null without flush=N
  // Ends direct I/O that needs process context. Kernel: s_dio_done_wq.
  rt::Workqueue& dio_done_queue() { return dio_done_queue_; }
  const Geometry& geometry() const { return geometry_; }
  const MountOptions& options() const { return options_; }
  bool read_only() const { return options_.read_only; }

  // Seed of the checksums inside an inode's metadata: crc32c(crc32c(fs seed, ino), generation).
  uint32_t inode_csum_seed(Ino ino, uint32_t generation) const;
  // A run of blocks that file data or file metadata may occupy (kernel: ext4_inode_block_valid).
  bool valid_data_blocks(FsBlock first, uint64_t count) const;
  // Deterministic generation number for a new inode.
  uint32_t next_generation();

  // Locks of layers above, one a volume.
  rt::Mutex rename_mutex{rt::Rank::kRename, "rename"};  // kernel: s_vfs_rename_mutex; fs/ext4/namei.cc

  // --- for the allocators: claim before looking for bits, give back what was not used. Kernel:
  // ext4_claim_free_clusters.
  Status claim_blocks(uint64_t count, bool use_reserved);
  void unclaim_blocks(uint64_t count);
  uint64_t blocks_free() const { return blocks_free_.load(); }
  uint64_t peek_blocks_free() const { return blocks_free_.load_unpointed(); }  // for harnesses: no point

  // --- for orphan.h.
  struct OrphanList {
    rt::Mutex lock{rt::Rank::kOrphan, "orphan"};                          // kernel: s_orphan_lock
    rt::Shared<std::vector<Ino>, "s_orphan"> inodes FS_GUARDED_BY(lock);  // in on-disk order, newest first
  };
  OrphanList& orphans() { return orphans_; }
  // --- for inode_io.h. Kernel: i_raw_lock, there one an inode.
  rt::SpinLock& raw_inode_lock() { return raw_inode_lock_; }
  // The superblock's bytes for a change under `handle`.
  Result<SuperBlock*> get_super_access(jbd2::Handle& handle);
  Status dirty_super(jbd2::Handle& handle);
  const SuperBlock& super() const;
  // Where unwritten extents whose bytes have arrived become written (kernel: s_rsv_conversion_wq). page_io.h
  rt::Workqueue& conversions() { return conversions_; }
  // Requests that the device works on for the page cache; more wait. Kernel: nr_requests.
  void begin_request();
  void end_request();

 private:
  friend class MountSteps;

  Volume(pmem::Device& device, mm::Memory* memory, const MountOptions& options, const InodeLayer* layer);
  template <typename Change>
  Status change_super(Change change);
  Status mark_mounted();
  Status write_counters(bool unmounting);
  static void super_csum(void* context, uint64_t argument, FsBlock block, jbd2::BlockBytes bytes);

  pmem::Device& device_;
  mm::Memory* const memory_;
  MountOptions options_;
  const InodeLayer* const layer_;
  Geometry geometry_;
  jbd2::BufferCache buffers_;
  jbd2::Journal journal_;
  Groups groups_;
  jbd2::BufferRef super_buffer_;
  OrphanList orphans_;
  rt::SpinLock raw_inode_lock_{rt::Rank::kGroup, "raw inode"};
  InodeCache* inodes_ = nullptr;
  std::unique_ptr<Flusher> flusher_;
  rt::Workqueue dio_done_queue_{"dio done"};
  uint16_t mount_state_ = 0;       // s_state to restore at unmount
  uint64_t blocks_kept_back_ = 0;  // kernel: s_resv_clusters
  rt::Atomic<uint64_t> blocks_free_{0};
  rt::Atomic<uint32_t> generation_{0};
  rt::Workqueue conversions_{"ext4-rsv-conversion"};
  rt::Atomic<uint32_t> requests_{0};
  rt::WaitQueue request_waiters_{"block requests"};
  bool mounted_ = false;
};

}  // namespace daxfs::ext4
