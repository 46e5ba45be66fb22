// fs/pmem/device.cc - opening, range checks, points, tracking and poison of a device.
#include "fs/pmem/device.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <cinttypes>
#include <cstring>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/base/report.h"
#include "fs/base/scope_guard.h"
#include "fs/pmem/mapping.h"
#include "fs/pmem/raw_copy.h"
#include "fs/rt/point.h"
#include "fs/rt/step.h"

namespace daxfs::pmem {
namespace {

// The object of a point: two tasks touch the same thing if they touch the same 4 KiB block.
rt::ObjectId block_object(uint64_t offset) { return rt::object_id(rt::ObjectClass::kPmem, offset / kBlockSize, 0); }

// A point is about the first block of its range. These are the others.
void also_other_blocks(rt::PointKind kind, uint64_t offset, uint64_t size) {
  for (uint64_t at = (offset / kBlockSize + 1) * kBlockSize; at < offset + size; at += kBlockSize) {
    rt::also(kind, block_object(at));
  }
}

Errc fail(std::string* message, const std::string& path, const std::string& what, Errc errc) {
  if (message != nullptr) { *message = path + ": " + what; }
  return errc;
}

Errc fail_errno(std::string* message, const std::string& path, int error) {
  // Every errno that open(2) and friends give has the same number in Errc; anything exotic is an
  // I/O error to us.
  const auto errc = static_cast<Errc>(error);
  const bool known = std::strcmp(errc_name(errc), "E?") != 0;
  return fail(message, path, std::strerror(error), known ? errc : Errc::kIo);
}

bool usable_size(uint64_t size) { return size != 0 && size % kBlockSize == 0; }

std::string size_complaint(uint64_t size) {
  if (size == 0) { return "has no bytes"; }
  return "has " + std::to_string(size) + " bytes, which is no multiple of the block size 4096";
}

}  // namespace

Device::Device(std::unique_ptr<Mapping> mapping, std::byte* base, uint64_t size, bool read_only)
    : base_(base),
      size_(size),
      read_only_(read_only),
      changed_(size / kBlockSize),
      poison_(size / kSectorSize),
      freed_(size / kBlockSize),
      unfenced_(size / kBlockSize),
      mapping_(std::move(mapping)) {}

Device::~Device() = default;

Result<std::unique_ptr<Device>> Device::open(const std::string& path, const OpenOptions& options) {
  const bool writes_file = !options.read_only && !options.private_copy;
  const int fd = ::open(path.c_str(), (writes_file ? O_RDWR : O_RDONLY) | O_CLOEXEC);
  if (fd < 0) { return fail_errno(options.message, path, errno); }
  ScopeGuard close_file([&] { ::close(fd); });

  struct stat attributes = {};
  if (::fstat(fd, &attributes) != 0) { return fail_errno(options.message, path, errno); }
  if (S_ISDIR(attributes.st_mode)) { return fail(options.message, path, "is a directory", Errc::kIsDir); }
  uint64_t size = static_cast<uint64_t>(attributes.st_size);
  if (!S_ISREG(attributes.st_mode)) {
    // A device DAX node has no st_size; libpmem2 knows, and refuses every other kind of file.
    pmem2_source* source = nullptr;
    size_t found = 0;
    const bool usable = pmem2_source_from_fd(&source, fd) == 0 && pmem2_source_size(source, &found) == 0;
    pmem2_source_delete(&source);
    if (!usable) { return fail(options.message, path, "is neither a regular file nor device DAX", Errc::kInval); }
    size = found;
  }
  if (!usable_size(size)) { return fail(options.message, path, size_complaint(size), Errc::kInval); }

  std::string why;
  auto mapping = Mapping::map(
      {.fd = fd, .size = size, .read_only = options.read_only, .private_copy = options.private_copy}, &why);
  if (!mapping.ok()) { return fail(options.message, path, why, mapping.error()); }
  std::byte* base = mapping.value()->base();
  std::unique_ptr<Device> device(new Device(std::move(mapping).value(), base, size, options.read_only));
  device->watch_owners(false);
  return device;
}

Result<std::unique_ptr<Device>> Device::create(const std::string& path, uint64_t size, std::string* message) {
  if (!usable_size(size)) { return fail(message, path, size_complaint(size), Errc::kInval); }
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  if (fd < 0) { return fail_errno(message, path, errno); }
  // Blocks are allocated now: a store through the mapping that finds no space would be a SIGBUS.
  const int error = ::posix_fallocate(fd, 0, static_cast<off_t>(size));
  ::close(fd);
  if (error != 0) {
    ::unlink(path.c_str());
    return fail_errno(message, path, error);
  }
  OpenOptions options;
  options.message = message;
  return open(path, options);
}

Result<std::unique_ptr<Device>> Device::anonymous(uint64_t size) {
  if (!usable_size(size)) { return Errc::kInval; }
  auto mapping = Mapping::map({.size = size}, nullptr);
  if (!mapping.ok()) { return Errc::kNoMem; }
  std::byte* base = mapping.value()->base();
  return std::unique_ptr<Device>(new Device(std::move(mapping).value(), base, size, false));
}

void Device::require_inside(uint64_t offset, uint64_t size, const char* what) const {
  FS_BUG_ON(!contains(offset, size), "PM1",
            "%s of %" PRIu64 " bytes at offset %" PRIu64 " leaves the device of %" PRIu64 " bytes", what, size, offset,
            size_);
}

void Device::report_freed(uint64_t offset, uint64_t size, const char* what, Site site) const {
  uint64_t block = offset / kBlockSize;
  while (!freed_.any_in(block, block + 1)) { ++block; }
  internal::report_finding(Verdict::kWarn, "O15", site,
                           "%s of %" PRIu64 " bytes meets block %" PRIu64 ", which is free", what, size, block);
  FS_STOP_AT_FINDING();
}

namespace {

// step(block, first byte in it, offset into the whole, bytes) for each block that the range touches.
template <typename Step>
void for_blocks(uint64_t offset, uint64_t size, Step step) {
  for (uint64_t done = 0; done < size;) {
    const uint64_t at = offset + done;
    const uint64_t count = std::min(size - done, kBlockSize - at % kBlockSize);
    step(Pfn(at / kBlockSize), at % kBlockSize, done, count);
    done += count;
  }
}

}  // namespace

void Device::trace_loaded(uint64_t offset, uint64_t size) const {
  for_blocks(offset, size, [&](Pfn pfn, uint64_t first, uint64_t done, uint64_t count) {
    rt::trace_bytes(bytes_ref(pfn, first, count), {}, bytes().subspan(offset + done, count));
  });
}

void Device::trace_stored(uint64_t offset, uint64_t size, std::span<const std::byte> stored) const {
  static constexpr std::array<std::byte, kBlockSize> kZeros{};
  for_blocks(offset, size, [&](Pfn pfn, uint64_t first, uint64_t done, uint64_t count) {
    const auto now = stored.empty() ? std::span<const std::byte>(kZeros).first(count) : stored.subspan(done, count);
    rt::trace_bytes(bytes_ref(pfn, first, count), bytes().subspan(offset + done, count), now);
  });
}

Status Device::read(uint64_t offset, std::span<std::byte> out, Site site) const {
  if (!contains(offset, out.size())) { return Errc::kInval; }
  if (out.empty()) { return ok_status(); }
  rt::point(rt::PointKind::kUserLoad, block_object(offset), site);  // whoever loads
  also_other_blocks(rt::PointKind::kUserLoad, offset, out.size());
  require_owned(offset, out.size(), "load", site);
  if (poisoned(offset, out.size())) { return Errc::kIo; }
  trace_load(offset, out.size());
  raw_copy(out.data(), base_ + offset, out.size());
  return ok_status();
}

Status Device::store(uint64_t offset, std::span<const std::byte> bytes, Site site) {
  return store_kind(offset, bytes, StoreKind::kCached, site);
}

Status Device::store_nt(uint64_t offset, std::span<const std::byte> bytes, Site site) {
  return store_kind(offset, bytes, StoreKind::kNonTemporal, site);
}

Status Device::store_kind(uint64_t offset, std::span<const std::byte> bytes, StoreKind kind, Site site) {
  require_inside(offset, bytes.size(), "store");
  if (read_only_) { return Errc::kRoFs; }
  if (bytes.empty()) { return ok_status(); }
  rt::point(rt::PointKind::kPmemStore, block_object(offset), site);
  also_other_blocks(rt::PointKind::kPmemStore, offset, bytes.size());
  place(offset, bytes, kind, site);
  return ok_status();
}

Status Device::store_unscheduled(uint64_t offset, std::span<const std::byte> bytes, Site site) {
  require_inside(offset, bytes.size(), "store");
  if (read_only_) { return Errc::kRoFs; }
  if (bytes.empty()) { return ok_status(); }
  place(offset, bytes, StoreKind::kCached, site);
  if (!marks_.empty()) { note_user_store(offset, bytes.size()); }
  return ok_status();
}

void Device::place(uint64_t offset, std::span<const std::byte> bytes, StoreKind kind, Site site) {
  require_owned(offset, bytes.size(), "store", site);
  mark_changed(offset, bytes.size());
  if (rt::tracing()) { trace_stored(offset, bytes.size(), bytes); }
  std::byte* to = base_ + offset;
  if (kind == StoreKind::kNonTemporal && mapping_->durable()) {
    mapping_->store_nt(to, bytes.data(), bytes.size());
  } else {
    raw_copy(to, bytes.data(), bytes.size());
  }
  if (kind == StoreKind::kNonTemporal) { note_non_temporal(offset, bytes.size()); }
  if (recorder_ != nullptr) { recorder_->on_store(offset, {to, bytes.size()}, kind, site); }
}

Status Device::zero(uint64_t offset, uint64_t size, Site site) {
  require_inside(offset, size, "zeroing");
  if (read_only_) { return Errc::kRoFs; }
  if (size == 0) { return ok_status(); }
  rt::point(rt::PointKind::kPmemStore, block_object(offset), site);
  also_other_blocks(rt::PointKind::kPmemStore, offset, size);
  require_owned(offset, size, "zeroing", site);
  mark_changed(offset, size);
  if (rt::tracing()) { trace_stored(offset, size, {}); }
  mapping_->zero_nt(base_ + offset, size);
  note_non_temporal(offset, size);
  if (recorder_ != nullptr) { recorder_->on_store(offset, {base_ + offset, size}, StoreKind::kNonTemporal, site); }
  return ok_status();
}

Status Device::store_clearing_poison(uint64_t offset, std::span<const std::byte> bytes, Site site) {
  FS_BUG_ON(offset % kSectorSize != 0 || bytes.size() % kSectorSize != 0, "PM3",
            "clearing store of %zu bytes at offset %" PRIu64 " covers part of a sector", bytes.size(), offset);
  FS_RETURN_IF_ERROR(store_kind(offset, bytes, StoreKind::kNonTemporal, site));
  if (poison_.any()) { clear_poison(offset, bytes.size()); }
  return ok_status();
}

void Device::watch_durability(bool on) {
  marks_.assign(on ? block_count() : 0, {});
  forget_stores();
}

void Device::forget_stores() {
  unfenced_.clear_all();
  last_fence_.set(watch_time_.next());
}

void Device::note_user_store(uint64_t offset, uint64_t size) {
  const uint64_t now = watch_time_.next();
  for (uint64_t b = offset / kBlockSize; b * kBlockSize < offset + size; ++b) {
    DurabilityMark& mark = marks_[b];
    const bool first = !unfenced_.any_in(b, b + 1);
    if (first || mark.flushed.get() != 0) {
      const bool older_waits = !first && mark.older_flushed.get() > last_fence_.get();
      if (!older_waits) { mark.older_store.set(first ? 0 : mark.first_store.get()); }
      mark.older_flushed.set(first ? 0 : mark.flushed.get());
      mark.first_store.set(now);
      mark.flushed.set(0);
    }
    unfenced_.set_range(b, b + 1);
  }
}

// Nothing of an older store is left in blocks that it covers wholly.
void Device::note_non_temporal(uint64_t offset, uint64_t size) {
  if (marks_.empty()) { return; }
  const uint64_t now = watch_time_.next();
  const rt::TaskId task = rt::current_task();
  if (task != rt::kNoTask) { stores_of_[static_cast<size_t>(task)].set(now); }
  for (uint64_t b = offset / kBlockSize; b * kBlockSize < offset + size; ++b) { marks_[b].non_temporal.set(now); }
  if (!unfenced_.any()) { return; }
  const uint64_t begin = div_round_up(offset, kBlockSize);
  const uint64_t end = (offset + size) / kBlockSize;
  if (begin < end) { unfenced_.clear_range(begin, end); }
}

// Blocks that the range covers wholly; a part of one leaves the rest in the cache.
void Device::note_flush(uint64_t offset, uint64_t size) {
  const uint64_t now = watch_time_.next();
  for (uint64_t b = div_round_up(offset, kBlockSize); (b + 1) * kBlockSize <= offset + size; ++b) {
    if (unfenced_.any_in(b, b + 1) && marks_[b].flushed.get() == 0) { marks_[b].flushed.set(now); }
  }
}

void Device::flush(uint64_t offset, uint64_t size, Site site) {
  require_inside(offset, size, "flush");
  if (size == 0) { return; }
  rt::point(rt::PointKind::kPmemFlush, block_object(offset), site);
  also_other_blocks(rt::PointKind::kPmemFlush, offset, size);
  mapping_->flush(base_ + offset, size);
  if (!marks_.empty()) { note_flush(offset, size); }
  if (recorder_ != nullptr) { recorder_->on_flush(offset, size, site); }
}

void Device::fence(Site site) {
  rt::point(rt::PointKind::kPmemFence, rt::ObjectId{}, site);
  mapping_->fence();
  if (!marks_.empty()) { last_fence_.set(watch_time_.next()); }
  if (recorder_ != nullptr) { recorder_->on_fence(site); }
}

void Device::persist(uint64_t offset, uint64_t size, Site site) {
  if (size == 0) { return; }
  flush(offset, size, site);
  fence(site);
}

void Device::set_poison(uint64_t offset, uint64_t size) {
  require_inside(offset, size, "poisoning");
  if (size == 0) { return; }
  poison_.set_range(offset / kSectorSize, div_round_up(offset + size, kSectorSize));
}

void Device::clear_poison(uint64_t offset, uint64_t size) {
  require_inside(offset, size, "clearing of poison");
  if (size == 0) { return; }
  poison_.clear_range(offset / kSectorSize, div_round_up(offset + size, kSectorSize));
}

void Device::restore(std::span<const std::byte> pristine) {
  FS_BUG_ON(pristine.size() != size_, "PM2", "template of %zu bytes for a device of %" PRIu64, pristine.size(), size_);
  if (changed_.any()) {
    const std::span<const uint64_t> words = changed_.words();
    for (size_t word = 0; word < words.size(); ++word) {
      for (uint64_t bits = changed_.take_word(word); bits != 0; bits &= bits - 1) {
        const uint64_t offset = (word * 64 + static_cast<unsigned>(std::countr_zero(bits))) * kBlockSize;
        raw_copy(base_ + offset, pristine.data() + offset, kBlockSize);
      }
    }
    changed_.clear_all();
  }
  poison_.clear_all();
  freed_.clear_all();
  forget_stores();
}

void Device::load_image(std::span<const std::byte> image) {
  FS_BUG_ON(image.size() > size_, "PM1", "image of %zu bytes for a device of %" PRIu64, image.size(), size_);
  FS_BUG_ON(read_only_, "PM1", "image loaded into a read-only device");
  raw_copy(base_, image.data(), image.size());
  raw_zero(base_ + image.size(), size_ - image.size());
  changed_.clear_all();
  poison_.clear_all();
  freed_.clear_all();
  forget_stores();
}

}  // namespace daxfs::pmem
