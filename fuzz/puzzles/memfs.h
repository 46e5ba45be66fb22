// fuzz/puzzles/memfs.h - a filesystem in memory of a few files, as an example of another library
// under the engine.
//
// One directory of kNames names, inodes with bytes that only grow. Names lead to inodes; an inode
// lives while it has a name or somebody works on it. What makes it testable: locks are the
// engine's, and each access to what tasks share passes a point that names the object.
//
// Two flaws can be planted: an append that does not lock its inode, and a look-up that lets go of
// the directory before it holds the inode, so that the inode may be another file by then.
//
// Locking: dir_lock_ guards names, links and pins; an inode's lock guards size, bytes and what was
// promised. Never both. Tested by: fuzz/puzzles/memfs_test.cc, fuzz/targets/targets_test.py.
#pragma once

#include <array>
#include <cstdint>

#include "fs/rt/mutex.h"

namespace daxfuzz::puzzles {

class Memfs {
 public:
  static constexpr unsigned kNames = 4;
  static constexpr unsigned kInodes = 6;
  static constexpr unsigned kBytesMax = 64;

  enum class Flaw : uint8_t { kNone, kAppendUnlocked, kLookupUnpinned };
  enum class Answer : uint8_t { kOk, kExists, kNoEntry, kNoSpace };

  explicit Memfs(Flaw flaw);

  Answer create(unsigned name);
  Answer append(unsigned name, uint8_t byte);  // one byte, twice
  Answer rename(unsigned from, unsigned to);   // over what is there
  Answer unlink(unsigned name);

  // At rest. PZ3: every byte that an append promised is there, in pairs. PZ4: names and inodes
  // agree, nothing is pinned.
  void check() const;

 private:
  static constexpr int kNone = -1;

  struct Inode {
    daxfs::rt::Mutex lock{daxfs::rt::Rank::kNone, "memfs inode"};
    uint32_t generation = 0;  // of the file that lives here; grows when it dies
    uint32_t links = 0;
    uint32_t pins = 0;
    uint32_t size = 0;
    uint32_t promised = 0;  // bytes that appends said they wrote
    std::array<uint8_t, kBytesMax> bytes{};
  };

  int lookup(unsigned name, uint32_t* generation);  // and pins
  void unpin(int number);
  void put(int number);  // REQUIRES: dir_lock_. Frees the inode when nobody has it.
  void touch_names(bool write) const;
  void touch_inode(int number, bool write) const;

  const Flaw flaw_;
  daxfs::rt::Mutex dir_lock_{daxfs::rt::Rank::kNone, "memfs directory"};
  std::array<int, kNames> names_;
  std::array<Inode, kInodes> inodes_;
};

// One run: `bytes` are the operations of three tasks in turn, then everything is checked. Call
// inside rt::run.
void run_memfs(Memfs::Flaw flaw, const uint8_t* bytes, size_t size);

}  // namespace daxfuzz::puzzles
