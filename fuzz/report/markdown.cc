// fuzz/report/markdown.cc - an issue.
#include <algorithm>
#include <cctype>

#include "fuzz/report/formats.h"
#include "fuzz/report/prose.h"

namespace daxfuzz::report {
namespace {

constexpr size_t kWidth = 100;

// Text in running Markdown: nothing in it is markup. An underscore inside a word never is.
std::string plain(std::string_view text) {
  const auto word = [&](size_t i) { return i < text.size() && std::isalnum(static_cast<unsigned char>(text[i])) != 0; };
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    const bool markup = std::string_view("\\`*<[|").find(text[i]) != std::string_view::npos;
    if (markup || (text[i] == '_' && !(i > 0 && word(i - 1) && word(i + 1)))) { out += '\\'; }
    out += text[i];
  }
  return out;
}

// A fence longer than any run of backticks inside.
std::string fenced(const std::string& text, const std::string& language) {
  size_t longest = 2;
  size_t run = 0;
  for (const char c : text) {
    run = c == '`' ? run + 1 : 0;
    longest = std::max(longest, run);
  }
  const std::string fence(longest + 1, '`');
  return fence + language + "\n" + text + (text.ends_with('\n') ? "" : "\n") + fence + "\n";
}

std::string code(std::string_view text) {
  return text.find('`') == std::string_view::npos ? "`" + std::string(text) + "`" : plain(text);
}

std::string cell(std::string text) {
  for (size_t at = 0; (at = text.find('|', at)) != std::string::npos; at += 2) { text.insert(at, "\\"); }
  return text;
}

std::string table(const std::vector<std::string>& head, const std::vector<std::vector<std::string>>& rows) {
  std::string out = "|";
  std::string rule = "|";
  for (const std::string& name : head) {
    out += " " + name + " |";
    rule += "---|";
  }
  out += "\n" + rule + "\n";
  for (const auto& row : rows) {
    out += "|";
    for (const std::string& text : row) { out += " " + text + " |"; }
    out += "\n";
  }
  return out;
}

std::string head(const Report& report) {
  std::vector<std::vector<std::string>> rows;
  rows.push_back({"verdict", plain(report.verdict) + ", invariant " + plain(report.invariant.tag)});
  rows.push_back({"where", plain(noticed(report))});
  rows.push_back({"dedup key", code(report.key)});
  rows.push_back({"trace hash", code(report.trace) + ", " + std::to_string(report.replays) + " of " +
                                    std::to_string(report.replays) + " replays"});
  if (!report.bugs.empty()) {
    std::string bugs;
    for (const BugNote& bug : report.bugs) { bugs += (bugs.empty() ? "" : ", ") + code(bug.id); }
    rows.push_back({"historical bug", bugs});
  }
  return table({"", ""}, rows);
}

std::string state(const Report& report) {
  std::vector<std::vector<std::string>> rows;
  for (const StateLine& line : report.states) {
    rows.push_back({plain(line.object), plain(line.property), line.before.empty() ? "?" : plain(line.before),
                    line.after == line.before ? plain(line.after) : "**" + plain(line.after) + "**",
                    line.changed_by.empty() ? "" : cell(code(line.changed_by))});
  }
  return table({"object", "property", "before", "at the finding", "last changed by"}, rows);
}

}  // namespace

std::string to_markdown(const Report& report) {
  std::string out = "# " + plain(report.title) + "\n\n" + head(report) + "\n";
  if (!report.invariant.text.empty()) {
    out += "What should hold (" + plain(report.invariant.tag) + ", " + code(report.invariant.declared) +
           "): " + plain(report.invariant.text) + ".\n\n";
  }
  out += plain(what_it_takes(report)) + "\n";
  if (const std::string bugs = about_bugs(report); !bugs.empty()) { out += "\n" + plain(bugs) + "\n"; }
  out += "\n" + plain(about_model(report)) + "\n\n## How it comes about\n\n";
  out +=
      "One column a task, time goes down, `state` is what a step saw or changed; arrows are "
      "preemptions.";
  for (const std::string& fact : report.explanation.facts) { out += "\n" + plain(fact) + "."; }
  out += "\n\n";
  out += fenced(diagram(report, kWidth), "text");
  if (!report.explanation.counterfactuals.empty()) {
    std::vector<std::vector<std::string>> rows;
    for (const Without& without : withouts(report)) {
      rows.push_back({cell(code(without.change)), plain(without.moment), plain(without.outcome)});
    }
    out +=
        "\n## What is needed\n\nThe same run with one thing left out:\n\n" + table({"without", "which is", "it"}, rows);
  }
  if (!report.states.empty()) { out += "\n## State\n\n" + state(report); }
  out += "\n## Program\n\n" + fenced(listing_text(report, kWidth), "text");
  out += "\n## Replay\n\nSave the program as " + code(report.file) + ".\n\n";
  std::string lines;
  for (const Command& command : commands(report, report.file)) {
    lines += command.text + "   # " + command.purpose + "\n";
  }
  out += fenced(lines, "sh");
  out += "\n## Environment\n\n";
  std::vector<std::vector<std::string>> rows;
  for (const auto& [name, value] : environment_lines(report)) { rows.push_back({plain(name), plain(value)}); }
  out += table({"", ""}, rows);
  if (!report.detail.empty()) { out += "\n## Tasks and locks when it was noticed\n\n" + fenced(report.detail, "text"); }
  return out;
}

}  // namespace daxfuzz::report
