#include "fuzz/exec/templates.h"

#include <memory>
#include <vector>

namespace daxfuzz::exec {
namespace {

struct Expanded {
  std::string_view name;
  std::vector<std::byte> bytes;
};

}  // namespace

std::span<const std::byte> image_template(std::string_view name) {
  static std::vector<std::unique_ptr<Expanded>>& cache = *new std::vector<std::unique_ptr<Expanded>>;
  for (const auto& expanded : cache) {
    if (expanded->name == name) { return expanded->bytes; }
  }
  for (const ImageData& data : template_table()) {
    if (data.name != name) { continue; }
    cache.push_back(std::make_unique<Expanded>(Expanded{data.name, expand(data)}));
    return cache.back()->bytes;
  }
  return {};
}

bool template_has_contents(std::string_view name) { return name == "files" || name == "maps"; }

std::string template_names() {
  std::string names;
  for (const ImageData& data : template_table()) {
    if (!names.empty()) { names += ", "; }
    names += data.name;
  }
  return names;
}

}  // namespace daxfuzz::exec
