// fs/rt/names.cc - words for enumerators, and stable hashes of sites.
#include <cstring>
#include <iterator>

#include "fs/rt/engine.h"
#include "fs/rt/lock_rank.h"

namespace daxfs::rt {
namespace {

// Sites are static objects of the program: a small direct-mapped cache by address is enough, and a lost entry only
// costs time. The hash itself never sees the address.
struct SiteHashEntry {
  const void* site = nullptr;
  uint32_t hash = 0;
};
constexpr size_t kSiteHashEntries = 1024;
thread_local SiteHashEntry t_site_hashes[kSiteHashEntries];

uint32_t compute_site_hash(Site site) {
  const char* file = site.file_name();
  if (const char* slash = std::strrchr(file, '/'); slash != nullptr) { file = slash + 1; }
  uint32_t hash = 2166136261u;  // FNV-1a
  for (; *file != '\0'; ++file) { hash = (hash ^ static_cast<unsigned char>(*file)) * 16777619u; }
  for (uint32_t value : {static_cast<uint32_t>(site.line()), static_cast<uint32_t>(site.column())}) {
    for (unsigned shift = 0; shift < 32; shift += 8) { hash = (hash ^ ((value >> shift) & 0xff)) * 16777619u; }
  }
  return hash;
}

}  // namespace

FS_NO_TSAN uint32_t site_hash(Site site) {
  static_assert(sizeof(Site) == sizeof(const void*));
  // The builtin: std::bit_cast would be a function, which FS_NO_TSAN does not reach, with a frame on the observed
  // stack.
  const void* key = __builtin_bit_cast(const void*, site);
  SiteHashEntry& entry = t_site_hashes[(reinterpret_cast<uintptr_t>(key) >> 4) % kSiteHashEntries];
  if (entry.site != key) {
    entry.hash = compute_site_hash(site);
    entry.site = key;
  }
  return entry.hash;
}

const char* point_kind_name(PointKind kind) {
  static constexpr const char* kNames[] = {"lock",         "unlock",     "wait",       "wake",         "atomic-load",
                                           "atomic-store", "atomic-rmw", "ref",        "pte-read",     "pte-write",
                                           "tree-read",    "tree-write", "pmem-store", "pmem-flush",   "pmem-fence",
                                           "user-load",    "user-store", "bio-submit", "bio-complete", "op-begin",
                                           "op-end",       "rcu",        "task",       "yield"};
  static_assert(std::size(kNames) == static_cast<size_t>(PointKind::kCount));
  return kind < PointKind::kCount ? kNames[static_cast<size_t>(kind)] : "?";
}

const char* object_class_name(ObjectClass cls) {
  static constexpr const char* kNames[] = {"none", "lock", "wait-queue", "atomic", "frame", "pte",
                                           "tree", "pmem", "inode",      "bio",    "task",  "op"};
  static_assert(std::size(kNames) == static_cast<size_t>(ObjectClass::kCount));
  return cls < ObjectClass::kCount ? kNames[static_cast<size_t>(cls)] : "?";
}

const char* rank_name(Rank rank) {
  static constexpr const char* kNames[] = {"rename", "inode-dir", "inode",  "freeze",     "mmap",     "invalidate",
                                           "handle", "dax-entry", "folio",  "data-sem",   "xattr",    "mmap-tree",
                                           "orphan", "group",     "buffer", "inode-hash", "fd-table", "page-table",
                                           "xarray", "leaf",      "none"};
  static_assert(std::size(kNames) == static_cast<size_t>(Rank::kNone) + 1);
  return rank <= Rank::kNone ? kNames[static_cast<size_t>(rank)] : "?";
}

const char* context_name(Context context) {
  switch (context) {
    case Context::kProcess: return "process";
    case Context::kIrq: return "irq";
    case Context::kSoftirq: return "softirq";
    case Context::kWorker: return "worker";
  }
  return "?";
}

}  // namespace daxfs::rt
