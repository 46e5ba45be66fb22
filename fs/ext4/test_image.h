// fs/ext4/test_image.h - for tests: images made by mke2fs, judged by e2fsck.
//
// Images are made once a process and set of arguments, then copied. Locking: none, tests are single-threaded here.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fs/pmem/device.h"

namespace daxfs::ext4::testing {

// What mke2fs writes would differ from run to run: pin it.
inline constexpr const char* kFixedIdentity =
    "-U 12345678-1234-1234-1234-123456789abc -E hash_seed=11111111-2222-3333-4444-555555555555";

inline std::string run_command(const std::string& command, int* exit_code) {
  std::string output;
  FILE* pipe = popen((command + " 2>&1").c_str(), "r");
  char chunk[512];
  while (pipe != nullptr && std::fgets(chunk, sizeof(chunk), pipe) != nullptr) { output += chunk; }
  const int status = pipe != nullptr ? pclose(pipe) : -1;
  *exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  return output;
}

class TempFile {
 public:
  TempFile() : path_(::testing::TempDir() + "daxfs_XXXXXX") {
    const int fd = mkstemp(path_.data());
    if (fd >= 0) { close(fd); }
  }
  ~TempFile() { ::unlink(path_.c_str()); }
  TempFile(const TempFile&) = delete;
  TempFile& operator=(const TempFile&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

// An image of `blocks` blocks made by `mke2fs -t ext4 -b 4096 <arguments>`, then changed by debugfs `commands` (each a
// line of its request language).
inline const std::vector<std::byte>& make_image(uint64_t blocks, const std::string& arguments = "",
                                                const std::string& commands = "") {
  static std::map<std::string, std::vector<std::byte>> images;
  const std::string key = std::to_string(blocks) + "|" + arguments + "|" + commands;
  if (auto found = images.find(key); found != images.end()) { return found->second; }
  TempFile file;
  int code = 0;
  std::string output =
      run_command("PATH=$PATH:/sbin:/usr/sbin; mke2fs -q -F -t ext4 -b 4096 " + std::string(kFixedIdentity) + " " +
                      arguments + " " + file.path() + " " + std::to_string(blocks),
                  &code);
  EXPECT_EQ(code, 0) << "mke2fs " << arguments << ": " << output;
  if (!commands.empty()) {
    output =
        run_command("PATH=$PATH:/sbin:/usr/sbin; printf '" + commands + "' | debugfs -w -f - " + file.path(), &code);
    EXPECT_EQ(code, 0) << output;
  }
  std::vector<std::byte> bytes(blocks * kBlockSize);
  FILE* in = std::fopen(file.path().c_str(), "rb");
  EXPECT_NE(in, nullptr);
  if (in != nullptr) {
    // mke2fs drops a last group that is too small for its metadata.
    bytes.resize(std::fread(bytes.data(), 1, bytes.size(), in));
    EXPECT_NE(bytes.size(), 0u);
    std::fclose(in);
  }
  return images.emplace(key, std::move(bytes)).first->second;
}

inline std::unique_ptr<pmem::Device> load_device(std::span<const std::byte> image) {
  auto device = pmem::Device::anonymous(round_up(image.size(), kBlockSize)).value();
  device->load_image(image);
  return device;
}

// Empty if `e2fsck -fn` finds nothing to say against the image; else its output.
inline std::string e2fsck(std::span<const std::byte> image) {
  TempFile file;
  FILE* out = std::fopen(file.path().c_str(), "wb");
  if (out == nullptr || std::fwrite(image.data(), 1, image.size(), out) != image.size()) { return "cannot write"; }
  std::fclose(out);
  int code = 0;
  const std::string output = run_command("PATH=$PATH:/sbin:/usr/sbin; e2fsck -fn " + file.path(), &code);
  return code == 0 ? "" : "exit code " + std::to_string(code) + "\n" + output;
}

}  // namespace daxfs::ext4::testing
