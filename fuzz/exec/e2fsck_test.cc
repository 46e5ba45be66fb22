// fuzz/exec/e2fsck_test.cc - what programs leave on the medium, judged by e2fsck and by our own image checker.
//
// The programs are random, run under random schedules, and most of them meet failures on order: bios, allocations of
// blocks, memory. Whatever a failure interrupts, the image is to be sound behind it, and both judges are to say so.
//
// DAXFUZZ_RUNS=10000 widens it, DAXFUZZ_SEED=7 takes other programs.
#include <array>
#include <cstdio>
#include <cstdlib>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fs/base/inject.h"
#include "fs/check/media.h"
#include "fs/vfs/filesystem.h"
#include "fuzz/exec/executor.h"
#include "fuzz/exec/testing.h"
#include "fuzz/prog/generate.h"
#include "fuzz/prog/names.h"
#include "fuzz/prog/text.h"

namespace daxfuzz::exec {
namespace {

constexpr size_t kRuns = kSanitized ? 120 : 1500;

// A number from the environment.
uint64_t wish(const char* name, uint64_t otherwise) {
  const char* const value = std::getenv(name);
  return value != nullptr ? std::strtoull(value, nullptr, 10) : otherwise;
}

// e2fsck's own word: nothing if it has nothing to say, else its status and what it said.
class E2fsck {
 public:
  E2fsck() { fd_ = mkstemp(path_); }
  ~E2fsck() {
    close(fd_);
    unlink(path_);
  }

  std::string judge(std::span<const std::byte> image) const {
    if (fd_ < 0 || ftruncate(fd_, static_cast<off_t>(image.size())) != 0) { return "no temporary file"; }
    for (size_t done = 0; done < image.size();) {
      const ssize_t n = pwrite(fd_, image.data() + done, image.size() - done, static_cast<off_t>(done));
      if (n <= 0) { return "the temporary file cannot be written"; }
      done += static_cast<size_t>(n);
    }
    std::string output;
    bool asked = false;
    std::FILE* const pipe = popen(("exec e2fsck -fn " + std::string(path_) + " 2>&1").c_str(), "r");
    if (pipe == nullptr) { return "e2fsck cannot be started"; }
    char line[512];
    while (std::fgets(line, sizeof(line), pipe) != nullptr) {
      output += line;
      // It would also make extent trees shorter that are sound; so are those that the kernel leaves.
      const std::string_view text(line);
      asked |= text.find("? no") != text.npos && text.find("Optimize? no") == text.npos;
    }
    const int status = pclose(pipe);
    if (status == 0 && !asked) { return {}; }  // about superblock and descriptors it asks, and still exits with 0
    return "e2fsck: status " + std::to_string(WEXITSTATUS(status)) + "\n" + output;
  }

 private:
  char path_[32] = "/tmp/daxfuzz_e2fsck_XXXXXX";
  int fd_ = -1;
};

// One to three failures, early ones more often than late ones; of one program in eight none.
void order_failures(prog::Program& program, prog::Random& random) {
  static constexpr std::array<std::string_view, 4> kKinds = {"fail_bio=", "fail_alloc=", "fail_alloc=", "fail_memory="};
  if (random.below(8) == 0 || program.mount.find("fail_") != std::string::npos) { return; }
  for (uint32_t left = 1 + random.below(3); left != 0; --left) {
    const uint32_t top = uint32_t{1} << random.below(5);
    std::string mount = program.mount;
    if (!mount.empty()) { mount += ','; }
    mount.append(random.pick(std::span<const std::string_view>(kKinds)));
    mount.append(std::to_string(top + random.below(top)));
    if (prog::valid_mount_options(mount)) { program.mount = mount; }
  }
}

prog::Program failing_program(prog::Random& random) {
  static constexpr std::array<std::string_view, 7> kImages = {"small", "small", "small", "files",
                                                              "maps",  "csum",  "huge"};
  prog::Options options;
  options.file_bytes_max = 64 << 10;
  options.images = kImages;
  prog::Program program = prog::generate(random, options);
  order_failures(program, random);
  return program;
}

// How many of the failures that the program orders have happened.
size_t failures(const prog::Program& program) {
  const auto options = daxfs::vfs::parse_mount_options(program.mount, nullptr);
  size_t happened = 0;
  for (size_t kind = 0; options.ok() && kind < options->fail.size(); ++kind) {
    happened += options->fail[kind] != 0 && daxfs::internal::g_injections[kind] == 0 ? 1 : 0;
  }
  return happened;
}

TEST(E2fsck, AgreesWithOurCheckerThatImagesAreSoundBehindFailures) {
  const size_t runs = wish("DAXFUZZ_RUNS", kRuns);
  prog::Random random(wish("DAXFUZZ_SEED", 5));
  const E2fsck e2fsck;
  Executor executor;
  Outcome outcome;
  Policies policies;
  std::vector<std::byte> image;
  size_t failed = 0;
  for (size_t i = 0; i < runs; ++i) {
    prog::Program program = failing_program(random);
    executor.run(program, {}, &outcome);  // measures where the tasks' part begins, which policies want to know
    const Outcome measured = outcome;
    RunConfig config;
    config.policy = policies.choose(i, measured);
    config.image_out = &image;
    image.clear();
    executor.run(program, config, &outcome);
    failed += failures(program);
    if (outcome.finding && config.policy != nullptr) { adopt_schedule(outcome.taken, &program); }
    ASSERT_FALSE(outcome.finding) << "program " << i << "\n" << describe(program, outcome);
    ASSERT_EQ(outcome.mount_error, "");
    ASSERT_EQ(e2fsck.judge(image), "") << "program " << i << "\n" << describe(program, outcome);
    ASSERT_EQ(daxfs::check::check_media(image).text(), "") << "program " << i << "\n" << describe(program, outcome);
  }
  EXPECT_GT(failed, runs / 6) << "too few failures happened for this to mean anything";
  RecordProperty("failures", static_cast<int>(failed));
}

// Both say no where there is something to say: a block that is used and free, and one that is free and used.
TEST(E2fsck, AndOurCheckerObjectToABlockThatIsLost) {
  const E2fsck e2fsck;
  Executor executor;
  Outcome outcome;
  std::vector<std::byte> image;
  RunConfig config;
  config.image_out = &image;
  const prog::Program program = prog::Program::minimal();
  executor.run(program, config, &outcome);
  ASSERT_EQ(e2fsck.judge(image), "");
  // The first group's bitmap is where its descriptor says.
  uint32_t bitmap = 0;
  std::copy_n(image.begin() + daxfs::kBlockSize, sizeof(bitmap), reinterpret_cast<std::byte*>(&bitmap));
  const size_t byte = size_t{bitmap} * daxfs::kBlockSize + 40;
  image[byte] ^= std::byte{0x10};
  EXPECT_NE(e2fsck.judge(image), "");
  EXPECT_FALSE(daxfs::check::check_media(image).clean());
}

}  // namespace
}  // namespace daxfuzz::exec
