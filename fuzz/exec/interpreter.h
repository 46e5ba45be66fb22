// fuzz/exec/interpreter.h - one operation of a program becomes one system call.
//
// Resolves operands (descriptor and mapping slots, paths, buffers), makes the call, records what came back. Slots
// belong to a process and are shared by its tasks without locks: an operation reads its slots when it begins and
// writes its result when it ends, as two threads sharing a variable do.
//
// Locking: one Interpreter and one Arena a task; ProcessState is shared.
// Tested by: fuzz/exec/interpreter_test.cc.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "fs/base/function_ref.h"
#include "fs/vfs/process.h"
#include "fuzz/oracle/history.h"
#include "fuzz/prog/program.h"

namespace daxfuzz::exec {

// Memory for the bytes that operations move: lives until the next run, is reused.
class Arena {
 public:
  std::span<std::byte> take(size_t size);
  void reset() {
    used_ = 0;
    large_.clear();
  }

 private:
  static constexpr size_t kChunk = size_t{4} << 20;  // touched only as far as used
  std::unique_ptr<std::byte[]> chunk_;
  size_t used_ = 0;
  std::vector<std::unique_ptr<std::byte[]>> large_;  // what did not fit
};

// Longest transfer we give memory to, bytes; a longer one is cut as MAX_RW_COUNT cuts one in the kernel.
inline constexpr uint64_t kTransferMax = uint64_t{64} << 20;

class Interpreter {
 public:
  // A process of the run: the simulated one and its variables.
  struct ProcessState {
    daxfs::vfs::Process* process = nullptr;

    ProcessState() { fds_.fill(-1); }
    int fd(size_t slot) const { return __atomic_load_n(&fds_[slot], __ATOMIC_RELAXED); }
    void set_fd(size_t slot, int fd) { __atomic_store_n(&fds_[slot], fd, __ATOMIC_RELAXED); }
    // An address; 0 when never assigned.
    uint64_t mapping(size_t slot) const { return __atomic_load_n(&mappings_[slot], __ATOMIC_RELAXED); }
    void set_mapping(size_t slot, uint64_t address) { __atomic_store_n(&mappings_[slot], address, __ATOMIC_RELAXED); }

   private:
    // The simulated program's variables: it may race on them, which is no finding.
    std::array<int, prog::kFdSlots> fds_;
    std::array<uint64_t, prog::kMappingSlots> mappings_{};
  };

  // `sequence`: the counter of begins and ends (oracle::OpRecord).
  Interpreter(const prog::Program& program, Arena& arena, uint64_t* sequence)
      : program_(program), arena_(arena), sequence_(sequence) {}

  // Runs the operation and fills `record` (all but its times and place). `before_call`: called when the record says
  // what the operation is about: descriptor, file, addresses. YIELDS.
  void step(
      ProcessState& process, const prog::Op& op, oracle::OpRecord& record,
      daxfs::FunctionRef<void()> before_call = [] {});
  // Takes the events of up to `wanted` (0: all) asynchronous transfers of the process, and puts results and data where
  // they began. RETURNS: how many. `hash`: of what they say. YIELDS.
  size_t collect_events(ProcessState& process, size_t wanted, uint64_t* hash);

 private:
  struct Call;

  void run_file_call(Call& call);
  void run_transfer(Call& call);
  void run_io_submit(Call& call);
  void run_io_getevents(Call& call);
  void run_space_call(Call& call);
  void run_name_call(Call& call);
  void run_memory_call(Call& call);
  void run_access(Call& call);
  void run_store(Call& call, daxfs::VirtAddr address, uint64_t length);
  void run_touch(Call& call);
  void run_process_vm_readv(Call& call);

  const prog::Program& program_;
  Arena& arena_;
  uint64_t* const sequence_;
};

// Of the program's tasks, for the engine.
inline constexpr std::array<const char*, prog::kTasksMax> kTaskNames = {"T0", "T1", "T2", "T3", "T4", "T5", "T6", "T7"};

// Into the trace's hash: what the call gave back.
void mix_result(const oracle::OpRecord& record);

// FNV-1a, 64 bits: what result lines and dedup keys print. A byte at a time, so not for every run.
uint64_t fnv1a64(std::span<const std::byte> bytes);

}  // namespace daxfuzz::exec
