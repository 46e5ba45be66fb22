// fuzz/prog/numbers.cc - sizes and offsets as people write them.
#include "fuzz/prog/numbers.h"

#include "fs/base/types.h"

namespace daxfuzz::prog {
namespace {

using Wide = __int128;

constexpr Wide kLimit = Wide{1} << 64;

int digit_of(char c, int base) {
  int digit = -1;
  if (c >= '0' && c <= '9') { digit = c - '0'; }
  if (c >= 'a' && c <= 'f') { digit = c - 'a' + 10; }
  if (c >= 'A' && c <= 'F') { digit = c - 'A' + 10; }
  return digit < base ? digit : -1;
}

// Consumes digits at the front of `text`; false when there are none or the value leaves 64 bits.
bool take_digits(std::string_view& text, Wide* value) {
  int base = 10;
  if (text.starts_with("0x") || text.starts_with("0X")) {
    base = 16;
    text.remove_prefix(2);
  }
  *value = 0;
  bool any = false;
  while (!text.empty() && digit_of(text.front(), base) >= 0) {
    *value = *value * base + digit_of(text.front(), base);
    if (*value >= kLimit) { return false; }
    text.remove_prefix(1);
    any = true;
  }
  return any;
}

int suffix_shift(char c) {
  switch (c) {
    case 'k':
    case 'K': return 10;
    case 'm':
    case 'M': return 20;
    case 'g':
    case 'G': return 30;
    case 't':
    case 'T': return 40;
    default: return 0;
  }
}

void append_magnitude(std::string& out, uint64_t value) {
  static constexpr struct {
    int shift;
    char suffix;
  } kSuffixes[] = {{40, 'T'}, {30, 'G'}, {20, 'M'}, {10, 'K'}};
  for (const auto& unit : kSuffixes) {
    if (value != 0 && (value & ((uint64_t{1} << unit.shift) - 1)) == 0) {
      append_number(out, value >> unit.shift);
      out.push_back(unit.suffix);
      return;
    }
  }
  append_number(out, value);
}

}  // namespace

bool parse_size(std::string_view text, int64_t* value) {
  Wide sum = 0;
  bool first = true;
  while (first || !text.empty()) {
    bool negative = false;
    if (!text.empty() && (text.front() == '+' || text.front() == '-')) {
      negative = text.front() == '-';
      text.remove_prefix(1);
    } else if (!first) {
      return false;
    }
    first = false;
    Wide term = 0;
    if (!take_digits(text, &term)) { return false; }
    if (!text.empty()) {
      if (const int shift = suffix_shift(text.front()); shift != 0) {
        term <<= shift;
        text.remove_prefix(1);
      }
    }
    sum += negative ? -term : term;
    if (sum >= kLimit || sum < -(kLimit / 2)) { return false; }
  }
  *value = static_cast<int64_t>(static_cast<uint64_t>(sum));
  return true;
}

bool parse_byte(std::string_view text, uint8_t* value) {
  Wide number = 0;
  if (!take_digits(text, &number) || !text.empty() || number > 255) { return false; }
  *value = static_cast<uint8_t>(number);
  return true;
}

void append_size(std::string& out, int64_t value) {
  const bool negative = value < 0;
  const uint64_t magnitude = negative ? 0 - static_cast<uint64_t>(value) : static_cast<uint64_t>(value);
  if (negative) { out.push_back('-'); }
  const uint64_t rest = magnitude % daxfs::kPageSize;
  if (magnitude < 1024 || magnitude % 1024 == 0) { return append_magnitude(out, magnitude); }
  if (magnitude > daxfs::kPageSize && rest <= 512) {
    append_magnitude(out, magnitude - rest);
    out.push_back(negative ? '-' : '+');
    return append_number(out, rest);
  }
  if (daxfs::kPageSize - rest <= 512) {
    append_magnitude(out, magnitude - rest + daxfs::kPageSize);
    out.push_back(negative ? '+' : '-');
    return append_number(out, daxfs::kPageSize - rest);
  }
  append_number(out, magnitude);
}

void append_number(std::string& out, uint64_t value) {
  char digits[20];
  int count = 0;
  do {
    digits[count++] = static_cast<char>('0' + value % 10);
    value /= 10;
  } while (value != 0);
  while (count > 0) { out.push_back(digits[--count]); }
}

void append_hex(std::string& out, uint64_t value, int digits) {
  out.append("0x");
  int count = 16;
  while (count > digits && (value >> (4 * (count - 1))) == 0) { count--; }
  while (count > 0) { out.push_back("0123456789abcdef"[value >> (4 * --count) & 15]); }
}

}  // namespace daxfuzz::prog
