#include "fs/ext4/dir_block.h"

#include <cstring>

#include "fs/base/crc32c.h"
#include "fs/base/report.h"

namespace daxfs::ext4 {
namespace {

constexpr uint8_t kTailFileType = 0xde;
constexpr uint32_t kTailOffset = kBlockSize - kDirTailSize;
// Offset of {limit, count} of an index block: behind the empty record of a node; behind ".", ".." and dx_root_info.
constexpr uint32_t kNodeCountOffset = 8;
constexpr uint32_t kRootCountOffset = 32;
constexpr uint32_t kIndexEntrySize = 8;

template <typename T>
T get(ConstDirBytes bytes, uint32_t offset) {
  T value;
  std::memcpy(&value, bytes.data() + offset, sizeof(T));
  return value;
}

template <typename T>
void put(DirBytes bytes, uint32_t offset, T value) {
  std::memcpy(bytes.data() + offset, &value, sizeof(T));
}

void put_header(DirBytes bytes, uint32_t offset, Ino ino, uint32_t rec_len, uint8_t name_len, uint8_t type) {
  put<uint32_t>(bytes, offset, ino.value());
  put<uint16_t>(bytes, offset + 4, static_cast<uint16_t>(rec_len));
  put<uint8_t>(bytes, offset + 6, name_len);
  put<uint8_t>(bytes, offset + 7, type);
}

void put_record(DirBytes bytes, uint32_t offset, uint32_t rec_len, std::string_view name, Ino ino, FileType type) {
  put_header(bytes, offset, ino, rec_len, static_cast<uint8_t>(name.size()), static_cast<uint8_t>(type));
  std::memcpy(bytes.data() + offset + kDirHeaderSize, name.data(), name.size());
}

void put_tail(DirBytes bytes) {
  put_header(bytes, kTailOffset, Ino(0), kDirTailSize, 0, kTailFileType);
  put<uint32_t>(bytes, kTailOffset + 8, 0);
}

bool name_is_valid(std::string_view name) {
  return !name.empty() && name.find('/') == std::string_view::npos && name.find('\0') == std::string_view::npos;
}

}  // namespace

FileType file_type_of_mode(uint16_t mode) {
  switch (mode & 0170000) {
    case 0100000: return FileType::kRegular;
    case 0040000: return FileType::kDirectory;
    case 0020000: return FileType::kCharDevice;
    case 0060000: return FileType::kBlockDevice;
    case 0010000: return FileType::kFifo;
    case 0140000: return FileType::kSocket;
    case 0120000: return FileType::kSymlink;
    default: return FileType::kUnknown;
  }
}

bool DirBlockView::has_tail() const {
  return has_csum_ && get<uint32_t>(bytes_, kTailOffset) == 0 &&
         get<uint16_t>(bytes_, kTailOffset + 4) == kDirTailSize && get<uint8_t>(bytes_, kTailOffset + 6) == 0 &&
         get<uint8_t>(bytes_, kTailOffset + 7) == kTailFileType;
}

Result<std::optional<DirRecord>> DirBlockView::record_at(uint32_t offset) const {
  if (offset == kBlockSize || (offset == kTailOffset && has_tail())) { return std::optional<DirRecord>(); }
  if (offset + kDirHeaderSize > kBlockSize || offset % 4 != 0) {
    return FS_CORRUPT("directory record at %u does not fit its block", offset);
  }
  DirRecord record;
  record.offset = offset;
  record.rec_len = get<uint16_t>(bytes_, offset + 4);
  record.ino = Ino(get<uint32_t>(bytes_, offset));
  record.file_type = get<uint8_t>(bytes_, offset + 7);
  const uint8_t name_length = get<uint8_t>(bytes_, offset + 6);
  if (record.rec_len < dir_record_size(record.ino.value() != 0 ? name_length : 0) || record.rec_len % 4 != 0 ||
      offset + record.rec_len > kBlockSize) {
    return FS_CORRUPT("directory record at %u has rec_len %u, name_len %u", offset, record.rec_len, name_length);
  }
  if (record.ino.value() != 0) {
    record.name = std::string_view(reinterpret_cast<const char*>(bytes_.data()) + offset + kDirHeaderSize, name_length);
    if (!name_is_valid(record.name)) {
      return FS_CORRUPT("directory record at %u has an empty or impossible name", offset);
    }
  }
  return std::optional<DirRecord>(record);
}

Result<std::optional<DirRecord>> DirBlockView::find(std::string_view name) const {
  for (uint32_t offset = 0;;) {
    FS_ASSIGN_OR_RETURN(auto record, record_at(offset));
    if (!record) { return std::optional<DirRecord>(); }
    if (record->ino.value() != 0 && record->name == name) { return record; }
    offset += record->rec_len;
  }
}

DirBlockKind DirBlockView::kind(bool first_block, bool indexed_directory) const {
  if (!indexed_directory) { return DirBlockKind::kLinear; }
  if (first_block) { return DirBlockKind::kIndexRoot; }
  const bool one_empty_record = get<uint32_t>(bytes_, 0) == 0 && get<uint16_t>(bytes_, 4) == kBlockSize;
  return one_empty_record && get<uint8_t>(bytes_, 6) == 0 && get<uint8_t>(bytes_, 7) == 0 ? DirBlockKind::kIndexNode
                                                                                          : DirBlockKind::kLinear;
}

bool DirBlockView::csum_ok(uint32_t seed, DirBlockKind kind) const {
  if (kind == DirBlockKind::kLinear) {
    return has_tail() && get<uint32_t>(bytes_, kTailOffset + 8) == crc32c(seed, bytes_.data(), kTailOffset);
  }
  const uint32_t count_offset = kind == DirBlockKind::kIndexRoot ? kRootCountOffset : kNodeCountOffset;
  const uint32_t limit = get<uint16_t>(bytes_, count_offset);
  const uint32_t count = get<uint16_t>(bytes_, count_offset + 2);
  const uint32_t tail = count_offset + limit * kIndexEntrySize;
  if (count > limit || tail + 8 > kBlockSize) { return false; }
  // dx_tail {le32 reserved; le32 checksum}: the checksum field itself counts as zero.
  const uint32_t zero = 0;
  uint32_t crc = crc32c(seed, bytes_.data(), count_offset + count * kIndexEntrySize);
  crc = crc32c(crc, bytes_.data() + tail, 4);
  crc = crc32c(crc, &zero, 4);
  return get<uint32_t>(bytes_, tail + 4) == crc;
}

void dir_block_format(DirBytes bytes, bool has_csum) {
  std::memset(bytes.data(), 0, bytes.size());
  put_header(bytes, 0, Ino(0), has_csum ? kTailOffset : kBlockSize, 0, 0);
  if (has_csum) { put_tail(bytes); }
}

void dir_block_format_first(DirBytes bytes, Ino self, Ino parent, bool has_csum) {
  dir_block_format(bytes, has_csum);
  const uint32_t end = has_csum ? kTailOffset : kBlockSize;
  put_record(bytes, 0, 12, ".", self, FileType::kDirectory);
  put_record(bytes, 12, end - 12, "..", parent, FileType::kDirectory);
}

Result<bool> dir_block_insert(DirBytes bytes, bool has_csum, std::string_view name, Ino ino, FileType type) {
  const DirBlockView view(bytes, has_csum);
  const uint32_t needed = dir_record_size(name.size());
  for (uint32_t offset = 0;;) {
    FS_ASSIGN_OR_RETURN(const auto record, view.record_at(offset));
    if (!record) { return false; }
    const uint32_t used = record->ino.value() != 0 ? dir_record_size(record->name.size()) : 0;
    if (record->rec_len >= used + needed) {
      if (used != 0) { put<uint16_t>(bytes, offset + 4, static_cast<uint16_t>(used)); }
      put_record(bytes, offset + used, record->rec_len - used, name, ino, type);
      return true;
    }
    offset += record->rec_len;
  }
}

Status dir_block_remove(DirBytes bytes, bool has_csum, uint32_t target) {
  const DirBlockView view(bytes, has_csum);
  std::optional<uint32_t> previous;
  for (uint32_t offset = 0;;) {
    FS_ASSIGN_OR_RETURN(const auto record, view.record_at(offset));
    if (!record) { return FS_CORRUPT("directory record to remove at %u is not in its block", target); }
    if (offset == target) {
      if (previous) {
        const uint32_t merged = get<uint16_t>(bytes, *previous + 4) + record->rec_len;
        put<uint16_t>(bytes, *previous + 4, static_cast<uint16_t>(merged));
      } else {
        put<uint32_t>(bytes, offset, 0);
      }
      return ok_status();
    }
    previous = offset;
    offset += record->rec_len;
  }
}

void dir_block_set(DirBytes bytes, uint32_t offset, Ino ino, FileType type) {
  put<uint32_t>(bytes, offset, ino.value());
  put<uint8_t>(bytes, offset + 7, static_cast<uint8_t>(type));
}

void dir_block_make_linear(DirBytes bytes, bool has_csum, DirBlockKind kind) {
  const uint32_t end = has_csum ? kTailOffset : kBlockSize;
  if (kind == DirBlockKind::kIndexNode) {
    dir_block_format(bytes, has_csum);
  } else if (kind == DirBlockKind::kIndexRoot) {
    // "." and ".." stay; the rest of ".."'s record was the index.
    put<uint16_t>(bytes, 12 + 4, static_cast<uint16_t>(end - 12));
    std::memset(bytes.data() + 24, 0, kBlockSize - 24);
    if (has_csum) { put_tail(bytes); }
  }
}

void dir_block_set_csum(DirBytes bytes, uint32_t seed) {
  put<uint32_t>(bytes, kTailOffset + 8, crc32c(seed, bytes.data(), kTailOffset));
}

}  // namespace daxfs::ext4
