#include "fuzz/tools/files.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <memory>
#include <system_error>

#include "fuzz/prog/binary.h"
#include "fuzz/prog/text.h"

namespace daxfuzz::tools {
namespace {

struct Closer {
  void operator()(std::FILE* file) const {
    if (file != stdin && file != stdout) { std::fclose(file); }
  }
};
using FilePtr = std::unique_ptr<std::FILE, Closer>;

std::string because(const std::string& path) { return path + ": " + std::strerror(errno); }

}  // namespace

bool read_file(const std::string& path, std::vector<uint8_t>* bytes, std::string* error) {
  const FilePtr file(path == "-" ? stdin : std::fopen(path.c_str(), "rb"));
  if (!file) {
    *error = because(path);
    return false;
  }
  bytes->clear();
  uint8_t buffer[65536];
  for (size_t n; (n = std::fread(buffer, 1, sizeof(buffer), file.get())) > 0;) {
    bytes->insert(bytes->end(), buffer, buffer + n);
  }
  if (std::ferror(file.get()) != 0) {
    *error = because(path);
    return false;
  }
  return true;
}

bool write_file(const std::string& path, std::span<const uint8_t> bytes, std::string* error) {
  const bool to_stdout = path == "-";
  const std::string beside = path + ".tmp";
  {
    const FilePtr file(to_stdout ? stdout : std::fopen(beside.c_str(), "wb"));
    if (!file || std::fwrite(bytes.data(), 1, bytes.size(), file.get()) != bytes.size() ||
        std::fflush(file.get()) != 0) {
      *error = because(path);
      return false;
    }
  }
  if (!to_stdout && std::rename(beside.c_str(), path.c_str()) != 0) {
    *error = because(path);
    return false;
  }
  return true;
}

bool write_file(const std::string& path, std::string_view text, std::string* error) {
  return write_file(path, std::span(reinterpret_cast<const uint8_t*>(text.data()), text.size()), error);
}

bool load_program(const std::string& path, prog::Program* program, std::string* error) {
  std::vector<uint8_t> bytes;
  if (!read_file(path, &bytes, error)) { return false; }
  return prog::load(bytes, path, program, error);
}

std::string annotate(const std::string& program_text, const std::string& comments) {
  const size_t second_line = program_text.find('\n') + 1;
  return program_text.substr(0, second_line) + comments + program_text.substr(second_line);
}

std::vector<std::string> list_files(const std::string& dir) {
  std::vector<std::string> files;
  std::error_code error;
  if (std::filesystem::is_regular_file(dir, error)) { return {dir}; }
  for (std::filesystem::recursive_directory_iterator it(dir, error), end; !error && it != end; it.increment(error)) {
    if (it->is_regular_file(error)) { files.push_back(it->path().string()); }
  }
  std::sort(files.begin(), files.end());
  return files;
}

}  // namespace daxfuzz::tools
