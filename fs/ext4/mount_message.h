// fs/ext4/mount_message.h - why an image was refused, in one sentence.
// Tested by: fs/ext4/super_test.cc, fs/ext4/mount_fuzz_test.cc.
#pragma once

#include <string>

#include "fs/base/compiler.h"
#include "fs/base/result.h"

namespace daxfs::ext4 {

// Stores the formatted sentence in `message` (may be null) and returns `errc`.
FS_COLD Status refuse(std::string* message, Errc errc, const char* format, ...) FS_PRINTF(3, 4);

}  // namespace daxfs::ext4
