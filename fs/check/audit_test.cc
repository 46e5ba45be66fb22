// fs/check/audit_test.cc - damage to live memory, one kind a test, and the oracle that must speak;
// a sound world is silent.
#include "fs/check/audit.h"

#include <gtest/gtest.h>

#include "fs/dax/entry.h"
#include "fs/ext4/inode_cache.h"
#include "fs/ext4/test_image.h"
#include "fs/rt/testing.h"
#include "fs/vfs/abi.h"
#include "fs/vfs/process.h"

namespace daxfs::check {
namespace {

#if defined(DAXFS_RT_FIBER)

// A DAX file of four written pages, the first two mapped and stored to; page 4 is a hole below EOF.
struct AuditWorld {
  AuditWorld() : device(ext4::testing::load_device(ext4::testing::make_image(256))) {
    std::string message;
    auto mounted = vfs::Filesystem::mount(*device, "dax=always", &message);
    EXPECT_TRUE(mounted.ok()) << message;
    fs = std::move(mounted).value();
    process = std::make_unique<vfs::Process>(*fs);
    fd = process->open("/f", vfs::kOpenReadWrite | vfs::kOpenCreate).value();
    const std::vector<std::byte> bytes(4 * kPageSize, std::byte{0x41});
    EXPECT_TRUE(process->pwrite_bytes(fd, bytes, 0).ok());
    EXPECT_TRUE(process->ftruncate(fd, 5 * kPageSize).ok());
    map = process->mmap(VirtAddr(0), 5 * kPageSize, mm::kProtRead | mm::kProtWrite, vfs::kMmapShared, fd, 0).value();
    const std::byte byte{0x42};
    EXPECT_TRUE(process->store(map, std::span(&byte, 1)).ok());
    EXPECT_TRUE(process->store(map + kPageSize, std::span(&byte, 1)).ok());
    inode = process->inode_of(fd).value();
  }
  void check() { audit({*fs, {&process->mm()}}); }
  mm::AddressSpace& mapping() { return inode->mapping(); }
  dax::Entry entry(uint64_t index) { return dax::Entry::from_tree(mapping().i_pages.load(index)); }
  // Stores a word at one page, whatever it means.
  void put(uint64_t index, dax::Entry value) {
    const rt::SpinGuard tree(mapping().i_pages.lock());
    lib::XaCursor xas(mapping().i_pages, index);
    xas.store(value.to_tree());
  }

  std::unique_ptr<pmem::Device> device;
  std::unique_ptr<vfs::Filesystem> fs;
  std::unique_ptr<vfs::Process> process;
  int fd = -1;
  VirtAddr map{0};
  ext4::InodeRef inode;
};

// The tag that the audit reports after `damage`; "silent" if none. The world is abandoned.
template <typename Damage>
std::string tag_after(Damage damage) {
  const rt::RunOutcome outcome = rt::run_lambda([&] {
    AuditWorld& w = *new AuditWorld;
    damage(w);
    w.check();
  });
  return outcome.finding.has_value() ? outcome.finding->tag : "silent";
}

TEST(Audit, SoundMemoryIsSilent) {
  rt::run_for_test([] {
    AuditWorld w;
    w.check();
    std::byte byte{0};
    EXPECT_TRUE(w.process->load(w.map + 4 * kPageSize, std::span(&byte, 1)).ok());  // the zero page over the hole
    w.check();
    EXPECT_TRUE(w.process->msync(w.map, 5 * kPageSize, vfs::kMsyncSync).ok());
    w.check();
    EXPECT_TRUE(w.process->ftruncate(w.fd, kPageSize).ok());
    w.check();
    w.inode.put();
    w.process->exit();
    w.check();
    EXPECT_TRUE(w.fs->unmount().ok());
  });
}

TEST(Audit, PinAtRestIsO1) {
  EXPECT_EQ(tag_after([](AuditWorld& w) { w.mapping().memory().page(w.entry(0).pfn()).refcount++; }), "O1");
}

TEST(Audit, FrameOfAnotherPageIsO1) {
  EXPECT_EQ(tag_after([](AuditWorld& w) { w.mapping().memory().page(w.entry(0).pfn()).index = PgOff(3); }), "O1");
}

TEST(Audit, MiscountedEntriesAreO3) {
  EXPECT_EQ(tag_after([](AuditWorld& w) { ++w.mapping().nrexceptional; }), "O3");
  EXPECT_EQ(tag_after([](AuditWorld& w) { ++w.mapping().nrpages; }), "O3");
}

TEST(Audit, LockedEntryIsO4) {
  EXPECT_EQ(tag_after([](AuditWorld& w) { w.put(0, w.entry(0).locked()); }), "O4");
}

TEST(Audit, HugeEntryInASinglePagesSlotIsO5) {
  EXPECT_EQ(tag_after([](AuditWorld& w) { w.put(0, dax::Entry::frame(w.entry(0).pfn(), 9)); }), "O5");
}

TEST(Audit, EntryOfAnotherBlockIsO6) {
  EXPECT_EQ(tag_after([](AuditWorld& w) { w.put(0, w.entry(1)); }), "O6");
}

TEST(Audit, PrivateCopyBehindTheEndIsO6) {
  const auto copy_page_3 = [](AuditWorld& w) {
    const VirtAddr map =
        w.process->mmap(VirtAddr(0), 4 * kPageSize, mm::kProtRead | mm::kProtWrite, vfs::kMmapPrivate, w.fd, 0).value();
    const std::byte byte{0x42};
    EXPECT_TRUE(w.process->store(map + 3 * kPageSize, std::span(&byte, 1)).ok());
  };
  EXPECT_EQ(tag_after(copy_page_3), "silent");
  EXPECT_EQ(tag_after([&](AuditWorld& w) {
              copy_page_3(w);
              EXPECT_TRUE(w.process->ftruncate(w.fd, 3 * kPageSize).ok());
            }),
            "silent");
  EXPECT_EQ(tag_after([&](AuditWorld& w) {
              copy_page_3(w);
              w.inode->set_i_size(3 * kPageSize);
            }),
            "O6");
}

TEST(Audit, ZeroEntryOverABlockIsO6) {
  EXPECT_EQ(tag_after([](AuditWorld& w) { w.put(0, dax::Entry::zero(w.mapping().memory().zero_pfn(), 0)); }), "O6");
}

TEST(Audit, MiscountedMappedFramesAreMM8) {
  EXPECT_EQ(tag_after([](AuditWorld& w) {
              mm::Mm& mm = w.process->mm();
              const rt::SpinGuard guard(mm.page_table.ptl);
              mm.account(mm.page_table.load_unscheduled(w.map), 1);
            }),
            "MM8");
}

TEST(Audit, CleanMarkUnderAWritablePteIsO7) {
  EXPECT_EQ(tag_after([](AuditWorld& w) {
              const rt::SpinGuard tree(w.mapping().i_pages.lock());
              lib::XaCursor xas(w.mapping().i_pages, 1);
              xas.load();
              xas.clear_mark(dax::kMarkDirty);
            }),
            "O7");
}

TEST(Audit, FileWithoutANameThatIsNotListedIsOR2) {
  EXPECT_EQ(tag_after([](AuditWorld& w) { w.inode->set_links(0); }), "OR2");
}

TEST(Audit, OrphanThatTheMediumDoesNotNameIsOR2) {
  EXPECT_EQ(tag_after([](AuditWorld& w) {
              ext4::Volume& volume = w.fs->volume();
              const rt::MutexLock lock(volume.orphans().lock);
              volume.orphans().inodes.write().push_back(w.inode->ino());
            }),
            "OR2");
}

TEST(Audit, MappingOfAFrameThatMemoryFailureTookAwayIsMF2) {
  const auto poison = [](AuditWorld& w) { w.device->set_poison(w.entry(1).pfn().value() * kPageSize, 512); };
  EXPECT_EQ(tag_after([&](AuditWorld& w) { poison(w); }), "silent");  // mapped from before: nobody knows yet
  EXPECT_EQ(tag_after([&](AuditWorld& w) {
              poison(w);
              w.mapping().memory().page(w.entry(1).pfn()).set_hwpoison(true);
            }),
            "MF2");
  EXPECT_EQ(tag_after([&](AuditWorld& w) { EXPECT_TRUE(w.process->memory_failure(w.fd, kPageSize).ok()); }), "silent");
}

#endif

}  // namespace
}  // namespace daxfs::check
