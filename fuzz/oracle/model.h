// fuzz/oracle/model.h - what a run's operations must have done to files, read off their results.
//
// Whatever is unclear (a descriptor closed at the same time, an address unmapped at the same time) becomes
// "perhaps", and what could have hit anything makes all files unknown from then on (blur). Memory is kept from run to
// run.
//
// Tested by: fuzz/oracle/judge_test.cc, fuzz/oracle/judge_random_test.cc
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "fuzz/oracle/descriptors.h"
#include "fuzz/oracle/file_history.h"
#include "fuzz/oracle/mappings.h"
#include "fuzz/prog/program.h"

namespace daxfuzz::oracle {

// The most that the executor transfers in one operation, bytes (exec::kTransferMax).
inline constexpr uint64_t kTransferMax = uint64_t{64} << 20;

class Model {
 public:
  // REQUIRES: every operation finished.
  void build(const prog::Program& program, const History& history);

  std::span<const OpRecord* const> order() const { return order_; }  // by begin
  bool writeback_may_fail() const { return writeback_may_fail_; }
  bool bios_fail() const { return bios_fail_; }                           // some bio fails on order
  bool one_bio_fails() const { return bios_fail_ && !stores_may_fail_; }  // and nothing else that is EIO
  bool block_maps_possible() const { return block_maps_possible_; }       // some file may have no extents
  bool foreign_image() const { return foreign_image_; }                   // History::foreign_image
  bool plenty_of_room() const { return plenty_of_room_; }
  bool asynchronous() const { return asynchronous_; }  // some transfer may go on after its call
  // For other reasons than want of room: memory may have gone bad, or a file become immutable.
  bool stores_may_fail() const { return stores_may_fail_; }
  const Descriptors& descriptors() const { return descriptors_; }
  Mappings& mappings(const OpRecord& record) { return mappings_[record.process]; }
  // Null if unclear.
  FileHistory* file_of(const OpRecord& record);
  FileHistory* find(uint32_t ino, uint32_t generation);
  // Where read, write, pread, pwrite started.
  std::optional<uint64_t> position(const OpRecord& record) const;
  // Any descriptor may be for direct I/O, or not any more.
  bool direct_in_doubt() const { return direct_in_doubt_; }
  // Then a transfer may end early for want of the pages that it goes through.
  bool memory_ran_out() const { return memory_ran_out_; }
  // No other operation can have changed or seen the memory that the harness gave this transfer.
  bool scratch_untouched(const OpRecord& record);
  // A direct write while others make pages of the file dirty: a page that came into the cache before it may be written
  // back after it, and takes its bytes back (as in the kernel, whose manual says not to do this).
  // Past the page cache of a file without DAX.
  bool may_be_direct(const OpRecord& write) const;
  bool may_be_overtaken(const OpRecord& write, const FileHistory& file);

 private:
  // model.cc: who is who
  void order_records(const History& history);
  void note_files(const prog::Program& program, const History& history);
  void note_mapping(const OpRecord& record);
  void note_mremap(const OpRecord& record);
  void may_unmap_target(const OpRecord& record, uint64_t length);
  void note_private_copies();
  FileHistory& file_for(uint32_t ino, uint32_t generation, bool foreign);
  FileHistory* by_static_path(const OpRecord& record);
  bool overlapped_by_mapping_call(const OpRecord& record) const;

  // effects.cc: what they did
  void note_shifts();
  void note_use(const OpRecord& record);
  void note_sizes(const OpRecord& record);
  void note_appends();
  void note_writes(const OpRecord& record);
  void write_sizes(const OpRecord& record, FileHistory& file, std::optional<uint64_t> pos);
  void write_bytes(const OpRecord& record, FileHistory& file);
  void write_from(const OpRecord& record, FileHistory& file, uint64_t pos, uint64_t begin, uint64_t end, bool certain);
  void read_into_memory(const OpRecord& record);
  void store(const OpRecord& record);
  void memory_failure(const OpRecord& record);
  void truncate_bytes(FileHistory& file, uint64_t size, Period period, bool certain);
  void punch(FileHistory& file, uint64_t begin, uint64_t end, Period period, bool certain);
  void fallocate_bytes(const OpRecord& record, FileHistory& file);
  void remove_advice(const OpRecord& record);
  void blur_all(uint64_t from);
  bool appends(const OpRecord& record, const FileHistory& file) const;

  struct Append {
    const OpRecord* record;
    std::optional<uint64_t> pos;
  };

  std::vector<const OpRecord*> order_;
  Descriptors descriptors_;
  std::array<Mappings, prog::kProcessesMax> mappings_;
  std::vector<std::unique_ptr<FileHistory>> files_;  // [0, file_count_) are in use
  size_t file_count_ = 0;
  bool names_static_ = true;
  bool append_in_doubt_ = false;  // some descriptor has O_APPEND, and we do not know of which file
  bool direct_in_doubt_ = false;  // F_SETFL was called, and we do not know on which file
  bool foreign_image_ = false;
  bool block_maps_possible_ = false;
  bool bios_fail_ = false;
  bool plenty_of_room_ = false;
  bool stores_may_fail_ = false;
  bool asynchronous_ = false;
  bool shifts_seen_ = false;
  bool memory_ran_out_ = false;
  bool writeback_may_fail_ = false;
  std::vector<Append> appends_;
  std::vector<const OpRecord*> mapping_calls_;
};

// Range in memory that an operation accesses: [address, address + length).
struct MemoryRange {
  uint64_t address = 0;
  uint64_t length = 0;
};
// The buffer of a transfer if it is in a mapping, the range of load, store and touch; otherwise empty.
MemoryRange memory_of(const OpRecord& record);
// The program wants some bio to fail.
bool orders_failing_bio(const prog::Program& program);
// Bytes that read and write asked for, as far as the executor passes them on.
uint64_t asked(const OpRecord& record);
bool is_transfer(prog::OpCode code);
bool is_positioned(prog::OpCode code);    // of transfers: the offset is an operand
bool is_asynchronous(prog::OpCode code);  // a transfer that may go on after its call
// The bytes go through private memory that the harness maps for the transfer.
bool uses_scratch(const OpRecord& record);
bool is_write(prog::OpCode code);
// Of a mapping, and nothing else: load, process_vm_readv.
bool reads_memory(prog::OpCode code);
// What the flags of an open let it do: access mode 3 and O_PATH neither.
bool readable(uint32_t open_flags);
bool writable(uint32_t open_flags);
// Failed with an error that is returned before anything is touched.
bool refused(const OpRecord& record);

// Whether files of the run may have no extents.
bool may_have_block_maps(const prog::Program& program, const History& history);

}  // namespace daxfuzz::oracle
