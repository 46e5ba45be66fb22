// fuzz/targets/corpus_files.cc - what a fuzzing service wants beside a target: seeds in binary form, and a dictionary
// for engines that mutate bytes. ci/oss-fuzz/build.sh runs it.
//
//   corpus_files pack OUT_DIR FILE...   each program as OUT_DIR/<hash of its bytes>
//   corpus_files dict                   one token an operation of the table, as its encoder writes it
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

#include "fuzz/prog/binary.h"
#include "fuzz/prog/text.h"

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

int pack(const std::string& folder, const std::string& path) {
  std::vector<uint8_t> bytes;
  prog::Program program;
  std::string error = path + ": cannot be read";
  if (!read_file(path, &bytes) || !prog::load(bytes, path, &program, &error)) {
    std::fprintf(stderr, "corpus_files: %s\n", error.c_str());
    return 1;
  }
  const std::vector<uint8_t> packed = prog::encode(program);
  uint64_t hash = 0xcbf29ce484222325;
  for (const uint8_t byte : packed) { hash = (hash ^ byte) * 0x100000001b3; }
  char name[32];
  std::snprintf(name, sizeof(name), "/%016" PRIx64, hash);
  if (!write_file(folder + name, packed)) {
    std::fprintf(stderr, "corpus_files: %s%s: cannot be written\n", folder.c_str(), name);
    return 1;
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

}  // namespace

int main(int argc, char** argv) {
  if (argc >= 3 && std::strcmp(argv[1], "pack") == 0) {
    for (int i = 3; i < argc; ++i) {
      if (const int code = pack(argv[2], argv[i]); code != 0) { return code; }
    }
    return 0;
  }
  if (argc == 2 && std::strcmp(argv[1], "dict") == 0) {
    std::printf("# Made by corpus_files from fuzz/prog/op_table.h.\n");
    for (const prog::OpInfo& info : prog::op_table()) { print_token(info); }
    return 0;
  }
  std::fprintf(stderr, "usage: corpus_files pack OUT_DIR FILE...\n       corpus_files dict\n");
  return 1;
}
