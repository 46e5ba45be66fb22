// fuzz/report/html.cc - one page that reads well on a screen, on paper and in the dark, and fetches
// nothing.
#include "fuzz/explain/explain.h"
#include "fuzz/markup/markup.h"
#include "fuzz/report/formats.h"
#include "fuzz/report/prose.h"

namespace daxfuzz::report {
namespace {

constexpr const char* kStyle = R"css(
:root {
  color-scheme: light dark;
  --ground: #fbfbfa; --card: #ffffff; --ink: #1c1e21; --soft: #5d646d; --rule: #e1e4e8; --code: #f4f5f7;
  --red: #b00020; --red-soft: #fdeaea; --blue: #0b3d91; --brown: #6b4e00; --violet: #6a1b9a; --green: #1a6b35;
  --turn: #f1f5fb; --mark: #fff4d6;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ground: #14161a; --card: #1b1e23; --ink: #e4e6ea; --soft: #9aa3ae; --rule: #30353d; --code: #22262c;
    --red: #ff8a93; --red-soft: #3d2024; --blue: #8ab4ff; --brown: #e3c07a; --violet: #d0a5f2; --green: #7fd39a;
    --turn: #22293a; --mark: #3a3320;
  }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--ink);
  font: 15px/1.55 system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; }
main { max-width: 1160px; margin: 0 auto; padding: 32px 24px 64px; }
header { border-left: 4px solid var(--red); padding: 2px 0 2px 16px; margin-bottom: 20px; }
h1 { font-size: 22px; line-height: 1.3; margin: 6px 0 0; overflow-wrap: anywhere; }
h2 { font-size: 16px; margin: 36px 0 10px; padding-bottom: 4px; border-bottom: 1px solid var(--rule); }
p { max-width: 78ch; margin: 8px 0; }
.kicker { color: var(--soft); font-size: 13px; margin: 0; }
.kicker b { color: var(--red); letter-spacing: .02em; }
code, pre, .diagram, .program td {
  font: 13px/1.6 ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace; }
code { background: var(--code); border-radius: 4px; padding: 1px 5px; overflow-wrap: anywhere; }
pre { background: var(--code); border-radius: 6px; padding: 10px 14px; overflow-x: auto; margin: 8px 0; }
pre code { background: none; padding: 0; }
.note { color: var(--soft); }
.diagram { background: var(--card); border: 1px solid var(--rule); border-radius: 8px; padding: 12px;
  overflow-x: auto; width: fit-content; max-width: 100%; }
.diagram svg { display: block; max-width: none; }
table { border-collapse: collapse; margin: 8px 0; }
th { text-align: left; font-weight: 600; color: var(--soft); font-size: 13px; }
th, td { padding: 4px 18px 4px 0; vertical-align: top; border-bottom: 1px solid var(--rule); }
.facts th { width: 11em; white-space: nowrap; }
.facts td { overflow-wrap: anywhere; }
.wide { overflow-x: auto; }
.changed { color: var(--red); font-weight: 600; }
.passes { color: var(--green); font-weight: 600; }
.program { background: var(--card); border: 1px solid var(--rule); border-radius: 8px; padding: 8px 0;
  overflow-x: auto; }
.program table { margin: 0; width: 100%; }
.program td { border: 0; padding: 0 14px; white-space: pre; line-height: 1.6; }
.program td.n { color: var(--soft); text-align: right; width: 1%; user-select: none; opacity: .7; }
.program .section td + td { color: var(--blue); font-weight: 600; }
.program .head td { color: var(--soft); }
.program .preempted td { background: var(--mark); }
.program .why { color: var(--soft); width: 99%; }
details summary { cursor: pointer; color: var(--soft); }
svg .ground { fill: none; } svg .turn { fill: var(--turn); } svg .band { fill: var(--red-soft); }
svg .lane { stroke: var(--rule); } svg .arrow { stroke: var(--red); } svg .tip { fill: var(--red); }
svg .op { fill: var(--blue); } svg .call { fill: var(--ink); } svg .access { fill: var(--brown); }
svg .lock { fill: var(--violet); } svg .finding { fill: var(--red); } svg .name { fill: var(--soft); }
@media print { body { background: none; } main { padding: 0; } .diagram, .program { border: 0; } }
)css";

std::string e(std::string_view text) { return markup::escape(text); }
std::string code(std::string_view text) { return "<code>" + e(text) + "</code>"; }

std::string fact(const std::string& name, const std::string& value) {
  return "<tr><th scope=\"row\">" + e(name) + "</th><td>" + value + "</td></tr>\n";
}

std::string bug_words(const BugNote& bug) {
  return code(bug.id) + " (" + e(bug.catalogue) + ", Linux " + e(bug.source) + "): " + e(bug.title);
}

std::string head(const Report& report) {
  std::string out = "<header>\n<p class=\"kicker\"><b>" + e(report.verdict) + "</b>" +
                    e(noticed(report).substr(report.verdict.size())) + "</p>\n<h1>" + e(report.message) +
                    "</h1>\n</header>\n";
  out += "<p>" + e(what_it_takes(report)) + "</p>\n";
  out += "<table class=\"facts\">\n";
  if (report.invariant.text.empty()) {
    out += fact("invariant", e(report.invariant.tag));
  } else {
    out += fact("what should hold", "<b>" + e(report.invariant.tag) + "</b>: " + e(report.invariant.text) +
                                        " <span class=\"note\">(" + e(report.invariant.declared) + ")</span>");
  }
  for (const BugNote& bug : report.bugs) { out += fact("bug switched on", bug_words(bug)); }
  std::string same;
  for (const BugNote& bug : report.same_key) {
    same += (same.empty() ? "" : ", ") + code(bug.id) + " (" + e(bug.catalogue) + ")";
  }
  if (!same.empty()) { out += fact(report.bugs.empty() ? "known bugs with this key" : "same key", same); }
  out += fact("dedup key", code(report.key));
  out += fact("trace hash", code(report.trace) + " in " + std::to_string(report.replays) + " of " +
                                std::to_string(report.replays) + " replays");
  const std::string switched =
      report.bugs.empty() ? "" : " A historical bug was switched on: this is no defect of today's code.";
  return out + "</table>\n<p class=\"note\">" + e(about_model(report) + switched) + "</p>\n";
}

std::string facts_list(const Report& report) {
  std::string out;
  for (const std::string& fact : report.explanation.facts) { out += (out.empty() ? "" : "; ") + e(fact); }
  return out.empty() ? "" : "\n<p class=\"note\">" + out + ".</p>";
}

std::string drawing(const Report& report) {
  explain::Explanation columns = report.explanation;
  for (size_t i = 0; i < columns.columns.size(); ++i) {
    columns.columns[i].name = "CPU " + std::to_string(i) + " (" + columns.columns[i].name + ")";
  }
  std::string out =
      "<h2>How it comes about</h2>\n<p class=\"note\">One column a task; time goes down; "
      "<i>state</i> is what a step saw or "
      "changed; dashed arrows are preemptions.";
  out += "</p>" + facts_list(report) + "\n<div class=\"diagram\">\n" + explain::to_svg(columns) + "</div>\n";
  if (report.explanation.rows_left_out != 0) {
    out += "<p class=\"note\">" + std::to_string(report.explanation.rows_left_out) +
           " less important steps are left out.</p>\n";
  }
  return out;
}

std::string needed(const Report& report) {
  if (report.explanation.counterfactuals.empty()) { return ""; }
  std::string out =
      "<h2>What is needed</h2>\n<p class=\"note\">The same run with one thing left out.</p>\n<div "
      "class=\"wide\"><table>\n"
      "<tr><th>without</th><th>which is</th><th>it</th></tr>\n";
  for (const Without& without : withouts(report)) {
    out += "<tr><td>" + code(without.change) + "</td><td>" + e(without.moment) + "</td><td" +
           (without.passes ? " class=\"passes\">" : ">") + e(without.outcome) + "</td></tr>\n";
  }
  return out + "</table></div>\n";
}

std::string program(const Report& report) {
  std::string out =
      "<h2>Program</h2>\n<p class=\"note\">Preempted operations are marked; numbers lead to the "
      "schedule.</p>\n"
      "<div class=\"program\"><table>\n";
  for (const ListingLine& line : report.listing) {
    const char* kind = line.kind == ListingLine::Kind::kHead      ? "head"
                       : line.kind == ListingLine::Kind::kSection ? "section"
                       : line.note.empty()                        ? ""
                                                                  : "preempted";
    out += "<tr" + (*kind == '\0' ? "" : " class=\"" + std::string(kind) + "\"") + "><td class=\"n\">" +
           std::to_string(line.number) + "</td><td>" + e(line.text) + "</td><td class=\"why\">" +
           (line.note.empty() ? "" : "# " + e(line.note)) + "</td></tr>\n";
  }
  return out + "</table></div>\n";
}

std::string states(const Report& report) {
  if (report.states.empty()) { return ""; }
  std::string out =
      "<h2>State</h2>\n<p class=\"note\">What the finding is about, when the tasks began and when "
      "it was noticed; ? where "
      "nobody had looked.</p>\n"
      "<div class=\"wide\"><table>\n<tr><th>object</th><th>property</th><th>before</th><th>at the "
      "finding</th>"
      "<th>last changed by</th></tr>\n";
  std::string object;
  for (const StateLine& line : report.states) {
    out += "<tr><td>" + (line.object == object ? "" : e(line.object)) + "</td><td>" + e(line.property) + "</td><td>" +
           (line.before.empty() ? "?" : e(line.before)) + "</td><td" +
           (line.before == line.after ? ">" : " class=\"changed\">") + e(line.after) + "</td><td>" +
           e(line.changed_by) + "</td></tr>\n";
    object = line.object;
  }
  return out + "</table></div>\n";
}

}  // namespace

std::string to_html(const Report& report) {
  std::string out =
      "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n<title>" +
      e(report.title) + "</title>\n<style>" + kStyle + "</style>\n</head>\n<body>\n<main>\n";
  out += head(report) + drawing(report) + needed(report) + states(report) + program(report);
  out += "<h2>Replay</h2>\n<p>Save the program as " + code(report.file) + ", then:</p>\n<pre><code>";
  for (const Command& command : commands(report, report.file)) {
    out += e(command.text) + "   # " + e(command.purpose) + "\n";
  }
  out += "</code></pre>\n<h2>Environment</h2>\n<table class=\"facts\">\n";
  for (const auto& [name, value] : environment_lines(report)) { out += fact(name, e(value)); }
  out += "</table>\n";
  if (!report.detail.empty()) {
    out += "<h2>Tasks and locks when it was noticed</h2>\n<pre><code>" + e(report.detail) + "</code></pre>\n";
  }
  return out + "</main>\n</body>\n</html>\n";
}

}  // namespace daxfuzz::report
