// fs/mm/frame_history.cc - orders of events, in words.
#include "fs/mm/frame_history.h"

namespace daxfs::mm {

uint64_t FrameHistory::when(Pfn pfn, FrameEvent event) const {
  const uint64_t at = __atomic_load_n(&frames_[pfn.value()].at[static_cast<size_t>(event)], __ATOMIC_RELAXED);
  return at > run_ ? at : 0;
}

const char* FrameHistory::of_pin(Pfn pfn) const {
  const uint64_t searched = when(pfn, FrameEvent::kSearched);
  const uint64_t mapped = when(pfn, FrameEvent::kMapped);
  const uint64_t unmapped = when(pfn, FrameEvent::kUnmapped);
  const uint64_t pinned = when(pfn, FrameEvent::kPinned);
  const Search& search = searches_[task()];
  if (__atomic_load_n(&search.who, __ATOMIC_RELAXED) != who()) { return "nobody had looked for pins"; }
  if (mapped > __atomic_load_n(&search.at, __ATOMIC_RELAXED) && pinned > mapped) {
    return "mapped and pinned after the search for pins";
  }
  if (searched == 0 || __atomic_load_n(&frames_[pfn.value()].searcher, __ATOMIC_RELAXED) != who()) {
    return "the search for pins had ended before it";
  }
  if (pinned < searched) { return "the search for pins had passed over it"; }
  if (unmapped > mapped && unmapped < pinned) { return "pinned after the search, through a mapping that was gone"; }
  return "pinned after the search, through a mapping that was left";
}

const char* FrameHistory::of_hole(uint64_t when_made, Pfn pfn) const {
  const uint64_t written = when(pfn, FrameEvent::kWritten);
  if (written == 0) { return ""; }
  return when_made < written ? "it was there before the block" : "it came after the block";
}

}  // namespace daxfs::mm
