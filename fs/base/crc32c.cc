#include "fs/base/crc32c.h"

#include <array>
#include <cstring>
#if defined(__x86_64__)
#include <nmmintrin.h>
#endif

namespace daxfs {
namespace {

constexpr std::array<uint32_t, 256> make_table() {
  std::array<uint32_t, 256> table{};
  for (uint32_t i = 0; i < 256; ++i) {
    uint32_t crc = i;
    for (int bit = 0; bit < 8; ++bit) { crc = (crc >> 1) ^ ((crc & 1) != 0 ? 0x82f63b78u : 0); }
    table[i] = crc;
  }
  return table;
}

constexpr auto kCrcTable = make_table();

uint32_t crc32c_table(uint32_t crc, const uint8_t* bytes, size_t size) {
  for (size_t i = 0; i < size; ++i) { crc = (crc >> 8) ^ kCrcTable[(crc ^ bytes[i]) & 0xff]; }
  return crc;
}

#if defined(__x86_64__)
// CRC is linear: the crc of three adjacent lanes computed side by side combines by multiplying with x^(8*lane) mod P,
// which four byte tables do. Three lanes hide the instruction's latency of three cycles.
constexpr size_t kLane = 256;

constexpr uint32_t shift_bytes(uint32_t crc, size_t count) {
  for (size_t i = 0; i < count; ++i) { crc = (crc >> 8) ^ kCrcTable[crc & 0xff]; }
  return crc;
}

struct ShiftTable {
  std::array<std::array<uint32_t, 256>, 4> byte;
};

ShiftTable make_shift(size_t count) {
  ShiftTable shift{};
  for (unsigned position = 0; position < 4; ++position) {
    for (uint32_t v = 0; v < 256; ++v) { shift.byte[position][v] = shift_bytes(v << (8 * position), count); }
  }
  return shift;
}

uint32_t apply(const ShiftTable& shift, uint32_t crc) {
  return shift.byte[0][crc & 0xff] ^ shift.byte[1][(crc >> 8) & 0xff] ^ shift.byte[2][(crc >> 16) & 0xff] ^
         shift.byte[3][crc >> 24];
}

uint64_t load64(const uint8_t* bytes) {
  uint64_t word;
  std::memcpy(&word, bytes, sizeof(word));
  return word;
}

__attribute__((target("sse4.2"))) uint32_t crc32c_sse42(uint32_t crc, const uint8_t* bytes, size_t size) {
  static const ShiftTable shift_one = make_shift(kLane);
  static const ShiftTable shift_two = make_shift(2 * kLane);
  while (size >= 3 * kLane) {
    uint64_t a = crc;
    uint64_t b = 0;
    uint64_t c = 0;
    for (size_t i = 0; i < kLane; i += 8) {
      a = _mm_crc32_u64(a, load64(bytes + i));
      b = _mm_crc32_u64(b, load64(bytes + kLane + i));
      c = _mm_crc32_u64(c, load64(bytes + 2 * kLane + i));
    }
    crc = apply(shift_two, static_cast<uint32_t>(a)) ^ apply(shift_one, static_cast<uint32_t>(b)) ^
          static_cast<uint32_t>(c);
    bytes += 3 * kLane;
    size -= 3 * kLane;
  }
  uint64_t wide = crc;
  for (; size >= 8; bytes += 8, size -= 8) { wide = _mm_crc32_u64(wide, load64(bytes)); }
  crc = static_cast<uint32_t>(wide);
  for (; size > 0; ++bytes, --size) { crc = _mm_crc32_u8(crc, *bytes); }
  return crc;
}
#endif

}  // namespace

uint32_t crc32c(uint32_t crc, const void* data, size_t size) {
  const auto* bytes = static_cast<const uint8_t*>(data);
#if defined(__x86_64__)
  static const bool has_sse42 = __builtin_cpu_supports("sse4.2");
  if (has_sse42) { return crc32c_sse42(crc, bytes, size); }
#endif
  return crc32c_table(crc, bytes, size);
}

}  // namespace daxfs
