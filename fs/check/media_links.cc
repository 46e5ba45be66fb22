// fs/check/media_links.cc - passes 3 and 4: every directory hangs below the root, every link count is right.
#include "fs/check/media_context.h"

namespace daxfs::check::media {
namespace {

constexpr uint32_t kLinksMax = 65000;
enum Mark : uint8_t { kUnseen = 0, kOnPath = 1, kConnected = 2 };

// Marks the way up from a directory. RETURNS: false when it ends nowhere or in a loop.
bool climb(Context& c, uint32_t ino) {
  std::vector<InodeNote>& notes = c.s.notes;
  uint32_t at = ino;
  while (notes[at].marks == kUnseen && notes[at].kind == kDirectory && at != kRootIno) {
    notes[at].marks = kOnPath;
    at = notes[at].parent;
    if (at == 0) { break; }
  }
  const bool good = at != 0 && (at == kRootIno || notes[at].marks == kConnected);
  // Whatever is on the path is judged once; a part of a loop stays marked and makes its other members fail too.
  if (good) {
    for (at = ino; at != kRootIno && notes[at].marks == kOnPath; at = notes[at].parent) {
      notes[at].marks = kConnected;
    }
  }
  return good;
}

void check_directory(Context& c, uint32_t ino) {
  const InodeNote& note = c.s.notes[ino];
  const At here{"inode", ino};
  if (ino == kRootIno) {
    if (note.dotdot != kRootIno) { complain(c, here, "\"..\" of the root is inode %u", note.dotdot); }
    return;
  }
  if (note.parent == 0) {
    complain(c, here, "directory that no directory holds");
  } else if (!climb(c, ino)) {
    complain(c, here, "directory that is not below the root");
  } else if (note.dotdot != note.parent) {
    complain(c, here, "\"..\" is inode %u, the parent is %u", note.dotdot, note.parent);
  }
}

}  // namespace

void check_links(Context& c) {
  for (const DirNote& dir : c.s.dirs) { check_directory(c, dir.ino); }
  for (uint32_t ino = kRootIno; ino <= c.inodes; ++ino) {
    const InodeNote& note = c.s.notes[ino];
    if (note.kind == kUnused || note.kind == kReserved) { continue; }
    uint32_t counted = note.counted;
    if (counted == 0) { complain(c, {"inode", ino}, "no directory holds it"); }
    // More subdirectories than the field can count: the link count is 1 then (dir_nlink).
    if (note.kind == kDirectory && counted > kLinksMax) { counted = 1; }
    if (counted != note.links) { complain(c, {"inode", ino}, "link count is %u, expected %u", note.links, counted); }
  }
}

}  // namespace daxfs::check::media
