// fuzz/prog/numbers.h - sizes and offsets as people write them: 0, 4096, 4K, 8K+100, 2M-1, -1,
// 0x1000.
//
// Tested by: fuzz/prog/numbers_test.cc
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace daxfuzz::prog {

// Grammar: [sign] term {sign term}; term: decimal or 0x-hexadecimal digits with an optional K, M, G
// or T (powers of 1024). The sum must be in [-2^63, 2^64); values above 2^63-1 wrap to the negative
// number of the same bits. False, and *value unchanged, for anything else.
bool parse_size(std::string_view text, int64_t* value);

// One byte value: decimal or hexadecimal, 0..255.
bool parse_byte(std::string_view text, uint8_t* value);

// Appends the canonical form, which parse_size reads back: multiples of 1024 with the largest
// suffix that divides them, values up to 512 bytes from a page boundary as page plus or minus the
// rest, everything else in decimal.
void append_size(std::string& out, int64_t value);

void append_number(std::string& out, uint64_t value);
// "0x41"; at least `digits` digits.
void append_hex(std::string& out, uint64_t value, int digits);

}  // namespace daxfuzz::prog
