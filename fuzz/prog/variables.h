// fuzz/prog/variables.h - names of variables in a program's text, and the slots they get.
//
// `f0`..`f7` are descriptor slots and `m0`..`m7` mapping slots; any other name gets the lowest slot
// that no name in the text uses. Descriptors and mappings have separate name spaces, told apart by
// where the name stands.
//
// Tested by: fuzz/prog/text_test.cc
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace daxfuzz::prog {

struct Variable {
  std::string_view name;
  uint32_t line = 0;  // first use
  uint32_t column = 0;
  bool assigned = false;
};

class Variables {
 public:
  static constexpr size_t kMax = 8;
  static constexpr uint8_t kFull = 0xff;

  explicit Variables(char letter) : letter_(letter) {}

  // Number of the name, entered at its first use; kFull when there are kMax other names already.
  uint8_t find_or_add(std::string_view name, uint32_t line, uint32_t column) {
    for (size_t i = 0; i < count_; i++) {
      if (variables_[i].name == name) { return static_cast<uint8_t>(i); }
    }
    if (count_ == kMax) { return kFull; }
    variables_[count_] = Variable{name, line, column, false};
    return static_cast<uint8_t>(count_++);
  }
  void mark_assigned(uint8_t number) { variables_[number].assigned = true; }

  // First name that is used, never assigned and not canonical: a misspelling. Null when there is
  // none.
  const Variable* unassigned() const {
    for (size_t i = 0; i < count_; i++) {
      if (!variables_[i].assigned && canonical(variables_[i].name) < 0) { return &variables_[i]; }
    }
    return nullptr;
  }

  // Slot of each number. Enough slots: canonical names are distinct, and there are at most kMax
  // names.
  std::array<uint8_t, kMax> slots() const {
    std::array<uint8_t, kMax> slots{};
    unsigned taken = 0;
    for (size_t i = 0; i < count_; i++) {
      if (const int slot = canonical(variables_[i].name); slot >= 0) { taken |= 1u << slot; }
    }
    for (size_t i = 0; i < count_; i++) {
      int slot = canonical(variables_[i].name);
      if (slot < 0) {
        slot = __builtin_ctz(~taken);
        taken |= 1u << slot;
      }
      slots[i] = static_cast<uint8_t>(slot);
    }
    return slots;
  }

 private:
  int canonical(std::string_view name) const {
    const bool matches = name.size() == 2 && name[0] == letter_ && name[1] >= '0' && name[1] <= '7';
    return matches ? name[1] - '0' : -1;
  }

  char letter_;
  size_t count_ = 0;
  std::array<Variable, kMax> variables_;
};

}  // namespace daxfuzz::prog
