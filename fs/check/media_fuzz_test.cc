// fs/check/media_fuzz_test.cc - random corruptions: never a crash, and never another verdict than e2fsck without a
// documented reason.
#include <algorithm>
#include <cstdlib>
#include <cstring>

#include <gtest/gtest.h>

#include "fs/check/media.h"
#include "fs/check/media_test_image.h"
#include "fs/check/media_tree.h"

namespace daxfs::check {
namespace {

using test::Image;

// SplitMix64: the same sequence everywhere.
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}
  uint64_t below(uint64_t limit) { return next() % limit; }

 private:
  uint64_t next() {
    uint64_t z = state_ += 0x9e3779b97f4a7c15;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
  }
  uint64_t state_;
};

struct Subject {
  std::string name;
  Image image;
  test::Checksums checksums;
  uint64_t inode_table;
  uint32_t inode_bytes, groups;
};

const std::vector<Subject>& subjects() {
  static const std::vector<Subject> kAll = [] {
    std::vector<Subject> all;
    for (const test::Shape& shape : test::all_shapes()) {
      Image image = test::populated_image(shape);
      if (shape.blocks >= 1024) { image = test::indexed_image(image, shape.blocks >= 2048 ? 200 : 90); }
      test::Checksums checksums(image);
      const uint64_t table = test::group(image, 0).inode_table_lo;
      const media::SuperBlock sb = test::super(image);
      all.push_back({shape.name, std::move(image), std::move(checksums), table, sb.inode_size,
                     sb.inodes_count / sb.inodes_per_group});
    }
    return all;
  }();
  return kAll;
}

// A byte of metadata, mostly where fields are.
size_t choose(Random& random, const Subject& subject) {
  const std::vector<uint64_t>& metadata = subject.checksums.metadata_blocks();
  const uint32_t inode_bytes = subject.inode_bytes;
  switch (random.below(6)) {
    case 0: return 1024 + random.below(0x180);
    case 1: return 4096 + random.below(uint64_t{64} * subject.groups);
    case 2:
    case 3:
      return subject.inode_table * 4096 + random.below(25) * inode_bytes + random.below(inode_bytes > 160 ? 160 : 128);
    default: return metadata[random.below(metadata.size())] * 4096 + random.below(random.below(3) != 0 ? 256 : 4096);
  }
}

void mutate(Random& random, std::byte& byte) {
  switch (random.below(5)) {
    case 0: byte = std::byte(random.below(256)); break;
    case 1: byte ^= std::byte(1u << random.below(8)); break;
    case 2: byte = std::byte{0}; break;
    case 3: byte = std::byte{0xff}; break;
    default: byte = std::byte(std::to_integer<unsigned>(byte) + (random.below(2) != 0 ? 1 : 255)); break;
  }
}

// Times may lie in the future only for those who know the time.
bool is_time(size_t offset) {
  return (offset >= 1024 + 0x2c && offset < 1024 + 0x34) || (offset >= 1024 + 0x274 && offset < 1024 + 0x276);
}

// media.h says why these are stricter than e2fsck.
bool documented(const MediaReport& report) {
  for (const MediaProblem& problem : report.problems) {
    bool known = false;
    for (const char* phrase :
         {"unsupported", "under depth", "empty extent node", "orphan list", "has type 0", "only inode 8 is supported",
          "a journal is named", "made by Hurd", "illegal attribute block", "bad extent header", "duplicate name",
          "bad blocks inode", "passes the largest"}) {
      known = known || problem.what.find(phrase) != std::string::npos;
    }
    if (known) { return true; }
  }
  return false;
}

size_t runs_wanted(size_t otherwise) {
  const char* text = std::getenv("MEDIA_FUZZ_RUNS");
  return text != nullptr ? static_cast<size_t>(std::atol(text)) : otherwise;
}

TEST(MediaFuzz, VerdictAgreesWithE2fsckOnRandomCorruptions) {
  const size_t runs = runs_wanted(300);
  const char* seed = std::getenv("MEDIA_FUZZ_SEED");
  Random random(seed != nullptr ? static_cast<uint64_t>(std::atoll(seed)) : 1);
  MediaOptions options;
  options.expect_clean_unmount = false;  // e2fsck -n does not mind
  size_t objected = 0;
  for (size_t run = 0; run < runs; ++run) {
    const Subject& subject = subjects()[random.below(subjects().size())];
    Image image = subject.image;
    std::string changes;
    for (uint64_t left = 1 + random.below(2); left > 0; --left) {
      const size_t at = choose(random, subject);
      if (is_time(at)) { continue; }
      mutate(random, image[at]);
      changes += " " + std::to_string(at / 4096) + ":" + std::to_string(at % 4096) + "=" +
                 std::to_string(std::to_integer<unsigned>(image[at]));
    }
    if (random.below(8) != 0) { subject.checksums.refresh(image); }
    const MediaReport report = check_media(image, options);
    const test::Fsck fsck = test::run_e2fsck(image);
    objected += fsck.clean() ? 0 : 1;
    if (fsck.clean() && !report.clean()) {
      EXPECT_TRUE(documented(report)) << subject.name << changes << ": false alarm\n" << report.text();
    } else {
      EXPECT_EQ(fsck.clean(), report.clean()) << subject.name << changes << ": missed\n" << fsck.output;
    }
  }
  EXPECT_GT(objected, runs / 10);
}

class Counter : public TreeVisitor {
 public:
  void visit(const TreeEntry& entry) override {
    ++entries;
    bytes += entry.path.size() + entry.extents.size();
  }
  size_t entries = 0, bytes = 0;
};

TEST(MediaFuzz, AnyBytesAreLegalInput) {
  // What the sanitizers see is the point; the verdict does not matter.
  Random random(7);
  MediaScratch scratch;
  // One copy a subject, of exactly its size, for all runs: fresh memory costs more than the check.
  std::vector<Image> images;
  for (const Subject& subject : subjects()) { images.push_back(subject.image); }
  const size_t runs = runs_wanted(3000);
  for (size_t run = 0; run < runs; ++run) {
    const size_t which = random.below(subjects().size());
    const Subject& subject = subjects()[which];
    Image& image = images[which];
    std::copy(subject.image.begin(), subject.image.end(), image.begin());
    for (uint64_t left = random.below(40); left > 0; --left) { mutate(random, image[choose(random, subject)]); }
    if (random.below(3) != 0) { subject.checksums.refresh(image); }
    Image cut;
    if (random.below(4) == 0) {
      cut.assign(image.begin(), image.begin() + static_cast<ptrdiff_t>(random.below(image.size())));
    }
    const Image& input = cut.empty() ? image : cut;
    const MediaReport report = check_media(input, {}, scratch);
    ASSERT_LE(report.problems.size(), 64u);
    Counter counter;
    walk_tree(input, counter);
  }
}

TEST(MediaFuzz, RandomNoiseBehindAGoodSuperblockIsLegalInput) {
  Random random(9);
  MediaScratch scratch;
  for (size_t run = 0; run < 200; ++run) {
    Image image = test::populated_image(test::kSmall);
    for (size_t i = 4096 + 64; i < image.size(); ++i) {
      if (random.below(8) == 0) { image[i] = std::byte(random.below(256)); }
    }
    EXPECT_FALSE(check_media(image, {}, scratch).clean());
    Counter counter;
    walk_tree(image, counter);
  }
}

}  // namespace
}  // namespace daxfs::check
