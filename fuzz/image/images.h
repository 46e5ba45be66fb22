// fuzz/image/images.h - the sound images that damage is done to, and the damage done.
//
// Made by mke2fs when the project is built (make_images.py) and compiled in.
// Locking: none; what is expanded once is for one thread.  Tested by: fuzz/image/image_test.cc
#pragma once

#include <cstddef>
#include <span>
#include <string_view>
#include <vector>

#include "fuzz/exec/image_table.h"
#include "fuzz/image/anatomy.h"
#include "fuzz/image/input.h"
#include "fuzz/prog/random.h"

namespace daxfuzz::image {

struct Image {
  std::string_view name;
  std::vector<std::byte> bytes;
  Anatomy anatomy;
};

// Append only: binary inputs hold the number.
std::span<const exec::ImageData> image_table();
std::span<const std::string_view> image_names();
// Expanded once a process; lives as long as it. REQUIRES: number < image_names().size().
const Image& image_at(size_t number);

// Changes `bytes`, which are those of the image. Afterwards `touched` names the blocks that may
// differ from it, ascending.
void apply(const Input& input, std::span<std::byte> bytes, std::vector<uint64_t>* touched);

// One change of what is damaged.
void mutate_damage(Input* input, prog::Random& random);

}  // namespace daxfuzz::image
