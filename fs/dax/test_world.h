// fs/dax/test_world.h - a small device, files with a block map in memory, processes, and a search
// through interleavings, for the tests of dax and io.
//
// FakeFile stands for a file of a disk format: blocks by page, each written or unwritten;
// iomap_begin allocates zeroed blocks; faults hold the invalidate lock shared. Its i_data_sem gives
// the searches a place to switch tasks.
#pragma once

#include <algorithm>
#include <array>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "fs/base/historical.h"
#include "fs/dax/entry.h"
#include "fs/dax/fault.h"
#include "fs/dax/invalidate.h"
#include "fs/dax/layout.h"
#include "fs/dax/rw.h"
#include "fs/dax/writeback.h"
#include "fs/io/direct_io.h"
#include "fs/mm/memory.h"
#include "fs/mm/mm.h"
#include "fs/rt/rwsem.h"
#include "fs/rt/testing.h"

namespace daxfs::dax {

class FakeFile final : public io::IomapHost, public io::IomapOps, public mm::VmFile {
 public:
  struct Block {
    FsBlock at;
    bool written;
  };

  FakeFile(mm::Memory& memory, uint32_t ino, uint64_t first_block, bool dax = true)
      : memory_(memory), ino_(ino), dax_(dax), next_block_(first_block), mapping_(memory, *this) {}

  // --- a mapped file.
  uint64_t i_size() const override { return size; }
  Ino ino() const override { return Ino(ino_); }
  bool is_dax() const override { return dax_; }
  mm::AddressSpace& mapping() override { return mapping_; }
  pmem::Device& device() override { return memory_.device(); }
  mm::FaultResult fault(mm::VmFault& vmf) override {
    const rt::ReadLock lock(mapping_.invalidate_lock);
    ++faults;
    const FaultOutcome out = iomap_fault(vmf, *this, *this);
    last_error = out.error.error();
    return out.needs_sync ? finish_sync_fault(vmf, mapping_, out.pfn) : out.result;
  }
  mm::FaultResult pfn_mkwrite(mm::VmFault& vmf) override { return fault(vmf); }
  mm::FaultResult huge_fault(mm::VmFault& vmf) override {
    const rt::ReadLock lock(mapping_.invalidate_lock);
    ++huge_faults;
    const FaultOutcome out = iomap_pmd_fault(vmf, *this, *this);
    return out.needs_sync ? finish_sync_fault(vmf, mapping_, out.pfn, /*pmd=*/true) : out.result;
  }
  void get() override {}
  void put() override {}
  Status mmap_check(unsigned, bool, bool) override { return ok_status(); }

  // --- its blocks.
  void add_block(uint64_t index, std::byte fill, bool written = true) {
    const std::vector<std::byte> bytes(kPageSize, fill);
    ASSERT_TRUE(device().store(next_block_ * kPageSize, bytes).ok());
    blocks[index] = {FsBlock(next_block_++), written};
  }
  void mark_written(uint64_t index) {
    const rt::WriteLock lock(data_sem_);
    blocks[index].written = true;
  }
  bool has_block(uint64_t index) {
    const rt::ReadLock lock(data_sem_);
    return blocks.contains(index);
  }
  // With huge mappings a request of a whole range is answered with the run of equal pages at its start, and a hole of
  // its size gets aligned blocks.
  Status iomap_begin(io::IomapHost& host, uint64_t pos, uint64_t length, unsigned flags, io::Iomap* iomap) override {
    if (length <= kPageSize || !memory_.huge_mappings()) { return begin_page(host, pos, flags, iomap); }
    if ((flags & io::kIomapWrite) != 0) {
      const uint64_t unit = memory_.huge_pages();
      const rt::WriteLock lock(data_sem_);
      if (pos / kPageSize % unit == 0) { next_block_ = round_up(next_block_, unit); }
    }
    FS_RETURN_IF_ERROR(begin_page(host, pos, flags, iomap));
    for (uint64_t at = iomap->end(); at < pos + length; at = iomap->end()) {
      io::Iomap next;
      if (has_block(at / kPageSize) != (iomap->type != io::Iomap::Type::kHole) && !iomap->is_new()) { break; }
      FS_RETURN_IF_ERROR(begin_page(host, at, flags, &next));
      const bool adjacent =
          iomap->type == io::Iomap::Type::kHole || next.block == iomap->block + iomap->length / kPageSize;
      if (next.type != iomap->type || next.flags != iomap->flags || !adjacent) { break; }
      iomap->length += kPageSize;
    }
    return ok_status();
  }
  Status begin_page(io::IomapHost&, uint64_t pos, unsigned flags, io::Iomap* iomap) {
    const uint64_t index = pos / kPageSize;
    iomap->offset = index * kPageSize;
    iomap->length = kPageSize;
    if ((flags & io::kIomapWrite) == 0) {
      const rt::ReadLock lock(data_sem_);
      describe(index, iomap);
      return ok_status();
    }
    const rt::WriteLock lock(data_sem_);
    if (withholds_blocks) { return ok_status(); }
    const auto it = blocks.find(index);
    if (it == blocks.end() || !it->second.written) {
      if (it == blocks.end() && blocks_free == 0) { return Errc::kNoSpc; }
      if (it == blocks.end()) { --blocks_free; }
      const FsBlock at = it == blocks.end() ? FsBlock(next_block_++) : it->second.at;
      FS_RETURN_IF_ERROR(device().zero(at.value() * kPageSize, kPageSize));
      const bool unwritten = (flags & io::kIomapDirect) != 0;
      blocks[index] = {at, !unwritten};
      iomap->flags = io::Iomap::kNew;
    }
    describe(index, iomap);
    return ok_status();
  }
  Status iomap_end(io::IomapHost&, uint64_t, uint64_t, uint64_t, unsigned, const io::Iomap&) override {
    ++iomaps_ended;
    return ok_status();
  }
  // As a filesystem punches: lock, wait for pins, drop entries, free blocks.
  void punch(uint64_t first, uint64_t end, bool wait = true) {
    const rt::WriteLock lock(mapping_.invalidate_lock);
    while (wait) {
      mm::Page* const page = layout_busy_page(mapping_);
      if (page == nullptr) { break; }
      memory_.wait_page_idle(
          *page, [&]() FS_NO_THREAD_SAFETY_ANALYSIS { mapping_.invalidate_lock.up_write(); },  // retaken below
          [&]() FS_NO_THREAD_SAFETY_ANALYSIS { mapping_.invalidate_lock.down_write(); });      // dropped above
    }
    truncate_pagecache_range(mapping_, first * kPageSize, end * kPageSize);
    for (uint64_t index = first; index < end; ++index) { blocks.erase(index); }
  }

  Result<uint64_t> write(uint64_t pos, std::span<const std::byte> bytes) {
    io::IovBuffer buffer = io::IovBuffer::kernel_source(bytes);
    const auto done = iomap_rw(*this, buffer, pos, true, *this);
    if (done.ok()) { size = std::max<uint64_t>(size, pos + *done); }
    return done;
  }
  std::vector<std::byte> read(uint64_t pos, size_t length) {
    std::vector<std::byte> bytes(length, std::byte{0xEE});
    io::IovBuffer buffer = io::IovBuffer::kernel_sink(bytes);
    const auto done = iomap_rw(*this, buffer, pos, false, *this);
    bytes.resize(done.ok() ? static_cast<size_t>(*done) : 0);
    return bytes;
  }
  Entry entry(uint64_t index) { return Entry::from_tree(mapping_.i_pages.load(index)); }
  bool marked(uint64_t index, lib::XaMark mark) { return mapping_.i_pages.get_mark(index, mark); }
  // Oracle O3 for this file; O4: nothing is locked at rest.
  uint64_t recount() {
    uint64_t pages = 0;
    mapping_.i_pages.for_each(0, ~uint64_t{0}, [&](uint64_t, lib::XEntry stored) {
      const Entry entry_here = Entry::from_tree(stored);
      EXPECT_FALSE(entry_here.is_locked());
      pages += entry_here.pages();
    });
    return pages;
  }

  std::map<uint64_t, Block> blocks;
  rt::TestValue<uint64_t> size = 16 * kPageSize;
  uint64_t blocks_free = 1000;
  bool withholds_blocks = false;  // a write gets a hole: breaks DF1
  rt::TestValue<int> faults = 0;
  rt::TestValue<int> huge_faults = 0;
  rt::TestValue<int> iomaps_ended = 0;
  rt::TestValue<Errc> last_error = Errc::kOk;

 private:
  void describe(uint64_t index, io::Iomap* iomap) const {
    const auto it = blocks.find(index);
    if (it == blocks.end()) { return; }
    iomap->type = it->second.written ? io::Iomap::Type::kMapped : io::Iomap::Type::kUnwritten;
    iomap->block = it->second.at;
  }

  mm::Memory& memory_;
  const uint32_t ino_;
  const bool dax_;
  uint64_t next_block_;
  rt::RwSem data_sem_{rt::Rank::kDataSem, "i_data_sem"};
  mm::AddressSpace mapping_;
};

// 256 blocks: a DAX file on blocks 1.., another on 100.., a file without DAX on 150...; two
// processes.
struct World {
  World()
      : device(fresh_device()),
        memory(*device, 64),
        file(memory, 12, 1),
        other(memory, 13, 100),
        plain(memory, 14, 150, /*dax=*/false),
        p0(memory, 1),
        p1(memory, 2) {}

  // All worlds have one device, one after the other: to make one takes longer than a run in it.
  static pmem::Device* fresh_device() {
    static pmem::Device* const device = pmem::Device::anonymous(256 * kPageSize).value().release();
    static const std::vector<std::byte> zeros(256 * kPageSize);
    device->restore(zeros);
    device->set_recorder(nullptr);
    return device;
  }
  VirtAddr map(mm::Mm& mm, FakeFile& of, uint64_t pages, unsigned flags = mm::kMapShared,
               unsigned prot = mm::kProtRead | mm::kProtWrite) {
    auto address = mm.mmap({.length = pages * kPageSize, .prot = prot, .flags = flags, .file = &of});
    EXPECT_TRUE(address.ok());
    return *address;
  }
  static std::byte peek(mm::Mm& mm, VirtAddr address) {
    std::byte byte{0xEE};
    EXPECT_TRUE(mm.load(address, std::span(&byte, 1)).ok());
    return byte;
  }
  static mm::Signal poke(mm::Mm& mm, VirtAddr address, int value) {
    const std::byte byte{static_cast<unsigned char>(value)};
    return mm.store(address, std::span(&byte, 1)).signal;
  }
  // The processes end and the files leave memory; everything must be idle then.
  void finish() {
    p0.exit_mmap();
    p1.exit_mmap();
    for (FakeFile* f : {&file, &other, &plain}) {
      EXPECT_EQ(f->recount(), f->mapping().nrexceptional);
      truncate_inode_pages_final(f->mapping());
    }
    std::vector<std::string> report;
    EXPECT_TRUE(memory.audit_idle(&report)) << (report.empty() ? "" : report.front());
  }

  pmem::Device* device;
  mm::Memory memory;
  FakeFile file;
  FakeFile other;
  FakeFile plain;
  mm::Mm p0;
  mm::Mm p1;
};

// A World whose machine has huge pages of four. p0 maps the first eight pages huge; p1 can map single ones.
struct HugeWorld : World {
  HugeWorld() { EXPECT_TRUE(memory.set_huge(true, 2).ok()); }
  VirtAddr huge() { return map(p0, file, 8); }
  VirtAddr single(uint64_t first, uint64_t pages = 1) {
    const auto address =
        p1.mmap({.length = pages * kPageSize, .flags = mm::kMapShared, .file = &file, .offset = first * kPageSize});
    EXPECT_TRUE(address.ok());
    return *address;
  }
  mm::Page& frame(uint64_t index) { return memory.page(Pfn(file.blocks.at(index).at.value())); }
};

// Switches on one historical bug for a scope.
class WithBug {
 public:
  explicit WithBug(Bug bug) {
    BugSet bugs;
    bugs.set(static_cast<size_t>(bug));
    set_historical(bugs);
  }
  ~WithBug() { set_historical(BugSet()); }
};

// Runs `body(world)` in a run of its own. On a finding the world is abandoned, as what the run held
// cannot be undone.
template <typename World = dax::World, typename Body>
rt::RunOutcome run_in_world(Body body, rt::Policy& policy = rt::default_policy(), rt::RunLimits limits = {}) {
  static std::vector<World*>* const abandoned = new std::vector<World*>;
  World* world = nullptr;
  const rt::RunOutcome outcome = rt::run_lambda(
      [&] {
        world = new World;
        body(*world);
        if (!::testing::Test::HasFailure()) { delete world; }
        world = nullptr;
      },
      policy, limits);
  if (world != nullptr) { abandoned->push_back(world); }
  return outcome;
}

#if defined(DAXFS_RT_FIBER)

struct Preemption {
  rt::TaskId from;
  uint64_t event;
  rt::TaskId to;
};

class PreemptionPolicy final : public rt::Policy {
 public:
  explicit PreemptionPolicy(std::vector<Preemption> list) : list_(std::move(list)) {}
  uint64_t budget(const rt::SchedView& view) override {
    uint64_t best = rt::kNeverAsk;
    for (const Preemption& p : list_) {
      if (p.from == view.current && p.event > view.event_in_op) { best = std::min(best, p.event - view.event_in_op); }
    }
    return best;
  }
  rt::TaskId preempt(const rt::SchedView& view) override {
    for (const Preemption& p : list_) {
      const bool here = p.from == view.current && p.event == view.event_in_op;
      if (!here) { continue; }
      used = true;
      if (std::find(view.runnable.begin(), view.runnable.end(), p.to) != view.runnable.end()) { return p.to; }
    }
    return view.current;
  }
  rt::TaskId choose(const rt::SchedView& view) override { return rt::default_choice(view); }

  bool used = false;

 private:
  std::vector<Preemption> list_;
};

// What all interleavings of two tasks with at most two preemptions showed: 0 -> 1 at one event,
// 1 -> 0 at another, in both orders. `scenario(world)` sets up, spawns both, joins, judges: it
// returns false for a wrong result.
struct SearchResult {
  unsigned runs = 0;
  unsigned wrong = 0;
  std::map<std::string, unsigned> tags;  // of findings

  std::string text() const {
    std::string out = std::to_string(runs) + " runs, " + std::to_string(wrong) + " wrong";
    for (const auto& [tag, count] : tags) { out += ", " + tag + " " + std::to_string(count); }
    return out;
  }
  bool clean() const { return wrong == 0 && tags.empty(); }
  unsigned findings(const std::string& tag) const {
    const auto it = tags.find(tag);
    return it == tags.end() ? 0 : it->second;
  }
};

struct SearchOptions {
  std::array<rt::TaskId, 2> tasks{0, 1};
  uint64_t events_max = 160;
  uint64_t second_events_max = 0;  // 0: as many
  uint64_t stride = 1;             // of the second preemption
  bool until_found = false;        // end with the first that is not clean
};

template <typename World = dax::World, typename Scenario>
SearchResult search(Scenario scenario, SearchOptions options = {}) {
  SearchResult result;
  const auto one = [&](std::vector<Preemption> list) {
    PreemptionPolicy policy(std::move(list));
    bool right = true;
    rt::RunLimits limits;
    limits.events_max = 20000;
    const rt::RunOutcome outcome = run_in_world<World>([&](World& world) { right = scenario(world); }, policy, limits);
    ++result.runs;
    if (outcome.finding.has_value()) {
      ++result.tags[outcome.finding->tag];
    } else if (!right) {
      ++result.wrong;
    }
    return policy.used;
  };
  const uint64_t second_max = options.second_events_max != 0 ? options.second_events_max : options.events_max;
  for (size_t i = 0; i < 2; ++i) {
    const rt::TaskId a = options.tasks[i];
    const rt::TaskId b = options.tasks[1 - i];
    for (uint64_t first = 1; first < options.events_max; ++first) {
      if (!one({{a, first, b}})) { break; }
      for (uint64_t second = 1; second < second_max; second += options.stride) {
        if (options.until_found && !result.clean()) { return result; }
        one({{a, first, b}, {b, second, a}});
      }
    }
  }
  return result;
}

#endif  // DAXFS_RT_FIBER

}  // namespace daxfs::dax
