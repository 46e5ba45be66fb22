#include "fs/jbd2/buffer.h"

#include <cstring>
#include <new>

#include "fs/base/report.h"
#include "fs/rt/step.h"

namespace daxfs::jbd2 {

// Buffers are made and thrown away with every mount, their memory is not: a fuzzing run mounts 25,000 times a second.
struct BufferCache::Slab {
  explicit Slab(BufferCache* cache)
      : buffers{Buffer(cache), Buffer(cache), Buffer(cache), Buffer(cache), Buffer(cache), Buffer(cache),
                Buffer(cache), Buffer(cache), Buffer(cache), Buffer(cache), Buffer(cache), Buffer(cache),
                Buffer(cache), Buffer(cache), Buffer(cache), Buffer(cache)} {}
  Buffer buffers[kSlabBuffers];

  static Slab* make(BufferCache* cache);
  static void destroy(Slab* slab);
};

namespace {

constexpr size_t kPooledMax = 8;

// The free list is last in, first out: who takes a buffer when decides who has which.
void note_pool() { rt::also(rt::PointKind::kAtomicRmw, rt::object_id(rt::ObjectClass::kPmem, 0, 1)); }

struct SlabMemory {
  RawLock lock;
  size_t count FS_GUARDED_BY(lock) = 0;
  void* free[kPooledMax] FS_GUARDED_BY(lock) = {};
};

SlabMemory& slab_memory() {
  static SlabMemory memory;
  return memory;
}

}  // namespace

BufferCache::Slab* BufferCache::Slab::make(BufferCache* cache) {
  SlabMemory& memory = slab_memory();
  void* place = nullptr;
  {
    RawGuard guard(memory.lock);
    if (memory.count > 0) { place = memory.free[--memory.count]; }
  }
  if (place == nullptr) { place = ::operator new(sizeof(Slab), std::align_val_t(alignof(Slab))); }
  return ::new (place) Slab(cache);
}

void BufferCache::Slab::destroy(Slab* slab) {
  slab->~Slab();
  SlabMemory& memory = slab_memory();
  {
    RawGuard guard(memory.lock);
    if (memory.count < kPooledMax) {
      memory.free[memory.count++] = slab;
      return;
    }
  }
  ::operator delete(static_cast<void*>(slab), std::align_val_t(alignof(Slab)));
}

BufferCache::BufferCache(pmem::Device& device) : device_(device) {}

BufferCache::~BufferCache() {
  RawGuard guard(lock_);
  for (Slab* slab : slabs_) {
    for (const Buffer& buffer : slab->buffers) {
      FS_BUG_ON(buffer.references_ != 0, "BC2", "block %llu: %u references at the end of the cache",
                static_cast<unsigned long long>(buffer.block_.value()), buffer.references_);
    }
    Slab::destroy(slab);
  }
}

void BufferRef::reset() {
  if (Buffer* buffer = std::exchange(buffer_, nullptr)) { buffer->cache_->put(buffer); }
}

Buffer* BufferCache::find_locked(FsBlock block) {
  Buffer* buffer = buckets_[bucket(block)];
  while (buffer != nullptr && buffer->block_ != block) { buffer = buffer->next_; }
  return buffer;
}

void BufferCache::unlink_locked(Buffer* buffer) {
  Buffer** link = &buckets_[bucket(buffer->block_)];
  while (*link != buffer) { link = &(*link)->next_; }
  *link = buffer->next_;
  buffer->next_ = nullptr;
  --cached_;
}

// Makes an unlinked buffer without references available again.
void BufferCache::release_locked(Buffer* buffer) {
  note_pool();
  buffer->set_state(Buffer::kEmpty);
  buffer->last_writer_ = 0;
  buffer->dirty_ = false;
  buffer->forgotten_ = false;
  buffer->trigger_ = ChecksumTrigger{};
  buffer->next_ = free_;
  free_ = buffer;
}

void BufferCache::shrink_locked() {
  for (Slab* slab : slabs_) {
    for (Buffer& buffer : slab->buffers) {
      const bool in_index = buffer.block_ < device_.blocks() && find_locked(buffer.block_) == &buffer;
      if (in_index && buffer.references_ == 0) {
        unlink_locked(&buffer);
        release_locked(&buffer);
      }
    }
  }
}

void BufferCache::shrink() {
  RawGuard guard(lock_);
  shrink_locked();
}

// The buffer of `block` with one more reference; a new one is empty.
Buffer* BufferCache::lookup(FsBlock block) {
  RawGuard guard(lock_);
  Buffer* buffer = find_locked(block);
  if (buffer == nullptr) {
    note_pool();
    if (cached_ >= kCachedMax && free_ == nullptr) { shrink_locked(); }
    if (free_ == nullptr) {
      Slab* slab = Slab::make(this);
      slabs_.push_back(slab);
      for (size_t i = kSlabBuffers; i-- > 0;) { release_locked(&slab->buffers[i]); }
    }
    buffer = free_;
    free_ = buffer->next_;
    buffer->block_ = block;
    buffer->next_ = buckets_[bucket(block)];
    buckets_[bucket(block)] = buffer;
    ++cached_;
  }
  ++buffer->references_;
  return buffer;
}

void BufferCache::put(Buffer* buffer) {
  RawGuard guard(lock_);
  FS_BUG_ON(buffer->references_ == 0, "BC2", "block %llu: put without a reference",
            static_cast<unsigned long long>(buffer->block_.value()));
  if (--buffer->references_ == 0 && buffer->forgotten_) { release_locked(buffer); }
}

Status BufferCache::read_in(Buffer& buffer, const Verifier& verifier, Site site) {
  rt::MutexLock guard(buffer.lock_, site);
  if (buffer.state() == Buffer::kEmpty) {
    FS_RETURN_IF_ERROR(device_.read(buffer.block_.value() * kBlockSize, buffer.bytes_, site));
    buffer.set_state(Buffer::kRead);
  }
  if (buffer.state() == Buffer::kRead && verifier.function != nullptr) {
    FS_RETURN_IF_ERROR(
        verifier.function(verifier.context, verifier.argument, buffer.block_, ConstBlockBytes(buffer.bytes_)));
    buffer.set_state(Buffer::kVerified);
  }
  return ok_status();
}

Result<BufferRef> BufferCache::get(FsBlock block, const Verifier& verifier, Site site) {
  if (block >= device_.blocks()) {
    return FS_CORRUPT("metadata block %llu is beyond the device", static_cast<unsigned long long>(block.value()));
  }
  BufferRef ref(lookup(block));
  const Buffer::State wanted = verifier.function != nullptr ? Buffer::kVerified : Buffer::kRead;
  if (ref->state() < wanted) { FS_RETURN_IF_ERROR(read_in(*ref, verifier, site)); }
  return ref;
}

Result<BufferRef> BufferCache::get_filled(FsBlock block, const Filler& filler, Site site) {
  if (block >= device_.blocks()) {
    return FS_CORRUPT("metadata block %llu is beyond the device", static_cast<unsigned long long>(block.value()));
  }
  BufferRef ref(lookup(block));
  if (ref->state() == Buffer::kVerified) { return ref; }
  rt::MutexLock guard(ref->lock_, site);
  if (ref->state() != Buffer::kVerified) {
    FS_RETURN_IF_ERROR(filler.function(filler.context, filler.argument, block, BlockBytes(ref->bytes_)));
    ref->set_state(Buffer::kVerified);
  }
  return ref;
}

Result<BufferRef> BufferCache::get_new(FsBlock block, Site site) {
  if (block >= device_.blocks()) {
    return FS_CORRUPT("new metadata block %llu is beyond the device", static_cast<unsigned long long>(block.value()));
  }
  BufferRef ref(lookup(block));
  rt::MutexLock guard(ref->lock_, site);
  {
    RawGuard cache_guard(lock_);
    if (ref->references_ != 1 || ref->writers_ != 0) {
      return FS_CORRUPT("block %llu was allocated while it is used as metadata",
                        static_cast<unsigned long long>(block.value()));
    }
    ref->dirty_ = false;
    ref->trigger_ = ChecksumTrigger{};
  }
  ref->bytes_.fill(std::byte{0});
  ref->set_state(Buffer::kVerified);
  return ref;
}

void BufferCache::discard(FsBlock first, uint64_t count) {
  const auto drop = [this](Buffer* buffer) FS_REQUIRES(lock_) {
    note_pool();
    rt::also(rt::PointKind::kAtomicStore, buffer->lock_.object());
    unlink_locked(buffer);
    buffer->forgotten_ = true;
    if (buffer->references_ == 0) { release_locked(buffer); }
  };
  // A write-back in progress must end before the block can belong to somebody else (BC3).
  const auto wait_for_writer = [this](Buffer* buffer) FS_NO_THREAD_SAFETY_ANALYSIS {  // releases and retakes lock_
    ++buffer->references_;
    lock_.unlock();
    buffer->lock_.lock();
    buffer->lock_.unlock();
    lock_.lock();
    --buffer->references_;
  };
  RawGuard guard(lock_);
  if (count > cached_) {
    for (size_t i = 0; i < slabs_.size(); ++i) {
      for (Buffer& buffer : slabs_[i]->buffers) {
        const auto inside = [&] { return buffer.block_ >= first && buffer.block_ - first < count; };
        while (inside() && buffer.writing_) { wait_for_writer(&buffer); }
        if (inside() && find_locked(buffer.block_) == &buffer) { drop(&buffer); }
      }
    }
    return;
  }
  for (uint64_t i = 0; i < count; ++i) {
    Buffer* buffer = find_locked(first + i);
    while (buffer != nullptr && buffer->writing_) {
      wait_for_writer(buffer);
      buffer = find_locked(first + i);
    }
    if (buffer != nullptr) { drop(buffer); }
  }
}

}  // namespace daxfs::jbd2
