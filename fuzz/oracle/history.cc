#include "fuzz/oracle/history.h"

namespace daxfuzz::oracle {

const char* signal_name(Signal signal) {
  switch (signal) {
    case Signal::kNone: return "";
    case Signal::kSegvMaperr: return "SIGSEGV/MAPERR";
    case Signal::kSegvAccerr: return "SIGSEGV/ACCERR";
    case Signal::kBusAdrerr: return "SIGBUS/ADRERR";
    case Signal::kBusMceerr: return "SIGBUS/MCEERR";
    case Signal::kKilled: return "SIGKILL";
  }
  return "?";
}

}  // namespace daxfuzz::oracle
