// fs/dax/memory_failure.cc - from a bad frame to the processes that map it.
#include "fs/dax/memory_failure.h"

#include <algorithm>

#include "fs/base/historical.h"
#include "fs/dax/entry_lock.h"
#include "fs/pmem/device.h"
#include "fs/rt/trace.h"

namespace daxfs::dax {

namespace {

// All that can be mapped together with the page goes: what maps it huge cannot keep the rest of its range.
void unmap_frame(mm::AddressSpace& mapping, PgOff index, const std::vector<mm::FrameUser>& users) {
  unsigned order = 0;
  for (const mm::FrameUser& user : users) { order = std::max(order, user.order); }
  // Also where nobody was found: nothing is left to chance.
  const uint64_t pages = uint64_t{1} << order;
  mm::unmap_mapping_range(mapping, PgOff(round_down(index.value(), pages)), pages, /*even_cows=*/false);
}

}  // namespace

Status memory_failure(mm::Memory& memory, Pfn pfn, std::vector<mm::FrameUser>* users, Site site) {
  FS_TRACE_SCOPE("memory_failure", frame_ref(pfn));
  if (!memory.is_pmem(pfn)) { return Errc::kNxio; }
  mm::Page& page = memory.page(pfn);
  FrameLock lock(page, site);
  if (!lock.locked()) { return Errc::kBusy; }
  // Under the entry lock nobody can map the frame anew, and it stays the file's.
  if (memory.device().poisoned(pfn.value() * kPageSize, kPageSize)) { page.set_hwpoison(true); }
  std::vector<mm::FrameUser> found;
  const PgOff told = historical(Bug::kFailureWrongAddress) ? lock.entry().base(lock.index()) : lock.index();
  mm::collect_frame_users(lock.mapping(), told, pfn, &found, site);
  unmap_frame(lock.mapping(), lock.index(), found);
  mm::check_frame_unmapped(lock.mapping(), lock.index(), pfn, site);
  lock.unlock(site);
  if (users != nullptr) { users->insert(users->end(), found.begin(), found.end()); }
  return ok_status();
}

}  // namespace daxfs::dax
