// fuzz/report/bundle.cc - file names and the index.
#include "fuzz/report/bundle.h"

#include "fuzz/explain/explain.h"
#include "fuzz/prog/binary.h"
#include "fuzz/report/formats.h"
#include "fuzz/report/prose.h"

namespace daxfuzz::report {
namespace {

std::string program_text(const Report& report) {
  const std::string text = listing_text(report, 100);
  const size_t second_line = text.find('\n') + 1;  // the first must stay: it says that the file is text
  return text.substr(0, second_line) + "# FINDING " + report.verdict + " " + report.title + " key=" + report.key +
         " trace=" + report.trace + "\n# replay: daxfuzz run program.txt" + bug_options(report) + "\n" +
         text.substr(second_line);
}

std::string index(const Report& report) {
  std::string out = "# " + report.verdict + " in `" + report.function + "`\n\n    " + report.message + "\n\n";
  out += wrap(what_it_takes(report), 100) + "\n";
  out +=
      "| file | what it is |\n|---|---|\n"
      "| [report.html](report.html) | the report to read: diagram, state, program |\n"
      "| [issue.md](issue.md) | the same for an issue tracker |\n"
      "| [report.mail](report.mail) | the same for a mailing list, plain text |\n"
      "| [diagram.svg](diagram.svg) | the diagram alone |\n"
      "| [report.sarif](report.sarif) | SARIF 2.1.0, for viewers of code scanning |\n"
      "| [trace.json](trace.json) | the run on a time line: open it in ui.perfetto.dev or "
      "chrome://tracing |\n"
      "| [finding_test.cc](finding_test.cc) | C++ program that fails while the finding is there; "
      "its head says how to "
      "build it |\n"
      "| [program.txt](program.txt) | the program with its schedule, text |\n"
      "| [program.bin](program.bin) | the same in binary form, as fuzzers read it |\n\n";
  out += "Replay: `daxfuzz run program.txt" + bug_options(report) + "`\n\nDedup key `" + report.key +
         "`, trace hash `" + report.trace + "`, " + std::to_string(report.replays) + " of " +
         std::to_string(report.replays) + " replays.\n";
  return out;
}

}  // namespace

std::vector<BundleFile> bundle(const Report& original) {
  Report report = original;
  report.file = "program.txt";  // commands are typed in the folder
  const std::vector<uint8_t> binary = prog::encode(report.program);
  return {{"program.txt", program_text(report)}, {"program.bin", std::string(binary.begin(), binary.end())},
          {"report.html", to_html(report)},      {"issue.md", to_markdown(report)},
          {"report.mail", to_mail(report)},      {"diagram.svg", explain::to_svg(report.explanation)},
          {"report.sarif", to_sarif(report)},    {"trace.json", to_perfetto(report)},
          {"finding_test.cc", to_test(report)},  {"README.md", index(report)}};
}

}  // namespace daxfuzz::report
