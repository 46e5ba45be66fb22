// fuzz/prog/lexer.cc - lines of a program's text as words.
#include "fuzz/prog/lexer.h"

#include <algorithm>

namespace daxfuzz::prog {
namespace {

bool is_space(char c) { return c == ' ' || c == '\t' || c == '\r'; }

int hex_digit(char c) {
  if (c >= '0' && c <= '9') { return c - '0'; }
  if (c >= 'a' && c <= 'f') { return c - 'a' + 10; }
  if (c >= 'A' && c <= 'F') { return c - 'A' + 10; }
  return -1;
}

// Index behind the closing quote of the string that starts at `line[i]`, or the line's end.
size_t skip_quoted(std::string_view line, size_t i) {
  i++;
  while (i < line.size() && line[i] != '"') { i += line[i] == '\\' ? 2 : 1; }
  return std::min(i + 1, line.size());
}

}  // namespace

bool Lexer::next_line() {
  while (!rest_.empty()) {
    const size_t end = std::min(rest_.find('\n'), rest_.size());
    const std::string_view line = rest_.substr(0, end);
    rest_.remove_prefix(std::min(end + 1, rest_.size()));
    line_++;
    split(line);
    if (count_ > 0) { return true; }
  }
  return false;
}

void Lexer::split(std::string_view line) {
  count_ = 0;
  overflow_ = false;
  indented_ = !line.empty() && is_space(line.front());
  size_t i = 0;
  while (true) {
    while (i < line.size() && is_space(line[i])) { i++; }
    if (i >= line.size() || line[i] == '#') { return; }
    const size_t begin = i;
    if (line[i] == '"') { i = skip_quoted(line, i); }
    while (i < line.size() && !is_space(line[i])) { i++; }
    end_column_ = static_cast<uint32_t>(i + 1);
    if (count_ == kWordsMax) {
      overflow_ = true;
      return;
    }
    words_[count_++] = Word{line.substr(begin, i - begin), static_cast<uint32_t>(begin + 1)};
  }
}

const char* unquote(std::string_view word, size_t bytes_max, std::string* out) {
  out->clear();
  if (word.empty() || word.front() != '"') { return "expected a quoted string"; }
  size_t i = 1;
  while (i < word.size() && word[i] != '"') {
    if (word[i] != '\\') {
      if (word[i] == '\0') { return "expected \\x01 to \\xff in a string, got a NUL byte"; }
      out->push_back(word[i++]);
      continue;
    }
    const char kind = i + 1 < word.size() ? word[i + 1] : '\0';
    if (kind == '"' || kind == '\\') {
      out->push_back(kind);
      i += 2;
    } else if (kind == 'x' && i + 3 < word.size() && hex_digit(word[i + 2]) >= 0 && hex_digit(word[i + 3]) >= 0) {
      const int byte = hex_digit(word[i + 2]) * 16 + hex_digit(word[i + 3]);
      if (byte == 0) { return "expected \\x01 to \\xff in a string, got \\x00"; }
      out->push_back(static_cast<char>(byte));
      i += 4;
    } else {
      return "expected \\\", \\\\ or \\xNN behind a backslash";
    }
  }
  if (i >= word.size()) { return "expected a closing quote"; }
  std::string_view tail = word.substr(i + 1);
  if (!tail.empty()) {
    if (tail.front() != '*' || tail.size() < 2 || tail.size() > 5) {
      return "expected *COUNT or a space behind the quote";
    }
    size_t count = 0;
    for (char c : tail.substr(1)) {
      if (c < '0' || c > '9') { return "expected *COUNT or a space behind the quote"; }
      count = count * 10 + static_cast<size_t>(c - '0');
    }
    if (out->size() * count > bytes_max) { return "expected a shorter string"; }
    const std::string unit = *out;
    out->clear();
    for (size_t k = 0; k < count; k++) { out->append(unit); }
  }
  return out->size() > bytes_max ? "expected a shorter string" : nullptr;
}

}  // namespace daxfuzz::prog
