// fuzz/report/report.h - everything that the report of one finding says, whatever its format: a
// value.
//
// collect.h fills it, formats.h writes it. Texts are printable ASCII: names in programs may hold
// any bytes, and mails, JSON and terminals shall not have to care.
//
// Tested by: fuzz/report/collect_test.cc.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "fs/base/report.h"
#include "fs/rt/engine.h"
#include "fuzz/explain/explanation.h"
#include "fuzz/explain/recorder.h"
#include "fuzz/prog/program.h"

namespace daxfuzz::report {

// One property of an object that the finding is about.
struct StateLine {
  std::string object;      // "page 1 of f0"
  std::string property;    // "refs"
  std::string before;      // when the tasks began; "" if nobody looked
  std::string after;       // at the finding; of one noticed at rest: when the last task ended
  std::string changed_by;  // "T1 in unmap_mapping_pages()", "" if nobody changed it meanwhile
};

// A line of the program's text, and what is to be said about it.
struct ListingLine {
  enum class Kind : uint8_t { kHead, kSection, kOp, kPreemption };
  Kind kind = Kind::kHead;
  std::string text;
  std::string note;   // of a preempted operation: "(1) (2)"; of a preemption: "(1) after page 0 is busy"
  size_t number = 0;  // from 1
  int task = -1;      // kOp: whose; -1 in the set-up
  uint32_t op = 0;
};

struct BugNote {
  std::string id, catalogue, source, title;
};

struct Invariant {
  std::string tag, text,
      declared;  // `declared`: a header; "" when the tag is not in docs/invariants.md
};

struct Environment {
  std::string version;   // of daxfuzz
  std::string revision;  // of its sources: "1b864d2a9c3f with local changes"; "" where no git knew
  std::string flavour;   // "fiber, AddressSanitizer"
  std::string compiler;
  unsigned format = prog::kFormatVersion;
  size_t bugs_compiled_in = 0;
};

// The run with everything that it told.
struct Recording {
  explain::Recorder recorder;
  std::vector<daxfs::rt::TakenSwitch> taken;
  std::vector<std::pair<uint64_t, std::string>> files;  // inode, what the program calls it
  uint64_t events = 0;
};

struct Report {
  std::string file;  // of the program, as people shall type it
  prog::Program program;
  daxfs::Finding finding;
  std::string verdict;   // "WARNING"
  std::string title;     // "WARNING in dax::f: what was wrong"
  std::string message;   // "what was wrong"
  std::string function;  // "dax::f"
  std::string site;      // "fs/dax/entry_owner.cc:52"
  std::string detail;    // many lines
  std::string key, trace;
  Invariant invariant;
  unsigned replays = 0;  // with this key and trace, one after the other
  explain::Explanation explanation;
  std::vector<ListingLine> listing;
  std::vector<StateLine> states;
  std::vector<BugNote> bugs;      // switched on in this run
  std::vector<BugNote> same_key;  // of other historical bugs whose own programs show the same finding
  Environment environment;
  std::shared_ptr<const Recording> recording;
};

// Of "../../fs/dax/x.cc" what is the same on every machine.
std::string site_path(std::string_view file);
// Bytes that are not printable ASCII as \xNN; line ends stay.
std::string printable(std::string_view text);
// " --bug a --bug b"
std::string bug_options(const Report& report);
// The program's text with the notes as comments; parses as the same program. Notes that would make
// a line longer than `width` stand on lines of their own.
std::string listing_text(const Report& report, size_t width);

}  // namespace daxfuzz::report
