// fs/io/iomap.cc - the check on what a disk format answers.
#include "fs/io/iomap.h"

#include "fs/base/flags.h"
#include "fs/base/report.h"

namespace daxfs::io {

static_assert(distinct_bits({kIomapWrite, kIomapZero, kIomapReport, kIomapFault, kIomapDirect, kIomapDax}));
static_assert(distinct_bits({Iomap::kNew, Iomap::kDirty, Iomap::kShared}));

Status begin_checked(IomapOps& ops, IomapHost& host, uint64_t pos, uint64_t length, unsigned flags, Iomap* iomap) {
  *iomap = Iomap{};
  FS_RETURN_IF_ERROR(ops.iomap_begin(host, pos, length, flags, iomap));
  FS_BUG_ON(!iomap->covers(pos), "IO1", "iomap [%llu, +%llu) does not cover %llu",
            static_cast<unsigned long long>(iomap->offset), static_cast<unsigned long long>(iomap->length),
            static_cast<unsigned long long>(pos));
  return ok_status();
}

}  // namespace daxfs::io
