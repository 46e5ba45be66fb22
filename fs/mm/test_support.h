// fs/mm/test_support.h - a file of a few pages on a small device, and a fixture, for the tests of
// mm.
//
// FakeFile does with a fault what a DAX filesystem does, without a tree: blocks by page index,
// holes read as the zero page, a store to a hole takes a block. It counts what it is asked.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "fs/mm/address_space.h"
#include "fs/mm/fault.h"
#include "fs/mm/gup.h"
#include "fs/mm/memory.h"
#include "fs/mm/mm.h"
#include "fs/mm/rmap.h"
#include "fs/pmem/device.h"
#include "fs/rt/mutex.h"
#include "fs/rt/task.h"
#include "fs/rt/testing.h"

namespace daxfs::mm {

class FakeFile final : public VmFile, public MappingHost {
 public:
  FakeFile(Memory& memory, uint64_t first_block, uint64_t pages)
      : memory_(memory),
        mapping_(memory, *this),
        first_block_(first_block),
        next_block_(first_block),
        size_(pages * kPageSize) {}

  // Gives page `index` a block filled with `fill`.
  Pfn add_block(uint64_t index, char fill) {
    const Pfn pfn(next_block_++);
    blocks_[index] = pfn;
    own(pfn, index);
    const std::vector<std::byte> bytes(kPageSize, static_cast<std::byte>(fill));
    EXPECT_TRUE(memory_.write(pfn, 0, bytes).ok());
    return pfn;
  }
  char media(uint64_t index, uint64_t offset = 0) {
    return static_cast<char>(memory_.device().data()[blocks_.at(index).value() * kPageSize + offset]);
  }

  AddressSpace& mapping() override { return mapping_; }
  uint64_t i_size() const override { return size_; }
  Ino ino() const override { return Ino(12); }
  bool is_dax() const override { return true; }
  void get() override { __atomic_fetch_add(&refs, 1, __ATOMIC_SEQ_CST); }
  void put() override {
    if (watched_mm != nullptr) { EXPECT_FALSE(watched_mm->mmap_lock.held()); }
    __atomic_fetch_sub(&refs, 1, __ATOMIC_SEQ_CST);
  }
  Status mmap_check(unsigned, bool, bool) override { return check; }
  bool may_write() const override { return writable; }

  FaultResult fault(VmFault& vmf) override {
    rt::ReadLock lock(mapping_.invalidate_lock);
    __atomic_fetch_add(&faults, 1, __ATOMIC_SEQ_CST);
    if (retries > 0) {
      --retries;
      return FaultResult::kRetry;
    }
    if (vmf.pgoff.value() * kPageSize >= size_) { return FaultResult::kSigbus; }
    rt::MutexLock entry(entry_lock_);
    return map(vmf);
  }
  FaultResult pfn_mkwrite(VmFault& vmf) override {
    rt::ReadLock lock(mapping_.invalidate_lock);
    __atomic_fetch_add(&mkwrites, 1, __ATOMIC_SEQ_CST);
    rt::MutexLock entry(entry_lock_);
    if (vmf.orig_pte.special()) { unmap_mapping_range(mapping_, vmf.pgoff, 1, false); }
    return map(vmf);
  }

  // Frees the blocks of [first, end) as punch hole and truncate do, but for the wait for pins.
  void remove(uint64_t first, uint64_t end, bool even_cows) {
    rt::WriteLock lock(mapping_.invalidate_lock);
    unmap_mapping_range(mapping_, PgOff(first), end - first, even_cows);
    drop_blocks(first, end);
  }
  // With that wait: unmap, look for a pinned frame, sleep without the lock, look again.
  void remove_when_idle(uint64_t first,
                        uint64_t end) FS_NO_THREAD_SAFETY_ANALYSIS {  // drops the lock to sleep
    rt::RwSem& lock = mapping_.invalidate_lock;
    lock.down_write();
    for (;;) {
      unmap_mapping_range(mapping_, PgOff(first), end - first, false);
      Page* busy = nullptr;
      for (const auto& [index, pfn] : blocks_) {
        Page& page = memory_.page(pfn);
        if (index >= first && index < end && page_ref_count(page) != 1) { busy = &page; }
      }
      if (busy == nullptr) { break; }
      memory_.wait_page_idle(
          *busy, [&]() FS_NO_THREAD_SAFETY_ANALYSIS { lock.up_write(); },
          [&]() FS_NO_THREAD_SAFETY_ANALYSIS { lock.down_write(); });
    }
    drop_blocks(first, end);
    lock.up_write();
  }
  void truncate(uint64_t pages) {
    const uint64_t end = size_ / kPageSize;
    size_ = pages * kPageSize;
    remove(pages, end, true);
  }
  // The four blocks that every test starts with, at the same places again.
  void rewind() {
    forget_frames();
    blocks_.clear();
    dirty_.clear();
    next_block_ = first_block_;
    for (uint64_t n = 0; n < 4; ++n) { add_block(n, static_cast<char>('a' + n)); }
  }
  void forget_frames() {
    for (const auto& [index, pfn] : blocks_) { memory_.page(pfn).mapping = nullptr; }
  }

  int refs = 0;
  int faults = 0;
  int mkwrites = 0;
  int retries = 0;
  int busy_at_removal = 0;
  Status check;
  bool writable = true;
  Mm* watched_mm = nullptr;

 private:
  void own(Pfn pfn, uint64_t index) {
    memory_.page(pfn).mapping = &mapping_;
    memory_.page(pfn).index = PgOff(index);
  }

  void drop_blocks(uint64_t first, uint64_t end) {
    for (uint64_t index = first; index < end; ++index) {
      const auto it = blocks_.find(index);
      if (it == blocks_.end()) { continue; }
      Page& page = memory_.page(it->second);
      if (page_ref_count(page) != 1) { ++busy_at_removal; }
      page.mapping = nullptr;
      blocks_.erase(it);
    }
  }

  FaultResult map(VmFault& vmf) {
    const uint64_t index = vmf.pgoff.value();
    auto it = blocks_.find(index);
    if (vmf.cow) {
      const auto to = memory_.dram_bytes(vmf.cow_page);
      const Pfn from = it == blocks_.end() ? memory_.zero_pfn() : it->second;
      EXPECT_TRUE(memory_.read(from, 0, to).ok());
      return finish_cow_fault(vmf);
    }
    if (it == blocks_.end()) {
      if (!vmf.write) { return insert_pfn(vmf, memory_.zero_pfn(), false); }
      it = blocks_.emplace(index, Pfn(next_block_++)).first;
      own(it->second, index);
      EXPECT_TRUE(memory_.device().zero(it->second.value() * kPageSize, kPageSize).ok());
    }
    if (vmf.write) { dirty_.insert(index); }
    return insert_pfn(vmf, it->second, vmf.write);
  }

  Memory& memory_;
  AddressSpace mapping_;
  const uint64_t first_block_;
  uint64_t next_block_;
  uint64_t size_;
  rt::Mutex entry_lock_{rt::Rank::kDaxEntry, "entry"};  // one for all pages
  std::map<uint64_t, Pfn> blocks_;
  std::set<uint64_t> dirty_;
};

// A machine with one device, two processes and a file of eight pages whose first four have blocks
// 'a'..'d'.
class MmTest : public ::testing::Test {
 protected:
  static constexpr uint64_t kFilePages = 8;

  MmTest() : device_(pmem::Device::anonymous(512 * kBlockSize)), memory_(**device_, 256) {
    file_.rewind();
    file_.watched_mm = &mm_;
  }

  // For tests whose run ended in a finding: nothing it left is looked at.
  void abandon() { abandoned_ = true; }

  // Everything given back: run at the end of every test.
  void TearDown() override {
    if (abandoned_) { return; }
    rt::run_for_test([this] {
      mm_.check();
      other_.check();
      mm_.exit_mmap();
      other_.exit_mmap();
      file_.mapping().assert_unmapped();
    });
    EXPECT_EQ(file_.refs, 0);
    file_.forget_frames();
    std::vector<std::string> report;
    EXPECT_TRUE(memory_.audit_idle(&report)) << report.front();
  }

  VirtAddr map(Mm& mm, unsigned flags, unsigned prot = kProtRead | kProtWrite, uint64_t pages = kFilePages,
               uint64_t first = 0) {
    const auto addr = mm.mmap(
        {.length = pages * kPageSize, .prot = prot, .flags = flags, .file = &file_, .offset = first * kPageSize});
    EXPECT_TRUE(addr.ok());
    return addr.value_or(VirtAddr(0));
  }
  VirtAddr map_anonymous(Mm& mm, uint64_t pages, unsigned prot = kProtRead | kProtWrite) {
    const auto addr = mm.mmap({.length = pages * kPageSize, .prot = prot});
    EXPECT_TRUE(addr.ok());
    return addr.value_or(VirtAddr(0));
  }

  static VirtAddr page(VirtAddr base, uint64_t n) { return base + n * kPageSize; }
  // The byte, or '!' and the signal's number.
  static std::string load(Mm& mm, VirtAddr addr) {
    std::byte byte{};
    const AccessResult result = mm.load(addr, {&byte, 1});
    return result.ok() ? std::string(1, static_cast<char>(byte)) : signal_name(result.signal);
  }
  static std::string store(Mm& mm, VirtAddr addr, char value) {
    const std::byte byte{static_cast<unsigned char>(value)};
    const AccessResult result = mm.store(addr, {&byte, 1});
    return result.ok() ? "ok" : signal_name(result.signal);
  }
  static std::string signal_name(Signal signal) {
    switch (signal) {
      case Signal::kNone: return "none";
      case Signal::kSegvMaperr: return "SEGV_MAPERR";
      case Signal::kSegvAccerr: return "SEGV_ACCERR";
      case Signal::kBusAdrerr: return "BUS_ADRERR";
      case Signal::kBusMceerr: return "BUS_MCEERR";
      case Signal::kKilled: return "killed";
    }
    return "?";
  }
  static Pte pte(Mm& mm, VirtAddr addr) { return mm.page_table.load_unscheduled(addr); }

  Result<std::unique_ptr<pmem::Device>> device_;
  Memory memory_;
  FakeFile file_{memory_, 100, kFilePages};
  Mm mm_{memory_, 1};
  Mm other_{memory_, 2};
  bool abandoned_ = false;
};

#if defined(DAXFS_RT_FIBER)

// Runs task 1 when task 0 is about to take its reference: after it read the translation.
class SwitchAtFirstRef final : public rt::Policy {
 public:
  void begin_run() override { done_ = false; }
  uint64_t budget(const rt::SchedView&) override { return done_ ? rt::kNeverAsk : 1; }
  rt::TaskId preempt(const rt::SchedView& view) override {
    if (view.current != 0 || view.kind != rt::PointKind::kRef) { return view.current; }
    done_ = true;
    return 1;
  }
  rt::TaskId choose(const rt::SchedView& view) override { return rt::default_choice(view); }

 private:
  bool done_ = false;
};

#endif  // DAXFS_RT_FIBER

}  // namespace daxfs::mm
