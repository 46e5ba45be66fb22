// fs/base/errc.h - operating errors: Linux errno values with names.
//
// Numbers are those of Linux on every architecture we build for (asm-generic/errno*.h); kCorrupted is EUCLEAN, which
// Linux filesystems return as EFSCORRUPTED.
// Tested by: fs/base/base_test.cc.
#pragma once

#include <cstdint>

namespace daxfs {

#define DAXFS_ERRC_TABLE(X)         \
  X(kPerm, EPERM, 1)                \
  X(kNoEnt, ENOENT, 2)              \
  X(kIntr, EINTR, 4)                \
  X(kIo, EIO, 5)                    \
  X(kNxio, ENXIO, 6)                \
  X(kTooBig, E2BIG, 7)              \
  X(kBadf, EBADF, 9)                \
  X(kAgain, EAGAIN, 11)             \
  X(kNoMem, ENOMEM, 12)             \
  X(kAccess, EACCES, 13)            \
  X(kFault, EFAULT, 14)             \
  X(kNotBlk, ENOTBLK, 15)           \
  X(kBusy, EBUSY, 16)               \
  X(kExist, EEXIST, 17)             \
  X(kXdev, EXDEV, 18)               \
  X(kNoDev, ENODEV, 19)             \
  X(kNotDir, ENOTDIR, 20)           \
  X(kIsDir, EISDIR, 21)             \
  X(kInval, EINVAL, 22)             \
  X(kNFile, ENFILE, 23)             \
  X(kMFile, EMFILE, 24)             \
  X(kNoTty, ENOTTY, 25)             \
  X(kTxtBsy, ETXTBSY, 26)           \
  X(kFBig, EFBIG, 27)               \
  X(kNoSpc, ENOSPC, 28)             \
  X(kSPipe, ESPIPE, 29)             \
  X(kRoFs, EROFS, 30)               \
  X(kMLink, EMLINK, 31)             \
  X(kRange, ERANGE, 34)             \
  X(kNameTooLong, ENAMETOOLONG, 36) \
  X(kNoSys, ENOSYS, 38)             \
  X(kNotEmpty, ENOTEMPTY, 39)       \
  X(kLoop, ELOOP, 40)               \
  X(kNoData, ENODATA, 61)           \
  X(kOverflow, EOVERFLOW, 75)       \
  X(kOpNotSupp, EOPNOTSUPP, 95)     \
  X(kCorrupted, EUCLEAN, 117)       \
  X(kHwPoison, EHWPOISON, 133)

enum class Errc : int32_t {
  kOk = 0,
#define DAXFS_X(name, posix, number) name = number,
  DAXFS_ERRC_TABLE(DAXFS_X)
#undef DAXFS_X
};

// "ENOSPC"; "OK" for kOk; never null.
const char* errc_name(Errc errc);

}  // namespace daxfs
