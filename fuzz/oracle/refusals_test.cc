// fuzz/oracle/refusals_test.cc - what may not succeed? ER2.
#include "fuzz/oracle/refusals.h"

#include <string>

#include <gtest/gtest.h>

#include "fuzz/oracle/story.h"

namespace daxfuzz::oracle::testing {
namespace {

// A call that succeeded, in a run that opened one file with these flags and gave it 64 KiB.
std::string accepted(const Op& op, int64_t ret = 0, uint32_t flags = prog::kORdWr | prog::kOCreat,
                     void (*adjust)(OpRecord&) = nullptr) {
  Story story;
  story.open(0);
  story.ftruncate(0, 64 * kK);
  OpRecord& record = story.add(op, ret);
  if (op.info().has(prog::OperandKind::kFd)) {
    story.on(0);
    record.open_flags = flags;
  }
  if (op.addr.kind == MemoryKind::kMapping) { record.address = 0x10000 + static_cast<uint64_t>(op.addr.offset); }
  if (adjust != nullptr) { adjust(record); }
  return story.said().substr(0, 3);
}

Op on_memory(OpCode code, int64_t offset, int64_t length, uint32_t flags = 0) {
  Op op{.code = code, .flags = flags, .length = length, .addr = in_mapping()};
  op.addr.offset = offset;
  return op;
}

TEST(Refusals, PlainCallsMaySucceed) {
  EXPECT_EQ(accepted(kWrite, 8192), "");
  EXPECT_EQ(accepted(kRead, 8192), "");
  EXPECT_EQ(accepted(kMap, 0x20000), "");
  EXPECT_EQ(accepted(kPunch), "");
}

TEST(Refusals, TransfersAreWithinFiles) {
  EXPECT_EQ(accepted(with(kWrite, -1, 8)), "ER2");
  EXPECT_EQ(accepted(with(kRead, 0, -1)), "ER2");
  EXPECT_EQ(accepted(with(kRead, INT64_MAX - 7, 8192)), "ER2");
  EXPECT_EQ(accepted({.code = OpCode::kRead, .offset = -1, .length = 8, .buffer = anonymous()}, 8),
            "");  // has no offset
}

TEST(Refusals, SizesAreWithinFiles) {
  const Op truncate{.code = OpCode::kFtruncate, .length = 4096};
  EXPECT_EQ(accepted(truncate), "");
  EXPECT_EQ(accepted(with(truncate, 0, -1)), "ER2");
  EXPECT_EQ(accepted(with(truncate, 0, int64_t{1} << 44)), "ER2");
}

TEST(Refusals, FallocateHasItsModes) {
  EXPECT_EQ(accepted(with(kPunch, 0, 0)), "ER2");
  EXPECT_EQ(accepted(with(kPunch, -4096, 4096)), "ER2");
  EXPECT_EQ(accepted(with(kPunch, int64_t{1} << 44, 4096)), "ER2");
  EXPECT_EQ(accepted(with(kPunch, 0, INT64_MAX)), "ER2");
  EXPECT_EQ(accepted(with_flags(kPunch, prog::kFallocPunch)), "ER2");
  EXPECT_EQ(accepted(with_flags(kPunch, prog::kFallocZero)), "");
  EXPECT_EQ(accepted(with_flags(kPunch, prog::kFallocCollapse)), "");
  EXPECT_EQ(accepted(with(with_flags(kPunch, prog::kFallocCollapse), 512, 4096)), "ER2");
  EXPECT_EQ(accepted(with(with_flags(kPunch, prog::kFallocInsert), 0, 512)), "ER2");
}

TEST(Refusals, ShiftsAreInsideTheFile) {
  EXPECT_EQ(accepted(with(with_flags(kPunch, prog::kFallocCollapse), 4096, 60 * kK)), "ER2");
  EXPECT_EQ(accepted(with(with_flags(kPunch, prog::kFallocInsert), 60 * kK, 64 * kK)), "");
  EXPECT_EQ(accepted(with(with_flags(kPunch, prog::kFallocInsert), 64 * kK, 4096)), "ER2");
}

TEST(Refusals, MappingsAreOfPages) {
  EXPECT_EQ(accepted(with(kMap, 512, 4096), 0x20000), "ER2");
  EXPECT_EQ(accepted(with(kMap, 0, 0), 0x20000), "ER2");
  EXPECT_EQ(accepted(with(kMap, 0, -1), 0x20000), "ER2");
  EXPECT_EQ(accepted(kMap, 0x20200), "ER2");
  EXPECT_EQ(accepted(with_flags(kMap, 0), 0x20000), "ER2");
  EXPECT_EQ(accepted(with_flags(kMap, prog::kMapSharedValidate), 0x20000), "");
  EXPECT_EQ(accepted(with_flags(kMap, prog::kMapSharedValidate | prog::kMapAnon), 0x20000), "ER2");
  EXPECT_EQ(accepted(with_flags(kMap, prog::kMapSharedValidate | prog::kMapFixedNoReplace), 0x20000), "ER2");
}

TEST(Refusals, MapSyncNeedsDax) {
  const Op map = with_flags(kMap, prog::kMapSharedValidate | prog::kMapSync);
  EXPECT_EQ(accepted(map, 0x20000), "");
  EXPECT_EQ(accepted(map, 0x20000, prog::kORdWr, [](OpRecord& record) { record.dax = false; }), "ER2");
}

TEST(Refusals, AddressesAreOfPages) {
  for (const OpCode code : {OpCode::kMunmap, OpCode::kMprotect, OpCode::kMadvise, OpCode::kMsync}) {
    EXPECT_EQ(accepted(on_memory(code, 512, 4096)), "ER2") << prog::op_info(code).name;
    EXPECT_EQ(accepted(on_memory(code, 0, INT64_MIN)), "ER2") << prog::op_info(code).name;
  }
  EXPECT_EQ(accepted(on_memory(OpCode::kMunmap, 0, 4096)), "");
  EXPECT_EQ(accepted(on_memory(OpCode::kMunmap, 0, 0)), "ER2");
  EXPECT_EQ(accepted(on_memory(OpCode::kMsync, 0, -1)), "");  // rounded up that is nothing
  EXPECT_EQ(accepted(on_memory(OpCode::kMsync, 0, 0, prog::kMsSync | prog::kMsAsync)), "ER2");
  Op protect = on_memory(OpCode::kMprotect, 0, 0);
  protect.prot = 16;
  EXPECT_EQ(accepted(protect), "");
  protect.length = 4096;
  EXPECT_EQ(accepted(protect), "ER2");
}

TEST(Refusals, NothingIsMappedWhereNobodyMapped) {
  EXPECT_EQ(accepted(on_memory(OpCode::kMprotect, 0, 4096)), "ER2");
  EXPECT_EQ(accepted(on_memory(OpCode::kMsync, 0, 4096, prog::kMsSync)), "ER2");
  for (const OpCode code : {OpCode::kMprotect, OpCode::kMadvise, OpCode::kMsync}) {
    Story story;
    story.open(0);
    story.ftruncate(0, 64 * kK);  // makes the model worth its while
    story.add(kMap, 0x10000);
    story.on(0);
    story.add(on_memory(code, 0, 4096), 0).address = 0x10000;
    EXPECT_EQ(story.said(), "") << prog::op_info(code).name;
    story.add(on_memory(code, 0, 8192), 0).address = 0x10000;
    EXPECT_EQ(story.said().substr(0, 3), "ER2") << prog::op_info(code).name;
  }
}

TEST(Refusals, MremapHasItsRules) {
  Op move = on_memory(OpCode::kMremap, 0, 4096, prog::kRemapMayMove);
  move.length2 = 8192;
  const auto moved = [](const Op& op, int64_t to) {
    Story story;
    story.open(0);
    story.add(kMap, 0x10000);
    story.on(0);
    story.add(op, to).address = 0x10000 + static_cast<uint64_t>(op.addr.offset);
    return story.said().substr(0, 3);
  };
  EXPECT_EQ(moved(move, 0x40000), "");
  EXPECT_EQ(moved(move, 0x40001), "ER2");
  EXPECT_EQ(moved(with_flags(move, prog::kRemapFixed), 0x40000), "ER2");
  EXPECT_EQ(moved(with_flags(move, prog::kRemapFixed | prog::kRemapMayMove), 0x40000), "");
  EXPECT_EQ(moved(with_flags(move, prog::kRemapFixed | prog::kRemapMayMove), 0xf000), "ER2");
  EXPECT_EQ(moved(with_flags(move, prog::kRemapDontUnmap | prog::kRemapMayMove), 0x40000), "ER2");
  move.length2 = 0;
  EXPECT_EQ(moved(move, 0x40000), "ER2");
}

TEST(Refusals, DescriptorsAreForSomething) {
  EXPECT_EQ(accepted(kWrite, 8192, prog::kORdOnly), "ER2");
  EXPECT_EQ(accepted(kRead, 8192, prog::kOWrOnly), "ER2");
  EXPECT_EQ(accepted(kPunch, 0, prog::kORdOnly), "ER2");
  EXPECT_EQ(accepted({.code = OpCode::kFtruncate, .length = 4096}, 0, prog::kORdOnly), "ER2");
  EXPECT_EQ(accepted({.code = OpCode::kFsync}, 0, prog::kORdOnly), "");
  EXPECT_EQ(accepted({.code = OpCode::kFsync}, 0, prog::kOPath), "ER2");
  EXPECT_EQ(accepted({.code = OpCode::kFstat}, 0, prog::kOPath), "");
  EXPECT_EQ(accepted(kMap, 0x20000, prog::kORdOnly), "ER2");
  EXPECT_EQ(accepted(with_flags(kMap, prog::kMapPrivate), 0x20000, prog::kORdOnly), "");
  EXPECT_EQ(accepted(with_flags(kMap, prog::kMapPrivate), 0x20000, prog::kOWrOnly), "ER2");
}

TEST(Refusals, DirectIoIsOfSectors) {
  const auto cached = [](OpRecord& record) { record.dax = false; };
  const uint32_t direct = prog::kORdWr | prog::kODirect;
  EXPECT_EQ(accepted(kWrite, 8192, direct, cached), "");
  EXPECT_EQ(accepted(with(kWrite, 100, 8192), 8192, direct, cached), "ER2");
  EXPECT_EQ(accepted(with(kWrite, 512, 100), 100, direct, cached), "ER2");
  EXPECT_EQ(accepted(with(kWrite, 512, 100), 100, prog::kORdWr, cached), "");
  EXPECT_EQ(accepted(with(kWrite, 512, 100), 100, direct), "");                                  // DAX copies
  EXPECT_EQ(accepted(with(kWrite, (int64_t{1} << 44) - 8192, 8193), 4096, direct, cached), "");  // as far as files go
  Op from_odd = kWrite;
  from_odd.buffer.offset = 1;
  EXPECT_EQ(accepted(from_odd, 8192, direct, cached), "ER2");
  EXPECT_EQ(accepted(with(kRead, 100, 10), 10, direct, cached), "");  // perhaps of a hole
}

TEST(Refusals, NamesHaveRules) {
  EXPECT_EQ(accepted({.code = OpCode::kLseek, .flags = prog::kSeekSet, .offset = -1}, -1), "ER2");
  EXPECT_EQ(accepted({.code = OpCode::kLseek, .flags = prog::kSeekData, .offset = -1}, -1), "ER2");
  EXPECT_EQ(accepted({.code = OpCode::kFiemap, .length = 0}), "ER2");
  EXPECT_EQ(accepted({.code = OpCode::kFiemap, .offset = -1, .length = 4096}), "ER2");
  EXPECT_EQ(accepted({.code = OpCode::kOpen, .flags = prog::kOTmpfile}, 4), "ER2");
  EXPECT_EQ(accepted({.code = OpCode::kOpen, .flags = prog::kOTmpfile | prog::kORdWr}, 4), "");
  EXPECT_EQ(accepted({.code = OpCode::kOpen, .flags = prog::kOCreat | prog::kODirectory}, 4), "ER2");
  EXPECT_EQ(accepted({.code = OpCode::kRename, .path2 = 1, .flags = prog::kRenameExchange | prog::kRenameNoReplace}),
            "ER2");
  EXPECT_TRUE(is_too_long(std::string(256, 'n')));
  EXPECT_TRUE(is_too_long("d/" + std::string(256, 'n')));
  EXPECT_FALSE(is_too_long(std::string(255, 'n') + "/" + std::string(255, 'n')));
}

}  // namespace
}  // namespace daxfuzz::oracle::testing
