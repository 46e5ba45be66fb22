// fs/io/direct_io.cc - the walk over a file's pieces, and the bios of one call.
#include "fs/io/direct_io.h"

#include <algorithm>
#include <array>
#include <utility>

#include "fs/base/report.h"
#include "fs/io/bio.h"
#include "fs/rt/atomic.h"
#include "fs/rt/completion.h"
#include "fs/rt/trace.h"

namespace daxfs::io {

namespace {

// The state of one call; lives on its task's stack, together with the bios in flight.
class Dio {
 public:
  Dio(IomapHost& host, IovBuffer& buffer, uint64_t pos, bool write)
      : host_(host), buffer_(buffer), pos_(pos), write_(write), size_at_start_(host.i_size()) {}

  Result<uint64_t> run(IomapOps& ops, DioEndIo* end_io, unsigned flags);

 private:
  static constexpr unsigned kBiosInFlight = 3;  // per call; more wait for these

  // RETURNS: how far the walk may go on; 0 ends it.
  Result<uint64_t> piece(const Iomap& iomap, uint64_t length);
  Result<uint64_t> hole(uint64_t length);
  Result<uint64_t> transfer_user(const Iomap& iomap, uint64_t length);
  Result<uint64_t> transfer_kernel(const Iomap& iomap, uint64_t length);
  Status fill(Bio& bio, uint64_t length);
  Status zero_block_head(const Iomap& iomap, bool need_zeroout);
  Status zero_block_tail(const Iomap& iomap, bool need_zeroout);
  Bio& next_bio();
  void wait_for_bios();
  static void bio_done(void* self, Bio& bio);

  IomapHost& host_;
  IovBuffer& buffer_;
  uint64_t pos_;
  const bool write_;
  const uint64_t size_at_start_;  // a read ends here even if the file grows meanwhile
  uint64_t moved_ = 0;            // bytes handed to bios or copied
  bool unwritten_ = false;
  Status error_;  // of the walk

  std::array<Bio, kBiosInFlight> bios_;
  unsigned bios_used_ = 0;
  rt::Atomic<uint32_t> pending_{1};  // bios in flight, and 1 for the submitting task
  rt::Completion all_done_{"direct I/O"};
  rt::Atomic<int32_t> bio_error_{0};
};

void Dio::bio_done(void* self, Bio& bio) {
  Dio& dio = *static_cast<Dio*>(self);
  if (!bio.status().ok()) {
    int32_t none = 0;
    dio.bio_error_.compare_exchange(none, static_cast<int32_t>(bio.status().error()));
  }
  if (dio.pending_.fetch_sub(1) == 1) {
    dio.all_done_.complete();
  }
}

void Dio::wait_for_bios() {
  if (pending_.fetch_sub(1) != 1) {
    all_done_.wait();
  }
  pending_.store(1);
  bios_used_ = 0;
}

Bio& Dio::next_bio() {
  if (bios_used_ == kBiosInFlight) {
    wait_for_bios();
  }
  return bios_[bios_used_++];
}

Result<uint64_t> Dio::run(IomapOps& ops, DioEndIo* end_io, unsigned flags) {
  const uint64_t start = pos_;
  uint64_t left = buffer_.remaining();
  if (left == 0 || (!write_ && pos_ >= size_at_start_)) {
    return uint64_t{0};
  }
  while (left != 0) {
    Iomap iomap;
    error_ = begin_checked(ops, host_, pos_, left, flags, &iomap);
    if (!error_.ok()) {
      break;
    }
    const uint64_t length = std::min(iomap.end() - pos_, left);
    const uint64_t piece_pos = pos_;
    const Result<uint64_t> done = piece(iomap, length);
    const uint64_t advanced = done.ok() ? *done : 0;
    const Status ended = ops.iomap_end(host_, piece_pos, length, advanced, flags, iomap);
    error_ = done.ok() ? ended : done.status();
    if (!error_.ok() || advanced == 0) {
      break;
    }
    pos_ = piece_pos + advanced;
    left -= advanced;
    if (!write_ && pos_ >= size_at_start_) {
      break;
    }
  }
  wait_for_bios();
  FS_BUG_ON(pending_.load_unpointed() != 1, "IO2", "direct I/O returns with %u bios in flight",
            pending_.load_unpointed() - 1);
  if (error_.ok()) {
    error_ = static_cast<Errc>(bio_error_.load());
  }
  uint64_t result = error_.ok() ? moved_ : 0;
  if (!write_ && start + result > size_at_start_) {
    result = size_at_start_ - start;
  }
  if (end_io != nullptr) {
    const Status ended = end_io->end_io(host_, start, result, error_, unwritten_);
    if (error_.ok()) {
      error_ = ended;
    }
  }
  if (!error_.ok()) {
    return error_;
  }
  return result;
}

Result<uint64_t> Dio::piece(const Iomap& iomap, uint64_t length) {
  switch (iomap.type) {
    case Iomap::Type::kHole:
    case Iomap::Type::kDelalloc:
      if (write_) {
        return Errc::kIo;
      }
      return hole(length);
    case Iomap::Type::kUnwritten:
      if (!write_) {
        return hole(length);
      }
      unwritten_ = true;
      break;
    case Iomap::Type::kMapped:
      break;
  }
  if (((pos_ | length) & (kSectorSize - 1)) != 0) {
    return Errc::kInval;
  }
  if (buffer_.is_user() && (buffer_.address().value() & (kSectorSize - 1)) != 0) {
    return Errc::kInval;
  }
  const bool need_zeroout = write_ && (iomap.type == Iomap::Type::kUnwritten || iomap.is_new());
  FS_RETURN_IF_ERROR(zero_block_head(iomap, need_zeroout));
  auto done = buffer_.is_user() ? transfer_user(iomap, length) : transfer_kernel(iomap, length);
  if (done.ok()) {
    FS_RETURN_IF_ERROR(zero_block_tail(iomap, need_zeroout));
  }
  return done;
}

Result<uint64_t> Dio::hole(uint64_t length) {
  const uint64_t zeroed = buffer_.zero_out(length);
  if (zeroed == 0) {
    return Errc::kFault;
  }
  moved_ += zeroed;
  return zeroed;
}

// Pins pages and submits bios until the piece is done or a page cannot be pinned. What is pinned
// already is still transferred then; the error makes the whole call fail.
Result<uint64_t> Dio::transfer_user(const Iomap& iomap, uint64_t length) {
  uint64_t done = 0;
  while (done < length) {
    Bio& bio = next_bio();
    bio.init(host_.mapping().memory(), iomap.device_offset(pos_), write_, &Dio::bio_done, this);
    const Status filled = fill(bio, length - done);
    if (bio.empty()) {
      --bios_used_;
      return filled.error();
    }
    const uint32_t size = bio.size();
    pos_ += size;
    done += size;
    moved_ += size;
    pending_.fetch_add(1);
    bio.submit();
    if (!filled.ok()) {
      return filled.error();
    }
  }
  return done;
}

Status Dio::fill(Bio& bio, uint64_t length) {
  while (length != 0 && !bio.full()) {
    const VirtAddr address = buffer_.address();
    const uint32_t offset = static_cast<uint32_t>(address.value() & (kPageSize - 1));
    const uint32_t size = static_cast<uint32_t>(std::min(length, kPageSize - offset));
    FS_ASSIGN_OR_RETURN(mm::PagePin pin,
                        mm::pin_user_page(buffer_.mm(), address, /*write=*/!write_));
    bio.add_page(std::move(pin), offset, size);
    buffer_.advance(size);
    length -= size;
  }
  return ok_status();
}

// Memory of the library's own caller: nothing to pin, nobody to race with; copied at once.
Result<uint64_t> Dio::transfer_kernel(const Iomap& iomap, uint64_t length) {
  pmem::Device& device = host_.device();
  const size_t size = static_cast<size_t>(length);
  const uint64_t at = iomap.device_offset(pos_);
  if (write_) {
    FS_RETURN_IF_ERROR(device.store_nt(at, buffer_.source_bytes().first(size)));
  } else {
    FS_RETURN_IF_ERROR(device.read(at, buffer_.sink_bytes().first(size)));
  }
  buffer_.advance(length);
  pos_ += length;
  moved_ += length;
  return length;
}

// A block that becomes visible with this write must not show what its previous owner left around
// the bytes written.
Status Dio::zero_block_head(const Iomap& iomap, bool need_zeroout) {
  const uint64_t pad = pos_ % kBlockSize;
  if (!need_zeroout || pad == 0) {
    return ok_status();
  }
  return host_.device().zero(iomap.device_offset(pos_) - pad, pad);
}

Status Dio::zero_block_tail(const Iomap& iomap, bool need_zeroout) {
  if (!write_ || (!need_zeroout && pos_ < host_.i_size())) {
    return ok_status();
  }
  const uint64_t used = pos_ % kBlockSize;
  if (used == 0) {
    return ok_status();
  }
  // `pos_` may be the end of the iomap only if it is block aligned; so the block of pos_ belongs to
  // it.
  return host_.device().zero(iomap.block.value() * kBlockSize + (pos_ - iomap.offset),
                             kBlockSize - used);
}

}  // namespace

Result<uint64_t> iomap_dio_rw(IomapHost& host, IovBuffer& buffer, uint64_t pos, bool write,
                              IomapOps& ops, DioEndIo* end_io, unsigned extra_flags) {
  FS_TRACE_SCOPE("iomap_dio_rw", inode_ref(host.ino()));
  Dio dio(host, buffer, pos, write);
  return dio.run(ops, end_io, kIomapDirect | (write ? kIomapWrite : 0U) | extra_flags);
}

}  // namespace daxfs::io
