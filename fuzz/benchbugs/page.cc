// fuzz/benchbugs/page.cc - results as one HTML page: survival curves, a table of medians. No script, nothing to fetch.
#include <algorithm>
#include <cmath>

#include "fs/base/text.h"
#include "fuzz/benchbugs/results.h"
#include "fuzz/markup/markup.h"

namespace daxfuzz::benchbugs {
namespace {

using daxfs::format;
using markup::escape;

// Colours that people with any colour vision tell apart (Okabe, Ito), lighter on dark; curves differ in their dashes,
// too.
constexpr char kStyle[] = R"(
:root { --back: #ffffff; --card: #f6f7f9; --text: #1c2024; --dim: #5f6b76; --line: #c9d0d7;
  --good: #0b6e4f; --bad: #b00020;
  --p0: #0072b2; --p1: #b85c00; --p2: #007a5a; --p3: #b0307a; --p4: #6a51a3; --p5: #4d4d4d; }
@media (prefers-color-scheme: dark) {
  :root { --back: #14171a; --card: #1d2226; --text: #e6e9ec; --dim: #9aa5b0; --line: #3a434c;
    --good: #4cc38a; --bad: #ff6b81;
    --p0: #5ab4f0; --p1: #f5a742; --p2: #3ecf9b; --p3: #f08cc4; --p4: #b3a1e6; --p5: #bdbdbd; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 1180px; padding: 24px 20px 48px; background: var(--back); color: var(--text);
  font: 15px/1.5 system-ui, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
h1 { font-size: 24px; margin: 0 0 4px; } h2 { font-size: 18px; margin: 32px 0 8px; }
p { margin: 4px 0 8px; max-width: 80ch; } .dim { color: var(--dim); }
.verdict { font-weight: 600; } .good { color: var(--good); } .bad { color: var(--bad); }
.legend { display: flex; flex-wrap: wrap; gap: 4px 22px; margin: 12px 0; }
.legend span { display: inline-flex; align-items: center; gap: 8px; }
.grid { display: grid; grid-template-columns: repeat(auto-fill, minmax(330px, 1fr)); gap: 16px; }
figure { margin: 0; padding: 10px 12px 6px; background: var(--card); border-radius: 8px; }
figure.wide { max-width: 720px; }
figcaption { font-size: 13px; overflow-wrap: anywhere; } figcaption b { font-weight: 600; }
figcaption small { display: block; color: var(--dim); font-size: 12px; min-height: 3em; }
svg { display: block; width: 100%; height: auto; font: 11px system-ui, "DejaVu Sans", sans-serif; fill: var(--dim); }
.axis { stroke: var(--line); fill: none; } .tick { stroke: var(--line); fill: none; stroke-width: .6; }
.half { stroke: var(--dim); fill: none; stroke-dasharray: 1 3; }
.curve { fill: none; stroke-width: 2; stroke-linejoin: round; } .mark { stroke-width: 1.5; fill: none; }
.c0 { stroke: var(--p0); } .c1 { stroke: var(--p1); stroke-dasharray: 7 3; }
.c2 { stroke: var(--p2); stroke-dasharray: 2 2; }
.c3 { stroke: var(--p3); stroke-dasharray: 9 3 2 3; }
.c4 { stroke: var(--p4); stroke-dasharray: 4 4; } .c5 { stroke: var(--p5); }
.m0 { stroke: var(--p0); } .m1 { stroke: var(--p1); } .m2 { stroke: var(--p2); } .m3 { stroke: var(--p3); }
.m4 { stroke: var(--p4); } .m5 { stroke: var(--p5); }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: 13px; font-variant-numeric: tabular-nums; }
th, td { padding: 4px 12px 4px 0; text-align: right; white-space: nowrap; border-bottom: 1px solid var(--line); }
th:first-child, td:first-child { text-align: left; } th { font-weight: 600; vertical-align: bottom; }
td small { color: var(--dim); } tr.all td { border-top: 2px solid var(--line); }
.best { font-weight: 700; }
)";

constexpr size_t kStyles = 6;  // as many policies as there are

// Processor seconds to the right, logarithmic; the share that has not been exposed upwards.
struct Axes {
  double width, height;
  double from, to;  // seconds
  static constexpr double kLeft = 46, kRight = 12, kTop = 10, kBottom = 36;

  double x(double seconds) const {
    const double share = std::log(std::clamp(seconds, from, to) / from) / std::log(to / from);
    return kLeft + share * (width - kLeft - kRight);
  }
  double y(double share) const { return kTop + (1 - share) * (height - kTop - kBottom); }
};

// The time scale of every chart of a page: whole decades below, the budget above.
Axes axes_of(const Results& results, double width, double height) {
  double earliest = results.settings.seconds;
  for (const Trial& trial : results.trials) {
    if (trial.end == End::kExposed) { earliest = std::min(earliest, trial.cpu_seconds); }
  }
  const double from = std::pow(10, std::floor(std::log10(std::clamp(earliest, 0.001, results.settings.seconds / 2))));
  return {width, height, from, results.settings.seconds};
}

std::string frame(const Axes& axes) {
  std::string out;
  for (const double share : {0.0, 0.25, 0.5, 0.75, 1.0}) {
    const double y = axes.y(share);
    out += format("<path class=\"%s\" d=\"M%.1f %.1fH%.1f\"/>", share == 0.5 ? "half" : "tick", axes.x(axes.from), y,
                  axes.x(axes.to));
    out +=
        format("<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"end\">%.0f%%</text>", Axes::kLeft - 5, y + 3.5, share * 100);
  }
  double last = -1e9;
  const auto tick = [&](double seconds) {
    const double x = axes.x(seconds);
    out += format("<path class=\"axis\" d=\"M%.1f %.1fv4\"/>", x, axes.y(0));
    if (x - last < 34 || (seconds != axes.to && axes.x(axes.to) - x < 34)) { return; }
    last = x;
    out += format("<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">%s</text>", x, axes.y(0) + 15,
                  seconds_text(seconds).c_str());
  };
  for (double decade = axes.from; decade < axes.to * 0.999; decade *= 10) { tick(decade); }
  tick(axes.to);
  out +=
      format("<path class=\"axis\" d=\"M%.1f %.1fV%.1fH%.1f\"/>", Axes::kLeft, axes.y(1), axes.y(0), axes.x(axes.to));
  out += format("<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">processor seconds of a trial (logarithmic)</text>",
                (axes.x(axes.from) + axes.x(axes.to)) / 2, axes.height - 5);
  const double middle = (axes.y(0) + axes.y(1)) / 2;
  out += format(
      "<text transform=\"translate(11 %.1f) rotate(-90)\" text-anchor=\"middle\">trials not yet "
      "exposed</text>",
      middle);
  return out;
}

std::string curve(const Axes& axes, const Results& results, const std::string* bug, size_t policy) {
  const std::string& name = results.settings.policies[policy];
  const Cell cell = cell_of(results, bug, name);
  if (cell.trials == 0) { return {}; }
  double end = 0;
  for (const Trial& trial : results.trials) {
    const bool of_bug = bug != nullptr ? trial.bug == *bug : trial.bug != kClean;
    if (of_bug && trial.policy == name) { end = std::max(end, trial.cpu_seconds); }
  }
  std::string path = format("M%.1f %.1f", axes.x(axes.from), axes.y(1));
  double surviving = 1;
  for (const CurvePoint& point : cell.by_cpu) {
    path += format("H%.1fV%.1f", axes.x(point.time), axes.y(point.surviving));
    surviving = point.surviving;
  }
  if (surviving > 1e-9) { path += format("H%.1f", axes.x(end)); }
  const std::string time = cell.median_cpu ? "median " + seconds_text(*cell.median_cpu) : "median not reached";
  std::string out = format("<path class=\"curve c%zu\" d=\"", policy % kStyles) + path + "\"><title>" + escape(name) +
                    format(": %u of %u exposed, ", cell.found, cell.trials) + time + "</title></path>";
  // Trials that were cut short: a tick on the curve where they left it.
  for (const Trial& trial : results.trials) {
    const bool of_bug = bug != nullptr ? trial.bug == *bug : trial.bug != kClean;
    if (!of_bug || trial.policy != name || trial.end == End::kExposed || trial.end == End::kBudget) { continue; }
    double at = 1;
    for (const CurvePoint& point : cell.by_cpu) { at = point.time <= trial.cpu_seconds ? point.surviving : at; }
    out += format("<path class=\"mark m%zu\" d=\"M%.1f %.1fv8\"/>", policy % kStyles, axes.x(trial.cpu_seconds),
                  axes.y(at) - 4);
  }
  return out;
}

std::string chart(const Axes& axes, const Results& results, const std::string* bug, const std::string& label) {
  std::string out = format("<svg viewBox=\"0 0 %.0f %.0f\" role=\"img\" aria-label=\"", axes.width, axes.height) +
                    escape(label) + "\">" + frame(axes);
  for (size_t i = 0; i < results.settings.policies.size(); ++i) { out += curve(axes, results, bug, i); }
  return out + "</svg>";
}

std::string legend(const Settings& settings) {
  std::string out = "<div class=\"legend\">";
  for (size_t i = 0; i < settings.policies.size(); ++i) {
    out += format(
               "<span><svg viewBox=\"0 0 44 10\" style=\"width:44px\" aria-hidden=\"true\"><path "
               "class=\"curve c%zu\" "
               "d=\"M0 5H44\"/></svg>",
               i % kStyles) +
           escape(settings.policies[i]) + "</span>";
  }
  return out + "</div>\n";
}

std::string medians(const Results& results) {
  const Settings& settings = results.settings;
  std::string out = "<div class=\"scroll\"><table><thead><tr><th>bug</th>";
  for (const std::string& policy : settings.policies) {
    out += "<th>" + escape(policy) + "<br><small class=\"dim\">found, median time, runs</small></th>";
  }
  out += "</tr></thead><tbody>\n";
  const auto row = [&](const std::string& head, const std::string* bug, const char* row_class) {
    out += std::string("<tr") + row_class + "><td>" + head + "</td>";
    std::vector<Cell> cells;
    double best = 1e300;
    for (const std::string& policy : settings.policies) {
      cells.push_back(cell_of(results, bug, policy));
      if (cells.back().found > 0) { best = std::min(best, cells.back().mean_cpu); }
    }
    for (const Cell& cell : cells) {
      if (cell.trials == 0) {
        out += "<td>&ndash;</td>";
        continue;
      }
      const bool is_best = cell.found > 0 && cell.mean_cpu <= best;
      const std::string time =
          cell.median_cpu ? seconds_text(*cell.median_cpu) : "&gt; " + seconds_text(settings.seconds);
      out += format("<td%s>%u/%u&ensp;%s", is_best ? " class=\"best\"" : "", cell.found, cell.trials, time.c_str());
      if (cell.median_runs) { out += "&ensp;<small>" + count_text(*cell.median_runs) + "</small>"; }
      out += "</td>";
    }
    out += "</tr>\n";
  };
  for (const BugRow& bug : settings.bugs) {
    row("<small>" + escape(bug.catalogue) + "</small> " + escape(bug.id), &bug.id, "");
  }
  if (settings.bugs.size() > 1) { row("all of them", nullptr, " class=\"all\""); }
  return out + "</tbody></table></div>\n";
}

std::string control(const Results& results) {
  const Control control = control_of(results);
  const std::string size =
      format("%u trials, %s of processor time, %s runs", control.trials, seconds_text(control.cpu_seconds).c_str(),
             count_text(static_cast<double>(control.runs)).c_str());
  if (control.trials == 0) {
    return "<p class=\"verdict\">No negative control yet: the clean build was not fuzzed.</p>\n";
  }
  if (control.findings.empty()) {
    return "<p class=\"verdict good\">Negative control: the clean build was silent (" + size + ").</p>\n";
  }
  std::string out = "<p class=\"verdict bad\">Negative control failed: the clean build had " +
                    std::to_string(control.findings.size()) + " findings (" + size +
                    "). Until they are explained, nothing below counts.</p>\n<ul>";
  for (const Trial* trial : control.findings) {
    out += "<li>" + escape(trial->policy) + ", seed " + std::to_string(trial->seed) + ": " + escape(trial->title) +
           (trial->file.empty() ? "" : " (" + escape(trial->file) + ")") + "</li>";
  }
  return out + "</ul>\n";
}

}  // namespace

std::string page(const Results& results) {
  const Settings& settings = results.settings;
  std::string out =
      "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" "
      "content=\"width=device-width, initial-scale=1\">\n<meta name=\"color-scheme\" "
      "content=\"light dark\">"
      "<title>daxfuzz: time to exposure</title>\n<style>";
  out += kStyle;
  out += "</style></head><body>\n<h1>Time to exposure of historical bugs</h1>\n";
  out += format(
      "<p class=\"dim\">%zu bugs, %zu policies, %u seeds from %llu, each trial at most %s of "
      "processor time, from an "
      "empty corpus until the first finding that replays 20 times of 20. %zu of %zu trials have "
      "ended%s.</p>\n",
      settings.bugs.size(), settings.policies.size(), settings.repeats, static_cast<unsigned long long>(settings.seed),
      seconds_text(settings.seconds).c_str(), results.trials.size(), trials_planned(settings),
      results.interrupted ? "; it was interrupted" : "");
  out += control(results);
  if (const unsigned defects = harness_defects(results); defects != 0) {
    out += format("<p class=\"verdict bad\">%u findings did not replay: a defect of the harness.</p>\n", defects);
  }
  out += legend(settings);
  if (settings.bugs.size() > 1) {
    out += "<h2>All bugs together</h2>\n<figure class=\"wide\">" +
           chart(axes_of(results, 640, 280), results, nullptr, "all bugs") + "</figure>\n";
  }
  out += "<h2>Each bug</h2>\n<div class=\"grid\">\n";
  const Axes axes = axes_of(results, 340, 210);
  for (const BugRow& bug : settings.bugs) {
    out += "<figure><figcaption><b>" + escape(bug.catalogue) + "</b> " + escape(bug.id) + "<small>" +
           escape(bug.title) + "</small></figcaption>" + chart(axes, results, &bug.id, bug.id) + "</figure>\n";
  }
  out += "</div>\n<h2>Medians</h2>\n" + medians(results);
  out +=
      "<p class=\"dim\">Bold: the smallest mean time within the budget, per row. A curve is the "
      "Kaplan-Meier estimate of the share of "
      "trials that have not seen the bug; the dotted line is one half, where the median is read "
      "off. Trials that ended "
      "without a finding count for as long as they ran; a small tick marks one that was cut short "
      "of its budget. "
      "Coverage is the normal loop with its corpus; the other policies run generated programs "
      "without feedback.</p>\n";
  return out + "</body></html>\n";
}

}  // namespace daxfuzz::benchbugs
