// fuzz/tools/report_command.cc - `daxfuzz report`: a finding as something that can be filed.
#include <cstdio>
#include <filesystem>
#include <memory>
#include <system_error>

#include <nlohmann/json.hpp>

#include "fuzz/explain/explain.h"
#include "fuzz/report/bundle.h"
#include "fuzz/report/collect.h"
#include "fuzz/report/formats.h"
#include "fuzz/tools/commands.h"
#include "fuzz/tools/exit_code.h"
#include "fuzz/tools/files.h"
#include "fuzz/tools/finding_input.h"
#include "fuzz/tools/interrupt.h"

namespace daxfuzz::tools {
namespace {

namespace fs = std::filesystem;

struct ReportOptions {
  std::string file, out;
  std::string format = "md";
  std::vector<std::string> bugs;
  size_t rows = explain::Options().rows_max;
  bool force = false;
  bool json = false;
};

struct FormatRow {
  const char* name;
  std::string (*render)(const report::Report&);
};

constexpr FormatRow kFormats[] = {
    {"md", report::to_markdown}, {"html", report::to_html},         {"mail", report::to_mail},
    {"sarif", report::to_sarif}, {"perfetto", report::to_perfetto}, {"test", report::to_test},
};
constexpr const char* kBundle = "bundle";

class ReportJob {
 public:
  explicit ReportJob(const ReportOptions& options) : options_(options) {}

  int run() {
    std::string error;
    if (!may_write(&error)) { return usage(error); }
    FindingInput input;
    if (!load_finding(options_.file, options_.bugs, &input, &error)) { return usage(error); }
    // What was begun is finished or taken back; before that nothing is on disk.
    catch_interrupts();
    exec::Executor executor;
    report::CollectOptions how;
    how.file = options_.file == "-" ? "program.txt" : options_.file;
    how.rows_max = options_.rows;
    how.stop = [] { return interrupted(); };
    switch (report::collect(executor, input.program, how, &report_, &error)) {
      case report::Collected::kOk: break;
      case report::Collected::kStopped: return kExitInterrupted;
      case report::Collected::kCannotRun: return usage(options_.file + ": " + error);
      case report::Collected::kNoFinding: return usage(no_finding(executor, input, error));
      case report::Collected::kDishonest:
        std::fprintf(stderr,
                     "daxfuzz: harness defect: %s: %s. That is no finding to report: something "
                     "survives a run or was not "
                     "recorded. Nothing was written\n",
                     options_.file.c_str(), error.c_str());
        return kExitHarness;
    }
    if (interrupted()) { return kExitInterrupted; }
    return write();
  }

 private:
  bool is_bundle() const { return options_.format == kBundle; }

  // Asked before anything runs: that shall not have been in vain.
  bool may_write(std::string* error) const {
    const std::string& out = options_.out;
    std::error_code ignored;
    if (out == "-") {
      if (!is_bundle()) { return true; }
      *error = "a bundle is a folder: name one with -o";
      return false;
    }
    if (!is_bundle()) {
      if (fs::is_directory(out, ignored)) {
        *error = out + ": is a folder; name a file, or take --format bundle";
        return false;
      }
      if (!options_.force && fs::exists(out, ignored)) {
        *error = out + ": exists already; --force overwrites it";
        return false;
      }
      return can_write(out, error);
    }
    if (!fs::exists(out, ignored)) { return can_write(trimmed(out), error); }
    if (!fs::is_directory(out, ignored)) {
      *error = out + ": is a file; a bundle is a folder";
      return false;
    }
    if (!options_.force && !fs::is_empty(out, ignored)) {
      *error = out + ": exists already and is not empty; --force overwrites the files of the bundle in it";
      return false;
    }
    return can_write(out + "/README.md", error);
  }

  static std::string trimmed(std::string path) {
    while (path.size() > 1 && path.ends_with('/')) { path.pop_back(); }
    return path;
  }

  std::string no_finding(exec::Executor& executor, const FindingInput& input, const std::string& what_it_did) const {
    std::string message = options_.file + ": nothing to report: " + what_it_did + ".";
    const std::vector<std::string> bugs = report::bugs_that_fire(executor, input.program);
    if (!bugs.empty()) {
      message += " It shows a finding with";
      for (size_t i = 0; i < bugs.size(); ++i) { message += (i == 0 ? " --bug " : " or --bug ") + bugs[i]; }
      return message + ": add one of these";
    }
    if (input.note) { message += " It was " + input.note->headline + "."; }
    return message + " If edits moved its events, `daxfuzz minimize " + options_.file +
           " -o small.txt` looks for it near its schedule (`daxfuzz regress check` does so for "
           "what was filed); if it "
           "needs a historical bug, add --bug ID (`daxfuzz bugs` lists them)";
  }

  int write() {
    std::string error;
    if (!is_bundle()) {
      for (const FormatRow& row : kFormats) {
        if (options_.format == row.name && !write_file(options_.out, row.render(report_), &error)) {
          return usage(error);
        }
      }
      files_ = {options_.out};
      return done();
    }
    const std::string out = trimmed(options_.out);
    std::error_code failed;
    if (fs::exists(out, failed)) {  // each of its files is the old or the new one
      for (const report::BundleFile& file : report::bundle(report_)) {
        if (!write_file(out + "/" + file.name, file.contents, &error)) { return usage(error); }
        files_.push_back(out + "/" + file.name);
      }
      return done();
    }
    const std::string beside = out + ".tmp";
    fs::remove_all(beside, failed);
    if (!fs::create_directory(beside, failed)) { return usage(beside + ": " + failed.message()); }
    bool written = true;
    for (const report::BundleFile& file : report::bundle(report_)) {
      written = written && !interrupted() && write_file(beside + "/" + file.name, file.contents, &error);
      files_.push_back(out + "/" + file.name);
    }
    if (written) { fs::rename(beside, out, failed); }
    if (!written || failed) {
      std::error_code ignored;
      fs::remove_all(beside, ignored);
      if (interrupted()) { return kExitInterrupted; }
      return usage(written ? out + ": " + failed.message() : error);
    }
    return done();
  }

  int done() const {
    if (options_.json) {
      nlohmann::json same = nlohmann::json::array();
      for (const report::BugNote& bug : report_.same_key) { same.push_back(bug.id); }
      const nlohmann::json summary = {{"file", options_.file},
                                      {"format", options_.format},
                                      {"path", options_.out},
                                      {"files", files_},
                                      {"verdict", report_.verdict},
                                      {"title", report_.title},
                                      {"key", report_.key},
                                      {"trace", report_.trace},
                                      {"replays", report_.replays},
                                      {"bug", report_.explanation.bugs},
                                      {"same_key", same}};
      std::fprintf(options_.out == "-" ? stderr : stdout, "%s\n", summary.dump(2).c_str());
    } else if (options_.out != "-") {
      std::printf("%s: %s key=%s\n",
                  is_bundle() ? (trimmed(options_.out) + "/README.md").c_str() : options_.out.c_str(),
                  report_.title.c_str(), report_.key.c_str());
    }
    return kExitOk;
  }

  const ReportOptions& options_;
  report::Report report_;
  std::vector<std::string> files_;
};

}  // namespace

void add_report(CLI::App& app, Action* action) {
  auto* command = app.add_subcommand("report", "write a finding as a report that can be filed");
  auto options = std::make_shared<ReportOptions>();
  command->add_option("FILE", options->file, "program with its schedule, text or binary; - is standard input")
      ->required();
  std::vector<std::string> names;
  for (const FormatRow& row : kFormats) { names.emplace_back(row.name); }
  names.emplace_back(kBundle);
  command->add_option("--format", options->format, "md, html, mail, sarif, perfetto, test, or bundle: a folder of all")
      ->check(CLI::IsMember(names))
      ->capture_default_str();
  command->add_option("-o,--output", options->out, "file, or folder of a bundle; - is standard output")->required();
  command->add_option("--bug", options->bugs, "switch a historical bug on (repeatable; as when it was found)");
  command->add_option("--rows", options->rows, "leave out what is furthest from the finding beyond this many rows")
      ->check(CLI::Range(10, 100000));
  command->add_flag("--force", options->force, "overwrite");
  command->add_flag("--json", options->json, "summary as JSON on stdout (stderr with -o -)");
  command->footer(
      "Best after `daxfuzz minimize`. Before anything is written the finding replays 20 times of "
      "20.\n"
      "Examples:\n"
      "  daxfuzz report small.txt --format mail -o report.mail\n"
      "  daxfuzz report corpus/bugs/break-layouts-lost-retry/program.txt --bug "
      "break-layouts-lost-retry \\\n"
      "      --format bundle -o lost-retry");
  command->callback([=] { *action = [=] { return ReportJob(*options).run(); }; });
}

}  // namespace daxfuzz::tools
