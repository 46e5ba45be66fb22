// fuzz/prog/names.h - the small tables of names: paths, image templates, mount options.
//
// Few names make collisions, and collisions make bugs. The tables are append-only: binary programs
// hold row numbers. Text accepts any path, image and mount options; what is not in a table is
// carried as bytes.
//
// Tested by: fuzz/prog/binary_test.cc, fuzz/prog/text_test.cc
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace daxfuzz::prog {

struct PoolName {
  std::string_view text;
  uint8_t weight;   // share in generation where any path will do
  uint8_t same_as;  // row of the plain name of the same file ("/f0" is "f0"), else the row itself
};

std::span<const PoolName> path_pool();
// Row of `text`, or -1.
int find_path(std::string_view text);
// Targets of symbolic links: the longest that fits into an inode, and one byte more. In the pool.
std::span<const std::string_view> link_target_borders();
// Rows 0..kPoolFiles-1 are plain file names; f0, g0, f1, g1... in this order.
inline constexpr uint8_t kPoolFiles = 12;
// Rows of directories d0..d3.
inline constexpr uint8_t kPoolDir0 = 12;
inline constexpr uint8_t kPoolDirs = 4;

// Row 0 is what a program has if it does not say.
std::span<const std::string_view> image_names();
std::span<const std::string_view> mount_options();

// Bytes of a huge page of a program with these mount options (huge=1..9); 0 without.
int64_t huge_bytes(std::string_view options);

// [a-z0-9_.-]{1,kImageNameMax}
bool valid_image_name(std::string_view name);
// Empty, or options of [A-Za-z0-9_.:=-] separated by single commas, at most kMountOptionsMax bytes,
// not "defaults".
bool valid_mount_options(std::string_view options);

}  // namespace daxfuzz::prog
