// fuzz/residual/page.cc - the heat map: a row for the operation of the earlier access, a column for
// the later's.
#include <algorithm>
#include <cinttypes>
#include <cmath>

#include "fs/base/text.h"
#include "fuzz/markup/markup.h"
#include "fuzz/residual/summary.h"

namespace daxfuzz::residual {
namespace {

using daxfs::format;

// One hue, darker where more is left; what never ran together is hatched, so that no colour has to
// be told apart for it.
constexpr char kStyle[] = R"(
:root { --back: #ffffff; --text: #1c2024; --dim: #5f6b76; --line: #c9d0d7; --heat: 176, 64, 0; --ink: #1c2024; }
@media (prefers-color-scheme: dark) {
  :root { --back: #14171a; --text: #e6e9ec; --dim: #9aa5b0; --line: #3a434c; --heat: 245, 150, 60; --ink: #ffffff; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 1400px; padding: 24px 20px 48px; background: var(--back); color: var(--text);
  font: 15px/1.5 system-ui, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
h1 { font-size: 24px; margin: 0 0 4px; } h2 { font-size: 18px; margin: 32px 0 8px; }
p { margin: 4px 0 8px; max-width: 90ch; } .dim { color: var(--dim); }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: 12px; font-variant-numeric: tabular-nums; }
.map th { font-weight: 400; color: var(--dim); padding: 1px 6px 1px 0; text-align: right; white-space: nowrap; }
.map thead th { writing-mode: vertical-rl; transform: rotate(180deg); text-align: left; padding: 4px 0; }
.map td { min-width: 26px; height: 22px; text-align: center; border: 1px solid var(--back); color: var(--ink); }
.map tr:hover th { color: var(--text); font-weight: 600; }
td.never { background: repeating-linear-gradient(45deg, var(--line) 0 1px, transparent 1px 5px); }
td.calm { color: var(--dim); border: 1px solid var(--line); }
.key { display: flex; flex-wrap: wrap; gap: 6px 20px; margin: 10px 0; font-size: 13px; }
.key span { display: inline-flex; align-items: center; gap: 8px; }
.key i { display: inline-block; width: 26px; height: 18px; border: 1px solid var(--line); }
.list th, .list td { padding: 3px 16px 3px 0; text-align: right; white-space: nowrap;
  border-bottom: 1px solid var(--line); }
.list th:first-child, .list td:first-child { text-align: left; }
)";

constexpr size_t kListed = 40;

// Operations that ran at all, system tasks last.
std::vector<size_t> rows_of(const Residual& residual) {
  std::vector<size_t> rows;
  for (size_t row = 0; row < kRows; ++row) {
    bool ran = row != kSystemRow;
    for (size_t other = 0; other < kRows; ++other) { ran |= residual.pair(row, other).runs != 0; }
    if (ran) { rows.push_back(row); }
  }
  return rows;
}

// Share of the estimated whole that was not seen.
double left(const Estimate& pair) {
  const double unseen = pair.unseen();
  return unseen / (unseen + static_cast<double>(std::max<uint64_t>(pair.seen, 1)));
}

std::string cell(const Residual& residual, size_t first, size_t then) {
  const Estimate& pair = residual.pair(first, then);
  if (pair.runs == 0) {
    return format("<td class=\"never\" title=\"%s, then %s: never ran together\"></td>", row_name(first),
                  row_name(then));
  }
  if (pair.seen == 0) {
    return format("<td class=\"calm\" title=\"%s, then %s: %" PRIu64
                  " runs together, nothing touched in this order\">0</td>",
                  row_name(first), row_name(then), pair.runs);
  }
  return format("<td style=\"background: rgba(var(--heat), %.2f)\" title=\"%s, then %s: %" PRIu64
                " orders seen in %" PRIu64 " runs together, at least %.0f unseen, %" PRIu64
                " seen once, %.0f %% of sightings were of known ones\">%" PRIu64 "</td>",
                0.08 + 0.82 * left(pair), row_name(first), row_name(then), pair.seen, pair.runs, pair.unseen(),
                pair.once, 100 * pair.coverage(), pair.seen);
}

std::string map(const Residual& residual) {
  const std::vector<size_t> rows = rows_of(residual);
  std::string html = "<div class=\"scroll\"><table class=\"map\"><thead><tr><th></th>";
  for (const size_t row : rows) { html += format("<th>%s</th>", row_name(row)); }
  html += "</tr></thead><tbody>\n";
  for (const size_t first : rows) {
    html += format("<tr><th>%s</th>", row_name(first));
    for (const size_t then : rows) { html += cell(residual, first, then); }
    html += "</tr>\n";
  }
  return html + "</tbody></table></div>\n";
}

std::string list(const Residual& residual) {
  auto pairs = residual.most_left();
  if (pairs.size() > kListed) { pairs.resize(kListed); }
  std::string html =
      "<div class=\"scroll\"><table class=\"list\"><tr><th>first, then</th><th>runs "
      "together</th><th>seen</th>"
      "<th>seen once</th><th>unseen at least</th><th>new in the next run</th></tr>\n";
  for (const auto [first, then] : pairs) {
    const Estimate& pair = residual.pair(first, then);
    html += format("<tr><td>%s, %s</td><td>%" PRIu64 "</td><td>%" PRIu64 "</td><td>%" PRIu64
                   "</td><td>%.0f</td><td>%.3f</td></tr>\n",
                   row_name(first), row_name(then), pair.runs, pair.seen, pair.once, pair.unseen(), pair.next());
  }
  return html + "</table></div>\n";
}

}  // namespace

std::string page(const Residual& residual) {
  std::string html =
      "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"><title>daxfuzz: "
      "what was not explored</title>"
      "<style>";
  html += kStyle;
  html += "</style></head><body>\n<h1>What was not explored</h1>\n";
  html += "<p>" + summary(residual) + "</p>\n";
  html +=
      "<p>An order: an operation (row) touches an object at one place of the source, then an "
      "operation of another task "
      "(column) does at another, and one of the two may change it. The number is how many such "
      "orders were seen; the "
      "colour is the share of the estimated whole that was not.</p>\n"
      "<div class=\"key\"><span><i style=\"background: rgba(var(--heat), .08)\"></i>nearly all "
      "seen</span>"
      "<span><i style=\"background: rgba(var(--heat), .49)\"></i>half</span>"
      "<span><i style=\"background: rgba(var(--heat), .90)\"></i>hardly any</span>"
      "<span><i style=\"background: repeating-linear-gradient(45deg, var(--line) 0 1px, "
      "transparent 1px 5px)\"></i>never ran "
      "together</span></div>\n";
  html += map(residual);
  html += "<h2>Where most is left</h2>\n" + list(residual);
  html +=
      "<p class=\"dim\">Unseen: Chao2 (Chao, Biometrics 1987), a lower bound; new in the next run: "
      "Good and Turing (Good, "
      "Biometrika 1953). Runs are a sample of the fuzzer's. They are no independent draws, so what "
      "the generator seldom "
      "makes is underestimated, and what never ran together has no estimate.</p>\n</body></html>\n";
  return html;
}

}  // namespace daxfuzz::residual
