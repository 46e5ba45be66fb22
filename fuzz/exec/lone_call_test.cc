// fuzz/exec/lone_call_test.cc - answers and traces of calls that nothing ran beside. LC1 to LC11.
#include "fuzz/exec/lone_call.h"

#include <array>
#include <cstring>
#include <functional>
#include <initializer_list>
#include <span>
#include <vector>

#include <gtest/gtest.h>

#include "fs/rt/clock.h"
#include "fs/rt/testing.h"
#include "fs/vfs/abi.h"
#include "fs/vfs/process.h"
#include "fuzz/exec/executor.h"
#include "fuzz/exec/templates.h"
#include "fuzz/prog/names.h"
#include "fuzz/prog/text.h"

namespace daxfuzz::exec {
namespace {

using prog::Op;
using prog::OpCode;

constexpr int64_t kPage = 4096;

// A mounted machine with a DAX file: a written block, an unwritten one, a hole, a written one.
struct World {
  World() {
    std::string message;
    fs = std::move(daxfs::vfs::Filesystem::mount(machine->device(), machine->memory(), {}, &message)).value();
    process.emplace(*fs, &machine->mm(0));
    fd = process->open("f0", daxfs::vfs::kOpenReadWrite | daxfs::vfs::kOpenCreate, 0644).value();
    write(0);
    EXPECT_TRUE(process->fallocate(fd, 0, kPage, kPage).ok());
    write(3 * kPage);
    ino = (*process->inode_of(fd))->ino().value();
    generation = (*process->inode_of(fd))->generation();
  }
  // Two pages from the beginning of the file, the first one read.
  uint64_t map(uint32_t flags) {
    const auto at = process->mmap(daxfs::VirtAddr(0), 2 * kPage, daxfs::mm::kProtRead, flags, fd, 0).value();
    std::array<std::byte, 1> byte{};
    EXPECT_TRUE(process->load(at, byte).ok());
    return at.value();
  }
  void write(int64_t offset) {
    const std::vector<std::byte> bytes(kPage, std::byte{1});
    EXPECT_TRUE(process->pwrite_bytes(fd, bytes, offset).ok());
  }
  // What is said of `call`, which answered with `record`. Time has passed since the last one.
  template <typename Call>
  std::string said(const Op& op, oracle::OpRecord record, Call call) {
    daxfs::rt::clock_advance(daxfs::rt::kOpTickNs);
    record.op = &op;
    record.ino = ino;
    record.generation = generation;
    record.dax = true;
    record.open_flags = prog::kORdWr;
    LoneCall lone(*machine, *fs, program, op);
    lone.note_file(record);
    call();
    const auto objection = lone.finish(record);
    return objection ? std::string(objection->tag) : std::string();
  }
  void end() {
    process->exit();
    EXPECT_TRUE(fs->unmount().ok());
    fs.reset();
  }

  prog::Program program = prog::Program::minimal();
  std::unique_ptr<Machine> machine = std::move(Machine::create(image_template("small"))).value();
  std::unique_ptr<daxfs::vfs::Filesystem> fs;
  std::optional<daxfs::vfs::Process> process;
  int fd = -1;
  uint32_t ino = 0;
  uint32_t generation = 0;
};

oracle::OpRecord answer(int64_t ret, daxfs::Errc error = daxfs::Errc::kOk) {
  oracle::OpRecord record;
  record.ret = ret;
  record.error = error;
  return record;
}

constexpr auto kNothing = [] {};

// LC1
TEST(LoneCall, AWriteThatLeavesTheTimesIsNoticed) {
  daxfs::rt::run_for_test([] {
    World world;
    const Op pwrite{.code = OpCode::kPwrite, .length = kPage};
    EXPECT_EQ(world.said(pwrite, answer(kPage), [&] { world.write(0); }), "");
    EXPECT_EQ(world.said(pwrite, answer(kPage), kNothing), "LC1");
    EXPECT_EQ(world.said(pwrite, answer(0), kNothing), "");  // wrote nothing
    EXPECT_EQ(world.said(pwrite, answer(-1, daxfs::Errc::kFault), kNothing), "");
    const Op ftruncate{.code = OpCode::kFtruncate, .length = kPage};
    EXPECT_EQ(world.said(ftruncate, answer(0), [&] { EXPECT_TRUE(world.process->ftruncate(world.fd, kPage).ok()); }),
              "");
    EXPECT_EQ(world.said(ftruncate, answer(0), kNothing), "LC1");
    world.end();
  });
}

// LC1
TEST(LoneCall, ACallThatOnlyReadsLeavesTheTimes) {
  daxfs::rt::run_for_test([] {
    World world;
    const Op pread{.code = OpCode::kPread, .length = kPage};
    EXPECT_EQ(world.said(pread, answer(kPage), kNothing), "");
    EXPECT_EQ(world.said(pread, answer(kPage), [&] { world.write(0); }), "LC1");
    const Op into_file{.code = OpCode::kPread, .length = kPage, .buffer = {.kind = prog::MemoryKind::kMapping}};
    EXPECT_EQ(world.said(into_file, answer(kPage), [&] { world.write(0); }), "");
    const Op mmap{.code = OpCode::kMmap, .flags = prog::kMapShared, .length = kPage};
    EXPECT_EQ(world.said(mmap, answer(-1, daxfs::Errc::kNoMem), [&] { world.write(0); }), "LC1");
    const Op in_place{.code = OpCode::kMmap, .flags = prog::kMapShared | prog::kMapFixed, .length = kPage};
    EXPECT_EQ(world.said(in_place, answer(-1, daxfs::Errc::kNoMem), [&] { world.write(0); }), "");
    world.end();
  });
}

// LC1
TEST(LoneCall, AChangeOfNamesTouchesDirectoriesAndFiles) {
  daxfs::rt::run_for_test([] {
    World world;
    auto& process = *world.process;
    EXPECT_TRUE(process.mkdir("d0", 0755).ok());
    const auto at = [](const char* name) { return static_cast<uint8_t>(prog::find_path(name)); };
    const Op link{.code = OpCode::kLink, .path = at("f0"), .path2 = at("d0/f0")};
    EXPECT_EQ(world.said(link, answer(0), [&] { EXPECT_TRUE(process.link("f0", "d0/f0").ok()); }), "");
    EXPECT_EQ(world.said(link, answer(0), kNothing), "LC1");
    const Op unlink{.code = OpCode::kUnlink, .path = at("f0")};
    EXPECT_EQ(world.said(unlink, answer(0), [&] { EXPECT_TRUE(process.unlink("f0").ok()); }), "");
    const Op rename{.code = OpCode::kRename, .path = at("d0/f0"), .path2 = at("f0")};
    EXPECT_EQ(world.said(rename, answer(0), [&] { EXPECT_TRUE(process.unlink("d0/f0").ok()); }),
              "LC1");  // not the root
    const Op create{.code = OpCode::kOpen, .path = at("f1"), .flags = prog::kOCreat};
    EXPECT_EQ(world.said(create, answer(4), kNothing), "LC1");
    EXPECT_EQ(
        world.said(
            create, answer(4),
            [&] { EXPECT_TRUE(process.open("f1", daxfs::vfs::kOpenReadWrite | daxfs::vfs::kOpenCreate, 0644).ok()); }),
        "");
    world.end();
  });
}

// LC2
TEST(LoneCall, FiemapSaysWhatTheExtentsSay) {
  daxfs::rt::run_for_test([] {
    World world;
    const Op op{.code = OpCode::kFiemap, .offset = 0, .length = 4 * kPage};
    const auto extents = world.process->fiemap(world.fd, 0, 4 * kPage).value();
    ASSERT_EQ(extents.size(), 3u);
    std::vector<oracle::FiemapRow> rows;
    for (const auto& e : extents) { rows.push_back({e.logical, e.physical, e.length, e.unwritten, e.last}); }
    const auto verdict = [&](const std::vector<oracle::FiemapRow>& told) {
      oracle::OpRecord record = answer(static_cast<int64_t>(told.size()));
      record.data = std::as_bytes(std::span(told));
      return world.said(op, record, kNothing);
    };
    EXPECT_EQ(verdict(rows), "");
    constexpr size_t kPhysical = 1, kUnwritten = 3, kLast = 4;
    for (const size_t column : {kPhysical, kUnwritten, kLast}) {
      auto wrong = rows;
      wrong[1][column] ^= column == kPhysical ? kPage : 1;
      EXPECT_EQ(verdict(wrong), "LC2") << column;
    }
    EXPECT_EQ(verdict({rows[0], rows[1]}), "LC2");
    EXPECT_EQ(verdict({rows[0], rows[2]}), "LC2");
    EXPECT_EQ(verdict({}), "LC2");
    world.end();
  });
}

// LC2
TEST(LoneCall, SeekStopsAtDataAndHoles) {
  daxfs::rt::run_for_test([] {
    World world;
    const auto verdict = [&](uint32_t whence, int64_t from, int64_t to, daxfs::Errc error = daxfs::Errc::kOk) {
      const Op op{.code = OpCode::kLseek, .flags = whence, .offset = from};
      return world.said(op, answer(to, error), kNothing);
    };
    for (const uint32_t whence : {prog::kSeekData, prog::kSeekHole}) {
      for (int64_t from = 0; from < 4 * kPage; from += kPage) {
        const auto came = world.process->lseek(world.fd, from, whence);
        ASSERT_TRUE(came.ok());
        EXPECT_EQ(verdict(whence, from, *came), "") << whence << " " << from;
      }
    }
    EXPECT_EQ(verdict(prog::kSeekData, kPage, kPage), "LC2");  // unwritten, and no page in memory
    EXPECT_EQ(verdict(prog::kSeekData, 2 * kPage, 2 * kPage), "LC2");
    EXPECT_EQ(verdict(prog::kSeekData, 0, 3 * kPage), "LC2");  // passed data by
    EXPECT_EQ(verdict(prog::kSeekHole, 0, 2 * kPage), "LC2");  // passed a hole by
    EXPECT_EQ(verdict(prog::kSeekHole, 0, 3 * kPage), "LC2");
    EXPECT_EQ(verdict(prog::kSeekHole, 3 * kPage, 4 * kPage), "");  // the end is a hole
    EXPECT_EQ(verdict(prog::kSeekData, kPage, -1, daxfs::Errc::kNxio), "LC2");
    EXPECT_EQ(verdict(prog::kSeekData, 5 * kPage, -1, daxfs::Errc::kNxio), "");
    world.end();
  });
}

// LC5
TEST(LoneCall, FallocateLeavesBlocksAsAsked) {
  daxfs::rt::run_for_test([] {
    World world;
    const auto verdict = [&](uint32_t mode, int64_t offset, int64_t length, auto call) {
      const Op op{.code = OpCode::kFallocate, .flags = mode, .offset = offset, .length = length};
      return world.said(op, answer(0), [&] {
        call();
        world.write(0);  // so that the times fit
      });
    };
    constexpr uint32_t kPunch = prog::kFallocPunch | prog::kFallocKeepSize;
    EXPECT_EQ(verdict(0, kPage, kPage, kNothing), "");
    EXPECT_EQ(verdict(0, kPage, 2 * kPage, kNothing), "LC5");  // a hole is left
    EXPECT_EQ(verdict(0, kPage, kPage + 1, kNothing), "LC5");
    EXPECT_EQ(verdict(kPunch, 2 * kPage, kPage, kNothing), "");
    EXPECT_EQ(verdict(kPunch, kPage, kPage, kNothing), "LC5");
    EXPECT_EQ(verdict(kPunch, kPage + 1, kPage, kNothing), "");  // no whole block but the hole
    EXPECT_EQ(verdict(kPunch, kPage, 64 * kPage,
                      [&] { EXPECT_TRUE(world.process->fallocate(world.fd, kPunch, kPage, 64 * kPage).ok()); }),
              "");
    world.end();
  });
}

// LC6
TEST(LoneCall, BlocksOutsideTheRangeStayWhereTheyAre) {
  constexpr uint32_t kPunch = prog::kFallocPunch | prog::kFallocKeepSize;
  using Call = std::function<void(World&)>;
  const auto fallocate = [](uint32_t mode, int64_t offset, int64_t length) -> Call {
    return [=](World& world) { EXPECT_TRUE(world.process->fallocate(world.fd, mode, offset, length).ok()); };
  };
  const auto truncate = [](int64_t size) -> Call {
    return [=](World& world) { EXPECT_TRUE(world.process->ftruncate(world.fd, size).ok()); };
  };
  const Call touch = [](World& world) { world.write(0); };  // so that the times fit
  // Of a new world: what is said if these are what the call does.
  const auto verdict = [&](const Op& op, std::initializer_list<Call> calls) {
    std::string said;
    daxfs::rt::run_for_test([&] {
      World world;
      EXPECT_TRUE(world.process->fallocate(world.fd, prog::kFallocKeepSize, 8 * kPage, kPage).ok());
      said = world.said(op, answer(op.code == OpCode::kPwrite ? kPage : 0), [&] {
        for (const Call& call : calls) { call(world); }
        touch(world);
      });
      world.end();
    });
    return said;
  };
  const auto change = [](uint32_t mode, int64_t offset, int64_t length) {
    return Op{.code = OpCode::kFallocate, .flags = mode, .offset = offset, .length = length};
  };
  const Op allocate = change(0, kPage, 2 * kPage);
  EXPECT_EQ(verdict(allocate, {fallocate(0, kPage, 2 * kPage)}), "");
  EXPECT_EQ(verdict(allocate, {fallocate(0, kPage, 2 * kPage), fallocate(kPunch, 3 * kPage, kPage)}), "LC6");
  EXPECT_EQ(verdict(allocate, {fallocate(prog::kFallocKeepSize, kPage, 4 * kPage)}), "LC6") << "behind the range";

  const Op punch = change(kPunch, kPage - 1, kPage + 1);
  EXPECT_EQ(verdict(punch, {fallocate(kPunch, kPage - 1, kPage + 1)}), "");
  EXPECT_EQ(verdict(punch, {fallocate(kPunch, 0, 4 * kPage)}), "LC6");
  const Op cut = change(kPunch, kPage, 63 * kPage);
  EXPECT_EQ(verdict(cut, {fallocate(kPunch, kPage, 63 * kPage)}), "");
  EXPECT_EQ(verdict(cut, {fallocate(kPunch, kPage, 63 * kPage), truncate(4 * kPage)}), "LC6") << "behind the end";

  const auto resize = [](int64_t size) { return Op{.code = OpCode::kFtruncate, .length = size}; };
  EXPECT_EQ(verdict(resize(kPage), {truncate(kPage)}), "");
  EXPECT_EQ(verdict(resize(kPage), {truncate(4 * kPage)}), "LC6") << "blocks behind the end";
  EXPECT_EQ(verdict(resize(6 * kPage), {truncate(6 * kPage)}), "");
  EXPECT_EQ(verdict(resize(6 * kPage), {fallocate(kPunch, 3 * kPage, kPage), truncate(6 * kPage)}), "LC6");

  EXPECT_EQ(verdict(change(prog::kFallocCollapse, kPage, kPage), {fallocate(prog::kFallocCollapse, kPage, kPage)}), "");
  EXPECT_EQ(verdict(change(prog::kFallocCollapse, kPage, kPage), {}), "LC6");
  EXPECT_EQ(verdict(change(prog::kFallocInsert, kPage, kPage), {fallocate(prog::kFallocInsert, kPage, kPage)}), "");
  EXPECT_EQ(verdict(change(prog::kFallocInsert, kPage, kPage), {}), "LC6");

  const Op write{.code = OpCode::kPwrite, .length = kPage};
  EXPECT_EQ(verdict(write, {}), "");
  EXPECT_EQ(verdict(write, {fallocate(kPunch, 3 * kPage, kPage)}), "LC6");
}

// LC7
TEST(LoneCall, DontNeedLeavesNothingMapped) {
  daxfs::rt::run_for_test([] {
    World world;
    const auto at = world.process
                        ->mmap(daxfs::VirtAddr(0), 2 * kPage, daxfs::mm::kProtRead | daxfs::mm::kProtWrite,
                               daxfs::vfs::kMmapPrivate, world.fd, 0)
                        .value();
    const std::array<std::byte, 1> byte{};
    const auto verdict = [&](uint32_t advice, int64_t length, auto call) {
      const Op op{.code = OpCode::kMadvise, .flags = advice, .length = length};
      oracle::OpRecord record = answer(0);
      record.address = at.value();
      EXPECT_TRUE(world.process->store(at + kPage, byte).ok());
      return world.said(op, record, call);
    };
    const auto drop = [&] {
      EXPECT_TRUE(world.process->madvise(at, 2 * kPage, daxfs::vfs::kAdviseDontNeed, nullptr).ok());
    };
    EXPECT_EQ(verdict(prog::kAdvDontNeed, 2 * kPage, drop), "");
    EXPECT_EQ(verdict(prog::kAdvDontNeed, 2 * kPage, kNothing), "LC7");
    EXPECT_EQ(verdict(prog::kAdvDontNeed, kPage + 1, kNothing), "LC7") << "the length is rounded up";
    EXPECT_EQ(verdict(prog::kAdvDontNeed, kPage, kNothing), "") << "behind the range";
    EXPECT_EQ(verdict(prog::kAdvWillNeed, 2 * kPage, kNothing), "");
    world.end();
  });
}

// LC11
TEST(LoneCall, PopulateLeavesEveryPageMapped) {
  daxfs::rt::run_for_test([] {
    World world;
    const auto at = world.process
                        ->mmap(daxfs::VirtAddr(0), 2 * kPage, daxfs::mm::kProtRead | daxfs::mm::kProtWrite,
                               daxfs::vfs::kMmapShared, world.fd, 0)
                        .value();
    const auto verdict = [&](uint32_t advice, int64_t length, auto call) {
      EXPECT_TRUE(world.process->madvise(at, 2 * kPage, daxfs::vfs::kAdviseDontNeed, nullptr).ok());
      const Op op{.code = OpCode::kMadvise, .flags = advice, .length = length};
      oracle::OpRecord record = answer(0);
      record.address = at.value();
      return world.said(op, record, call);
    };
    const auto populate = [&](uint32_t advice, uint64_t pages) {
      return
          [&world, at, advice, pages] { EXPECT_TRUE(world.process->madvise(at, pages * kPage, advice, nullptr).ok()); };
    };
    EXPECT_EQ(verdict(prog::kAdvPopulateRead, 2 * kPage, populate(daxfs::vfs::kAdvisePopulateRead, 2)), "");
    EXPECT_EQ(verdict(prog::kAdvPopulateRead, 2 * kPage, populate(daxfs::vfs::kAdvisePopulateRead, 1)), "LC11");
    EXPECT_EQ(verdict(prog::kAdvPopulateRead, kPage, populate(daxfs::vfs::kAdvisePopulateRead, 2)), "");
    EXPECT_EQ(verdict(prog::kAdvPopulateWrite, 2 * kPage, populate(daxfs::vfs::kAdvisePopulateWrite, 2)), "");
    EXPECT_EQ(verdict(prog::kAdvPopulateWrite, 2 * kPage, populate(daxfs::vfs::kAdvisePopulateRead, 2)), "LC11");
    world.end();
  });
}

// LC8
TEST(LoneCall, MemoryFailureTellsWhoeverMapsThePage) {
  daxfs::rt::run_for_test([] {
    World world;
    const uint64_t pages[] = {world.map(daxfs::vfs::kMmapShared), world.map(daxfs::vfs::kMmapPrivate)};
    const auto verdict = [&](std::vector<oracle::FailureRow> told, daxfs::Errc error = daxfs::Errc::kOk) {
      const Op op{.code = OpCode::kMemoryFailure};
      oracle::OpRecord record = answer(0, error);
      record.data = std::as_bytes(std::span(told));
      return world.said(op, record, kNothing);
    };
    const uint64_t process = world.machine->mm(0).id();
    const oracle::FailureRow one{process, pages[0], 0}, other{process, pages[1], 0};
    EXPECT_EQ(verdict({one, other}), "");
    EXPECT_EQ(verdict({other, one}), "") << "in any order";
    EXPECT_EQ(verdict({one}), "LC8");
    EXPECT_EQ(verdict({one, other, other}), "LC8");
    EXPECT_EQ(verdict({one, other, {process, pages[0] + kPage, 0}}), "LC8");
    EXPECT_EQ(verdict({one, {process, pages[1], 9}}), "LC8") << "by another size";
    EXPECT_EQ(verdict({}, daxfs::Errc::kBusy), "LC8") << "mapped, and in no tree";
    EXPECT_EQ(verdict({}, daxfs::Errc::kNxio), "");
    world.end();
  });
}

// LC10
TEST(LoneCall, FlagsForbidMappingsForStores) {
  daxfs::rt::run_for_test([] {
    World world;
    // Through a descriptor of another kind than the record says: the library refuses as it should.
    const int fd = world.process->open("f0", prog::kORdOnly, 0).value();
    const auto mapped = [&](uint32_t type, uint32_t xflags) {
      const Op op{.code = OpCode::kMmap, .prot = prog::kProtRead, .flags = type, .length = kPage};
      const auto map = [&] {
        return world.process->mmap(daxfs::VirtAddr(0), kPage, prog::kProtRead, type, fd, 0).value();
      };
      const daxfs::VirtAddr address = map();  // and there again, since nothing else comes or goes
      EXPECT_TRUE(world.process->munmap(address, kPage).ok());
      EXPECT_TRUE(world.process->setxflags(world.fd, xflags).ok());
      const std::string said =
          world.said(op, answer(static_cast<int64_t>(address.value())), [&] { EXPECT_EQ(map(), address); });
      EXPECT_TRUE(world.process->setxflags(world.fd, 0).ok());
      EXPECT_TRUE(world.process->munmap(address, kPage).ok());
      return said;
    };
    EXPECT_EQ(mapped(prog::kMapShared, 0), "");
    EXPECT_EQ(mapped(prog::kMapShared, prog::kXflagImmutable), "");
    EXPECT_EQ(mapped(prog::kMapShared, prog::kXflagAppend), "LC10");
    EXPECT_EQ(mapped(prog::kMapPrivate, prog::kXflagAppend), "");
    world.end();
  });
}

// LC10
TEST(LoneCall, FlagsForbidChanges) {
  daxfs::rt::run_for_test([] {
    World world;
    EXPECT_TRUE(world.process->mkdir("d0", 0755).ok());
    EXPECT_TRUE(world.process->link("f0", "d0/f0").ok());
    const int dir = world.process->open("d0", prog::kORdOnly, 0).value();
    // Whether the judge speaks of a call that succeeded on what has these flags.
    const auto forbidden = [&](int fd, uint32_t flags, const Op& op) {
      EXPECT_TRUE(world.process->setxflags(fd, flags).ok());
      const bool spoke = world.said(op, answer(1), kNothing) == "LC10";
      EXPECT_TRUE(world.process->setxflags(fd, 0).ok());
      return spoke;
    };
    constexpr uint32_t kImmutable = prog::kXflagImmutable;
    constexpr uint32_t kAppend = prog::kXflagAppend;
    const Op pwrite{.code = OpCode::kPwrite, .length = 1};
    const Op fallocate_more{.code = OpCode::kFallocate, .length = kPage};
    const Op punch{.code = OpCode::kFallocate, .flags = prog::kFallocPunch | prog::kFallocKeepSize, .length = kPage};
    const Op ftruncate{.code = OpCode::kFtruncate, .length = 4 * kPage};
    const auto path = [](const char* name) { return static_cast<uint8_t>(prog::find_path(name)); };
    const Op unlink{.code = OpCode::kUnlink, .path = path("d0/f0")};
    const Op make{.code = OpCode::kMkdir, .path = path("d0/d1")};
    const Op cut{.code = OpCode::kOpen, .path = path("f0"), .flags = prog::kORdWr | prog::kOTrunc};
    for (const Op& op : {pwrite, fallocate_more, punch, ftruncate, unlink, cut}) {
      EXPECT_TRUE(forbidden(world.fd, kImmutable, op)) << op.info().name;
      EXPECT_FALSE(forbidden(world.fd, 0, op)) << op.info().name;
    }
    for (const Op& op : {punch, ftruncate, unlink, cut}) { EXPECT_TRUE(forbidden(world.fd, kAppend, op)); }
    for (const Op& op : {pwrite, fallocate_more}) { EXPECT_FALSE(forbidden(world.fd, kAppend, op)); }
    for (const Op& op : {unlink, make}) { EXPECT_TRUE(forbidden(dir, kImmutable, op)); }
    const Op open{.code = OpCode::kOpen, .path = path("f0"), .flags = prog::kORdWr};
    const Op open_more{.code = OpCode::kOpen, .path = path("f0"), .flags = prog::kORdWr | prog::kOAppend};
    const Op look{.code = OpCode::kOpen, .path = path("f0"), .flags = prog::kORdOnly};
    for (const Op& op : {open, open_more}) { EXPECT_TRUE(forbidden(world.fd, kImmutable, op)); }
    EXPECT_FALSE(forbidden(world.fd, kImmutable, look));
    EXPECT_TRUE(forbidden(world.fd, kAppend, open));
    for (const Op& op : {open_more, look}) { EXPECT_FALSE(forbidden(world.fd, kAppend, op)); }
    EXPECT_TRUE(forbidden(dir, kAppend, unlink));
    EXPECT_FALSE(forbidden(dir, kAppend, make));
    world.end();
  });
}

// LC9: what a call did, `did`, against what its operands ask for.
TEST(LoneCall, MappingsAreWhatOperandsAskFor) {
  daxfs::rt::run_for_test([] {
    World world;
    constexpr uint64_t kAt = 0x10000000;
    constexpr uint64_t kTo = 0x20000000;
    constexpr uint8_t kBoth = prog::kProtRead | prog::kProtWrite;
    auto& process = *world.process;
    const auto map = [&](uint64_t at, int64_t page, int64_t pages, uint32_t prot, uint32_t flags) {
      return [=, &world, &process] {
        EXPECT_TRUE(
            process.mmap(daxfs::VirtAddr(at), pages * kPage, prot, flags | prog::kMapFixed, world.fd, page * kPage)
                .ok());
      };
    };
    const auto unmap = [&](uint64_t at, int64_t pages) {
      return [=, &process] { EXPECT_TRUE(process.munmap(daxfs::VirtAddr(at), pages * kPage).ok()); };
    };
    const auto protect = [&](uint64_t at, int64_t pages, uint32_t prot) {
      return [=, &process] { EXPECT_TRUE(process.mprotect(daxfs::VirtAddr(at), pages * kPage, prot).ok()); };
    };
    const auto move = [&](int64_t pages, uint32_t flags) {
      return [=, &process] {
        EXPECT_TRUE(process.mremap(daxfs::VirtAddr(kAt), 2 * kPage, pages * kPage, flags, daxfs::VirtAddr(kTo)).ok());
      };
    };
    // Each begins with four pages of the file at kAt.
    const auto verdict = [&](Op op, uint64_t address, uint64_t ret, auto did) {
      unmap(kAt, 16)();
      unmap(kTo, 16)();
      map(kAt, 0, 4, kBoth, prog::kMapShared)();
      oracle::OpRecord record = answer(static_cast<int64_t>(ret));
      record.address = address;
      return world.said(op, record, did);
    };
    const Op two_pages{.code = OpCode::kMunmap, .length = kPage + 1};
    EXPECT_EQ(verdict(two_pages, kAt + kPage, 0, unmap(kAt + kPage, 2)), "");
    EXPECT_EQ(verdict(two_pages, kAt + kPage, 0, unmap(kAt + kPage, 1)), "LC9");
    EXPECT_EQ(verdict(two_pages, kAt + kPage, 0, unmap(kAt, 3)), "LC9");

    const Op read_only{.code = OpCode::kMprotect, .prot = prog::kProtRead, .length = 2 * kPage};
    EXPECT_EQ(verdict(read_only, kAt + kPage, 0, protect(kAt + kPage, 2, prog::kProtRead)), "");
    EXPECT_EQ(verdict(read_only, kAt + kPage, 0, protect(kAt + kPage, 3, prog::kProtRead)), "LC9");
    EXPECT_EQ(verdict(read_only, kAt + kPage, 0, protect(kAt + kPage, 2, prog::kProtNone)), "LC9");
    EXPECT_EQ(verdict(read_only, kAt + 3 * kPage, 0, kNothing), "LC9") << "a hole behind it";

    Op mmap{.code = OpCode::kMmap, .prot = kBoth, .flags = prog::kMapPrivate, .offset = kPage, .length = kPage};
    EXPECT_EQ(verdict(mmap, 0, kTo, map(kTo, 1, 1, kBoth, prog::kMapPrivate)), "");
    EXPECT_EQ(verdict(mmap, 0, kTo, map(kTo, 1, 1, kBoth, prog::kMapShared)), "LC9");
    EXPECT_EQ(verdict(mmap, 0, kTo, map(kTo, 0, 1, kBoth, prog::kMapPrivate)), "LC9") << "another page";
    EXPECT_EQ(verdict(mmap, 0, kAt, map(kAt, 1, 1, kBoth, prog::kMapPrivate)), "LC9") << "over another one";
    mmap.prot |= 0x40;
    EXPECT_EQ(verdict(mmap, 0, kTo, map(kTo, 1, 1, kBoth, prog::kMapPrivate)), "") << "a bit that means nothing";
    mmap.flags |= prog::kMapFixed;
    EXPECT_EQ(verdict(mmap, 0, kAt, map(kAt, 1, 1, kBoth, prog::kMapPrivate)), "");

    constexpr uint32_t kFixed = prog::kRemapMayMove | prog::kRemapFixed;
    Op mremap{.code = OpCode::kMremap, .flags = kFixed, .length = 2 * kPage, .length2 = 3 * kPage};
    EXPECT_EQ(verdict(mremap, kAt, kTo, move(3, kFixed)), "");
    EXPECT_EQ(verdict(mremap, kAt, kTo, move(2, kFixed)), "LC9");
    mremap.length2 = 2 * kPage;
    EXPECT_EQ(verdict(mremap, kAt, kTo, move(2, kFixed)), "");
    EXPECT_EQ(verdict(mremap, kAt, kTo, move(2, kFixed | prog::kRemapDontUnmap)), "LC9");
    mremap.flags |= prog::kRemapDontUnmap;
    EXPECT_EQ(verdict(mremap, kAt, kTo, move(2, kFixed | prog::kRemapDontUnmap)), "");
    EXPECT_EQ(verdict(mremap, kAt, kTo, move(2, kFixed)), "LC9");
    mremap.flags = 0;
    EXPECT_EQ(verdict(mremap, kAt, kTo, move(2, kFixed)), "LC9") << "may not move";
    mremap.length2 = kPage;
    EXPECT_EQ(verdict(mremap, kAt, kAt, unmap(kAt + kPage, 1)), "");
    EXPECT_EQ(verdict(mremap, kAt, kAt, kNothing), "LC9") << "does not shrink";
    mremap.length2 = 3 * kPage;
    EXPECT_EQ(verdict(mremap, kAt, kAt, kNothing), "LC9") << "grows over its neighbour";
    EXPECT_EQ(verdict(mremap, kAt + 2 * kPage, kAt + 2 * kPage, map(kAt + 4 * kPage, 4, 1, kBoth, prog::kMapShared)),
              "");
    world.end();
  });
}

// LC4
TEST(LoneCall, StatSaysWhatTheInodeHas) {
  daxfs::rt::run_for_test([] {
    World world;
    const Op op{.code = OpCode::kFstat};
    const auto attributes = world.process->fstat(world.fd).value();
    std::array<uint64_t, 4> row = {attributes.mode, attributes.links, attributes.size, attributes.sectors};
    oracle::OpRecord record = answer(0);
    record.data = std::as_bytes(std::span(row));
    EXPECT_EQ(world.said(op, record, kNothing), "");
    for (const size_t column : {0, 1, 3}) {
      ++row[column];
      EXPECT_EQ(world.said(op, record, kNothing), "LC4") << column;
      --row[column];
    }
    world.end();
  });
}

// LC3
TEST(LoneCall, FreeBlocksAreCounted) {
  daxfs::rt::run_for_test([] {
    World world;
    const Op op{.code = OpCode::kStatfs};
    const auto said = world.process->statfs("/").value();
    oracle::OpRecord record = answer(0);
    record.space = {said.blocks_free, said.blocks_available, said.files_free};
    EXPECT_EQ(world.said(op, record, kNothing), "");
    for (uint64_t* const number :
         {&record.space.blocks_free, &record.space.blocks_available, &record.space.files_free}) {
      ++*number;
      EXPECT_EQ(world.said(op, record, kNothing), "LC3");
      --*number;
    }
    EXPECT_FALSE(LoneCall::check_counts(*world.machine, *world.fs));
    EXPECT_TRUE(world.fs->volume().claim_blocks(1, false).ok());
    EXPECT_TRUE(LoneCall::check_counts(*world.machine, *world.fs));
    world.fs->volume().unclaim_blocks(1);
    world.end();
  });
}

TEST(LoneCall, RunsWithDaemonsAreNotLookedAt) {
  prog::Program program = prog::Program::minimal();
  EXPECT_TRUE(lone_calls_tell(program));
  for (const char* mount : {"dax=inode,flush=4", "reclaim=8", "fail_bio=3"}) {
    program.mount = mount;
    EXPECT_FALSE(lone_calls_tell(program)) << mount;
  }
}

}  // namespace
}  // namespace daxfuzz::exec
