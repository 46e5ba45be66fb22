// ci/service_check/loop_driver.c - an engine as honggfuzz is one, for ci/oss-fuzz-check: an archive with main(), which calls
// the target in a loop in one process, with coverage from guards, and knows no custom mutator.
//
//   TARGET [--seconds=N] [--replays=N] FILE...    each file N times, then N seconds of files with changed bytes
//
// Written for the check, because no distribution packages honggfuzz; its hooks and calls are those that the compiler's
// documentation names.  Not covered: comparisons are counted, not used.
// Tested by: ci/oss-fuzz-check
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);
__attribute__((weak)) int LLVMFuzzerInitialize(int* argc, char*** argv);

static uint32_t guards;
static uint32_t guards_hit;
static uint64_t comparisons;

void __sanitizer_cov_trace_pc_guard_init(uint32_t* begin, uint32_t* end) {
  if (begin == end || *begin != 0) { return; }
  for (; begin < end; ++begin) { *begin = ++guards; }
}
void __sanitizer_cov_trace_pc_guard(uint32_t* guard) {
  if (*guard != 0) {
    ++guards_hit;
    *guard = 0;
  }
}
void __sanitizer_cov_trace_pc_indir(uintptr_t callee) { (void)callee; }
#define COMPARISON(name, type) \
  void name(type a, type b) {  \
    (void)a, (void)b;          \
    ++comparisons;             \
  }
COMPARISON(__sanitizer_cov_trace_cmp1, uint8_t)
COMPARISON(__sanitizer_cov_trace_cmp2, uint16_t)
COMPARISON(__sanitizer_cov_trace_cmp4, uint32_t)
COMPARISON(__sanitizer_cov_trace_cmp8, uint64_t)
COMPARISON(__sanitizer_cov_trace_const_cmp1, uint8_t)
COMPARISON(__sanitizer_cov_trace_const_cmp2, uint16_t)
COMPARISON(__sanitizer_cov_trace_const_cmp4, uint32_t)
COMPARISON(__sanitizer_cov_trace_const_cmp8, uint64_t)
void __sanitizer_cov_trace_switch(uint64_t value, uint64_t* cases) { (void)value, (void)cases; }

static uint64_t state = 1337;
static uint32_t below(uint32_t bound) {
  state = state * 6364136223846793005u + 1442695040888963407u;
  return (uint32_t)((state >> 33) % bound);
}

static uint64_t now_us(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

// In memory of exactly that size, so that a read beyond it shows.
static void call(const uint8_t* data, size_t size) {
  uint8_t* copy = malloc(size == 0 ? 1 : size);
  memcpy(copy, data, size);
  LLVMFuzzerTestOneInput(copy, size);
  free(copy);
}

int main(int argc, char** argv) {
  static uint8_t files[256][4096];
  static size_t sizes[256];
  unsigned count = 0;
  unsigned long seconds = 1;
  unsigned long replays = 1;
  if (LLVMFuzzerInitialize != NULL) { LLVMFuzzerInitialize(&argc, &argv); }
  for (int i = 1; i < argc; ++i) {
    if (strncmp(argv[i], "--seconds=", 10) == 0) {
      seconds = strtoul(argv[i] + 10, NULL, 10);
    } else if (strncmp(argv[i], "--replays=", 10) == 0) {
      replays = strtoul(argv[i] + 10, NULL, 10);
    } else if (count < 256) {
      FILE* file = fopen(argv[i], "rb");
      if (file == NULL) {
        fprintf(stderr, "%s: cannot be read\n", argv[i]);
        return 1;
      }
      sizes[count] = fread(files[count], 1, sizeof(files[count]), file);
      fclose(file);
      ++count;
    }
  }
  uint64_t runs = 0;
  call(files[0], 0);
  for (unsigned i = 0; i < count; ++i) {
    for (unsigned long replay = 0; replay < replays; ++replay, ++runs) { call(files[i], sizes[i]); }
  }
  const uint64_t start = now_us();
  uint64_t took = 0;
  size_t size = 0;
  while (now_us() - start < seconds * 1000000) {
    static uint8_t changed[4096];
    const unsigned from = count == 0 ? 0 : below(count);
    size = sizes[from];
    memcpy(changed, files[from], size);
    for (uint32_t edit = 1 + below(4); edit > 0 && size > 0; --edit) {
      changed[below((uint32_t)size)] = (uint8_t)below(256);
    }
    if (below(4) == 0 && size > 0) { size = below((uint32_t)size); }
    const uint64_t before = now_us();
    call(changed, size);
    took = now_us() - before;
    ++runs;
  }
  printf("Sz:%zu Tm:%lluus runs:%llu guards:%u of %u\n", size, (unsigned long long)took, (unsigned long long)runs,
         guards_hit, guards);
  return 0;
}
