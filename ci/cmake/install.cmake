# The library as a package: `cmake --install build/lib --prefix P`, then find_package(daxfs) and link daxfs::daxfs.
#
# Only the native flavour is installed: the fiber engine serves one run at a time in a process, which suits a fuzzer and
# no other program. Headers keep their paths: #include "fs/vfs/filesystem.h" under <prefix>/include/daxfs.
include(CMakePackageConfigHelpers)
include(GNUInstallDirs)

if(NOT DAXFS_RT STREQUAL "native" OR DAXFS_SANITIZE OR DAXFS_COVERAGE_COUNTERS)
  return()
endif()

add_library(daxfs STATIC)
add_library(daxfs::daxfs ALIAS daxfs)
set_target_properties(daxfs PROPERTIES LINKER_LANGUAGE CXX)
get_property(modules GLOBAL PROPERTY DAXFS_MODULES)
foreach(module IN LISTS modules)
  get_target_property(type ${module} TYPE)
  if(module MATCHES "^fs_" AND type STREQUAL "OBJECT_LIBRARY")
    target_sources(daxfs PRIVATE $<TARGET_OBJECTS:${module}>)
  endif()
endforeach()
target_compile_features(daxfs INTERFACE cxx_std_20)
target_compile_definitions(daxfs INTERFACE DAXFS_RT_NATIVE=1 $<$<BOOL:${DAXFS_HISTORICAL_BUGS}>:DAXFS_HISTORICAL_BUGS=1>)
target_include_directories(daxfs INTERFACE
  $<BUILD_INTERFACE:${CMAKE_SOURCE_DIR}> $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}/daxfs>)
target_link_libraries(daxfs INTERFACE
  $<BUILD_INTERFACE:pmem2> $<INSTALL_INTERFACE:PkgConfig::DAXFS_PMEM2> Threads::Threads)
find_package(Threads REQUIRED)

install(TARGETS daxfs EXPORT daxfs-targets ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(EXPORT daxfs-targets NAMESPACE daxfs:: DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/daxfs)
install(DIRECTORY ${CMAKE_SOURCE_DIR}/fs DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/daxfs
  FILES_MATCHING
  PATTERN "*.h"
  PATTERN "fiber" EXCLUDE
  PATTERN "*test*" EXCLUDE
  PATTERN "*_fake.h" EXCLUDE
  PATTERN "*_model.h" EXCLUDE)
install(FILES ${CMAKE_SOURCE_DIR}/LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR})

file(WRITE ${CMAKE_BINARY_DIR}/daxfs-config.cmake
  "include(CMakeFindDependencyMacro)\n"
  "find_dependency(Threads)\n"
  "find_dependency(PkgConfig)\n"
  "pkg_check_modules(DAXFS_PMEM2 REQUIRED QUIET IMPORTED_TARGET libpmem2)\n"
  "include(\"\${CMAKE_CURRENT_LIST_DIR}/daxfs-targets.cmake\")\n")
write_basic_package_version_file(${CMAKE_BINARY_DIR}/daxfs-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_BINARY_DIR}/daxfs-config.cmake ${CMAKE_BINARY_DIR}/daxfs-config-version.cmake
  DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/daxfs)
