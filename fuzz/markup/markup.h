// fuzz/markup/markup.h - text for pages and for lines of a given width.
//
// Locking: none; pure functions.  Tested by: fuzz/markup/markup_test.cc
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace daxfuzz::markup {

// As character data or as a quoted attribute's value, in HTML as well as in XML.
std::string escape(std::string_view text);

// Words of `text` in lines of at most `width` bytes, the first after `first`, the others after `hang`; a word that is
// too long for a line is cut. Never empty. REQUIRES: `hang` is shorter than `width`.
std::vector<std::string> wrap(std::string_view text, size_t width, std::string_view first = "",
                              std::string_view hang = "");

}  // namespace daxfuzz::markup
