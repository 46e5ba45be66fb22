// fuzz/residual/testing.h - two rows of the tables.
#pragma once

#include <cstdint>

#include "fuzz/prog/program.h"

namespace daxfuzz::residual {

inline constexpr auto kOpen = static_cast<uint8_t>(prog::OpCode::kOpen);
inline constexpr auto kMmap = static_cast<uint8_t>(prog::OpCode::kMmap);

}  // namespace daxfuzz::residual
