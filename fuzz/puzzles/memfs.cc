#include "fuzz/puzzles/memfs.h"

#include <algorithm>
#include <optional>

#include "fs/base/report.h"
#include "fs/rt/engine.h"
#include "fs/rt/point.h"
#include "fs/rt/task.h"

namespace daxfuzz::puzzles {
namespace {

namespace rt = daxfs::rt;

constexpr size_t kOpsMax = 24;
constexpr int kTasks = 3;

}  // namespace

Memfs::Memfs(Flaw flaw) : flaw_(flaw) { names_.fill(kNone); }

// Objects have small numbers of their own, equal in every run.
void Memfs::touch_names(bool write) const {
  rt::point(write ? rt::PointKind::kTreeWrite : rt::PointKind::kTreeRead, rt::object_id(rt::ObjectClass::kTree, 1));
}

void Memfs::touch_inode(int number, bool write) const {
  rt::point(write ? rt::PointKind::kAtomicStore : rt::PointKind::kAtomicLoad,
            rt::object_id(rt::ObjectClass::kInode, static_cast<uint64_t>(number) + 1));
}

int Memfs::lookup(unsigned name, uint32_t* generation) {
  std::optional<rt::MutexLock> lock(std::in_place, dir_lock_);
  touch_names(false);
  const int number = names_[name];
  if (number == kNone) { return kNone; }
  *generation = inodes_[number].generation;
  if (flaw_ == Flaw::kLookupUnpinned) { lock.reset(); }  // planted: whoever unlinks now frees the inode under us
  touch_inode(number, true);
  ++inodes_[number].pins;
  return number;
}

void Memfs::put(int number) {
  Inode& inode = inodes_[number];
  if (inode.links != 0 || inode.pins != 0) { return; }
  ++inode.generation;
  inode.size = 0;
  inode.promised = 0;
}

void Memfs::unpin(int number) {
  const rt::MutexLock lock(dir_lock_);
  touch_inode(number, true);
  --inodes_[number].pins;
  put(number);
}

Memfs::Answer Memfs::create(unsigned name) {
  const rt::MutexLock lock(dir_lock_);
  touch_names(false);
  if (names_[name] != kNone) { return Answer::kExists; }
  for (int number = 0; number < static_cast<int>(kInodes); ++number) {
    Inode& inode = inodes_[number];
    if (inode.links != 0 || inode.pins != 0) { continue; }
    touch_inode(number, true);
    inode.links = 1;
    touch_names(true);
    names_[name] = number;
    return Answer::kOk;
  }
  return Answer::kNoSpace;
}

Memfs::Answer Memfs::append(unsigned name, uint8_t byte) {
  uint32_t generation = 0;
  const int number = lookup(name, &generation);
  if (number == kNone) { return Answer::kNoEntry; }
  Inode& inode = inodes_[number];
  FS_BUG_ON(inode.generation != generation, "PZ5", "inode %d is another file than the one that was looked up", number);
  Answer answer = Answer::kOk;
  {
    std::optional<rt::MutexLock> lock;
    if (flaw_ != Flaw::kAppendUnlocked) { lock.emplace(inode.lock); }  // else planted
    touch_inode(number, false);
    const uint32_t size = inode.size;
    if (size + 2 > kBytesMax) {
      answer = Answer::kNoSpace;
    } else {
      inode.promised += 2;
      inode.bytes[size] = inode.bytes[size + 1] = byte;
      touch_inode(number, true);
      inode.size = size + 2;
    }
  }
  unpin(number);
  return answer;
}

Memfs::Answer Memfs::rename(unsigned from, unsigned to) {
  const rt::MutexLock lock(dir_lock_);
  touch_names(true);
  if (names_[from] == kNone) { return Answer::kNoEntry; }
  if (from == to) { return Answer::kOk; }
  const int over = names_[to];
  names_[to] = names_[from];
  names_[from] = kNone;
  if (over != kNone) {
    touch_inode(over, true);
    --inodes_[over].links;
    put(over);
  }
  return Answer::kOk;
}

Memfs::Answer Memfs::unlink(unsigned name) {
  const rt::MutexLock lock(dir_lock_);
  touch_names(true);
  const int number = names_[name];
  if (number == kNone) { return Answer::kNoEntry; }
  names_[name] = kNone;
  touch_inode(number, true);
  --inodes_[number].links;
  put(number);
  return Answer::kOk;
}

void Memfs::check() const {
  for (int number = 0; number < static_cast<int>(kInodes); ++number) {
    const Inode& inode = inodes_[number];
    const auto names = static_cast<uint32_t>(std::count(names_.begin(), names_.end(), number));
    FS_WARN_ON(names != inode.links || inode.pins != 0, "PZ4", "inode %d has %u names, %u links, %u pins", number,
               names, inode.links, inode.pins);
    FS_WARN_ON(inode.size != inode.promised, "PZ3", "inode %d has %u bytes, appends wrote %u", number, inode.size,
               inode.promised);
    for (uint32_t at = 0; at + 1 < inode.size; at += 2) {
      FS_WARN_ON(inode.bytes[at] != inode.bytes[at + 1], "PZ3", "inode %d: bytes %u and %u of one append differ",
                 number, at, at + 1);
    }
  }
}

void run_memfs(Memfs::Flaw flaw, const uint8_t* bytes, size_t size) {
  Memfs fs(flaw);
  const size_t count = std::min(size, kOpsMax);
  for (int task = 0; task < kTasks; ++task) {
    rt::spawn("memfs task", [&fs, bytes, count, task] {
      uint32_t op = 0;
      for (auto at = static_cast<size_t>(task); at < count; at += kTasks) {
        const uint8_t byte = bytes[at];
        const unsigned name = byte >> 4 & 3;
        rt::begin_op(op++);
        switch (byte >> 6) {
          case 0: fs.create(name); break;
          case 1: fs.append(name, byte); break;
          case 2: fs.rename(name, byte >> 2 & 3); break;
          default: fs.unlink(name); break;
        }
        rt::end_op();
      }
    });
  }
  rt::join_all_spawned();
  fs.check();
}

}  // namespace daxfuzz::puzzles
