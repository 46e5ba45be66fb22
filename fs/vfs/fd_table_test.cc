// fs/vfs/fd_table_test.cc - descriptor numbers of a process.
#include "fs/vfs/fd_table.h"

#include "fs/ext4/test_image.h"
#include "fs/rt/testing.h"
#include "fs/vfs/abi.h"
#include "fs/vfs/filesystem.h"
#include "fs/vfs/process.h"

namespace daxfs::vfs {
namespace {

struct FdWorld {
  FdWorld() : device(ext4::testing::load_device(ext4::testing::make_image(256))) {
    std::string message;
    auto mounted = Filesystem::mount(*device, "dax=always", &message);
    EXPECT_TRUE(mounted.ok()) << message;
    fs = std::move(mounted).value();
    process = std::make_unique<Process>(*fs);
  }
  void finish() {
    process->exit();
    process.reset();
    EXPECT_TRUE(fs->unmount().ok());
    fs.reset();
    EXPECT_EQ(ext4::testing::e2fsck(device->bytes()), "");
  }
  int open(const char* path) { return process->open(path, kOpenReadWrite | kOpenCreate).value_or(-1); }

  std::unique_ptr<pmem::Device> device;
  std::unique_ptr<Filesystem> fs;
  std::unique_ptr<Process> process;
};

TEST(FdTable, OpenTakesTheLowestFreeNumber) {
  rt::run_for_test([] {
    FdWorld w;
    const int first = w.open("/a");
    const int second = w.open("/b");
    const int third = w.open("/c");
    EXPECT_EQ(second, first + 1);
    EXPECT_EQ(third, first + 2);
    EXPECT_TRUE(w.process->close(second).ok());
    EXPECT_EQ(w.process->close(second).error(), Errc::kBadf);
    EXPECT_EQ(w.open("/d"), second);
    w.finish();
  });
}

TEST(FdTable, DuplicateSharesThePositionAndOutlivesTheOriginal) {
  rt::run_for_test([] {
    FdWorld w;
    const int fd = w.open("/a");
    const int copy = w.process->dup(fd).value_or(-1);
    const std::string text = "0123456789";
    EXPECT_EQ(w.process->write_bytes(fd, std::as_bytes(std::span(text))).value_or(0), 10u);
    EXPECT_EQ(w.process->lseek(copy, 0, kSeekCurrent).value_or(-1), 10);
    EXPECT_TRUE(w.process->close(fd).ok());
    EXPECT_EQ(w.process->fstat(copy).value().size, 10u);
    w.finish();
  });
}

TEST(FdTable, NumbersThatWereNeverOpenAreRefused) {
  rt::run_for_test([] {
    FdWorld w;
    for (const int fd : {-1, 0, 7, 1 << 30}) { EXPECT_EQ(w.process->fsync(fd).error(), Errc::kBadf) << fd; }
    w.finish();
  });
}

#if defined(DAXFS_RT_FIBER)
TEST(FdTable, DyingWithOpenFilesIsABug) {  // FT1
  FdWorld* abandoned = nullptr;
  const rt::RunOutcome outcome = rt::run_lambda([&] {
    abandoned = new FdWorld;
    abandoned->open("/a");
    abandoned->process.reset();  // without exit()
  });
  ASSERT_TRUE(outcome.finding.has_value());
  EXPECT_EQ(outcome.finding->tag, "FT1") << outcome.finding->title;
}
#endif

}  // namespace
}  // namespace daxfs::vfs
