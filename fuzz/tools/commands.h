// fuzz/tools/commands.h - the commands of `daxfuzz`: each adds itself to the command line.
//
// Tested by: fuzz/tools/daxfuzz_test.py.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include "fs/base/historical.h"

namespace daxfuzz::tools {

// What the chosen command does after the command line was read; returns the exit code.
using Action = std::function<int()>;

void add_fuzz(CLI::App& app, Action* action);
void add_run(CLI::App& app, Action* action);
void add_show(CLI::App& app, Action* action);
void add_pack(CLI::App& app, Action* action);
void add_measure(CLI::App& app, Action* action);
void add_minimize(CLI::App& app, Action* action);
void add_regress(CLI::App& app, Action* action);
void add_explore(CLI::App& app, Action* action);
void add_bench_bugs(CLI::App& app, Action* action);
void add_bugs(CLI::App& app, Action* action);
void add_explain(CLI::App& app, Action* action);
void add_report(CLI::App& app, Action* action);

// Sets the switches of this process. False with a message on stderr for an id that nothing matches.
bool select_bugs(const std::vector<std::string>& ids, daxfs::BugSet* bugs);
// "a b" for the ids of the set.
std::string bug_names(const daxfs::BugSet& bugs);

}  // namespace daxfuzz::tools
