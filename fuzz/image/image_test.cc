// fuzz/image/image_test.cc - damaged images: codecs, checksums, and that the judges speak.
#include <gtest/gtest.h>

#include "fs/check/media.h"
#include "fuzz/image/run.h"
#include "fuzz/prog/text.h"

namespace daxfuzz::image {
namespace {

Input from_text(const std::string& text) {
  Input input;
  std::string error;
  EXPECT_TRUE(parse(text, "test", &input, &error)) << error;
  return input;
}

Outcome run_once(const Input& input) {
  static Runner runner;
  Outcome outcome;
  runner.run(input, {}, &outcome);
  return outcome;
}

constexpr char kUse[] =
    "program\ndaxfuzz program 1\nimage small\nmount dax=inode\nprocess P0\ntask T0 in P0\n  f0 = "
    "open \"f4\" rdwr\n"
    "  pread f0 buf 64K 0\n  pwrite f0 0x41 8K 4K\n  f1 = open \"d1\" rdonly\n  getdents f1\n  "
    "readlink \"l1\"\n";

TEST(ImageInput, TextAndBytesSayTheSame) {
  prog::Random random(1);
  for (unsigned round = 0; round < 200; ++round) {
    Input input;
    input.image = static_cast<uint8_t>(random.below(image_names().size()));
    for (unsigned i = 0; i < round % 12; ++i) { mutate_damage(&input, random); }
    EXPECT_EQ(input, load(encode(input)));
    const std::string text = print(input);
    EXPECT_EQ(input, from_text(text)) << text;
    const std::span bytes(reinterpret_cast<const uint8_t*>(text.data()), text.size());
    EXPECT_EQ(input, load(bytes));
  }
}

TEST(ImageInput, AnyBytesAreAnInput) {
  prog::Random random(2);
  for (unsigned round = 0; round < 300; ++round) {
    std::vector<uint8_t> bytes(random.below(400));
    for (uint8_t& byte : bytes) { byte = static_cast<uint8_t>(random.next()); }
    const Input input = load(bytes);
    EXPECT_EQ(input, load(encode(input)));
    bytes.resize(bytes.size() + 1000);
    const size_t size = mutate_bytes(bytes.data(), bytes.size() - 1000, bytes.size(), round);
    EXPECT_LE(size, bytes.size());
    const size_t small = mutate_bytes(bytes.data(), size, size / 2, round);
    EXPECT_LE(small, size / 2);
  }
}

TEST(ImageInput, AMistakeIsNamedWithItsLine) {
  Input input;
  std::string error;
  EXPECT_FALSE(parse("daxfuzz image 1\nimage rich\npatch nose 1 +0 set1 2\n", "x", &input, &error));
  EXPECT_EQ("x:3: expected `patch PART NUMBER +OFFSET set4 VALUE`", error);
  EXPECT_FALSE(parse("daxfuzz image 1\nimage none\n", "x", &input, &error));
  EXPECT_EQ("x:2: expected an image: rich, orphans, ...", error);
}

TEST(ImageAnatomy, EveryImageHasItsPartsAndRightChecksums) {
  for (size_t i = 0; i < image_names().size(); ++i) {
    const Image& image = image_at(i);
    daxfs::check::MediaOptions options;
    options.expect_clean_unmount = false;
    if (image.name != "orphans") {
      EXPECT_EQ("", daxfs::check::check_media(image.bytes, options).text()) << image.name;
    }
    std::vector<std::byte> renewed = image.bytes;
    image.anatomy.renew(renewed);
    EXPECT_TRUE(image.bytes == renewed) << image.name;
    for (const Part part : {Part::kExtents, Part::kDirectory, Part::kIndex, Part::kXattr}) {
      EXPECT_NE(0u, image.anatomy.sites(part).front().ino) << image.name << " " << part_name(part);
    }
  }
}

TEST(ImageRun, SoundImagesAreUsedWithoutComplaint) {
  for (const std::string_view name : image_names()) {
    const Outcome outcome =
        run_once(from_text("daxfuzz image 1\nimage " + std::string(name) + "\nchecksums renewed\n" + kUse));
    EXPECT_FALSE(outcome.finding.has_value()) << name << ": " << outcome.finding->title << outcome.finding->detail;
    EXPECT_TRUE(outcome.mounted) << name << ": " << outcome.mount_message;
    EXPECT_TRUE(outcome.sound || name == "orphans") << name;
    EXPECT_EQ(0u, outcome.corrupted) << name;
  }
}

TEST(ImageRun, DamageIsAnErrorReturnAndTheNextRunKnowsNothingOfIt) {
  const std::string good = std::string("daxfuzz image 1\nimage rich\nchecksums renewed\n") + kUse;
  const Outcome before = run_once(from_text(good));
  // The node of f4's tree, and the superblock's magic.
  const Outcome node = run_once(from_text(std::string("daxfuzz image 1\nimage rich\nchecksums renewed\npatch "
                                                      "extents 0 +0 set2 0\npatch extents 1 +0 set2 0\n") +
                                          kUse));
  EXPECT_FALSE(node.sound);
  EXPECT_TRUE(node.mounted);
  EXPECT_FALSE(node.finding.has_value()) << node.finding->title;
  EXPECT_GT(node.corrupted, 0u);
  const Outcome super = run_once(
      from_text(std::string("daxfuzz image 1\nimage rich\nchecksums kept\npatch super 0 +0x38 set2 7\n") + kUse));
  EXPECT_FALSE(super.mounted);
  EXPECT_NE("", super.mount_message);
  EXPECT_EQ(before.trace_hash, run_once(from_text(good)).trace_hash);
}

}  // namespace
}  // namespace daxfuzz::image
