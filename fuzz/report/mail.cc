// fuzz/report/mail.cc - a mail to a list: what, how, reproducer; no line is longer than 78 bytes.
#include <algorithm>
#include <sstream>

#include "fuzz/prog/binary.h"
#include "fuzz/report/formats.h"
#include "fuzz/report/prose.h"

namespace daxfuzz::report {
namespace {

constexpr size_t kWidth = 78;
constexpr size_t kText = 72;  // running text leaves room to be quoted

bool fits(const std::string& text) {
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    if (line.size() > kWidth) { return false; }
  }
  return true;
}

std::string base64(const std::vector<uint8_t>& bytes) {
  static constexpr char kDigits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  for (size_t i = 0; i < bytes.size(); i += 3) {
    const size_t n = std::min<size_t>(3, bytes.size() - i);
    uint32_t word = 0;
    for (size_t k = 0; k < 3; ++k) { word = word << 8 | (k < n ? bytes[i + k] : 0u); }
    for (size_t k = 0; k < 4; ++k) { out += k <= n ? kDigits[word >> (18 - 6 * k) & 63] : '='; }
    if (i / 3 % 18 == 17) { out += '\n'; }
  }
  return out.ends_with('\n') ? out : out + "\n";
}

// "page 1 is pinned" of "page 1 is pinned; expected ...": subjects are short.
std::string subject(const Report& report) {
  return report.title.substr(0, std::min(report.title.find("; "), report.title.size()));
}

std::string paragraph(const std::string& text) { return text.empty() ? "" : wrap(text, kText) + "\n"; }

std::string reproducer(const Report& report) {
  std::string text = listing_text(report, kWidth);
  if (fits(text)) { return text; }
  // A name in it is longer than a line of a mail: the same program in binary form.
  return "base64 -d > repro.txt <<EOF    # a program in binary form\n" + base64(prog::encode(report.program)) + "EOF\n";
}

std::string state(const Report& report) {
  std::vector<std::vector<std::string>> cells;
  for (const StateLine& line : report.states) {
    if (line.before == line.after) { continue; }
    cells.push_back({line.object + " " + line.property, line.before.empty() ? "?" : line.before, line.after,
                     line.changed_by.empty() ? "" : "by " + line.changed_by});
  }
  size_t widths[3] = {};
  for (const auto& row : cells) {
    for (size_t i = 0; i < 3; ++i) { widths[i] = std::max(widths[i], row[i].size()); }
  }
  std::string out;
  for (const auto& row : cells) {
    std::string line = "  " + row[0] + ":" + std::string(widths[0] - row[0].size(), ' ') + "  " + row[1] +
                       std::string(widths[1] - row[1].size(), ' ') + " -> " + row[2];
    if (!row[3].empty()) { line += std::string(widths[2] - row[2].size(), ' ') + "  " + row[3]; }
    out += line.size() <= kWidth ? line + "\n" : wrap(line.substr(2), kWidth, "  ", "      ");
  }
  return out;
}

// Tasks and locks, as indented as they came.
std::string detail(const Report& report) {
  std::istringstream lines(report.detail);
  std::string out;
  for (std::string line; std::getline(lines, line);) {
    const size_t indent = std::min(line.find_first_not_of(' '), line.size());
    const std::string margin(2 + indent, ' ');
    out += wrap(line.substr(indent), kWidth, margin, margin + "    ");
  }
  return out;
}

}  // namespace

std::string to_mail(const Report& report) {
  std::string out = wrap("Subject: [daxfuzz] " + subject(report), kWidth, "", " ") + "\n";
  out += paragraph(about_model(report));
  out += paragraph(about_bugs(report));
  out += paragraph(noticed(report) + ":");
  out += wrap(report.message, kText, "  ", "  ") + "\n";
  if (!report.invariant.text.empty()) {
    out += paragraph("What should hold (" + report.invariant.tag + "): " + report.invariant.text + ".");
  }
  std::string facts;
  for (const std::string& fact : report.explanation.facts) { facts += (facts.empty() ? " (" : "; ") + fact; }
  out += paragraph(what_it_takes(report) + " Here is one instance" + facts + (facts.empty() ? ":" : "):"));
  out += diagram(report, kWidth) + "\n";
  if (const std::string states = state(report); !states.empty()) {
    out += "State before the tasks -> at the finding:\n\n" + states + "\n";
  }
  if (!report.detail.empty()) { out += "Tasks and locks when it was noticed:\n\n" + detail(report) + "\n"; }
  if (!report.explanation.counterfactuals.empty()) {
    out += "The same run with one thing left out:\n\n";
    for (const Without& without : withouts(report)) {
      const std::string number = without.moment.substr(0, without.moment.find(' '));
      out += wrap("without " + number + (number.empty() ? "" : " ") + without.change + ": " + without.outcome, kText,
                  "  ", "      ");
    }
    out += "\n";
  }
  const std::string command = "daxfuzz run repro.txt" + bug_options(report);
  out += wrap("It fires " + std::to_string(report.replays) + " times of " + std::to_string(report.replays) +
                  ", with trace hash " + report.trace +
                  " each time. To reproduce, save what is between the lines as "
                  "repro.txt and run",
              kText) +
         "\n";
  out += (command.size() + 2 <= kWidth ? "  " + command + "\n" : wrap(command, kWidth - 2, "  ", "      ")) + "\n";
  out += "-----8<-----\n" + reproducer(report) + "----->8-----\n\n";
  out += wrap("invariant " + report.invariant.tag + ", dedup key " + report.key, kText);
  for (const auto& [name, value] : environment_lines(report)) { out += wrap(name + ": " + value, kText, "", "  "); }
  return out;
}

}  // namespace daxfuzz::report
