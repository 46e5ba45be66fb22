#include "fuzz/image/images.h"

#include <algorithm>
#include <cstring>
#include <memory>

#include "fs/base/types.h"

namespace daxfuzz::image {
namespace {

using daxfs::kBlockSize;

// `width` bytes at `at`, little-endian.
void change(std::byte* at, const Patch& patch) {
  uint64_t value = 0;
  std::memcpy(&value, at, patch.width);
  const auto operand = static_cast<uint64_t>(static_cast<int64_t>(static_cast<int32_t>(patch.value)));
  value = patch.edit == Edit::kSet ? operand : patch.edit == Edit::kAdd ? value + operand : value ^ operand;
  std::memcpy(at, &value, patch.width);
}

}  // namespace

std::span<const std::string_view> image_names() {
  static const std::vector<std::string_view>& names = *[] {
    auto* all = new std::vector<std::string_view>;
    for (const exec::ImageData& data : image_table()) { all->push_back(data.name); }
    return all;
  }();
  return names;
}

const Image& image_at(size_t number) {
  static std::vector<std::unique_ptr<Image>>& cache = *new std::vector<std::unique_ptr<Image>>(image_table().size());
  if (cache[number] == nullptr) {
    const exec::ImageData& data = image_table()[number];
    std::vector<std::byte> bytes = exec::expand(data);
    Anatomy anatomy(bytes);
    cache[number] = std::make_unique<Image>(Image{data.name, std::move(bytes), std::move(anatomy)});
  }
  return *cache[number];
}

void apply(const Input& input, std::span<std::byte> bytes, std::vector<uint64_t>* touched) {
  const Anatomy& anatomy = image_at(input.image).anatomy;
  touched->clear();
  for (const Patch& patch : input.patches) {
    const auto sites = anatomy.sites(patch.part);
    const Site& site = sites[patch.site % sites.size()];
    const uint64_t offset = patch.offset % site.size;
    const uint64_t room = site.size - offset;
    std::byte* const at = bytes.data() + site.offset + offset;
    if (patch.edit == Edit::kCopy) {
      const Site& from = sites[patch.value % sites.size()];
      std::memmove(bytes.data() + site.offset, bytes.data() + from.offset, std::min(site.size, from.size));
    } else if (patch.edit == Edit::kFill) {
      std::memset(at, static_cast<int>(patch.value & 0xff), std::min<uint64_t>(room, uint64_t{16} * patch.width));
    } else if (patch.width <= room) {
      change(at, patch);
    }
    touched->push_back(site.offset / kBlockSize);
  }
  if (input.renew) {
    anatomy.renew(bytes);
    touched->insert(touched->end(), anatomy.checked_blocks().begin(), anatomy.checked_blocks().end());
  }
  std::sort(touched->begin(), touched->end());
  touched->erase(std::unique(touched->begin(), touched->end()), touched->end());
}

}  // namespace daxfuzz::image
