// fs/mm/address_space_test.cc - the list of VMAs and the writeback error.
#include "fs/mm/test_support.h"

namespace daxfs::mm {
namespace {

class AddressSpaceTest : public MmTest {};

TEST_F(AddressSpaceTest, ListsVmasInTheOrderTheyWereMapped) {
  rt::run_for_test([&] {
    const VirtAddr first = map(mm_, kMapShared);
    const VirtAddr second = map(other_, kMapPrivate);
    const VirtAddr third = map(mm_, kMapShared, kProtRead, 2, 1);
    rt::ReadLock lock(file_.mapping().i_mmap_rwsem);
    const Vma* vma = file_.mapping().first_vma();
    EXPECT_EQ(vma->begin, first);
    vma = vma->next_in_file;
    EXPECT_EQ(vma->begin, second);
    EXPECT_EQ(vma->mm, &other_);
    vma = vma->next_in_file;
    EXPECT_EQ(vma->begin, third);
    EXPECT_EQ(vma->pgoff, PgOff(1));
    EXPECT_EQ(vma->next_in_file, nullptr);
  });
}

#if defined(DAXFS_RT_FIBER)
// MM4.
TEST_F(AddressSpaceTest, EvictionOfAMappedFileIsAWarning) {
  const rt::RunOutcome outcome = rt::run_lambda([&] {
    map(mm_, kMapShared);
    file_.mapping().assert_unmapped();
  });
  ASSERT_TRUE(outcome.finding.has_value());
  EXPECT_EQ(outcome.finding->tag, "MM4");
  abandon();
}
#endif

TEST(ErrSeq, EveryObserverSeesAnErrorOnce) {
  ErrSeq errors;
  ErrSeq::Sample first = errors.sample();
  ErrSeq::Sample second = errors.sample();
  EXPECT_TRUE(errors.check_and_advance(&first).ok());
  errors.record(Errc::kIo);
  errors.record(Errc::kNoSpc);
  EXPECT_EQ(errors.check_and_advance(&first).error(), Errc::kNoSpc);
  EXPECT_TRUE(errors.check_and_advance(&first).ok());
  EXPECT_EQ(errors.check_and_advance(&second).error(), Errc::kNoSpc);
}

TEST(ErrSeq, WhoComesLaterSeesWhatNobodySaw) {
  ErrSeq errors;
  errors.record(Errc::kIo);
  ErrSeq::Sample first = errors.sample();
  ErrSeq::Sample second = errors.sample();
  EXPECT_EQ(errors.check_and_advance(&first).error(), Errc::kIo);
  ErrSeq::Sample later = errors.sample();
  EXPECT_TRUE(errors.check_and_advance(&later).ok()) << "somebody saw it";
  EXPECT_EQ(errors.check_and_advance(&second).error(), Errc::kIo) << "and so does who came before that";
  EXPECT_TRUE(errors.check_and_advance(&first).ok());
  errors.record(Errc::kIo);  // the same one again
  for (ErrSeq::Sample* observer : {&first, &second, &later}) {
    EXPECT_EQ(errors.check_and_advance(observer).error(), Errc::kIo);
    EXPECT_TRUE(errors.check_and_advance(observer).ok());
  }
}

TEST(ErrSeq, WhatNobodyWasToldIsTakenOnce) {
  ErrSeq errors;
  ErrSeq::Sample observer = errors.sample();
  errors.record(Errc::kIo);
  EXPECT_EQ(errors.take_untold().error(), Errc::kIo);
  EXPECT_TRUE(errors.take_untold().ok());
  EXPECT_EQ(errors.check_and_advance(&observer).error(), Errc::kIo) << "who observes is told all the same";
  errors.record(Errc::kIo);
  EXPECT_EQ(errors.check_and_advance(&observer).error(), Errc::kIo);
  EXPECT_TRUE(errors.take_untold().ok());
}

}  // namespace
}  // namespace daxfs::mm
