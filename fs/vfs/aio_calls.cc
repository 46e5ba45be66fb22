// fs/vfs/aio_calls.cc - io_submit, io_getevents, and what happens to requests when a process ends.
#include <algorithm>
#include <utility>

#include "fs/base/report.h"
#include "fs/ext4/file_rw.h"
#include "fs/ext4/super.h"
#include "fs/rt/task.h"
#include "fs/vfs/abi.h"
#include "fs/vfs/aio.h"
#include "fs/vfs/process.h"

namespace daxfs::vfs {

// --- contexts

AioContext::AioContext() {
  for (Request& request : requests_) { request.context_ = this; }
}

AioContext::~AioContext() {
  FS_BUG_ON(in_flight_ != 0, "AI2", "a process dies with %zu requests in flight; call Process::exit()", in_flight_);
}

Result<AioContext::Request*> AioContext::begin(FileRef file, uint64_t data) {
  const rt::SpinGuard guard(lock_);
  const auto free = std::find_if(requests_.begin(), requests_.end(),
                                 [](const Request& request) { return request.state_ == Request::State::kFree; });
  if (free == requests_.end()) { return Errc::kAgain; }
  free->state_ = Request::State::kInFlight;
  free->file_ = std::move(file);
  free->event_ = {.data = data};
  ++in_flight_;
  return &*free;
}

void AioContext::Request::complete(Result<uint64_t> result) {
  FS_BUG_ON(state_ != State::kInFlight || event_.error != Errc::kOk || event_.bytes != 0, "AI1",
            "a request ends that is not in flight");
  event_.error = result.error();
  event_.bytes = result.ok() ? *result : 0;
  if (rt::in_atomic()) {
    ext4::Volume& volume = file_->inode().volume();
    if (!file_->put_unless_last()) {
      volume.dio_done_queue().queue(put_file_);
      return;
    }
    file_.release();  // by then it may be gone
  }
  end();
}

// The event comes last: who has it may unmount.
void AioContext::Request::end() {
  { const FileRef put = std::move(file_); }
  AioContext& context = *context_;
  {
    const rt::SpinGuard guard(context.lock_);
    state_ = State::kOver;
    ended_as_ = context.ended_++;
    --context.in_flight_;
    ++context.over_;
  }
  context.queue_.wake_all();
}

bool AioContext::full() {
  const rt::SpinGuard guard(lock_);
  return std::none_of(requests_.begin(), requests_.end(),
                      [](const Request& request) { return request.state_ == Request::State::kFree; });
}

// RETURNS: how many it took.
size_t AioContext::take(size_t wanted, std::vector<AioEvent>* events) {
  const rt::SpinGuard guard(lock_);
  size_t taken = 0;
  for (; taken < wanted && over_ != 0; ++taken, --over_) {
    Request* first = nullptr;
    for (Request& request : requests_) {
      if (request.state_ != Request::State::kOver) { continue; }
      if (first == nullptr || request.ended_as_ < first->ended_as_) { first = &request; }
    }
    if (events != nullptr) { events->push_back(first->event_); }
    first->state_ = Request::State::kFree;
  }
  return taken;
}

void AioContext::collect(size_t wanted, std::vector<AioEvent>* events) {
  size_t left = wanted == 0 ? SIZE_MAX : wanted;
  for (;;) {
    left -= take(left, events);
    if (left == 0) { return; }
    bool none = false;
    queue_.wait_event([&] {
      const rt::SpinGuard guard(lock_);
      none = in_flight_ == 0 && over_ == 0;
      return none || over_ != 0;
    });
    if (none) { return; }
  }
}

void AioContext::exit() { collect(0, nullptr); }

// --- calls

AioContext& Process::aio() {
  const rt::SpinGuard guard(aio_lock_);
  if (aio_.get() == nullptr) { aio_ = std::make_unique<AioContext>(); }
  return *aio_.get();
}

// What is looked at once a request has been found. Kernel: aio_read, aio_write.
Result<FileRef> Process::aio_file(bool write, int fd, io::IovBuffer& buffer, int64_t offset) {
  FS_ASSIGN_OR_RETURN(FileRef file, fds_.get(fd));
  if (!(write ? file->writable() : file->readable())) { return Errc::kBadf; }
  if (!file->inode().is_regular()) { return Errc::kInval; }
  buffer.truncate(kRwCountMax);
  FS_RETURN_IF_ERROR(check_transfer(buffer, static_cast<uint64_t>(offset)));
  return file;
}

// Kernel: io_submit_one, aio_get_req. The context being full counts before everything that is wrong with the request,
// but for its length.
Status Process::io_submit(bool write, int fd, VirtAddr buffer, uint64_t length, int64_t offset, uint64_t data) {
  if (static_cast<int64_t>(length) < 0) { return Errc::kInval; }
  auto iov = io::IovBuffer::user(*mm_, buffer, length);
  Result<FileRef> found = aio_file(write, fd, iov, offset);
  if (!found.ok()) { return aio().full() ? Errc::kAgain : found.error(); }
  FileRef file = std::move(found).value();
  ext4::Inode& inode = file->inode();  // of the request's reference, which outlasts its use here
  File& open = *file;                  // the request's, until it is complete
  const unsigned flags = open.rw_flags();
  const ext4::InodeRef inode_ref = file->inode_ref();  // the request may be over before the call is
  FS_ASSIGN_OR_RETURN(AioContext::Request* const request, aio().begin(std::move(file), data));
  uint64_t pos = static_cast<uint64_t>(offset);
  const ext4::DioResult done = write ? ext4::file_write_iter(inode, iov, &pos, flags, request, &open)
                                     : ext4::file_read_iter(inode, iov, &pos, flags, request);
  if (done.has_value()) { request->complete(*done); }
  return ok_status();
}

std::vector<AioEvent> Process::io_getevents(size_t wanted) {
  std::vector<AioEvent> events;
  aio().collect(wanted, &events);
  return events;
}

}  // namespace daxfs::vfs
