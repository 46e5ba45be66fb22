// fuzz/minimize/testing.h - programs of tests.
#pragma once

#include <string>

#include <gtest/gtest.h>

#include "fuzz/prog/program.h"
#include "fuzz/prog/text.h"

namespace daxfuzz::minimize {

// `text` without its first line.
inline prog::Program parse(const std::string& text) {
  prog::Program program;
  std::string error;
  EXPECT_TRUE(prog::parse("daxfuzz program 1\n" + text, "test", &program, &error)) << error;
  return program;
}

}  // namespace daxfuzz::minimize
