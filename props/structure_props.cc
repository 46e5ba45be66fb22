// props/structure_props.cc - the library's structures against maps: page tables and reference counts, extent trees and
// what is cached of them, the block allocator.
//
// Each case is a list of numbers; an operation is made of each, and RapidCheck removes what is not needed.
//
// Seen to fail on: the plants of docs/properties.md, made by hand and undone.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <map>
#include <set>
#include <string>
#include <vector>

#include <gtest/gtest.h>  // fs/ext4/volume_test.h and fs/mm/test_support.h use its macros
#include <rapidcheck.h>

#include "fs/ext4/extent_fake.h"
#include "fs/ext4/extent_tree.h"
#include "fs/ext4/volume_test.h"
#include "fs/mm/memory.h"
#include "fs/mm/page.h"
#include "fs/mm/page_table.h"
#include "fs/rt/testing.h"
#include "props/draw.h"
#include "props/extent_status_steps.h"

namespace daxfuzz::props {
namespace {

using daxfs::Errc;
using daxfs::FsBlock;
using daxfs::LogicalBlock;
using daxfs::Pfn;
using daxfs::VirtAddr;

std::vector<uint64_t> draw_words(int scale) {
  const auto word = rc::gen::noShrink(rc::gen::resize(rc::kNominalSize, rc::gen::arbitrary<uint64_t>()));
  return *rc::gen::scale(scale, rc::gen::container<std::vector<uint64_t>>(word));
}

// Runs `body`, which returns what is wrong; an assertion of the library is wrong, too.
template <typename Body>
std::string in_engine(Body body) {
  std::string wrong;
  const auto outcome =
      daxfs::rt::run_lambda([&] { wrong = body(); }, daxfs::rt::default_policy(), {.events_max = 10'000'000});
  return outcome.finding ? outcome.finding->title : wrong;
}

void require(const std::string& wrong) {
  if (!wrong.empty()) { RC_FAIL(wrong); }
}

// --- page tables and reference counts

class Machine {
 public:
  Machine() : device_(daxfs::pmem::Device::anonymous(64 * daxfs::kBlockSize)), memory_(**device_, 256) {}
  daxfs::mm::Memory& memory() { return memory_; }

 private:
  daxfs::Result<std::unique_ptr<daxfs::pmem::Device>> device_;
  daxfs::mm::Memory memory_;
};

// Few addresses, under many tables: neighbours, borders of tables and of directories, both ends.
VirtAddr address_of(Draw& draw) {
  constexpr uint64_t kBases[] = {0, daxfs::mm::kTableEntries - 2, 5 * daxfs::mm::kTableEntries,
                                 daxfs::mm::kTableEntries * daxfs::mm::kTableEntries - 2,
                                 daxfs::mm::kTaskSize.value() / daxfs::kPageSize - 4};
  return VirtAddr((kBases[draw.below(std::size(kBases))] + draw.below(4)) * daxfs::kPageSize);
}

std::string page_table_steps(const std::vector<uint64_t>& words) {
  using daxfs::mm::Pte;
  Machine machine;
  daxfs::mm::PageTable table(machine.memory(), 1);
  std::map<uint64_t, Pte> model;
  const auto expected = [&](VirtAddr at) {
    const auto it = model.find(at.value());
    return it == model.end() ? Pte() : it->second;
  };
  for (const uint64_t word : words) {
    Draw draw(word);
    const uint64_t kind = draw.below(6);
    const VirtAddr at = address_of(draw);
    const Pte fresh = Pte::make(Pfn(1 + draw.below(50)));
    const bool flag = draw.below(2) != 0;
    const std::string where = "address " + std::to_string(at.value());
    if (kind <= 1) {
      const Pte pte = flag ? fresh.mk_write().mk_dirty() : fresh;
      if (!table.ensure(at)) { return where + ": no table"; }
      daxfs::rt::SpinGuard guard(table.ptl);
      table.set(at, pte);
      model[at.value()] = pte;
    } else if (kind == 2) {
      if (!model.contains(at.value())) { continue; }
      daxfs::rt::SpinGuard guard(table.ptl);
      if (table.get_and_clear(at) != expected(at)) { return where + ": another entry was there"; }
      model.erase(at.value());
    } else if (kind == 3) {
      if (!model.contains(at.value())) { continue; }
      daxfs::rt::SpinGuard guard(table.ptl);
      if (table.write_protect(at, flag) != expected(at)) { return where + ": another entry to protect"; }
      Pte& pte = model[at.value()];
      pte = pte.clear_write();
      if (flag) { pte = pte.clear_dirty(); }
    } else if (kind == 4) {
      const Pte stale = flag && !expected(at).none() ? expected(at) : fresh;
      const auto same_but_marks = [](Pte a, Pte b) { return a.mk_young().mk_dirty() == b.mk_young().mk_dirty(); };
      const bool should = !expected(at).none() && same_but_marks(stale, expected(at));
      if (table.mark_accessed(at, stale, true) != should) { return where + ": marked against what was checked"; }
      if (should) { model[at.value()] = expected(at).mk_young().mk_dirty(); }
    } else if (table.load(at) != expected(at)) {
      return where + ": another entry is loaded";
    }
  }
  auto it = model.begin();
  std::string wrong;
  table.for_each(VirtAddr(0), daxfs::mm::kTaskSize, [&](VirtAddr at, Pte pte) {
    if (it == model.end() || it->first != at.value() || it->second != pte) {
      wrong = "the walk meets another entry at " + std::to_string(at.value());
      return false;
    }
    ++it;
    return true;
  });
  if (wrong.empty() && it != model.end()) { wrong = "the walk misses " + std::to_string(it->first); }
  for (const auto& [at, pte] : model) {
    daxfs::rt::SpinGuard guard(table.ptl);
    table.get_and_clear(VirtAddr(at));
  }
  table.free_tables();
  return wrong;
}

std::string reference_steps(const std::vector<uint64_t>& words) {
  Machine machine;
  auto& memory = machine.memory();
  constexpr uint64_t kFrames = 4;
  int references[kFrames] = {};
  std::vector<daxfs::mm::PagePin> pins[kFrames];
  std::string wrong;
  for (const uint64_t word : words) {
    Draw draw(word);
    const uint64_t frame = draw.below(kFrames);
    daxfs::mm::Page& page = memory.page(Pfn(1 + frame));
    switch (draw.below(4)) {
      case 0:
        daxfs::mm::get_page(page);
        ++references[frame];
        break;
      case 1:
        if (references[frame] == 0) { continue; }
        daxfs::mm::put_page(page);
        --references[frame];
        break;
      case 2:
        if (!daxfs::mm::try_get_page_unscheduled(page)) { return "a pmem frame cannot be taken"; }
        pins[frame].push_back(daxfs::mm::PagePin::adopt(page));
        break;
      default:
        if (pins[frame].empty()) { continue; }
        pins[frame].back().release();
        pins[frame].pop_back();
    }
    for (uint64_t i = 0; i < kFrames && wrong.empty(); ++i) {
      const int count = daxfs::mm::page_ref_count(memory.page(Pfn(1 + i)));
      const int sum = 1 + references[i] + static_cast<int>(pins[i].size());
      if (count != sum) {
        wrong = "frame " + std::to_string(i) + " counts " + std::to_string(count) + " of " + std::to_string(sum);
      }
    }
    if (!wrong.empty()) { break; }
  }
  for (uint64_t i = 0; i < kFrames; ++i) {
    for (auto& pin : pins[i]) { pin.release(); }
    for (; references[i] > 0; --references[i]) { daxfs::mm::put_page(memory.page(Pfn(1 + i))); }
  }
  return wrong;
}

// --- extents

class ExtentSteps {
 public:
  ExtentSteps(uint16_t root, uint16_t node) : host_(root, node, 3000), judge_(host_), tree_(host_) {}

  std::string step(uint64_t word) {
    Draw draw(word);
    const uint64_t kind = draw.below(10);
    const auto first = static_cast<uint32_t>(draw.below(kSpan));
    const auto len = static_cast<uint32_t>(1 + draw.below(30));
    const bool unwritten = draw.below(2) != 0;
    const bool scattered = draw.below(3) != 0;
    switch (kind) {
      case 0:
      case 1:
      case 2:
      case 3: insert(first, len, unwritten, scattered, static_cast<uint32_t>(draw.below(2000))); break;
      case 4:
      case 5:
        note(tree_.remove_range(LogicalBlock(first), LogicalBlock(first + len)));
        model_.erase(model_.lower_bound(first), model_.lower_bound(first + len));
        break;
      case 6: set_state(first, len, unwritten); break;
      case 7: collapse(first, len); break;
      case 8: open_up(first, len); break;
      default: isolate(first, len);
    }
    return wrong_.empty() ? compare(first) : wrong_;
  }

 private:
  static constexpr uint32_t kSpan = 400;

  void note(const daxfs::Status& status) {
    if (!status.ok()) { wrong_ = std::string("an operation failed: ") + daxfs::errc_name(status.error()); }
  }

  void insert(uint32_t first, uint32_t len, bool unwritten, bool scattered, uint32_t goal) {
    if (model_.contains(first)) { return; }
    const auto next = model_.lower_bound(first);
    if (next != model_.end()) { len = std::min(len, next->first - first); }
    uint64_t at = 8 + goal;
    if (const auto before = next == model_.begin() ? model_.end() : std::prev(next);
        !scattered && before != model_.end()) {
      at = before->second.physical + 1;  // a neighbour to merge with
    }
    const auto run = host_.allocate_data(FsBlock(at), len, false);
    if (!run.ok()) { return; }
    note(tree_.insert({.lblk = LogicalBlock(first), .len = run->count, .pblk = run->first, .unwritten = unwritten}));
    for (uint32_t i = 0; i < run->count; ++i) { model_[first + i] = {run->first.value() + i, unwritten}; }
  }

  // The part of [first, first + len) that lies in the extent of its first block.
  uint32_t part_of_extent(uint32_t first, uint32_t len, bool* unwritten) {
    const auto found = tree_.lookup(LogicalBlock(first));
    note(found.status());
    if (!found.ok() || !found->run) { return 0; }
    *unwritten = found->run->unwritten;
    return std::min<uint32_t>(len, static_cast<uint32_t>(found->run->end() - first));
  }
  void set_state(uint32_t first, uint32_t len, bool unwritten) {
    bool was = false;
    len = part_of_extent(first, len, &was);
    if (len == 0 || was == unwritten) { return; }
    note(tree_.set_state(LogicalBlock(first), len, unwritten));
    for (uint32_t i = 0; i < len; ++i) { model_[first + i].unwritten = unwritten; }
  }
  void isolate(uint32_t first, uint32_t len) {
    bool was = false;
    len = part_of_extent(first, len, &was);
    if (len != 0) { note(tree_.isolate(LogicalBlock(first), len)); }
  }
  void move_from(uint32_t start, int64_t by) {
    std::map<uint32_t, Block> moved;
    for (const auto& [at, block] : model_) { moved[static_cast<uint32_t>(at >= start ? at + by : at)] = block; }
    model_ = std::move(moved);
  }
  void collapse(uint32_t first, uint32_t len) {
    note(tree_.remove_range(LogicalBlock(first), LogicalBlock(first + len)));
    model_.erase(model_.lower_bound(first), model_.lower_bound(first + len));
    note(tree_.shift_left(LogicalBlock(first + len), len));
    move_from(first + len, -int64_t{len});
  }
  void open_up(uint32_t first, uint32_t len) {
    if (!model_.empty() && model_.rbegin()->first + len >= 4 * kSpan) { return; }
    note(tree_.shift_right(LogicalBlock(first), len));
    move_from(first, len);
  }

  std::string compare(uint32_t at) {
    if (const std::string what = judge_.judge(); !what.empty()) { return "the tree: " + what; }
    if (judge_.blocks.size() != model_.size()) {
      return std::to_string(judge_.blocks.size()) + " blocks are mapped, not " + std::to_string(model_.size());
    }
    auto it = model_.begin();
    for (const auto& [lblk, block] : judge_.blocks) {
      if (it->first != lblk || it->second.physical != block.physical || it->second.unwritten != block.unwritten) {
        return "block " + std::to_string(lblk) + " is another than block " + std::to_string(it->first);
      }
      ++it;
    }
    const auto found = tree_.lookup(LogicalBlock(at));
    if (!found.ok()) { return "look-up failed"; }
    const auto here = model_.find(at);
    if (found->run.has_value() != (here != model_.end())) { return "look-up of " + std::to_string(at) + " is wrong"; }
    if (found->run && found->run->block_of(LogicalBlock(at)).value() != here->second.physical) {
      return "look-up of " + std::to_string(at) + " gives another block";
    }
    const auto behind = model_.upper_bound(at);
    if (!found->run && behind != model_.end() && found->hole_end != behind->first) {
      return "the hole at " + std::to_string(at) + " ends at " + std::to_string(found->hole_end);
    }
    return {};
  }

  struct Block {
    uint64_t physical = 0;
    bool unwritten = false;
  };
  daxfs::ext4::testing::FakeHost host_;
  daxfs::ext4::testing::Judge judge_;
  daxfs::ext4::ExtentTree tree_;
  std::map<uint32_t, Block> model_;
  std::string wrong_;
};

std::string extent_steps(uint16_t root, uint16_t node, const std::vector<uint64_t>& words) {
  ExtentSteps steps(root, node);
  for (size_t i = 0; i < words.size(); ++i) {
    if (std::string wrong = steps.step(words[i]); !wrong.empty()) {
      return "after operation " + std::to_string(i + 1) + ": " + wrong;
    }
  }
  return {};
}

// --- the allocator

std::string allocator_steps(const std::vector<uint64_t>& words) {
  using daxfs::ext4::BlockRun;
  daxfs::ext4::testing::MountedVolume fs(2048, "-O ^has_journal");
  const uint64_t free_before = fs.volume->blocks_free();
  std::set<uint64_t> held;
  std::vector<BlockRun> runs;
  std::string wrong;
  for (const uint64_t word : words) {
    Draw draw(word);
    if (draw.below(5) < 3 || runs.empty()) {
      const auto count = static_cast<uint32_t>(1 + draw.below(draw.below(4) == 0 ? 700 : 20));
      constexpr unsigned kFlags[] = {0, daxfs::ext4::kAllocAlignPmd, daxfs::ext4::kAllocMetadata,
                                     daxfs::ext4::kAllocExact};
      const unsigned flags = kFlags[draw.below(4)];
      const auto run = fs.allocate(count, FsBlock(draw.below(2100)), flags);
      if (!run.ok()) {
        if (run.error() != Errc::kNoSpc) { wrong = daxfs::errc_name(run.error()); }
        continue;
      }
      if (run->count == 0 || run->count > count) { wrong = "a run of " + std::to_string(run->count) + " blocks"; }
      if (flags == daxfs::ext4::kAllocExact && run->count != count) { wrong = "an exact run is too short"; }
      if (run->end().value() > 2048) { wrong = "a run behind the end"; }
      for (uint64_t at = run->first.value(); at < run->end().value(); ++at) {
        if (!held.insert(at).second) { wrong = "block " + std::to_string(at) + " is handed out twice"; }
      }
      runs.push_back(*run);
    } else {
      const size_t which = draw.below(runs.size());
      BlockRun& run = runs[which];
      // Often a part of it only, from either end.
      const auto count = static_cast<uint32_t>(draw.below(2) == 0 ? run.count : 1 + draw.below(run.count));
      const FsBlock first = draw.below(2) == 0 ? run.first : run.end() - count;
      if (const auto freed = fs.free(first, count); !freed.ok()) {
        wrong = std::string("free: ") + daxfs::errc_name(freed.error());
      }
      for (uint32_t i = 0; i < count; ++i) { held.erase(first.value() + i); }
      if (first == run.first) { run.first = run.first + count; }
      run.count -= count;
      if (run.count == 0) { runs.erase(runs.begin() + static_cast<ptrdiff_t>(which)); }
    }
    if (wrong.empty() && fs.volume->blocks_free() != free_before - held.size()) {
      wrong = std::to_string(fs.volume->blocks_free()) + " blocks are free, not " +
              std::to_string(free_before - held.size());
    }
    if (!wrong.empty()) { break; }
  }
  for (const BlockRun& run : runs) { fs.free(run.first, run.count).ignore_error("the volume goes away"); }
  return wrong;
}

}  // namespace
}  // namespace daxfuzz::props

int main() {
  using namespace daxfuzz::props;  // NOLINT: the main file
  bool ok = rc::check("a page table is a map of addresses", [] {
    const auto words = draw_words(2);
    require(in_engine([&] { return page_table_steps(words); }));
  });
  ok &= rc::check("a frame's count is its idle one, its references and its pins", [] {
    const auto words = draw_words(2);
    require(in_engine([&] { return reference_steps(words); }));
  });
  ok &= rc::check("an extent tree is a map of blocks", [] {
    const auto words = draw_words(2);
    const auto entries = *rc::gen::inRange<uint16_t>(5, 9);  // more than a root has, as on every medium
    require(in_engine([&] { return extent_steps(4, entries, words); }));
  });
  ok &= rc::check("the extent status cache says of a block what it was told last, or nothing", [] {
    const auto words = draw_words(2);
    require(in_engine([&] { return extent_status_steps(words); }));
  });
  if (system("command -v mke2fs >/dev/null") == 0) {
    int cases = 0;
    ok &= rc::check("the allocator hands out free blocks once and counts them", [&cases] {
      if (++cases > 40 && std::getenv("RC_EACH") == nullptr) { return; }  // each ends with an e2fsck
      const auto words = draw_words(1);
      require(allocator_steps(words));
    });
  }
  return ok ? 0 : 1;
}
