#include "fs/check/media.h"

#include <cstdarg>
#include <utility>

#include "fs/base/text.h"
#include "fs/check/media_context.h"

namespace daxfs::check {
namespace media {

void complain(Context& c, At at, const char* format, ...) {
  if (c.report.problems.size() >= c.options.problems_max && !c.report.problems.empty()) { return; }
  std::string where = std::string(at.noun) + ' ' + std::to_string(at.number);
  if (at.noun2 != nullptr) { where.append(" ").append(at.noun2).append(" ").append(std::to_string(at.number2)); }
  va_list args;
  va_start(args, format);
  c.report.problems.push_back({std::move(where), vformat(format, args)});
  va_end(args);
}

bool claim(Context& c, uint64_t first, uint64_t count) {
  std::vector<uint64_t>& used = c.s.used;
  bool free = true;
  uint64_t taken = 0;
  uint64_t begin = first;
  const uint64_t end = first + count;
  while (begin < end) {
    const uint64_t word = begin / 64;
    const uint64_t low = begin % 64;
    const uint64_t span = std::min<uint64_t>(64 - low, end - begin);
    const uint64_t mask = (span == 64 ? ~uint64_t{0} : (uint64_t{1} << span) - 1) << low;
    free = free && (used[word] & mask) == 0;
    taken += static_cast<unsigned>(std::popcount(mask & ~used[word]));
    used[word] |= mask;
    begin += span;
  }
  c.s.blocks_claimed += taken;
  return free;
}

bool known_good(const Context& c, uint64_t block_number, uint32_t owner_seed) {
  const std::span<const uint64_t> changed = c.options.changed_blocks;
  const std::vector<uint32_t>& good = c.s.good_seed;
  if (block_number / 64 >= changed.size() || block_number >= good.size() || c.s.recording) { return false; }
  const bool same = (changed[block_number / 64] >> (block_number % 64) & 1) == 0;
  return same && owner_seed != 0 && good[block_number] == owner_seed;
}

void remember_good(Context& c, uint64_t block_number, uint32_t owner_seed) {
  if (c.s.recording && block_number < c.s.good_seed.size()) { c.s.good_seed[block_number] = owner_seed; }
}

namespace {

void run(Context& c) {
  if (!check_super(c) || !check_group_descs(c)) { return; }
  check_resize_inode(c);
  check_inodes(c);
  check_xattr_refcounts(c);
  check_directories(c);
  check_links(c);
  check_journal(c);
  check_bitmaps(c);
  c.report.blocks_used = c.s.blocks_claimed;
}

}  // namespace
}  // namespace media

MediaScratch::MediaScratch() : state_(std::make_unique<State>()) {}
MediaScratch::~MediaScratch() = default;

bool MediaScratch::set_baseline(std::span<const std::byte> image) {
  state_->good_seed.assign(image.size() / media::kBlockBytes, 0);
  state_->recording = true;
  const bool clean = check_media(image, {}, *this).clean();
  state_->recording = false;
  if (!clean) { state_->good_seed.clear(); }
  return clean;
}

std::string MediaReport::text() const {
  std::string text;
  for (const MediaProblem& problem : problems) { text += problem.where + ": " + problem.what + "\n"; }
  return text;
}

MediaReport check_media(std::span<const std::byte> image, const MediaOptions& options, MediaScratch& scratch) {
  MediaReport report;
  media::Context c{
      .base = image.data(), .image_bytes = image.size(), .s = scratch.state(), .report = report, .options = options};
  media::run(c);
  return report;
}

MediaReport check_media(std::span<const std::byte> image, const MediaOptions& options) {
  MediaScratch scratch;
  return check_media(image, options, scratch);
}

}  // namespace daxfs::check
