// fuzz/exec/durability.h - what an fsync, msync or sync that returned success promised: stores through mappings that
// came before it are flushed and fenced.
//
// Of files without DAX: a page that was dirty before the call, or being written, has been written after it; and what a
// pwrite with O_SYNC or O_DSYNC wrote is clean when it returns. An fsync during which the device refused such a page
// says so. Of files with DAX: what a write stored is fenced when fsync or sync, or a write with O_DSYNC, returns.
//
// No crash is needed to see a broken promise, only the device's notes of stores, flushes and fences
// (Device::watch_durability). Looks, before and after the call, at blocks that were stored to and not made durable; a
// block whose frame belongs to another file page afterwards (truncated, punched) is nobody's promise.
//
// Invariants:
//   O8  data acknowledged by fsync, fdatasync, msync(MS_SYNC), sync, O_SYNC and unmount is durable.
// Not covered: metadata; write(2) with O_SYNC to a file without DAX, at a position that nobody knows here; the fence
// behind direct I/O, whose bytes an interrupt stores; direct I/O into a mapping, which Linux loses in the same way (the
// pin outlives the DIRTY mark); native threads.
// Tested by: fuzz/exec/durability_test.cc
#pragma once

#include <cstdint>
#include <vector>

#include "fuzz/exec/interpreter.h"
#include "fuzz/exec/machine.h"
#include "fuzz/oracle/history.h"
#include "fuzz/prog/program.h"

namespace daxfuzz::exec {

class DurabilityCheck {
 public:
  // Before the operation. Not a scheduling point.
  DurabilityCheck(Machine& machine, daxfs::vfs::Process& process, const prog::Op& op, uint64_t address);
  // After it: fills record.lost, unfenced and fenced, for the oracle, which knows what the operands meant meanwhile.
  void finish(oracle::OpRecord& record) const;

  // After a clean unmount: no store of any kind to these blocks, which are a file's written data, may be left.
  static void check_unmounted(Machine& machine, uint32_t ino, uint64_t first, uint64_t count);

 private:
  struct Suspect {
    daxfs::FsBlock block;
    const daxfs::mm::AddressSpace* mapping;
    daxfs::PgOff index;
    uint64_t address;  // msync
  };

  // A page of the page cache that was dirty or being written.
  struct DirtyPage {
    const daxfs::mm::Page* page;
    const daxfs::mm::AddressSpace* mapping;
    daxfs::PgOff index;
    uint64_t came;
    uint32_t writes_before;  // that had ended
    uint32_t writes;         // that must have ended
    uint64_t address;
  };

  void note(daxfs::FsBlock block, uint64_t address);
  void note_page(const daxfs::mm::Page& page, uint64_t address);
  void finish_pages(oracle::OpRecord& record) const;
  void finish_refused(oracle::OpRecord& record) const;
  void finish_write(oracle::OpRecord& record) const;
  void finish_fences(oracle::OpRecord& record) const;
  void note_all();
  void note_range(daxfs::vfs::Process& process, uint64_t address, uint64_t length);

  Machine& machine_;
  const prog::Op& op_;
  uint64_t time_ = 0;
  std::vector<Suspect> suspects_;
  std::vector<DirtyPage> pages_;
};

}  // namespace daxfuzz::exec
