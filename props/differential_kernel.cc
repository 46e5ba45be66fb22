// props/differential_kernel.cc - real system calls in a forked child whose root is a folder.
#include "props/differential_kernel.h"

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <system_error>

#include <fcntl.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

namespace daxfuzz::props {
namespace {

constexpr int kNoRoot = 99;  // exit code of a child that could not make the folder its root

// A name for a new file in the temporary folder, which is then the caller's to make.
std::string temporary_name() { return (std::filesystem::temp_directory_path() / "daxfs_diff_XXXXXX").string(); }

bool write_text(const char* file, const std::string& text) {
  const int fd = open(file, O_WRONLY);
  const bool written = fd >= 0 && write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size());
  if (fd >= 0) { close(fd); }
  return written;
}

// Not root: the same user is root of a namespace of its own (user_namespaces(7)).
bool become_root() {
  const uid_t uid = getuid();
  const gid_t gid = getgid();
  if (unshare(CLONE_NEWUSER) != 0) { return false; }
  write_text("/proc/self/setgroups", "deny");  // absent before Linux 3.19
  return write_text("/proc/self/uid_map", "0 " + std::to_string(uid) + " 1") &&
         write_text("/proc/self/gid_map", "0 " + std::to_string(gid) + " 1");
}

bool enter(const std::string& directory) {
  if (geteuid() != 0 && !become_root()) { return false; }
  return chroot(directory.c_str()) == 0 && chdir("/") == 0;
}

}  // namespace

std::vector<Answer> HostKernel::run(const prog::Program& program, std::span<const uint64_t> addresses) {
  const size_t count = count_operations(program);
  const size_t bytes = (count + 1) * sizeof(Answer);
  void* shared = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  auto* answers = new (shared) Answer[count + 1];
  std::fflush(nullptr);
  const pid_t pid = fork();
  if (pid == 0) {
    alarm(20);
    if (!enter(directory_)) { _exit(kNoRoot); }
    syscall(SYS_close_range, 0u, ~0u, 0u);
    run_calls(program, addresses, /*drop_caches=*/-1, answers);
    _exit(0);
  }
  int status = 0;
  waitpid(pid, &status, 0);
  if (WIFEXITED(status) && WEXITSTATUS(status) == kNoRoot) { error_ = "cannot make a folder the root of a process"; }
  std::vector<Answer> copied(answers, answers + count);
  munmap(shared, bytes);
  return copied;
}

Tree HostKernel::tree() const { return read_tree(directory_); }

KernelMount::KernelMount(std::span<const std::byte> image) {
  std::string file = temporary_name();
  const int fd = mkstemp(file.data());
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

KernelFolder::KernelFolder() {
  std::string name = temporary_name();
  struct stat made;
  if (mkdtemp(name.data()) == nullptr) {
    error_ = "cannot make a temporary folder";
    return;
  }
  directory_ = name;
  const std::string inside = directory_ + "/lost+found";
  if (chmod(name.c_str(), 0755) != 0 || mkdir(inside.c_str(), 0700) != 0 || stat(inside.c_str(), &made) != 0) {
    error_ = "cannot make a folder in " + directory_;
    return;
  }
  counts_directory_links_ = made.st_nlink == 2;
  const pid_t pid = fork();
  if (pid == 0) { _exit(enter(directory_) ? 0 : kNoRoot); }
  int status = 0;
  waitpid(pid, &status, 0);
  if (status != 0) { error_ = "cannot make a folder the root of a process (needs root or user namespaces)"; }
}

KernelFolder::~KernelFolder() {
  std::error_code ignored;
  if (directory_.empty()) { return; }
  // What a program took the permissions of.
  for (auto it = std::filesystem::recursive_directory_iterator(directory_, ignored); it != end(it);
       it.increment(ignored)) {
    if (it->is_directory(ignored) && !it->is_symlink(ignored)) { chmod(it->path().c_str(), 0700); }
  }
  std::filesystem::remove_all(directory_, ignored);
}

}  // namespace daxfuzz::props
