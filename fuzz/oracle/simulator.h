// fuzz/oracle/simulator.h - tests: runs random operations on arrays of bytes, step by step, in any interleaving.
//
// The reference for the oracle's soundness: each operation is a list of small atomic steps on plain arrays (a page of a
// copy, a change of size), with the locks that a filesystem has (changes of one file by system calls exclude each other
// and its reads; memory accesses exclude nobody). What it produces is correct by construction.
//
// Tested by: its users.
#pragma once

#include <algorithm>
#include <array>
#include <functional>
#include <vector>

#include "fuzz/oracle/file_history.h"
#include "fuzz/oracle/story.h"
#include "fuzz/prog/random.h"

namespace daxfuzz::oracle::testing {

class Simulator {
 public:
  static constexpr uint32_t kFiles = 3;
  static constexpr uint64_t kFileBytes = 64 * kK;
  static constexpr uint64_t kTop = 40 * kK;  // operations reach this far
  static constexpr uint64_t kAddress = 0x700000000000;

  explicit Simulator(uint64_t seed) : random_(seed) {
    for (File& file : files_) { file.bytes.assign(kFileBytes, 0); }
  }

  // `tasks` run `ops` operations each after a sequential set-up.
  void run(unsigned tasks, unsigned ops) {
    for (uint32_t f = 0; f < kFiles; ++f) { story_.open(f); }
    for (uint32_t f = 0; f < kFiles; ++f) { run_alone(&Simulator::map); }
    std::vector<Running> running(tasks);
    std::vector<unsigned> left(tasks, ops);
    for (;;) {
      const size_t t = random_.below(tasks);
      Running& now = running[t];
      if (now.steps.empty() && left[t] == 0) {
        if (std::all_of(left.begin(), left.end(), [](unsigned n) { return n == 0; }) &&
            std::all_of(running.begin(), running.end(), [](const Running& r) { return r.steps.empty(); })) {
          return finish();
        }
        continue;
      }
      if (now.steps.empty()) {
        --left[t];
        begin(&now, static_cast<uint8_t>(t));
        continue;
      }
      step(&now);
    }
  }

  Story& story() { return story_; }

 private:
  struct File {
    std::vector<uint8_t> bytes;
    uint64_t size = 0;
    bool locked = false;
  };
  struct Map {
    uint64_t begin, end, offset;
    uint32_t file;
  };
  using Step = std::function<bool()>;  // false: blocked, try again
  struct Running {
    std::vector<Step> steps;
    size_t at = 0;
    size_t record = 0;
    bool done = false;
    uint64_t began = 0;
    uint8_t task = 0;
  };
  using Maker = void (Simulator::*)(Running*);

  void begin(Running* r, uint8_t task, Maker maker = nullptr) {
    static constexpr Maker kMakers[] = {
        &Simulator::write, &Simulator::write,   &Simulator::read,     &Simulator::read, &Simulator::truncate,
        &Simulator::punch, &Simulator::store,   &Simulator::store,    &Simulator::load, &Simulator::load,
        &Simulator::touch, &Simulator::copy_in, &Simulator::copy_out, &Simulator::stat, &Simulator::allocate,
        &Simulator::shift, &Simulator::map,     &Simulator::unmap};
    r->at = 0;
    r->steps.clear();
    r->done = false;
    r->task = task;
    r->began = ++clock_;
    r->record = SIZE_MAX;
    (this->*(maker != nullptr ? maker : random_.pick(std::span<const Maker>(kMakers))))(r);
  }
  void step(Running* r) {
    if (r->at < r->steps.size() && !r->done && !r->steps[r->at]()) { return; }
    if (++r->at >= r->steps.size() || r->done) {
      r->steps.clear();
      OpRecord& record = story_.history().records[r->record];
      record.begin_seq = r->began;
      record.end_seq = ++clock_;
      record.task = r->task;
    }
  }
  void run_alone(Maker maker) {
    Running r;
    begin(&r, kInitTask, maker);
    while (!r.steps.empty()) { step(&r); }
  }
  void finish() {
    for (uint32_t f = 0; f < kFiles; ++f) {
      story_.finally(f, {files_[f].bytes.begin(), files_[f].bytes.begin() + static_cast<long>(files_[f].size)});
    }
  }
  // The record that the story just got.
  OpRecord& adopt(Running* r) {
    r->record = story_.history().records.size() - 1;
    return story_.last();
  }
  OpRecord& record(Running* r) { return story_.history().records[r->record]; }

  uint32_t any_file() { return random_.below(kFiles); }
  uint64_t any_offset() {
    const uint64_t page = random_.below(kTop / kPage) * kPage;
    return random_.chance(1, 2) ? page : page + random_.below(kPage);
  }
  uint64_t any_length() { return random_.chance(1, 2) ? kPage * (1 + random_.below(3)) : 1 + random_.below(9000); }
  Memory any_pattern() {
    const auto value = static_cast<uint8_t>(++values_);
    return random_.chance(1, 2) ? fill(value) : sequence(value);
  }
  static uint8_t value(const Memory& m, uint64_t i) {
    return m.pattern == Pattern::kFill ? m.fill : prog::sequence_byte(m.fill, i);
  }
  void lock(Running* r, uint32_t f) {
    r->steps.push_back([this, f] {
      if (files_[f].locked) { return false; }
      return files_[f].locked = true;
    });
  }
  void unlock(Running* r, uint32_t f) {
    r->steps.push_back([this, f] {
      files_[f].locked = false;
      return true;
    });
  }
  // Calls piece(from, to) in a step of its own for each page of [begin, end).
  template <typename Piece>
  void by_page(Running* r, uint64_t begin, uint64_t end, Piece piece) {
    for (uint64_t at = begin; at < end;) {
      const uint64_t to = std::min(end, at / kPage * kPage + kPage);
      r->steps.push_back([=] {
        piece(at, to);
        return true;
      });
      at = to;
    }
  }

  void write(Running* r) {
    const uint32_t f = any_file();
    const uint64_t offset = any_offset(), length = any_length();
    const Memory source = any_pattern();
    story_.pwrite(f, source, length, offset);
    adopt(r);
    lock(r, f);
    by_page(r, offset, offset + length, [=, this](uint64_t from, uint64_t to) {
      for (uint64_t i = from; i < to; ++i) { files_[f].bytes[i] = value(source, i - offset); }
    });
    r->steps.push_back([=, this] {
      files_[f].size = std::max(files_[f].size, offset + length);
      return true;
    });
    unlock(r, f);
  }
  void read(Running* r) {
    const uint32_t f = any_file();
    const uint64_t offset = any_offset(), length = any_length();
    story_.pread(f, length, offset, bytes(length, 0));
    adopt(r);
    std::vector<uint8_t>* const data = &story_.last_data();
    lock(r, f);
    r->steps.push_back([=, this] {
      const uint64_t size = files_[f].size;
      const uint64_t got = size > offset ? std::min(length, size - offset) : 0;
      record(r).ret = static_cast<int64_t>(got);
      record(r).data = record(r).data.first(got);
      return true;
    });
    by_page(r, offset, offset + length, [=, this](uint64_t from, uint64_t to) {
      std::copy(&files_[f].bytes[from], &files_[f].bytes[from] + (to - from),
                data->begin() + static_cast<long>(from - offset));
    });
    unlock(r, f);
  }
  void zero(uint32_t f, uint64_t from, uint64_t to) {
    if (from < to) { std::fill(&files_[f].bytes[from], &files_[f].bytes[from] + (to - from), uint8_t{0}); }
  }
  void truncate(Running* r) {
    const uint32_t f = any_file();
    const uint64_t size = any_offset();
    story_.ftruncate(f, size);
    adopt(r);
    lock(r, f);
    r->steps.push_back([=, this] {
      const uint64_t old = files_[f].size;
      files_[f].size = size;
      if (size <= old) { zero(f, size, kFileBytes); }
      return true;
    });
    unlock(r, f);
  }
  void punch(Running* r) {
    const uint32_t f = any_file();
    const uint64_t offset = any_offset(), length = any_length();
    const bool punches = random_.chance(1, 2);
    story_.fallocate(f,
                     punches ? prog::kFallocPunch | prog::kFallocKeepSize : prog::kFallocZero | prog::kFallocKeepSize,
                     offset, length);
    adopt(r);
    lock(r, f);
    by_page(r, offset, offset + length, [=, this](uint64_t from, uint64_t to) {
      if (punches && offset >= files_[f].size) { return; }
      zero(f, from, to);
    });
    unlock(r, f);
  }
  void allocate(Running* r) {
    const uint32_t f = any_file();
    const uint64_t offset = any_offset(), length = any_length();
    story_.fallocate(f, 0, offset, length);
    adopt(r);
    lock(r, f);
    r->steps.push_back([=, this] {
      files_[f].size = std::max(files_[f].size, offset + length);
      return true;
    });
    unlock(r, f);
  }
  void shift(Running* r) {
    const uint32_t f = any_file();
    const uint64_t offset = any_offset() / kPage * kPage, length = kPage;
    const bool insert = random_.chance(1, 2);
    story_.fallocate(f, insert ? prog::kFallocInsert : prog::kFallocCollapse, offset, length);
    adopt(r);
    lock(r, f);
    r->steps.push_back([=, this] {
      File& file = files_[f];
      const bool possible = insert ? offset < file.size && file.size + length <= kTop : offset + length < file.size;
      if (!possible) {
        record(r).ret = -1;
        record(r).error = Errc::kInval;
        return true;
      }
      const auto at = file.bytes.begin() + static_cast<long>(offset);
      if (insert) {
        file.bytes.insert(at, length, 0);
        file.bytes.resize(kFileBytes);
        file.size += length;
      } else {
        file.bytes.erase(at, at + static_cast<long>(length));
        file.bytes.resize(kFileBytes, 0);
        file.size -= length;
      }
      return true;
    });
    unlock(r, f);
  }
  void stat(Running* r) {
    const uint32_t f = any_file();
    story_.fstat(f, 0);
    adopt(r);
    std::vector<uint8_t>* const data = &story_.last_data();
    r->steps.push_back([=, this] {
      std::memcpy(data->data() + 16, &files_[f].size, 8);
      return true;
    });
  }

  // --- memory
  void map(Running* r) {
    const uint32_t f = any_file();
    const uint64_t offset = random_.below(4) * kPage;
    const uint64_t length = kPage * (1 + random_.below(6));
    const uint64_t slot = random_.below(6) * 0x10000;
    const Map map{kAddress + slot, kAddress + slot + length, offset, f};
    story_.mmap(f, offset, length, map.begin, prog::kMapShared | prog::kMapFixed);
    adopt(r);
    r->steps.push_back([=, this] {
      unmap_range(map.begin, map.end);
      maps_.push_back(map);
      return true;
    });
  }
  void unmap_range(uint64_t begin, uint64_t end) {
    std::vector<Map> kept;
    for (const Map& m : maps_) {
      if (m.end <= begin || end <= m.begin) {
        kept.push_back(m);
        continue;
      }
      if (m.begin < begin) { kept.push_back({m.begin, begin, m.offset, m.file}); }
      if (m.end > end) { kept.push_back({end, m.end, m.offset + (end - m.begin), m.file}); }
    }
    maps_.swap(kept);
  }
  void unmap(Running* r) {
    const uint64_t begin = kAddress + random_.below(6) * 0x10000 + random_.below(3) * kPage;
    const uint64_t length = kPage * (1 + random_.below(2));
    story_.munmap(begin, length);
    adopt(r);
    r->steps.push_back([=, this] {
      unmap_range(begin, begin + length);
      return true;
    });
  }
  uint64_t any_address() {
    return kAddress + random_.below(6) * 0x10000 + random_.below(5) * kPage +
           (random_.chance(1, 2) ? random_.below(kPage) : 0);
  }
  // The file byte behind an address: file and offset; or the signal.
  Signal resolve(uint64_t address, uint32_t* f, uint64_t* offset) const {
    for (const Map& m : maps_) {
      if (address < m.begin || address >= m.end) { continue; }
      *f = m.file;
      *offset = m.offset + (address - m.begin);
      return page_down(*offset) < files_[m.file].size ? Signal::kNone : Signal::kBusAdrerr;
    }
    return Signal::kSegvMaperr;
  }
  // One step a page: calls piece(file, file offset, from, to) or ends the operation with the signal.
  template <typename Piece>
  void access(Running* r, uint64_t address, uint64_t length, bool whole_pages_counted, Piece piece) {
    for (uint64_t at = address; at < address + length;) {
      const uint64_t to = std::min(address + length, at / kPage * kPage + kPage);
      r->steps.push_back([=, this] {
        uint32_t f = 0;
        uint64_t offset = 0;
        const Signal signal = resolve(at, &f, &offset);
        if (signal == Signal::kNone) {
          piece(f, offset, at, to);
          return true;
        }
        OpRecord& rec = record(r);
        rec.signal = signal;
        rec.fault_offset = static_cast<int64_t>(at - address);
        rec.ret = static_cast<int64_t>(whole_pages_counted ? (at - address + kPage - 1) / kPage : at - address);
        if (rec.data.size() > at - address) { rec.data = rec.data.first(at - address); }
        r->done = true;
        return true;
      });
      at = to;
    }
  }
  void store(Running* r) {
    const uint64_t address = any_address(), length = any_length();
    const Memory source = any_pattern();
    story_.store(address, length, source);
    adopt(r);
    access(r, address, length, false, [=, this](uint32_t f, uint64_t offset, uint64_t from, uint64_t to) {
      for (uint64_t i = from; i < to; ++i) { files_[f].bytes[offset + (i - from)] = value(source, i - address); }
    });
  }
  void touch(Running* r) {
    const uint64_t address = any_address() / kPage * kPage, length = kPage * (1 + random_.below(4));
    const auto byte = static_cast<uint8_t>(++values_);
    story_.touch(address, length, byte);
    adopt(r);
    access(r, address, length, true,
           [=, this](uint32_t f, uint64_t offset, uint64_t, uint64_t) { files_[f].bytes[offset] = byte; });
  }
  void load(Running* r) {
    const uint64_t address = any_address(), length = any_length();
    story_.load(address, length, bytes(length, 0));
    adopt(r);
    std::vector<uint8_t>* const data = &story_.last_data();
    access(r, address, length, false, [=, this](uint32_t f, uint64_t offset, uint64_t from, uint64_t to) {
      std::copy(&files_[f].bytes[offset], &files_[f].bytes[offset] + (to - from),
                data->begin() + static_cast<long>(from - address));
    });
  }

  // --- copies: a page is read in one step and written in another
  template <typename Move>
  void copy(Running* r, uint32_t f, uint64_t address, uint64_t offset, uint64_t length, Move move) {
    lock(r, f);
    for (uint64_t done = 0; done < length;) {
      const uint64_t piece =
          std::min({length - done, kPage - (address + done) % kPage, kPage - (offset + done) % kPage});
      r->steps.push_back([=, this] {
        uint32_t mapped = 0;
        uint64_t at = 0;
        const bool more = resolve(address + done, &mapped, &at) == Signal::kNone && move(mapped, at, done, piece);
        if (!more) {
          OpRecord& rec = record(r);
          rec.ret = static_cast<int64_t>(done);
          if (done == 0) {
            rec.ret = -1;
            rec.error = Errc::kFault;
          }
          files_[f].locked = false;
          r->done = true;
        }
        return true;
      });
      done += piece;
    }
    unlock(r, f);
  }
  void copy_in(Running* r) {  // from a file into memory
    const uint32_t f = any_file();
    const uint64_t offset = any_offset(), length = any_length(), address = any_address();
    story_.pread_to(f, length, offset, address);
    adopt(r);
    copy(r, f, address, offset, length, [=, this](uint32_t mapped, uint64_t at, uint64_t done, uint64_t piece) {
      if (offset + done + piece > files_[f].size) { return false; }  // EOF: the rest is left out
      std::vector<uint8_t> bounce(&files_[f].bytes[offset + done], &files_[f].bytes[offset + done] + piece);
      std::copy(bounce.begin(), bounce.end(), files_[mapped].bytes.begin() + static_cast<long>(at));
      return true;
    });
  }
  void copy_out(Running* r) {  // from memory into a file
    const uint32_t f = any_file();
    const uint64_t offset = any_offset(), length = any_length(), address = any_address();
    story_.pwrite_from(f, length, offset, address);
    adopt(r);
    copy(r, f, address, offset, length, [=, this](uint32_t mapped, uint64_t at, uint64_t done, uint64_t piece) {
      std::vector<uint8_t> bounce(&files_[mapped].bytes[at], &files_[mapped].bytes[at] + piece);
      std::copy(bounce.begin(), bounce.end(), files_[f].bytes.begin() + static_cast<long>(offset + done));
      files_[f].size = std::max(files_[f].size, offset + done + piece);
      return true;
    });
  }

  prog::Random random_;
  std::array<File, kFiles> files_;
  std::vector<Map> maps_;
  Story story_;
  uint64_t clock_ = 1000;
  unsigned values_ = 0;
};

}  // namespace daxfuzz::oracle::testing
