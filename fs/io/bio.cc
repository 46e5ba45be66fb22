// fs/io/bio.cc - requests to the device and their completion.
#include "fs/io/bio.h"

#include <span>
#include <utility>

#include "fs/base/report.h"
#include "fs/mm/address_space.h"
#include "fs/mm/folio.h"
#include "fs/rt/inject.h"
#include "fs/rt/irq.h"
#include "fs/rt/point.h"
#include "fs/rt/step.h"
#include "fs/rt/trace.h"

namespace daxfs::io {

namespace {

rt::ObjectId bio_object(uint64_t device_offset) {
  return rt::object_id(rt::ObjectClass::kBio, device_offset / kSectorSize);
}

}  // namespace

void Bio::init(mm::Memory& memory, uint64_t device_offset, bool write, EndIo end_io, void* context) {
  memory_ = &memory;
  device_offset_ = device_offset;
  write_ = write;
  dirties_pages_ = true;
  end_io_ = end_io;
  context_ = context;
  count_ = 0;
  size_ = 0;
  status_ = ok_status();
}

void Bio::add_page(mm::PagePin&& pin, uint32_t offset, uint32_t length) {
  FS_BUG_ON(full() || offset + length > kPageSize, "IO3", "bio with %u pages cannot take %u bytes at %u", count_,
            length, offset);
  Segment& segment = segments_[count_++];
  segment.pin = std::move(pin);
  segment.offset = offset;
  segment.length = length;
  size_ += length;
}

void Bio::submit(Site site) {
  FS_TRACE_SCOPE("submit_bio", {});
  rt::point(rt::PointKind::kBioSubmit, bio_object(device_offset_), site);
  if (rt::inject(Injection::kBio)) { status_ = Errc::kIo; }
  rt::raise_irq(&Bio::complete_in_irq, this, site);
}

void Bio::complete_in_irq(void* self) { static_cast<Bio*>(self)->complete(); }

// The pins go one by one, each release a scheduling point: whoever waits for the pages sees them
// become idle in turn.
void Bio::complete() {
  FS_TRACE_SCOPE("bio_endio", {});
  rt::point(rt::PointKind::kBioComplete, bio_object(device_offset_));
  uint64_t at = device_offset_;
  const bool fails = !status_.ok();  // on order
  for (unsigned i = 0; i < count_ && !fails; ++i) {
    transfer(segments_[i], at);
    at += segments_[i].length;
  }
  for (unsigned i = 0; i < count_; ++i) {
    mm::PagePin& pin = segments_[i].pin;
    // While it was written to, writeback may have taken the page for clean (thread 003).
    if (!write_ && dirties_pages_ && pin.page().is_cached()) { mm::set_pinned_page_dirty(pin); }
    pin.release();
  }
  // The submitter may return as soon as end_io told it, and the bio with it: nothing touches `this`
  // afterwards.
  end_io_(context_, *this);
}

void Bio::transfer(Segment& segment, uint64_t device_offset) {
  const mm::PagePin& pin = segment.pin;
  rt::also(rt::PointKind::kAtomicLoad, rt::object_id(rt::ObjectClass::kFrame, pin.pfn().value()));
  FS_WARN_ON(memory_->device().watches_owners() && !pin.still_owned(), "O15", about(frame_ref(pin.pfn())),
             "DMA %s frame %llu completes, but the frame now belongs to page %llu of another file "
             "or to none",
             write_ ? "from" : "into", static_cast<unsigned long long>(pin.pfn().value()),
             static_cast<unsigned long long>(mm::page_index(pin.page()).value()));
  std::byte bounce[kPageSize];  // one page, not cleared: written before it is read
  const std::span<std::byte> bytes(bounce, segment.length);
  Status status;
  if (write_) {
    status = memory_->read(pin.pfn(), segment.offset, bytes);
    if (status.ok()) { status = memory_->device().store_nt(device_offset, bytes); }
  } else {
    status = memory_->device().read(device_offset, bytes);
    if (status.ok()) { status = memory_->write(pin.pfn(), segment.offset, bytes); }
  }
  if (!status.ok() && status_.ok()) { status_ = status; }
}

}  // namespace daxfs::io
