// fs/mm/mmap_test.cc - mmap, munmap, mremap, mprotect, madvise: results, splitting, merging,
// references.
#include "fs/mm/test_support.h"

namespace daxfs::mm {
namespace {

class MmapTest : public MmTest {
 protected:
  // "begin-end+pgoff" in pages relative to `base`, one VMA after the other.
  std::string layout(Mm& mm, VirtAddr base) {
    std::string text;
    mm.for_each_vma(VirtAddr(0), kTaskSize, [&](Vma& vma) {
      text += (text.empty() ? "" : " ") + std::to_string((vma.begin - base) / kPageSize) + "-" +
              std::to_string((vma.end - base) / kPageSize) + "+" + std::to_string(vma.pgoff.value());
    });
    return text;
  }
  Errc mmap_error(MmapArgs args) { return mm_.mmap(args).error(); }
};

TEST_F(MmapTest, ErrorsComeInLinuxOrder) {
  rt::run_for_test([&] {
    EXPECT_EQ(mmap_error({.length = 0, .offset = 5}), Errc::kInval);
    EXPECT_EQ(mmap_error({.length = 0}), Errc::kInval);
    EXPECT_EQ(mmap_error({.length = UINT64_MAX}), Errc::kNoMem);
    EXPECT_EQ(mmap_error({.length = kTaskSize.value() + 1}), Errc::kNoMem);
    EXPECT_EQ(mmap_error({.length = kTaskSize.value()}), Errc::kNoMem);
    EXPECT_EQ(mmap_error({.addr = VirtAddr(5), .length = 1, .flags = kMapPrivate | kMapFixed}), Errc::kInval);
    EXPECT_EQ(mmap_error({.addr = kTaskSize, .length = 1, .flags = kMapPrivate | kMapFixed}), Errc::kNoMem);
    EXPECT_EQ(mmap_error({.length = 1, .flags = 0}), Errc::kInval);
    EXPECT_EQ(mmap_error({.length = 1, .flags = kMapPrivate | kMapShared}), Errc::kInval);
    EXPECT_EQ(mmap_error({.length = 1, .flags = kMapSharedValidate}), Errc::kInval);  // anonymous
    const uint64_t far = round_down(INT64_MAX, kPageSize);
    EXPECT_EQ(mmap_error({.length = 2 * kPageSize, .flags = kMapShared, .file = &file_, .offset = far}),
              Errc::kOverflow);
    file_.check = Errc::kAccess;
    EXPECT_EQ(mmap_error({.length = 2 * kPageSize, .flags = kMapShared, .file = &file_, .offset = far}),
              Errc::kOverflow);
    EXPECT_EQ(mmap_error({.length = 1, .flags = kMapShared, .file = &file_}), Errc::kAccess);
    EXPECT_EQ(mmap_error({.addr = VirtAddr(kPageSize * 64),
                          .length = 1,
                          .flags = kMapSharedValidate | kMapFixedNoReplace,
                          .file = &file_}),
              Errc::kOpNotSupp);
    EXPECT_EQ(mm_.vma_count(), 0U);
    EXPECT_EQ(file_.refs, 0);
  });
}

TEST_F(MmapTest, PlacesMappingsDownwardsAndHonoursHints) {
  rt::run_for_test([&] {
    const VirtAddr first = map_anonymous(mm_, 2);
    EXPECT_EQ(first + 2 * kPageSize, kMmapTop);
    const VirtAddr second = map(mm_, kMapShared);
    EXPECT_EQ(second + kFilePages * kPageSize, first);
    const VirtAddr hint(512 * kPageSize);
    EXPECT_EQ(*mm_.mmap({.addr = hint + 7, .length = 1, .flags = kMapShared, .file = &file_}), hint);
    // Taken: anywhere else.
    EXPECT_NE(*mm_.mmap({.addr = hint, .length = 1, .flags = kMapShared, .file = &file_}), hint);
    EXPECT_EQ(mmap_error({.addr = hint, .length = 1, .flags = kMapPrivate | kMapFixedNoReplace}), Errc::kExist);
    const VirtAddr big = *mm_.mmap({.length = kPgdSize, .flags = kMapPrivate});
    EXPECT_EQ(big, kMmapTop);
    // Congruent to the file offset where a huge page could be.
    const VirtAddr huge =
        *mm_.mmap({.length = 2 * kPmdSize, .flags = kMapShared, .file = &file_, .offset = 3 * kPageSize});
    EXPECT_EQ(huge.value() % kPmdSize, 3 * kPageSize);
  });
}

TEST_F(MmapTest, NeighboursMergeAndHolesSplit) {
  rt::run_for_test([&] {
    const VirtAddr base = map(mm_, kMapShared);
    EXPECT_EQ(layout(mm_, base), "0-8+0");
    for (uint64_t n = 0; n < 4; ++n) { EXPECT_EQ(store(mm_, page(base, n), 'z'), "ok"); }
    EXPECT_TRUE(mm_.munmap(page(base, 2), kPageSize).ok());
    EXPECT_EQ(layout(mm_, base), "0-2+0 3-8+3");
    EXPECT_EQ(file_.refs, 2);
    EXPECT_EQ(load(mm_, page(base, 2)), "SEGV_MAPERR");
    EXPECT_EQ(load(mm_, page(base, 3)), "z");
    EXPECT_EQ(mm_.counters().file_pages, 3U);
    // The hole is filled with what was there.
    EXPECT_TRUE(mm_.mmap({.addr = page(base, 2),
                          .length = kPageSize,
                          .flags = kMapShared | kMapFixed,
                          .file = &file_,
                          .offset = 2 * kPageSize})
                    .ok());
    EXPECT_EQ(layout(mm_, base), "0-8+0");
    EXPECT_EQ(file_.refs, 1);
    EXPECT_EQ(load(mm_, page(base, 2)), "z");
    // Another offset does not merge; MAP_FIXED replaces what is there.
    EXPECT_TRUE(mm_.mmap({.addr = page(base, 2),
                          .length = kPageSize,
                          .flags = kMapShared | kMapFixed,
                          .file = &file_,
                          .offset = 0})
                    .ok());
    EXPECT_EQ(layout(mm_, base), "0-2+0 2-3+0 3-8+3");
    EXPECT_TRUE(mm_.munmap(base, 8 * kPageSize).ok());
    EXPECT_EQ(file_.refs, 0);
    EXPECT_EQ(mm_.munmap(base, 8 * kPageSize), ok_status());  // nothing there is fine
    EXPECT_EQ(mm_.munmap(base, 0).error(), Errc::kInval);
    EXPECT_EQ(mm_.munmap(base + 1, 1).error(), Errc::kInval);
    EXPECT_EQ(mm_.munmap(base, UINT64_MAX).error(), Errc::kInval);
  });
}

TEST_F(MmapTest, MunmapFreesPrivateCopies) {
  rt::run_for_test([&] {
    const VirtAddr base = map(mm_, kMapPrivate);
    for (uint64_t n = 0; n < 8; ++n) { EXPECT_EQ(store(mm_, page(base, n), 'p'), "ok"); }
    EXPECT_EQ(memory_.dram_in_use(), 8U);
    EXPECT_TRUE(mm_.munmap(page(base, 1), 6 * kPageSize).ok());
    EXPECT_EQ(memory_.dram_in_use(), 2U);
    EXPECT_EQ(load(mm_, page(base, 7)), "p");
  });
}

TEST_F(MmapTest, PopulateFaultsAheadAndIgnoresWhatIsBeyondTheFile) {
  rt::run_for_test([&] {
    const auto base = mm_.mmap({.length = 10 * kPageSize, .flags = kMapShared | kMapPopulate, .file = &file_});
    ASSERT_TRUE(base.ok());
    EXPECT_EQ(mm_.counters().file_pages, 4U);
    EXPECT_TRUE(pte(mm_, page(*base, 7)).special());
    EXPECT_FALSE(pte(mm_, *base).write());
    EXPECT_EQ(mm_.populate(*base, 10 * kPageSize, true).error(), Errc::kFault);
    EXPECT_TRUE(pte(mm_, page(*base, 7)).write());
    EXPECT_EQ(mm_.populate(VirtAddr(kPageSize), kPageSize, true).error(), Errc::kNoMem);
    // The zero page could be mapped for ever.
    const auto large = mm_.mmap({.length = uint64_t{5} << 30, .prot = kProtRead, .flags = kMapShared | kMapPopulate});
    ASSERT_TRUE(large.ok());
    EXPECT_EQ(mm_.populate(*large, uint64_t{5} << 30, false).error(), Errc::kNoMem);
    EXPECT_TRUE(mm_.page_table.load(*large + (kPopulateMax - kPageSize)).present());
    EXPECT_FALSE(mm_.page_table.load(*large + kPopulateMax).present());
    EXPECT_TRUE(mm_.mprotect(*base, kPageSize, kProtRead).ok());
    EXPECT_EQ(mm_.populate(*base, kPageSize, true).error(), Errc::kInval);
  });
}

TEST_F(MmapTest, MremapShrinksGrowsAndMoves) {
  rt::run_for_test([&] {
    const VirtAddr blocker = map_anonymous(mm_, 1);
    const VirtAddr base = map(mm_, kMapShared, kProtRead | kProtWrite, 4);
    EXPECT_EQ(base + 4 * kPageSize, blocker);
    EXPECT_EQ(store(mm_, page(base, 1), 'm'), "ok");
    EXPECT_EQ(*mm_.mremap(base, 4 * kPageSize, 2 * kPageSize, 0), base);
    EXPECT_EQ(load(mm_, page(base, 2)), "SEGV_MAPERR");
    EXPECT_EQ(*mm_.mremap(base, 2 * kPageSize, 4 * kPageSize, 0), base);
    EXPECT_EQ(load(mm_, page(base, 3)), "d");
    // No room to grow in place.
    EXPECT_EQ(mm_.mremap(base, 4 * kPageSize, 6 * kPageSize, 0).error(), Errc::kNoMem);
    const int faults_before = file_.faults;
    const VirtAddr moved = *mm_.mremap(base, 4 * kPageSize, 6 * kPageSize, kMremapMayMove);
    EXPECT_NE(moved, base);
    EXPECT_EQ(load(mm_, page(moved, 1)), "m");
    EXPECT_EQ(file_.faults, faults_before);  // the PTE moved along
    EXPECT_TRUE(pte(mm_, page(moved, 1)).write());
    EXPECT_EQ(load(mm_, page(base, 1)), "SEGV_MAPERR");
    EXPECT_EQ(load(mm_, page(moved, 5)), std::string(1, '\0'));
    EXPECT_EQ(file_.refs, 1);
  });
}

TEST_F(MmapTest, MremapFixedReplacesAndDuplicates) {
  rt::run_for_test([&] {
    const VirtAddr base = map(mm_, kMapPrivate, kProtRead | kProtWrite, 4);
    EXPECT_EQ(store(mm_, page(base, 2), 'c'), "ok");
    const VirtAddr target(kPmdSize - kPageSize);  // straddles two tables
    EXPECT_TRUE(mm_.mmap({.addr = target, .length = kPageSize, .flags = kMapPrivate | kMapFixed}).ok());
    EXPECT_EQ(*mm_.mremap(page(base, 1), 3 * kPageSize, 2 * kPageSize, kMremapMayMove | kMremapFixed, target), target);
    EXPECT_EQ(load(mm_, target) + load(mm_, page(target, 1)), "bc");
    EXPECT_EQ(load(mm_, page(base, 3)), "SEGV_MAPERR");
    EXPECT_EQ(memory_.dram_in_use(), 1U);
    const VirtAddr shared = map(mm_, kMapShared, kProtRead | kProtWrite, 4);
    const VirtAddr twin = *mm_.mremap(shared, 0, 4 * kPageSize, kMremapMayMove);
    EXPECT_EQ(store(mm_, twin, 'T'), "ok");
    EXPECT_EQ(load(mm_, shared), "T");
    EXPECT_EQ(mm_.mremap(target, 0, kPageSize, kMremapMayMove).error(), Errc::kInval);  // private
  });
}

TEST_F(MmapTest, MremapErrors) {
  rt::run_for_test([&] {
    const VirtAddr base = map(mm_, kMapShared, kProtRead, 4);
    EXPECT_EQ(mm_.mremap(base, kPageSize, kPageSize, 8).error(), Errc::kInval);
    EXPECT_EQ(mm_.mremap(base, kPageSize, kPageSize, kMremapFixed, VirtAddr(0)).error(), Errc::kInval);
    EXPECT_EQ(mm_.mremap(base + 1, kPageSize, kPageSize, 0).error(), Errc::kInval);
    EXPECT_EQ(mm_.mremap(base, kPageSize, 0, 0).error(), Errc::kInval);
    EXPECT_EQ(mm_.mremap(VirtAddr(kPageSize), kPageSize, 2 * kPageSize, 0).error(), Errc::kFault);
    EXPECT_EQ(mm_.mremap(base, 5 * kPageSize, 6 * kPageSize, kMremapMayMove).error(), Errc::kFault);
    EXPECT_EQ(mm_.mremap(base, 2 * kPageSize, 2 * kPageSize, kMremapMayMove | kMremapFixed, page(base, 1)).error(),
              Errc::kInval);
    EXPECT_EQ(mm_.mremap(base, 4 * kPageSize, kTaskSize.value() + kPageSize, kMremapMayMove).error(), Errc::kNoMem);
  });
}

TEST_F(MmapTest, MprotectSplitsMergesAndChangesPtes) {
  rt::run_for_test([&] {
    const VirtAddr base = map(mm_, kMapShared);
    for (uint64_t n = 0; n < 4; ++n) { EXPECT_EQ(store(mm_, page(base, n), 'w'), "ok"); }
    EXPECT_TRUE(mm_.mprotect(page(base, 1), 2 * kPageSize, kProtRead).ok());
    EXPECT_EQ(layout(mm_, base), "0-1+0 1-3+1 3-8+3");
    EXPECT_EQ(file_.refs, 3);
    EXPECT_EQ(store(mm_, page(base, 1), 'x'), "SEGV_ACCERR");
    EXPECT_EQ(load(mm_, page(base, 1)), "w");
    EXPECT_EQ(store(mm_, page(base, 3), 'x'), "ok");
    EXPECT_TRUE(mm_.mprotect(page(base, 1), kPageSize, kProtNone).ok());
    EXPECT_EQ(load(mm_, page(base, 1)), "SEGV_ACCERR");
    EXPECT_EQ(mm_.counters().file_pages, 4U);
    EXPECT_TRUE(mm_.mprotect(base, 8 * kPageSize, kProtRead | kProtWrite).ok());
    EXPECT_EQ(layout(mm_, base), "0-8+0");
    EXPECT_EQ(file_.refs, 1);
    // Dirty all along: writable again without a fault.
    const int mkwrites_before = file_.mkwrites;
    EXPECT_EQ(store(mm_, page(base, 1), 'y'), "ok");
    EXPECT_EQ(file_.mkwrites, mkwrites_before);
  });
}

TEST_F(MmapTest, MprotectMakesACleanPageFault) {
  rt::run_for_test([&] {
    const VirtAddr base = map(mm_, kMapShared, kProtRead);
    EXPECT_EQ(load(mm_, base), "a");
    EXPECT_TRUE(mm_.mprotect(base, kPageSize, kProtRead | kProtWrite).ok());
    EXPECT_FALSE(pte(mm_, base).write());
    EXPECT_EQ(store(mm_, base, 'x'), "ok");
    EXPECT_EQ(file_.mkwrites, 1);
    const VirtAddr copy = map(mm_, kMapPrivate, kProtRead);
    EXPECT_EQ(load(mm_, copy), "x");
    EXPECT_TRUE(mm_.mprotect(copy, kPageSize, kProtRead | kProtWrite).ok());
    EXPECT_EQ(store(mm_, copy, 'y'), "ok");
    EXPECT_EQ(file_.media(0), 'x');
  });
}

TEST_F(MmapTest, MprotectErrors) {
  rt::run_for_test([&] {
    const VirtAddr base = map(mm_, kMapShared, kProtRead | kProtWrite, 4);
    EXPECT_EQ(mm_.mprotect(base + 1, kPageSize, kProtRead).error(), Errc::kInval);
    EXPECT_TRUE(mm_.mprotect(VirtAddr(0), 0, kProtRead).ok());
    EXPECT_EQ(mm_.mprotect(base, UINT64_MAX, kProtRead).error(), Errc::kNoMem);
    EXPECT_EQ(mm_.mprotect(base, kPageSize, 64).error(), Errc::kInval);
    // What lies before the gap is changed.
    EXPECT_EQ(mm_.mprotect(page(base, 3), kMmapTop - page(base, 3) + kPageSize, kProtRead).error(), Errc::kNoMem);
    EXPECT_EQ(store(mm_, page(base, 3), 'x'), "SEGV_ACCERR");
    file_.writable = false;
    const VirtAddr read_only = map(mm_, kMapShared, kProtRead, 1);
    EXPECT_EQ(mm_.mprotect(read_only, kPageSize, kProtRead | kProtWrite).error(), Errc::kAccess);
    const VirtAddr copy = map(mm_, kMapPrivate, kProtRead, 1);
    EXPECT_TRUE(mm_.mprotect(copy, kPageSize, kProtRead | kProtWrite).ok());
  });
}

TEST_F(MmapTest, DontneedKeepsTheFileAndDropsCopies) {
  rt::run_for_test([&] {
    const VirtAddr shared = map(mm_, kMapShared, kProtRead | kProtWrite, 2);
    const VirtAddr copy = map(mm_, kMapPrivate, kProtRead | kProtWrite, 2);
    const VirtAddr anonymous = map_anonymous(mm_, 1);
    EXPECT_EQ(store(mm_, shared, 's') + store(mm_, copy, 'c') + store(mm_, anonymous, 'n'), "okokok");
    EXPECT_TRUE(mm_.madvise_dontneed(shared, 2 * kPageSize).ok());
    EXPECT_TRUE(mm_.madvise_dontneed(copy, 1).ok());
    EXPECT_TRUE(mm_.madvise_dontneed(anonymous, kPageSize).ok());
    EXPECT_EQ(memory_.dram_in_use(), 0U);
    EXPECT_EQ(load(mm_, shared) + load(mm_, copy), "ss");
    EXPECT_EQ(load(mm_, anonymous), std::string(1, '\0'));
    EXPECT_EQ(mm_.madvise_dontneed(shared + 1, 1).error(), Errc::kInval);
    EXPECT_EQ(mm_.madvise_dontneed(shared, UINT64_MAX).error(), Errc::kInval);
    EXPECT_EQ(mm_.madvise_dontneed(VirtAddr(kPageSize), kMmapTop - VirtAddr(kPageSize)).error(), Errc::kNoMem);
    EXPECT_TRUE(pte(mm_, shared).none());
  });
}

TEST_F(MmapTest, FileRangesCarryAReference) {
  rt::run_for_test([&] {
    const VirtAddr base = map(mm_, kMapShared, kProtRead, 2, 3);
    FileRange range;
    ASSERT_TRUE(mm_.next_file_range(VirtAddr(0), page(base, 1), &range));
    EXPECT_EQ(range.begin, base);
    EXPECT_EQ(range.end, page(base, 1));
    EXPECT_EQ(range.pgoff, PgOff(3));
    EXPECT_EQ(range.file, &file_);
    EXPECT_EQ(file_.refs, 2);
    file_.put();
    EXPECT_FALSE(mm_.next_file_range(VirtAddr(0), base, &range));
  });
}

#if defined(DAXFS_RT_FIBER)
// MM8.
TEST_F(MmapTest, AWrongCounterIsNoticedAtExit) {
  const rt::RunOutcome outcome = rt::run_lambda([&] {
    mm_.page_table.ptl.lock();
    mm_.account(Pte::make(Pfn(1)), 1);
    mm_.page_table.ptl.unlock();
    mm_.exit_mmap();
  });
  ASSERT_TRUE(outcome.finding.has_value());
  EXPECT_EQ(outcome.finding->tag, "MM8");
  abandon();
}

// MM6, MM7.
TEST_F(MmapTest, TheAuditSeesMalformedVmasAndWrongPermissions) {
  std::vector<std::string> report;
  rt::run_for_test([&] {
    const VirtAddr base = map(mm_, kMapShared);
    EXPECT_EQ(store(mm_, base, 'x'), "ok");
    EXPECT_TRUE(mm_.audit(&report));
    mm_.for_each_vma(base, page(base, 1), [&](Vma& vma) { vma.prot = kProtRead; });
    EXPECT_FALSE(mm_.audit(&report));
    mm_.for_each_vma(base, page(base, 1), [&](Vma& vma) {
      vma.prot = kProtRead | kProtWrite;
      vma.end = vma.end + 1;
    });
    EXPECT_FALSE(mm_.audit(&report));
    mm_.for_each_vma(base, page(base, 1), [&](Vma& vma) { vma.end = vma.end - 1; });
  });
  ASSERT_EQ(report.size(), 2U);
  EXPECT_TRUE(report[0].starts_with("MM7: writable PTE in a VMA that is not writable"));
  EXPECT_TRUE(report[1].starts_with("MM6: malformed"));
}
#endif

}  // namespace
}  // namespace daxfs::mm
