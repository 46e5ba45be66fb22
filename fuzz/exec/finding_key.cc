#include "fuzz/exec/finding_key.h"

#include <algorithm>
#include <cctype>
#include <cstdio>

#include "fuzz/exec/interpreter.h"

namespace daxfuzz::exec {

using daxfs::Finding;
using daxfs::Verdict;

namespace {

void erase_all(std::string& name, std::string_view noise) {
  for (size_t at; (at = name.find(noise)) != std::string::npos;) { name.erase(at, noise.size()); }
}

}  // namespace

std::string qualified_function(std::string_view pretty) {
  std::string name(pretty);
  for (const char* noise : {"(anonymous namespace)::", "{anonymous}::", "(anonymous class)::"}) {
    erase_all(name, noise);
  }
  // Arguments of templates: spelled by one compiler, a parameter's name with the other. From inside out.
  for (size_t close = 0; (close = name.find('>', close)) != std::string::npos;) {
    const size_t open = name.rfind('<', close);
    if (open == std::string::npos) {
      ++close;  // operator-> and its like
      continue;
    }
    name.erase(open, close + 1 - open);
    close = open;
  }
  name.resize(std::min(name.find('('), name.size()));
  while (!name.empty() && (name.back() == ' ' || name.back() == ':')) { name.pop_back(); }
  const size_t space = name.rfind(' ');
  if (space != std::string::npos && name.find("operator ") == std::string::npos) { name.erase(0, space + 1); }
  while (!name.empty() && (name.front() == '*' || name.front() == '&')) { name.erase(0, 1); }
  return name;
}

std::string short_function(std::string_view pretty) {
  std::string name = qualified_function(pretty);
  erase_all(name, "daxfs::");
  return name;
}

std::string call_kind(const prog::Op& op) {
  using prog::OpCode;
  switch (op.code) {
    case OpCode::kRead:
    case OpCode::kPread:
    case OpCode::kIoSubmitPread: return "read";
    case OpCode::kWrite:
    case OpCode::kPwrite:
    case OpCode::kIoSubmitPwrite: return "write";
    case OpCode::kLoad:
    case OpCode::kStore:
    case OpCode::kTouch: return "access";
    case OpCode::kTruncate:
    case OpCode::kFtruncate: return "truncate";
    case OpCode::kFsync:
    case OpCode::kFdatasync:
    case OpCode::kMsync:
    case OpCode::kSync: return "sync";
    // Whichever lets go of an inode last removes it.
    case OpCode::kClose:
    case OpCode::kUnlink:
    case OpCode::kMunmap:
    case OpCode::kDropCaches: return "release";
    case OpCode::kFallocate: {
      if ((op.flags & prog::kFallocPunch) != 0) { return "punch"; }
      if ((op.flags & prog::kFallocCollapse) != 0) { return "collapse"; }
      if ((op.flags & prog::kFallocZero) != 0) { return "zero"; }
      if ((op.flags & prog::kFallocInsert) != 0) { return "insert"; }
      return "allocate";
    }
    default: return std::string(op.info().name);
  }
}

std::string title_shape(std::string_view title) {
  // "T1 op 2 (pread) ", "P0 set-up op 1 (open) ": whose it was is chance, and of which kind the key knows.
  if (const size_t paren = title.find(") ");
      paren != std::string_view::npos && title.substr(0, paren).find(" op ") < 12) {
    title.remove_prefix(paren + 2);
  }
  std::string shape;
  for (size_t at = 0; at < title.size();) {
    const char c = title[at];
    if (c == '"') {
      const size_t end = title.find('"', at + 1);
      at = end == std::string_view::npos ? title.size() : end + 1;
      shape += "\"\"";
    } else if (c >= '0' && c <= '9') {
      while (at < title.size() && std::isxdigit(static_cast<unsigned char>(title[at])) + (title[at] == 'x') != 0) {
        ++at;
      }
      shape += '#';
      if (shape.ends_with("#, #")) { shape.resize(shape.size() - 3); }  // a list is one thing, however long
    } else {
      shape += c;
      ++at;
    }
  }
  return shape;
}

std::string finding_title(const Finding& finding) {
  return std::string(daxfs::verdict_name(finding.verdict)) + " in " + short_function(finding.function) + ": " +
         finding.title;
}

std::string finding_key(const Finding& finding) {
  const bool loops = finding.verdict == Verdict::kLivelock;  // where the budget ends is anywhere in the loop
  const bool judged = finding.verdict == Verdict::kWrongResult || finding.verdict == Verdict::kCorruptMedia ||
                      finding.verdict == Verdict::kLeak;
  const std::string message = judged && *finding.message == '\0' ? title_shape(finding.title) : finding.message;
  const std::string text = std::string(daxfs::verdict_name(finding.verdict)) + '|' + finding.tag + '|' +
                           (loops ? "" : short_function(finding.function)) + '|' + message + '|' + finding.during +
                           (*finding.about.how != '\0' ? "|" : "") + finding.about.how;
  char key[17];
  std::snprintf(key, sizeof(key), "%016llx",
                static_cast<unsigned long long>(fnv1a64(std::as_bytes(std::span(text.data(), text.size())))));
  return key;
}

}  // namespace daxfuzz::exec
