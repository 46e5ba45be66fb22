// fuzz/image/mutate.cc - damage that is worth a try: fields by their offsets, values that other
// fields have.
#include <algorithm>
#include <cstddef>

#include "fs/check/media_format.h"
#include "fuzz/image/images.h"

namespace daxfuzz::image {
namespace {

using prog::Random;
namespace media = daxfs::check::media;

// Parts by how often they are chosen.
constexpr Part kOften[] = {Part::kInode,   Part::kInode,   Part::kInode,     Part::kInode,       Part::kExtents,
                           Part::kExtents, Part::kExtents, Part::kDirectory, Part::kDirectory,   Part::kIndex,
                           Part::kSuper,   Part::kGroup,   Part::kXattr,     Part::kBlockBitmap, Part::kInodeBitmap,
                           Part::kJournal, Part::kBlock};

constexpr uint32_t kValues[] = {0,          1,          2,          3,          4,          5,      7,      8,
                                10,         11,         12,         15,         16,         32,     64,     127,
                                128,        255,        256,        340,        341,        0x7fff, 0x8000, 0x8001,
                                0xffff,     0x10000,    0x7fffffff, 0xf30a,     0x4000,     0x8000, 0xa000, 0xfffff,
                                0x80000000, 0xfffffffe, 0xffffffff, 0x02080000, 0x00080000, 0x1000, 0xfff,  0x1001};

struct Field {
  uint16_t offset;
  uint8_t width;
};

constexpr Field kInodeFields[] = {{0, 2},    {4, 4},    {0x14, 4}, {0x1a, 2}, {0x1c, 4}, {0x20, 4}, {0x28, 2},
                                  {0x2a, 2}, {0x2c, 2}, {0x2e, 2}, {0x34, 4}, {0x38, 2}, {0x3a, 2}, {0x3c, 4},
                                  {0x40, 4}, {0x44, 2}, {0x46, 2}, {0x48, 4}, {0x4c, 4}, {0x50, 2}, {0x64, 4},
                                  {0x68, 4}, {0x6c, 4}, {0x74, 2}, {0x76, 2}, {0x7c, 2}, {0x80, 2}};
constexpr Field kNodeFields[] = {{0, 2},  {2, 2},  {4, 2},  {6, 2},  {12, 4}, {16, 2}, {18, 2}, {20, 4},
                                 {24, 4}, {28, 2}, {30, 2}, {32, 4}, {36, 4}, {40, 2}, {42, 2}, {44, 4}};
constexpr Field kSuperFields[] = {{0x0, 4},   {0x4, 4},   {0xc, 4},   {0x10, 4},  {0x14, 4},  {0x18, 4},  {0x1c, 4},
                                  {0x20, 4},  {0x24, 4},  {0x28, 4},  {0x38, 2},  {0x3a, 2},  {0x4c, 4},  {0x54, 4},
                                  {0x58, 2},  {0x5c, 4},  {0x60, 4},  {0x64, 4},  {0xce, 2},  {0xe0, 4},  {0xe8, 4},
                                  {0xfc, 1},  {0xfe, 2},  {0x150, 4}, {0x15c, 2}, {0x160, 4}, {0x174, 1}, {0x175, 1},
                                  {0x24c, 4}, {0x270, 4}, {0x3fc, 4}};
constexpr Field kGroupFields[] = {{0, 4},    {4, 4},    {8, 4},    {0xc, 2},  {0xe, 2},  {0x10, 2},
                                  {0x12, 2}, {0x1c, 2}, {0x1e, 2}, {0x20, 4}, {0x24, 4}, {0x28, 4}};
// Of the first entries; where the others begin depends on names.
constexpr Field kDirFields[] = {{0, 4},  {4, 2},  {6, 1},  {7, 1},  {8, 1},  {12, 4},   {16, 2},   {18, 1},
                                {19, 1}, {24, 4}, {28, 2}, {30, 1}, {31, 1}, {4084, 4}, {4088, 2}, {4090, 2}};
constexpr Field kIndexFields[] = {{0, 4},  {4, 2},  {12, 4}, {16, 2}, {24, 4}, {28, 1}, {29, 1},
                                  {30, 1}, {31, 1}, {32, 2}, {34, 2}, {36, 4}, {40, 4}, {44, 4}};
constexpr Field kXattrFields[] = {{0, 4}, {4, 4}, {8, 4}, {16, 4}, {32, 1}, {33, 1}, {34, 2}, {36, 4}, {40, 4}};

std::span<const Field> fields_of(Part part) {
  switch (part) {
    case Part::kInode: return kInodeFields;
    case Part::kExtents: return kNodeFields;
    case Part::kSuper: return kSuperFields;
    case Part::kGroup: return kGroupFields;
    case Part::kDirectory: return kDirFields;
    case Part::kIndex: return kIndexFields;
    case Part::kXattr: return kXattrFields;
    default: return {};
  }
}

uint32_t choose_value(const Anatomy& anatomy, Random& random) {
  switch (random.below(5)) {
    case 0: {  // where something else is
      const auto sites = anatomy.sites(static_cast<Part>(random.below(kParts)));
      return static_cast<uint32_t>(sites[random.below(sites.size())].offset / media::kBlockBytes);
    }
    case 1: return random.below(anatomy.sites(Part::kInode).size() + 1);  // an inode
    case 2: return random.below(uint64_t{1} << random.below(33));
    default: return random.pick(kValues);
  }
}

void choose_site(const Anatomy& anatomy, Patch* patch, Random& random) {
  const auto sites = anatomy.sites(patch->part);
  patch->site = static_cast<uint16_t>(random.below(sites.size()));
  if (patch->part == Part::kInode) {  // those in use lie in front
    patch->site =
        static_cast<uint16_t>(random.chance(7, 8) ? random.below(std::min<size_t>(sites.size(), 40)) : patch->site);
  }
}

Patch make_patch(const Anatomy& anatomy, Random& random) {
  Patch patch;
  patch.part = random.pick(kOften);
  choose_site(anatomy, &patch, random);
  const std::span<const Field> fields = fields_of(patch.part);
  if (!fields.empty() && random.chance(7, 8)) {
    const Field& field = random.pick(fields);
    patch.offset = field.offset;
    patch.width = field.width;
    if (patch.part == Part::kExtents || patch.part == Part::kDirectory) {  // and fields of later entries
      if (random.chance(1, 4)) { patch.offset = static_cast<uint16_t>(patch.offset + 12 * random.below(24)); }
    }
  } else {
    patch.offset = static_cast<uint16_t>(random.below(anatomy.sites(patch.part)[patch.site].size));
    patch.width = static_cast<uint8_t>(1u << random.below(4));
  }
  constexpr Edit kEdits[] = {Edit::kSet, Edit::kSet,  Edit::kSet,  Edit::kSet,  Edit::kAdd,
                             Edit::kAdd, Edit::kFlip, Edit::kFlip, Edit::kFill, Edit::kCopy};
  patch.edit = random.pick(kEdits);
  patch.value = choose_value(anatomy, random);
  if (patch.edit == Edit::kAdd) { patch.value = static_cast<uint32_t>(random.between(-3, 3)); }
  if (patch.edit == Edit::kFlip) { patch.value = 1u << random.below(32); }
  if (patch.edit == Edit::kFill) { patch.value = random.pick(kValues) & 0xff; }
  if (patch.edit == Edit::kCopy) { patch.value = random.below(anatomy.sites(patch.part).size()); }
  return patch;
}

}  // namespace

void mutate_damage(Input* input, prog::Random& random) {
  const Anatomy& anatomy = image_at(input->image).anatomy;
  std::vector<Patch>& patches = input->patches;
  if (random.chance(1, 24)) { input->image = static_cast<uint8_t>(random.below(image_names().size())); }
  if (random.chance(1, 16)) { input->renew = !input->renew; }
  if (patches.empty()) { input->renew = random.chance(7, 8); }
  const unsigned what = patches.empty() ? 0 : random.below(8);
  if (what <= 2 && patches.size() < kPatchesMax) {
    patches.push_back(make_patch(anatomy, random));
  } else if (what == 3) {
    patches.erase(patches.begin() + random.below(patches.size()));
  } else if (!patches.empty()) {
    Patch& patch = patches[random.below(patches.size())];
    switch (random.below(4)) {
      case 0: patch.value = choose_value(anatomy, random); break;
      case 1: patch.value += static_cast<uint32_t>(random.between(-4, 4)); break;
      case 2: choose_site(anatomy, &patch, random); break;
      default: patch = make_patch(anatomy, random); break;
    }
  }
}

}  // namespace daxfuzz::image
