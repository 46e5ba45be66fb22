#include "fuzz/image/input.h"

#include <algorithm>

#include "fuzz/image/images.h"
#include "fuzz/prog/binary.h"
#include "fuzz/prog/fuzz_bytes.h"

namespace daxfuzz::image {
namespace {

constexpr size_t kHeadBytes = 3;
constexpr size_t kPatchBytes = 10;
constexpr uint8_t kRenew = 1;

// Bytes behind the end are zero.
class Bytes {
 public:
  explicit Bytes(std::span<const uint8_t> bytes) : bytes_(bytes) {}
  uint32_t little(size_t count) {
    uint32_t value = 0;
    for (size_t i = 0; i < count; ++i, ++at_) {
      if (at_ < bytes_.size()) { value |= uint32_t{bytes_[at_]} << (8 * i); }
    }
    return value;
  }
  std::span<const uint8_t> rest() const { return at_ < bytes_.size() ? bytes_.subspan(at_) : bytes_.first(0); }

 private:
  std::span<const uint8_t> bytes_;
  size_t at_ = 0;
};

void put(std::vector<uint8_t>* out, uint32_t value, size_t count) {
  for (size_t i = 0; i < count; ++i) { out->push_back(static_cast<uint8_t>(value >> (8 * i))); }
}

Patch decode_patch(Bytes* bytes) {
  Patch patch;
  patch.part = static_cast<Part>(bytes->little(1) % kParts);
  const uint32_t how = bytes->little(1);
  patch.edit = static_cast<Edit>((how & 15) % 5);
  patch.width = static_cast<uint8_t>(1u << (how >> 4 & 3));
  patch.site = static_cast<uint16_t>(bytes->little(2));
  patch.offset = static_cast<uint16_t>(bytes->little(2));
  patch.value = bytes->little(4);
  return patch;
}

unsigned width_log(uint8_t width) { return width == 8 ? 3 : width == 4 ? 2 : width == 2 ? 1 : 0; }

}  // namespace

Input load(std::span<const uint8_t> bytes) {
  Input input;
  std::string error;
  if (is_text(bytes) && parse({reinterpret_cast<const char*>(bytes.data()), bytes.size()}, "input", &input, &error)) {
    return input;
  }
  input = {};
  Bytes reader(bytes);
  input.image = static_cast<uint8_t>(reader.little(1) % image_names().size());
  input.renew = (reader.little(1) & kRenew) != 0;
  for (size_t count = reader.little(1) % (kPatchesMax + 1); count > 0; --count) {
    input.patches.push_back(decode_patch(&reader));
  }
  prog::decode_any(reader.rest(), &input.program);
  return input;
}

std::vector<uint8_t> encode(const Input& input) {
  std::vector<uint8_t> out{input.image, input.renew ? kRenew : uint8_t{0}, static_cast<uint8_t>(input.patches.size())};
  for (const Patch& patch : input.patches) {
    put(&out, static_cast<uint32_t>(patch.part), 1);
    put(&out, static_cast<uint32_t>(patch.edit) | width_log(patch.width) << 4, 1);
    put(&out, patch.site, 2);
    put(&out, patch.offset, 2);
    put(&out, patch.value, 4);
  }
  const std::vector<uint8_t> program = prog::encode(input.program);
  out.insert(out.end(), program.begin(), program.end());
  return out;
}

namespace {

size_t write_within(Input& input, uint8_t* out, size_t out_max, unsigned seed) {
  std::vector<uint8_t> bytes = encode(input);
  while (bytes.size() > out_max && !input.patches.empty() &&
         kHeadBytes + kPatchBytes * input.patches.size() > out_max / 2) {
    input.patches.pop_back();
    bytes = encode(input);
  }
  if (bytes.size() > out_max) {  // the program drops operations, not bytes
    const size_t head = kHeadBytes + kPatchBytes * input.patches.size();
    const size_t size =
        prog::mutate_bytes(bytes.data() + head, bytes.size() - head, out_max > head ? out_max - head : 0, seed);
    bytes.resize(std::min(head + size, out_max));
  }
  std::copy(bytes.begin(), bytes.end(), out);
  return bytes.size();
}

}  // namespace

size_t mutate_bytes(uint8_t* data, size_t size, size_t size_max, unsigned seed) {
  prog::Random random(seed);
  Input input = load({data, size});
  if (size_max < size) {  // -minimize_crash asks for less
    if (!input.patches.empty() && random.chance(1, 2)) {
      input.patches.erase(input.patches.begin() + random.below(input.patches.size()));
    }
    return write_within(input, data, size_max, seed);
  }
  if (random.chance(2, 3) || input.patches.empty()) { mutate_damage(&input, random); }
  if (random.chance(1, 2)) {
    std::vector<uint8_t> program = prog::encode(input.program);
    program.resize(program.size() + 512);
    const size_t mutated = prog::mutate_bytes(program.data(), program.size() - 512, program.size(), seed);
    prog::decode_any({program.data(), mutated}, &input.program);
  }
  return write_within(input, data, size_max, seed);
}

size_t crossover_bytes(const uint8_t* data1, size_t size1, const uint8_t* data2, size_t size2, uint8_t* out,
                       size_t out_max, unsigned seed) {
  prog::Random random(seed);
  Input child = load({data1, size1});
  const Input other = load({data2, size2});
  if (random.chance(1, 2)) {
    child.program = other.program;
  } else {
    for (const Patch& patch : other.patches) {
      if (child.patches.size() < kPatchesMax && random.chance(1, 2)) { child.patches.push_back(patch); }
    }
  }
  return write_within(child, out, out_max, seed);
}

}  // namespace daxfuzz::image
