// fuzz/oracle/judge.cc - may the results of this run be what they are?
#include "fuzz/oracle/judge.h"

#include <cstdio>

namespace daxfuzz::oracle {
namespace {

// Nothing in a clean run may find bad media.
std::optional<Objection> check_errors(const OpRecord& record) {
  using daxfs::Errc;
  if (record.error != Errc::kIo && record.error != Errc::kCorrupted) { return std::nullopt; }
  char title[120];
  std::snprintf(title, sizeof(title), "%.*s failed with %s in a run without media errors",
                static_cast<int>(record.op->info().name.size()), record.op->info().name.data(),
                daxfs::errc_name(record.error));
  return Objection{"O9", title, {}};
}

}  // namespace

std::optional<Objection> judge(const prog::Program&, const History& history) {
  for (const OpRecord& record : history.records) {
    if (!record.finished || record.op == nullptr) { continue; }
    if (auto objection = check_errors(record)) { return objection; }
  }
  return std::nullopt;
}

}  // namespace daxfuzz::oracle
