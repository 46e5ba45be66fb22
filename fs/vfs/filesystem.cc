#include "fs/vfs/filesystem.h"

#include <charconv>
#include <utility>

#include "fs/base/historical.h"
#include "fs/cache/reclaim.h"
#include "fs/cache/truncate.h"
#include "fs/dax/invalidate.h"
#include "fs/ext4/flusher.h"
#include "fs/ext4/fsync.h"
#include "fs/ext4/inode_cache.h"

namespace daxfs::vfs {
namespace {

// A number from 1 on.
bool parse_count(std::string_view text, uint32_t* count) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), *count);
  return error == std::errc() && end == text.data() + text.size() && *count != 0;
}

bool apply_option(std::string_view option, ext4::MountOptions* options) {
  if (option.empty() || option == "defaults" || option == "rw") {
  } else if (option == "ro") {
    options->read_only = true;
  } else if (option == "dax" || option == "dax=always") {
    options->dax = ext4::DaxMode::kAlways;
  } else if (option == "dax=inode") {
    options->dax = ext4::DaxMode::kInode;
  } else if (option == "dax=never") {
    options->dax = ext4::DaxMode::kNever;
  } else if (option == "huge=never") {
    options->huge_order = 0;
  } else if (option.size() == 6 && option.starts_with("huge=") && option[5] >= '1' && option[5] <= '9') {
    options->huge_order = static_cast<unsigned>(option[5] - '0');
  } else if (option == "dioread_lock" || option == "dioread_nolock") {
    options->dioread_nolock = option == "dioread_nolock";
  } else if (option.starts_with("fail_bio=")) {
    return parse_count(option.substr(9), &options->fail[static_cast<size_t>(Injection::kBio)]);
  } else if (option.starts_with("fail_alloc=")) {
    return parse_count(option.substr(11), &options->fail[static_cast<size_t>(Injection::kAlloc)]);
  } else if (option.starts_with("fail_memory=")) {
    return parse_count(option.substr(12), &options->fail[static_cast<size_t>(Injection::kMemory)]);
  } else if (option.starts_with("reclaim=")) {
    return parse_count(option.substr(8), &options->reclaim_pages);
  } else if (option.starts_with("flush=")) {
    return parse_count(option.substr(6), &options->flush_pages);
  } else if (option == "es_test") {
    options->es_test = true;
  } else if (option == "trim_eof") {
    options->trim_eof = true;
  } else if (option == "poison_freed") {
    options->poison_freed = true;
  } else {
    return false;
  }
  return true;
}

}  // namespace

Result<ext4::MountOptions> parse_mount_options(std::string_view text, std::string* message) {
  ext4::MountOptions options;
  while (!text.empty()) {
    const size_t comma = text.find(',');
    const std::string_view option = text.substr(0, comma);
    if (!apply_option(option, &options)) {
      if (message != nullptr) {
        *message = "unknown mount option '" + std::string(option) +
                   "'; expected dax=always, dax=inode, dax=never, huge=never, huge=1..9, dioread_lock, dioread_nolock, "
                   "fail_bio=N, fail_alloc=N, fail_memory=N, reclaim=N, flush=N, es_test, trim_eof, ro, rw or "
                   "poison_freed";
      }
      return Errc::kInval;
    }
    text.remove_prefix(comma == std::string_view::npos ? text.size() : comma + 1);
  }
  return options;
}

Result<std::unique_ptr<Filesystem>> Filesystem::mount(pmem::Device& device, mm::Memory& memory,
                                                      const ext4::MountOptions& options, std::string* message) {
  return mount(device, nullptr, memory, options, message);
}

Result<std::unique_ptr<Filesystem>> Filesystem::mount(pmem::Device& device, std::string_view options,
                                                      std::string* message, uint32_t dram_frames_max) {
  FS_ASSIGN_OR_RETURN(const ext4::MountOptions parsed, parse_mount_options(options, message));
  auto memory = std::make_unique<mm::Memory>(device, dram_frames_max);
  mm::Memory& frames = *memory;
  return mount(device, std::move(memory), frames, parsed, message);
}

Result<std::unique_ptr<Filesystem>> Filesystem::mount(pmem::Device& device, std::unique_ptr<mm::Memory> owned,
                                                      mm::Memory& memory, const ext4::MountOptions& options,
                                                      std::string* message) {
  std::unique_ptr<Filesystem> fs(new Filesystem(std::move(owned), memory));
  FS_ASSIGN_OR_RETURN(fs->volume_, ext4::Volume::mount(device, memory, options, message));
  if (options.reclaim_pages != 0) { fs->kswapd_ = std::make_unique<cache::Kswapd>(memory, options.reclaim_pages); }
  return fs;
}

Filesystem::~Filesystem() = default;

Status Filesystem::unmount() {
  if (kswapd_ != nullptr) { kswapd_->stop(); }
  const Status status = volume_->unmount();
  volume_.reset();
  return status;
}

Status Filesystem::sync() {
  if (volume_->read_only()) { return ok_status(); }
  Status first;
  for (ext4::InodeRef& inode : volume_->inodes().all()) {
    if (!inode->is_regular()) { continue; }
    const Status status = ext4::sync_file(*inode, 0, UINT64_MAX, /*datasync=*/false);
    if (first.ok()) { first = status; }
  }
  const Status status = volume_->sync_fs();
  return first.ok() ? status : first;
}

void Filesystem::wake_daemons() {
  if (kswapd_ != nullptr) { kswapd_->wake(); }
  if (ext4::Flusher* const flusher = volume_->flusher()) { flusher->wake(); }
}

unsigned Filesystem::reclaim(unsigned pages) { return cache::shrink_pages(memory_, pages); }

void Filesystem::drop_caches() {
  for (ext4::InodeRef& inode : volume_->inodes().all()) {
    if (!inode->is_regular()) { continue; }
    if (!inode->is_dax()) {
      cache::invalidate_unused_pages(inode->mapping());
    } else if (historical(Bug::kReclaimDropsDax)) {
      dax::drop_clean_entries(inode->mapping());
    }
  }
  volume_->inodes().shrink();
  volume_->buffers().shrink();
}

}  // namespace daxfs::vfs
