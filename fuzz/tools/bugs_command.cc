// fuzz/tools/bugs_command.cc - `daxfuzz bugs`: the historical bugs compiled in.
#include <cstdio>

#include <nlohmann/json.hpp>

#include "fuzz/tools/commands.h"
#include "fuzz/tools/exit_code.h"

namespace daxfuzz::tools {
namespace {

std::string text(std::string_view view) { return std::string(view); }

nlohmann::json to_json(const daxfs::BugInfo& info) {
  nlohmann::json oracles = nlohmann::json::array();
  for (std::string_view rest = info.oracles; !rest.empty();) {
    const size_t space = rest.find(' ');
    oracles.push_back(text(rest.substr(0, space)));
    rest.remove_prefix(space == std::string_view::npos ? rest.size() : space + 1);
  }
  return {{"id", text(info.id)},
          {"catalogue", text(info.catalogue)},
          {"source", text(info.source)},
          {"title", text(info.title)},
          {"oracles", oracles}};
}

int list_bugs(const std::string& id, bool json) {
  daxfs::BugSet wanted;
  if (id.empty()) {
    wanted.set();
  } else if (!select_bugs({id}, &wanted)) {
    return kExitUsage;
  }
  nlohmann::json list = nlohmann::json::array();
  for (const auto& info : daxfs::historical_bugs()) {
    if (!wanted[static_cast<size_t>(info.bug)]) { continue; }
    if (json) {
      list.push_back(to_json(info));
    } else {
      std::printf("%-50s %-4s %s\n    source %s; must be caught by %s\n", text(info.id).c_str(),
                  text(info.catalogue).c_str(), text(info.title).c_str(), text(info.source).c_str(),
                  text(info.oracles).c_str());
    }
  }
  if (json) {
    std::printf("%s\n", nlohmann::json{{"bugs", list}}.dump(2).c_str());
  } else if (daxfs::historical_bugs().empty()) {
    std::printf("no historical bugs are compiled in (DAXFS_HISTORICAL_BUGS=OFF)\n");
  }
  return kExitOk;
}

}  // namespace

bool select_bugs(const std::vector<std::string>& ids, daxfs::BugSet* bugs) {
  for (const std::string& id : ids) {
    if (daxfs::select_historical(id, bugs) == 0) {
      std::fprintf(stderr, "daxfuzz: no historical bug '%s'; `daxfuzz bugs` lists them\n", id.c_str());
      return false;
    }
  }
  return true;
}

std::string bug_names(const daxfs::BugSet& bugs) {
  std::string names;
  for (const auto& info : daxfs::historical_bugs()) {
    if (!bugs[static_cast<size_t>(info.bug)]) { continue; }
    if (!names.empty()) { names += ' '; }
    names += info.id;
  }
  return names;
}

void add_bugs(CLI::App& app, Action* action) {
  auto* command = app.add_subcommand("bugs", "list the historical bugs compiled in");
  auto id = std::make_shared<std::string>();
  auto json = std::make_shared<bool>(false);
  command->add_option("ID", *id, "this one, or all variants of this name");
  command->add_flag("--json", *json, "as {\"bugs\":[...]}");
  command->footer("Example: daxfuzz bugs no-break-layouts-at-all");
  command->callback([=] { *action = [=] { return list_bugs(*id, *json); }; });
}

}  // namespace daxfuzz::tools
