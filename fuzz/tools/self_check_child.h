// fuzz/tools/self_check_child.h - the self-check of `daxfuzz fuzz`, in a process of its own.
//
// The process that forks the workers must not have run anything itself: a fiber is a thread in TSan's eyes, and in the
// child of a process with several threads TSan goes blind (no reports, and of the host's synchronisation it sees none).
// Tested by: fuzz/tools/daxfuzz_test.py in the preset tsan.
#pragma once

#include <string>

namespace daxfuzz::tools {

// Empty, or what puzzles::self_check() complains about, or how its process died.
std::string self_check_in_child();

}  // namespace daxfuzz::tools
