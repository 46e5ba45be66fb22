// fuzz/prog/fuzz_bytes.h - the same mutations on byte buffers, in the shape of libFuzzer's and
// AFL++'s custom mutators.
//
// Input may be any bytes in either form (malformed text is taken as binary); output is binary. The
// result depends on bytes, sizes and seed alone.
//
// Tested by: fuzz/prog/mutate_test.cc, props/prog_codec_props.cc
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "fuzz/prog/program.h"

namespace daxfuzz::prog {

// Mutates data[0, size) in place; data has room for size_max bytes (and for `size`). RETURNS: the
// new size, at most size_max. With size_max < size it shrinks the program structurally instead of
// mutating it, as libFuzzer's -minimize_crash asks.
size_t mutate_bytes(uint8_t* data, size_t size, size_t size_max, unsigned seed);

// Writes a child of both to out[0, out_max); RETURNS its size.
size_t crossover_bytes(const uint8_t* data1, size_t size1, const uint8_t* data2, size_t size2, uint8_t* out,
                       size_t out_max, unsigned seed);

// For fuzz targets: any bytes are a program, also text that does not parse.
void decode_any(std::span<const uint8_t> bytes, Program* program);

}  // namespace daxfuzz::prog
