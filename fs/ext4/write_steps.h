// fs/ext4/write_steps.h - what all kinds of write share: the checks before, the new size after.
//
// Locking: every function wants i_rwsem held by the caller, those that change a size exclusively.
// Tested by: fs/ext4/file_rw_test.cc.
#pragma once

#include <cstdint>

#include "fs/base/result.h"
#include "fs/io/user_buffer.h"

namespace daxfs::ext4 {

class Inode;

// Where the write goes and whether it may. Clips the buffer. RETURNS: bytes to write, 0 for nothing
// to do. Kernel: ext4_generic_write_checks, generic_write_checks.
Result<uint64_t> generic_write_checks(Inode& inode, io::IovBuffer& buffer, uint64_t* pos, unsigned flags);

// The last reference of a file that was open for writing goes; only with the mount option trim_eof. YIELDS.
void release_file(Inode& inode);

// A write that will extend the file puts it on the orphan list, in case it never ends.
Status orphan_add_for_extension(Inode& inode);

// After an extending write: the sizes, blocks beyond them, the orphan list. `done`: what the write
// says. Kernel: ext4_handle_inode_extension.
Result<uint64_t> handle_inode_extension(Inode& inode, uint64_t pos, uint64_t count, Result<uint64_t> done);

}  // namespace daxfs::ext4
