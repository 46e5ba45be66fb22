// fuzz/tools/files.h - whole files in and out, with messages for people.
//
// Tested by: fuzz/tools/regress_test.cc.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "fuzz/prog/program.h"

namespace daxfuzz::tools {

// "-" is standard input. False with *error = "PATH: why".
bool read_file(const std::string& path, std::vector<uint8_t>* bytes, std::string* error);
// "-" is standard output. Writes beside and renames, so that a reader never sees half a file.
bool write_file(const std::string& path, std::span<const uint8_t> bytes, std::string* error);
bool write_file(const std::string& path, std::string_view text, std::string* error);
// Reads a program in either form.
bool load_program(const std::string& path, prog::Program* program, std::string* error);
// A program's text with comment lines behind its first line, which must stay first: it says that the file is text.
std::string annotate(const std::string& program_text, const std::string& comments);
// Every regular file below `dir` (or `dir` itself if it is a file), sorted by path.
std::vector<std::string> list_files(const std::string& dir);

}  // namespace daxfuzz::tools
