// fuzz/prog/op_table.h - the one table of operations: names, operands in order, results, weights;
// and flag names.
//
// Text and binary codecs, generator, mutators, validator and `docs/formats/program.md` all follow
// this table, so they cannot drift. To add an operation: append a row (never reorder: the row
// number is the opcode in binary programs), give it operand kinds that exist, teach the executor,
// and add its line to docs/formats/program.md.
//
// Flag and enum values are Linux' own numbers (x86-64), so that an executor can pass them on
// unchanged.
//
// Tested by: fuzz/prog/text_test.cc (every row prints, parses and encodes).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace daxfuzz::prog {

// What the operation assigns to the variable on the left of `=`.
enum class ResultKind : uint8_t { kNone, kFd, kMapping };

// Each kind fills the one member of `Op` named beside it (fuzz/prog/program.h).
enum class OperandKind : uint8_t {
  kFd,           // Op::fd       f0, or `bad`
  kPath,         // Op::path     "f0"
  kPath2,        // Op::path2    "g0"
  kOpenFlags,    // Op::flags    rdwr|creat
  kFileMode,     // Op::mode     0644; optional, default 0644
  kDirMode,      // Op::mode     0755; optional, default 0755
  kFallocMode,   // Op::flags    punch|keep_size; optional, default 0 (alloc)
  kRenameFlags,  // Op::flags    noreplace; optional, default 0
  kMapFlags,     // Op::flags    shared|fixed
  kRemapFlags,   // Op::flags    maymove|fixed
  kSyncFlags,    // Op::flags    sync|invalidate
  kXattrFlags,   // Op::flags    dax|immutable
  kInodeFlags,   // Op::flags    extents|dax
  kWhence,       // Op::flags    set
  kAdvice,       // Op::flags    dontneed
  kProt,         // Op::prot     read|write
  kOffset,       // Op::offset   4K
  kLength,       // Op::length   8K
  kLength2,      // Op::length2  16K
  kAddr,         // Op::addr     m0+4K
  kSplitAddr,    // Op::addr     m0 4K (the offset is a word of its own)
  kAt,           // Op::at       at m0+4K; optional
  kDest,         // Op::buffer   buf, buf+1, m0+4K, bad
  kSource,       // Op::buffer   0x41, 0x41@1, seq:0x41, m0+4K, bad
  kFill,         // Op::buffer   0x41, seq:0x41
};

inline constexpr size_t kOperandsMax = 6;

// Columns: enumerator, text name, result, weight in generation, what it does, operands in text and
// binary order.
// clang-format off
#define DAXFUZZ_OP_TABLE(X)                                                                       \
  X(kOpen, "open", kFd, 4, "open a file; the flags decide creation and O_DIRECT", kPath,          \
    kOpenFlags, kFileMode)                                                                        \
  X(kClose, "close", kNone, 2, "close a descriptor", kFd)                                         \
  X(kRead, "read", kNone, 3, "read at the descriptor's position", kFd, kDest, kLength)            \
  X(kWrite, "write", kNone, 3, "write at the descriptor's position", kFd, kSource, kLength)       \
  X(kPread, "pread", kNone, 12, "read at an offset", kFd, kDest, kLength, kOffset)                \
  X(kPwrite, "pwrite", kNone, 12, "write at an offset", kFd, kSource, kLength, kOffset)           \
  X(kLseek, "lseek", kNone, 2, "move the position, find data or holes", kFd, kOffset, kWhence)    \
  X(kFtruncate, "ftruncate", kNone, 8, "set the size through a descriptor", kFd, kLength)         \
  X(kTruncate, "truncate", kNone, 2, "set the size by name", kPath, kLength)                      \
  X(kFallocate, "fallocate", kNone, 14, "allocate, punch, zero, collapse or insert a range",      \
    kFd, kFallocMode, kOffset, kLength)                                                           \
  X(kMmap, "mmap", kMapping, 5, "map a range of a file", kFd, kOffset, kLength, kProt,            \
    kMapFlags, kAt)                                                                               \
  X(kMunmap, "munmap", kNone, 3, "unmap", kAddr, kLength)                                         \
  X(kMremap, "mremap", kMapping, 2, "resize or move a mapping", kAddr, kLength, kLength2,         \
    kRemapFlags, kAt)                                                                             \
  X(kMprotect, "mprotect", kNone, 3, "change the protection of a mapping", kAddr, kLength, kProt) \
  X(kMadvise, "madvise", kNone, 3, "advise about a mapping", kAddr, kLength, kAdvice)             \
  X(kMsync, "msync", kNone, 5, "write a mapping back", kAddr, kLength, kSyncFlags)                \
  X(kFsync, "fsync", kNone, 4, "make a file durable", kFd)                                        \
  X(kFdatasync, "fdatasync", kNone, 2, "make a file's data durable", kFd)                         \
  X(kSync, "sync", kNone, 1, "make everything durable")                                           \
  X(kRename, "rename", kNone, 3, "renameat2", kPath, kPath2, kRenameFlags)                        \
  X(kLink, "link", kNone, 2, "make a hard link: old name, new name", kPath, kPath2)               \
  X(kSymlink, "symlink", kNone, 1, "make a symbolic link: target, name", kPath, kPath2)           \
  X(kReadlink, "readlink", kNone, 1, "read a symbolic link", kPath)                               \
  X(kUnlink, "unlink", kNone, 4, "remove a name", kPath)                                          \
  X(kMkdir, "mkdir", kNone, 2, "make a directory", kPath, kDirMode)                               \
  X(kRmdir, "rmdir", kNone, 1, "remove a directory", kPath)                                       \
  X(kStat, "stat", kNone, 1, "attributes by name, following links", kPath)                        \
  X(kLstat, "lstat", kNone, 1, "attributes by name", kPath)                                       \
  X(kFstat, "fstat", kNone, 1, "attributes of a descriptor", kFd)                                 \
  X(kStatfs, "statfs", kNone, 1, "free space", kPath)                                             \
  X(kGetdents, "getdents", kNone, 1, "read a directory to its end", kFd)                          \
  X(kFiemap, "fiemap", kNone, 2, "list extents of a range", kFd, kOffset, kLength)                \
  X(kLoad, "load", kNone, 12, "read memory of a mapping", kSplitAddr, kLength)                    \
  X(kStore, "store", kNone, 14, "write memory of a mapping", kSplitAddr, kLength, kFill)          \
  X(kTouch, "touch", kNone, 5, "store one byte every 4096 bytes of a range", kSplitAddr,          \
    kLength, kFill)                                                                               \
  X(kDropCaches, "drop_caches", kNone, 2, "forget clean pages and unused inodes")                 \
  X(kDup, "dup", kFd, 1, "duplicate a descriptor", kFd)                                           \
  X(kSetXflags, "setxflags", kNone, 1, "set the inode flags (FS_IOC_FSSETXATTR)", kFd,            \
    kXattrFlags)                                                                                  \
  X(kMemoryFailure, "memory_failure", kNone, 1, "the memory behind a page of a file goes bad",    \
    kFd, kOffset)                                                                                 \
  X(kProcessVmReadv, "process_vm_readv", kNone, 3,                                                \
    "read memory of the own process through pinned pages", kSplitAddr, kLength)                   \
  X(kIoSubmitPread, "io_submit_pread", kNone, 2, "begin a read at an offset", kFd, kDest,         \
    kLength, kOffset)                                                                             \
  X(kIoSubmitPwrite, "io_submit_pwrite", kNone, 3, "begin a write at an offset", kFd, kSource,    \
    kLength, kOffset)                                                                             \
  X(kIoGetevents, "io_getevents", kNone, 1, "wait for that many of the begun; 0: for all",        \
    kLength)                                                                                      \
  X(kReclaim, "reclaim", kNone, 2, "memory is short: pages of the page cache leave it") \
  X(kSetFl, "setfl", kNone, 2, "fcntl F_SETFL: O_DIRECT on or off, as the flags say", kFd,        \
    kOpenFlags)                                                                                   \
  X(kSetFlags, "setflags", kNone, 2, "set the inode flags (FS_IOC_SETFLAGS)", kFd, kInodeFlags)
// clang-format on

enum class OpCode : uint8_t {
#define DAXFUZZ_X(name, ...) name,
  DAXFUZZ_OP_TABLE(DAXFUZZ_X)
#undef DAXFUZZ_X
};

#define DAXFUZZ_X(...) +1
inline constexpr size_t kOpCount = 0 DAXFUZZ_OP_TABLE(DAXFUZZ_X);
#undef DAXFUZZ_X

struct OpInfo {
  OpCode code;
  std::string_view name;
  ResultKind result;
  uint16_t weight;  // relative share in generation; 0: only when asked for
  std::string_view help;
  std::array<OperandKind, kOperandsMax> operand_array;
  uint8_t operand_count;

  constexpr std::span<const OperandKind> operands() const {
    return std::span<const OperandKind>(operand_array).first(operand_count);
  }
  constexpr bool has(OperandKind kind) const {
    for (OperandKind operand : operands()) {
      if (operand == kind) { return true; }
    }
    return false;
  }
};

// Never fails: an OpCode is always a row.
const OpInfo& op_info(OpCode code);
std::span<const OpInfo> op_table();
// Null when no operation has that name.
const OpInfo* find_op(std::string_view name);

// --- flags and enums
// ---------------------------------------------------------------------------------------------

struct FlagName {
  std::string_view name;
  uint32_t mask;   // bits that this name decides; all ones in an enum
  uint32_t value;  // their value
};

// Names of one flags or enum operand. Names are tried in order, so a name that includes another's
// bits stands before it.
struct FlagTable {
  std::string_view what;       // "open flags", for messages
  std::string_view zero_name;  // how zero is written
  std::span<const FlagName> names;
  bool is_enum;  // exactly one name
};

// Null for kinds that are not flags or enums.
const FlagTable* flag_table(OperandKind kind);

// Rows of `table` that together make `value`, as bits; `*rest` gets the bits that no row explains.
// The values of the rows and the rest, or-ed, are `value` again. For an enum: the bit of its row
// and rest 0, or no bit and rest `value`.
uint32_t flag_rows(const FlagTable& table, uint32_t value, uint32_t* rest);

// Linux x86-64 numbers.
inline constexpr uint32_t kOAccMode = 03, kORdOnly = 0, kOWrOnly = 01, kORdWr = 02, kOCreat = 0100, kOExcl = 0200,
                          kOTrunc = 01000, kOAppend = 02000, kODsync = 010000, kODirect = 040000, kODirectory = 0200000,
                          kONoFollow = 0400000, kONoAtime = 01000000, kOSync = 04010000, kOPath = 010000000,
                          kOTmpfile = 020200000;
inline constexpr uint32_t kFallocKeepSize = 0x01, kFallocPunch = 0x02, kFallocCollapse = 0x08, kFallocZero = 0x10,
                          kFallocInsert = 0x20, kFallocUnshare = 0x40;
inline constexpr uint32_t kRenameNoReplace = 1, kRenameExchange = 2, kRenameWhiteout = 4;
inline constexpr uint32_t kProtNone = 0, kProtRead = 1, kProtWrite = 2, kProtExec = 4;
inline constexpr uint32_t kMapShared = 1, kMapPrivate = 2, kMapSharedValidate = 3, kMapType = 0xf, kMapFixed = 0x10,
                          kMapAnon = 0x20, kMapLocked = 0x2000, kMapPopulate = 0x8000, kMapNonblock = 0x10000,
                          kMapSync = 0x80000, kMapFixedNoReplace = 0x100000;
inline constexpr uint32_t kRemapMayMove = 1, kRemapFixed = 2, kRemapDontUnmap = 4;
inline constexpr uint32_t kMsAsync = 1, kMsInvalidate = 2, kMsSync = 4;
inline constexpr uint32_t kSeekSet = 0, kSeekCur = 1, kSeekEnd = 2, kSeekData = 3, kSeekHole = 4;
inline constexpr uint32_t kAdvNormal = 0, kAdvRandom = 1, kAdvSequential = 2, kAdvWillNeed = 3, kAdvDontNeed = 4,
                          kAdvFree = 8, kAdvRemove = 9, kAdvHugePage = 14, kAdvNoHugePage = 15, kAdvCold = 20,
                          kAdvPageOut = 21, kAdvPopulateRead = 22, kAdvPopulateWrite = 23, kAdvHwPoison = 100,
                          kAdvSoftOffline = 101;
inline constexpr uint32_t kXflagImmutable = 0x8, kXflagAppend = 0x10, kXflagDax = 0x8000;
inline constexpr uint32_t kFsImmutable = 0x10, kFsAppend = 0x20, kFsExtents = 0x80000, kFsDax = 0x2000000;

}  // namespace daxfuzz::prog
