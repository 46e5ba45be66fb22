#include "fs/ext4/inode.h"

#include <cstring>

#include "fs/base/report.h"
#include "fs/ext4/flusher.h"
#include "fs/ext4/inode_io.h"
#include "fs/ext4/page_io.h"
#include "fs/ext4/super.h"
#include "fs/rt/clock.h"
#include "fs/rt/trace.h"

namespace daxfs::ext4 {
namespace {

constexpr uint64_t kNanosecondsPerSecond = 1000000000;

TimeSpec decode(uint32_t seconds, uint32_t extra, bool has_extra) {
  const RawTime time = decode_time(seconds, extra, has_extra);
  return {time.seconds, time.nanoseconds};
}

struct EncodedTime {
  uint32_t seconds = 0;
  uint32_t extra = 0;
};

EncodedTime encode(TimeSpec time, bool has_extra) {
  EncodedTime encoded;
  encode_time({time.seconds, time.nanoseconds}, has_extra, &encoded.seconds, &encoded.extra);
  return encoded;
}

}  // namespace

TimeSpec current_time() {
  const uint64_t now = rt::clock_realtime_ns();
  return {static_cast<int64_t>(now / kNanosecondsPerSecond), static_cast<uint32_t>(now % kNanosecondsPerSecond)};
}

Inode::Inode(Volume& volume, Ino ino, uint16_t mode)
    : i_rwsem((mode & kModeTypeMask) == kModeDirectory ? rt::Rank::kInodeDir : rt::Rank::kInode, "i_rwsem"),
      i_data_sem(rt::Rank::kDataSem, "i_data_sem"),
      dio(ino),
      extent_status(ino),
      volume_(volume),
      ino_(ino),
      mode_(mode),
      i_lock_(rt::Rank::kLeaf, "i_lock"),
      permissions_(mode & 07777),
      mapping_(volume.memory(), *this) {
  FS_TRACE_NAME(lock_ref(i_rwsem.object()), "i_rwsem", inode_ref(ino));
  FS_TRACE_NAME(lock_ref(i_data_sem.object()), "i_data_sem", inode_ref(ino));
  FS_TRACE_NAME(lock_ref(mapping_.invalidate_lock.object()), "invalidate_lock", inode_ref(ino));
  FS_TRACE_NAME(lock_ref(mapping_.i_mmap_rwsem.object()), "i_mmap_rwsem", inode_ref(ino));
}

Inode::~Inode() = default;

void Inode::set_i_size(uint64_t size) {
  const uint64_t before = i_size_.load_unpointed();
  i_size_.store(size);
  FS_TRACE_WRITE(size_ref(ino_), before, size);
}

Flusher* Inode::flusher() const { return is_regular() && !is_dax() ? volume_.flusher() : nullptr; }

void Inode::note_dirty_page() {
  if (Flusher* const writer = flusher()) { writer->note_dirty(*this); }
}

pmem::Device& Inode::device() { return volume_.device(); }

// Kernel: EXT4_INODE_EXTENTS, ext4_inode_is_fast_symlink.
void Inode::set_block_format(BlockFormat format) {
  FS_TRACE_WRITE(block_format_ref(ino_), format_ == BlockFormat::kExtents ? 1 : 0,
                 format == BlockFormat::kExtents ? 1 : 0);
  format_ = format;
  const rt::SpinGuard guard(i_lock_);
  flags_ = format == BlockFormat::kExtents ? flags_ | kFlagExtents : flags_ & ~kFlagExtents;
}

void Inode::set_identity(uint32_t generation, uint32_t flags, uint64_t size) {
  const bool has_blocks = is_directory() || is_regular() || (is_symlink() && size >= sizeof(RootBytes));
  format_ = (flags & kFlagExtents) != 0 ? BlockFormat::kExtents
            : has_blocks                ? BlockFormat::kIndirect
                                        : BlockFormat::kNone;
  generation_ = generation;
  csum_seed_ = volume_.inode_csum_seed(ino_, generation);
  const DaxMode mode = volume_.options().dax;
  dax_ = is_regular() && (mode == DaxMode::kAlways || (mode == DaxMode::kInode && (flags & kFlagDax) != 0));
  if (is_regular() && !dax_) { mapping_.cache_ops = &page_ops(); }
}

void Inode::load(const RawInode& raw) {
  set_identity(raw.i_generation, raw.i_flags, raw.size());
  i_size_.store(raw.size());
  std::memcpy(i_block().data(), raw.i_block, sizeof(raw.i_block));
  file_acl_ = raw.i_file_acl_lo | static_cast<uint64_t>(raw.i_file_acl_high) << 32;
  const bool extra = has_extra_times(volume_, raw);
  const rt::SpinGuard guard(i_lock_);
  i_disksize_ = raw.size();
  sectors_ = raw_sectors(volume_, raw);
  links_ = raw.i_links_count;
  flags_ = raw.i_flags;
  uid_ = raw.i_uid | static_cast<uint32_t>(raw.i_uid_high) << 16;
  gid_ = raw.i_gid | static_cast<uint32_t>(raw.i_gid_high) << 16;
  atime_ = decode(raw.i_atime, raw.i_atime_extra, extra);
  mtime_ = decode(raw.i_mtime, raw.i_mtime_extra, extra);
  ctime_ = decode(raw.i_ctime, raw.i_ctime_extra, extra);
  crtime_ = decode(raw.i_crtime, raw.i_crtime_extra, extra);
}

void Inode::init_new(uint32_t generation, uint32_t flags) {
  set_identity(generation, flags, /*size=*/sizeof(RootBytes));  // a symbolic link is given its target later
  const TimeSpec now = current_time();
  const rt::SpinGuard guard(i_lock_);
  flags_ = flags;
  atime_ = mtime_ = ctime_ = crtime_ = now;
}

void Inode::fill_attributes(RawInode& raw) const {
  const bool extra = has_extra_times(volume_, raw);
  // Nested: the table's lock is held, so that an older copy cannot overwrite a newer one.
  const rt::SpinGuard guard(i_lock_, 1);
  raw.i_mode = static_cast<uint16_t>((mode_ & kModeTypeMask) | permissions_);
  raw.i_links_count = static_cast<uint16_t>(links_);
  raw.i_uid = static_cast<uint16_t>(uid_);
  raw.i_uid_high = static_cast<uint16_t>(uid_ >> 16);
  raw.i_gid = static_cast<uint16_t>(gid_);
  raw.i_gid_high = static_cast<uint16_t>(gid_ >> 16);
  raw.i_flags = (flags_ & ~kFlagHugeFile) | (raw.i_flags & kFlagHugeFile);
  raw.i_generation = generation_;
  raw.set_size(i_disksize_);
  if (!set_raw_sectors(volume_, &raw, sectors_)) {
    (void)FS_CORRUPT("inode %u: %llu sectors do not fit", ino_.value(),
                     static_cast<unsigned long long>(sectors_.get()));
  }
  const EncodedTime atime = encode(atime_, extra);
  const EncodedTime mtime = encode(mtime_, extra);
  const EncodedTime ctime = encode(ctime_, extra);
  raw.i_atime = atime.seconds;
  raw.i_mtime = mtime.seconds;
  raw.i_ctime = ctime.seconds;
  if (!extra) { return; }
  const EncodedTime crtime = encode(crtime_, extra);
  raw.i_atime_extra = atime.extra;
  raw.i_mtime_extra = mtime.extra;
  raw.i_ctime_extra = ctime.extra;
  raw.i_crtime = crtime.seconds;
  raw.i_crtime_extra = crtime.extra;
}

Status Inode::mark_dirty(jbd2::Handle& handle) {
  return update_inode(volume_, handle, ino_, [&](RawInode& raw) { fill_attributes(raw); });
}

Status Inode::mark_data_dirty(jbd2::Handle& handle) {
  return update_inode(volume_, handle, ino_, [&](RawInode& raw) {
    fill_attributes(raw);
    std::memcpy(raw.i_block, i_block_.get().data(), sizeof(raw.i_block));
  });
}

Status Inode::write_new(jbd2::Handle& handle) {
  return init_inode(volume_, handle, ino_, [&](RawInode& raw) {
    fill_attributes(raw);
    std::memcpy(raw.i_block, i_block_.get().data(), sizeof(raw.i_block));
  });
}

uint64_t Inode::i_disksize() const {
  const rt::SpinGuard guard(i_lock_);
  FS_TRACE_READ(disk_size_ref(ino_), i_disksize_);
  return i_disksize_;
}

void Inode::set_i_disksize(uint64_t size) {
  const rt::SpinGuard guard(i_lock_);
  FS_TRACE_WRITE(disk_size_ref(ino_), i_disksize_, size);
  i_disksize_ = size;
}

uint64_t Inode::sectors() const {
  const rt::SpinGuard guard(i_lock_);
  return sectors_;
}

void Inode::add_sectors(int64_t delta) {
  const rt::SpinGuard guard(i_lock_);
  const uint64_t before = sectors_;
  FS_BUG_ON(delta < 0 && static_cast<uint64_t>(-delta) > before, "IN3", "inode %u: i_blocks %llu, taking %lld",
            ino_.value(), static_cast<unsigned long long>(before), static_cast<long long>(-delta));
  sectors_ += static_cast<uint64_t>(delta);
}

InodeAttributes Inode::attributes() const {
  InodeAttributes attributes;
  attributes.size = i_size_.load();
  const rt::SpinGuard guard(i_lock_);
  attributes.ino = ino_;
  attributes.generation = generation_;
  attributes.mode = static_cast<uint16_t>((mode_ & kModeTypeMask) | permissions_);
  attributes.links = links_;
  attributes.uid = uid_;
  attributes.gid = gid_;
  attributes.sectors = sectors_ + delayed_blocks_.load_unpointed() * uint64_t{kBlockSize / kSectorSize};
  attributes.atime = atime_;
  attributes.mtime = mtime_;
  attributes.ctime = ctime_;
  attributes.crtime = crtime_;
  attributes.flags = flags_;
  return attributes;
}

uint32_t Inode::links() const {
  const rt::SpinGuard guard(i_lock_);
  return links_;
}

void Inode::set_links(uint32_t links) {
  const rt::SpinGuard guard(i_lock_);
  links_ = links;
}

uint32_t Inode::flags() const {
  const rt::SpinGuard guard(i_lock_);
  FS_TRACE_READ(block_format_ref(ino_), (flags_ & kFlagExtents) != 0 ? 1 : 0);
  return flags_;
}

void Inode::set_flags(uint32_t flags) {
  const rt::SpinGuard guard(i_lock_);
  flags_ = flags;
}

bool Inode::update_times(TimeSpec now, bool mtime, bool ctime, bool atime) {
  const rt::SpinGuard guard(i_lock_);
  bool changed = false;
  const auto set = [&](bool wanted, auto* time) {
    if (wanted && *time != now) {
      *time = now;
      changed = true;
    }
  };
  set(mtime, &mtime_);
  set(ctime, &ctime_);
  set(atime, &atime_);
  return changed;
}

Status Inode::reserve_delayed(LogicalBlock lblk) {
  FS_RETURN_IF_ERROR(volume_.claim_blocks(1, /*use_reserved=*/false));
  delayed_blocks_.fetch_add(1);
  extent_status.add_delayed(lblk, uint64_t{lblk.value()} + 1);
  return ok_status();
}

void Inode::release_delayed(LogicalBlock lblk) {
  extent_status.remove_delayed(lblk, uint64_t{lblk.value()} + 1);
  delayed_blocks_.fetch_sub(1);
  volume_.unclaim_blocks(1);
}

void Inode::check_no_delayed() const {
  FS_WARN_ON(delayed_blocks_.load_unpointed() != 0, "IN4", about(inode_ref(ino_)),
             "inode %u is evicted with %u reserved blocks", ino_.value(), delayed_blocks_.load_unpointed());
}

}  // namespace daxfs::ext4
