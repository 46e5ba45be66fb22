// fuzz/prog/lexer.h - lines of a program's text as words.
//
// A word is a run of bytes without white space, or a quoted string with what follows it up to white
// space. `#` at the start of a word begins a comment. Carriage returns are white space.
//
// Tested by: fuzz/prog/text_test.cc
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace daxfuzz::prog {

struct Word {
  std::string_view text;
  uint32_t column = 1;
};

class Lexer {
 public:
  static constexpr size_t kWordsMax = 16;  // longer than any line of the grammar; more are dropped, `overflow` is set

  explicit Lexer(std::string_view text) : rest_(text) {}

  // Advances to the next line that has words; false at the end of the text.
  bool next_line();

  uint32_t line() const { return line_; }
  size_t size() const { return count_; }
  const Word& word(size_t index) const { return words_[index]; }
  bool overflow() const { return overflow_; }
  bool indented() const { return indented_; }
  // Column just behind the last word.
  uint32_t end_column() const { return end_column_; }

 private:
  void split(std::string_view line);

  std::string_view rest_;
  uint32_t line_ = 0;
  size_t count_ = 0;
  bool overflow_ = false;
  bool indented_ = false;
  uint32_t end_column_ = 1;
  std::array<Word, kWordsMax> words_;
};

// Reads a string word: `"text"` or `"text"*N`, with \" \\ and \xNN inside (not \x00). Null when it
// is one, otherwise what is wrong with it.
const char* unquote(std::string_view word, size_t bytes_max, std::string* out);

}  // namespace daxfuzz::prog
