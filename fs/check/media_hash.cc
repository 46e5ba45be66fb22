// fs/check/media_hash.cc - hashes of names in indexed directories: legacy, half MD4 and TEA.
//
// Kernel: fs/ext4/hash.c. Source of the primitives: RFC 1320 (MD4 rounds), Wheeler and Needham 1994 (TEA).
#include <array>

#include "fs/check/media_context.h"

namespace daxfs::check::media {
namespace {

using Words4 = std::array<uint32_t, 4>;

struct Name {
  const uint8_t* bytes;
  unsigned length;
  bool as_signed;

  uint32_t at(unsigned i) const { return as_signed ? static_cast<uint32_t>(static_cast<int8_t>(bytes[i])) : bytes[i]; }
};

// Packs up to 4 * N characters from `from` on, padded with the length of what is left.
template <size_t N>
std::array<uint32_t, N> pack(const Name& name, unsigned from) {
  const unsigned left = name.length - from;
  uint32_t pad = left | left << 8;
  pad |= pad << 16;
  std::array<uint32_t, N> words;
  words.fill(pad);
  const unsigned used = std::min<unsigned>(left, 4 * N);
  for (unsigned i = 0; i < used; ++i) {
    uint32_t& word = words[i / 4];
    word = name.at(from + i) + (word << 8);
  }
  return words;
}

void half_md4(Words4& state, const std::array<uint32_t, 8>& in) {
  struct Round {
    uint8_t order[8];
    uint8_t shift[4];
    uint32_t constant;
  };
  static constexpr Round kRounds[3] = {
      {{0, 1, 2, 3, 4, 5, 6, 7}, {3, 7, 11, 19}, 0},
      {{1, 3, 5, 7, 0, 2, 4, 6}, {3, 5, 9, 13}, 0x5a827999},
      {{3, 7, 2, 6, 1, 5, 0, 4}, {3, 9, 11, 15}, 0x6ed9eba1},
  };
  Words4 v = state;
  for (unsigned round = 0; round < 3; ++round) {
    for (unsigned step = 0; step < 8; ++step) {
      // The four words take turns backwards: a, d, c, b.
      const unsigned a = (4 - step % 4) % 4;
      const uint32_t b = v[(a + 1) % 4], c = v[(a + 2) % 4], d = v[(a + 3) % 4];
      uint32_t mixed = 0;
      switch (round) {
        case 0: mixed = d ^ (b & (c ^ d)); break;
        case 1: mixed = (b & c) + ((b ^ c) & d); break;
        default: mixed = b ^ c ^ d; break;
      }
      const Round& r = kRounds[round];
      v[a] = std::rotl(v[a] + mixed + in[r.order[step]] + r.constant, r.shift[step % 4]);
    }
  }
  for (unsigned i = 0; i < 4; ++i) { state[i] += v[i]; }
}

void tea(Words4& state, const Words4& key) {
  uint32_t v0 = state[0];
  uint32_t v1 = state[1];
  uint32_t sum = 0;
  for (int i = 0; i < 16; ++i) {
    sum += 0x9e3779b9;
    v0 += ((v1 << 4) + key[0]) ^ (v1 + sum) ^ ((v1 >> 5) + key[1]);
    v1 += ((v0 << 4) + key[2]) ^ (v0 + sum) ^ ((v0 >> 5) + key[3]);
  }
  state[0] += v0;
  state[1] += v1;
}

uint32_t legacy(const Name& name) {
  uint32_t newer = 0x12a3fe2d;
  uint32_t older = 0x37abe8f9;
  for (unsigned i = 0; i < name.length; ++i) {
    uint32_t hash = older + (newer ^ (name.at(i) * 7152373));
    if ((hash & 0x80000000) != 0) { hash -= 0x7fffffff; }
    older = newer;
    newer = hash;
  }
  return newer << 1;
}

}  // namespace

uint32_t dir_hash(uint8_t version, const uint8_t* bytes, unsigned length, const uint32_t seed[4]) {
  const Name name{bytes, length, version < 3};
  if (version % 3 == 0) { return legacy(name) & ~1u; }
  Words4 state = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476};
  if ((seed[0] | seed[1] | seed[2] | seed[3]) != 0) { state = {seed[0], seed[1], seed[2], seed[3]}; }
  if (version % 3 == 1) {
    for (unsigned from = 0; from < length; from += 32) { half_md4(state, pack<8>(name, from)); }
    return state[1] & ~1u;
  }
  for (unsigned from = 0; from < length; from += 16) { tea(state, pack<4>(name, from)); }
  return state[0] & ~1u;
}

}  // namespace daxfs::check::media
