// fuzz/oracle/story.h - tests: writes a history by hand.
//
// Each line says what an operation was and what came back; by default they follow one another. `during(begin, end)`
// places the next operation freely.
//
// Tested by: its users.
#pragma once

#include <cstring>
#include <deque>
#include <map>
#include <string>
#include <vector>

#include "fuzz/oracle/judge.h"

namespace daxfuzz::oracle::testing {

using daxfs::Errc;
using prog::Memory;
using prog::MemoryKind;
using prog::Op;
using prog::OpCode;
using prog::Pattern;

inline constexpr uint64_t kK = 1024;
inline constexpr uint64_t kPage = 4096;
inline constexpr uint32_t kInoBase = 12;  // file k has inode kInoBase + k

inline Memory fill(uint8_t value) { return {.kind = MemoryKind::kAnonymous, .fill = value}; }
inline Memory sequence(uint8_t value) {
  return {.kind = MemoryKind::kAnonymous, .fill = value, .pattern = Pattern::kSequence};
}
inline Memory anonymous() { return {.kind = MemoryKind::kAnonymous}; }
inline Memory in_mapping() { return {.kind = MemoryKind::kMapping}; }

// Calls as they come, and the same a little changed.
inline const Op kWrite{.code = OpCode::kPwrite, .offset = 4096, .length = 8192, .buffer = fill(1)};
inline const Op kRead{.code = OpCode::kPread, .length = 8192, .buffer = anonymous()};
inline const Op kMap{
    .code = OpCode::kMmap, .prot = prog::kProtRead | prog::kProtWrite, .flags = prog::kMapShared, .length = 4096};
inline const Op kPunch{
    .code = OpCode::kFallocate, .flags = prog::kFallocPunch | prog::kFallocKeepSize, .offset = 0, .length = 4096};
inline Op with(Op op, int64_t offset, int64_t length) {
  op.offset = offset;
  op.length = length;
  return op;
}
inline Op with_flags(Op op, uint32_t flags) {
  op.flags = flags;
  return op;
}

class Story {
 public:
  Story() {
    program_ = prog::Program::minimal();
    program_.processes.resize(2);
    program_.tasks.resize(4);
  }

  Story& during(uint64_t begin, uint64_t end) {
    begin_ = begin;
    end_ = end;
    return *this;
  }
  Story& task(uint8_t task) {
    task_ = task;
    return *this;
  }
  Story& process(uint8_t process) {
    process_ = process;
    return *this;
  }
  Story& mount(const char* options) {
    program_.mount = options;
    return *this;
  }
  // The program, for what looks at it as a whole; results are told by the others.
  Story& program_of(const Op& op) {
    program_.tasks[0].ops.assign(1, op);
    return *this;
  }
  Story& foreign_image() {
    history_.foreign_image = true;
    return *this;
  }

  // Adds an operation and its result.
  OpRecord& add(const Op& op, int64_t ret, Errc error = Errc::kOk) {
    ops_.push_back(op);
    OpRecord record;
    record.op = &ops_.back();
    record.task = task_;
    record.process = process_;
    record.index = static_cast<uint16_t>(history_.records.size());
    record.finished = true;
    if (begin_ == 0) {
      begin_ = next_;
      end_ = next_ + 1;
    }
    record.begin_seq = begin_;
    record.end_seq = end_;
    next_ = std::max(next_, end_ + 1);
    begin_ = 0;
    record.ret = error == Errc::kOk ? ret : -1;
    record.error = error;
    history_.records.push_back(record);
    return history_.records.back();
  }
  // The last record, about file `file`.
  OpRecord& on(uint32_t file) {
    OpRecord& record = history_.records.back();
    record.ino = kInoBase + file;
    record.generation = 100 + file;
    record.dax = true;
    record.open_flags = open_flags_[file];
    if (record.fd < 0) { record.fd = 3 + static_cast<int>(file); }
    return record;
  }

  Story& open(uint32_t file, uint32_t flags = prog::kORdWr | prog::kOCreat) {
    add({.code = OpCode::kOpen,
         .result = static_cast<uint8_t>(file),
         .path = static_cast<uint8_t>(file),
         .flags = flags},
        3 + file);
    open_flags_[file] = flags;
    on(file);
    return *this;
  }
  Story& close(uint32_t file) {
    add({.code = OpCode::kClose, .fd = static_cast<uint8_t>(file)}, 0);
    on(file);
    return *this;
  }
  Story& pwrite(uint32_t file, Memory source, uint64_t length, uint64_t offset, int64_t ret = -2,
                Errc error = Errc::kOk) {
    add({.code = OpCode::kPwrite,
         .fd = static_cast<uint8_t>(file),
         .offset = static_cast<int64_t>(offset),
         .length = static_cast<int64_t>(length),
         .buffer = source},
        ret == -2 ? static_cast<int64_t>(length) : ret, error);
    on(file);
    return *this;
  }
  // The call was over at `submitted`, the request when the operation's time ends.
  Story& io_submit_pwrite(uint32_t file, Memory source, uint64_t length, uint64_t offset, uint64_t submitted) {
    add({.code = OpCode::kIoSubmitPwrite,
         .fd = static_cast<uint8_t>(file),
         .offset = static_cast<int64_t>(offset),
         .length = static_cast<int64_t>(length),
         .buffer = source},
        static_cast<int64_t>(length));
    on(file).submitted_seq = submitted;
    return *this;
  }
  Story& pread(uint32_t file, uint64_t length, uint64_t offset, std::vector<uint8_t> data) {
    add({.code = OpCode::kPread,
         .fd = static_cast<uint8_t>(file),
         .offset = static_cast<int64_t>(offset),
         .length = static_cast<int64_t>(length),
         .buffer = anonymous()},
        static_cast<int64_t>(data.size()));
    on(file).data = keep(std::move(data));
    return *this;
  }
  // A read whose buffer is in a mapping.
  Story& pread_to(uint32_t file, uint64_t length, uint64_t offset, uint64_t address, int64_t ret = -2) {
    add({.code = OpCode::kPread,
         .fd = static_cast<uint8_t>(file),
         .offset = static_cast<int64_t>(offset),
         .length = static_cast<int64_t>(length),
         .buffer = in_mapping()},
        ret == -2 ? static_cast<int64_t>(length) : ret);
    on(file).buffer_address = address;
    return *this;
  }
  Story& pwrite_from(uint32_t file, uint64_t length, uint64_t offset, uint64_t address) {
    pwrite(file, in_mapping(), length, offset);
    history_.records.back().buffer_address = address;
    return *this;
  }
  Story& ftruncate(uint32_t file, uint64_t size, Errc error = Errc::kOk) {
    add({.code = OpCode::kFtruncate, .fd = static_cast<uint8_t>(file), .length = static_cast<int64_t>(size)}, 0, error);
    on(file);
    return *this;
  }
  Story& fallocate(uint32_t file, uint32_t mode, uint64_t offset, uint64_t length, Errc error = Errc::kOk) {
    add({.code = OpCode::kFallocate,
         .fd = static_cast<uint8_t>(file),
         .flags = mode,
         .offset = static_cast<int64_t>(offset),
         .length = static_cast<int64_t>(length)},
        0, error);
    on(file);
    return *this;
  }
  Story& memory_failure(uint32_t file, uint64_t offset, Errc error = Errc::kOk) {
    add({.code = OpCode::kMemoryFailure, .fd = static_cast<uint8_t>(file), .offset = static_cast<int64_t>(offset)}, 0,
        error);
    on(file);
    return *this;
  }
  // A pread that failed.
  Story& pread_error(uint32_t file, uint64_t length, uint64_t offset, Errc error) {
    add({.code = OpCode::kPread,
         .fd = static_cast<uint8_t>(file),
         .offset = static_cast<int64_t>(offset),
         .length = static_cast<int64_t>(length),
         .buffer = anonymous()},
        -1, error);
    on(file);
    return *this;
  }
  Story& mmap(uint32_t file, uint64_t offset, uint64_t length, uint64_t at, uint32_t flags = prog::kMapShared,
              uint8_t prot = prog::kProtRead | prog::kProtWrite) {
    add({.code = OpCode::kMmap,
         .result = static_cast<uint8_t>(file),
         .fd = static_cast<uint8_t>(file),
         .prot = prot,
         .flags = flags,
         .offset = static_cast<int64_t>(offset),
         .length = static_cast<int64_t>(length)},
        static_cast<int64_t>(at));
    on(file);
    return *this;
  }
  Story& munmap(uint64_t address, uint64_t length) {
    add({.code = OpCode::kMunmap, .length = static_cast<int64_t>(length), .addr = in_mapping()}, 0).address = address;
    return *this;
  }
  Story& mremap(uint64_t address, uint64_t old_length, uint64_t new_length, uint64_t result, uint32_t flags = 1) {
    add({.code = OpCode::kMremap,
         .flags = flags,
         .length = static_cast<int64_t>(old_length),
         .length2 = static_cast<int64_t>(new_length),
         .addr = in_mapping()},
        static_cast<int64_t>(result))
        .address = address;
    return *this;
  }
  Story& store(uint64_t address, uint64_t length, Memory value, int64_t ret = -2) {
    add({.code = OpCode::kStore, .length = static_cast<int64_t>(length), .addr = in_mapping(), .buffer = value},
        ret == -2 ? static_cast<int64_t>(length) : ret)
        .address = address;
    return *this;
  }
  Story& touch(uint64_t address, uint64_t length, uint8_t value) {
    add({.code = OpCode::kTouch, .length = static_cast<int64_t>(length), .addr = in_mapping(), .buffer = fill(value)},
        static_cast<int64_t>((length + kPage - 1) / kPage))
        .address = address;
    return *this;
  }
  Story& load(uint64_t address, uint64_t length, std::vector<uint8_t> data, Signal signal = Signal::kNone) {
    const auto done = data.size();
    OpRecord& record = add({.code = OpCode::kLoad, .length = static_cast<int64_t>(length), .addr = in_mapping()},
                           static_cast<int64_t>(done));
    record.address = address;
    record.data = keep(std::move(data));
    record.signal = signal;
    if (signal != Signal::kNone) { record.fault_offset = static_cast<int64_t>(done); }
    return *this;
  }
  Story& process_vm_readv(uint64_t address, uint64_t length, std::vector<uint8_t> data) {
    const bool none = data.empty();
    OpRecord& record =
        add({.code = OpCode::kProcessVmReadv, .length = static_cast<int64_t>(length), .addr = in_mapping()},
            none ? -1 : static_cast<int64_t>(data.size()), none ? Errc::kFault : Errc::kOk);
    record.address = address;
    record.data = keep(std::move(data));
    return *this;
  }
  Story& fstat(uint32_t file, uint64_t size) {
    add({.code = OpCode::kFstat, .fd = static_cast<uint8_t>(file)}, 0);
    const uint64_t row[4] = {0100644, 1, size, 0};
    std::vector<uint8_t> bytes(sizeof(row));
    std::memcpy(bytes.data(), row, sizeof(row));
    on(file).data = keep(std::move(bytes));
    return *this;
  }
  Story& lseek(uint32_t file, int64_t offset, uint32_t whence, int64_t ret, Errc error = Errc::kOk) {
    add({.code = OpCode::kLseek, .fd = static_cast<uint8_t>(file), .flags = whence, .offset = offset}, ret, error);
    on(file);
    return *this;
  }
  Story& read(uint32_t file, uint64_t length, std::vector<uint8_t> data) {
    add({.code = OpCode::kRead,
         .fd = static_cast<uint8_t>(file),
         .length = static_cast<int64_t>(length),
         .buffer = anonymous()},
        static_cast<int64_t>(data.size()));
    on(file).data = keep(std::move(data));
    return *this;
  }
  Story& write(uint32_t file, Memory source, uint64_t length) {
    add({.code = OpCode::kWrite,
         .fd = static_cast<uint8_t>(file),
         .length = static_cast<int64_t>(length),
         .buffer = source},
        static_cast<int64_t>(length));
    on(file);
    return *this;
  }
  Story& finally(uint32_t file, std::vector<uint8_t> contents) {
    const auto bytes = keep(std::move(contents));
    history_.finals.push_back({kInoBase + file, 100 + file, bytes.size(), history_.final_pieces.size(), 1, {}});
    history_.final_pieces.push_back({0, bytes.size(), bytes});
    return *this;
  }
  // A hole of the last of finally().
  Story& finally_hole(uint64_t offset, uint64_t length) {
    ++history_.finals.back().piece_count;
    history_.finals.back().size = offset + length;
    history_.final_pieces.push_back({offset, length, {}});
    return *this;
  }

  std::span<const std::byte> keep(std::vector<uint8_t> data) {
    data_.push_back(std::move(data));
    return std::as_bytes(std::span<const uint8_t>(data_.back()));
  }
  std::vector<uint8_t>& last_data() { return data_.back(); }
  OpRecord& last() { return history_.records.back(); }
  History& history() { return history_; }
  const prog::Program& program() const { return program_; }

  std::optional<Objection> verdict() const { return judge(program_, history_); }
  // "" or the objection.
  std::string said() const {
    const auto objection = verdict();
    return objection ? std::string(objection->tag) + ": " + objection->title : std::string();
  }

 private:
  prog::Program program_;
  History history_;
  std::deque<Op> ops_;
  std::deque<std::vector<uint8_t>> data_;
  uint64_t next_ = 1;
  std::map<uint32_t, uint32_t> open_flags_;  // of the last open of each file
  uint64_t begin_ = 0;
  uint64_t end_ = 0;
  uint8_t task_ = 0;
  uint8_t process_ = 0;
};

inline std::vector<uint8_t> bytes(size_t count, uint8_t value) { return std::vector<uint8_t>(count, value); }
inline std::vector<uint8_t> sequence_bytes(size_t count, uint8_t first, uint64_t from = 0) {
  std::vector<uint8_t> data(count);
  for (size_t i = 0; i < count; ++i) { data[i] = prog::sequence_byte(first, from + i); }
  return data;
}
inline std::vector<uint8_t> operator+(std::vector<uint8_t> a, const std::vector<uint8_t>& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

}  // namespace daxfuzz::oracle::testing
