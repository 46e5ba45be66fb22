// fuzz/targets/corpus_files.cc - what a fuzzing service wants beside a target: seeds in binary form, a dictionary for
// engines that mutate bytes, and the target's options. ci/oss-fuzz/build.sh runs it.
//
//   corpus_files pack OUT_DIR FILE...   each program as OUT_DIR/<hash of its bytes>
//   corpus_files seeds OUT_DIR          a program for each operation of the table, named in the same way
//   corpus_files dict TARGET            one token an operation: as its encoder writes it; of xarray_fuzzer as text; of
//                                       image_fuzzer patches, too
//   corpus_files options TARGET         max_len: what the longest program of the table takes
//
// `daxfuzz pack` does the first for one file, but wants libraries that a service's build does without.
// Tested by: fuzz/targets/targets_test.py
#include <algorithm>
#include <cinttypes>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

#include "fuzz/image/anatomy.h"
#include "fuzz/prog/binary.h"
#include "fuzz/prog/generate.h"
#include "fuzz/prog/random.h"
#include "fuzz/prog/text.h"
#include "fuzz/xarray/ops.h"

namespace {

using namespace daxfuzz;  // NOLINT: a tool's main file

bool read_file(const std::string& path, std::vector<uint8_t>* bytes) {
  std::FILE* file = std::fopen(path.c_str(), "rb");
  if (file == nullptr) { return false; }
  uint8_t buffer[4096];
  bytes->clear();
  while (const size_t count = std::fread(buffer, 1, sizeof(buffer), file)) {
    bytes->insert(bytes->end(), buffer, buffer + count);
  }
  const bool good = std::ferror(file) == 0;
  std::fclose(file);
  return good;
}

bool write_file(const std::string& path, const std::vector<uint8_t>& bytes) {
  std::FILE* file = std::fopen(path.c_str(), "wb");
  if (file == nullptr) { return false; }
  const bool good = std::fwrite(bytes.data(), 1, bytes.size(), file) == bytes.size();
  return std::fclose(file) == 0 && good;
}

// As `folder`/<hash of its bytes>.
bool write_program(const std::string& folder, const prog::Program& program) {
  const std::vector<uint8_t> packed = prog::encode(program);
  uint64_t hash = 0xcbf29ce484222325;
  for (const uint8_t byte : packed) { hash = (hash ^ byte) * 0x100000001b3; }
  char name[32];
  std::snprintf(name, sizeof(name), "/%016" PRIx64, hash);
  if (write_file(folder + name, packed)) { return true; }
  std::fprintf(stderr, "corpus_files: %s%s: cannot be written\n", folder.c_str(), name);
  return false;
}

int pack(const std::string& folder, const std::string& path) {
  std::vector<uint8_t> bytes;
  prog::Program program;
  std::string error = path + ": cannot be read";
  if (!read_file(path, &bytes) || !prog::load(bytes, path, &program, &error)) {
    std::fprintf(stderr, "corpus_files: %s\n", error.c_str());
    return 1;
  }
  return write_program(folder, program) ? 0 : 1;
}

// Of its own seed, so that an operation that is added to the table changes no other's program.
prog::Program program_with(prog::OpCode code) {
  prog::Options options;
  options.weights.fill(0);
  options.weights[static_cast<size_t>(code)] = 100;
  options.file_bytes_max = 64 << 10;
  prog::Random random(1 + static_cast<uint64_t>(code));
  for (;;) {
    prog::Program program = prog::generate(random, options);
    for (const prog::Task& task : program.tasks) {
      if (std::any_of(task.ops.begin(), task.ops.end(), [&](const prog::Op& op) { return op.code == code; })) {
        return program;
      }
    }
  }
}

int seeds(const std::string& folder) {
  for (const prog::OpInfo& info : prog::op_table()) {
    if (!write_program(folder, program_with(info.code))) { return 1; }
  }
  return 0;
}

// What an operation adds to the program without it is its record.
void print_token(const prog::OpInfo& info) {
  prog::Program program = prog::Program::minimal();
  const std::vector<uint8_t> without = prog::encode(program);
  program.tasks[0].ops.push_back({.code = info.code});
  const std::vector<uint8_t> with = prog::encode(program);
  const auto differ = std::mismatch(without.begin(), without.end(), with.begin(), with.end());
  std::printf("%s=\"", std::string(info.name).c_str());
  for (auto byte = differ.second; byte != with.end(); ++byte) { std::printf("\\x%02x", *byte); }
  std::printf("\"\n");
}

// The longest encoding of an operation whose path is one of the pool.
size_t longest_op() {
  prog::Program program = prog::Program::minimal();
  const size_t without = prog::encoded_size(program);
  size_t longest = 0;
  const prog::Memory far = {.kind = prog::MemoryKind::kMapping, .slot = prog::kMappingSlots - 1, .offset = INT64_MIN};
  for (const prog::OpInfo& info : prog::op_table()) {
    program.tasks[0].ops = {{.code = info.code,
                             .fd = prog::kFdSlots - 1,
                             .prot = 7,
                             .mode = UINT16_MAX,
                             .flags = UINT32_MAX,
                             .offset = INT64_MIN,
                             .length = INT64_MIN,
                             .length2 = INT64_MIN,
                             .addr = far,
                             .buffer = far,
                             .at = far}};
    longest = std::max(longest, prog::encoded_size(program) - without);
  }
  return longest;
}

// Of one without paths of its own (prog::kStringBytesMax): those are there for ENAMETOOLONG, and
// rare. A power of two.
size_t longest_program() {
  prog::Program program = prog::Program::minimal();
  program.tasks.resize(prog::kTasksMax);
  program.processes.resize(prog::kProcessesMax);
  program.schedule.assign(prog::kPreemptionsInvented, {.task = prog::kSystemTask0 + prog::kSystemTasksMax - 1,
                                                       .next = prog::kRootTask,
                                                       .op = prog::kAnchorOpMax,
                                                       .event = prog::kEventMax});
  const size_t bound = prog::encoded_size(program) + (prog::kOpsMax + prog::kInitOpsMax) * longest_op();
  size_t power = 1;
  while (power < bound) { power *= 2; }
  return power;
}

constexpr size_t kXarrayBytes = 1024;  // 127 operations; longer ones find nothing more
constexpr size_t kImageBytes = 4096;   // 32 patches, and programs that take half the time of the longest

void print_options(const std::string& target, size_t max_len) {
  std::printf("# Made by corpus_files: the longest input worth a try, and what fibers want of ASan.\n");
  std::printf("[libfuzzer]\nmax_len = %zu\nlen_control = 0\ntimeout = 25\ndict = %s.dict\n\n", max_len, target.c_str());
  std::printf("[asan]\ndetect_stack_use_after_return = 0\n");
}

// Of the text form: what each kind of operation begins with.
void print_xarray_dictionary() {
  std::printf("# Made by corpus_files from fuzz/xarray/ops.h.\nheader=\"xarray fanout \"\n");
  for (unsigned kind = 0; kind <= static_cast<unsigned>(xarray::OpKind::kWalkOn); ++kind) {
    const std::string line =
        xarray::print_op({.kind = static_cast<xarray::OpKind>(kind), .entry = daxfs::lib::XEntry::from_value(1)});
    const std::string word = line.substr(0, std::min(line.find(' '), line.find('\n')));
    std::printf("%s=\"\\x0a%s \"\n", word.c_str(), word.c_str());
  }
}

// Of the binary form: a patch (fuzz/image/input.h) for each part of an image, with what breaks its fields first.
void print_image_dictionary() {
  std::printf("# Made by corpus_files from fuzz/image/input.h and fuzz/prog/op_table.h.\n");
  for (unsigned part = 0; part < image::kParts; ++part) {
    std::printf("patch_%u=\"\\x%02x\\x10\\x00\\x00\\x00\\x00\\xff\\xff\\xff\\xff\"\n", part, part);
  }
  for (const prog::OpInfo& info : prog::op_table()) { print_token(info); }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc >= 3 && std::strcmp(argv[1], "pack") == 0) {
    for (int i = 3; i < argc; ++i) {
      if (const int code = pack(argv[2], argv[i]); code != 0) { return code; }
    }
    return 0;
  }
  if (argc == 3 && std::strcmp(argv[1], "seeds") == 0) { return seeds(argv[2]); }
  const bool of_target = argc == 3;
  const bool of_xarray = of_target && std::strcmp(argv[2], "xarray_fuzzer") == 0;
  const bool of_image = of_target && std::strcmp(argv[2], "image_fuzzer") == 0;
  if (of_target && std::strcmp(argv[1], "dict") == 0) {
    if (of_image) {
      print_image_dictionary();
      return 0;
    }
    if (of_xarray) {
      print_xarray_dictionary();
      return 0;
    }
    std::printf("# Made by corpus_files from fuzz/prog/op_table.h.\n");
    for (const prog::OpInfo& info : prog::op_table()) { print_token(info); }
    return 0;
  }
  if (of_target && std::strcmp(argv[1], "options") == 0) {
    print_options(argv[2], of_xarray ? kXarrayBytes : of_image ? kImageBytes : longest_program());
    return 0;
  }
  std::fprintf(stderr,
               "usage: corpus_files pack OUT_DIR FILE...\n       corpus_files seeds OUT_DIR\n       "
               "corpus_files dict TARGET\n       corpus_files options TARGET\n");
  return 1;
}
