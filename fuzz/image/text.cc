// fuzz/image/text.cc - inputs of image_fuzzer as people read and write them.
#include "fuzz/prog/text.h"

#include <charconv>
#include <cstdio>

#include "fuzz/image/images.h"

namespace daxfuzz::image {
namespace {

constexpr std::string_view kMagic = "daxfuzz image 1";
constexpr std::string_view kEdits[] = {"set", "add", "flip", "fill", "copy"};

// Numbers of inodes count from 1, of everything else from 0.
unsigned first_number(Part part) { return part == Part::kInode ? 1 : 0; }

std::string_view next_word(std::string_view* line) {
  const size_t begin = std::min(line->find_first_not_of(" \t\r"), line->size());
  const size_t end = std::min(line->find_first_of(" \t\r", begin), line->size());
  const std::string_view word = line->substr(begin, end - begin);
  line->remove_prefix(end);
  return word;
}

std::string_view next_line(std::string_view* text) {
  const size_t end = std::min(text->find('\n'), text->size());
  const std::string_view line = text->substr(0, end);
  text->remove_prefix(std::min(end + 1, text->size()));
  return line;
}

bool number(std::string_view word, uint64_t max, uint64_t* value) {
  const bool negative = word.starts_with('-');
  if (negative) { word.remove_prefix(1); }
  const int base = word.starts_with("0x") ? 16 : 10;
  if (base == 16) { word.remove_prefix(2); }
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), *value, base);
  const bool good = error == std::errc() && end == word.data() + word.size() && *value <= max && !word.empty();
  if (negative) { *value = (0 - *value) & max; }
  return good;
}

// `inode 12 +0x28 set4 0xffffffff`; false if it is none.
bool parse_patch(std::string_view words, Patch* patch) {
  const std::string_view part = next_word(&words);
  bool known = false;
  for (size_t i = 0; i < kParts; ++i) {
    if (part_name(static_cast<Part>(i)) == part) {
      patch->part = static_cast<Part>(i);
      known = true;
    }
  }
  uint64_t site = 0;
  uint64_t offset = 0;
  uint64_t value = 0;
  uint64_t width = 1;
  known = known && number(next_word(&words), UINT16_MAX, &site) && site >= first_number(patch->part);
  std::string_view at = next_word(&words);
  known = known && at.starts_with('+') && number(at.substr(1), UINT16_MAX, &offset);
  std::string_view edit = next_word(&words);
  bool edits = false;
  for (size_t i = 0; i < std::size(kEdits); ++i) {
    if (edit.starts_with(kEdits[i])) {
      patch->edit = static_cast<Edit>(i);
      edits = number(edit.substr(kEdits[i].size()), 8, &width) && (width & (width - 1)) == 0 && width != 0;
    }
  }
  known = known && edits && number(next_word(&words), UINT32_MAX, &value) && next_word(&words).empty();
  patch->site = static_cast<uint16_t>(site - first_number(patch->part));
  patch->offset = static_cast<uint16_t>(offset);
  patch->width = static_cast<uint8_t>(width);
  patch->value = static_cast<uint32_t>(value);
  return known;
}

}  // namespace

bool is_text(std::span<const uint8_t> bytes) {
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  return text.starts_with(kMagic);
}

bool parse(std::string_view text, std::string_view name, Input* input, std::string* error) {
  *input = {};
  unsigned lines = 1;
  const auto expected = [&](std::string_view what) {
    *error = std::string(name) + ":" + std::to_string(lines) + ": expected " + std::string(what);
    return false;
  };
  if (!next_line(&text).starts_with(kMagic)) { return expected("`daxfuzz image 1`"); }
  while (!text.empty()) {
    ++lines;
    std::string_view line = next_line(&text);
    line = line.substr(0, line.find('#'));
    const std::string_view verb = next_word(&line);
    if (verb.empty()) { continue; }
    if (verb == "program") {
      const size_t begin = text.find_first_not_of(" \t\r\n");
      if (begin == std::string_view::npos) { return true; }
      return prog::parse(text, std::string(name) + " from line " + std::to_string(lines + 1) + " on", &input->program,
                         error);
    }
    if (verb == "image") {
      const std::string_view word = next_word(&line);
      size_t at = 0;
      while (at < image_names().size() && image_names()[at] != word) { ++at; }
      if (at == image_names().size()) { return expected("an image: rich, orphans, ..."); }
      input->image = static_cast<uint8_t>(at);
    } else if (verb == "checksums") {
      const std::string_view word = next_word(&line);
      if (word != "renewed" && word != "kept") { return expected("`checksums renewed` or `checksums kept`"); }
      input->renew = word == "renewed";
    } else if (verb == "patch") {
      Patch patch;
      if (!parse_patch(line, &patch)) { return expected("`patch PART NUMBER +OFFSET set4 VALUE`"); }
      if (input->patches.size() == kPatchesMax) { return expected("at most 32 patches"); }
      input->patches.push_back(patch);
    } else {
      return expected("`image`, `checksums`, `patch` or `program`");
    }
  }
  return true;
}

std::string print(const Input& input) {
  std::string text = std::string(kMagic) + "\nimage " + std::string(image_names()[input.image]) + "\nchecksums " +
                     (input.renew ? "renewed" : "kept") + "\n";
  for (const Patch& patch : input.patches) {
    char line[96];
    std::snprintf(line, sizeof(line), "patch %s %u +0x%x %s%u 0x%x\n", std::string(part_name(patch.part)).c_str(),
                  patch.site + first_number(patch.part), patch.offset,
                  std::string(kEdits[static_cast<size_t>(patch.edit)]).c_str(), patch.width, patch.value);
    text += line;
  }
  return text + "program\n" + prog::print(input.program);
}

}  // namespace daxfuzz::image
