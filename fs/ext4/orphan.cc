#include "fs/ext4/orphan.h"

#include <algorithm>

#include "fs/base/report.h"
#include "fs/ext4/inode_io.h"
#include "fs/ext4/super.h"

namespace daxfs::ext4 {
namespace {

constexpr unsigned kOrphanCredits = 4;

// Changes the chain's head in the superblock. The orphan mutex guards the field.
Status set_head(Volume& volume, jbd2::Handle& handle, Ino head) {
  FS_ASSIGN_OR_RETURN(SuperBlock * super, volume.get_super_access(handle));
  super->s_last_orphan = head.value();
  return volume.dirty_super(handle);
}

Status set_next(Volume& volume, jbd2::Handle& handle, Ino ino, Ino next) {
  return update_inode(volume, handle, ino, [next](RawInode& raw) { raw.i_dtime = next.value(); });
}

}  // namespace

Status orphan_add(Volume& volume, jbd2::Handle& handle, Ino ino) {
  Volume::OrphanList& list = volume.orphans();
  rt::MutexLock lock(list.lock);
  if (std::find(list.inodes.get().begin(), list.inodes.get().end(), ino) != list.inodes.get().end()) {
    return ok_status();
  }
  const Ino head = list.inodes.get().empty() ? Ino(0) : list.inodes.get().front();
  FS_BUG_ON(volume.super().s_last_orphan != head.value(), "OR1", "the chain starts with inode %u, the list with %u",
            static_cast<unsigned>(volume.super().s_last_orphan), head.value());
  FS_RETURN_IF_ERROR(set_next(volume, handle, ino, head));
  FS_RETURN_IF_ERROR(set_head(volume, handle, ino));
  list.inodes.write().insert(list.inodes.get().begin(), ino);
  return ok_status();
}

Status orphan_del(Volume& volume, jbd2::Handle& handle, Ino ino) {
  Volume::OrphanList& list = volume.orphans();
  rt::MutexLock lock(list.lock);
  const auto found = std::find(list.inodes.get().begin(), list.inodes.get().end(), ino);
  if (found == list.inodes.get().end()) { return ok_status(); }
  const Ino next = found + 1 == list.inodes.get().end() ? Ino(0) : *(found + 1);
  if (found == list.inodes.get().begin()) {
    FS_RETURN_IF_ERROR(set_head(volume, handle, next));
  } else {
    FS_RETURN_IF_ERROR(set_next(volume, handle, *(found - 1), next));
  }
  FS_RETURN_IF_ERROR(set_next(volume, handle, ino, Ino(0)));
  list.inodes.write().erase(found);
  return ok_status();
}

bool orphan_listed(Volume& volume, Ino ino) {
  Volume::OrphanList& list = volume.orphans();
  rt::MutexLock lock(list.lock);
  return std::find(list.inodes.get().begin(), list.inodes.get().end(), ino) != list.inodes.get().end();
}

Status orphan_load(Volume& volume) {
  const Geometry& geometry = volume.geometry();
  std::vector<bool> seen(geometry.inode_count + 1);
  std::vector<Ino> chain;
  Ino ino(volume.super().s_last_orphan);
  while (ino.value() != 0) {
    if (ino.value() < geometry.first_ino || ino.value() > geometry.inode_count) {
      return FS_CORRUPT("orphan list: inode %u is reserved or out of range", ino.value());
    }
    if (seen[ino.value()]) { return FS_CORRUPT("orphan list: loop at inode %u", ino.value()); }
    seen[ino.value()] = true;
    FS_ASSIGN_OR_RETURN(const bool in_use, inode_in_use(volume, ino));
    if (!in_use) { return FS_CORRUPT("orphan list: inode %u is not in use", ino.value()); }
    FS_ASSIGN_OR_RETURN(const RawInode raw, read_inode(volume, ino));
    chain.push_back(ino);
    ino = Ino(raw.i_dtime);
  }
  rt::MutexLock lock(volume.orphans().lock);
  volume.orphans().inodes = std::move(chain);
  return ok_status();
}

Status orphan_cleanup(Volume& volume, Status (*process)(Volume&, Ino)) {
  for (;;) {
    Ino ino;
    {
      rt::MutexLock lock(volume.orphans().lock);
      if (volume.orphans().inodes.get().empty()) { return ok_status(); }
      ino = volume.orphans().inodes.get().front();
    }
    FS_RETURN_IF_ERROR(process(volume, ino));
    // Whatever was done for it, it must not come again.
    FS_ASSIGN_OR_RETURN(jbd2::Handle handle, jbd2::start(volume.journal(), kOrphanCredits));
    FS_RETURN_IF_ERROR(handle.stop(orphan_listed(volume, ino) ? orphan_del(volume, handle, ino) : ok_status()));
  }
}

}  // namespace daxfs::ext4
