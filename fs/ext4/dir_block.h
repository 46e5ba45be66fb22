// fs/ext4/dir_block.h - one 4 KiB directory block as bytes: walk, find room, insert, remove. Pure.
//
// Layout (Linux Documentation/filesystems/ext4/directory.rst): a chain of records
//   le32 inode | le16 rec_len | u8 name_len | u8 file_type | name
// whose rec_len cover the block exactly; with metadata_csum the last 12 bytes are a record with inode 0, rec_len 12,
// file_type 0xDE and the checksum. The blocks of an htree index look like blocks with one empty record.
// Any bytes are legal input: a broken chain is an error, never an assertion.
// Locking: the caller serialises (the directory's i_rwsem).  Tested by: fs/ext4/dir_block_test.cc.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "fs/base/result.h"
#include "fs/base/types.h"

namespace daxfs::ext4 {

inline constexpr size_t kNameMax = 255;      // bytes
inline constexpr size_t kDirHeaderSize = 8;  // bytes before the name
inline constexpr size_t kDirTailSize = 12;   // checksum record
using DirBytes = std::span<std::byte, kBlockSize>;
using ConstDirBytes = std::span<const std::byte, kBlockSize>;

// file_type values of a directory record.
enum class FileType : uint8_t {
  kUnknown = 0,
  kRegular = 1,
  kDirectory = 2,
  kCharDevice = 3,
  kBlockDevice = 4,
  kFifo = 5,
  kSocket = 6,
  kSymlink = 7,
};
FileType file_type_of_mode(uint16_t mode);

// Bytes a record with a name of `name_length` needs.
constexpr uint32_t dir_record_size(size_t name_length) {
  return static_cast<uint32_t>(round_up(kDirHeaderSize + name_length, 4));
}

struct DirRecord {
  uint32_t offset = 0;  // of the record in the block
  uint32_t rec_len = 0;
  Ino ino;  // 0: unused
  uint8_t file_type = 0;
  std::string_view name;  // borrowed from the block
};

// Which kind of checksum a block carries.
enum class DirBlockKind : uint8_t { kLinear, kIndexRoot, kIndexNode };

class DirBlockView {
 public:
  DirBlockView(ConstDirBytes bytes, bool has_csum) : bytes_(bytes), has_csum_(has_csum) {}

  // The record at `offset`, or nullopt at the end of the block; kCorrupted for a broken one.
  Result<std::optional<DirRecord>> record_at(uint32_t offset) const;
  Result<std::optional<DirRecord>> find(std::string_view name) const;
  // End of the area that records may cover: the block, or the start of its checksum record.
  bool has_tail() const;
  DirBlockKind kind(bool first_block, bool indexed_directory) const;
  // Compares the stored checksum; `seed` is the inode's. REQUIRES: metadata_csum.
  bool csum_ok(uint32_t seed, DirBlockKind kind) const;

 private:
  ConstDirBytes bytes_;
  bool has_csum_;
};

// Makes a block with one empty record (and a tail).
void dir_block_format(DirBytes bytes, bool has_csum);
// Makes the first block of a new directory: "." and "..".
void dir_block_format_first(DirBytes bytes, Ino self, Ino parent, bool has_csum);
// Inserts in the first gap that is large enough. RETURNS false when there is none; kCorrupted for a broken chain.
Result<bool> dir_block_insert(DirBytes bytes, bool has_csum, std::string_view name, Ino ino, FileType type);
// Removes the record at `offset`: merges it into its predecessor, or marks it unused when it is the block's first.
Status dir_block_remove(DirBytes bytes, bool has_csum, uint32_t offset);
// Points the record at `offset` at another inode.
void dir_block_set(DirBytes bytes, uint32_t offset, Ino ino, FileType type);
// Turns an index root or node into a linear block: same records, checksum record at the end.
void dir_block_make_linear(DirBytes bytes, bool has_csum, DirBlockKind kind);
void dir_block_set_csum(DirBytes bytes, uint32_t seed);

}  // namespace daxfs::ext4
