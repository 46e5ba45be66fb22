# daxfs_precompiled(<target> lib|test|tools): the standard library, GoogleTest for tests, CLI11 and JSON for tools are
# parsed once a build.
#
# Only where DAXFS_PCH is on, as ci/test sets it: more than half of the time of a full build is those headers. It stays off
# in a developer's build, where it would spoil ccache and hide a missing #include; `lib` compiles without it in CI too.
# No header of ours is in it, so that a change of one rebuilds no more than it must.
option(DAXFS_PCH "precompile the headers of the standard library and of GoogleTest" OFF)
if(NOT DAXFS_PCH)
  function(daxfs_precompiled TARGET KIND)
  endfunction()
  return()
endif()

set(daxfs_std_headers <algorithm> <array> <bit> <cinttypes> <cstddef> <cstdint> <cstdio> <cstdlib> <cstring> <functional>
    <map> <memory> <optional> <source_location> <span> <string> <string_view> <tuple> <type_traits> <utility> <vector>)
file(WRITE ${CMAKE_BINARY_DIR}/pch/lib.cc "")
file(WRITE ${CMAKE_BINARY_DIR}/pch/test.cc "int main() {}\n")
# Modules are object libraries and tests are executables: -fPIC and -fPIE, which do not share a precompiled header.
add_library(daxfs_pch_lib OBJECT EXCLUDE_FROM_ALL ${CMAKE_BINARY_DIR}/pch/lib.cc)
target_link_libraries(daxfs_pch_lib PRIVATE daxfs_flags)
target_precompile_headers(daxfs_pch_lib PRIVATE ${daxfs_std_headers})
if(DAXFS_BUILD_TESTS)
  find_package(GTest REQUIRED)
  add_executable(daxfs_pch_test EXCLUDE_FROM_ALL ${CMAKE_BINARY_DIR}/pch/test.cc)
  target_link_libraries(daxfs_pch_test PRIVATE daxfs_flags GTest::gmock)
  target_precompile_headers(daxfs_pch_test PRIVATE ${daxfs_std_headers} <gmock/gmock.h> <gtest/gtest.h>)
endif()

function(daxfs_precompiled TARGET KIND)
  if(KIND STREQUAL "tools" AND NOT TARGET daxfs_pch_tools)
    file(WRITE ${CMAKE_BINARY_DIR}/pch/tools.cc "")
    add_library(daxfs_pch_tools OBJECT EXCLUDE_FROM_ALL ${CMAKE_BINARY_DIR}/pch/tools.cc)
    target_link_libraries(daxfs_pch_tools PRIVATE daxfs_flags nlohmann_json::nlohmann_json CLI11::CLI11)
    target_precompile_headers(daxfs_pch_tools PRIVATE ${daxfs_std_headers} <CLI/CLI.hpp> <nlohmann/json.hpp>)
  endif()
  if(KIND STREQUAL "tools")
    target_compile_options(${TARGET} PRIVATE -fPIC)  # executables among them: one precompiled header for all
  endif()
  target_precompile_headers(${TARGET} REUSE_FROM daxfs_pch_${KIND})
endfunction()
