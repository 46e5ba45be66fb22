// fuzz/exec/executor_test.cc - one run: what it mounts, what it reports, what it leaves behind.
#include "fuzz/exec/executor.h"

#include <gtest/gtest.h>

#include "fs/base/historical.h"
#include "fuzz/exec/templates.h"
#include "fuzz/prog/text.h"

namespace daxfuzz::exec {
namespace {

prog::Program parse(const std::string& body) {
  prog::Program program;
  std::string error;
  EXPECT_TRUE(prog::parse("daxfuzz program 1\n" + body, "test", &program, &error)) << error;
  return program;
}

const oracle::OpRecord& last(const Outcome& outcome) { return outcome.history.records.back(); }

#if defined(DAXFS_RT_FIBER)

constexpr const char* kPunchUnderDirectRead = R"(mount dax=inode
init in P0
  f = open "f0" rdwr|creat
  fallocate f 0 8K
  m = mmap f 0 8K read|write shared
  touch m 0 8K 0x41
  g = open "g0" rdwr|direct
  pwrite g 0x42 8K 0
task T0 in P0
  pread g m+0 8K 0
task T1 in P0
  fallocate f punch|keep_size 0 8K
)";

struct BugOn {
  explicit BugOn(daxfs::Bug bug) {
    daxfs::BugSet bugs;
    bugs.set(static_cast<size_t>(bug));
    daxfs::set_historical(bugs);
  }
  ~BugOn() { daxfs::set_historical({}); }
};

TEST(Executor, CleanRunRecordsEveryOperation) {
  const prog::Program program = parse(R"(init in P0
  f = open "f0" rdwr|creat
task T0 in P0
  write f 0x41 5000
  pread f buf 8K 0
)");
  Executor executor;
  Outcome outcome;
  executor.run(program, {}, &outcome);
  ASSERT_FALSE(outcome.finding) << finding_title(*outcome.finding);
  ASSERT_EQ(outcome.history.records.size(), 3u);
  for (const auto& record : outcome.history.records) {
    EXPECT_TRUE(record.finished);
    EXPECT_LT(record.begin_seq, record.end_seq);
  }
  EXPECT_EQ(last(outcome).ret, 5000);
  ASSERT_EQ(last(outcome).data.size(), 5000u);
  EXPECT_EQ(last(outcome).data[4999], std::byte{0x41});
  EXPECT_GT(outcome.tasks_end, outcome.tasks_begin);
}

#if defined(DAXFS_HISTORICAL_BUGS)
// O18. The audit at the end would see it too; the lookup is where it does harm.
TEST(Executor, EsTestMeetsAStaleRangeWhereItIsLookedUp) {
  const prog::Program program = parse(R"(mount dax=never,es_test
init in P0
  g = open "g1" rdwr|creat|direct
  pwrite g 0x41 16K 0
task T0 in P0
  fallocate g zero 4K 4K
  pread g buf 4K 4K
)");
  Executor executor;
  Outcome outcome;
  executor.run(program, {}, &outcome);
  EXPECT_FALSE(outcome.finding) << finding_title(*outcome.finding);
  const BugOn bug(daxfs::Bug::kCacheDuringSplit);
  executor.run(program, {}, &outcome);
  ASSERT_TRUE(outcome.finding);
  EXPECT_NE(finding_title(*outcome.finding).find("ext4::recheck_cached"), std::string::npos);
}
#endif

TEST(Executor, UnknownTemplateIsAMountErrorThatNamesTheKnownOnes) {
  const prog::Program program = parse("image nosuch\ntask T0\n  sync\n");
  Executor executor;
  Outcome outcome;
  executor.run(program, {}, &outcome);
  EXPECT_FALSE(outcome.finding);
  EXPECT_EQ(outcome.mount_errc, daxfs::Errc::kNoEnt);
  EXPECT_NE(outcome.mount_error.find("'nosuch'; expected one of " + template_names()), std::string::npos)
      << outcome.mount_error;
}

TEST(Executor, UnknownMountOptionIsAMountError) {
  const prog::Program program = parse("mount nosuch\ntask T0\n  sync\n");
  Executor executor;
  Outcome outcome;
  executor.run(program, {}, &outcome);
  EXPECT_FALSE(outcome.finding);
  EXPECT_EQ(outcome.mount_errc, daxfs::Errc::kInval);
  EXPECT_NE(outcome.mount_error, "");
}

TEST(Executor, ImageThatIsNoFilesystemIsAMountError) {
  const std::vector<std::byte> zeros(1 << 20);
  const prog::Program program = parse("task T0\n  sync\n");
  Executor executor;
  Outcome outcome;
  RunConfig config;
  config.image = zeros;
  executor.run(program, config, &outcome);
  EXPECT_FALSE(outcome.finding);
  EXPECT_NE(outcome.mount_errc, daxfs::Errc::kOk);
  EXPECT_NE(outcome.mount_error, "");
}

TEST(Executor, SavedImageHoldsWhatTheProgramWrote) {
  const prog::Program writer = parse("task T0\n  f = open \"f0\" rdwr|creat\n  write f 0x41 5000\n");
  Executor executor;
  Outcome outcome;
  std::vector<std::byte> image;
  RunConfig config;
  config.image_out = &image;
  executor.run(writer, config, &outcome);
  ASSERT_FALSE(outcome.finding) << finding_title(*outcome.finding);
  ASSERT_FALSE(image.empty());

  const prog::Program reader = parse("task T0\n  f = open \"f0\" rdonly\n  read f buf 8K\n");
  RunConfig again;
  again.image = image;
  executor.run(reader, again, &outcome);
  ASSERT_FALSE(outcome.finding) << finding_title(*outcome.finding);
  EXPECT_EQ(last(outcome).ret, 5000);
}

TEST(Executor, HandsOverWhatTheMediumHoldsOfEachFile) {
  const prog::Program program = parse(R"(init in P0
  f = open "f0" rdwr|creat
  g = open "f1" rdwr|creat
task T0 in P0
  pwrite f 0x41 5000 8K
  unlink "f1"
)");
  Executor executor;
  Outcome outcome;
  executor.run(program, {}, &outcome);
  ASSERT_FALSE(outcome.finding) << finding_title(*outcome.finding);
  ASSERT_EQ(outcome.history.finals.size(), 1u) << "a file that is gone has no contents";
  const oracle::FinalFile& file = outcome.history.finals[0];
  EXPECT_EQ(file.ino, outcome.history.records[0].ino);
  EXPECT_EQ(file.size, 8192u + 5000u);
  const auto& pieces = outcome.history.final_pieces;
  ASSERT_EQ(file.piece_count, 2u);
  EXPECT_TRUE(pieces[0].bytes.empty());
  EXPECT_EQ(pieces[0].length, 8192u);
  ASSERT_EQ(pieces[1].bytes.size(), 5000u);
  EXPECT_EQ(pieces[1].bytes[4999], std::byte{0x41});
}

TEST(Executor, EachRunStartsFromThePristineImage) {
  const prog::Program program = parse("task T0\n  f = open \"f0\" rdwr|creat|excl\n  write f 0x41 5000\n");
  Executor executor;
  Outcome outcome;
  for (int i = 0; i < 3; ++i) {
    executor.run(program, {}, &outcome);
    ASSERT_FALSE(outcome.finding) << finding_title(*outcome.finding);
    EXPECT_EQ(outcome.history.records[0].error, daxfs::Errc::kOk);
  }
}

// A run that a finding abandoned in the middle leaves locks held, pages pinned and a task in a wait.
TEST(Executor, RunAfterAFindingIsAsAfterNone) {
  const prog::Program program = parse(kPunchUnderDirectRead);
  Executor executor;
  Outcome outcome;
  executor.run(program, {}, &outcome);
  ASSERT_FALSE(outcome.finding) << finding_title(*outcome.finding);
  const uint64_t clean = outcome.trace_hash;
  {
    const BugOn bug(daxfs::Bug::kNoBreakLayoutsPunch);
    executor.run(program, {}, &outcome);
  }
  ASSERT_TRUE(outcome.finding);
  EXPECT_EQ(outcome.finding->tag, "O1");
  EXPECT_NE(outcome.trace_hash, clean);
  executor.run(program, {}, &outcome);
  ASSERT_FALSE(outcome.finding) << finding_title(*outcome.finding);
  EXPECT_EQ(outcome.trace_hash, clean);
}

TEST(Executor, FindingsHaveAStableTitleAndKey) {
  const BugOn bug(daxfs::Bug::kNoBreakLayoutsPunch);
  Executor executor;
  Outcome outcome;
  const prog::Program program = parse(kPunchUnderDirectRead);
  executor.run(program, {}, &outcome);
  ASSERT_TRUE(outcome.finding);
  const std::string title = finding_title(*outcome.finding);
  EXPECT_EQ(title.rfind("WARNING in dax::disassociate_entry: ", 0), 0u) << title;
  daxfs::Finding other = *outcome.finding;
  EXPECT_EQ(finding_key(other), finding_key(*outcome.finding));
  EXPECT_EQ(finding_key(other).size(), 16u);
  other.title = "other numbers";
  EXPECT_EQ(finding_key(other), finding_key(*outcome.finding));
  other.tag = "O2";
  EXPECT_NE(finding_key(other), finding_key(*outcome.finding));
}

TEST(Executor, KeysNameTheCallThatNoticedByItsKind) {
  const BugOn bug(daxfs::Bug::kNoBreakLayoutsPunch);
  Executor executor;
  Outcome outcome;
  const prog::Program program = parse(kPunchUnderDirectRead);
  executor.run(program, {}, &outcome);
  ASSERT_TRUE(outcome.finding);
  EXPECT_EQ(outcome.finding->during, "punch");
  daxfs::Finding other = *outcome.finding;
  other.during = "truncate";
  EXPECT_NE(finding_key(other), finding_key(*outcome.finding));
}

TEST(Executor, StepBudgetEndsARunThatDoesNotEnd) {
  const prog::Program program = parse("task T0\n  f = open \"f0\" rdwr|creat\n  write f 0x41 64K\n");
  Executor executor;
  Outcome outcome;
  RunConfig config;
  config.events_max = 200;
  executor.run(program, config, &outcome);
  ASSERT_TRUE(outcome.finding);
  EXPECT_EQ(outcome.finding->verdict, daxfs::Verdict::kLivelock);
}

TEST(Executor, AnchorsThatNoEventMeetsAreCountedAsDrift) {
  const prog::Program program = parse(R"(task T0
  sync
task T1
  sync
schedule
  T0 op 1 event 9999 -> T1
  T0 op 7 event 1 -> T1
)");
  Executor executor;
  Outcome outcome;
  executor.run(program, {}, &outcome);
  ASSERT_FALSE(outcome.finding) << finding_title(*outcome.finding);
  EXPECT_EQ(outcome.drift, 2u);
}

TEST(Executor, AuditAtEachOperationIsSilentOnACleanRun) {
  const prog::Program program = parse(kPunchUnderDirectRead);
  Executor executor;
  Outcome outcome;
  RunConfig config;
  config.audit_each_op = true;
  executor.run(program, config, &outcome);
  EXPECT_FALSE(outcome.finding) << finding_title(*outcome.finding);
}

#else

// Native threads have no schedule to own: only that a run works.
TEST(Executor, RunsAProgramOnThreads) {
  const prog::Program program = parse("task T0\n  f = open \"f0\" rdwr|creat\n  write f 0x41 5000\n");
  Executor executor;
  Outcome outcome;
  executor.run(program, {}, &outcome);
  EXPECT_FALSE(outcome.finding);
  EXPECT_EQ(last(outcome).ret, 5000);
}

#endif

}  // namespace
}  // namespace daxfuzz::exec
