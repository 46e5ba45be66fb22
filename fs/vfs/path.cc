#include "fs/vfs/path.h"

#include "fs/ext4/dir.h"
#include "fs/ext4/format.h"
#include "fs/ext4/namei.h"
#include "fs/vfs/abi.h"

namespace daxfs::vfs {
namespace {

using ext4::InodeRef;

class Walker {
 public:
  Walker(ext4::Volume& volume, unsigned* symlinks_seen) : volume_(volume), symlinks_seen_(symlinks_seen) {}

  // Walks `path` from `at`. Ends before the last component and leaves it in last().
  Status walk_to_parent(InodeRef at, std::string_view path) {
    if (path.size() >= kPathMax) { return Errc::kNameTooLong; }
    if (path.empty()) { return Errc::kNoEnt; }
    at_ = std::move(at);
    kind_ = LastKind::kRoot;
    if (path.front() == '/') { FS_ASSIGN_OR_RETURN(at_, root()); }
    for (;;) {
      path.remove_prefix(std::min(path.find_first_not_of('/'), path.size()));
      if (path.empty()) { return ok_status(); }  // only slashes were left
      const std::string_view name = path.substr(0, path.find('/'));
      path.remove_prefix(name.size());
      if (!at_->is_directory()) { return Errc::kNotDir; }
      const bool slash = !path.empty();
      const bool last = path.find_first_not_of('/') == std::string_view::npos;
      if (last) {
        kind_ = name == "." ? LastKind::kDot : name == ".." ? LastKind::kDotDot : LastKind::kName;
        last_ = std::string(name);
        trailing_slash_ = slash;
        return ok_status();
      }
      FS_RETURN_IF_ERROR(step(name));
    }
  }

  // Goes into the last component, following a symlink there if `follow` or if a slash came behind it.
  Status enter_last(bool follow) {
    for (;;) {
      switch (kind_) {
        case LastKind::kRoot:
        case LastKind::kDot: return ok_status();
        case LastKind::kDotDot: return go_up();
        case LastKind::kName: break;
      }
      const bool must_be_directory = trailing_slash_;
      FS_ASSIGN_OR_RETURN(InodeRef next, ext4::lookup(*at_, last_));
      if (!next->is_symlink() || (!follow && !must_be_directory)) {
        if (must_be_directory && !next->is_directory()) { return Errc::kNotDir; }
        at_ = std::move(next);
        return ok_status();
      }
      FS_RETURN_IF_ERROR(open_symlink(*next));
      trailing_slash_ = trailing_slash_ || must_be_directory;
    }
  }

  InodeRef take() { return std::move(at_); }
  LastKind kind() const { return kind_; }
  std::string take_last() { return std::move(last_); }
  bool trailing_slash() const { return trailing_slash_; }

 private:
  Result<InodeRef> root() { return volume_.inodes().iget(Ino(ext4::kRootIno)); }

  Status go_up() {
    Ino parent;
    {
      const rt::ReadLock lock(at_->i_rwsem);
      FS_ASSIGN_OR_RETURN(parent, ext4::dir_parent(*at_));
    }
    FS_ASSIGN_OR_RETURN(at_, volume_.inodes().iget(parent));
    return ok_status();
  }

  // Into a component that is not the last.
  Status step(std::string_view name) {
    if (name == ".") { return ok_status(); }
    if (name == "..") { return go_up(); }
    FS_ASSIGN_OR_RETURN(InodeRef next, ext4::lookup(*at_, name));
    if (next->is_symlink()) {
      FS_RETURN_IF_ERROR(open_symlink(*next));
      return enter_last(true);
    }
    at_ = std::move(next);
    return ok_status();
  }

  // Continues with the target of a symlink that lies in at_.
  Status open_symlink(ext4::Inode& link) {
    if (++*symlinks_seen_ > kSymlinksMax) { return Errc::kLoop; }
    FS_ASSIGN_OR_RETURN(const std::string target, ext4::readlink(link));
    return walk_to_parent(std::move(at_), target);
  }

  ext4::Volume& volume_;
  unsigned* symlinks_seen_;
  InodeRef at_;
  LastKind kind_ = LastKind::kRoot;
  std::string last_;
  bool trailing_slash_ = false;
};

Result<InodeRef> start_at(ext4::Volume& volume, ext4::Inode* start) {
  return volume.inodes().iget(start != nullptr ? start->ino() : Ino(ext4::kRootIno));
}

}  // namespace

Result<ParentOf> walk_parent(ext4::Volume& volume, std::string_view path, unsigned* symlinks_seen, ext4::Inode* start) {
  unsigned own_count = 0;
  Walker walker(volume, symlinks_seen != nullptr ? symlinks_seen : &own_count);
  FS_ASSIGN_OR_RETURN(InodeRef from, start_at(volume, start));
  FS_RETURN_IF_ERROR(walker.walk_to_parent(std::move(from), path));
  ParentOf parent;
  parent.dir = walker.take();
  parent.kind = walker.kind();
  parent.last = walker.take_last();
  parent.trailing_slash = walker.trailing_slash();
  return parent;
}

Result<InodeRef> walk(ext4::Volume& volume, std::string_view path, bool follow_last) {
  unsigned symlinks_seen = 0;
  Walker walker(volume, &symlinks_seen);
  FS_ASSIGN_OR_RETURN(InodeRef from, start_at(volume, nullptr));
  FS_RETURN_IF_ERROR(walker.walk_to_parent(std::move(from), path));
  FS_RETURN_IF_ERROR(walker.enter_last(follow_last));
  return walker.take();
}

}  // namespace daxfs::vfs
