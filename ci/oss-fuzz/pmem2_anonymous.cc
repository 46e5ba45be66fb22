// ci/oss-fuzz/pmem2_anonymous.cc - the part of libpmem2 that fuzz targets use, in builds for services: anonymous
// memory. Files and device DAX are refused.
//
// Why: a service runs targets on a machine without our packages, and libpmem2.a of distributions wants libndctl, which
// they have as a shared library only. Nothing of the library under test is replaced: on anonymous memory libpmem2 is
// mmap, and its flushes are never called (fs/pmem/mapping.cc: such a mapping is not durable). The header is the real
// one, so signatures cannot drift.
//
// Not covered: everything else; a target that opens a file gets "not in this build".
// Tested by: ci/oss-fuzz-check
#include <cerrno>
#include <cstdlib>
#include <cstring>

#include <libpmem2.h>
#include <sys/mman.h>

struct pmem2_source {
  size_t size;
};
struct pmem2_config {
  int unused;
};
struct pmem2_map {
  void* address;
  size_t size;
};

namespace {

void nothing(const void* /*at*/, size_t /*size*/) {}
void nothing_to_drain() {}
void* copy(void* to, const void* from, size_t size, unsigned /*flags*/) { return std::memcpy(to, from, size); }
void* fill(void* to, int byte, size_t size, unsigned /*flags*/) { return std::memset(to, byte, size); }

template <class T>
int make(T** out) {
  *out = static_cast<T*>(std::calloc(1, sizeof(T)));
  return *out == nullptr ? -ENOMEM : 0;
}

template <class T>
int unmake(T** thing) {
  std::free(*thing);
  *thing = nullptr;
  return 0;
}

}  // namespace

extern "C" {

int pmem2_source_from_fd(pmem2_source** /*source*/, int /*fd*/) { return PMEM2_E_NOSUPP; }
int pmem2_source_from_anon(pmem2_source** source, size_t size) {
  const int made = make(source);
  if (made == 0) { (*source)->size = size; }
  return made;
}
int pmem2_source_size(const pmem2_source* source, size_t* size) {
  *size = source->size;
  return 0;
}
int pmem2_source_delete(pmem2_source** source) { return unmake(source); }

int pmem2_config_new(pmem2_config** config) { return make(config); }
int pmem2_config_delete(pmem2_config** config) { return unmake(config); }
int pmem2_config_set_required_store_granularity(pmem2_config* /*config*/, pmem2_granularity /*granularity*/) {
  return 0;
}
int pmem2_config_set_sharing(pmem2_config* /*config*/, pmem2_sharing_type /*type*/) { return 0; }
int pmem2_config_set_protection(pmem2_config* /*config*/, unsigned /*protection*/) { return 0; }

int pmem2_map_new(pmem2_map** map, const pmem2_config* /*config*/, const pmem2_source* source) {
  void* address = ::mmap(nullptr, source->size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (address == MAP_FAILED) { return -errno; }
  if (const int made = make(map); made != 0) {
    ::munmap(address, source->size);
    return made;
  }
  (*map)->address = address;
  (*map)->size = source->size;
  return 0;
}
int pmem2_map_delete(pmem2_map** map) {
  ::munmap((*map)->address, (*map)->size);
  return unmake(map);
}
void* pmem2_map_get_address(pmem2_map* map) { return map->address; }
size_t pmem2_map_get_size(pmem2_map* map) { return map->size; }
pmem2_granularity pmem2_map_get_store_granularity(pmem2_map* /*map*/) { return PMEM2_GRANULARITY_BYTE; }
pmem2_persist_fn pmem2_get_persist_fn(pmem2_map* /*map*/) { return nothing; }
pmem2_flush_fn pmem2_get_flush_fn(pmem2_map* /*map*/) { return nothing; }
pmem2_drain_fn pmem2_get_drain_fn(pmem2_map* /*map*/) { return nothing_to_drain; }
pmem2_memcpy_fn pmem2_get_memcpy_fn(pmem2_map* /*map*/) { return copy; }
pmem2_memset_fn pmem2_get_memset_fn(pmem2_map* /*map*/) { return fill; }
const char* pmem2_errormsg() { return "not in this build: only anonymous memory (ci/oss-fuzz/pmem2_anonymous.cc)"; }

}  // extern "C"
