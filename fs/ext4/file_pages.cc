// fs/ext4/file_pages.cc - one call for files with DAX and without.
#include "fs/ext4/file_pages.h"

#include "fs/base/historical.h"
#include "fs/base/report.h"
#include "fs/cache/truncate.h"
#include "fs/dax/invalidate.h"
#include "fs/dax/rw.h"
#include "fs/dax/writeback.h"
#include "fs/ext4/file_buffered.h"
#include "fs/ext4/iomap_ops.h"
#include "fs/ext4/super.h"
#include "fs/ext4/writepages.h"
#include "fs/mm/tree_peek.h"

namespace daxfs::ext4 {

namespace {

// Directories and symbolic links have blocks, and no pages.
bool cached(const Inode& inode) { return inode.is_regular() && !inode.is_dax(); }

}  // namespace

void drop_file_range(Inode& inode, uint64_t begin, uint64_t end) {
  if (cached(inode)) {
    cache::truncate_pagecache_range(inode.mapping(), begin, end);
  } else {
    dax::truncate_pagecache_range(inode.mapping(), begin, end);
  }
}

void drop_file_tail(Inode& inode, uint64_t size) {
  if (cached(inode)) {
    cache::truncate_pagecache(inode.mapping(), size);
  } else {
    dax::truncate_pagecache(inode.mapping(), size);
  }
}

void drop_file_finally(Inode& inode) {
  if (cached(inode)) {
    cache::truncate_pages(inode.mapping(), PgOff(0), PgOff(~uint64_t{0}));
    // Else a page that is not being written has nothing left to convert.
    if (historical(Bug::kWritebackBeforeConversion)) { inode.volume().conversions().flush(); }
    inode.check_no_delayed();
  }
  dax::truncate_inode_pages_final(inode.mapping());
}

void drop_file_behind(Inode& inode, uint64_t size) {
  const PgOff first(div_round_up(size, kPageSize));
  if (cached(inode)) {
    cache::truncate_pages(inode.mapping(), first, PgOff(~uint64_t{0}));
  } else {
    dax::truncate_mapping_range(inode.mapping(), first, PgOff(~uint64_t{0}));
  }
}

Status zero_file_part(Inode& inode, uint64_t pos, uint64_t length) {
  if (cached(inode)) { return zero_page_part(inode, pos, length); }
  return dax::zero_range(inode, pos, length, iomap_ops());
}

Status flush_file_range(Inode& inode, uint64_t begin, uint64_t end) {
  if (cached(inode)) { return write_pages(inode, PgOff(begin / kPageSize), PgOff(end / kPageSize)); }
  if (!inode.is_dax()) { return ok_status(); }
  return dax::writeback_mapping_range(inode.mapping(), PgOff(begin / kPageSize), PgOff(end / kPageSize), /*sync=*/true);
}

Status before_direct_io(Inode& inode, uint64_t pos, uint64_t length, bool write) {
  if (length == 0) { return ok_status(); }
  if (mm::has_no_pages(inode.mapping())) { return inode.mapping().wb_error.take_untold(); }
  const uint64_t last = pos + length - 1;
  FS_RETURN_IF_ERROR(flush_cached_range(inode, pos, last));
  if (!write) { return ok_status(); }
  return cache::invalidate_pages(inode.mapping(), PgOff(pos / kPageSize), PgOff(last / kPageSize));
}

// A page that a mapping made dirty meanwhile stays, and will overwrite what was written: as in the kernel, which warns.
void after_direct_write(Inode& inode, uint64_t pos, uint64_t length) {
  if (length == 0 || mm::has_no_pages(inode.mapping())) { return; }
  cache::invalidate_pages(inode.mapping(), PgOff(pos / kPageSize), PgOff((pos + length - 1) / kPageSize))
      .ignore_error("see above");
}

Status flush_cached_range(Inode& inode, uint64_t begin, uint64_t end) {
  if (!cached(inode)) { return ok_status(); }
  const Status written = write_pages(inode, PgOff(begin / kPageSize), PgOff(end / kPageSize));
  const Status untold = inode.mapping().wb_error.take_untold();
  return written.ok() ? untold : written;
}

}  // namespace daxfs::ext4
