// fuzz/explain/words.h - steps in words: "get page 0", "page 0: refs 1 -> 2", "dax_disassociate_entry(page 1)".
//
// Pages are named by their number, and by their file where several files matter; no frame number is printed that the
// allocator could choose otherwise after an edit. Tested by: fuzz/explain/explain_test.cc.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "fs/base/object_ref.h"
#include "fuzz/explain/timeline.h"

namespace daxfuzz::explain {

class Words {
 public:
  // `files`: what inodes are called. `say_file`: pages of more than one file occur.
  Words(const Recorder& recorder, std::map<uint64_t, std::string> files, bool say_file)
      : recorder_(recorder), files_(std::move(files)), say_file_(say_file) {}

  // "page 3", "pages 0-1", "page 3 of f0"; "" for no page.
  std::string page(const daxfs::ObjectRef& page) const;
  std::string file(uint64_t ino) const;
  std::string lock(const daxfs::ObjectRef& lock) const;

  std::string call(const Step& step) const;
  std::string access(const Step& step) const;
  std::string state(const Step& step) const;
  std::string lock_step(const Step& step) const;
  std::string blocks(const Step& step) const;

  // "zero page", "block", "none", "locked, block".
  static std::string entry_value(uint64_t value);
  static std::string pte_value(uint64_t value);
  static std::string extent_value(uint64_t value);
  static std::string size_value(uint64_t bytes);
  static std::string byte_value(uint64_t byte);
  static std::string buffer_value(uint64_t value);
  static std::string cached_value(uint64_t value);
  static std::string marks_value(uint64_t marks);
  static std::string request_value(uint64_t number);

 private:
  std::string file_access(const Step& step) const;

  const Recorder& recorder_;
  std::map<uint64_t, std::string> files_;
  bool say_file_;
};

}  // namespace daxfuzz::explain
