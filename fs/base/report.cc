#include "fs/base/report.h"

#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <utility>

#include "fs/base/text.h"

namespace daxfs {
namespace {

struct HandlerSlot {
  FindingHandler handler = nullptr;
  void* context = nullptr;
};

HandlerSlot g_handler;

// Corruption is reported from native threads too; the list is bounded because bad media may be bad everywhere.
constexpr size_t kCorruptionMessagesMax = 64;
std::mutex g_corruption_mutex;
std::vector<std::string> g_corruption_messages;

}  // namespace

const char* verdict_name(Verdict verdict) {
  switch (verdict) {
    case Verdict::kOk: return "OK";
    case Verdict::kBug: return "BUG";
    case Verdict::kWarn: return "WARNING";
    case Verdict::kCorruptMedia: return "corrupt-media";
    case Verdict::kWrongResult: return "wrong-result";
    case Verdict::kNotDurable: return "not-durable";
    case Verdict::kDeadlock: return "deadlock";
    case Verdict::kLivelock: return "livelock";
    case Verdict::kLeak: return "leak";
    case Verdict::kLockMisuse: return "lock-misuse";
    case Verdict::kDataRace: return "data-race";
    case Verdict::kCrash: return "crash";
    case Verdict::kHarness: return "harness-error";
  }
  return "?";
}

void set_finding_handler(FindingHandler handler, void* context, FindingHandler* previous_handler,
                         void** previous_context) {
  if (previous_handler != nullptr) { *previous_handler = g_handler.handler; }
  if (previous_context != nullptr) { *previous_context = g_handler.context; }
  g_handler = {handler, context};
}

std::vector<std::string> take_corruption_messages() {
  const std::lock_guard lock(g_corruption_mutex);
  return std::exchange(g_corruption_messages, {});
}

namespace {

Finding make_finding(Verdict verdict, const char* tag, Site site, const About& about, const char* format,
                     std::string title) {
  if (*about.how != '\0') { title.append("; ").append(about.how); }
  return {.verdict = verdict,
          .tag = tag,
          .title = std::move(title),
          .detail = {},
          .function = site.function_name(),
          .file = site.file_name(),
          .line = site.line(),
          .message = format,
          .about = about};
}

}  // namespace

void report_finding(Finding&& finding) {
  if (g_handler.handler != nullptr) {
    g_handler.handler(g_handler.context, std::move(finding));
    return;
  }
  std::fprintf(stderr, "%s [%s] %s\n  in %s (%s:%u)\n%s\n", verdict_name(finding.verdict), finding.tag.c_str(),
               finding.title.c_str(), finding.function, finding.file, finding.line, finding.detail.c_str());
  std::abort();
}

void report_finding(Verdict verdict, const char* tag, std::string title, std::string detail, Site site,
                    const About& about) {
  Finding finding = make_finding(verdict, tag, site, about, "", std::move(title));
  finding.detail = std::move(detail);
  report_finding(std::move(finding));
}

namespace internal {

bool g_stop_at_findings = false;

void report_finding(Verdict verdict, const char* tag, Site site, const char* format, ...) {
  va_list args;
  va_start(args, format);
  Finding finding = make_finding(verdict, tag, site, {}, format, vformat(format, args));
  va_end(args);
  daxfs::report_finding(std::move(finding));
}

void report_finding(Verdict verdict, const char* tag, Site site, About about, const char* format, ...) {
  va_list args;
  va_start(args, format);
  Finding finding = make_finding(verdict, tag, site, about, format, vformat(format, args));
  va_end(args);
  daxfs::report_finding(std::move(finding));
}

void report_corruption(const char* format, ...) {
  va_list args;
  va_start(args, format);
  std::string text = vformat(format, args);
  va_end(args);
  const std::lock_guard lock(g_corruption_mutex);
  if (g_corruption_messages.size() < kCorruptionMessagesMax) { g_corruption_messages.push_back(std::move(text)); }
}

}  // namespace internal
}  // namespace daxfs
