// fuzz/prog/options.h - what generation and mutation may do, and how often.
//
// Tested by: fuzz/prog/generate_test.cc
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>

#include "fuzz/prog/program.h"

namespace daxfuzz::prog {

struct Options {
  // Relative share of each operation; the default instance has the op table's weights.
  std::array<uint16_t, kOpCount> weights = table_weights();
  // Each generated program uses a random half of the operations: what is left out lets the rest
  // collide more often.
  bool swarm = true;
  uint8_t processes_max = 2;
  uint8_t tasks_min = 2;
  uint8_t tasks_max = 4;
  uint8_t ops_per_task_max = 5;
  uint8_t preemptions_max = 6;
  std::span<const TaskId> system_tasks = kDefaultSystemTasks;  // which ones schedules may name
  uint32_t event_max = 256;                                    // events of an operation that are worth an anchor
  int64_t file_bytes_max = 4 << 20;
  std::span<const std::string_view> images = kDefaultImages;
  std::span<const std::string_view> mounts = kDefaultMounts;
  // A read or write whose buffer maps the range it transfers has no defined result; see
  // World::may_copy_onto_itself.
  bool self_copies = false;

  // Mostly an empty one; and some that begin in the middle of things: files with blocks, a directory that is full,
  // trees with nodes, block maps, checksums with a seed.
  static constexpr std::string_view kDefaultImages[] = {"small", "small", "small", "small", "small", "small",
                                                        "small", "small", "small", "small", "small", "files",
                                                        "files", "files", "maps",  "csum"};
  // dax=inode has files with and without DAX side by side: direct I/O on the latter pins pages of
  // the former. Four in fifteen have huge pages, small enough for small files; more of the known bugs need them.
  static constexpr std::string_view kDefaultMounts[] = {"dax=always",
                                                        "dax=inode",
                                                        "dax=inode",
                                                        "dax=inode",
                                                        "dax=inode",
                                                        "dax=inode",
                                                        "dax=inode,dioread_nolock",
                                                        "dax=inode,dioread_nolock",
                                                        "dax=inode,huge=2",
                                                        "dax=inode,huge=2",
                                                        "dax=inode,huge=2",
                                                        "dax=always,huge=2",
                                                        "dax=inode,trim_eof",
                                                        "dax=inode,reclaim=16",
                                                        "dax=inode,flush=8"};

  // RCU, two interrupts, two workers.
  static constexpr TaskId kDefaultSystemTasks[] = {kSystemTask0, kSystemTask0 + 1, kSystemTask0 + 2, kSystemTask0 + 32,
                                                   kSystemTask0 + 33};

  static std::array<uint16_t, kOpCount> table_weights();
};

// The default instance, built once.
const Options& default_options();

}  // namespace daxfuzz::prog
