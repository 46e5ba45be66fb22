// fuzz/prog/text_test.cc - text in, text out; and what the parser says about bad text.
#include "fuzz/prog/text.h"

#include <string>
#include <string_view>

#include <gtest/gtest.h>

#include "fuzz/prog/binary.h"
#include "fuzz/prog/random.h"

namespace daxfuzz::prog {
namespace {

// The sketch of the contract, as a person writes it.
constexpr std::string_view kSketch = R"(daxfuzz program 1
image small              # template made by mke2fs: small | default | csum | ...
mount dax=always
process P0
task T0 in P0
  f = open "f0" rdwr|creat
  fallocate f 0 8K
  m = mmap f 0 8K read|write shared
  store m 0 4K 0x41
task T1 in P0
  g = open "g0" rdwr|creat|direct
  pread g m+0 8K 0          # direct read whose buffer is the mapping
task T2 in P0
  fallocate f punch|keep_size 0 8K
schedule
  T1 op 2 event 17 -> T2    # preempt T1 inside its 2nd operation at its 17th event, run T2
)";

constexpr std::string_view kSketchCanonical = R"(daxfuzz program 1
image small
mount dax=always
process P0
task T0 in P0
  f0 = open "f0" rdwr|creat
  fallocate f0 0 8K
  m0 = mmap f0 0 8K read|write shared
  store m0 0 4K 0x41
task T1 in P0
  f1 = open "g0" rdwr|creat|direct
  pread f1 m0+0 8K 0
task T2 in P0
  fallocate f0 punch|keep_size 0 8K
schedule
  T1 op 2 event 17 -> T2
)";

// Every operation, every kind of operand, in canonical form.
constexpr std::string_view kEverything = R"(daxfuzz program 1
image my-image_2.0
mount dax=inode,ro
process P0
process P1
process P2
init in P0
  f0 = open "f0" rdwr|creat 0600
  pwrite f0 seq:0x41 16K 0
  m0 = mmap f0 0 16K read|write shared_validate|sync
init in P1
  f0 = open "../x y\"\\\x01\xff" rdonly
task T0 in P1
  open "n" rdwr|creat|excl|trunc|append|direct|sync|directory|nofollow|noatime|path
  f7 = dup f0
  close f7
  read f0 buf 4K
  read f0 buf+1 4K-1
  write f0 0x5a@512 512
  write bad bad -1
  pread f0 m7-4K-1 8K+100 2M
  pwrite f0 m0+4K 4K 17179869180K
  lseek f0 -1 hole
  lseek f0 0 0x9
  ftruncate f0 0
  truncate "d0/f1" 2M-1
task T1 in P0
  fallocate f0 collapse 4K 4K
  fallocate f0 punch|zero|0x1000 0 -1
  m1 = mmap f0 4K 4K none private|fixed at m0+8K
  mmap bad 0 0 exec 0
  munmap m0+0 16K
  m2 = mremap m1+0 4K 8K maymove|fixed at bad
  mremap bad 0 0 0
  mprotect m0+4K 4K read|0x40
  madvise m0+0 8K dontneed
  madvise m0+0 8K 0x63
  msync m0+1 8K sync|async|invalidate
  fsync f0
  fdatasync f1
  sync
task T2 in P2
task T3 in P0
  rename "f0" "g0"
  rename "d0" "d1" noreplace|exchange
  link "f0" "f1"
  symlink "f0" "l0"
  readlink "l0"
  unlink ""
  mkdir "d0" 01777
  mkdir "d1"
  rmdir "d0/"
  stat "n"
  lstat "l0/f0"
  fstat f0
  statfs "/"
  getdents f0
  fiemap f0 0 -1
  load m0 -1 4K
  store m0 4K-2 4 seq:0x00
  touch m0 0 16K 0x54
  io_submit_pread f0 buf 8K 4K
  io_submit_pwrite f0 seq:0x41 4K 0
  io_getevents 0
  drop_caches
  reclaim
  process_vm_readv m0 4K 8K
  setxflags f0 dax|immutable|append
  setflags f0 extents|dax|immutable|append
  setfl f0 rdwr|direct
  memory_failure f0 4K
  unlink "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
  unlink "q"*256
  unlink "d/"*2048
schedule
  T0 op 1 event 1 -> S0
  S63 op 4096 event 16777215 -> T7
  root op 0 event 3 -> T1
  T0 op 0 event 2 -> root
  T3 op 2 event 300 -> T0
)";

std::string reprinted(std::string_view text) {
  Program program;
  std::string error;
  if (!parse(text, "prog.txt", &program, &error)) { return error; }
  EXPECT_EQ(validate(program), "");
  return print(program);
}

TEST(Text, SketchOfTheContractParsesAndBecomesCanonical) {
  EXPECT_EQ(reprinted(kSketch), kSketchCanonical);
  EXPECT_EQ(reprinted(kSketchCanonical), kSketchCanonical);
}

TEST(Text, EveryOperationReadsBackAsItWasPrinted) {
  std::string text(kEverything);
  EXPECT_EQ(reprinted(text), text);
  for (const OpInfo& row : op_table()) {
    const std::string name(row.name);
    const bool used = text.find("  " + name + "\n") != std::string::npos ||
                      text.find("  " + name + " ") != std::string::npos ||
                      text.find("= " + name + " ") != std::string::npos;
    EXPECT_TRUE(used) << name << " is missing in this test";
  }
}

TEST(Text, EveryOperationSurvivesTheBinaryForm) {
  Program program;
  std::string error;
  ASSERT_TRUE(parse(kEverything, "", &program, &error)) << error;
  EXPECT_EQ(print(decode(encode(program))), kEverything);
}

TEST(Text, SpellingsThatPeopleUseAreCanonicalised) {
  EXPECT_EQ(reprinted("daxfuzz program 1\r\n"
                      "mount defaults\n"
                      "task T0\n"
                      "fallocate bad 0x0 0 0x2000   # mode as a number\n"
                      "\tfallocate bad alloc 0 8192\n"
                      "  a = open \"f\\x30\" creat|rdwr 0644\n"
                      "  f0 = open \"f\"*1\n"),
            "prog.txt:7:18: expected open flags "
            "(rdonly|wronly|rdwr|creat|excl|trunc|append|direct|sync|dsync|tmpfile|directory|"
            "nofollow|noatime|path), "
            "got the end of the line");
  EXPECT_EQ(reprinted("daxfuzz program 1\n"
                      "mount defaults\n"
                      "task T0\n"
                      "fallocate bad 0x0 0 0x2000   # mode as a number\n"
                      "\tfallocate bad alloc 0 8192\n"
                      "  a = open \"f\\x30\" creat|rdwr 0644\n"
                      "  f0 = open \"f\"*1 rdonly\n"
                      "  map = mmap a 0 4k read shared\n"
                      "  load map+4K 1\n"
                      "  load map 4K 1\n"
                      "  munmap map 4K\n"
                      "init\n"
                      "  mkdir \"unusual\" 0755\n"),
            "daxfuzz program 1\nimage small\nmount defaults\nprocess P0\ninit in P0\n  mkdir "
            "\"unusual\"\ntask T0 in P0\n"
            "  fallocate bad 0 8K\n  fallocate bad 0 8K\n  f1 = open \"f0\" rdwr|creat\n  f0 = "
            "open \"f\" rdonly\n"
            "  m0 = mmap f1 0 4K read shared\n  load m0 4K 1\n  load m0 4K 1\n  munmap m0+0 4K\n");
}

struct BadText {
  std::string_view body;  // behind "daxfuzz program 1\n"
  std::string_view error;
};

TEST(Text, ErrorsSayWhereAndWhatWasExpected) {
  static constexpr BadText kCases[] = {
      {"", "prog.txt:2:1: expected a `task` section before the end"},
      {"task T0\n  ftruncate f0 foo\n", "prog.txt:3:16: expected a size (0, 4096, 8K, 2M), got \"foo\""},
      {"task T0\n  ftruncate f0\n", "prog.txt:3:15: expected a size (0, 4096, 8K, 2M), got the end of the line"},
      {"task T0\n  frobnicate f0\n",
       "prog.txt:3:3: expected an operation (open, pread, mmap, store...), got \"frobnicate\""},
      {"task T1\n", "prog.txt:2:6: expected T0, as tasks are numbered in order, got \"T1\""},
      {"process P1\n", "prog.txt:2:9: expected P0, as processes are numbered in order, got \"P1\""},
      {"task T0 in P1\n", "prog.txt:2:12: expected a process declared above (P0), got \"P1\""},
      {"task T0\n  fsync f0 f1\n", "prog.txt:3:12: expected the end of the line, got \"f1\""},
      {"task T0\n  fsync g\n", "prog.txt:3:9: expected a descriptor assigned somewhere (f = open ...), got \"g\""},
      {"task T0\n  f = open \"f0\" rdwr\n  load f 0 1\n",
       "prog.txt:4:8: expected a mapping assigned somewhere (m = mmap ...), got \"f\""},
      {"task T0\n  x = fsync f0\n",
       "prog.txt:3:3: expected an operation without result variable (only open, dup, mmap and "
       "mremap have one), got \"x\""},
      {"task T0\n  unlink f0\n", "prog.txt:3:10: expected a path in quotes (\"f0\"), got \"f0\""},
      {"task T0\n  unlink \"f0\n", "prog.txt:3:10: expected a closing quote"},
      {"task T0\n  unlink \"\\q\"\n", "prog.txt:3:10: expected \\\", \\\\ or \\xNN behind a backslash"},
      {"task T0\n  unlink \"\\x00\"\n", "prog.txt:3:10: expected \\x01 to \\xff in a string, got \\x00"},
      {"task T0\n  unlink \"ab\"*9999\n", "prog.txt:3:10: expected a shorter string"},
      {"task T0\n  msync m0+0 4K sync|foo\n",
       "prog.txt:3:17: expected msync flags (sync|async|invalidate), got \"sync|foo\""},
      {"task T0\n  lseek f0 0 set|cur\n",
       "prog.txt:3:14: expected a whence (set, cur, end, data, hole), got \"set|cur\""},
      {"task T0\n  store m0 0 4K 0x141\n", "prog.txt:3:17: expected a fill byte (0x41, seq:0x41), got \"0x141\""},
      {"task T0\n  mkdir \"d0\" 0999\n", "prog.txt:3:14: expected a permission mode (0644), got \"0999\""},
      {"task T0\nschedule\n  T0 op x event 1 -> T1\n",
       "prog.txt:4:9: expected an operation number (1, 2...; 0 before the first), got \"x\""},
      {"task T0\nschedule\n  T0 op 1 event 1 T1\n", "prog.txt:4:19: expected `->`, got \"T1\""},
      {"task T0\nschedule\n  T0 op 1 event 1 -> irq\n",
       "prog.txt:4:22: expected a task (T0..T7), a system task (S0..S63) or root, got \"irq\""},
      {"image A\ntask T0\n", "prog.txt:2:7: expected an image name of up to 32 of a-z 0-9 _ . -, got \"A\""},
      {"mount ,\ntask T0\n", "prog.txt:2:7: expected mount options (dax=always,ro) or `defaults`, got \",\""},
      {"frob\n",
       "prog.txt:2:1: expected `image`, `mount`, `process`, `init`, `task` or `schedule`, got "
       "\"frob\""},
  };
  for (const BadText& bad : kCases) {
    EXPECT_EQ(reprinted("daxfuzz program 1\n" + std::string(bad.body)), bad.error) << bad.body;
  }
  EXPECT_EQ(reprinted(""), "prog.txt:1:1: expected `daxfuzz program 1`");
  EXPECT_EQ(reprinted("\ndaxfuzz program 1\ntask T0\n"), "prog.txt:1:1: expected `daxfuzz program 1`");
  EXPECT_EQ(reprinted("daxfuzz program 2\n"),
            "prog.txt:1:17: expected format version 1; this program was written by a newer daxfuzz");
  EXPECT_EQ(reprinted("daxfuzz program x\n"), "prog.txt:1:17: expected the format version, 1, got \"x\"");
}

TEST(Text, BoundsAreErrorsAtTheLineThatExceedsThem) {
  std::string ops = "daxfuzz program 1\ntask T0\n";
  for (int i = 0; i < 64; i++) { ops += "  sync\n"; }
  EXPECT_EQ(reprinted(ops).substr(0, 7), "daxfuzz");
  EXPECT_EQ(reprinted(ops + "  sync\n"), "prog.txt:67:3: expected at most 64 operations, got \"sync\"");
  std::string fds = "daxfuzz program 1\ntask T0\n";
  for (char c = 'a'; c < 'a' + 9; c++) { fds += std::string("  ") + c + " = open \"f0\" rdwr\n"; }
  EXPECT_EQ(reprinted(fds), "prog.txt:11:3: expected at most 8 descriptor variables, got \"i\"");
  std::string paths = "daxfuzz program 1\ntask T0\n";
  for (int i = 0; i < 17; i++) { paths += "  unlink \"name" + std::to_string(i) + "\"\n"; }
  EXPECT_EQ(reprinted(paths),
            "prog.txt:19:10: expected at most 16 unusual paths of 9000 bytes together, got \"?name16?\"");
}

// Fails by crash or sanitizer report, or by a program that is not valid.
TEST(Text, NoTextCrashesTheParser) {
  Random random(3);
  const std::string everything(kEverything);
  int parsed = 0;
  for (int round = 0; round < 20000; round++) {
    std::string text = everything;
    const uint32_t edits = 1 + random.below(6);
    for (uint32_t i = 0; i < edits; i++) {
      const size_t at = random.below(text.size());
      switch (random.below(4)) {
        case 0: text[at] = static_cast<char>(random.below(256)); break;
        case 1: text.erase(at, random.below(20)); break;
        case 2: text.insert(at, text.substr(random.below(text.size()), random.below(30))); break;
        default: text.resize(at + 1); break;
      }
    }
    Program program;
    std::string error;
    if (parse(text, "x", &program, &error)) {
      parsed++;
      ASSERT_EQ(validate(program), "") << text;
      const std::string once = print(program);
      ASSERT_EQ(reprinted(once), once);
    } else {
      ASSERT_TRUE(error.starts_with("x:")) << error;
    }
  }
  EXPECT_GT(parsed, 100);
}

TEST(Text, FormIsToldByTheMagic) {
  Program program;
  std::string error;
  const std::string text = "daxfuzz program 1\ntask T0\n  sync\n";
  const auto* bytes = reinterpret_cast<const uint8_t*>(text.data());
  ASSERT_TRUE(load({bytes, text.size()}, "x", &program, &error));
  EXPECT_EQ(program.tasks[0].ops.size(), 1u);
  ASSERT_FALSE(load({bytes, 20}, "x", &program, &error));
  EXPECT_EQ(error, "x:2:1: expected `image`, `mount`, `process`, `init`, `task` or `schedule`, got \"ta\"");
  ASSERT_TRUE(load(encode(program), "x", &program, &error));
}

}  // namespace
}  // namespace daxfuzz::prog
