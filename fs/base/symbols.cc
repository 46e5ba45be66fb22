#include "fs/base/symbols.h"

#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include <cxxabi.h>
#include <dlfcn.h>

// Of the sanitizers' runtimes; absent elsewhere. Declared here because not every compiler's headers do.
extern "C" __attribute__((weak)) void __sanitizer_symbolize_pc(void* pc, const char* format, char* out,  // NOLINT
                                                               size_t size);

namespace daxfs {
namespace {

// The sanitizers' symbolizer takes what it gets for a return address, and looks one byte before.
void* as_return_address(void* address) { return reinterpret_cast<void*>(reinterpret_cast<uintptr_t>(address) + 1); }

std::string demangled(const char* symbol) {
  int status = 0;
  char* const name = abi::__cxa_demangle(symbol, nullptr, nullptr, &status);
  std::string text = name != nullptr ? name : symbol;
  std::free(name);
  return text;
}

}  // namespace

std::vector<std::string> functions_at(void* address) {
  std::vector<std::string> names;
  if (&__sanitizer_symbolize_pc != nullptr) {
    std::array<char, 4096> text{};
    __sanitizer_symbolize_pc(as_return_address(address), "%f", text.data(), text.size() - 1);
    for (const char* at = text.data(); *at != '\0'; at += std::strlen(at) + 1) { names.emplace_back(at); }
    return names;
  }
  Dl_info info{};
  if (dladdr(address, &info) != 0 && info.dli_sname != nullptr) { names.push_back(demangled(info.dli_sname)); }
  return names;
}

std::string describe_code(void* address) {
  if (&__sanitizer_symbolize_pc != nullptr) {
    std::array<char, 512> text{};
    __sanitizer_symbolize_pc(as_return_address(address), "%f %s:%l", text.data(), text.size() - 1);
    return text.data();
  }
  Dl_info info{};
  if (dladdr(address, &info) == 0) { return "?"; }
  if (info.dli_sname != nullptr) { return demangled(info.dli_sname); }
  const std::string path = info.dli_fname == nullptr ? "?" : info.dli_fname;
  char offset[32];
  std::snprintf(offset, sizeof(offset), "+0x%zx",
                static_cast<size_t>(static_cast<char*>(address) - static_cast<char*>(info.dli_fbase)));
  return path.substr(path.rfind('/') + 1) + offset;
}

}  // namespace daxfs
