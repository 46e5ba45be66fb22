// fuzz/prog/testing.h - programs of tests.
#pragma once

#include <string>
#include <string_view>

#include <gtest/gtest.h>

#include "fuzz/prog/program.h"
#include "fuzz/prog/text.h"

namespace daxfuzz::prog {

inline Program parsed(std::string_view text) {
  Program program;
  std::string error;
  EXPECT_TRUE(parse(text, "", &program, &error)) << error;
  return program;
}

}  // namespace daxfuzz::prog
