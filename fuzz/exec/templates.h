// fuzz/exec/templates.h - image templates by name: small | default | csum | nocsum | huge | tiny | files | maps.
//
// All have empty files g0..g5 without the DAX flag. "files" begins in the middle of things: 64 KiB each of written
// blocks (f0, f3), unwritten blocks (f1), hole (f2) and every other block (f4), with the DAX flag; g0, g1, g2 as f0, f1
// and f2 without it; directories d0, with an empty f0 that is also d0/f1 and has long names that all but fill the
// directory's block, and d1 and d0/d1, empty; a symbolic link l0 to d0. "maps" is the same without extents (`mke2fs -O
// ^extent`), with holes for unwritten blocks.
//
// Made by mke2fs when the project is built (make_templates.py) and compiled in, because a fuzzing service offers
// neither mke2fs nor files. Expanded once a process.  Tested by: fuzz/exec/templates_test.cc.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

#include "fuzz/exec/image_table.h"

namespace daxfuzz::exec {

// The image's bytes; empty for an unknown name. Lives as long as the process.
std::span<const std::byte> image_template(std::string_view name);
// Whether its files begin with contents.
bool template_has_contents(std::string_view name);
// All of them.
std::span<const ImageData> template_table();
// "small, default, ..." for messages.
std::string template_names();

}  // namespace daxfuzz::exec
