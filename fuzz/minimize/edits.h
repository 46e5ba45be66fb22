// fuzz/minimize/edits.h - the edits that a minimizer tries: what may make a program smaller, or ready to be.
//
// Each takes a program of the right shape and returns false when it has nothing to do there. Schedules follow
// (fuzz/prog/edit.h).
//
// Tested by: fuzz/minimize/edits_test.cc
#pragma once

#include <functional>
#include <span>
#include <string_view>
#include <vector>

#include "fuzz/prog/edit.h"
#include "fuzz/prog/program.h"

namespace daxfuzz::minimize {

using Edit = std::function<bool(prog::Program&)>;

// All operations: set-up of each process, then each task.
std::vector<prog::Place> all_places(const prog::Program& program);

// Removes operations [first, first + count) of all_places().
Edit remove_range(size_t first, size_t count);
Edit remove_one(prog::Place place);
Edit drop_task(uint8_t task);
Edit drop_process(uint8_t process);
Edit set_image(std::string_view name);
Edit set_mount(std::string_view options);
// The task's first operation goes to the end of its process' set-up; its other anchors follow.
Edit first_op_to_setup(uint8_t task);
// Task `from` runs behind task `to`: one task less.
Edit append_task(uint8_t from, uint8_t to);

// Edits that make nothing smaller by themselves, but may make another operation superfluous: other names for files that
// templates have, mappings that populate, failures on order that come earlier.
std::vector<Edit> preparations(const prog::Program& program);
// One descriptor or mapping stands for another of its process, whose maker goes; a descriptor that takes over can read
// and write.
std::vector<Edit> mergers(const prog::Program& program);
// Simpler operands of one operation, each by itself, the simplest first; and unused results dropped.
std::vector<Edit> simplifications(const prog::Program& program, prog::Place place);
// The variables of each process get the lowest slots, in order of their first use.
Edit renumber_variables();

}  // namespace daxfuzz::minimize
