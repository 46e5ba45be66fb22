// props/guest_init.cc - the only program of the virtual machine that the differential test asks.
//
// Loads the modules that /modules lists, waits for the persistent memory, then takes orders from
// the mailbox: mounts the image that lies in that memory, runs a program as a process whose root it
// is, reads the tree, unmounts.
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <string>
#include <vector>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fuzz/prog/binary.h"
#include "props/guest_mailbox.h"
#include "props/kernel_calls.h"

namespace daxfuzz::props {
namespace {

constexpr const char* kDevice = "/dev/pmem0";
constexpr const char* kRoot = "/mnt";
constexpr int kDropCaches = 900;

void prepare() {
  for (const char* dir : {"/proc", "/sys", "/dev", kRoot}) { mkdir(dir, 0755); }
  mount("proc", "/proc", "proc", 0, nullptr);
  mount("sys", "/sys", "sysfs", 0, nullptr);
  mount("dev", "/dev", "devtmpfs", 0, nullptr);
  const int console = open("/dev/console", O_RDWR);
  for (int fd = 0; fd < 3; ++fd) { dup2(console, fd); }
  std::ifstream list("/modules");
  for (std::string path; std::getline(list, path);) {
    const int fd = open(path.c_str(), O_RDONLY);
    if (fd < 0 || syscall(SYS_finit_module, fd, "", 0) != 0) { std::printf("%s: %s\n", path.c_str(), strerror(errno)); }
    close(fd);
  }
  for (int i = 0; i < 1000 && access(kDevice, F_OK) != 0; ++i) { usleep(10'000); }
  const int drop = open("/proc/sys/vm/drop_caches", O_WRONLY);
  dup2(drop, kDropCaches);
  close(drop);
}

// The only PCI device with a mailbox's size of memory.
GuestMailbox* find_mailbox() {
  for (int slot = 0; slot < 32; ++slot) {
    char path[80];
    std::snprintf(path, sizeof(path), "/sys/bus/pci/devices/0000:00:%02x.0/resource2", slot);
    struct stat st;
    if (stat(path, &st) != 0 || static_cast<uint64_t>(st.st_size) != GuestMailbox::kSize) { continue; }
    std::string enable = path;
    enable.replace(enable.rfind('/') + 1, std::string::npos, "enable");
    const int on = open(enable.c_str(), O_WRONLY);
    [[maybe_unused]] const ssize_t n = write(on, "1", 1);
    close(on);
    const int fd = open(path, O_RDWR);
    void* const mapped = mmap(nullptr, GuestMailbox::kSize, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    return mapped == MAP_FAILED ? nullptr : static_cast<GuestMailbox*>(mapped);
  }
  return nullptr;
}

void run_program(GuestMailbox* box) {
  const prog::Program program =
      prog::decode(std::span(box->area<const uint8_t>(GuestMailbox::kProgramAt), box->program_bytes));
  const std::span addresses(box->area<const uint64_t>(GuestMailbox::kAddressesAt), box->addresses);
  auto* const answers = new (box->area<void>(GuestMailbox::kAnswersAt)) Answer[count_operations(program) + 1];
  const pid_t pid = fork();
  if (pid == 0) {
    alarm(60);
    if (chroot(kRoot) != 0 || chdir("/") != 0) { _exit(99); }
    syscall(SYS_close_range, 0u, unsigned{kDropCaches - 1}, 0u);
    run_calls(program, addresses, kDropCaches, answers);
    _exit(0);
  }
  waitpid(pid, &box->exit_status, 0);
}

void report_tree(GuestMailbox* box) {
  std::string text;
  for (const auto& [path, entry] : read_tree(kRoot)) {
    char line[96];
    std::snprintf(line, sizeof(line), "%c %llu %llu %llu ", entry.type, static_cast<unsigned long long>(entry.links),
                  static_cast<unsigned long long>(entry.size), static_cast<unsigned long long>(entry.contents_hash));
    text += line + path + '\0';
  }
  if (text.size() > GuestMailbox::kTreeMax) { text.clear(); }
  std::memcpy(box->area<char>(GuestMailbox::kTreeAt), text.data(), text.size());
  box->tree_bytes = static_cast<uint32_t>(text.size());
}

void obey(GuestMailbox* box) {
  box->tree_bytes = 0;
  box->exit_status = 0;
  box->mount_error = mount(kDevice, kRoot, "ext4", 0, box->mount_options) == 0 ? 0 : errno;
  if (box->mount_error != 0) { return; }
  if (box->kind == GuestMailbox::kRun) { run_program(box); }
  report_tree(box);
  for (int i = 0; i < 100 && umount2(kRoot, 0) != 0; ++i) { usleep(10'000); }
}

int run() {
  prepare();
  GuestMailbox* const box = find_mailbox();
  std::printf("guest: %s\n", box != nullptr ? "ready" : "no mailbox");
  std::fflush(stdout);
  while (box != nullptr) {
    for (unsigned spins = 0; box->asked.load() == box->answered.load(); ++spins) {
      if (spins > 1000) { usleep(spins > 20'000 ? 5'000 : 200); }
    }
    if (box->kind == GuestMailbox::kStop) { break; }
    obey(box);
    box->answered.store(box->asked.load());
  }
  reboot(RB_POWER_OFF);
  return 0;
}

}  // namespace
}  // namespace daxfuzz::props

int main() { return daxfuzz::props::run(); }
