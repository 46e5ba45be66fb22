#include "fuzz/exec/machine.h"

#include <algorithm>

#include "fs/rt/point.h"

namespace daxfuzz::exec {
namespace {

constexpr size_t kStartNamesMax = 256;  // followed in every run

class Lister final : public daxfs::check::TreeVisitor {
 public:
  Lister(const daxfs::check::ImageReader& reader, std::vector<oracle::TreeName>* names)
      : reader_(reader), names_(names) {}
  void visit(const daxfs::check::TreeEntry& entry) override {
    const daxfs::check::TreeInode& inode = entry.inode;
    const auto kind = inode.is_directory() ? oracle::NameKind::kDirectory
                      : inode.is_regular() ? oracle::NameKind::kFile
                      : inode.is_symlink() ? oracle::NameKind::kSymlink
                                           : oracle::NameKind::kOther;
    names_->push_back({std::string(entry.path), kind, inode.ino, inode.generation, inode.links,
                       inode.is_symlink() ? reader_.target(inode) : std::string()});
  }

 private:
  const daxfs::check::ImageReader& reader_;
  std::vector<oracle::TreeName>* names_;
};

}  // namespace

bool list_names(const daxfs::check::ImageReader& reader, std::vector<oracle::TreeName>* names) {
  Lister lister(reader, names);
  return reader.walk(lister);
}

// An address space's locks have the same identities whether it is new or reset: policies know objects by them.
constexpr uint64_t kIdsPerMm = 1024;
constexpr uint64_t kIdsOfMemory = uint64_t{1} << 20;

daxfs::Result<std::unique_ptr<Machine>> Machine::create(std::span<const std::byte> pristine) {
  std::unique_ptr<Machine> machine(new Machine);
  machine->pristine_ = pristine;
  FS_ASSIGN_OR_RETURN(machine->device_, daxfs::pmem::Device::anonymous(pristine.size()));
  machine->device_->load_image(pristine);
  const daxfs::rt::ObjectIdsFrom ids(kIdsOfMemory);
  machine->memory_ = std::make_unique<daxfs::mm::Memory>(*machine->device_, kDramFrames);
  machine->reader_ = std::make_unique<daxfs::check::ImageReader>(machine->device_->bytes());
  // Only on media that is sound to begin with: a block of two files may be freed by one of them.
  machine->has_baseline_ = machine->media_scratch_.set_baseline(pristine);
  machine->device_->watch_freed(machine->has_baseline_);
  machine->device_->watch_owners(machine->has_baseline_);
  const bool listed = machine->has_baseline_ && list_names(*machine->reader_, &machine->start_names_);
  if (!listed || machine->start_names_.size() > kStartNamesMax) { machine->start_names_.clear(); }
#if defined(DAXFS_RT_FIBER)
  machine->device_->watch_durability(true);
#endif
  return machine;
}

uint64_t Machine::blocks_available() const {
  constexpr uint64_t kKeptMax = 4096;  // kernel: ext4_calculate_resv_clusters
  const daxfs::check::TreeSpace space = reader_->space();
  const uint64_t kept = space.blocks_reserved + std::min(space.blocks / 50, kKeptMax);
  return space.blocks_free > kept ? space.blocks_free - kept : 0;
}

void Machine::restore() {
  device_->restore(pristine_);
  for (size_t i = 0; i < mms_.size(); ++i) {
    const daxfs::rt::ObjectIdsFrom ids(i * kIdsPerMm);
    mms_[i]->reset();
  }
  const daxfs::rt::ObjectIdsFrom ids(kIdsOfMemory);
  memory_->reset();
}

daxfs::mm::Mm& Machine::mm(size_t i) {
  while (mms_.size() <= i) {
    const daxfs::rt::ObjectIdsFrom ids(mms_.size() * kIdsPerMm);
    mms_.push_back(std::make_unique<daxfs::mm::Mm>(*memory_, mms_.size()));
  }
  return *mms_[i];
}

}  // namespace daxfuzz::exec
