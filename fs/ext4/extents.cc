// fs/ext4/extents.cc - the extent code bound to inodes and volumes: locks, journal, i_blocks.
#include "fs/ext4/extents.h"

#include <algorithm>

#include "fs/base/historical.h"
#include "fs/base/report.h"
#include "fs/ext4/inode_extent_host.h"
#include "fs/ext4/super.h"
#include "fs/mm/memory.h"
#include "fs/rt/trace.h"

namespace daxfs::ext4 {

namespace {

// Runs a change of the tree and writes what it did to the inode.
template <typename F>
Status change_tree(jbd2::Handle& handle, Inode& inode, F&& change) FS_REQUIRES(inode.i_data_sem) {
  inode.i_data_sem.assert_held_write();
  inode.extent_status.clear();
  InodeExtentHost host(inode, &handle);
  BlockMapper mapper(host);
  return host.finish(change(mapper));
}

}  // namespace

namespace {

// What a tracer hears of a lookup or a change.
void trace_extent(const Inode& inode, const Result<MapResult>& map, bool changed) {
  if (!rt::tracing() || !map.ok()) { return; }
  const ObjectRef extent = extent_ref(inode.ino(), map->lblk.value(), map->len);
  const uint64_t value =
      map->state == BlockState::kHole ? 0 : extent_value(map->pblk, map->state == BlockState::kUnwritten);
  if (changed) {
    rt::trace_write(extent, kUnknownValue, value);
  } else {
    rt::trace_read(extent, value);
  }
}

void note_written(Inode& inode, const Result<MapResult>& map) {
  if (!map.ok() || map->state != BlockState::kWritten) { return; }
  mm::FrameHistory& history = inode.mapping().memory().history();
  for (uint32_t i = 0; i < map->len; ++i) { history.note(Pfn(map->pblk.value() + i), mm::FrameEvent::kWritten); }
}

}  // namespace

namespace {

// i_data_sem shared, unless the caller has it (kNoLock). The analysis cannot follow a lock that is taken on a
// condition.
class LookupLock {
 public:
  LookupLock(Inode& inode, uint32_t flags, Site site) FS_NO_THREAD_SAFETY_ANALYSIS
      : inode_(inode),
        no_lock_((flags & MapRequest::kNoLock) != 0),
        site_(site) {
    // Bugs kNoLockLooksLocked, kNoLockUnlocks: one of the places did not know the flag.
    if (!no_lock_ || historical(Bug::kNoLockLooksLocked)) {
      inode_.i_data_sem.down_read(site_);
    } else {
      inode_.i_data_sem.assert_held_read(site_);
    }
  }
  LookupLock(const LookupLock&) = delete;
  LookupLock& operator=(const LookupLock&) = delete;
  ~LookupLock() FS_NO_THREAD_SAFETY_ANALYSIS {
    if (!no_lock_ || historical(Bug::kNoLockLooksLocked) || historical(Bug::kNoLockUnlocks)) {
      inode_.i_data_sem.up_read(site_);
    }
  }

 private:
  Inode& inode_;
  const bool no_lock_;
  const Site site_;
};

ExtentStatus::State cached_state(bool unwritten) {
  return unwritten ? ExtentStatus::State::kUnwritten : ExtentStatus::State::kWritten;
}

// Delayed blocks of a range that a lookup or a change found. Kernel: what ext4_map_blocks does around
// ext4_es_insert_extent.
void note_delayed(Inode& inode, const MapResult& map, uint32_t flags) {
  if (map.state == BlockState::kHole || !inode.extent_status.has_delayed()) { return; }
  const uint64_t end = uint64_t{map.lblk.value()} + map.len;
  // What is reserved is what the room was reserved for.
  const bool reserved = (flags & MapRequest::kReserved) != 0;
  if (!reserved && (map.state == BlockState::kUnwritten || historical(Bug::kDelayedStaysOnWritten))) {
    inode.extent_status.spread_delayed(map.lblk, end);
  } else {
    inode.extent_status.remove_delayed(map.lblk, end);
  }
}

// The same of a change, which may have made neighbours written, too.
void note_delayed_change(Inode& inode, const MapResult& map, uint32_t flags, BlockMapper& mapper) {
  MapResult changed = map;
  const auto found = mapper.blocks().lookup(map.lblk);
  if (map.state == BlockState::kWritten && found.ok() && found->run.has_value()) {
    changed.lblk = found->run->lblk;
    changed.len = found->run->len;
  }
  note_delayed(inode, changed, flags);
}

// A cached range must cover the request: a shorter one may have grown since by merging.
std::optional<MapResult> from_cache(const Inode& inode, const MapRequest& request) {
  const auto range = inode.extent_status.lookup(request.lblk, request.len);
  if (!range.has_value()) { return std::nullopt; }
  MapResult result;
  result.lblk = request.lblk;
  result.len = request.len;
  if (range->state != ExtentStatus::State::kHole) {
    result.pblk = range->pblk + (request.lblk - range->lblk);
    result.state = range->state == ExtentStatus::State::kWritten ? BlockState::kWritten : BlockState::kUnwritten;
  }
  return result;
}

// From the cache (*hit), or from the tree and then into the cache.
Result<MapResult> look_cached(Inode& inode, const MapRequest& request, bool* hit) {
  if (const auto cached = from_cache(inode, request)) {
    *hit = true;
    return *cached;
  }
  InodeExtentHost host(inode, nullptr);
  BlockMapper mapper(host);
  FS_ASSIGN_OR_RETURN(const ExtentTree::Lookup found, mapper.blocks().lookup(request.lblk));
  if ((request.flags & MapRequest::kNoCache) == 0) {
    if (found.run.has_value()) {
      inode.extent_status.insert({.lblk = found.run->lblk,
                                  .end = found.run->end(),
                                  .pblk = found.run->pblk,
                                  .state = cached_state(found.run->unwritten)});
    } else {
      inode.extent_status.insert({.lblk = request.lblk, .end = found.hole_end, .pblk = FsBlock(0)});
    }
  }
  const MapResult result = mapper.answer(request, found);
  note_delayed(inode, result, request.flags);
  return result;
}

// With the mount option es_test: what the cache says of a range is what the tree says. Kernel:
// ext4_map_blocks_es_recheck.
Status recheck_cached(Inode& inode, const MapRequest& request, Site site) {
  // Bug kRecheckLocks: this place did not know the flag.
  const LookupLock lock(inode, historical(Bug::kRecheckLocks) ? 0U : request.flags, site);
  const auto cached = from_cache(inode, request);
  if (!cached.has_value()) {
    return ok_status();  // forgotten since
  }
  InodeExtentHost host(inode, nullptr);
  FS_ASSIGN_OR_RETURN(const MapResult found, BlockMapper(host).look(request));
  FS_WARN_ON(found.state != cached->state || found.pblk != cached->pblk, "O18",
             about(extent_ref(inode.ino(), request.lblk.value())),
             "inode %u block %u: the extent status cache does not say what the tree says", inode.ino().value(),
             request.lblk.value());
  return ok_status();
}

// Bugs: who changes the tree does not empty the cache beforehand.
bool keeps_cache_for_now(const MapRequest& request) {
  const bool by_caller = historical(Bug::kZeroRangeDropsFirst) && (request.flags & MapRequest::kConvertUnwritten) != 0;
  return by_caller || historical(Bug::kCacheStaysOnFailedSplit);
}

// Bugs kZeroIsTwoFlags, kZeroIsTwoFlagsStrict: the number given to ZERO was that of NO_LOCK and CONVERT_UNWRITTEN
// together.
uint32_t aliased_flags(uint32_t flags) {
  constexpr uint32_t kBoth = MapRequest::kNoLock | MapRequest::kConvertUnwritten;
  const bool any = historical(Bug::kZeroIsTwoFlags);
  const bool all = historical(Bug::kZeroIsTwoFlagsStrict);
  if (!any && !all) { return flags; }
  const bool zero = any ? (flags & (kBoth | MapRequest::kZero)) != 0 : (flags & MapRequest::kZero) != 0;
  if ((flags & MapRequest::kZero) != 0) { flags |= kBoth; }
  return zero ? flags | MapRequest::kZero : flags;
}

}  // namespace

Result<MapResult> map_blocks(jbd2::Handle* handle, Inode& inode, const MapRequest& request, Site site) {
  FS_BUG_ON(request.len == 0, "MB1", "mapping no blocks at %u", request.lblk.value());
  if (request.lblk.value() >= kLogicalEnd) { return Errc::kFBig; }
  MapRequest clipped = request;
  clipped.len = static_cast<uint32_t>(std::min<uint64_t>(request.len, kLogicalEnd - request.lblk.value()));
  clipped.flags = aliased_flags(clipped.flags);
  Result<MapResult> found = Errc::kIo;
  bool hit = false;
  {
    const LookupLock lock(inode, clipped.flags, site);
    InodeExtentHost host(inode, nullptr);
    BlockMapper(host).check_format(clipped);
    found = look_cached(inode, clipped, &hit);
    trace_extent(inode, found, /*changed=*/false);
    if (found.ok() && found->state == BlockState::kHole && (clipped.flags & MapRequest::kDelay) != 0) {
      FS_RETURN_IF_ERROR(inode.reserve_delayed(clipped.lblk));
    }
  }
  if (hit && inode.volume().options().es_test) { FS_RETURN_IF_ERROR(recheck_cached(inode, clipped, site)); }
  if (!found.ok() || !BlockMapper::must_change(*found, clipped.flags)) { return found; }
  FS_BUG_ON(handle == nullptr, "MB1", "changing the mapping of %u without a handle", request.lblk.value());
  // Reloaded: what the lookup saw may be different by now, so map() looks again.
  const rt::WriteLock lock(inode.i_data_sem, site);
  const bool late = keeps_cache_for_now(clipped);
  if (!late) { inode.extent_status.clear(); }
  InodeExtentHost host(inode, handle, (clipped.flags & MapRequest::kReserved) != 0);
  BlockMapper mapper(host);
  Result<MapResult> mapped = mapper.map(clipped);
  if (late && historical(Bug::kCacheStaysOnFailedSplit) && !mapper.split_failed()) { inode.extent_status.clear(); }
  if (mapped.ok() && inode.extent_status.has_delayed()) { note_delayed_change(inode, *mapped, clipped.flags, mapper); }
  trace_extent(inode, mapped, /*changed=*/true);
  note_written(inode, mapped);
  FS_RETURN_IF_ERROR(host.finish(mapped.status()));
  return mapped;
}

Result<bool> convert_unwritten_extents(jbd2::Handle& handle, Inode& inode, LogicalBlock first, uint32_t len) {
  bool complete = true;
  const uint64_t end = std::min<uint64_t>(uint64_t{first.value()} + len, kLogicalEnd);
  for (uint64_t at = first.value(); at < end;) {
    const MapRequest request{.lblk = LogicalBlock(static_cast<uint32_t>(at)),
                             .len = static_cast<uint32_t>(end - at),
                             .flags = MapRequest::kConvert};
    FS_ASSIGN_OR_RETURN(const MapResult mapped, map_blocks(&handle, inode, request));
    complete = complete && mapped.state != BlockState::kHole;
    at += mapped.len;
  }
  return complete;
}

Status remove_range_locked(jbd2::Handle& handle, Inode& inode, LogicalBlock first, LogicalBlock end) {
  FS_TRACE_SCOPE("ext4_ext_remove_space", extent_ref(inode.ino(), first.value(), end - first));
  inode.extent_status.remove_delayed(first, end.value());
  const Status status =
      change_tree(handle, inode, [&](BlockMapper& mapper) { return mapper.blocks().remove_range(first, end); });
  FS_TRACE_WRITE(extent_ref(inode.ino(), first.value(), end - first), kUnknownValue, 0);
  return status;
}

Status shift_left_locked(jbd2::Handle& handle, Inode& inode, LogicalBlock start, uint32_t blocks) {
  inode.extent_status.remove_delayed(start - blocks, kLogicalEnd);
  return change_tree(handle, inode, [&](BlockMapper& mapper) { return mapper.tree().shift_left(start, blocks); });
}

Status shift_right_locked(jbd2::Handle& handle, Inode& inode, LogicalBlock start, uint32_t blocks) {
  inode.extent_status.remove_delayed(start, kLogicalEnd);
  return change_tree(handle, inode, [&](BlockMapper& mapper) { return mapper.tree().shift_right(start, blocks); });
}

Result<std::optional<ExtentRun>> next_extent(Inode& inode, LogicalBlock from) {
  const rt::ReadLock lock(inode.i_data_sem);
  return next_extent_locked(inode, from);
}

Result<std::optional<ExtentRun>> next_extent_locked(Inode& inode, LogicalBlock from) {
  InodeExtentHost host(inode, nullptr);
  return BlockMapper(host).blocks().next_extent(from);
}

Result<uint64_t> extent_node_count(Inode& inode) {
  const rt::ReadLock lock(inode.i_data_sem);
  InodeExtentHost host(inode, nullptr);
  return BlockMapper(host).blocks().check();
}

Status check_extent_tree(Inode& inode) { return extent_node_count(inode).status(); }

void format_extent_root(Inode::RootBytes& root) {
  root.fill(std::byte{0});
  ExtentNode(root.data()).format(0, kExtentRootEntries);
}

}  // namespace daxfs::ext4
