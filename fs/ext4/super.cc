#include "fs/ext4/super.h"

#include <algorithm>
#include <cstddef>
#include <cstring>

#include "fs/base/crc32c.h"
#include "fs/base/report.h"
#include "fs/ext4/flusher.h"
#include "fs/ext4/format_assertions.h"
#include "fs/mm/memory.h"
#include "fs/rt/clock.h"
#include "fs/rt/task.h"

namespace daxfs::ext4 {
namespace {

constexpr unsigned kSuperCredits = 1;

uint64_t now_seconds() { return rt::clock_realtime_ns() / 1000000000; }

void set_write_time(SuperBlock* super) {
  super->s_wtime = static_cast<uint32_t>(now_seconds());
  super->s_wtime_hi = static_cast<uint8_t>(now_seconds() >> 32);
}

}  // namespace

Volume::Volume(pmem::Device& device, mm::Memory* memory, const MountOptions& options, const InodeLayer* layer)
    : device_(device),
      memory_(memory),
      options_(options),
      layer_(layer),
      buffers_(device),
      journal_(buffers_),
      groups_(*this) {}

Volume::~Volume() {
  FS_BUG_ON(mounted_, "SB1", "a mounted volume is destroyed without unmount");
  if (inodes_ != nullptr) { layer_->destroy(inodes_); }
}

uint32_t Volume::huge_blocks() const {
  return has_memory() ? static_cast<uint32_t>(memory_->huge_pages()) : uint32_t{kPagesPerPmd};
}

Result<std::unique_ptr<Volume>> Volume::mount(pmem::Device& device, mm::Memory& memory, const MountOptions& options,
                                              std::string* message) {
  return mount_with(device, &memory, options, &inode_layer(), message);
}

// --- superblock

const SuperBlock& Volume::super() const { return *super_buffer_->as<SuperBlock>(kSuperOffset); }

void Volume::super_csum(void* context, uint64_t /*argument*/, FsBlock /*block*/, jbd2::BlockBytes bytes) {
  auto* super = reinterpret_cast<SuperBlock*>(bytes.data() + kSuperOffset);
  super->s_checksum = crc32c(~0u, super, offsetof(SuperBlock, s_checksum));
}

Result<SuperBlock*> Volume::get_super_access(jbd2::Handle& handle) {
  FS_ASSIGN_OR_RETURN(jbd2::WriteAccess access, handle.get_write_access(*super_buffer_));
  return access.as<SuperBlock>(kSuperOffset);
}

Status Volume::dirty_super(jbd2::Handle& handle) {
  if (!geometry_.metadata_csum()) { return handle.dirty_metadata(*super_buffer_); }
  return handle.dirty_metadata(*super_buffer_, {&super_csum, this, 0, false});
}

// Runs `change(SuperBlock&)` in a handle of its own.
template <typename Change>
Status Volume::change_super(Change change) {
  FS_ASSIGN_OR_RETURN(jbd2::Handle handle, jbd2::start(journal_, kSuperCredits));
  const Status status = [&]() -> Status {
    FS_ASSIGN_OR_RETURN(SuperBlock * super, get_super_access(handle));
    {
      // Orphan changes touch the same block under their own lock.
      rt::MutexLock lock(orphans_.lock);
      change(*super);
    }
    return dirty_super(handle);
  }();
  return handle.stop(status);
}

// Kernel: ext4_setup_super without a journal: the volume is not valid while it is mounted.
Status Volume::mark_mounted() {
  return change_super([](SuperBlock& super) {
    super.s_state = static_cast<uint16_t>(super.s_state & ~kStateValid);
    if (super.s_max_mnt_count == 0) { super.s_max_mnt_count = 20; }
    super.s_mnt_count = static_cast<uint16_t>(super.s_mnt_count + 1);
    set_write_time(&super);
    super.s_mtime = super.s_wtime;
    super.s_mtime_hi = super.s_wtime_hi;
  });
}

Status Volume::write_counters(bool unmounting) {
  const Groups::Totals totals = groups_.totals();
  FS_WARN_ON(unmounting && totals.blocks_free != blocks_free_.load_unpointed(), "SB2",
             "%llu free blocks in the groups, %llu counted at unmount",
             static_cast<unsigned long long>(totals.blocks_free),
             static_cast<unsigned long long>(blocks_free_.load_unpointed()));
  return change_super([&](SuperBlock& super) {
    super.s_free_blocks_count_lo = static_cast<uint32_t>(totals.blocks_free);
    if (geometry_.is_64bit()) { super.s_free_blocks_count_hi = static_cast<uint32_t>(totals.blocks_free >> 32); }
    super.s_free_inodes_count = static_cast<uint32_t>(totals.inodes_free);
    set_write_time(&super);
    if (unmounting) { super.s_state = mount_state_; }
  });
}

Status Volume::sync_fs() {
  if (read_only()) { return ok_status(); }
  return write_counters(false);
}

Status Volume::unmount() {
  FS_BUG_ON(!mounted_, "SB1", "unmount of a volume that is not mounted");
  if (flusher_ != nullptr) { flusher_->stop(); }
  if (inodes_ != nullptr) {
    layer_->evict_all(*inodes_);
    layer_->destroy(std::exchange(inodes_, nullptr));
  }
  // A worker may be behind the step that let the last inode go and not yet out of its queue, an interrupt behind the
  // unlocking of a page and not yet rid of it.
  rt::run_pending_system_tasks();
  const Status status = read_only() ? ok_status() : write_counters(true);
  groups_.unload();
  super_buffer_.reset();
  mounted_ = false;
  return status;
}

// Kernel: ext4_statfs.
StatFs Volume::statfs() {
  const Groups::Totals totals = groups_.totals();
  StatFs result;
  result.block_size = kBlockSize;
  result.blocks = geometry_.block_count - geometry_.overhead;
  result.blocks_free = blocks_free_.load();
  const uint64_t reserved = geometry_.blocks_reserved + blocks_kept_back_;
  result.blocks_available = result.blocks_free > reserved ? result.blocks_free - reserved : 0;
  result.files = geometry_.inode_count;
  result.files_free = totals.inodes_free;
  uint64_t halves[2];
  std::memcpy(halves, geometry_.uuid.data(), sizeof(halves));
  result.fsid = halves[0] ^ halves[1];
  result.name_length_max = 255;
  result.magic = kSuperMagic;
  return result;
}

// --- helpers of the layers above

uint32_t Volume::inode_csum_seed(Ino ino, uint32_t generation) const {
  const uint32_t number = ino.value();
  return crc32c(crc32c(geometry_.csum_seed, &number, sizeof(number)), &generation, sizeof(generation));
}

bool Volume::valid_data_blocks(FsBlock first, uint64_t count) const {
  if (first.value() == 0 || first.value() >= geometry_.block_count || count > geometry_.block_count - first.value()) {
    return false;
  }
  return !groups_.overlaps_system_zone(first, count);
}

uint32_t Volume::next_generation() { return generation_.fetch_add(1) + 1; }

Status Volume::claim_blocks(uint64_t count, bool use_reserved) {
  const uint64_t kept_back = use_reserved ? 0 : blocks_kept_back_;
  uint64_t free = blocks_free_.load();
  do {
    if (free < count + kept_back) { return Errc::kNoSpc; }
  } while (!blocks_free_.compare_exchange(free, free - count));
  return ok_status();
}

void Volume::begin_request() {
  constexpr uint32_t kRequestsMax = 12;  // interrupts may be pending 31 at a time
  const auto take = [&] {
    uint32_t now = requests_.load();
    while (now < kRequestsMax) {
      if (requests_.compare_exchange(now, now + 1)) { return true; }
    }
    return false;
  };
  request_waiters_.wait_event(take);
}

void Volume::end_request() {
  requests_.fetch_sub(1);
  if (request_waiters_.has_waiters()) { request_waiters_.wake(); }
}

void Volume::unclaim_blocks(uint64_t count) { blocks_free_.fetch_add(count); }

}  // namespace daxfs::ext4
