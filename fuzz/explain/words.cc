// fuzz/explain/words.cc - the vocabulary of diagrams.
#include "fuzz/explain/words.h"

#include "fs/dax/entry.h"
#include "fs/mm/folio.h"
#include "fs/mm/pte.h"

namespace daxfuzz::explain {

using daxfs::Noun;
using daxfs::ObjectRef;
using daxfs::dax::Entry;
using daxfs::mm::Pte;
using daxfs::rt::HeldMode;

std::string Words::file(uint64_t ino) const {
  const auto found = files_.find(ino);
  return found == files_.end() ? "inode " + std::to_string(ino) : found->second;
}

namespace {

// To the end of the file, as a count of 0, of all pages or of all blocks says it.
bool to_the_end(const ObjectRef& pages) {
  return pages.count == 0 || pages.count > UINT32_MAX || pages.b + pages.count >= UINT32_MAX;
}

}  // namespace

std::string Words::page(const ObjectRef& page) const {
  if (page.noun != Noun::kEntry) { return {}; }
  std::string text = "page " + std::to_string(page.b);
  if (to_the_end(page)) {
    text = page.b == 0 ? "all pages" : "pages " + std::to_string(page.b) + "-";
  } else if (page.count > 1) {
    text = "pages " + std::to_string(page.b) + "-" + std::to_string(page.b + page.count - 1);
  }
  return say_file_ ? text + " of " + file(page.a) : text;
}

std::string Words::lock(const ObjectRef& lock) const {
  const ObjectName* name = recorder_.name_of(lock);
  if (name == nullptr) { return "a lock"; }
  std::string text = name->name;
  if (say_file_ && name->owner.noun == Noun::kInode) { text += " of " + file(name->owner.a); }
  return text;
}

std::string Words::call(const Step& step) const {
  std::string argument;
  const bool whole_file = step.page.b == 0 && to_the_end(step.page);
  if (step.page.noun == Noun::kEntry && whole_file) {
    argument = say_file_ ? file(step.page.a) : "";
  } else if (step.page.noun == Noun::kEntry) {
    argument = page(step.page);
  } else if (step.object.noun == Noun::kInode && say_file_) {
    argument = file(step.object.a);
  }
  return std::string(step.name) + "(" + argument + ")";
}

std::string Words::entry_value(uint64_t value) {
  const Entry entry = Entry::from_trace_value(value);
  if (entry.none()) { return "none"; }
  std::string text = entry.is_empty() ? "empty" : entry.is_zero() ? "zero page" : "block";
  if (entry.is_pmd()) { text += ", 2M"; }
  return entry.is_locked() ? text + ", locked" : text;
}

std::string Words::pte_value(uint64_t value) {
  const Pte pte = Pte::from_word(value);
  if (pte.none()) { return "none"; }
  if (pte.special()) { return "zero page"; }
  return pte.write() ? "rw" : "ro";
}

std::string Words::extent_value(uint64_t value) {
  if (value == 0) { return "hole"; }
  return (value & 1) != 0 ? "unwritten" : "written";
}

std::string Words::byte_value(uint64_t byte) {
  constexpr char kDigits[] = "0123456789abcdef";
  return std::string("0x") + kDigits[byte >> 4 & 15] + kDigits[byte & 15];
}

std::string Words::buffer_value(uint64_t value) {
  switch (static_cast<daxfs::mm::BufferState>(value)) {
    case daxfs::mm::BufferState::kNone: return "none";
    case daxfs::mm::BufferState::kDelayed: return "delayed";
    case daxfs::mm::BufferState::kUnwritten: return "unwritten";
    case daxfs::mm::BufferState::kMapped: return "mapped";
  }
  return "?";
}

std::string Words::cached_value(uint64_t value) {
  switch (static_cast<daxfs::CachedState>(value)) {
    case daxfs::CachedState::kNothing: return "none";
    case daxfs::CachedState::kHole: return "hole";
    case daxfs::CachedState::kWritten: return "written";
    case daxfs::CachedState::kUnwritten: return "unwritten";
  }
  return "?";
}

std::string Words::marks_value(uint64_t marks) {
  if (marks == 0) { return "none"; }
  const bool worker = (marks & daxfs::kRequestNeedsWorker) != 0;
  if ((marks & daxfs::kRequestConverts) == 0) { return "worker"; }
  return worker ? "convert, worker" : "convert";
}

std::string Words::request_value(uint64_t number) { return number == 0 ? "none" : std::to_string(number); }

std::string Words::size_value(uint64_t bytes) {
  return bytes != 0 && bytes % 1024 == 0 ? std::to_string(bytes / 1024) + "K" : std::to_string(bytes);
}

std::string Words::access(const Step& step) const {
  const bool write = step.kind == Step::Kind::kWrite;
  const std::string what = page(step.page);
  const std::string is = step.page.count == 1 ? " is " : " are ";
  switch (step.object.noun) {
    case Noun::kFrame: {
      const std::string frame = what.empty() ? "a frame" : what;
      if (!write) { return frame + is + (step.now > 1 ? "busy" : "idle"); }
      return (step.now > step.before ? "get " : "put ") + frame;
    }
    case Noun::kEntry: {
      const Entry before = Entry::from_trace_value(step.before);
      const Entry now = Entry::from_trace_value(step.now);
      if (!write) {
        if (step.page.count == 0) { return step.page.b == 0 ? "finds no entries" : "finds no more entries"; }
        if (now.none()) { return "no entry for " + what; }
        if (now.is_locked()) { return "entry of " + what + is + "locked"; }
        return "finds entry of " + what;
      }
      if (now.none()) { return "removes entry of " + what; }
      if (before.none() && now.is_empty()) { return "makes entry of " + what; }
      if (before == now) { return "inserts entry of " + what + " again"; }
      if (before.unlocked() == now.unlocked()) { return (now.is_locked() ? "locks" : "unlocks") + (" " + what); }
      return "inserts entry of " + what;
    }
    case Noun::kPte: {
      const Pte before = Pte::from_word(step.before);
      const Pte now = Pte::from_word(step.now);
      if (!write) { return what + is + (now.none() ? "not mapped" : "mapped"); }
      if (before == now) { return "maps " + what + " again"; }
      if (now.none()) { return "unmaps " + what; }
      if (before.none()) { return (now.special() ? "maps the zero page at " : "maps ") + what; }
      if (before.write() && !now.write()) { return "write-protects " + what; }
      return "changes the PTE of " + what;
    }
    case Noun::kExtent:
      if (!write) {
        return what + (step.now == 0 ? is + "a hole" : (step.page.count == 1 ? " has a block" : " have blocks"));
      }
      if (step.now == 0) { return "frees block of " + what; }
      return (step.before == 0 || step.before == daxfs::kUnknownValue ? "allocates block of " : "converts block of ") +
             what;
    case Noun::kDirty:
      if (!write && step.page.count == 0) {
        return step.page.b == 0 ? "finds no dirty pages" : "finds no dirty " + what;
      }
      if (!write) { return what + is + (step.now == 0 ? "clean" : "dirty"); }
      return (step.now == 0 ? "cleans " : "dirties ") + what;
    case Noun::kCacheBytes: return (write ? "stores to " : "loads from ") + what + " in the cache";
    case Noun::kBuffer:
      if (!write) { return what + " has " + (step.now == 0 ? "no" : "a") + " buffer"; }
      if (step.now == 0) { return "drops the buffer of " + what; }
      return (step.before == 0 ? "gives a buffer to " : "changes the buffer of ") + what;
    case Noun::kWriteback:
      if (!write) { return what + is + (step.now == 0 ? "not " : "") + "being written"; }
      return (step.now == 0 ? "ends writeback of " : "starts writeback of ") + what;
    case Noun::kFolioLock:
      if (!write) { return what + is + (step.now == 0 ? "unlocked" : "locked"); }
      return (step.now == 0 ? "unlocks " : "locks ") + what;
    case Noun::kCachedExtent:
      if (!write) { return "finds " + what + " cached"; }
      return (step.now == 0 ? "forgets block of " : "caches block of ") + what;
    case Noun::kBytes:
      if (!write) { return "loads from " + what; }
      return (step.object.count == daxfs::kPageSize && step.now == 0 ? "zeroes " : "stores to ") + what;
    case Noun::kSize:
      return write ? "sets the size of " + file(step.object.a) : "reads the size of " + file(step.object.a);
    default: return file_access(step);
  }
}

// Of what a file has once.
std::string Words::file_access(const Step& step) const {
  const bool write = step.kind == Step::Kind::kWrite;
  const std::string of_file = say_file_ ? " of " + file(step.object.a) : "";
  const std::string request = "request " + std::to_string(step.object.b) + of_file;
  switch (step.object.noun) {
    case Noun::kOpenFlags:
      return (write ? "changes the flags of a descriptor" : "looks at its descriptor's flags") + of_file;
    case Noun::kDiskSize: return (write ? "sets the size on disk" : "reads the size on disk") + of_file;
    case Noun::kBlockFormat:
      return (write ? "gets " : "has ") + std::string(step.now != 0 ? "extents" : "a block map") + of_file;
    case Noun::kInFlight:
      if (!write) { return (step.now == 0 ? "no request is in flight" : "requests are in flight") + of_file; }
      return (step.now > step.before ? "a request is in flight" : "a request is over") + of_file;
    case Noun::kConversions:
      if (!write) { return (step.now == 0 ? "no conversions are to come" : "conversions are to come") + of_file; }
      return (step.now > step.before ? "a conversion is to come" : "a conversion is over") + of_file;
    case Noun::kRequest: return (write ? "marks " : "looks at marks of ") + request;
    case Noun::kCurrentRequest:
      if (write) { return step.now == 0 ? "inode forgets its request" : "inode points to its request"; }
      return step.now == 0 ? "inode points to no request" : "inode points to a request";
    default: return write ? "writes" : "reads";
  }
}

std::string Words::state(const Step& step) const {
  std::string (*value)(uint64_t) = nullptr;
  std::string what;
  switch (step.object.noun) {
    case Noun::kFrame:
      value = [](uint64_t count) { return std::to_string(count); };
      what = "refs ";
      break;
    case Noun::kEntry: value = entry_value, what = "entry "; break;
    case Noun::kPte: value = pte_value, what = "pte "; break;
    case Noun::kExtent: value = extent_value, what = "block "; break;
    case Noun::kDirty: value = [](uint64_t dirty) { return std::string(dirty == 0 ? "clean" : "dirty"); }; break;
    case Noun::kSize: value = size_value, what = "size "; break;
    case Noun::kDiskSize: value = size_value, what = "disk size "; break;
    case Noun::kOpenFlags:
      value = [](uint64_t direct) { return std::string(direct == 0 ? "cached" : "direct"); };
      break;
    case Noun::kBlockFormat:
      value = [](uint64_t extents) { return std::string(extents == 0 ? "block map" : "extents"); };
      what = "format ";
      break;
    case Noun::kBuffer: value = buffer_value, what = "buffer "; break;
    case Noun::kCachedExtent: value = cached_value, what = "cached "; break;
    case Noun::kRequest: value = marks_value, what = "marks "; break;
    case Noun::kCurrentRequest: value = request_value, what = "request "; break;
    case Noun::kInFlight:
    case Noun::kConversions:
      value = [](uint64_t count) { return std::to_string(count); };
      what = step.object.noun == Noun::kInFlight ? "in flight " : "to convert ";
      break;
    case Noun::kWriteback:
      value = [](uint64_t on) { return std::string(on == 0 ? "no" : "yes"); };
      what = "writeback ";
      break;
    case Noun::kFolioLock: value = [](uint64_t on) { return std::string(on == 0 ? "unlocked" : "locked"); }; break;
    case Noun::kCacheBytes:
      value = byte_value;
      what = "cached byte " + std::to_string(step.object.b) + " ";
      break;
    case Noun::kBytes:
      value = byte_value;
      what = "byte " + std::to_string(step.object.b) + " ";
      break;
    default: return {};
  }
  const bool change = step.kind == Step::Kind::kWrite && step.before != step.now && step.before != daxfs::kUnknownValue;
  std::string text = what + (change ? value(step.before) + " -> " : "") + value(step.now);
  if (step.kind == Step::Kind::kWrite && step.seen != daxfs::kUnknownValue && value(step.seen) != value(step.before)) {
    text += ", saw " + value(step.seen);
  }
  return text;
}

std::string Words::lock_step(const Step& step) const {
  if (step.kind == Step::Kind::kUnlock) { return "unlocks " + lock(step.object); }
  switch (step.held) {
    case HeldMode::kShared: return "locks " + lock(step.object) + " shared";
    case HeldMode::kNot: return "wants " + lock(step.object);
    default: return "locks " + lock(step.object);
  }
}

std::string Words::blocks(const Step& step) const {
  if (step.object.noun == Noun::kLock) { return "waits for " + lock(step.object); }
  return "sleeps: " + std::string(step.name);
}

}  // namespace daxfuzz::explain
