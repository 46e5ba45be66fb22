// fuzz/prog/text.h - programs as people read and write them.
//
// Grammar and reference: docs/formats/program.md. parse(print(p)) == p and print(parse(print(p)))
// == print(p) for every valid program; names of variables and spellings of numbers are
// canonicalised, comments are not kept.
//
// Tested by: fuzz/prog/text_test.cc, props/prog_codec_props.cc
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "fuzz/prog/program.h"

namespace daxfuzz::prog {

// Bytes that begin with this are text, all others are binary.
inline constexpr std::string_view kTextMagic = "daxfuzz program";
bool is_text(std::span<const uint8_t> bytes);

std::string print(const Program& program);
// One operation without indent and line end: `f0 = open "f0" rdwr|creat`.
std::string print_op(const Program& program, const Op& op);
// `T1 op 2 event 17 -> T2`
std::string print_preemption(const Preemption& preemption);
// "T3", "S0"
std::string print_task_id(TaskId id);

// False with *error = "NAME:line:column: what was expected" (columns count bytes from 1); *program
// is then unspecified. Any text is allowed, also one that is no text.
bool parse(std::string_view text, std::string_view name, Program* program, std::string* error);

// Text by its magic, otherwise binary, which never fails.
bool load(std::span<const uint8_t> bytes, std::string_view name, Program* program, std::string* error);

}  // namespace daxfuzz::prog
