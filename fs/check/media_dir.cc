// fs/check/media_dir.cc - pass 2: the blocks of every directory, entry by entry.
//
// Kernel: fs/ext4/dir.c (__ext4_check_dir_entry), fs/ext4/namei.c (checksum tails).
#include "fs/check/media_context.h"
#include "fs/check/media_csum.h"

namespace daxfs::check::media {
namespace {

struct DirWalk {
  Context& c;
  const DirNote& dir;
  HtreeCheck& htree;
  uint32_t names = 0;  // live names in the table of this directory

  At here(uint64_t block) const { return {"inode", dir.ino, "block", block}; }
};

const uint8_t* name_of(const DirEntry& entry) { return reinterpret_cast<const uint8_t*>(&entry + 1); }
bool is_dot(const DirEntry& e) { return e.name_len == 1 && name_of(e)[0] == '.'; }
bool is_dotdot(const DirEntry& e) { return e.name_len == 2 && name_of(e)[0] == '.' && name_of(e)[1] == '.'; }

uint32_t name_hash(const DirEntry& entry) {
  uint64_t hash = entry.name_len;
  for (unsigned i = 0; i < entry.name_len; ++i) { hash = (hash ^ name_of(entry)[i]) * 0x100000001b3; }
  return static_cast<uint32_t>(hash ^ hash >> 32);
}

// Slots whose stamp is not this directory's are free, so a new directory needs no clearing.
void new_name_table(MediaScratch::State& s) {
  if (s.names.empty()) { s.names.assign(64, NameSlot{}); }
  if (++s.name_stamp == 0) {
    std::fill(s.names.begin(), s.names.end(), NameSlot{});
    s.name_stamp = 1;
  }
}

void grow_name_table(MediaScratch::State& s) {
  std::vector<NameSlot> old(s.names.size() * 2);
  old.swap(s.names);
  for (const NameSlot& slot : old) {
    if (slot.stamp != s.name_stamp) { continue; }
    size_t i = slot.hash & (s.names.size() - 1);
    while (s.names[i].stamp == s.name_stamp) { i = (i + 1) & (s.names.size() - 1); }
    s.names[i] = slot;
  }
}

// RETURNS: false when the directory has this name already.
bool insert_name(DirWalk& w, const DirEntry& entry) {
  MediaScratch::State& s = w.c.s;
  if (2 * ++w.names > s.names.size()) { grow_name_table(s); }
  const uint32_t hash = name_hash(entry);
  size_t i = hash & (s.names.size() - 1);
  for (; s.names[i].stamp == s.name_stamp; i = (i + 1) & (s.names.size() - 1)) {
    if (s.names[i].hash != hash) { continue; }
    const auto& other = *reinterpret_cast<const DirEntry*>(s.names[i].entry);
    if (other.name_len == entry.name_len && std::memcmp(name_of(other), name_of(entry), entry.name_len) == 0) {
      return false;
    }
  }
  s.names[i] = {s.name_stamp, hash, reinterpret_cast<const std::byte*>(&entry)};
  return true;
}

void check_dot(DirWalk& w, const DirEntry& e, uint64_t block) {
  if (e.inode == 0 || !is_dot(e) || name_of(e)[1] != 0) {
    complain(w.c, w.here(block), "the first entry is not \".\"");
  } else if (e.inode != w.dir.ino) {
    complain(w.c, w.here(block), "\".\" is inode %u", e.inode);
  } else if (e.rec_len > 24) {
    complain(w.c, w.here(block), "\".\" takes %u bytes", e.rec_len);
  }
}

void check_dotdot(DirWalk& w, const DirEntry& e, uint64_t block) {
  if (e.inode == 0 || !is_dotdot(e) || name_of(e)[2] != 0) {
    complain(w.c, w.here(block), "the second entry is not \"..\"");
  } else {
    w.c.s.notes[w.dir.ino].dotdot = e.inode;
  }
}

void check_name(DirWalk& w, const DirEntry& e, uint64_t block, unsigned position) {
  const uint8_t* name = name_of(e);
  for (unsigned i = 0; i < e.name_len; ++i) {
    if (name[i] == '/' || name[i] == 0) {
      complain(w.c, w.here(block), "name with character %#x", name[i]);
      return;
    }
  }
  if (position < 2) { return; }
  if (e.name_len == 0) { complain(w.c, w.here(block), "entry for inode %u without a name", e.inode); }
  if (is_dot(e) || is_dotdot(e)) { complain(w.c, w.here(block), "a second \".\" or \"..\""); }
  if (!insert_name(w, e)) { complain(w.c, w.here(block), "duplicate name \"%.*s\"", e.name_len, name); }
}

void check_target(DirWalk& w, const DirEntry& e, uint64_t block, unsigned position) {
  Context& c = w.c;
  if (e.inode > c.inodes || (e.inode < c.first_ino && e.inode != kRootIno)) {
    complain(c, w.here(block), "entry for illegal inode %u", e.inode);
    return;
  }
  if (position >= 2 && (e.inode == kRootIno || e.inode == w.dir.ino)) {
    complain(c, w.here(block), "link to %s", e.inode == kRootIno ? "the root" : "the directory itself");
  }
  InodeNote& note = c.s.notes[e.inode];
  ++note.counted;
  if (note.kind == kUnused) {
    complain(c, w.here(block), "entry for unused inode %u", e.inode);
    return;
  }
  const bool typed = (c.sb->feature_incompat & kIncompatFiletype) != 0;
  const uint8_t want = typed && note.kind < kBadMode ? note.kind : 0;
  if (e.file_type != want) {
    complain(c, w.here(block), "entry for inode %u has type %u, expected %u", e.inode, e.file_type, want);
  }
  if (position >= 2 && note.kind == kDirectory) {
    if (note.parent != 0) {
      complain(c, w.here(block), "directory inode %u has another link, in inode %u", e.inode, note.parent);
    } else {
      note.parent = w.dir.ino;
    }
  }
}

// RETURNS: bytes of the block that entries may fill.
uint32_t check_tail(DirWalk& w, uint64_t block) {
  Context& c = w.c;
  if (!c.metadata_csum) { return kBlockBytes; }
  const std::byte* bytes = c.block(block);
  constexpr uint32_t kEnd = kBlockBytes - kDirTailBytes;
  const auto& tail = *reinterpret_cast<const DirEntry*>(bytes + kEnd);
  if (tail.inode != 0 || tail.rec_len != kDirTailBytes || tail.name_len != 0 || tail.file_type != kDirTailType) {
    complain(c, w.here(block), "there is no checksum at the end");
    return kBlockBytes;
  }
  if (known_good(c, block, w.dir.seed)) { return kEnd; }
  const uint32_t have = load32(bytes + kEnd + sizeof(DirEntry));
  const uint32_t want = dir_block_csum(w.dir.seed, bytes);
  if (have != want) {
    complain(c, w.here(block), "checksum is %#x, expected %#x", have, want);
  } else {
    remember_good(c, block, w.dir.seed);
  }
  return kEnd;
}

void check_block(DirWalk& w, const DirBlock& block) {
  const std::byte* bytes = w.c.block(block.physical);
  const uint32_t end = w.htree.index_block(block) ? kBlockBytes : check_tail(w, block.physical);
  unsigned position = block.logical == 0 ? 0 : 2;  // 0: ".", 1: "..", 2: any other
  uint32_t offset = 0;
  while (offset < end) {
    // Less than an entry's header is left only when an earlier length was bad, and then we stopped.
    const auto& e = *reinterpret_cast<const DirEntry*>(bytes + offset);
    const uint32_t length = e.rec_len;
    if (length < 12 || length % 4 != 0 || length > end - offset || e.name_len + 8u > length) {
      complain(w.c, w.here(block.physical), "bad entry at offset %u (length %u, name of %u)", offset, length,
               e.name_len);
      return;
    }
    if (position == 0) { check_dot(w, e, block.physical); }
    if (position == 1) { check_dotdot(w, e, block.physical); }
    if (e.inode != 0) {
      check_target(w, e, block.physical, position);
      check_name(w, e, block.physical, position);
      w.htree.leaf_entry(block.logical, name_of(e), e.name_len);
    }
    offset += length;
    if (position < 2) { ++position; }
  }
}

}  // namespace

void check_directories(Context& c) {
  for (const DirNote& dir : c.s.dirs) {
    new_name_table(c.s);
    HtreeCheck htree(c, dir);
    DirWalk walk{.c = c, .dir = dir, .htree = htree};
    for (uint32_t i = 0; i < dir.count; ++i) { check_block(walk, c.s.dir_blocks[dir.first + i]); }
    htree.finish();
  }
}

}  // namespace daxfs::check::media
