#include "fs/base/errc.h"

namespace daxfs {

const char* errc_name(Errc errc) {
  switch (errc) {
    case Errc::kOk: return "OK";
#define DAXFS_X(name, posix, number) \
  case Errc::name: return #posix;
      DAXFS_ERRC_TABLE(DAXFS_X)
#undef DAXFS_X
  }
  return "E?";
}

}  // namespace daxfs
