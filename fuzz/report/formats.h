// fuzz/report/formats.h - one report as text of each format.
//
// All are pure functions of the report: same report, same bytes.
//
// Tested by: fuzz/report/formats_test.cc, fuzz/report/report_test.py.
#pragma once

#include <string>

#include "fuzz/report/report.h"

namespace daxfuzz::report {

// An issue for a tracker.
std::string to_markdown(const Report& report);
// One file that needs nothing else: no network, no script; light and dark.
std::string to_html(const Report& report);
// A plain mail of at most 78 columns, its subject first.
std::string to_mail(const Report& report);
// SARIF 2.1.0: one result, a code flow with one thread flow for each task.
std::string to_sarif(const Report& report);
// Chrome's trace-event JSON, which ui.perfetto.dev and chrome://tracing open. One microsecond is
// one event of the run.
std::string to_perfetto(const Report& report);
// C++ with main(): fails while the finding is there. See test_source.cc for how it is built.
std::string to_test(const Report& report);

}  // namespace daxfuzz::report
