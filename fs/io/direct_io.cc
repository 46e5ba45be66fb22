// fs/io/direct_io.cc - the walk over a file's pieces, and the bios of one call.
#include "fs/io/direct_io.h"

#include <algorithm>
#include <array>
#include <memory>
#include <utility>
#include <vector>

#include "fs/base/report.h"
#include "fs/io/bio.h"
#include "fs/rt/atomic.h"
#include "fs/rt/completion.h"
#include "fs/rt/trace.h"
#include "fs/rt/workqueue.h"

namespace daxfs::io {

namespace {

// The state of one call, together with its bios; on its task's stack, or on the heap if it may be left in flight.
class Dio {
 public:
  explicit Dio(const DioCall& call)
      : host_(call.host),
        buffer_(call.buffer),
        pos_(call.pos),
        start_(call.pos),
        write_(call.write),
        size_at_start_(call.host.i_size()),
        ops_(&call.ops),
        end_io_(call.end_io),
        kiocb_(call.kiocb),
        done_queue_(call.done_queue) {}

  Result<uint64_t> run(bool pin_first);
  // Only on the heap. Nothing: the request goes on by itself, and deletes itself in the end.
  std::optional<Result<uint64_t>> start(bool pin_first);

 private:
  static constexpr unsigned kBiosInFlight = 3;  // per call; more wait for these
  // Linux goes on for all of the buffer; who asks for 64 MiB of a small file would have to wait for that here.
  static constexpr uint64_t kReadBehindEnd = 16 * kPageSize;
  static_assert(kPinFirstBytes == kBiosInFlight * kBioPages * kPageSize);

  Status pin_all();
  void release_rest();
  void walk(unsigned flags);
  // RETURNS: how far the walk may go on; 0 ends it.
  Result<uint64_t> piece(const Iomap& iomap, uint64_t length);
  Result<uint64_t> hole(uint64_t length);
  Result<uint64_t> transfer_user(const Iomap& iomap, uint64_t length);
  Result<uint64_t> transfer_kernel(const Iomap& iomap, uint64_t length);
  Status fill(Bio& bio, uint64_t length);
  Result<mm::PagePin> pin_next();
  Status zero_block_head(const Iomap& iomap, bool need_zeroout);
  Status zero_block_tail(const Iomap& iomap, bool need_zeroout);
  Bio& next_bio();
  void wait_for_bios();
  Result<uint64_t> finish();
  void all_bios_done();
  void end_in_flight();
  static void bio_done(void* self, Bio& bio);

  IomapHost& host_;
  IovBuffer buffer_;
  uint64_t pos_;
  const uint64_t start_;
  const bool write_;
  const uint64_t size_at_start_;  // a read ends here, even if the file grows meanwhile
  IomapOps* const ops_;
  DioEndIo* const end_io_;
  Kiocb* const kiocb_;
  rt::Workqueue* const done_queue_;
  uint64_t moved_ = 0;        // bytes handed to bios or copied
  bool stops_short_ = false;  // before what direct I/O may not do
  bool in_flight_ = false;    // the submitter is gone: the last bio ends the request
  Status error_;              // of the walk

  std::array<Bio, kBiosInFlight> bios_;
  unsigned bios_used_ = 0;
  rt::Atomic<uint32_t> pending_{1};  // bios in flight, and 1 for the submitting task
  rt::Completion all_done_{"direct I/O"};
  rt::Atomic<int32_t> bio_error_{0};
  rt::Work work_{[](void* self) { static_cast<Dio*>(self)->end_in_flight(); }, this};
  std::vector<mm::PagePin> pins_;  // pin_first: in order, from pins_used_ on
  size_t pins_used_ = 0;
};

void Dio::bio_done(void* self, Bio& bio) {
  Dio& dio = *static_cast<Dio*>(self);
  if (!bio.status().ok()) {
    int32_t none = 0;
    dio.bio_error_.compare_exchange(none, static_cast<int32_t>(bio.status().error()));
  }
  if (dio.pending_.fetch_sub(1) == 1) {
    if (dio.in_flight_) {
      dio.all_bios_done();
    } else {
      dio.all_done_.complete();
    }
  }
}

void Dio::wait_for_bios() {
  if (pending_.fetch_sub(1) != 1) { all_done_.wait(); }
  pending_.store(1);
  bios_used_ = 0;
}

Bio& Dio::next_bio() {
  if (bios_used_ == kBiosInFlight) { wait_for_bios(); }
  return bios_[bios_used_++];
}

Status Dio::pin_all() {
  IovBuffer ahead = buffer_;
  while (ahead.remaining() != 0) {
    FS_ASSIGN_OR_RETURN(mm::PagePin pin, mm::pin_user_page(ahead.mm(), ahead.address(), /*write=*/!write_));
    pins_.push_back(std::move(pin));
    ahead.advance(std::min(ahead.remaining(), kPageSize - ahead.address().value() % kPageSize));
  }
  return ok_status();
}

// Pages that the walk did not come to.
void Dio::release_rest() {
  for (; pins_used_ < pins_.size(); ++pins_used_) { pins_[pins_used_].release(); }
}

// A read goes on behind the end of the file, where it reads or zeroes, or meets a bad buffer; only finish() says that
// nothing is there.
void Dio::walk(unsigned flags) {
  uint64_t left = buffer_.remaining();
  if (!write_) { left = std::min(left, size_at_start_ - pos_ + kReadBehindEnd); }
  while (left != 0) {
    Iomap iomap;
    error_ = begin_checked(*ops_, host_, pos_, left, flags, &iomap);
    if (error_.error() == Errc::kNotBlk) {  // the caller goes on by another way, behind what is done by then
      error_ = ok_status();
      stops_short_ = true;
    }
    if (!error_.ok() || stops_short_) { break; }
    const uint64_t length = std::min(iomap.end() - pos_, left);
    const uint64_t piece_pos = pos_;
    const Result<uint64_t> done = piece(iomap, length);
    const uint64_t advanced = done.ok() ? *done : 0;
    const Status ended = ops_->iomap_end(host_, piece_pos, length, advanced, flags, iomap);
    error_ = done.ok() ? ended : done.status();
    if (!error_.ok() || advanced == 0) { break; }
    pos_ = piece_pos + advanced;
    left -= advanced;
  }
}

// After all bios. Kernel: iomap_dio_complete.
Result<uint64_t> Dio::finish() {
  if (error_.ok()) { error_ = static_cast<Errc>(bio_error_.load()); }
  uint64_t result = error_.ok() ? moved_ : 0;
  if (!write_ && start_ + result > size_at_start_) { result = size_at_start_ - start_; }
  if (end_io_ != nullptr) {
    const Status ended = end_io_->end_io(start_, result, error_);
    if (error_.ok()) { error_ = ended; }
    end_io_->finished();
  }
  if (!error_.ok()) { return error_; }
  return result;
}

Result<uint64_t> Dio::run(bool pin_first) {
  if (buffer_.remaining() == 0 || (!write_ && pos_ >= size_at_start_)) {
    if (end_io_ != nullptr) { end_io_->finished(); }
    return uint64_t{0};
  }
  if (pin_first) {
    error_ = pin_all();
    end_io_->pinned();
  }
  if (error_.ok()) { walk(kIomapDirect | (write_ ? kIomapWrite : 0U)); }
  release_rest();
  wait_for_bios();
  FS_BUG_ON(pending_.load_unpointed() != 1, "IO2", "direct I/O returns with %u bios in flight",
            pending_.load_unpointed() - 1);
  return finish();
}

std::optional<Result<uint64_t>> Dio::start(bool pin_first) {
  if (buffer_.remaining() == 0 || (!write_ && pos_ >= size_at_start_)) { return run(pin_first); }
  if (pin_first) {
    error_ = pin_all();
    end_io_->pinned();
  }
  if (error_.ok()) { walk(kIomapDirect | (write_ ? kIomapWrite : 0U)); }
  release_rest();
  if (stops_short_) {
    wait_for_bios();
    return finish();
  }
  in_flight_ = true;  // told by the decrement
  if (pending_.fetch_sub(1) == 1) { return finish(); }
  return std::nullopt;
}

// Kernel: iomap_dio_bio_end_io.
void Dio::all_bios_done() {
  const bool defer = end_io_ != nullptr && end_io_->bios_done();
  if (defer) {
    done_queue_->queue(work_);
  } else {
    end_in_flight();
  }
}

// Kernel: iomap_dio_complete_work.
void Dio::end_in_flight() {
  FS_TRACE_SCOPE("iomap_dio_complete_work", inode_ref(host_.ino()));
  const Result<uint64_t> result = finish();
  Kiocb* const kiocb = kiocb_;
  delete this;
  kiocb->complete(result);
}

Result<uint64_t> Dio::piece(const Iomap& iomap, uint64_t length) {
  switch (iomap.type) {
    case Iomap::Type::kHole:
    case Iomap::Type::kDelalloc:
      if (write_) { return Errc::kIo; }
      return hole(length);
    case Iomap::Type::kUnwritten:
      if (!write_) { return hole(length); }
      break;
    case Iomap::Type::kMapped: break;
  }
  if (write_ && end_io_ != nullptr) { end_io_->note_piece(iomap); }
  // All of the rest has to be aligned, also behind the end of the file. Kernel: bdev_iter_is_aligned.
  if (((pos_ | length | buffer_.remaining()) & (kSectorSize - 1)) != 0) { return Errc::kInval; }
  if (buffer_.is_user() && (buffer_.address().value() & (kSectorSize - 1)) != 0) { return Errc::kInval; }
  const bool need_zeroout = write_ && (iomap.type == Iomap::Type::kUnwritten || iomap.is_new());
  FS_RETURN_IF_ERROR(zero_block_head(iomap, need_zeroout));
  auto done = buffer_.is_user() ? transfer_user(iomap, length) : transfer_kernel(iomap, length);
  if (done.ok()) { FS_RETURN_IF_ERROR(zero_block_tail(iomap, need_zeroout)); }
  return done;
}

Result<uint64_t> Dio::hole(uint64_t length) {
  const uint64_t zeroed = buffer_.zero_out(length);
  if (zeroed == 0) { return Errc::kFault; }
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
    if (!filled.ok()) { return filled.error(); }
  }
  return done;
}

Result<mm::PagePin> Dio::pin_next() {
  if (pins_used_ < pins_.size()) { return std::move(pins_[pins_used_++]); }
  return mm::pin_user_page(buffer_.mm(), buffer_.address(), /*write=*/!write_);
}

Status Dio::fill(Bio& bio, uint64_t length) {
  while (length != 0 && !bio.full()) {
    const VirtAddr address = buffer_.address();
    const uint32_t offset = static_cast<uint32_t>(address.value() & (kPageSize - 1));
    const uint32_t size = static_cast<uint32_t>(std::min(length, kPageSize - offset));
    FS_ASSIGN_OR_RETURN(mm::PagePin pin, pin_next());
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
  if (!need_zeroout || pad == 0) { return ok_status(); }
  return host_.device().zero(iomap.device_offset(pos_) - pad, pad);
}

Status Dio::zero_block_tail(const Iomap& iomap, bool need_zeroout) {
  if (!write_ || (!need_zeroout && pos_ < host_.i_size())) { return ok_status(); }
  const uint64_t used = pos_ % kBlockSize;
  if (used == 0) { return ok_status(); }
  // `pos_` may be the end of the iomap only if it is block aligned; so the block of pos_ belongs to
  // it.
  return host_.device().zero(iomap.block.value() * kBlockSize + (pos_ - iomap.offset), kBlockSize - used);
}

}  // namespace

std::optional<Result<uint64_t>> iomap_dio_submit(const DioCall& call) {
  FS_TRACE_SCOPE("iomap_dio_rw", inode_ref(call.host.ino()));
  const bool pin_first = call.pin_first && call.buffer.is_user();
  FS_BUG_ON(pin_first && call.end_io == nullptr, "IO2", "nobody to tell that pages are pinned");
  if (call.pin_first && !call.buffer.is_user()) { call.end_io->pinned(); }
  if (call.kiocb == nullptr) {
    Dio dio(call);
    return dio.run(pin_first);
  }
  std::unique_ptr<Dio> dio = std::make_unique<Dio>(call);
  Dio* const started = dio.release();  // from now on the last bio may delete it
  std::optional<Result<uint64_t>> result = started->start(pin_first);
  if (result.has_value()) { delete started; }
  return result;
}

Result<uint64_t> iomap_dio_rw(IomapHost& host, IovBuffer& buffer, uint64_t pos, bool write, IomapOps& ops,
                              DioEndIo* end_io) {
  return *iomap_dio_submit({.host = host, .buffer = buffer, .pos = pos, .write = write, .ops = ops, .end_io = end_io});
}

}  // namespace daxfs::io
