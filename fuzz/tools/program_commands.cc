// fuzz/tools/program_commands.cc - `daxfuzz show` and `daxfuzz pack`: between the two forms of a program.
#include <cstdio>

#include "fuzz/prog/binary.h"
#include "fuzz/prog/text.h"
#include "fuzz/tools/commands.h"
#include "fuzz/tools/exit_code.h"
#include "fuzz/tools/files.h"

namespace daxfuzz::tools {
namespace {

int fail(const std::string& error) {
  std::fprintf(stderr, "daxfuzz: %s\n", error.c_str());
  return kExitUsage;
}

int show(const std::string& file) {
  prog::Program program;
  std::string error;
  if (!load_program(file, &program, &error)) { return fail(error); }
  std::fputs(prog::print(program).c_str(), stdout);
  return kExitOk;
}

int pack(const std::string& file, const std::string& out) {
  prog::Program program;
  std::string error;
  if (!load_program(file, &program, &error)) { return fail(error); }
  if (!write_file(out, prog::encode(program), &error)) { return fail(error); }
  return kExitOk;
}

}  // namespace

void add_show(CLI::App& app, Action* action) {
  auto* command = app.add_subcommand("show", "print a program as text");
  auto file = std::make_shared<std::string>();
  command->add_option("FILE", *file, "text or binary; - is standard input")->required();
  command->footer("Example: daxfuzz show crash-0a1b2c");
  command->callback([=] { *action = [=] { return show(*file); }; });
}

void add_pack(CLI::App& app, Action* action) {
  auto* command = app.add_subcommand("pack", "write a program in binary form, as the fuzzers read it");
  auto file = std::make_shared<std::string>();
  auto out = std::make_shared<std::string>();
  command->add_option("FILE", *file, "text or binary; - is standard input")->required();
  command->add_option("-o,--output", *out, "file to write; - is standard output")->required();
  command->footer("Example: daxfuzz pack program.txt -o seed.bin");
  command->callback([=] { *action = [=] { return pack(*file, *out); }; });
}

}  // namespace daxfuzz::tools
