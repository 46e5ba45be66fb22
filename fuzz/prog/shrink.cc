// fuzz/prog/shrink.cc - smaller programs by dropping parts, not bytes.
#include <algorithm>

#include "fuzz/prog/binary.h"
#include "fuzz/prog/edit.h"
#include "fuzz/prog/mutate.h"

namespace daxfuzz::prog {
namespace {

class Shrinker {
 public:
  Shrinker(Program& program, Random& random) : program_(program), random_(random) {}

  // Drops one part; false when none is left.
  bool step() {
    const size_t first = random_.below(16);
    // What is dropped first is a matter of chance; whatever is there is found in the end.
    if (first < 6 && drop_preemption()) { return true; }
    if (first < 11 && drop_op(false)) { return true; }
    if (first < 13 && drop_op(true)) { return true; }
    if (first < 14 && drop_task()) { return true; }
    if (first < 15 && drop_process()) { return true; }
    return drop_preemption() || drop_op(false) || drop_op(true) || drop_task() || drop_process() || plain_header();
  }

 private:
  bool drop_preemption() {
    if (program_.schedule.empty()) { return false; }
    program_.schedule.erase(program_.schedule.begin() + random_.below(program_.schedule.size()));
    return true;
  }

  bool drop_op(bool init) {
    const size_t lists = init ? program_.processes.size() : program_.tasks.size();
    const size_t start = random_.below(lists);
    for (size_t i = 0; i < lists; i++) {
      Place place{init, static_cast<uint8_t>((start + i) % lists), 0};
      const size_t count = op_list(program_, place).size();
      if (count == 0) { continue; }
      place.op = static_cast<uint8_t>(random_.below(count));
      remove_op(program_, place);
      return true;
    }
    return false;
  }

  bool drop_task() {
    if (program_.tasks.size() < 2) { return false; }
    remove_task(program_, static_cast<uint8_t>(random_.below(program_.tasks.size())));
    return true;
  }

  bool drop_process() {
    if (program_.processes.size() < 2) { return false; }
    remove_process(program_, static_cast<uint8_t>(1 + random_.below(program_.processes.size() - 1)));
    return true;
  }

  bool plain_header() {
    const Program plain;
    if (program_.image == plain.image && program_.mount == plain.mount) { return false; }
    program_.image = plain.image;
    program_.mount = plain.mount;
    return true;
  }

  Program& program_;
  Random& random_;
};

}  // namespace

size_t minimal_size() { return encoded_size(Program::minimal()); }

void shrink_below(Program& program, size_t bytes_max, Random& random) {
  Shrinker shrinker(program, random);
  uint32_t extra = 1;  // parts to drop even if it fits
  while (extra < 4 && random.chance(1, 3)) { extra++; }
  while (extra > 0 || encoded_size(program) > bytes_max) {
    if (!shrinker.step()) { break; }
    if (extra > 0) { extra--; }
    canonicalise_strings(program);
  }
}

}  // namespace daxfuzz::prog
