#include "fs/jbd2/handle.h"

#include <algorithm>
#include <cstring>

#include "fs/base/report.h"
#include "fs/rt/lock_rank.h"
#include "fs/rt/step.h"

namespace daxfs::jbd2 {

struct HandleState {
  Journal* journal = nullptr;
  rt::TaskId owner = rt::kNoTask;
  uint64_t number = 0;
  unsigned nesting = 0;
  std::vector<Buffer*> buffers;  // with write access; each holds a reference
};

// --- journal

Journal::Journal(BufferCache& buffers) : buffers_(buffers), object_(rt::new_object_id(rt::ObjectClass::kLock)) {}

Journal::~Journal() {
  RawGuard guard(lock_);
  FS_BUG_ON(handles_running_ != 0, "JO2", "a handle still runs at the end of the journal");
#if defined(DAXFS_RT_FIBER)
  for (HandleState* state : running_) { delete state; }
#endif
}

HandleState*& Journal::current() {
#if defined(DAXFS_RT_FIBER)
  const rt::TaskId task = rt::current_task();
  FS_BUG_ON(task < rt::kNoTask || task >= rt::kMaxTasks, "JO1", "task id %d is outside the table of handles", task);
  return running_[static_cast<size_t>(task + 1)];
#else
  static thread_local HandleState* running = nullptr;
  FS_BUG_ON(running != nullptr && running->journal != this, "JO1", "a thread runs handles of two journals");
  return running;
#endif
}

HandleState* Journal::take_state() {
  RawGuard guard(lock_);
  ++handles_running_;
  HandleState* state;
  if (spare_.empty()) {
    state = new HandleState;
    state->journal = this;
  } else {
    state = spare_.back().release();
    spare_.pop_back();
  }
  state->number = ++handles_started_;
  return state;
}

void Journal::give_state(HandleState* state) {
  RawGuard guard(lock_);
  --handles_running_;
  spare_.emplace_back(state);
}

Result<Handle> start(Journal& journal, unsigned /*credits*/, Site site) {
  FS_WARN_ON(rt::current_context() == rt::Context::kIrq, "O12", "a transaction starts in irq context");
  HandleState*& slot = journal.current();
  if (slot != nullptr) {
    FS_BUG_ON(slot->nesting == 0, "JO1", "task %d runs a handle that was stopped", slot->owner);
    ++slot->nesting;
    return Handle(slot);
  }
  if (journal.aborted_) { return Errc::kRoFs; }
  rt::rank_acquire(rt::Rank::kHandle, journal.object_, site);
  slot = journal.take_state();
  slot->owner = rt::current_task();
  slot->nesting = 1;
  return Handle(slot);
}

// --- handle

Handle::~Handle() { FS_BUG_ON(state_ != nullptr, "HA1", "a handle of task %d was never stopped", state_->owner); }

Journal& Handle::journal() const { return *state_->journal; }

bool Handle::nested() const { return state_->nesting > 1; }

bool Handle::owns(const HandleState& state, const Buffer& buffer) {
  return buffer.last_writer_ == state.number ||
         std::find(state.buffers.begin(), state.buffers.end(), &buffer) != state.buffers.end();
}

Result<WriteAccess> Handle::get_write_access(Buffer& buffer, Site site) {
  BufferCache& cache = *buffer.cache_;
  for (;;) {
    {
      rt::also(rt::PointKind::kAtomicRmw, buffer.lock_.object());  // who writes to it
      RawGuard guard(cache.lock_);
      if (owns(*state_, buffer)) { return WriteAccess(&buffer); }
      if (!buffer.writing_) {
        ++buffer.writers_;
        ++buffer.references_;
        buffer.last_writer_ = state_->number;
        state_->buffers.push_back(&buffer);
        return WriteAccess(&buffer);
      }
    }
    // Wait for the write-back of the last writer; only it sets and clears writing_, under this lock.
    rt::MutexLock wait(buffer.lock_, site);
  }
}

Status Handle::dirty_metadata(Buffer& buffer) {
  rt::also(rt::PointKind::kAtomicStore, buffer.lock_.object());
  RawGuard guard(buffer.cache_->lock_);
  FS_BUG_ON(!owns(*state_, buffer), "HA2", "block %llu dirtied without write access",
            static_cast<unsigned long long>(buffer.block_.value()));
  buffer.dirty_ = true;
  return ok_status();
}

Status Handle::dirty_metadata(Buffer& buffer, const ChecksumTrigger& trigger) {
  FS_RETURN_IF_ERROR(dirty_metadata(buffer));
  RawGuard guard(buffer.cache_->lock_);
  buffer.trigger_ = trigger;
  return ok_status();
}

void Handle::forget(FsBlock block) { state_->journal->buffers().discard(block, 1); }

Status Handle::extend_or_restart(unsigned /*credits*/, Site /*site*/) {
  FS_BUG_ON(state_ == nullptr, "HA1", "a stopped handle cannot be extended");
  return ok_status();
}

Status Handle::stop(Status outcome, Site site) {
  FS_BUG_ON(state_ == nullptr, "HA1", "handle stopped twice");
  HandleState& state = *std::exchange(state_, nullptr);
  FS_BUG_ON(state.owner != rt::current_task(), "HA1", "handle of task %d stopped by task %d", state.owner,
            rt::current_task());
  if (state.nesting > 1) {
    --state.nesting;
    return outcome;
  }
  const Status written = finish(state, site);
  state.nesting = 0;
  Journal& journal = *state.journal;
  journal.current() = nullptr;
  rt::rank_release(rt::Rank::kHandle, journal.object_, site);
  journal.give_state(&state);
  return outcome.ok() ? written : outcome;
}

Status Handle::finish(HandleState& state, Site site) {
  Status first_error;
  bool stored = false;
  const auto runs_early = [](Buffer& buffer) {
    RawGuard guard(buffer.cache_->lock_);
    return buffer.trigger_.early;
  };
  for (const bool only_early : {true, false}) {
    for (Buffer*& buffer : state.buffers) {
      if (buffer == nullptr || (only_early && !runs_early(*buffer))) { continue; }
      const Status status = retire(*buffer, &stored, site);
      if (first_error.ok()) { first_error = status; }
      buffer->cache_->put(buffer);
      buffer = nullptr;
    }
  }
  state.buffers.clear();
  if (stored) { state.journal->buffers().device().fence(site); }
  return first_error;
}

// Gives up write access; the last writer of a dirty buffer writes it back.
Status Handle::retire(Buffer& buffer, bool* stored, Site site) {
  BufferCache& cache = *buffer.cache_;
  {
    rt::also(rt::PointKind::kAtomicRmw, buffer.lock_.object());
    RawGuard guard(cache.lock_);
    FS_BUG_ON(buffer.writers_ == 0, "BC1", "block %llu was changed outside a handle",
              static_cast<unsigned long long>(buffer.block_.value()));
    buffer.last_writer_ = 0;
    if (buffer.writers_ > 1 || !buffer.dirty_ || buffer.forgotten_) {
      --buffer.writers_;
      return ok_status();
    }
  }
  rt::MutexLock lock(buffer.lock_, site);
  ChecksumTrigger trigger;
  {
    rt::also(rt::PointKind::kAtomicRmw, buffer.lock_.object());
    RawGuard guard(cache.lock_);
    --buffer.writers_;
    if (buffer.writers_ > 0 || !buffer.dirty_ || buffer.forgotten_) { return ok_status(); }
    buffer.writing_ = true;
    buffer.dirty_ = false;
    trigger = buffer.trigger_;
  }
  if (trigger.function != nullptr) {
    trigger.function(trigger.context, trigger.argument, buffer.block_, BlockBytes(buffer.bytes_));
  }
  const Status status = write_through(buffer, stored, site);
  rt::also(rt::PointKind::kAtomicStore, buffer.lock_.object());
  RawGuard guard(cache.lock_);
  buffer.writing_ = false;
  return status;
}

// Stores the cache lines that differ from the device, neighbours together.
Status Handle::write_through(Buffer& buffer, bool* stored, Site site) {
  constexpr size_t kLine = 64;
  constexpr size_t kSector = 512;
  BufferCache& cache = *buffer.cache_;
  pmem::Device& device = cache.device();
  FS_BUG_ON(buffer.forgotten_, "BC3", "block %llu was freed and is being written",
            static_cast<unsigned long long>(buffer.block_.value()));
  const uint64_t base = buffer.block_.value() * kBlockSize;
  const std::span<const std::byte> bytes(buffer.bytes_);
  if (device.poisoned(base, kBlockSize)) {
    *stored = true;
    return device.store_clearing_poison(base, bytes, site);
  }
  const std::byte* medium = device.data() + base;
  size_t begin = 0;
  while (begin < kBlockSize) {
    // A handle changes a line or two of a block: most sectors are passed at one look.
    if (begin % kSector == 0 && std::memcmp(medium + begin, bytes.data() + begin, kSector) == 0) {
      begin += kSector;
      continue;
    }
    if (std::memcmp(medium + begin, bytes.data() + begin, kLine) == 0) {
      begin += kLine;
      continue;
    }
    size_t end = begin + kLine;
    while (end < kBlockSize && std::memcmp(medium + end, bytes.data() + end, kLine) != 0) { end += kLine; }
    // Non-temporal, as the kernel's pmem driver writes blocks: durable with the fence at the handle's end.
    FS_RETURN_IF_ERROR(device.store_nt(base + begin, bytes.subspan(begin, end - begin), site));
    *stored = true;
    begin = end + kLine;
  }
  return ok_status();
}

}  // namespace daxfs::jbd2
