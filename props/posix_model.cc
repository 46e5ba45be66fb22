// props/posix_model.cc - the calls, step by step, and the search for an order.
#include "props/posix_model.h"

#include <algorithm>
#include <cstring>

#include "fuzz/prog/text.h"

namespace daxfuzz::props {

using daxfs::Errc;
using prog::OpCode;

namespace {

// What a call answers; compared with the record at its last step.
struct Reply {
  Errc error = Errc::kOk;
  int64_t ret = 0;
  bool any_ret = false;  // a descriptor number
};

std::string last_name(std::string_view path) {
  const size_t slash = path.rfind('/');
  return std::string(slash == std::string_view::npos ? path : path.substr(slash + 1));
}

// Programs have at most one directory in front of a name.
bool in_directory(std::string_view path) { return path.find('/') != std::string_view::npos; }

class Caller {
 public:
  Caller(PosixState& state, PosixCall& call) : s_(state), c_(call), r_(*call.record), op_(*call.record->op) {}

  Step take() {
    switch (op_.code) {
      case OpCode::kPread:
      case OpCode::kPwrite:
      case OpCode::kFtruncate:
      case OpCode::kFallocate:
      case OpCode::kFstat:
      case OpCode::kGetdents:
      case OpCode::kFsync: return descriptor_call();
      case OpCode::kStat: return stat_call();
      case OpCode::kLink: return link_call();
      default: return name_call();
    }
  }

 private:
  std::string path() const { return std::string(c_.program->path_text(op_.path)); }
  std::string path2() const { return std::string(c_.program->path_text(op_.path2)); }
  PosixInode& at(int inode) { return s_.inodes[static_cast<size_t>(inode)]; }
  int find(int directory, const std::string& name) {
    const auto it = at(directory).names.find(name);
    return it == at(directory).names.end() ? kNoInode : it->second;
  }
  int make(bool directory) {
    s_.inodes.push_back({.directory = directory, .links = 1, .cells = {}, .names = {}});
    return static_cast<int>(s_.inodes.size()) - 1;
  }

  Step answer(const Reply& reply) {
    if (r_.error != reply.error) { return Step::kNotSo; }
    return reply.error != Errc::kOk || reply.any_ret || r_.ret == reply.ret ? Step::kDone : Step::kNotSo;
  }
  Step fail(Errc error) { return answer({.error = error}); }

  // --- descriptors

  Step descriptor_call() {
    const int inode = s_.slots[op_.fd];
    if (inode == kNoInode) { return fail(Errc::kBadf); }
    PosixInode& file = at(inode);
    if (op_.code == OpCode::kGetdents) { return getdents(file); }
    if (op_.code == OpCode::kFsync) { return answer({}); }
    if (op_.code == OpCode::kFstat) { return same_attributes(file, /*size=*/true); }
    const auto cells = static_cast<size_t>(op_.length / kCell);
    const auto first = static_cast<size_t>(op_.offset / kCell);
    switch (op_.code) {
      case OpCode::kPread: {
        const size_t begin = std::min(first, file.cells.size());
        const size_t count = std::min(cells, file.cells.size() - begin);
        if (r_.error != Errc::kOk || r_.ret != static_cast<int64_t>(count) * kCell) { return Step::kNotSo; }
        for (size_t i = 0; i < r_.data.size(); ++i) {
          const auto expected = static_cast<std::byte>(file.cells[begin + i / kCell]);
          if (r_.data[i] != expected) { return Step::kNotSo; }
        }
        return Step::kDone;
      }
      case OpCode::kPwrite:
        if (cells != 0) {
          grow(&file, first + cells);
          std::fill_n(file.cells.begin() + static_cast<ptrdiff_t>(first), cells, static_cast<char>(op_.buffer.fill));
        }
        return answer({.ret = op_.length});
      case OpCode::kFtruncate: file.cells.resize(cells, '\0'); return answer({});
      default: return fallocate(&file, first, cells);
    }
  }

  static void grow(PosixInode* file, size_t cells) { file->cells.resize(std::max(cells, file->cells.size()), '\0'); }

  Step fallocate(PosixInode* file, size_t first, size_t cells) {
    if (cells == 0) { return fail(Errc::kInval); }
    std::string& data = file->cells;
    const uint32_t mode = op_.flags & ~uint32_t{prog::kFallocKeepSize};
    const size_t block = 4096 / kCell;
    if (mode == prog::kFallocCollapse || mode == prog::kFallocInsert) {
      if (first % block != 0 || cells % block != 0) { return fail(Errc::kInval); }
      if (mode == prog::kFallocCollapse) {
        if (first + cells >= data.size()) { return fail(Errc::kInval); }
        data.erase(first, cells);
      } else {
        if (first >= data.size()) { return fail(Errc::kInval); }
        data.insert(first, cells, '\0');
      }
      return answer({});
    }
    if ((op_.flags & prog::kFallocKeepSize) == 0) { grow(file, first + cells); }
    if (mode != 0) {  // punch or zero
      for (size_t i = first; i < std::min(first + cells, data.size()); ++i) { data[i] = '\0'; }
    }
    return answer({});
  }

  Step same_attributes(const PosixInode& inode, bool size) {
    if (r_.error != Errc::kOk) { return Step::kNotSo; }
    uint64_t row[3];
    if (r_.data.size() < sizeof(row)) { return Step::kNotSo; }
    std::memcpy(row, r_.data.data(), sizeof(row));
    if (((row[0] & 0170000) == 0040000) != inode.directory) { return Step::kNotSo; }
    if (inode.directory) { return Step::kDone; }
    if (size && c_.any_size) { return Step::kDone; }
    const uint64_t now = size ? inode.cells.size() * static_cast<uint64_t>(kCell) : static_cast<uint64_t>(inode.links);
    return row[size ? 2 : 1] == now ? Step::kDone : Step::kNotSo;
  }

  Step getdents(const PosixInode& directory) {
    if (!directory.directory) { return fail(Errc::kNotDir); }
    if (directory.links == 0) { return fail(Errc::kNoEnt); }
    if (r_.error != Errc::kOk) { return Step::kNotSo; }
    std::set<std::string> seen;
    const auto* text = reinterpret_cast<const char*>(r_.data.data());
    std::string_view rest(text, r_.data.size());
    while (!rest.empty()) {
      const size_t end = rest.find('\n');
      const std::string name(rest.substr(0, end));
      rest.remove_prefix(end + 1);
      if (c_.program_names->contains(name)) { seen.insert(name); }  // the template has others
    }
    std::set<std::string> expected;
    bool& ended = s_.read_to_end[op_.fd];
    if (!ended) {
      for (const auto& [name, inode] : directory.names) { expected.insert(name); }
    }
    ended = true;
    return seen == expected ? Step::kDone : Step::kNotSo;
  }

  // --- paths

  // The directory of a path, or an error. REQUIRES: the walk's own step.
  Errc walk(const std::string& path, int* parent) {
    *parent = 0;
    if (!in_directory(path)) { return Errc::kOk; }
    *parent = find(0, path.substr(0, path.find('/')));
    if (*parent == kNoInode) { return Errc::kNoEnt; }
    return at(*parent).directory ? Errc::kOk : Errc::kNotDir;
  }

  // A call's first two steps, each at a moment of its own: the walk, then what is there.
  Step walk_first() {
    const Errc error = walk(path(), &c_.parent);
    return error == Errc::kOk ? Step::kMore : fail(error);
  }
  Step find_first() {
    c_.inode = find(c_.parent, last_name(path()));
    return c_.inode == kNoInode ? fail(Errc::kNoEnt) : Step::kMore;
  }

  // Steps 0: the walk. Then the file; then its attributes, each at a moment of its own.
  Step stat_call() {
    switch (c_.step++) {
      case 0: return walk_first();
      case 1: return find_first();
      case 2: return same_attributes(at(c_.inode), true) == Step::kDone ? Step::kMore : Step::kNotSo;
      default: return same_attributes(at(c_.inode), false);
    }
  }

  Step link_call() {
    switch (c_.step++) {
      case 0: return walk_first();
      case 1: return find_first();
      case 2: {
        const Errc error = walk(path2(), &c_.parent2);
        return error == Errc::kOk ? Step::kMore : fail(error);
      }
      case 3: break;
      default:  // the count rose first
        at(c_.parent2).names[last_name(path2())] = c_.inode;
        return answer({});
    }
    if (find(c_.parent2, last_name(path2())) != kNoInode) { return fail(Errc::kExist); }
    if (at(c_.parent2).links == 0) { return fail(Errc::kNoEnt); }
    if (at(c_.inode).directory) { return fail(Errc::kPerm); }
    if (at(c_.inode).links == 0) { return fail(Errc::kNoEnt); }
    ++at(c_.inode).links;
    return Step::kMore;
  }

  // One or two walks, then all under the locks of the directories.
  Step name_call() {
    if (c_.count_left) {
      --at(c_.inode).links;
      return answer({});
    }
    if (c_.step == 0) {
      ++c_.step;
      return walk_first();
    }
    if (op_.code == OpCode::kRename && c_.step == 1) {
      ++c_.step;
      const Errc error = walk(path2(), &c_.parent2);
      return error == Errc::kOk ? Step::kMore : fail(error);
    }
    const std::string name = last_name(path());
    const int inode = name == "." ? c_.parent : find(c_.parent, name);
    switch (op_.code) {
      case OpCode::kOpen: return open(inode, name);
      case OpCode::kMkdir:
        if (inode != kNoInode) { return fail(Errc::kExist); }
        if (at(c_.parent).links == 0) { return fail(Errc::kNoEnt); }
        {
          const int made = make(true);
          at(c_.parent).names[name] = made;
        }
        return answer({});
      case OpCode::kUnlink:
        if (inode == kNoInode) { return fail(Errc::kNoEnt); }
        if (at(inode).directory) { return fail(Errc::kIsDir); }
        at(c_.parent).names.erase(name);
        return lower_count(inode);
      case OpCode::kRmdir:
        if (inode == kNoInode) { return fail(Errc::kNoEnt); }
        if (!at(inode).directory) { return fail(Errc::kNotDir); }
        if (!at(inode).names.empty()) { return fail(Errc::kNotEmpty); }
        at(c_.parent).names.erase(name);
        at(inode).links = 0;
        return answer({});
      default: return rename(inode, name);
    }
  }

  Step open(int inode, const std::string& name) {
    const bool creat = (op_.flags & prog::kOCreat) != 0;
    if (inode != kNoInode && creat && (op_.flags & prog::kOExcl) != 0) { return fail(Errc::kExist); }
    if (inode != kNoInode && at(inode).directory && (creat || (op_.flags & 3) != 0)) { return fail(Errc::kIsDir); }
    if (inode == kNoInode) {
      if (!creat || at(c_.parent).links == 0) { return fail(Errc::kNoEnt); }
      inode = make(false);
      at(c_.parent).names[name] = inode;
    }
    if (op_.result != prog::kNoSlot) { s_.slots[op_.result] = inode; }
    return answer({.any_ret = true});
  }

  Step rename(int inode, const std::string& name) {
    const std::string name2 = last_name(path2());
    const int there = find(c_.parent2, name2);
    if (inode == kNoInode) { return fail(Errc::kNoEnt); }
    if (inode == c_.parent2) { return fail(Errc::kInval); }    // into itself
    if (there == c_.parent) { return fail(Errc::kNotEmpty); }  // over the directory that it is in
    if (there == inode) { return answer({}); }
    if (there == kNoInode && at(c_.parent2).links == 0) { return fail(Errc::kNoEnt); }
    if (there != kNoInode) {
      if (at(inode).directory && !at(there).directory) { return fail(Errc::kNotDir); }
      if (!at(inode).directory && at(there).directory) { return fail(Errc::kIsDir); }
      if (at(there).directory && !at(there).names.empty()) { return fail(Errc::kNotEmpty); }
    }
    at(c_.parent).names.erase(name);
    at(c_.parent2).names[name2] = inode;
    if (there == kNoInode) { return answer({}); }
    if (!at(there).directory) { return lower_count(there); }
    at(there).links = 0;
    return answer({});
  }

  // Counts are changed beside names, not with them: a stat by another name may see either.
  Step lower_count(int inode) {
    c_.count_left = true;
    c_.inode = inode;
    return Step::kMore;
  }

  PosixState& s_;
  PosixCall& c_;
  const oracle::OpRecord& r_;
  const prog::Op& op_;
};

// Operations of one task, in order, the first of which may be under way.
struct Lane {
  std::vector<PosixCall> calls;
  size_t at = 0;
  bool ended() const { return at == calls.size(); }
};

class Search {
 public:
  explicit Search(std::vector<Lane> lanes) : lanes_(std::move(lanes)) {}

  bool run(const PosixState& state) {
    if (std::all_of(lanes_.begin(), lanes_.end(), [](const Lane& lane) { return lane.ended(); })) { return true; }
    if (++nodes_ > kNodesMax) { return true; }  // silent where it would take too long
    for (Lane& lane : lanes_) {
      if (lane.ended() || !may_step(lane)) { continue; }
      PosixCall& call = lane.calls[lane.at];
      const PosixCall before = call;
      PosixState next = state;
      const Step step = take_step(&next, &call);
      if (step != Step::kNotSo) {
        lane.at += step == Step::kDone ? 1 : 0;
        if (run(next)) { return true; }
        lane.at -= step == Step::kDone ? 1 : 0;
      }
      call = before;
    }
    return false;
  }

 private:
  static constexpr uint64_t kNodesMax = 200'000;

  // Not before the end of a call of another lane that ended before this one began.
  bool may_step(const Lane& lane) const {
    const uint64_t begin = lane.calls[lane.at].record->begin_seq;
    return std::all_of(lanes_.begin(), lanes_.end(), [&](const Lane& other) {
      return &other == &lane || other.ended() || other.calls[other.at].record->end_seq > begin;
    });
  }

  std::vector<Lane> lanes_;
  uint64_t nodes_ = 0;
};

}  // namespace

PosixState::PosixState() {
  inodes.push_back({.directory = true, .links = 2, .cells = {}, .names = {}});
  slots.fill(kNoInode);
}

Step take_step(PosixState* state, PosixCall* call) { return Caller(*state, *call).take(); }

namespace {

bool overlap(const oracle::OpRecord& a, const oracle::OpRecord& b) {
  return a.begin_seq < b.end_seq && b.begin_seq < a.end_seq;
}

// Every name that an operation may make or remove.
std::set<std::string> names_of(const prog::Program& program, const oracle::History& history) {
  std::set<std::string> names;
  for (const oracle::OpRecord& record : history.records) {
    const prog::OpInfo& info = record.op->info();
    if (info.has(prog::OperandKind::kPath)) { names.insert(last_name(program.path_text(record.op->path))); }
    if (info.has(prog::OperandKind::kPath2)) { names.insert(last_name(program.path_text(record.op->path2))); }
  }
  names.erase(".");
  return names;
}

}  // namespace

std::string explain_history(const prog::Program& program, const oracle::History& history) {
  const std::set<std::string> names = names_of(program, history);
  PosixState state;
  std::vector<Lane> lanes(program.tasks.size());
  for (const oracle::OpRecord& record : history.records) {
    PosixCall call;
    call.program = &program;
    call.record = &record;
    call.program_names = &names;
    call.any_size = std::any_of(history.records.begin(), history.records.end(), [&](const oracle::OpRecord& other) {
      return other.op->code == OpCode::kFallocate && (other.op->flags & prog::kFallocKeepSize) == 0 &&
             overlap(record, other);
    });
    if (record.task != oracle::kInitTask) {
      lanes[record.task].calls.push_back(call);
      continue;
    }
    Step step = Step::kMore;
    while (step == Step::kMore) { step = take_step(&state, &call); }
    if (step == Step::kNotSo) { return "set-up: " + prog::print_op(program, *record.op); }
  }
  if (Search(lanes).run(state)) { return {}; }
  std::string text = "no order of these explains their results (begin, end; result):\n";
  for (const oracle::OpRecord& record : history.records) {
    if (record.task == oracle::kInitTask) { continue; }
    text += "  T" + std::to_string(record.task) + " " + std::to_string(record.begin_seq) + ".." +
            std::to_string(record.end_seq) + " " + prog::print_op(program, *record.op) + " = " +
            (record.error == Errc::kOk ? std::to_string(record.ret) : std::string(daxfs::errc_name(record.error)));
    const bool attributes = record.op->code == OpCode::kStat || record.op->code == OpCode::kFstat;
    if (attributes && record.error == Errc::kOk) {
      uint64_t row[3];
      std::memcpy(row, record.data.data(), sizeof(row));
      text += " links " + std::to_string(row[1]) + " size " + std::to_string(row[2]);
    }
    if (record.op->code == OpCode::kPread) {
      for (size_t i = 0; i < record.data.size(); i += kCell) {
        char cell[8];
        std::snprintf(cell, sizeof cell, " %02x", static_cast<unsigned>(record.data[i]));
        text += cell;
      }
    }
    text += "\n";
  }
  return text;
}

}  // namespace daxfuzz::props
