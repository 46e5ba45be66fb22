// fuzz/exec/durability_test.cc - stores that a sync call acknowledged and did not make durable. O8.
#include "fuzz/exec/durability.h"

#include <array>

#include <gtest/gtest.h>

#include "fs/ext4/file_pages.h"
#include "fs/rt/testing.h"
#include "fs/vfs/abi.h"
#include "fs/vfs/filesystem.h"
#include "fs/vfs/process.h"
#include "fuzz/exec/templates.h"

namespace daxfuzz::exec {
namespace {

constexpr std::array<std::byte, 8> kBytes{std::byte{1}};

// A mounted machine with a DAX file of two pages, mapped shared.
struct World {
  explicit World(const daxfs::ext4::MountOptions& options = {}) {
    std::string message;
    fs = std::move(daxfs::vfs::Filesystem::mount(machine->device(), machine->memory(), options, &message)).value();
    process.emplace(*fs, &machine->mm(0));
    fd = process->open("f0", daxfs::vfs::kOpenReadWrite | daxfs::vfs::kOpenCreate, 0644).value();
    EXPECT_TRUE(process->ftruncate(fd, 8192).ok());
    at = process
             ->mmap(daxfs::VirtAddr(0), 8192, daxfs::mm::kProtRead | daxfs::mm::kProtWrite, daxfs::vfs::kMmapShared, fd,
                    0)
             .value();
    ino = (*process->inode_of(fd))->ino().value();
  }
  void store(uint64_t offset) { EXPECT_TRUE(process->store(at + offset, kBytes).ok()); }
  // What the judge would hear of `call`, made under the eyes of the check.
  template <typename Call>
  oracle::LostStore lost(const prog::Op& op, Call call) {
    oracle::OpRecord record;
    record.op = &op;
    record.ino = ino;
    const DurabilityCheck check(*machine, *process, op, at.value());
    call();
    record.error = daxfs::Errc::kOk;
    check.finish(record);
    return record.lost;
  }
  void end() {
    process->exit();
    EXPECT_TRUE(fs->unmount().ok());
    fs.reset();
    DurabilityCheck::check_unmounted(*machine, ino, 0, machine->device().block_count());
  }

  std::unique_ptr<Machine> machine = std::move(Machine::create(image_template("small"))).value();
  std::unique_ptr<daxfs::vfs::Filesystem> fs;
  std::optional<daxfs::vfs::Process> process;
  int fd = -1;
  daxfs::VirtAddr at{0};
  uint32_t ino = 0;
};

constexpr prog::Op kFsync{.code = prog::OpCode::kFsync};
constexpr prog::Op kMsync{.code = prog::OpCode::kMsync, .flags = prog::kMsSync, .length = 8192};
constexpr prog::Op kMsyncFirst{.code = prog::OpCode::kMsync, .flags = prog::kMsSync, .length = 4096};

TEST(Durability, ASyncThatDoesNothingIsSeen) {
  daxfs::rt::run_for_test([] {
    World w;
    EXPECT_EQ(w.lost(kFsync, [] {}).ino, 0u) << "nothing was stored";
    w.store(4096);
    EXPECT_EQ(w.lost(kFsync, [] {}).ino, w.ino);
    EXPECT_EQ(w.lost(kFsync, [] {}).page, 1u);
    EXPECT_EQ(w.lost(kMsync, [] {}).address, (w.at + 4096).value());
    constexpr prog::Op kMsyncWraps{.code = prog::OpCode::kMsync, .flags = prog::kMsSync, .length = -1};
    EXPECT_EQ(w.lost(kMsyncWraps, [] {}).ino, 0u) << "rounded up, the length is 0";
    EXPECT_EQ(w.lost(kMsyncFirst, [] {}).ino, 0u) << "another page than was stored to";
    EXPECT_EQ(w.lost(kFsync, [&] { EXPECT_TRUE(w.process->fsync(w.fd).ok()); }).ino, 0u);
    w.end();
  });
}

TEST(Durability, AStoreDuringTheCallIsTheNextCalls) {
  daxfs::rt::run_for_test([] {
    World w;
    w.store(0);
    const auto sync_then_store = [&] {
      EXPECT_TRUE(w.process->fsync(w.fd).ok());
      w.store(0);
    };
    EXPECT_EQ(w.lost(kFsync, sync_then_store).ino, 0u);
    EXPECT_EQ(w.lost(kFsync, [] {}).ino, w.ino);
    w.end();
  });
}

TEST(Durability, BlocksThatLeftTheFileAreNobodysPromise) {
  daxfs::rt::run_for_test([] {
    World w;
    w.store(4096);
    EXPECT_EQ(w.lost(kFsync, [&] { EXPECT_TRUE(w.process->ftruncate(w.fd, 4096).ok()); }).ino, 0u);
    w.end();
  });
}

daxfs::ext4::MountOptions without_dax() {
  std::string message;
  return daxfs::vfs::parse_mount_options("dax=never", &message).value();
}

TEST(Durability, AnFsyncWhoseWriteTheDeviceRefusedSaysSo) {
  const auto lost = [](const char* mount) {
    oracle::LostStore found;
    daxfs::rt::run_for_test([&] {
      std::string message;
      World w(daxfs::vfs::parse_mount_options(mount, &message).value());
      w.store(0);
      // Taken for a success, whatever it says.
      found = w.lost(kFsync, [&] { w.process->fsync(w.fd).ignore_error("told the judge otherwise"); });
      w.process->exit();
      w.fs->unmount().ignore_error("as above");
      w.fs.reset();
    });
    return found;
  };
  EXPECT_FALSE(lost("dax=never").refused);
  EXPECT_TRUE(lost("dax=never,fail_bio=1").refused);
}

TEST(Durability, ADirtyPageOfTheCacheMustBeWritten) {
  daxfs::rt::run_for_test([] {
    World w(without_dax());
    EXPECT_EQ(w.lost(kFsync, [] {}).ino, 0u) << "nothing was stored";
    w.store(4096);
    EXPECT_EQ(w.lost(kFsync, [] {}).ino, w.ino);
    EXPECT_TRUE(w.lost(kFsync, [] {}).cached);
    EXPECT_EQ(w.lost(kFsync, [] {}).page, 1u);
    EXPECT_EQ(w.lost(kMsync, [] {}).address, (w.at + 4096).value());
    EXPECT_EQ(w.lost(kMsyncFirst, [] {}).ino, 0u) << "another page than was stored to";
    const auto sync_then_store = [&] {
      EXPECT_TRUE(w.process->fsync(w.fd).ok());
      w.store(4096);
    };
    EXPECT_EQ(w.lost(kFsync, sync_then_store).ino, 0u) << "dirty again is the next call's";
    const auto truncate = [&] { EXPECT_TRUE(w.process->ftruncate(w.fd, 4096).ok()); };
    EXPECT_EQ(w.lost(kFsync, truncate).ino, 0u) << "no page, no promise";
    w.end();
  });
}

TEST(Durability, WhatAWriteWithODsyncWroteIsClean) {
  daxfs::rt::run_for_test([] {
    World w(without_dax());
    constexpr prog::Op kPwrite{.code = prog::OpCode::kPwrite};
    oracle::OpRecord record;
    record.op = &kPwrite;
    record.ino = w.ino;
    record.open_flags = prog::kORdWr | prog::kODsync;
    record.ret = 8;
    const auto lost = [&] {
      const DurabilityCheck check(*w.machine, *w.process, kPwrite, 0);
      EXPECT_TRUE(w.process->pwrite_bytes(w.fd, kBytes, 0).ok());
      check.finish(record);
      return record.lost.ino;
    };
    EXPECT_EQ(lost(), w.ino) << "the descriptor was opened without";
    record.lost = {};
    record.open_flags = prog::kORdWr;
    EXPECT_EQ(lost(), 0u);
    w.end();
  });
}

TEST(Durability, WhatAWriteStoredWaitsForAFence) {
  daxfs::rt::run_for_test([] {
    World w;
    const auto noted = [&](const prog::Op& op, auto call) {
      oracle::OpRecord record;
      record.dax = true;
      record.ret = 8;
      const DurabilityCheck check(*w.machine, *w.process, op, 0);
      call();
      check.finish(record);
      return std::pair(record.unfenced, record.fenced);
    };
    constexpr prog::Op kPwrite{.code = prog::OpCode::kPwrite};
    const auto write = [&] { EXPECT_TRUE(w.process->pwrite_bytes(w.fd, kBytes, 0).ok()); };
    const uint64_t written = noted(kPwrite, write).first;
    EXPECT_NE(written, 0u);
    EXPECT_LT(noted(kFsync, [] {}).second, written);
    EXPECT_GT(noted(kFsync, [&] { EXPECT_TRUE(w.process->fsync(w.fd).ok()); }).second, written);
    EXPECT_EQ(noted(kPwrite, [] {}).first, 0u) << "nothing waits any more";
    w.end();
  });
}

TEST(Durability, AWrittenPageOfTheCacheWaitsForAFence) {
  daxfs::rt::run_for_test([] {
    World w(without_dax());
    w.store(0);
    EXPECT_TRUE(w.process->fsync(w.fd).ok());  // the first time the block becomes written, which fences by itself
    w.store(0);
    const auto without_fence = [&] {
      const auto inode = *w.process->inode_of(w.fd);
      EXPECT_TRUE(daxfs::ext4::flush_file_range(*inode, 0, 4095).ok());
    };
    EXPECT_EQ(w.lost(kFsync, without_fence).ino, w.ino);
    w.store(0);
    EXPECT_EQ(w.lost(kFsync, [&] { EXPECT_TRUE(w.process->fsync(w.fd).ok()); }).ino, 0u);
    w.end();
  });
}

TEST(Durability, AnUnmountMustNotLeaveStores) {
  const auto outcome = daxfs::rt::run_lambda([] {
    World w;
    const auto offset = 100 * daxfs::kBlockSize;
    w.end();
    EXPECT_TRUE(w.machine->device().store_unscheduled(offset, kBytes, daxfs::Site::current()).ok());
    DurabilityCheck::check_unmounted(*w.machine, w.ino, 100, 1);
  });
  ASSERT_TRUE(outcome.finding.has_value());
  EXPECT_EQ(outcome.finding->tag, "O8");
}

TEST(Durability, AnUnmountMustFenceWhatWasWritten) {
  const auto outcome = daxfs::rt::run_lambda([] {
    World w;
    w.end();
    EXPECT_TRUE(w.machine->device().store_nt(100 * daxfs::kBlockSize, kBytes).ok());
    DurabilityCheck::check_unmounted(*w.machine, w.ino, 100, 1);
  });
  ASSERT_TRUE(outcome.finding.has_value());
  EXPECT_EQ(outcome.finding->tag, "O8");
}

}  // namespace
}  // namespace daxfuzz::exec
