// fs/vfs/abi.h - numbers of the Linux system-call interface (x86-64, asm-generic): flags as programs pass them.
//
// Tested by: its users.
#pragma once

#include <cstdint>

namespace daxfs::vfs {

inline constexpr uint32_t kOpenAccessMode = 03;
inline constexpr uint32_t kOpenWriteOnly = 01;
inline constexpr uint32_t kOpenReadWrite = 02;
inline constexpr uint32_t kOpenCreate = 0100;
inline constexpr uint32_t kOpenExclusive = 0200;
inline constexpr uint32_t kOpenTruncate = 01000;
inline constexpr uint32_t kOpenAppend = 02000;
inline constexpr uint32_t kOpenDataSync = 010000;
inline constexpr uint32_t kOpenDirect = 040000;
inline constexpr uint32_t kOpenDirectory = 0200000;
inline constexpr uint32_t kOpenNoFollow = 0400000;
inline constexpr uint32_t kOpenSync = 04010000;
inline constexpr uint32_t kOpenPath = 010000000;
inline constexpr uint32_t kOpenTmpfile = 020200000;

// What F_SETFL may change.
inline constexpr uint32_t kOpenNoAtime = 01000000;
inline constexpr uint32_t kSetFlMask = kOpenAppend | kOpenDirect | kOpenNoAtime;

inline constexpr uint32_t kSeekSet = 0;
inline constexpr uint32_t kSeekCurrent = 1;
inline constexpr uint32_t kSeekEnd = 2;
inline constexpr uint32_t kSeekData = 3;
inline constexpr uint32_t kSeekHole = 4;

inline constexpr uint32_t kRenameNoReplace = 1;
inline constexpr uint32_t kRenameExchange = 2;
inline constexpr uint32_t kRenameWhiteout = 4;

inline constexpr uint32_t kMmapShared = 0x01;
inline constexpr uint32_t kMmapPrivate = 0x02;
inline constexpr uint32_t kMmapSharedValidate = 0x03;
inline constexpr uint32_t kMmapType = 0x0f;
inline constexpr uint32_t kMmapFixed = 0x10;
inline constexpr uint32_t kMmapAnonymous = 0x20;
inline constexpr uint32_t kMmapLocked = 0x2000;
inline constexpr uint32_t kMmapPopulate = 0x8000;
inline constexpr uint32_t kMmapNonBlock = 0x10000;
inline constexpr uint32_t kMmapSync = 0x80000;
inline constexpr uint32_t kMmapFixedNoReplace = 0x100000;

inline constexpr uint32_t kRemapMayMove = 1;
inline constexpr uint32_t kRemapFixed = 2;
inline constexpr uint32_t kRemapDontUnmap = 4;

inline constexpr uint32_t kMsyncAsync = 1;
inline constexpr uint32_t kMsyncInvalidate = 2;
inline constexpr uint32_t kMsyncSync = 4;

inline constexpr uint32_t kAdviseNormal = 0;
inline constexpr uint32_t kAdviseRandom = 1;
inline constexpr uint32_t kAdviseSequential = 2;
inline constexpr uint32_t kAdviseWillNeed = 3;
inline constexpr uint32_t kAdviseDontNeed = 4;
inline constexpr uint32_t kAdviseFree = 8;
inline constexpr uint32_t kAdviseRemove = 9;
inline constexpr uint32_t kAdviseDontFork = 10;
inline constexpr uint32_t kAdviseDoFork = 11;
inline constexpr uint32_t kAdviseMergeable = 12;
inline constexpr uint32_t kAdviseUnmergeable = 13;
inline constexpr uint32_t kAdviseHugePage = 14;
inline constexpr uint32_t kAdviseNoHugePage = 15;
inline constexpr uint32_t kAdviseDontDump = 16;
inline constexpr uint32_t kAdviseDoDump = 17;
inline constexpr uint32_t kAdviseWipeOnFork = 18;
inline constexpr uint32_t kAdviseKeepOnFork = 19;
inline constexpr uint32_t kAdviseCold = 20;
inline constexpr uint32_t kAdvisePageOut = 21;
inline constexpr uint32_t kAdvisePopulateRead = 22;
inline constexpr uint32_t kAdvisePopulateWrite = 23;
inline constexpr uint32_t kAdviseDontNeedLocked = 24;
inline constexpr uint32_t kAdviseCollapse = 25;
inline constexpr uint32_t kAdviseHwPoison = 100;
inline constexpr uint32_t kAdviseSoftOffline = 101;

// FS_IOC_FSSETXATTR flags.
inline constexpr uint32_t kXflagImmutable = 0x8;
inline constexpr uint32_t kXflagAppend = 0x10;
inline constexpr uint32_t kXflagDax = 0x8000;

// FS_IOC_SETFLAGS flags that mean something here; what EXT4_FL_USER_VISIBLE does not have is refused.
inline constexpr uint32_t kFsImmutable = 0x10;
inline constexpr uint32_t kFsAppend = 0x20;
inline constexpr uint32_t kFsExtents = 0x80000;
inline constexpr uint32_t kFsDax = 0x2000000;
inline constexpr uint32_t kFsVisible = 0x725bdfff;

inline constexpr uint64_t kRwCountMax = 0x7ffff000;       // MAX_RW_COUNT, bytes
inline constexpr uint64_t kTaskSize = uint64_t{1} << 47;  // addresses at or beyond fault at once
inline constexpr size_t kPathMax = 4096;                  // bytes, with the final NUL
inline constexpr unsigned kSymlinksMax = 40;

}  // namespace daxfs::vfs
