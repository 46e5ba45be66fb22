// fuzz/oracle/history.h - what a run's operations did: the input of every oracle that judges results.
//
// Sequence numbers order the begins and ends of all operations of a run; two operations ran concurrently if neither
// ended before the other began. Operations of the set-up ran one after the other, before all others.
//
// Tested by: fuzz/oracle/*_test.cc
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "fs/base/errc.h"
#include "fuzz/prog/program.h"

namespace daxfuzz::oracle {

enum class Signal : uint8_t { kNone, kSegvMaperr, kSegvAccerr, kBusAdrerr, kBusMceerr, kKilled };
const char* signal_name(Signal signal);  // "SIGSEGV/MAPERR", "" for none

inline constexpr uint8_t kInitTask = 0xff;  // OpRecord::task of set-up operations

// A store through a mapping, or a page of the cache, that was there before an fsync, msync, sync or at the end of a
// write with O_SYNC, and was not durable after it.
struct LostStore {
  uint32_t ino = 0;      // 0: none
  uint64_t page = 0;     // of the file
  uint64_t address = 0;  // msync: where the process has it mapped
  bool cached = false;   // of the page cache: was dirty, and has not been written
  bool refused = false;  // fsync, fdatasync: it was, but the device said that it failed
};

// One extent of fiemap's answer, bytes: logical, physical, length, unwritten, last.
using FiemapRow = std::array<uint64_t, 5>;
// One mapping that memory_failure told of: process, address, order.
using FailureRow = std::array<uint64_t, 3>;

// statfs' answer.
struct SpaceAnswer {
  uint64_t blocks_free = 0;
  uint64_t blocks_available = 0;
  uint64_t files_free = 0;
};

struct OpRecord {
  const prog::Op* op = nullptr;  // lives in the program
  uint8_t task = 0;              // kInitTask for set-up
  uint8_t process = 0;
  uint16_t index = 0;     // in the task's (or process' set-up) list
  bool finished = false;  // false: the run ended inside it

  uint64_t begin_seq = 0;
  uint64_t end_seq = 0;
  // Of io_submit_*: when the call returned, while its request may have gone on until end_seq; and the result is the
  // request's. 0: the call is all there is.
  uint64_t submitted_seq = 0;
  uint64_t collected_seq = 0;  // when its event was taken
  uint64_t scratch = 0;        // private memory of such a request until its event is taken
  uint64_t scratch_size = 0;

  int64_t ret = -1;  // what the call returned; -1 with `error` when it failed
  daxfs::Errc error = daxfs::Errc::kOk;
  Signal signal = Signal::kNone;  // load, store, touch
  int64_t fault_offset = -1;      // of the faulting byte in the operand's range
  // Resolved operands: the descriptor number, and addresses as numbers (0: no such operand).
  int fd = -1;
  uint64_t address = 0;         // of `addr`
  uint64_t buffer_address = 0;  // of `buffer`, when it is memory of the process
  // The file the call met: descriptor, or what open returned. 0: none or unknown.
  uint32_t ino = 0;
  uint32_t generation = 0;
  bool dax = false;         // the inode uses DAX
  uint32_t open_flags = 0;  // of the descriptor's file, before the call
  // Bytes that read, pread, load returned (or the text of readlink); borrowed from the run's arena.
  std::span<const std::byte> data;
  uint64_t data_hash = 0;  // CRC32C of them; goes into the trace hash
  SpaceAnswer space;       // statfs; no part of the trace
  LostStore lost;          // what the call, if it succeeded, should have made durable and did not
  // In pmem::Device::watch_time, 0 if nothing was noted. Of a write to a file with DAX: its last store, if no fence
  // came before it returned. Of fsync and sync: the last fence before it returned.
  uint64_t unfenced = 0;
  uint64_t fenced = 0;
};

// Bytes [offset, offset + length) of a file: those of `bytes`, or zeros where it has no written blocks.
struct FinalPiece {
  uint64_t offset = 0;
  uint64_t length = 0;
  std::span<const std::byte> bytes;  // `length` of them, borrowed; or none
};

// A regular file as an independent reader found it on the medium after the unmount. What no piece names was not looked
// at.
struct FinalFile {
  uint32_t ino = 0;
  uint32_t generation = 0;
  uint64_t size = 0;
  size_t first_piece = 0;  // in History::final_pieces
  size_t piece_count = 0;
  std::span<const std::byte> tail;  // from its size to the end of the last block, if that block is written
};

// A path of the tree of names, and the inode that it leads to.
enum class NameKind : uint8_t { kFile, kDirectory, kSymlink, kOther };
struct TreeName {
  std::string path;  // from the root: "/", "/d0/f0"
  NameKind kind = NameKind::kFile;
  uint32_t ino = 0;
  uint32_t generation = 0;
  uint32_t links = 0;
  std::string target;  // of a symbolic link
};

// A change of a file's blocks that had to drop its pages first and then found no space, or a bad page at its edge: what
// was not flushed is not marked dirty any more, while old blocks may be there still (docs/known-gaps.md: as in 6.1).
bool lost_dirty_marks(const OpRecord& record);

// "T1 op 2 (pread)", counted from 1 as programs' text does.
std::string name_of(const OpRecord& record);

struct History {
  std::vector<OpRecord> records;  // set-up first, then the tasks' (in any order)
  std::vector<FinalFile> finals;  // optional
  std::vector<FinalPiece> final_pieces;
  std::span<const TreeName> start_names;  // before the run, directories before what they hold; empty: not known
  std::vector<TreeName> final_names;      // on the medium after the unmount; empty: nobody looked
  bool memory_ran_out = false;            // some page of private memory could not be had
  bool no_descriptors = false;            // processes begin without any, so that the lowest free number is known
  bool foreign_image = false;             // not the template that the program names: files may begin with anything
  uint64_t blocks_available = 0;          // on the image before the run, without those kept back; 0: not known
  uint64_t inodes_free = 0;
  bool filled_files = false;  // the template has files with contents, which the model does not know
};

}  // namespace daxfuzz::oracle
