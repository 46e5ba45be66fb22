// fuzz/oracle/names.h - the tree of names: may a path be there, be missing, be that inode?
//
// A model that follows the calls in their order. Of changes that ran at the same time it tries every order, and goes on
// with the trees that some order makes; if none explains what they returned, that is the objection. It is silent from
// changes on whose effect is no single step: links, symbolic links, and changes of a directory that another path leads
// through. A call that only looks and ran beside a change is not judged. Judged are success, and the errors that speak
// of a name's presence and kind (ENOENT, EEXIST, ENOTDIR, EISDIR, ENOTEMPTY, rename's EBUSY and EINVAL); numbers of
// links; targets of symbolic links; the listing of a directory; the names on the medium after the unmount. Objections
// have the tag NS.
//
// Not covered: other errors (errors.h), and which of two that apply comes first; attributes but the number of links;
// orders of more than four changes at the same time.
// Tested by: fuzz/oracle/names_test.cc
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "fuzz/oracle/descriptors.h"
#include "fuzz/oracle/history.h"
#include "fuzz/oracle/judge.h"
#include "fuzz/oracle/period.h"
#include "fuzz/prog/program.h"

namespace daxfuzz::oracle {

class NameTree {
 public:
  // The tree before the run. REQUIRES: a directory comes before what it holds.
  void start(std::span<const TreeName> names);
  // Calls in order of their begins, to the end of the run or to the first objection.
  std::optional<Objection> follow(const prog::Program& program, std::span<const OpRecord* const> order,
                                  const Descriptors& descriptors);
  // After follow(): what the medium holds.
  std::optional<Objection> check_medium(std::span<const TreeName> names);

 private:
  struct Node {
    NameKind kind = NameKind::kFile;
    uint32_t ino = 0;  // 0: not known
    uint32_t generation = 0;
    uint32_t links = 0;  // of a directory: 2 and one for each directory in it
    std::string target;  // of a symbolic link
    bool operator==(const Node&) const = default;
  };
  struct Entry {
    int dir;
    std::string name;
    int node;
    bool operator==(const Entry&) const = default;
  };
  // Where a path leads.
  struct Place {
    bool known = true;     // false: some rule that is not modelled decides
    bool reached = false;  // all directories on the way exist
    int dir = -1;
    std::string_view name = {};  // the last component; empty for the root, "." and ".."
    int node = -1;               // what is there; -1: nothing
  };
  struct Result {
    bool wrong = false;
    const char* why = "";
  };
  // What the tree may be.
  struct World {
    std::vector<Node> nodes;
    std::vector<Entry> entries;
    bool operator==(const World&) const = default;
  };

  int child(int dir, std::string_view name) const;
  int parent(int dir) const;
  Place walk(std::string_view path, bool follow_last) const;
  Place walk_to_change(const OpRecord& record, std::string_view path);
  Place walk_from(int at, std::string_view path, bool follow_last, int depth) const;
  bool is_dir(int node) const { return node >= 0 && nodes_[static_cast<size_t>(node)].kind == NameKind::kDirectory; }
  bool empty(int dir) const;
  int add(int dir, std::string_view name, Node node);
  void remove(int dir, std::string_view name);
  void drop(int node, int dir);
  int find(uint32_t ino, uint32_t generation) const;

  void enter(World& world);
  Result step_everywhere(const prog::Program& program, const OpRecord& record, const Descriptors& descriptors);
  bool one_step(const prog::Program& program, const OpRecord& record, bool shallow) const;
  bool in_some_order(const prog::Program& program, const Descriptors& descriptors, const World& before,
                     std::vector<World>* after);
  bool single_steps(const prog::Program& program) const;
  void gather_together(const prog::Program& program, std::span<const OpRecord* const> order, size_t first);
  void note_busy();
  std::optional<Objection> follow_together(const prog::Program& program, const Descriptors& descriptors);
  std::optional<Objection> check_world(std::span<const TreeName> names) const;
  Result step(const prog::Program& program, const OpRecord& record, const Descriptors& descriptors);
  Result open(const OpRecord& record, std::string_view path, bool trusted);
  Result attributes(const OpRecord& record, std::string_view path) const;
  Result link(const OpRecord& record, std::string_view from, std::string_view to);
  Result unlink(const OpRecord& record, std::string_view path);
  Result make(const OpRecord& record, std::string_view path, Node node);  // mkdir, symlink
  Result rmdir(const OpRecord& record, std::string_view path);
  const char* wrong_slash(const prog::Op& op, std::string_view path, std::string_view path2) const;
  const char* wrong_refusal(const OpRecord& record, const Place& source, const Place& target) const;
  Result rename(const OpRecord& record, std::string_view from, std::string_view to);
  Result getdents(const OpRecord& record, const Descriptors& descriptors) const;

  std::vector<Node> nodes_;
  std::vector<Entry> entries_;
  std::vector<Period> busy_;               // while some name changed
  std::vector<const OpRecord*> followed_;  // changes and listings
  std::vector<const OpRecord*> together_;  // changes, or tries, at the same time that are followed together
  // What the tree may be, if that is more than one; then nodes_ and entries_ are one of them.
  std::vector<World> worlds_;
  bool certain_ = false;  // still
};

}  // namespace daxfuzz::oracle
