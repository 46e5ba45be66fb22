#include "fs/base/historical.h"

namespace daxfs {

#if defined(DAXFS_HISTORICAL_BUGS)
namespace internal {
BugSet g_historical;
}

namespace {
constexpr BugInfo kTable[] = {
#define DAXFS_X(name, id, catalogue, source, title, oracles) {Bug::name, id, catalogue, source, title, oracles},
    DAXFS_HISTORICAL_TABLE(DAXFS_X)
#undef DAXFS_X
};
}  // namespace

std::span<const BugInfo> historical_bugs() { return kTable; }
void set_historical(const BugSet& bugs) { internal::g_historical = bugs; }
const BugSet& get_historical() { return internal::g_historical; }
#else
std::span<const BugInfo> historical_bugs() { return {}; }
void set_historical(const BugSet& /*bugs*/) {}
const BugSet& get_historical() {
  static const BugSet kNone;
  return kNone;
}
#endif

size_t select_historical(std::string_view id, BugSet* bugs) {
  size_t matched = 0;
  for (const BugInfo& info : historical_bugs()) {
    if (info.id == id || info.id.substr(0, info.id.find('/')) == id || info.catalogue == id) {
      bugs->set(static_cast<size_t>(info.bug));
      ++matched;
    }
  }
  return matched;
}

}  // namespace daxfs
