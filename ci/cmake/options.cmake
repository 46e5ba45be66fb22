# Build options, and the flags that every target of the project shares (target `daxfs_flags`).
include(CheckCXXCompilerFlag)

set(DAXFS_RT "fiber" CACHE STRING "determinism seam: 'fiber' (deterministic engine) or 'native' (OS threads)")
set_property(CACHE DAXFS_RT PROPERTY STRINGS fiber native)
set(DAXFS_SANITIZE "" CACHE STRING "comma separated: address, undefined, thread, memory; empty for none")
option(DAXFS_HISTORICAL_BUGS "compile the switches of historical bugs" ON)
option(DAXFS_COVERAGE_COUNTERS "instrument fs/ with inline 8-bit counters for the fuzzers" ON)
option(DAXFS_SOURCE_COVERAGE "clang source-based coverage (llvm-cov)" OFF)
option(DAXFS_BUILD_FUZZ "build fuzz/, props/ and corpus/" ON)
option(DAXFS_BUILD_TESTS "build tests" ON)
option(DAXFS_INSTALL "install rules of the library" ON)
option(DAXFS_FUZZ_SERVICE "targets for a fuzzing service: instrumentation is the caller's, in CXXFLAGS (ci/oss-fuzz)" OFF)

if(NOT DAXFS_RT MATCHES "^(fiber|native)$")
  message(FATAL_ERROR "DAXFS_RT is '${DAXFS_RT}'; expected 'fiber' or 'native'")
endif()
if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE RelWithDebInfo CACHE STRING "" FORCE)
endif()

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)

if(DAXFS_FUZZ_SERVICE)
  if(DAXFS_SANITIZE OR DAXFS_SOURCE_COVERAGE)
    message(FATAL_ERROR "DAXFS_FUZZ_SERVICE: sanitizers and coverage come with CXXFLAGS there, not from our options")
  endif()
  set(DAXFS_COVERAGE_COUNTERS OFF)
  set(DAXFS_BUILD_TESTS OFF)
  set(DAXFS_INSTALL OFF)
endif()

find_program(DAXFS_CCACHE ccache)
if(DAXFS_CCACHE)
  set(CMAKE_CXX_COMPILER_LAUNCHER "${DAXFS_CCACHE}")
endif()

set(werror -Werror)
set(prefix_map -ffile-prefix-map)
if(DAXFS_FUZZ_SERVICE)
  set(werror "")                     # its compiler has warnings that we do not know yet
  set(prefix_map -fmacro-prefix-map)  # it finds our sources by the paths in debug and coverage information
endif()
add_library(daxfs_flags INTERFACE)
target_compile_features(daxfs_flags INTERFACE cxx_std_20)
target_include_directories(daxfs_flags INTERFACE $<BUILD_INTERFACE:${CMAKE_SOURCE_DIR}>)
target_compile_options(daxfs_flags INTERFACE
  -Wall -Wextra ${werror} -Wshadow -Wno-unused-parameter -Wformat=2 -Wnon-virtual-dtor
  -fno-omit-frame-pointer
  # Reports name sites as file:line; relative paths keep them equal on every machine.
  ${prefix_map}=${CMAKE_SOURCE_DIR}/=)
if(CMAKE_CXX_COMPILER_ID MATCHES "Clang")
  target_compile_options(daxfs_flags INTERFACE -Wthread-safety)
else()
  # GCC 12 reports these for correct code in optimised builds.
  target_compile_options(daxfs_flags INTERFACE -Wno-maybe-uninitialized -Wno-dangling-pointer
    -Wno-attributes -Wno-stringop-overflow -Wno-array-bounds -Wno-restrict)
endif()
if(DAXFS_RT STREQUAL "fiber")
  target_compile_definitions(daxfs_flags INTERFACE DAXFS_RT_FIBER=1)
else()
  target_compile_definitions(daxfs_flags INTERFACE DAXFS_RT_NATIVE=1)
  find_package(Threads REQUIRED)  # here, where every folder sees the target
endif()
if(DAXFS_HISTORICAL_BUGS)
  target_compile_definitions(daxfs_flags INTERFACE DAXFS_HISTORICAL_BUGS=1)
endif()

# Sanitizers apply to every object of the build, third-party headers included.
string(REPLACE "," ";" daxfs_sanitizers "${DAXFS_SANITIZE}")
foreach(sanitizer IN LISTS daxfs_sanitizers)
  add_compile_options(-fsanitize=${sanitizer})
  add_link_options(-fsanitize=${sanitizer})
endforeach()
if("undefined" IN_LIST daxfs_sanitizers)
  add_compile_options(-fno-sanitize-recover=all)
endif()
if("address" IN_LIST daxfs_sanitizers AND CMAKE_CXX_COMPILER_ID MATCHES "Clang")
  add_compile_options(-fsanitize-recover=address)  # whether a report ends the process is an option when it starts
endif()

# Coverage of fs/ only: the fuzzer's own code must not look interesting to the fuzzer.
add_library(daxfs_coverage INTERFACE)
set(DAXFS_UNCOUNTED "")  # options of sources whose branches are no coverage
if(DAXFS_COVERAGE_COUNTERS AND CMAKE_CXX_COMPILER_ID MATCHES "Clang")
  target_compile_options(daxfs_coverage INTERFACE -fsanitize-coverage=inline-8bit-counters,pc-table)
  set(DAXFS_UNCOUNTED -fno-sanitize-coverage=inline-8bit-counters,pc-table)
elseif(DAXFS_FUZZ_SERVICE AND CMAKE_CXX_FLAGS MATCHES "-fsanitize=fuzzer-no-link")
  set(DAXFS_UNCOUNTED -fno-sanitize=fuzzer-no-link)
endif()

# A service runs targets where libpmem2, a shared library with five others behind it, is not: its static archive wants
# libndctl, which distributions have as a shared library only. Targets need anonymous memory of it.
if(DAXFS_FUZZ_SERVICE)
  add_library(pmem2 STATIC ${CMAKE_SOURCE_DIR}/ci/oss-fuzz/pmem2_anonymous.cc)
endif()
if(DAXFS_SOURCE_COVERAGE)
  add_compile_options(-fprofile-instr-generate -fcoverage-mapping)
  add_link_options(-fprofile-instr-generate)
endif()
