#include "fuzz/oracle/names.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "fuzz/oracle/model.h"

namespace daxfuzz::oracle {

using daxfs::Errc;
using prog::OpCode;

namespace {

constexpr int kRoot = 0;
constexpr int kLinksMax = 8;           // symbolic links on one path; more are not followed here
constexpr size_t kNameBytesMax = 255;  // longer ones fail for their length

constexpr const char* kThroughDirectories = "said ENOTDIR where a directory is";

bool done(const OpRecord& record) { return record.error == Errc::kOk; }

// A path whose end says "a directory": most calls have rules of their own for it.
bool ends_in_slash(std::string_view path) { return path.size() > 1 && path.back() == '/'; }

// Of opens that failed: surely nothing was made.
bool surely_nothing(const OpRecord& record) {
  switch (record.error) {
    case Errc::kNotDir:
    case Errc::kNoEnt:
    case Errc::kExist:
    case Errc::kIsDir:
    case Errc::kLoop:
    case Errc::kNoSpc:
    case Errc::kNameTooLong:
    case Errc::kInval:
    case Errc::kRoFs:
    case Errc::kAccess:
    case Errc::kPerm: return true;
    default: return false;
  }
}

}  // namespace

void NameTree::start(std::span<const TreeName> names) {
  nodes_.clear();
  entries_.clear();
  certain_ = !names.empty();
  for (const TreeName& name : names) {
    const int known = name.path == "/" ? -1 : find(name.ino, name.generation);
    if (known < 0) { nodes_.push_back({name.kind, name.ino, name.generation, name.links, name.target}); }
    const int node = known >= 0 ? known : static_cast<int>(nodes_.size()) - 1;
    if (name.path == "/") { continue; }
    const size_t slash = name.path.rfind('/');
    const Place dir = walk_from(kRoot, std::string_view(name.path).substr(0, slash), false, 0);
    entries_.push_back({slash == 0 ? kRoot : dir.node, name.path.substr(slash + 1), node});
  }
}

// --- the tree

int NameTree::child(int dir, std::string_view name) const {
  for (const Entry& entry : entries_) {
    if (entry.dir == dir && entry.name == name) { return entry.node; }
  }
  return -1;
}

int NameTree::parent(int dir) const {
  for (const Entry& entry : entries_) {
    if (entry.node == dir) { return entry.dir; }
  }
  return kRoot;
}

bool NameTree::empty(int dir) const {
  return std::none_of(entries_.begin(), entries_.end(), [&](const Entry& entry) { return entry.dir == dir; });
}

int NameTree::find(uint32_t ino, uint32_t generation) const {
  for (size_t i = 0; i < nodes_.size(); ++i) {
    if (nodes_[i].ino == ino && nodes_[i].generation == generation) { return static_cast<int>(i); }
  }
  return -1;
}

int NameTree::add(int dir, std::string_view name, Node node) {
  if (node.kind == NameKind::kDirectory) { ++nodes_[static_cast<size_t>(dir)].links; }
  nodes_.push_back(std::move(node));
  entries_.push_back({dir, std::string(name), static_cast<int>(nodes_.size()) - 1});
  return static_cast<int>(nodes_.size()) - 1;
}

void NameTree::remove(int dir, std::string_view name) {
  std::erase_if(entries_, [&](const Entry& entry) { return entry.dir == dir && entry.name == name; });
}

// One name of `node`, which was in `dir`, is gone.
void NameTree::drop(int node, int dir) {
  Node& gone = nodes_[static_cast<size_t>(node)];
  if (gone.kind == NameKind::kDirectory) {
    gone.links = 0;
    --nodes_[static_cast<size_t>(dir)].links;
  } else {
    --gone.links;
  }
}

NameTree::Place NameTree::walk(std::string_view path, bool follow_last) const {
  if (path.empty() || ends_in_slash(path)) { return {.known = false}; }
  return walk_from(kRoot, path, follow_last, 0);
}

NameTree::Place NameTree::walk_from(int at, std::string_view path, bool follow_last, int depth) const {
  if (depth > kLinksMax) { return {.known = false}; }
  if (!path.empty() && path.front() == '/') { at = kRoot; }
  Place place{.reached = true, .dir = at, .node = at};
  while (true) {
    while (!path.empty() && path.front() == '/') { path.remove_prefix(1); }
    if (path.empty()) { return place; }
    const size_t slash = std::min(path.find('/'), path.size());
    const std::string_view name = path.substr(0, slash);
    path.remove_prefix(slash);
    const bool last = path.find_first_not_of('/') == std::string_view::npos;
    if (name.size() > kNameBytesMax) { return {.known = false}; }
    if (place.node < 0) { return {}; }
    if (!is_dir(place.node)) { return {}; }  // ENOTDIR
    place.dir = place.node;
    if (name == "." || name == "..") {
      if (name == "..") { place.node = parent(place.dir); }
      place.name = {};
      continue;
    }
    place.name = name;
    place.node = child(place.dir, name);
    if (place.node >= 0 && nodes_[static_cast<size_t>(place.node)].kind == NameKind::kSymlink &&
        (!last || follow_last)) {
      const std::string& target = nodes_[static_cast<size_t>(place.node)].target;
      if (target.empty() || ends_in_slash(target)) { return {.known = false}; }
      place = walk_from(place.dir, target, true, depth + 1);
      if (!place.known || !place.reached) { return place; }
    }
  }
}

// --- calls

// Of a call that succeeded on a path that ends in a slash: what no directory is, nor becomes one, has no such path.
const char* NameTree::wrong_slash(const prog::Op& op, std::string_view path, std::string_view path2) const {
  const bool first = ends_in_slash(path);
  const bool second = ends_in_slash(path2);
  const auto is_other = [&](std::string_view text, bool follow) {
    const Place place = walk(text.substr(0, text.find_last_not_of('/') + 1), follow);
    return place.known && place.reached && place.node >= 0 && !is_dir(place.node);
  };
  switch (op.code) {
    case OpCode::kOpen:
      if (first && (op.flags & (prog::kOPath | prog::kOCreat)) == prog::kOCreat) {
        return "made a file of such a path";
      }
      [[fallthrough]];
    case OpCode::kStat:
    case OpCode::kLstat:
    case OpCode::kTruncate:
    case OpCode::kStatfs: return first && is_other(path, true) ? "found what is no directory behind a slash" : nullptr;
    case OpCode::kReadlink:
    case OpCode::kUnlink: return first ? "took a path of a directory for a name" : nullptr;
    case OpCode::kLink: return first || second ? "linked a path of a directory" : nullptr;
    case OpCode::kSymlink: return second ? "made a link of such a path" : nullptr;
    case OpCode::kRename:
      if (first && is_other(path, false)) { return "moved what is no directory from behind a slash"; }
      if ((op.flags & prog::kRenameExchange) != 0) {
        return second && is_other(path2, false) ? "exchanged what is no directory behind a slash" : nullptr;
      }
      return second && is_other(path, false) ? "moved what is no directory to behind a slash" : nullptr;
    default: return nullptr;
  }
}

NameTree::Result NameTree::open(const OpRecord& record, std::string_view path, bool trusted) {
  const uint32_t flags = record.op->flags;
  constexpr uint32_t kTmpfileBit = prog::kOTmpfile & ~prog::kODirectory;
  if ((flags & prog::kOPath) == 0 && (flags & kTmpfileBit) != 0) { return {}; }
  const bool creates = (flags & prog::kOPath) == 0 && (flags & prog::kOCreat) != 0;
  const bool exclusive = creates && (flags & prog::kOExcl) != 0;
  const Place place = walk(path, (flags & prog::kONoFollow) == 0 && !exclusive);
  if (!place.known) {
    if (creates && done(record)) { certain_ = false; }
    return {};
  }
  if (!done(record)) {
    const bool there = place.reached && (place.node >= 0 || creates);
    if (record.error == Errc::kNoEnt && there) { return {true, "said ENOENT; the name was there or could be made"}; }
    if (record.error == Errc::kExist && (!exclusive || (place.reached && place.node < 0))) {
      return {true, "said EEXIST, but nothing was there"};
    }
    const bool is_directory = place.reached && place.node >= 0 && is_dir(place.node);
    if (record.error == Errc::kIsDir && !is_directory) { return {true, "said EISDIR of what is no directory"}; }
    if (record.error == Errc::kNotDir && place.reached && ((flags & prog::kODirectory) == 0 || is_directory)) {
      return {true, kThroughDirectories};
    }
    if (creates && !surely_nothing(record) && place.node < 0) { certain_ = false; }
    return {};
  }
  if (!place.reached) { return {true, "succeeded where no path led"}; }
  if (exclusive && place.node >= 0) { return {true, "made a file exclusively where a name was"}; }
  if (!creates && place.node < 0) { return {true, "opened a name that did not exist"}; }
  if (place.node < 0) {
    add(place.dir, place.name, {NameKind::kFile, trusted ? record.ino : 0, record.generation, 1, {}});
    return {};
  }
  const Node& node = nodes_[static_cast<size_t>(place.node)];
  const bool by_path = (flags & prog::kOPath) != 0;
  if ((flags & prog::kODirectory) != 0 && !is_dir(place.node)) { return {true, "opened as a directory what is none"}; }
  if (!by_path && node.kind == NameKind::kSymlink) { return {true, "opened a symbolic link"}; }
  const bool changes = creates || writable(flags) || (flags & prog::kOTrunc) != 0;
  if (!by_path && is_dir(place.node) && (changes || (flags & prog::kODirect) != 0)) {
    return {true, "opened a directory as if it were a file"};
  }
  if (trusted && node.ino != 0 && (node.ino != record.ino || node.generation != record.generation)) {
    return {true, "opened another inode than the one of that name"};
  }
  return {};
}

NameTree::Result NameTree::attributes(const OpRecord& record, std::string_view path) const {
  const OpCode code = record.op->code;
  int at = -1;
  if (code == OpCode::kFstat) {
    if (!done(record)) { return {}; }
    at = find(record.ino, record.generation);
    if (at < 0) { return {}; }
  } else {
    const Place place = walk(path, code != OpCode::kLstat && code != OpCode::kReadlink);
    if (!place.known) { return {}; }
    if (record.error == Errc::kNoEnt && place.reached && place.node >= 0) {
      return {true, "said ENOENT; the name was there"};
    }
    if (record.error == Errc::kNotDir && place.reached) { return {true, kThroughDirectories}; }
    if (record.error == Errc::kIsDir && (code != OpCode::kTruncate || !place.reached || !is_dir(place.node))) {
      return {true, "said EISDIR of what is no directory"};
    }
    if (!done(record)) { return {}; }
    if (!place.reached || place.node < 0) { return {true, "succeeded on a name that did not exist"}; }
    at = place.node;
  }
  const Node& node = nodes_[static_cast<size_t>(at)];
  if (code == OpCode::kTruncate) {
    return node.kind == NameKind::kFile ? Result{} : Result{true, "cut what is no file"};
  }
  if (code == OpCode::kReadlink) {
    const std::string_view got(reinterpret_cast<const char*>(record.data.data()), record.data.size());
    if (node.kind != NameKind::kSymlink) { return {true, "read a name that is no symbolic link"}; }
    if (got != node.target) { return {true, "gave another target than the link was made with"}; }
    return {};
  }
  if (node.ino != 0 && (node.ino != record.ino || node.generation != record.generation)) {
    return {true, "is about another inode than the one of that name"};
  }
  uint64_t row[4];  // mode, links, size, sectors
  if (record.data.size() != sizeof(row)) { return {}; }
  std::memcpy(row, record.data.data(), sizeof(row));
  if (row[1] != node.links) { return {true, "says another number of links than there are"}; }
  return {};
}

NameTree::Result NameTree::link(const OpRecord& record, std::string_view from, std::string_view to) {
  const Place source = walk(from, false);
  const Place target = walk(to, false);
  if (!source.known || !target.known) {
    if (done(record)) { certain_ = false; }
    return {};
  }
  const bool there = source.reached && source.node >= 0;
  if (record.error == Errc::kNoEnt && there && target.reached) { return {true, "said ENOENT; both paths were there"}; }
  if (record.error == Errc::kExist && target.reached && target.node < 0) {
    return {true, "said EEXIST, but nothing was there"};
  }
  if (record.error == Errc::kNotDir && source.reached && target.reached) { return {true, kThroughDirectories}; }
  if (!done(record)) { return {}; }
  if (!there) { return {true, "linked a name that did not exist"}; }
  if (!target.reached || target.node >= 0) { return {true, "made a link where a name was"}; }
  if (is_dir(source.node)) { return {true, "linked a directory"}; }
  ++nodes_[static_cast<size_t>(source.node)].links;
  entries_.push_back({target.dir, std::string(target.name), source.node});
  return {};
}

// A path of one more name, or of one less, where it is known.
NameTree::Place NameTree::walk_to_change(const OpRecord& record, std::string_view path) {
  const Place place = walk(path, false);
  if (!place.known && done(record)) { certain_ = false; }
  return place;
}

NameTree::Result NameTree::make(const OpRecord& record, std::string_view path, Node node) {
  const Place place = walk_to_change(record, path);
  if (!place.known) { return {}; }
  const bool nowhere = node.kind == NameKind::kSymlink && node.target.empty();  // ENOENT, too
  if (record.error == Errc::kNoEnt && place.reached && !nowhere) { return {true, "said ENOENT; the path was there"}; }
  if (record.error == Errc::kExist && place.reached && place.node < 0) {
    return {true, "said EEXIST, but nothing was there"};
  }
  if (record.error == Errc::kNotDir && place.reached) { return {true, kThroughDirectories}; }
  if (!done(record)) { return {}; }
  if (!place.reached || place.node >= 0) { return {true, "made a name where one was"}; }
  add(place.dir, place.name, std::move(node));
  return {};
}

NameTree::Result NameTree::unlink(const OpRecord& record, std::string_view path) {
  const Place place = walk_to_change(record, path);
  if (!place.known) { return {}; }
  const bool there = place.reached && place.node >= 0;
  if (record.error == Errc::kNoEnt && there) { return {true, "said ENOENT; the name was there"}; }
  if (record.error == Errc::kNotDir && place.reached) { return {true, kThroughDirectories}; }
  if (record.error == Errc::kIsDir && there && !is_dir(place.node)) {
    return {true, "said EISDIR of what is no directory"};
  }
  if (!done(record)) { return {}; }
  if (!there) { return {true, "removed a name that did not exist"}; }
  if (is_dir(place.node)) { return {true, "removed a directory"}; }
  remove(place.dir, place.name);
  drop(place.node, place.dir);
  return {};
}

NameTree::Result NameTree::rmdir(const OpRecord& record, std::string_view path) {
  const Place place = walk_to_change(record, path);
  if (!place.known) { return {}; }
  const bool there = place.reached && place.node >= 0;
  if (record.error == Errc::kNoEnt && there) { return {true, "said ENOENT; the name was there"}; }
  if (record.error == Errc::kNotEmpty && there && !place.name.empty() && is_dir(place.node) && empty(place.node)) {
    return {true, "said ENOTEMPTY of an empty directory"};
  }
  if (record.error == Errc::kNotDir && there && is_dir(place.node)) { return {true, kThroughDirectories}; }
  if (!done(record)) { return {}; }
  if (!there || !is_dir(place.node) || place.name.empty()) { return {true, "removed what was no directory"}; }
  if (!empty(place.node)) { return {true, "removed a directory that was not empty"}; }
  remove(place.dir, place.name);
  drop(place.node, place.dir);
  return {};
}

// Of a rename whose both paths are known. RETURNS: null if there is nothing wrong about its error.
const char* NameTree::wrong_refusal(const OpRecord& record, const Place& source, const Place& target) const {
  if (!source.reached || source.node < 0 || !target.reached) { return nullptr; }
  const bool exchanges = (record.op->flags & prog::kRenameExchange) != 0;
  const bool from_dir = is_dir(source.node);
  const bool to_dir = target.node >= 0 && is_dir(target.node);
  const bool to_file = target.node >= 0 && !to_dir;
  switch (record.error) {
    case Errc::kNotDir: return from_dir && to_file && !exchanges ? nullptr : kThroughDirectories;
    case Errc::kIsDir:
      return !from_dir && to_dir && !exchanges ? nullptr : "said EISDIR, but no file takes a directory's place";
    case Errc::kNotEmpty: return to_dir && !empty(target.node) ? nullptr : "said ENOTEMPTY of no full directory";
    case Errc::kBusy: return source.name.empty() || target.name.empty() ? nullptr : "said EBUSY of two names";
    case Errc::kInval:
      return from_dir || (record.op->flags & ~prog::kRenameNoReplace) != 0 ? nullptr : "said EINVAL of a file";
    default: return nullptr;
  }
}

NameTree::Result NameTree::rename(const OpRecord& record, std::string_view from, std::string_view to) {
  const Place source = walk(from, false);
  const Place target = walk(to, false);
  const uint32_t flags = record.op->flags;
  const bool exchanges = (flags & prog::kRenameExchange) != 0;
  if (!source.known || !target.known) {
    if (done(record)) { certain_ = false; }
    return {};
  }
  const bool there = source.reached && source.node >= 0 && !source.name.empty();
  const bool occupied = target.node >= 0;
  if (record.error == Errc::kNoEnt && there && target.reached && (!exchanges || occupied)) {
    return {true, "said ENOENT; the name was there"};
  }
  if (record.error == Errc::kExist && target.reached && !occupied) {
    return {true, "said EEXIST, but nothing was there"};
  }
  if (const char* const wrong = wrong_refusal(record, source, target)) { return {true, wrong}; }
  if (!done(record)) { return {}; }
  if (!there) { return {true, "moved a name that did not exist"}; }
  if (!target.reached || target.name.empty()) { return {true, "moved a name to where no path led"}; }
  if ((flags & prog::kRenameNoReplace) != 0 && occupied) {
    return {true, "replaced a name in spite of RENAME_NOREPLACE"};
  }
  if (exchanges && !occupied) { return {true, "exchanged a name with one that did not exist"}; }
  if (source.node == target.node) { return {}; }  // two names of one file: nothing is done
  const auto links = [&](int dir) -> uint32_t& { return nodes_[static_cast<size_t>(dir)].links; };
  if (exchanges) {
    for (Entry& entry : entries_) {
      if (entry.dir == source.dir && entry.name == source.name) {
        entry.node = target.node;
      } else if (entry.dir == target.dir && entry.name == target.name) {
        entry.node = source.node;
      }
    }
    if (is_dir(source.node)) { --links(source.dir), ++links(target.dir); }
    if (is_dir(target.node)) { --links(target.dir), ++links(source.dir); }
    return {};
  }
  if (occupied) {
    if (is_dir(source.node) != is_dir(target.node)) {
      return {true, "replaced a directory by a file, or a file by one"};
    }
    if (is_dir(target.node) && !empty(target.node)) { return {true, "replaced a directory that was not empty"}; }
    remove(target.dir, target.name);
    drop(target.node, target.dir);
  }
  const int node = source.node;
  remove(source.dir, source.name);
  if (is_dir(node)) { --links(source.dir), ++links(target.dir); }
  entries_.push_back({target.dir, std::string(target.name), node});
  if ((flags & prog::kRenameWhiteout) != 0) { add(source.dir, source.name, {NameKind::kOther, 0, 0, 1, {}}); }
  return {};
}

// The first listing through a descriptor that nothing else has moved.
NameTree::Result NameTree::getdents(const OpRecord& record, const Descriptors& descriptors) const {
  if (!done(record) || !descriptors.first_use(record)) { return {}; }
  const int dir = find(record.ino, record.generation);
  if (!is_dir(dir)) { return {}; }
  std::string_view rest(reinterpret_cast<const char*>(record.data.data()), record.data.size());
  size_t listed = 0;
  while (!rest.empty()) {
    const std::string_view name = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(name.size() + 1, rest.size()));
    if (name == "." || name == "..") { continue; }
    if (child(dir, name) < 0) { return {true, "listed a name that is not there"}; }
    ++listed;
  }
  const auto held = static_cast<size_t>(
      std::count_if(entries_.begin(), entries_.end(), [&](const Entry& entry) { return entry.dir == dir; }));
  if (listed != held) { return {true, "left out a name, or listed one twice"}; }
  return {};
}

// --- the run

NameTree::Result NameTree::step(const prog::Program& program, const OpRecord& record, const Descriptors& descriptors) {
  const prog::Op& op = *record.op;
  const auto path = [&] { return program.path_text(op.path); };
  const auto path2 = [&] { return program.path_text(op.path2); };
  if (done(record) && op.info().has(prog::OperandKind::kPath)) {
    if (const char* const wrong = wrong_slash(op, path(), path2())) { return {true, wrong}; }
  }
  switch (op.code) {
    case OpCode::kOpen: return open(record, path(), descriptors.certain(record));
    case OpCode::kStat:
    case OpCode::kLstat:
    case OpCode::kReadlink:
    case OpCode::kTruncate: return attributes(record, path());
    case OpCode::kFstat: return descriptors.certain(record) ? attributes(record, {}) : Result{};
    case OpCode::kLink: return link(record, path(), path2());
    case OpCode::kSymlink: return make(record, path2(), {NameKind::kSymlink, 0, 0, 1, std::string(path())});
    case OpCode::kUnlink: return unlink(record, path());
    case OpCode::kMkdir: return make(record, path(), {NameKind::kDirectory, 0, 0, 2, {}});
    case OpCode::kRmdir: return rmdir(record, path());
    case OpCode::kRename: return rename(record, path(), path2());
    case OpCode::kGetdents: return getdents(record, descriptors);
    default: return {};
  }
}

namespace {

constexpr size_t kTogetherMax = 4;
constexpr size_t kWorldsMax = 6;

// A call that makes, moves or removes a name, or tries to; a listing is one step of the same kind.
bool would_change(const OpRecord& record) {
  switch (record.op->code) {
    case OpCode::kRename:
    case OpCode::kUnlink:
    case OpCode::kMkdir:
    case OpCode::kRmdir: return true;
    case OpCode::kLink:
    case OpCode::kSymlink:
    case OpCode::kGetdents: return done(record);
    case OpCode::kOpen: return (record.op->flags & prog::kOCreat) != 0 && (record.op->flags & prog::kOPath) == 0;
    default: return false;
  }
}

// Takes and shows, and changes nothing.
bool only_lists(const OpRecord* record) { return record->op->code == OpCode::kGetdents; }

bool has_two_paths(OpCode code) { return code == OpCode::kRename || code == OpCode::kLink; }

bool shallow_path(std::string_view path) { return path.find('/') == std::string_view::npos; }

}  // namespace

void NameTree::enter(World& world) {
  nodes_.swap(world.nodes);
  entries_.swap(world.entries);
}

// Worlds in which the call could not have answered as it did are none.
NameTree::Result NameTree::step_everywhere(const prog::Program& program, const OpRecord& record,
                                           const Descriptors& descriptors) {
  if (worlds_.empty()) { return step(program, record, descriptors); }
  Result first;
  std::erase_if(worlds_, [&](World& world) {
    enter(world);
    const Result result = step(program, record, descriptors);
    if (result.wrong && !first.wrong) { first = result; }
    enter(world);
    return result.wrong;
  });
  return worlds_.empty() ? first : Result{};
}

// The call looks and changes under the locks of its directories, and what leads there is changed by nobody. `shallow`:
// all calls beside it and it are about names in the root directory.
bool NameTree::one_step(const prog::Program& program, const OpRecord& record, bool shallow) const {
  const OpCode code = record.op->code;
  if (code == OpCode::kLink || code == OpCode::kSymlink) { return false; }  // link looks its first path up beforehand
  if (code == OpCode::kGetdents) { return true; }
  if (!shallow && (code == OpCode::kMkdir || code == OpCode::kRmdir)) { return false; }
  const auto plain = [&](std::string_view path) {
    for (size_t end = 0; end != std::string_view::npos;) {
      end = path.find('/', end + 1);
      const Place place = walk(path.substr(0, end), false);
      if (!place.known) { return false; }
      if (place.node < 0) { continue; }
      const NameKind kind = nodes_[static_cast<size_t>(place.node)].kind;
      const bool last = end == std::string_view::npos;
      if (kind == NameKind::kSymlink || (last && !shallow && kind == NameKind::kDirectory)) { return false; }
    }
    return true;
  };
  return plain(program.path_text(record.op->path)) &&
         (!has_two_paths(code) || plain(program.path_text(record.op->path2)));
}

// The trees that the calls of together_ make of `before`, one for each order that explains what they returned. RETURNS:
// false if something is not modelled.
bool NameTree::in_some_order(const prog::Program& program, const Descriptors& descriptors, const World& before,
                             std::vector<World>* after) {
  std::array<size_t, kTogetherMax> order{};
  const size_t count = together_.size();
  for (size_t i = 0; i < count; ++i) { order[i] = i; }
  const auto now = std::span(order).first(count);
  do {
    bool fits = true;  // nobody comes before who began after another's end
    for (size_t i = 0; i < count; ++i) {
      for (size_t j = i + 1; j < count; ++j) {
        fits = fits && !period_of(*together_[now[j]]).before(period_of(*together_[now[i]]));
      }
    }
    if (!fits) { continue; }
    nodes_ = before.nodes;
    entries_ = before.entries;
    for (const size_t i : now) {
      fits = fits && !step(program, *together_[i], descriptors).wrong;
      if (!certain_) { return false; }
    }
    World made{nodes_, entries_};
    if (!fits || std::find(after->begin(), after->end(), made) != after->end()) { continue; }
    if (after->size() == kWorldsMax) { return false; }
    after->push_back(std::move(made));
  } while (std::next_permutation(now.begin(), now.end()));
  return true;
}

bool NameTree::single_steps(const prog::Program& program) const {
  const bool shallow = std::all_of(together_.begin(), together_.end(), [&](const OpRecord* record) {
    if (only_lists(record)) { return true; }
    return shallow_path(program.path_text(record->op->path)) &&
           (!has_two_paths(record->op->code) || shallow_path(program.path_text(record->op->path2)));
  });
  return together_.size() <= kTogetherMax &&
         std::all_of(together_.begin(), together_.end(),
                     [&](const OpRecord* record) { return one_step(program, *record, shallow); });
}

std::optional<Objection> NameTree::follow_together(const prog::Program& program, const Descriptors& descriptors) {
  if (worlds_.empty()) { worlds_.push_back({nodes_, entries_}); }
  std::vector<World> after;
  for (World& world : worlds_) {
    nodes_ = world.nodes;
    entries_ = world.entries;
    certain_ = certain_ && single_steps(program) && in_some_order(program, descriptors, world, &after);
    if (!certain_) { return std::nullopt; }
  }
  worlds_ = std::move(after);
  if (worlds_.empty()) {
    std::string who;
    for (const OpRecord* record : together_) { who += (who.empty() ? "" : ", ") + name_of(*record); }
    return Objection{"NS", "no order of calls at the same time explains what they returned", who};
  }
  nodes_ = worlds_.front().nodes;
  entries_ = worlds_.front().entries;
  if (worlds_.size() == 1) { worlds_.clear(); }
  return std::nullopt;
}

// The call at `first` and the others of its kind that ran at the same time, one beside the next. Listings only if all
// can be followed: else they are left out, and not judged.
void NameTree::gather_together(const prog::Program& program, std::span<const OpRecord* const> order, size_t first) {
  together_.assign(1, order[first]);
  uint64_t end = order[first]->end_seq;
  for (size_t i = first + 1; i < order.size() && order[i]->begin_seq < end; ++i) {
    const OpRecord* const other = order[i];
    if (!would_change(*other) || std::find(followed_.begin(), followed_.end(), other) != followed_.end()) { continue; }
    together_.push_back(other);
    end = std::max(end, other->end_seq);
  }
  // No order of listings matters; each may have begun beside changes that were followed already.
  if (std::all_of(together_.begin(), together_.end(), only_lists)) { together_.resize(1); }
  if (together_.size() == 1 || single_steps(program)) { return; }
  if (only_lists(order[first])) { return together_.clear(); }
  std::erase_if(together_, only_lists);
}

// What was followed together counts as done from the begin of the first: who came in between is not judged.
void NameTree::note_busy() {
  if (std::all_of(together_.begin(), together_.end(), only_lists)) { return; }
  Period busy = period_of(*together_.front());
  for (const OpRecord* record : together_) { busy.end = std::max(busy.end, record->end_seq); }
  busy_.push_back(busy);
}

std::optional<Objection> NameTree::follow(const prog::Program& program, std::span<const OpRecord* const> order,
                                          const Descriptors& descriptors) {
  busy_.clear();
  followed_.clear();
  together_.clear();
  worlds_.clear();
  for (size_t i = 0; i < order.size() && certain_; ++i) {
    const OpRecord& record = *order[i];
    const Period period = period_of(record);
    if (would_change(record)) {
      if (std::find(followed_.begin(), followed_.end(), &record) != followed_.end()) { continue; }
      gather_together(program, order, i);
      followed_.insert(followed_.end(), together_.begin(), together_.end());
      note_busy();
      if (together_.size() > 1) {
        if (auto objection = follow_together(program, descriptors)) { return objection; }
        continue;
      }
    }
    if (together_.empty() || together_.front() != &record || only_lists(&record)) {
      // Earlier ones that reach into this call, and later ones that begin in it.
      bool crowded = std::any_of(busy_.begin(), busy_.end(), [&](Period busy) { return busy.overlaps(period); });
      for (size_t j = i + 1; j < order.size() && order[j]->begin_seq < period.end; ++j) {
        crowded = crowded || (would_change(*order[j]) && !only_lists(order[j]));
      }
      if (crowded) { continue; }
    }
    const Result result = step_everywhere(program, record, descriptors);
    if (result.wrong) { return Objection{"NS", name_of(record) + " " + result.why, {}}; }
  }
  return std::nullopt;
}

std::optional<Objection> NameTree::check_medium(std::span<const TreeName> names) {
  if (!certain_) { return std::nullopt; }
  std::optional<Objection> objection = worlds_.empty() ? check_world(names) : std::nullopt;
  for (World& world : worlds_) {
    enter(world);
    objection = check_world(names);
    enter(world);
    if (!objection) { break; }
  }
  return objection;
}

std::optional<Objection> NameTree::check_world(std::span<const TreeName> names) const {
  size_t found = 0;
  for (const TreeName& name : names) {
    if (name.path == "/") { continue; }
    const Place place = walk_from(kRoot, name.path, false, 0);
    if (!place.known) { return std::nullopt; }
    ++found;
    if (!place.reached || place.node < 0) {
      return Objection{"NS", "on the medium there is a name that should not be", name.path};
    }
    const Node& node = nodes_[static_cast<size_t>(place.node)];
    if (node.kind != name.kind || (node.ino != 0 && (node.ino != name.ino || node.generation != name.generation))) {
      return Objection{"NS", "on the medium a name leads to another file than it should", name.path};
    }
    if (node.kind == NameKind::kSymlink && node.target != name.target) {
      return Objection{"NS", "on the medium a symbolic link has another target than it was made with", name.path};
    }
  }
  if (found != entries_.size()) { return Objection{"NS", "on the medium a name is missing", {}}; }
  return std::nullopt;
}

}  // namespace daxfuzz::oracle
