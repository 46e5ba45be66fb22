// fs/vfs/aio.h - AioContext: the requests of a process that io_submit left in flight, and their results.
//
// Kernel: fs/aio.c (struct kioctx, struct aio_kiocb, aio_complete, read_events, exit_aio); one context a process.
// Locking: lock_ is a leaf, also taken in irq context. A request keeps its file until it is over; the last reference to
// a file is not given up in irq context but in the volume's work queue (kernel: delayed fput).
// Invariants:
//   AI1  a request ends once.
//   AI2  a process that is gone has no requests.
// Not covered: io_setup with several contexts, io_cancel, polled and vectored requests, eventfd, timeouts.
// Tested by: fs/vfs/aio_test.cc.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "fs/base/errc.h"
#include "fs/base/result.h"
#include "fs/io/direct_io.h"
#include "fs/rt/spinlock.h"
#include "fs/rt/wait_queue.h"
#include "fs/rt/workqueue.h"
#include "fs/vfs/file.h"

namespace daxfs::vfs {

struct AioEvent {
  uint64_t data = 0;  // what io_submit was given
  Errc error = Errc::kOk;
  uint64_t bytes = 0;  // moved, without an error
};

class AioContext {
 public:
  static constexpr size_t kRequestsMax = 8;  // in flight, or over and not collected

  AioContext();
  AioContext(const AioContext&) = delete;
  AioContext& operator=(const AioContext&) = delete;
  ~AioContext();

  class Request final : public io::Kiocb {
   public:
    Request() : put_file_([](void* self) { static_cast<Request*>(self)->end(); }, this) {}
    // --- io::Kiocb, and for whoever has the result at once. Any context.
    void complete(Result<uint64_t> result) override;

   private:
    friend class AioContext;
    enum class State : uint8_t { kFree, kInFlight, kOver };
    void end();

    AioContext* context_ = nullptr;
    State state_ = State::kFree;
    uint64_t ended_as_ = 0;  // events come in the order in which requests ended
    FileRef file_;
    AioEvent event_;
    rt::Work put_file_;
  };

  // A request for `file`, in flight from now on. Errors: kAgain if there are kRequestsMax. YIELDS.
  Result<Request*> begin(FileRef file, uint64_t data);
  // Whether begin() would say kAgain now. YIELDS.
  bool full();
  // Waits until it has `wanted` events (0: all) or none is in flight any more, and takes them. YIELDS.
  void collect(size_t wanted, std::vector<AioEvent>* events);
  // Waits until none is in flight, and forgets all events. YIELDS.
  void exit();

 private:
  size_t take(size_t wanted, std::vector<AioEvent>* events);

  rt::SpinLock lock_{rt::Rank::kLeaf, "aio context"};
  rt::WaitQueue queue_{"aio events"};
  std::array<Request, kRequestsMax> requests_;
  size_t in_flight_ = 0;
  size_t over_ = 0;
  uint64_t ended_ = 0;
};

}  // namespace daxfs::vfs
