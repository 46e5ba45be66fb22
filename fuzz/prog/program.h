// fuzz/prog/program.h - a concurrent system-call program with its schedule: the value that
// everything in fuzz/ passes on.
//
// A program names an image template and mount options, has processes (each an address space and a
// descriptor table), operations that set each process up one after another, tasks whose operations
// run concurrently, and a schedule. It is plain data: copying is cheap, nothing here runs it.
//
// Variables. An operation's result goes to a slot: descriptor slots f0..f7, mapping slots m0..m7.
// Slots belong to the process and are shared by its tasks, as descriptors and addresses are. A slot
// holds what the kernel returned: after a failed open it holds an invalid descriptor, after a close
// it still holds the number (which a later open may reuse). A slot never assigned is EBADF as
// descriptor and an unmapped address as mapping. `m0+8K` is the address that mmap returned plus 8
// KiB, whether or not anything is mapped there (any more).
//
// Invariants: those that validate() checks, each with its own message; every program made by
// decode, parse, generate, mutate, crossover, shrink and the edits of edit.h fulfils them. Tested
// by: fuzz/prog/*_test.cc, props/prog_codec_props.cc
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "fuzz/prog/op_table.h"

namespace daxfuzz::prog {

inline constexpr unsigned kFormatVersion = 1;

inline constexpr size_t kProcessesMax = 4;
inline constexpr size_t kTasksMax = 8;
inline constexpr size_t kOpsMax = 64;               // operations of all tasks together
inline constexpr size_t kInitOpsMax = 16;           // set-up operations of all processes together
inline constexpr size_t kPreemptionsMax = 256;      // recorded schedules
inline constexpr size_t kPreemptionsInvented = 64;  // generation and mutation add none beyond this
inline constexpr size_t kFdSlots = 8;
inline constexpr size_t kMappingSlots = 8;
inline constexpr uint32_t kEventMax = (1u << 24) - 1;
inline constexpr size_t kImageNameMax = 32;  // bytes
inline constexpr size_t kMountOptionsMax = 64;
inline constexpr size_t kStringsMax = 16;        // paths that are not in the pool
inline constexpr size_t kStringBytesMax = 4200;  // one path: enough for ENAMETOOLONG
inline constexpr size_t kStringBytesTotalMax = 9000;

inline constexpr uint8_t kNoSlot = 0xff;      // Op::result: the result is dropped
inline constexpr uint8_t kBadFd = 0xfe;       // Op::fd: -1, always EBADF
inline constexpr uint8_t kPathString = 0x80;  // Op::path: kPathString + k is strings[k], below it the name pool

// A task as the schedule names it, with the engine's numbers (fs/rt/task.h): program task k is k,
// the harness' own task, which runs the set-up and starts and joins the others, is 63, system task
// k is 64 + k (0 is RCU, from 1 on interrupts, from 32 on workers).
using TaskId = uint8_t;
inline constexpr TaskId kRootTask = 63;
inline constexpr TaskId kSystemTask0 = 64;
inline constexpr size_t kSystemTasksMax = 64;
constexpr bool is_system_task(TaskId id) { return id >= kSystemTask0; }
constexpr bool is_program_task(TaskId id) { return id < kTasksMax; }
constexpr bool is_task_id(TaskId id) {
  return is_program_task(id) || id == kRootTask || (id >= kSystemTask0 && id < kSystemTask0 + kSystemTasksMax);
}

// Preemption::op of a task that has not begun its first operation. Text: `op 0`.
inline constexpr uint16_t kBeforeFirstOp = 0xffff;
inline constexpr uint16_t kAnchorOpMax = 4095;  // largest index otherwise; system tasks count activations

enum class MemoryKind : uint8_t {
  kNone,       // operand not present
  kMapping,    // address of mapping slot `slot`, plus `offset`
  kAnonymous,  // private memory of the harness, `offset` bytes behind a page boundary; a source is
               // filled first
  kBad,        // an address where nothing is ever mapped
};

enum class Pattern : uint8_t {
  kFill,      // every byte is `fill`
  kSequence,  // byte i is sequence_byte(fill, i): tells shifted and swapped pages from right ones
};

constexpr uint8_t sequence_byte(uint8_t fill, uint64_t i) {
  return static_cast<uint8_t>(fill + i + (i >> 8) + (i >> 16));
}

struct Memory {
  MemoryKind kind = MemoryKind::kNone;
  uint8_t slot = 0;                  // kMapping
  uint8_t fill = 0;                  // kAnonymous as source
  Pattern pattern = Pattern::kFill;  // kAnonymous as source
  int64_t offset = 0;                // kMapping: any; kAnonymous: 0..4095
  bool operator==(const Memory&) const = default;
};

// One operation. Members that its row of the op table does not name are as default-constructed.
struct Op {
  OpCode code = OpCode::kSync;
  uint8_t result = kNoSlot;  // descriptor or mapping slot
  uint8_t fd = 0;            // descriptor slot, or kBadFd
  uint8_t path = 0;          // see path_text()
  uint8_t path2 = 0;
  uint8_t prot = 0;
  uint16_t mode = 0;
  uint32_t flags = 0;  // open, fallocate, mmap... flags; whence; advice
  int64_t offset = 0;
  int64_t length = 0;  // bits of a size_t: -1 is the largest
  int64_t length2 = 0;
  Memory addr = {};
  Memory buffer = {};
  Memory at = {};  // kNone: let the kernel choose
  bool operator==(const Op&) const = default;

  const OpInfo& info() const { return op_info(code); }
};

struct Process {
  std::vector<Op> init;  // runs before any task, processes in order
  bool operator==(const Process&) const = default;
};

struct Task {
  uint8_t process = 0;
  std::vector<Op> ops;
  bool operator==(const Task&) const = default;
};

// "When `task` passes its `event`-th point inside its operation number `op`, run `next`." Beginning
// the operation is event 1. If the task blocks or ends there, `next` is the choice of who follows
// it (fs/rt/engine.h). An anchor that no run reaches (the operation went away, or has fewer points
// now) has no effect; the executor counts it.
struct Preemption {
  TaskId task = 0;
  TaskId next = 0;
  uint16_t op = 0;     // index, from 0 (text counts from 1), or kBeforeFirstOp; of a system task: its activation
  uint32_t event = 1;  // from 1, in text too
  bool operator==(const Preemption&) const = default;
};

struct Program {
  std::string image = "small";       // template name
  std::string mount = "dax=always";  // options joined by commas; empty (text: `defaults`) for the filesystem's own
  std::vector<Process> processes;    // 1..kProcessesMax
  std::vector<Task> tasks;           // 1..kTasksMax
  std::vector<Preemption> schedule;  // 0..kPreemptionsMax, order kept; the first of two equal anchors counts
  std::vector<std::string> strings;  // paths outside the pool, in order of first use, each used, none twice
  bool operator==(const Program&) const = default;

  // One process, one task, no operations: the smallest valid program.
  static Program minimal();

  size_t op_count() const;       // of all tasks
  size_t init_op_count() const;  // of all processes
  // The bytes of a path operand (Op::path, Op::path2); never contains NUL.
  std::string_view path_text(uint8_t path) const;
};

// Empty when the program fulfils every bound and canonical form; otherwise what is wrong, e.g.
// "task 2, operation 3 (pread): descriptor slot 9". Makes no allocation for a valid program.
std::string validate(const Program& program);

}  // namespace daxfuzz::prog
