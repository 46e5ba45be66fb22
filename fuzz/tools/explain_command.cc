// fuzz/tools/explain_command.cc - `daxfuzz explain`: the diagram of a finding.
#include <cstdio>
#include <filesystem>
#include <memory>

#include <nlohmann/json.hpp>

#include "fuzz/explain/explain.h"
#include "fuzz/tools/commands.h"
#include "fuzz/tools/exit_code.h"
#include "fuzz/tools/files.h"
#include "fuzz/tools/finding_input.h"

namespace daxfuzz::tools {
namespace {

struct ExplainOptions {
  std::string file;
  std::vector<std::string> bugs;
  std::string svg;
  size_t width = 100;
  size_t rows = explain::Options().rows_max;
  bool force = false;
  bool json = false;
};

const char* kind_name(explain::Row::Kind kind) {
  switch (kind) {
    case explain::Row::Kind::kOp: return "operation";
    case explain::Row::Kind::kCall: return "call";
    case explain::Row::Kind::kAccess: return "access";
    case explain::Row::Kind::kLock: return "lock";
    case explain::Row::Kind::kBlocks: return "blocks";
    case explain::Row::Kind::kSwitch: return "preempted";
    case explain::Row::Kind::kFinding: return "finding";
  }
  return "?";
}

nlohmann::json to_json(const explain::Explanation& e) {
  nlohmann::json columns = nlohmann::json::array();
  for (const auto& column : e.columns) { columns.push_back(column.name); }
  nlohmann::json rows = nlohmann::json::array();
  for (const auto& row : e.rows) {
    nlohmann::json entry = {{"kind", kind_name(row.kind)},
                            {"column", row.column},
                            {"depth", row.depth},
                            {"text", row.text},
                            {"repeat", row.repeat}};
    if (!row.state.empty()) { entry["state"] = row.state; }
    if (row.kind == explain::Row::Kind::kSwitch) { entry["to"] = row.to; }
    rows.push_back(std::move(entry));
  }
  nlohmann::json without = nlohmann::json::array();
  for (const auto& c : e.counterfactuals) {
    without.push_back({{"change", c.change}, {"passes", c.passes}, {"same", c.same}, {"instead", c.verdict}});
  }
  return {{"title", e.title},   {"key", e.key},     {"tag", e.tag},
          {"trace", e.trace},   {"facts", e.facts}, {"bugs", e.bugs},
          {"columns", columns}, {"rows", rows},     {"rows_left_out", e.rows_left_out},
          {"without", without}};
}

int run_explain(const ExplainOptions& options) {
  if (!options.svg.empty() && options.svg != "-" && !options.force && std::filesystem::exists(options.svg)) {
    return usage(options.svg + " exists; --force overwrites it");
  }
  FindingInput input;
  std::string error;
  if (!load_finding(options.file, options.bugs, &input, &error)) { return usage(error); }
  exec::Executor executor;
  explain::Options wanted;
  wanted.rows_max = options.rows;
  explain::Explanation explanation;
  if (!explain::explain(executor, input.program, wanted, &explanation, &error)) {
    return usage(options.file + ": " + error);
  }
  if (!explanation.finding) {
    return usage(no_finding_message(input, options.file) + "; `daxfuzz minimize` looks for it near its schedule");
  }
  if (options.json) {
    std::printf("%s\n", to_json(explanation).dump(2).c_str());
  } else if (options.svg != "-") {
    std::printf("%s", explain::to_text(explanation, options.width).c_str());
  }
  if (!options.svg.empty() && !write_file(options.svg, explain::to_svg(explanation), &error)) { return usage(error); }
  return kExitOk;
}

}  // namespace

void add_explain(CLI::App& app, Action* action) {
  auto* command = app.add_subcommand("explain", "draw how a program comes to its finding");
  auto options = std::make_shared<ExplainOptions>();
  command->add_option("FILE", options->file, "program with its schedule, text or binary; - is standard input")
      ->required();
  command->add_option("--bug", options->bugs, "switch a historical bug on (repeatable; `daxfuzz bugs` lists them)");
  command->add_option("--svg", options->svg, "write the diagram as SVG, too; - writes only that to standard output");
  command->add_option("--width", options->width, "bytes of a line")->check(CLI::Range(80, 200));
  command->add_option("--rows", options->rows, "leave out what is furthest from the finding beyond this many rows")
      ->check(CLI::Range(10, 100000));
  command->add_flag("--force", options->force, "overwrite the SVG");
  command->add_flag("--json", options->json, "columns, rows and counterfactuals as an object");
  command->footer(
      "Columns are tasks, time goes down, `state` is what a step saw or changed. Only steps that matter are drawn.\n"
      "Examples:\n"
      "  daxfuzz explain corpus/bugs/break-layouts-lost-retry/program.txt --bug break-layouts-lost-retry\n"
      "  daxfuzz explain finding.txt --svg finding.svg");
  command->callback([=] { *action = [=] { return run_explain(*options); }; });
}

}  // namespace daxfuzz::tools
