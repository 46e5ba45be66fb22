// fuzz/prog/binary_tags.h - numbers of the binary form, shared by encoder and decoder.
//
// Reference: docs/formats/program.md, "Binary form". Tables are append-only.
//
// Tested by: fuzz/prog/binary_test.cc
#pragma once

#include <cstddef>
#include <cstdint>

#include "fuzz/prog/op_table.h"

namespace daxfuzz::prog::binary {

inline constexpr uint8_t kVersionMark = 0xd0;  // high nibble of byte 0; the low one is the version
inline constexpr uint8_t kEscape = 0xff;       // in place of a table row: the value follows

// Record tags. Below kTagTask: an operation, its opcode is the tag modulo the number of operations.
inline constexpr uint8_t kTagTask = 0xf0;  // + process: a task starts
inline constexpr uint8_t kTagInit = 0xf4;  // + process: set-up operations of the process follow
inline constexpr uint8_t kTagPreempt = 0xf8;
inline constexpr uint8_t kTagProcess = 0xf9;   // + process: it exists, even if nothing happens in it
inline constexpr uint8_t kTagReserved = 0xfd;  // to 0xff: skipped

// Descriptor and result bytes: a slot, or these.
inline constexpr uint8_t kNoSlotByte = 0x0f;

// Memory byte: slot in bits 0-2, form in bits 3-5.
enum class MemoryForm : uint8_t {
  kMapping,        // at the start of the mapping
  kMappingOffset,  // size follows
  kAnonymous,      // fill byte follows where one is needed
  kAnonymousOffset,
  kBad,
  kNone,
  kSequence,
  kSequenceOffset,
};

// Size byte: form in bits 6-7.
enum class SizeForm : uint8_t {
  kPages,       // bits 0-5 pages
  kNamed,       // bits 0-5 row of kSizes
  kRaw,         // bits 0-2 + 1 bytes follow, little-endian, sign-extended
  kPagesDelta,  // bits 0-5 pages plus the signed byte that follows
};

inline constexpr int64_t kKiB = 1024, kMiB = 1024 * kKiB;
inline constexpr int64_t kSizes[] = {
    0,
    1,
    -1,
    511,
    512,
    513,
    1024,
    2048,
    4095,
    4097,
    2 * kMiB,
    2 * kMiB - 1,
    2 * kMiB + 1,
    2 * kMiB - 4096,
    2 * kMiB + 4096,
    4 * kMiB,
    1 * kMiB,
    512 * kKiB,
    256 * kKiB,
    6 * kMiB,
    8 * kMiB,
    16 * kMiB,
    32 * kMiB,
    (int64_t{1} << 44) - 4096,  // the largest file
    (int64_t{1} << 44) - 8192,
    (int64_t{1} << 44) - 4095,
    INT64_MAX,
    INT64_MIN,
    -4096,
    int64_t{1} << 31,
    int64_t{1} << 32,
    INT64_MAX - 4095,
    100,
    7,
    3,
    64,
    1000,
};
static_assert(sizeof(kSizes) / sizeof(kSizes[0]) <= 64);

// Permission byte: row, 0 is the operand's default.
inline constexpr uint16_t kModes[] = {0, 0644, 0755, 0600, 0444, 0, 0777, 01777};

constexpr uint16_t default_mode(OperandKind kind) { return kind == OperandKind::kDirMode ? 0755 : 0644; }

// Tables of up to 7 names take one byte of row bits, larger ones two; the last byte kEscape: four
// raw bytes follow.
constexpr bool wide_flags(const FlagTable& table) { return table.names.size() > 7; }

}  // namespace daxfuzz::prog::binary
