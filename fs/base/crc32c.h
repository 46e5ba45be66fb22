// fs/base/crc32c.h - CRC32C (Castagnoli) as ext4 metadata_csum uses it: no final inversion, caller chooses the seed.
//
// Source: RFC 3720 appendix B.4 for the polynomial; Linux ext4 disk layout documentation for the seed convention
// (crc32c(~0, uuid) seeds everything; results are stored as they come).
// Uses the SSE4.2 instruction when the processor has it (decided at run time), tables otherwise; same results.
// Tested by: fs/base/base_test.cc.
#pragma once

#include <cstddef>
#include <cstdint>

namespace daxfs {

// Continues `crc` over `size` bytes. crc32c(0xffffffff, "123456789") == ~0xe3069283.
uint32_t crc32c(uint32_t crc, const void* data, size_t size);

}  // namespace daxfs
