// fuzz/tools/regress_command.cc - `daxfuzz regress`: file a finding so that it stays repaired, replay what was filed.
#include <algorithm>
#include <cctype>
#include <cstdio>
#include <filesystem>

#include <nlohmann/json.hpp>

#include "fuzz/minimize/near_search.h"
#include "fuzz/prog/text.h"
#include "fuzz/tools/commands.h"
#include "fuzz/tools/exec_subject.h"
#include "fuzz/tools/exit_code.h"
#include "fuzz/tools/files.h"
#include "fuzz/tools/finding_input.h"
#include "fuzz/tools/regress.h"

namespace daxfuzz::tools {
namespace {

constexpr const char* kFolder = "corpus/regress";

struct RegressOptions {
  std::string file, name, folder = kFolder;
  std::vector<std::string> files, bugs;
  bool force = false, update = false, json = false;
};

// "dax-disassociate-entry-4a3fa81d"
std::string name_for(const daxfs::Finding* finding, const FindingInput& input) {
  std::string name;
  for (const char c : finding != nullptr ? exec::short_function(finding->function) : std::string("finding")) {
    const bool plain = std::isalnum(static_cast<unsigned char>(c)) != 0;
    if (plain) { name += static_cast<char>(std::tolower(static_cast<unsigned char>(c))); }
    if (!plain && !name.empty() && name.back() != '-') { name += '-'; }
  }
  return name + "-" + input.key.substr(0, 8);
}

int add_finding(const RegressOptions& options) {
  FindingInput input;
  std::string error;
  if (!load_finding(options.file, options.bugs, &input, &error)) { return usage(error); }
  ExecSubject subject(input.key, input.events_max);
  minimize::NearSearch search(subject);
  prog::Program program = input.program;
  const bool fires = search.find(&program, {}, {.sweep = true, .wide = true, .walks = 1000});
  if (!fires && (input.bugs.any() || !input.note)) { return usage(no_finding_message(input, options.file)); }
  if (fires) { input.key = exec::finding_key(*subject.outcome().finding); }
  const daxfs::Finding* finding = fires ? &*subject.outcome().finding : nullptr;

  std::error_code no_folder;
  if (!std::filesystem::is_directory(options.folder, no_folder)) {
    return usage(options.folder + ": no such folder; run this at the repository's root, or name another with --into");
  }
  const std::string name = options.name.empty() ? name_for(finding, input) : options.name;
  const std::string path = options.folder + "/" + name + ".txt";
  if (!options.force && std::filesystem::exists(path)) {
    return usage(path + ": exists already; --force overwrites it, --name takes another name");
  }
  std::string note;
  if (fires) {
    note = finding_note(*finding, search.last().trace_hash, path, input.bugs);
  } else {
    note = "# FINDING " + input.note->headline + " key=" + input.key + " trace=" + input.note->trace + "\n" +
           "# replay: daxfuzz run " + path + "\n";
  }
  note += input.bugs.any() ? "# expected: this finding with the switches of the replay line, silence without\n"
                           : "# expected: silence, since the defect is repaired\n";
  if (!write_file(path, annotate(prog::print(program), note), &error)) { return usage(error); }
  if (options.json) {
    std::printf("%s\n", nlohmann::json{{"path", path},
                                       {"key", input.key},
                                       {"fires", fires},
                                       {"bug", bug_names(input.bugs)},
                                       {"drift", input.drift},
                                       {"moved", !(program == input.program)}}
                            .dump(2)
                            .c_str());
    return kExitOk;
  }
  std::printf("filed as %s\n", path.c_str());
  if (!input.fires && fires) {
    std::printf("  did not fire as recorded (drift %zu): filed with the schedule found near it\n", input.drift);
  }
  if (fires && input.bugs.none()) { std::printf("  it still fires: its test fails until the defect is repaired\n"); }
  if (!fires) { std::printf("  it does not fire here any more: its test keeps it so\n"); }
  std::printf("  say in a comment what went wrong\n");
  return kExitOk;
}

int check_files(const RegressOptions& options) {
  std::vector<std::string> files;
  for (const std::string& where : options.files.empty() ? std::vector<std::string>{kFolder} : options.files) {
    const auto found = list_files(where);
    if (found.empty()) { return usage(where + ": no such file or folder, or an empty one"); }
    files.insert(files.end(), found.begin(), found.end());
  }
  std::erase_if(files, [](const std::string& file) { return !file.ends_with(".txt"); });
  int code = kExitOk;
  size_t bad = 0;
  for (const std::string& file : files) {
    std::vector<uint8_t> bytes;
    std::string error;
    if (!read_file(file, &bytes, &error)) { return usage(error); }
    const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    const RegressResult result = replay_regression(text, file);
    if (!result.message.empty()) { std::printf("%s\n", result.message.c_str()); }
    if (result.state == RegressState::kMoved && options.update) {
      if (!write_file(file, with_schedule(text, result.program), &error)) { return usage(error); }
      std::printf("  written anew\n");
      continue;
    }
    if (result.state == RegressState::kAsExpected) { continue; }
    ++bad;
    code = result.state == RegressState::kUnusable && code == kExitOk ? kExitUsage : kExitFinding;
  }
  std::printf("%zu regressions, %zu not as expected\n", files.size(), bad);
  return code;
}

}  // namespace

void add_regress(CLI::App& app, Action* action) {
  auto* command = app.add_subcommand("regress", "file findings so that they stay repaired; replay what was filed");
  command->require_subcommand(1);
  auto options = std::make_shared<RegressOptions>();
  auto* add = command->add_subcommand("add", "file a finding as commented text with what is expected of it");
  add->add_option("FINDING", options->file, "text or binary; best after `daxfuzz minimize`")->required();
  add->add_option("--bug", options->bugs, "switch a historical bug on (repeatable; as when it was found)");
  add->add_option("--name", options->name, "of the file, without folder and .txt (default: function and key)");
  add->add_option("--into", options->folder, "folder")->capture_default_str();
  add->add_flag("--force", options->force, "overwrite a file of that name");
  add->add_flag("--json", options->json, "summary as JSON on stdout");
  add->footer("Example: daxfuzz regress add small.txt --name pin-lost-by-write");
  add->callback([=] { *action = [=] { return add_finding(*options); }; });
  auto* check = command->add_subcommand("check", "replay regressions; look near the schedule of those that moved");
  check->add_option("FILE", options->files, std::string("files or folders (default: ") + kFolder + ")");
  check->add_flag("--update", options->update, "write moved anchors into the files");
  check->footer("Example: daxfuzz regress check --update");
  check->callback([=] { *action = [=] { return check_files(*options); }; });
}

}  // namespace daxfuzz::tools
