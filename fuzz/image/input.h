// fuzz/image/input.h - what image_fuzzer runs: an image, what is damaged in it, and a program that
// uses it.
//
// Binary: image number, flags, count of patches, ten bytes a patch, then a program
// (fuzz/prog/binary.h). Any bytes are an input: numbers are reduced to known ones, missing bytes
// are zero. Text:
//
//   daxfuzz image 1
//   image rich
//   checksums renewed            # or: kept
//   patch inode 12 +0x28 set4 0xffffffff
//   patch extents 0 +0x2 add2 1
//   program
//   daxfuzz program 1 ...        # docs/formats/program.md; its image is the one above
//
// A patch changes one place: part and number of the thing (fuzz/image/anatomy.h; inodes by number),
// offset in it, and set, add or flip (xor) of 1, 2, 4 or 8 bytes, `fill` of as many bytes times 16,
// or `copy` of the whole thing from the number that is the value. Offsets and numbers are reduced
// to what there is.
//
// Locking: none; values.
// Tested by: fuzz/image/image_test.cc
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "fuzz/image/anatomy.h"
#include "fuzz/prog/program.h"

namespace daxfuzz::image {

inline constexpr size_t kPatchesMax = 32;

enum class Edit : uint8_t { kSet, kAdd, kFlip, kFill, kCopy };

struct Patch {
  Part part = Part::kSuper;
  Edit edit = Edit::kSet;
  uint8_t width = 1;  // 1, 2, 4 or 8
  uint16_t site = 0;
  uint16_t offset = 0;
  uint32_t value = 0;  // of 8 bytes the low half; `set` extends its sign
  bool operator==(const Patch&) const = default;
};

struct Input {
  uint8_t image = 0;  // of image_names()
  bool renew = false;
  std::vector<Patch> patches;
  prog::Program program = prog::Program::minimal();
  bool operator==(const Input&) const = default;
};

// Either form.
Input load(std::span<const uint8_t> bytes);
std::vector<uint8_t> encode(const Input& input);
bool is_text(std::span<const uint8_t> bytes);
// False with *error = "NAME:line: what was expected".
bool parse(std::string_view text, std::string_view name, Input* input, std::string* error);
std::string print(const Input& input);

// In the shape of libFuzzer's custom mutators (fuzz/prog/fuzz_bytes.h).
size_t mutate_bytes(uint8_t* data, size_t size, size_t size_max, unsigned seed);
size_t crossover_bytes(const uint8_t* data1, size_t size1, const uint8_t* data2, size_t size2, uint8_t* out,
                       size_t out_max, unsigned seed);

}  // namespace daxfuzz::image
