// props/differential_kernel.cc - real system calls in a forked child on a loop-mounted image.
#include "props/differential_kernel.h"

#include <cstdio>
#include <cstdlib>

#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

namespace daxfuzz::props {

KernelMount::KernelMount(std::span<const std::byte> image) {
  char file[] = "/tmp/daxfs_diff_XXXXXX";
  const int fd = mkstemp(file);
  if (fd < 0) {
    error_ = "cannot make a temporary file";
    return;
  }
  image_ = file;
  const bool written = write(fd, image.data(), image.size()) == static_cast<ssize_t>(image.size());
  close(fd);
  directory_ = image_ + ".dir";
  if (!written || mkdir(directory_.c_str(), 0755) != 0) {
    error_ = "cannot write the image";
    return;
  }
  const std::string command = "mount -t ext4 -o loop " + image_ + " " + directory_ + " 2>/dev/null";
  mounted_ = std::system(command.c_str()) == 0;
  if (!mounted_) { error_ = "cannot mount an ext4 image (needs root and a loop device)"; }
}

KernelMount::~KernelMount() {
  if (mounted_ && umount2(directory_.c_str(), 0) != 0) { umount2(directory_.c_str(), MNT_DETACH); }
  if (!directory_.empty()) { rmdir(directory_.c_str()); }
  if (!image_.empty()) { unlink(image_.c_str()); }
}

std::vector<Answer> KernelMount::run(const prog::Program& program, std::span<const uint64_t> addresses) {
  const size_t count = count_operations(program);
  const size_t bytes = (count + 1) * sizeof(Answer);
  void* shared = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  auto* answers = new (shared) Answer[count + 1];
  std::fflush(nullptr);
  const pid_t pid = fork();
  if (pid == 0) {
    alarm(20);
    if (chroot(directory_.c_str()) != 0 || chdir("/") != 0) { _exit(99); }
    syscall(SYS_close_range, 0u, ~0u, 0u);
    run_calls(program, addresses, /*drop_caches=*/-1, answers);
    _exit(0);
  }
  int status = 0;
  waitpid(pid, &status, 0);
  std::vector<Answer> copied(answers, answers + count);
  munmap(shared, bytes);
  return copied;
}

Tree KernelMount::tree() const { return read_tree(directory_); }

}  // namespace daxfuzz::props
