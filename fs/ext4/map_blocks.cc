// fs/ext4/map_blocks.cc - filling holes and unwritten extents.
#include "fs/ext4/map_blocks.h"

#include <algorithm>
#include <optional>

#include "fs/base/historical.h"
#include "fs/base/report.h"

namespace daxfs::ext4 {

MapResult BlockMapper::answer(const MapRequest& request, const ExtentTree::Lookup& found) const {
  MapResult result;
  result.lblk = request.lblk;
  uint64_t end = found.hole_end;
  if (found.run.has_value()) {
    end = found.run->end();
    result.pblk = found.run->block_of(request.lblk);
    result.state = found.run->unwritten ? BlockState::kUnwritten : BlockState::kWritten;
  }
  result.len = static_cast<uint32_t>(std::min<uint64_t>(request.len, end - request.lblk.value()));
  FS_BUG_ON(result.len == 0, "MB1", "nothing mapped at %u", request.lblk.value());
  return result;
}

Result<MapResult> BlockMapper::look(const MapRequest& request) {
  FS_ASSIGN_OR_RETURN(const ExtentTree::Lookup found, blocks().lookup(request.lblk));
  return answer(request, found);
}

bool BlockMapper::must_change(const MapResult& found, uint32_t flags) {
  switch (found.state) {
    case BlockState::kHole: return (flags & MapRequest::kCreate) != 0;
    case BlockState::kWritten: return (flags & MapRequest::kConvertUnwritten) != 0;
    case BlockState::kUnwritten:
      if ((flags & (MapRequest::kConvert | MapRequest::kPreIo)) != 0) { return true; }
      return (flags & MapRequest::kCreate) != 0 && (flags & MapRequest::kUnwritten) == 0;
  }
  return false;
}

void BlockMapper::check_format(const MapRequest& request) const {
  const bool wants = (request.flags & (MapRequest::kUnwritten | MapRequest::kConvertUnwritten)) != 0;
  FS_BUG_ON(wants && (request.flags & MapRequest::kZeroElse) == 0 && host_.format() != BlockFormat::kExtents, "MB3",
            about(host_.traced_format()), "unwritten blocks are asked for at %u, and the file has no extents",
            request.lblk.value());
}

Result<MapResult> BlockMapper::map(const MapRequest& request) {
  FS_ASSIGN_OR_RETURN(const ExtentTree::Lookup found, blocks().lookup(request.lblk));
  MapResult result = answer(request, found);
  const uint32_t flags = request.flags;
  if (!must_change(result, flags)) { return result; }
  if (result.state == BlockState::kHole) { return fill_hole(request, found, result.len); }

  if (result.state == BlockState::kWritten) {
    result.len = std::min(result.len, uint32_t{kExtentUnwrittenMax});
    FS_RETURN_IF_ERROR(tree_.set_state(request.lblk, result.len, true));
    result.state = BlockState::kUnwritten;
    return result;
  }
  if ((flags & (MapRequest::kPreIo | MapRequest::kConvert)) != 0) {
    bool written = false;
    FS_RETURN_IF_ERROR(split_or_zero(*found.run, request.lblk, result.len, flags, &written));
    result.state = written ? BlockState::kWritten : BlockState::kUnwritten;
    return result;
  }
  FS_RETURN_IF_ERROR(write_into_unwritten(*found.run, request.lblk, result.len, flags));
  result.state = BlockState::kWritten;
  result.is_new = true;
  return result;
}

FsBlock BlockMapper::goal(LogicalBlock lblk, const ExtentTree::Lookup& found) const {
  if (found.neighbor.has_value()) {
    const ExtentRun& run = *found.neighbor;
    if (lblk > run.lblk) { return run.pblk + (lblk - run.lblk); }
    const uint32_t distance = run.lblk - lblk;
    if (run.pblk.value() > distance) { return run.pblk - distance; }
  }
  return found.leaf.value_or(host_.home_goal());
}

Result<MapResult> BlockMapper::fill_hole(const MapRequest& request, const ExtentTree::Lookup& found, uint32_t len) {
  const bool extents = host_.format() == BlockFormat::kExtents;
  const bool unwritten = extents && (request.flags & MapRequest::kUnwritten) != 0;
  const uint32_t fits = blocks().insert_max(request.lblk);
  if (fits == 0) { return Errc::kFBig; }
  const uint32_t wanted = std::min({len, fits, extent_length_max(unwritten)});
  const uint32_t unit = host_.huge_blocks();
  const bool align = wanted >= unit && request.lblk.value() % unit == 0;
  FS_ASSIGN_OR_RETURN(const BlockRun blocks, host_.allocate_data(goal(request.lblk, found), wanted, align));
  FS_BUG_ON(blocks.count == 0 || blocks.count > wanted, "MB1", "allocated %u blocks, wanted %u", blocks.count, wanted);

  // Zeroed before the tree shows them: once there, a fault may map them.
  const uint32_t zeroes = MapRequest::kZero | (extents ? 0U : uint32_t{MapRequest::kZeroElse});
  const bool zero = (request.flags & zeroes) != 0 && !unwritten;
  Status status = zero ? host_.zero_data(blocks.first, blocks.count) : ok_status();
  if (status.ok()) {
    status = this->blocks().insert(
        {.lblk = request.lblk, .len = blocks.count, .pblk = blocks.first, .unwritten = unwritten});
  }
  if (!status.ok()) {
    host_.free_data(blocks.first, blocks.count).ignore_error("the first error is the cause");
    return status;
  }
  return MapResult{.lblk = request.lblk,
                   .len = blocks.count,
                   .pblk = blocks.first,
                   .state = unwritten ? BlockState::kUnwritten : BlockState::kWritten,
                   .is_new = true};
}

// Only extents wholly below EOF (block-rounded, or below the end of this write): what
// fallocate(KEEP_SIZE) put behind it stays unwritten.
bool BlockMapper::may_zero_out(const ExtentRun& run, uint64_t end, uint32_t flags) const {
  return (flags & MapRequest::kNoZeroout) == 0 && run.end() <= std::max(host_.eof_block(), end);
}

Status BlockMapper::zero_part(const ExtentRun& run, uint64_t begin, uint64_t end) {
  if (begin >= end) { return ok_status(); }
  return host_.zero_data(run.pblk + (begin - run.lblk.value()), static_cast<uint32_t>(end - begin));
}

// Makes [first, first + len) of the unwritten `run` written, and perhaps more of it, as the kernel
// does:
//  1. a written neighbour that it continues takes it over, without a split;
//  2. else, if the run lies below EOF and goes on behind the range: the tail is zeroed and written
//  too if range and tail
//     are at most 32 KiB, and then the head if head and what was written so far are less than 32
//     KiB;
//  3. what remains of the run on either side is split off and stays unwritten.
Status BlockMapper::write_into_unwritten(const ExtentRun& run, LogicalBlock first, uint32_t len, uint32_t flags) {
  uint64_t begin = first.value();
  uint64_t end = begin + len;
  if ((flags & MapRequest::kZero) != 0) { FS_RETURN_IF_ERROR(zero_part(run, begin, end)); }  // MB2
  FS_ASSIGN_OR_RETURN(const bool transferred, tree_.transfer_to_neighbor(run, first, len));
  if (transferred) { return ok_status(); }

  if (may_zero_out(run, end, flags) && run.end() > end) {
    if (run.end() - begin <= kZeroOutMax) {
      FS_RETURN_IF_ERROR(zero_part(run, end, run.end()));
      end = run.end();
    }
    if (end - run.lblk.value() < kZeroOutMax) {
      FS_RETURN_IF_ERROR(zero_part(run, run.lblk.value(), begin));
      begin = run.lblk.value();
    }
  }
  bool written = false;
  return split_or_zero(run, LogicalBlock(static_cast<uint32_t>(begin)), static_cast<uint32_t>(end - begin),
                       flags & ~(MapRequest::kPreIo), &written);
}

// Splits [first, first + len) off the unwritten `run`: with kPreIo it stays unwritten, else it
// becomes written. Without room for the split, the rest of the run is zeroed and all of it becomes
// written, if that is allowed. The range's own bytes are never touched: they may be data that
// direct I/O just wrote.
Status BlockMapper::split_or_zero(const ExtentRun& run, LogicalBlock first, uint32_t len, uint32_t flags,
                                  bool* written) {
  const bool split_only = (flags & MapRequest::kPreIo) != 0;
  const uint64_t end = uint64_t{first.value()} + len;
  const Status status = split_only ? tree_.isolate(first, len) : tree_.set_state(first, len, false);
  *written = !split_only;
  if (status.ok() && !split_only) { host_.became_written(first, len, run.pblk + (first - run.lblk)); }
  split_failed_ = split_failed_ || status.error() == Errc::kNoSpc;
  if (status.error() != Errc::kNoSpc || !may_zero_out(run, end, flags)) { return status; }
  // Not for kPreIo: there the range itself holds whatever was on the medium, and a read must not
  // see it.
  if (split_only) { FS_RETURN_IF_ERROR(zero_part(run, first.value(), end)); }
  // Bug kSplitZeroesTailOnly: as if the range began where the extent does.
  if (!historical(Bug::kSplitZeroesTailOnly)) { FS_RETURN_IF_ERROR(zero_part(run, run.lblk.value(), first.value())); }
  FS_RETURN_IF_ERROR(zero_part(run, end, run.end()));
  *written = true;
  // A failed split may have left a cut where two leaves meet: piece by piece, none of which needs a
  // split.
  for (uint64_t at = run.lblk.value(); at < run.end();) {
    FS_ASSIGN_OR_RETURN(const ExtentTree::Lookup piece, tree_.lookup(LogicalBlock(static_cast<uint32_t>(at))));
    if (!piece.run.has_value() || piece.run->lblk.value() != at || !piece.run->unwritten) {
      return FS_CORRUPT("extent at %u changed under its lock", run.lblk.value());
    }
    FS_RETURN_IF_ERROR(tree_.set_state(piece.run->lblk, piece.run->len, false));
    host_.became_written(piece.run->lblk, piece.run->len, piece.run->pblk);
    at = piece.run->end();
  }
  return ok_status();
}

}  // namespace daxfs::ext4
