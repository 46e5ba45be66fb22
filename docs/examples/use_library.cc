// docs/examples/use_library.cc - mounts an image, writes to a mapped file from two threads, makes it durable, unmounts.
//   mke2fs -q -t ext4 -b 4096 disk.img 16M && use_library disk.img && e2fsck -fn disk.img
#include <cstdio>
#include <cstdlib>
#include <span>
#include <string>
#include <thread>
#include <utility>

#include "fs/vfs/abi.h"
#include "fs/vfs/filesystem.h"
#include "fs/vfs/process.h"

using namespace daxfs;

std::string message;  // one sentence from the library when it refuses a file or an image

void check(Status status, const char* what) {
  if (!status.ok()) {
    std::fprintf(stderr, "%s: %s%s%s\n", what, errc_name(status.error()), message.empty() ? "" : ": ", message.c_str());
    std::exit(1);
  }
}
template <typename T>
T check(Result<T> result, const char* what) {
  check(result.status(), what);
  return std::move(result).value();
}

int main(int argc, char** argv) {
  if (argc != 2) { return std::fprintf(stderr, "usage: use_library IMAGE\n"), 1; }
  constexpr uint64_t kHalf = 64 * 1024;
  auto device = check(pmem::Device::open(argv[1], {.message = &message}), argv[1]);
  auto fs = check(vfs::Filesystem::mount(*device, "dax=always", &message), "mount");
  vfs::Process process(*fs);
  const int fd = check(process.open("/greetings", vfs::kOpenReadWrite | vfs::kOpenCreate), "open");
  check(process.ftruncate(fd, 2 * kHalf), "ftruncate");
  const VirtAddr map =
      check(process.mmap(VirtAddr(0), 2 * kHalf, mm::kProtRead | mm::kProtWrite, vfs::kMmapShared, fd, 0), "mmap");
  auto fill = [&](uint64_t begin, char letter) {  // Page faults allocate the blocks.
    const std::string text(kHalf, letter);
    if (!process.store(map + begin, std::as_bytes(std::span(text))).ok()) { std::abort(); }
  };
  std::thread first(fill, 0, 'a'), second(fill, kHalf, 'b');
  first.join(), second.join();
  check(process.msync(map, 2 * kHalf, vfs::kMsyncSync), "msync");  // Durable from here on.
  process.exit();
  check(fs->unmount(), "unmount");
  std::puts("unmounted");
}
