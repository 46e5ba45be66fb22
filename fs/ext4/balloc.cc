#include "fs/ext4/balloc.h"

#include <algorithm>
#include <array>

#include "fs/base/flags.h"
#include "fs/base/report.h"
#include "fs/ext4/bitmap.h"
#include "fs/ext4/super.h"
#include "fs/mm/memory.h"
#include "fs/mm/page.h"
#include "fs/rt/inject.h"
#include "fs/rt/step.h"

namespace daxfs::ext4 {
namespace {

static_assert(distinct_bits({kAllocAlignPmd, kAllocMetadata, kAllocUseReserved, kAllocExact}));

// A run inside a group, in bits; empty if none was found.
struct BitRun {
  uint32_t first = 0;
  uint32_t count = 0;
};

// What a search in one group must find.
struct Search {
  uint32_t start;   // bit to begin at; wraps
  uint32_t wanted;  // as long as this, at most
  uint32_t needed;  // shorter runs do not count
  uint32_t align;   // physical alignment of the start, blocks; 1 for none
};

// Blocks change hands: whoever uses their bytes or pins their frames meets that.
void note_owners(uint64_t first, uint64_t count) {
  for (uint64_t block = first; block < first + count; ++block) {
    rt::also(rt::PointKind::kPmemStore, rt::object_id(rt::ObjectClass::kPmem, block));
    rt::also(rt::PointKind::kAtomicLoad, rt::object_id(rt::ObjectClass::kFrame, block));
  }
}

// First fit in [begin, end): the first run of at least `needed` bits at an aligned start.
BitRun first_fit(const Bitmap& bitmap, const Search& search, uint64_t group_first, uint32_t begin, uint32_t end) {
  uint32_t bit = begin;
  while (bit < end) {
    const uint32_t clear = bitmap.find_clear(bit, end);
    const uint32_t run_end = bitmap.find_set(clear, end);
    const uint64_t aligned = round_up(group_first + clear, search.align) - group_first;
    if (aligned < run_end && run_end - aligned >= search.needed) {
      const auto first = static_cast<uint32_t>(aligned);
      return {first, std::min(search.wanted, run_end - first)};
    }
    bit = run_end;
  }
  return {};
}

BitRun search_group(const Bitmap& bitmap, const Search& search, uint64_t group_first, uint32_t block_count) {
  BitRun run = first_fit(bitmap, search, group_first, search.start, block_count);
  if (run.count == 0 && search.start > 0) { run = first_fit(bitmap, search, group_first, 0, block_count); }
  return run;
}

uint32_t longest_run(const Bitmap& bitmap, uint32_t block_count) {
  uint32_t longest = 0;
  for (uint32_t bit = 0; bit < block_count;) {
    const uint32_t clear = bitmap.find_clear(bit, block_count);
    const uint32_t end = bitmap.find_set(clear, block_count);
    longest = std::max(longest, end - clear);
    bit = end;
  }
  return longest;
}

// Takes a run from `index` if there is one; an empty run if not. YIELDS.
Result<BlockRun> take_from_group(Volume& volume, jbd2::Handle& handle, uint32_t index, const Search& search) {
  Groups& groups = volume.groups();
  Group& group = groups[index];
  const uint64_t group_first = volume.geometry().first_block(index).value();
  {
    rt::SpinGuard guard(group.lock);
    if (group.blocks_free < search.needed) { return BlockRun{}; }
  }
  FS_ASSIGN_OR_RETURN(jbd2::BufferRef buffer, groups.block_bitmap(index));
  {
    // Look before taking part in the handle: a full group's bitmap should not be written.
    rt::SpinGuard guard(group.lock);
    if (search_group(Bitmap(buffer->data()), search, group_first, group.block_count).count == 0) { return BlockRun{}; }
  }
  FS_ASSIGN_OR_RETURN(jbd2::WriteAccess access, handle.get_write_access(*buffer));
  FS_RETURN_IF_ERROR(groups.get_descriptor_access(handle, index));
  BitRun run;
  {
    rt::SpinGuard guard(group.lock);
    MutableBitmap bitmap(access.bytes());
    // Reloaded: others may have allocated since the first look.
    run = search_group(bitmap.view(), search, group_first, group.block_count);
    if (run.count == 0) { return BlockRun{}; }
    FS_BUG_ON(bitmap.view().any_set(run.first, run.first + run.count), "BA1", "group %u: bits %u+%u are in use", index,
              run.first, run.count);
    FS_BUG_ON(groups.overlaps_system_zone(FsBlock(group_first + run.first), run.count), "GR2",
              "group %u: bits %u+%u are metadata, yet free", index, run.first, run.count);
    FS_BUG_ON(group.blocks_free < run.count, "GR1", "group %u: fewer free blocks than clear bits", index);
    bitmap.set(run.first, run.first + run.count);
    note_owners(group_first + run.first, run.count);
    volume.device().mark_used(FsBlock(group_first + run.first), run.count);
    group.blocks_free -= run.count;
    group.flags = static_cast<uint16_t>(group.flags & ~kGroupBlockUninit);
    groups.store_descriptor_locked(index, group);
  }
  FS_RETURN_IF_ERROR(groups.dirty_block_bitmap(handle, index, *buffer));
  FS_RETURN_IF_ERROR(groups.dirty_descriptor(handle, index));
  return BlockRun{FsBlock(group_first + run.first), run.count};
}

// One pass over all groups, the goal's first.
Result<BlockRun> take_anywhere(Volume& volume, jbd2::Handle& handle, FsBlock goal, Search search) {
  const Geometry& geometry = volume.geometry();
  const uint32_t goal_group = geometry.group_of(goal);
  for (uint32_t i = 0; i < geometry.group_count; ++i) {
    const uint32_t index = (goal_group + i) % geometry.group_count;
    search.start = i == 0 ? geometry.bit_of(goal) : 0;
    FS_ASSIGN_OR_RETURN(BlockRun run, take_from_group(volume, handle, index, search));
    if (run.count > 0) { return run; }
  }
  return BlockRun{};
}

// The longest free run of any group; how long it was a moment ago.
Result<uint32_t> longest_anywhere(Volume& volume) {
  uint32_t longest = 0;
  for (uint32_t index = 0; index < volume.geometry().group_count; ++index) {
    Group& group = volume.groups()[index];
    {
      rt::SpinGuard guard(group.lock);
      if (group.blocks_free <= longest) { continue; }
    }
    FS_ASSIGN_OR_RETURN(jbd2::BufferRef buffer, volume.groups().block_bitmap(index));
    rt::SpinGuard guard(group.lock);
    longest = std::max(longest, longest_run(Bitmap(buffer->data()), group.block_count));
  }
  return longest;
}

Result<BlockRun> find_and_take(Volume& volume, jbd2::Handle& handle, FsBlock goal, uint32_t wanted, unsigned flags) {
  const uint32_t unit = volume.huge_blocks();
  if ((flags & kAllocAlignPmd) != 0 && wanted >= unit) {
    const uint32_t enough = (flags & kAllocExact) != 0 ? wanted : unit;
    FS_ASSIGN_OR_RETURN(BlockRun run, take_anywhere(volume, handle, goal, {0, wanted, enough, unit}));
    if (run.count > 0) { return run; }
  }
  uint32_t needed = wanted;
  for (;;) {
    FS_ASSIGN_OR_RETURN(BlockRun run, take_anywhere(volume, handle, goal, {0, wanted, needed, 1}));
    if (run.count > 0) { return run; }
    if ((flags & kAllocExact) != 0) { return Errc::kNoSpc; }
    // Nobody has it in one piece: settle for the longest there is. Others may take that meanwhile; then look again.
    FS_ASSIGN_OR_RETURN(const uint32_t longest, longest_anywhere(volume));
    if (longest == 0) { return Errc::kNoSpc; }
    needed = std::min(longest, needed);
  }
}

// Fills blocks that are still ours with the pattern that no read may return (oracle O16).
Status poison_blocks(Volume& volume, FsBlock first, uint64_t count) {
  static const auto pattern = [] {
    std::array<std::byte, kBlockSize> bytes;
    bytes.fill(std::byte{kStaleByte});
    return bytes;
  }();
  for (uint64_t i = 0; i < count; ++i) {
    FS_RETURN_IF_ERROR(volume.device().store_nt((first.value() + i) * kBlockSize, pattern));
  }
  return ok_status();
}

// A block that is given back must not be in use by somebody who knows only its frame.
void check_not_pinned(Volume& volume, FsBlock first, uint64_t count) {
  if (!volume.has_memory()) { return; }
  mm::Memory& memory = volume.memory();
  for (uint64_t i = 0; i < count; ++i) {
    const int references = mm::page_ref_count(memory.page(Pfn(first.value() + i)));
    const Pfn frame(first.value() + i);
    FS_WARN_ON(references > 1 && volume.device().watches_owners(), "O1",
               about(frame_ref(frame)).came(memory.history().of_pin(frame)), "block freed with refcount %d, expected 1",
               references);
  }
}

Status free_in_group(Volume& volume, jbd2::Handle& handle, FsBlock first, uint32_t count) {
  Groups& groups = volume.groups();
  const uint32_t index = volume.geometry().group_of(first);
  const uint32_t begin = volume.geometry().bit_of(first);
  Group& group = groups[index];
  FS_ASSIGN_OR_RETURN(jbd2::BufferRef buffer, groups.block_bitmap(index));
  FS_ASSIGN_OR_RETURN(jbd2::WriteAccess access, handle.get_write_access(*buffer));
  FS_RETURN_IF_ERROR(groups.get_descriptor_access(handle, index));
  {
    rt::SpinGuard guard(group.lock);
    MutableBitmap bitmap(access.bytes());
    if (bitmap.view().any_clear(begin, begin + count)) {
      return FS_CORRUPT("blocks %llu+%u are freed, but not all of them are in use",
                        static_cast<unsigned long long>(first.value()), count);
    }
    // Again, as storing poison took its time; from here on the device watches.
    check_not_pinned(volume, first, count);
    bitmap.clear(begin, begin + count);
    note_owners(first.value(), count);
    volume.device().mark_freed(first, count);
    group.blocks_free += count;
    FS_BUG_ON(group.blocks_free > group.block_count, "BA2", "group %u: more free blocks than blocks", index);
    groups.store_descriptor_locked(index, group);
  }
  FS_RETURN_IF_ERROR(groups.dirty_block_bitmap(handle, index, *buffer));
  FS_RETURN_IF_ERROR(groups.dirty_descriptor(handle, index));
  volume.unclaim_blocks(count);
  return ok_status();
}

}  // namespace

FsBlock default_goal(Volume& volume, Ino ino) {
  const Geometry& geometry = volume.geometry();
  uint32_t group = geometry.group_of(ino);
  // With flex_bg the groups of a pack share their metadata at its start: look there first.
  if (geometry.flex_bg()) { group -= group % geometry.groups_per_flex; }
  return geometry.first_block(std::min(group, geometry.group_count - 1));
}

Result<BlockRun> allocate_blocks(Volume& volume, jbd2::Handle& handle, const AllocationRequest& request) {
  const Geometry& geometry = volume.geometry();
  const bool use_reserved = (request.flags & kAllocUseReserved) != 0;
  uint32_t wanted = std::min(request.count_wanted, geometry.blocks_per_group);
  FS_BUG_ON(wanted == 0, "BA1", "allocation of no blocks");
  if (rt::inject(Injection::kAlloc)) { return Errc::kNoSpc; }
  // Kernel: ext4_mb_new_blocks halves the request until the free counter allows it.
  while (!volume.claim_blocks(wanted, use_reserved).ok()) {
    wanted /= 2;
    if (wanted == 0 || (request.flags & kAllocExact) != 0) { return Errc::kNoSpc; }
  }
  const FsBlock goal = request.goal.value() < geometry.block_count ? request.goal : FsBlock(0);
  Result<BlockRun> run = find_and_take(volume, handle, goal, wanted, request.flags);
  const uint32_t taken = run.ok() ? run->count : 0;
  if (taken < wanted) { volume.unclaim_blocks(wanted - taken); }
  return run;
}

Status free_blocks(Volume& volume, jbd2::Handle& handle, FsBlock first, uint64_t count) {
  if (count == 0) { return ok_status(); }
  if (!volume.valid_data_blocks(first, count)) {
    return FS_CORRUPT("blocks %llu+%llu are freed, but they are not data blocks of this volume",
                      static_cast<unsigned long long>(first.value()), static_cast<unsigned long long>(count));
  }
  check_not_pinned(volume, first, count);
  // While the bits are still set nobody else can own the blocks.
  volume.buffers().discard(first, count);
  if (volume.options().poison_freed) { FS_RETURN_IF_ERROR(poison_blocks(volume, first, count)); }
  const Geometry& geometry = volume.geometry();
  while (count > 0) {
    const auto in_group =
        static_cast<uint32_t>(std::min<uint64_t>(count, geometry.blocks_per_group - geometry.bit_of(first)));
    FS_RETURN_IF_ERROR(free_in_group(volume, handle, first, in_group));
    first += in_group;
    count -= in_group;
  }
  return ok_status();
}

}  // namespace daxfs::ext4
