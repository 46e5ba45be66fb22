// fuzz/prog/names.cc - the small tables of names: paths, image templates, mount options.
#include "fuzz/prog/names.h"

#include <array>

#include "fuzz/prog/program.h"

namespace daxfuzz::prog {
namespace {

template <size_t N>
struct Letters {
  std::array<char, N> chars;
  constexpr explicit Letters(char c) { chars.fill(c); }
  constexpr std::string_view view() const { return std::string_view(chars.data(), N); }
};
constexpr Letters<255> kLongest('n');  // the longest name that is allowed
constexpr Letters<256> kTooLong('n');  // ENAMETOOLONG

constexpr Letters<59> kFastLink('l');
constexpr Letters<60> kSlowLink('l');

constexpr PoolName kPaths[] = {
    // Files.
    {"f0", 16, 0},
    {"g0", 10, 1},
    {"f1", 6, 2},
    {"g1", 4, 3},
    {"f2", 2, 4},
    {"g2", 1, 5},
    {"f3", 1, 6},
    {"g3", 1, 7},
    {"f4", 1, 8},
    {"f5", 1, 9},
    {"f6", 1, 10},
    {"f7", 1, 11},
    // Directories.
    {"d0", 4, 12},
    {"d1", 2, 13},
    {"d2", 1, 14},
    {"d3", 1, 15},
    // Inside directories.
    {"d0/f0", 4, 16},
    {"d0/f1", 2, 17},
    {"d1/f0", 2, 18},
    {"d1/f1", 1, 19},
    {"d0/g0", 1, 20},
    {"d0/d1", 1, 21},
    {"d0/d1/f0", 1, 22},
    {"d1/d0", 1, 23},
    // Symbolic links, by habit.
    {"l0", 2, 24},
    {"l1", 1, 25},
    // Other spellings.
    {".", 1, 26},
    {"..", 1, 26},
    {"/", 1, 26},
    {"/f0", 1, 0},
    {"./f0", 0, 0},
    {"f0/", 1, 0},
    {"d0/", 1, 12},
    {"d0/.", 1, 12},
    {"d0/..", 1, 26},
    {"d0/../f0", 1, 0},
    {"f0/f0", 1, 36},
    {"l0/f0", 1, 37},
    // Names that must fail, and the longest that must not.
    {"", 1, 38},
    {kLongest.view(), 1, 39},
    {kTooLong.view(), 1, 40},
    {"lost+found", 1, 41},
    // As targets of symbolic links: the longest that fits into an inode, and one byte more.
    {kFastLink.view(), 1, 42},
    {kSlowLink.view(), 1, 43},
};
static_assert(std::size(kPaths) < kPathString);
static_assert(kPaths[kPoolDir0].text == "d0" && kPaths[kPoolFiles - 1].text == "f7");

constexpr std::string_view kImages[] = {"small", "default", "csum", "huge", "files"};
constexpr std::string_view kMounts[] = {"dax=always",
                                        "dax=inode",
                                        "dax=never",
                                        "",
                                        "dax=always,ro",
                                        "ro",
                                        "dax=always,huge=2",
                                        "dax=inode,huge=2",
                                        "dax=always,huge=9",
                                        "dax=never,dioread_nolock",
                                        "dax=inode,dioread_nolock",
                                        "dax=inode,dioread_nolock,es_test",
                                        "dax=inode,trim_eof",
                                        "dax=inode,reclaim=16",
                                        "dax=inode,flush=8"};

bool valid_chars(std::string_view text, std::string_view extra) {
  for (char c : text) {
    const bool letter_or_digit = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
    if (!letter_or_digit && extra.find(c) == std::string_view::npos) { return false; }
  }
  return true;
}

}  // namespace

std::span<const PoolName> path_pool() { return kPaths; }

std::span<const std::string_view> link_target_borders() {
  static constexpr std::string_view kBorders[] = {kFastLink.view(), kSlowLink.view()};
  return kBorders;
}

int find_path(std::string_view text) {
  for (size_t i = 0; i < std::size(kPaths); i++) {
    if (kPaths[i].text == text) { return static_cast<int>(i); }
  }
  return -1;
}

std::span<const std::string_view> image_names() { return kImages; }
std::span<const std::string_view> mount_options() { return kMounts; }

int64_t huge_bytes(std::string_view options) {
  constexpr std::string_view kName = "huge=";
  const size_t at = options.find(kName);
  const size_t end = at + kName.size();
  if (at == std::string_view::npos || end >= options.size() || options[end] < '1' || options[end] > '9') { return 0; }
  return int64_t{4096} << (options[end] - '0');
}

bool valid_image_name(std::string_view name) {
  return !name.empty() && name.size() <= kImageNameMax && valid_chars(name, "_.-");
}

bool valid_mount_options(std::string_view options) {
  if (options.empty()) { return true; }
  return options.size() <= kMountOptionsMax && options != "defaults" && options.front() != ',' &&
         options.back() != ',' && options.find(",,") == std::string_view::npos &&
         valid_chars(options, "ABCDEFGHIJKLMNOPQRSTUVWXYZ_.:=-,");
}

}  // namespace daxfuzz::prog
