// fuzz/xarray/draw_main.cc - the command `xarray_draw`: a sequence of XArray operations with a picture after each.
#include <cstdio>
#include <fstream>
#include <sstream>
#include <string>

#include "fuzz/xarray/draw.h"

int main(int argc, char** argv) {
  if (argc != 2 || argv[1][0] == '-') {
    std::printf(
        "Draws the nodes of an XArray after each operation of a sequence (fuzz/xarray/ops.h has the syntax).\n"
        "Example: xarray_draw corpus/xarray/pmd-load-meets-one-page.txt\n");
    return argc == 2 && std::string(argv[1]) == "--help" ? 0 : 1;
  }
  std::ifstream in(argv[1]);
  std::stringstream text;
  text << in.rdbuf();
  daxfuzz::xarray::Sequence sequence;
  std::string error;
  if (!in || !daxfuzz::xarray::parse(text.str(), argv[1], &sequence, &error)) {
    std::fprintf(stderr, "xarray_draw: %s\n", in ? error.c_str() : (std::string(argv[1]) + ": cannot be read").c_str());
    return 1;
  }
  const std::string story = daxfuzz::xarray::draw(sequence);
  std::fputs(story.c_str(), stdout);
  return story.find("WRONG: ") == std::string::npos ? 0 : 77;
}
