// fs/base/types.h - strong integer types of the domain, and the sizes everybody shares.
//
// Two indices of different kind never convert into each other; spell the step out at the border:
// `PgOff(lblk.value())`. Arithmetic with plain integers moves within one kind; subtraction of two
// gives a plain distance. Tested by: the compiler: wrong mixtures do not build.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>

namespace daxfs {

inline constexpr uint64_t kPageShift = 12;
inline constexpr uint64_t kPageSize = 1 << kPageShift;  // bytes; also the only block size we mount
inline constexpr uint64_t kBlockSize = kPageSize;
inline constexpr uint64_t kSectorSize = 512;
inline constexpr uint64_t kPmdShift = 21;
inline constexpr uint64_t kPmdSize = 1 << kPmdShift;            // bytes: 2 MiB
inline constexpr uint64_t kPagesPerPmd = kPmdSize / kPageSize;  // 512
inline constexpr unsigned kPmdOrder = kPmdShift - kPageShift;   // 9

// What no read of a file may return, unless the file was filled with it (oracle O16): free blocks hold it in image
// templates and with the mount option poison_freed, and so do frames that their owner has yet to fill.
inline constexpr uint8_t kStaleByte = 0xdb;

template <typename Tag, typename Rep = uint64_t>
class StrongIndex {
 public:
  using rep = Rep;
  constexpr StrongIndex() = default;
  constexpr explicit StrongIndex(Rep value) : value_(value) {}

  constexpr Rep value() const { return value_; }

  constexpr auto operator<=>(const StrongIndex&) const = default;
  constexpr StrongIndex& operator++() {
    ++value_;
    return *this;
  }
  constexpr StrongIndex& operator--() {
    --value_;
    return *this;
  }
  constexpr StrongIndex& operator+=(Rep n) {
    value_ = static_cast<Rep>(value_ + n);
    return *this;
  }
  constexpr StrongIndex& operator-=(Rep n) {
    value_ = static_cast<Rep>(value_ - n);
    return *this;
  }
  friend constexpr StrongIndex operator+(StrongIndex a, Rep n) { return a += n; }
  friend constexpr StrongIndex operator-(StrongIndex a, Rep n) { return a -= n; }
  friend constexpr Rep operator-(StrongIndex a, StrongIndex b) { return static_cast<Rep>(a.value_ - b.value_); }

 private:
  Rep value_ = 0;
};

using Pfn = StrongIndex<struct PfnTag>;            // physical frame; pmem frames first, DRAM frames after
using PgOff = StrongIndex<struct PgOffTag>;        // page index inside a file
using VirtAddr = StrongIndex<struct VirtAddrTag>;  // simulated user virtual address, bytes
using FsBlock = StrongIndex<struct FsBlockTag>;    // physical block of the image (ext4: pblk)
using LogicalBlock = StrongIndex<struct LogicalBlockTag, uint32_t>;  // block inside a file (ext4: lblk)
using Ino = StrongIndex<struct InoTag, uint32_t>;                    // inode number; 0 is none

constexpr uint64_t round_down(uint64_t v, uint64_t unit) { return v / unit * unit; }
constexpr uint64_t round_up(uint64_t v, uint64_t unit) { return (v + unit - 1) / unit * unit; }
constexpr uint64_t div_round_up(uint64_t v, uint64_t unit) { return (v + unit - 1) / unit; }

}  // namespace daxfs

template <typename Tag, typename Rep>
struct std::hash<daxfs::StrongIndex<Tag, Rep>> {
  size_t operator()(daxfs::StrongIndex<Tag, Rep> v) const noexcept { return std::hash<Rep>()(v.value()); }
};
