// fuzz/prog/binary.h - programs as bytes: every byte string is a valid program.
//
// Layout (docs/formats/program.md has the full picture): version byte, image, mount options, then
// records that each begin with a tag: an operation, the start of a task's or a process' list, a
// preemption. Missing bytes read as zero; records beyond a bound are read and dropped; unknown
// values are reduced to known ones. So cutting, inserting and repeating bytes yield programs that
// resemble the original.
//
// decode(encode(p)) == p for every valid p; encode(decode(bytes)) is shorter or longer than, and
// seldom equal to, bytes.
//
// Tested by: fuzz/prog/binary_test.cc, props/prog_codec_props.cc
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "fuzz/prog/program.h"

namespace daxfuzz::prog {

// Into an existing program, whose memory is used again.
void decode(std::span<const uint8_t> bytes, Program* program);
Program decode(std::span<const uint8_t> bytes);

// Writes as much as fits into `out`; RETURNS: the size of the whole encoding.
size_t encode(const Program& program, std::span<uint8_t> out);
std::vector<uint8_t> encode(const Program& program);
size_t encoded_size(const Program& program);

// Format version that the bytes declare; 0 when they declare none (nothing but our encoder writes
// the version byte).
unsigned binary_version(std::span<const uint8_t> bytes);

}  // namespace daxfuzz::prog
