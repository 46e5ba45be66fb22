// fs/io/user_buffer.cc - copies between a buffer and the library.
#include "fs/io/user_buffer.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "fs/mm/mm.h"

namespace daxfs::io {

size_t IovBuffer::copy_in(std::span<std::byte> out) {
  out = out.first(static_cast<size_t>(std::min<uint64_t>(out.size(), remaining())));
  if (out.empty()) { return 0; }
  size_t copied = out.size();
  if (is_user()) {
    copied = static_cast<size_t>(mm_->copy_from_user(address(), out));
  } else {
    std::memcpy(out.data(), source_ + done_, out.size());
  }
  done_ += copied;
  return copied;
}

size_t IovBuffer::copy_out(std::span<const std::byte> in) {
  in = in.first(static_cast<size_t>(std::min<uint64_t>(in.size(), remaining())));
  if (in.empty()) { return 0; }
  size_t copied = in.size();
  if (is_user()) {
    copied = static_cast<size_t>(mm_->copy_to_user(address(), in));
  } else {
    // Not memcpy: a source span of the device may be the very bytes of the sink in a library user's
    // program.
    std::memmove(sink_ + done_, in.data(), in.size());
  }
  done_ += copied;
  return copied;
}

size_t IovBuffer::zero_out(uint64_t size) {
  static constexpr std::array<std::byte, kPageSize> kZeros{};
  size_t total = 0;
  while (total < size && remaining() != 0) {
    const size_t piece = static_cast<size_t>(std::min({size - total, uint64_t{kZeros.size()}, remaining()}));
    const size_t copied = copy_out(std::span(kZeros).first(piece));
    total += copied;
    if (copied < piece) { break; }
  }
  return total;
}

}  // namespace daxfs::io
