// fuzz/prog/op_table.cc - rows of the op table and the flag names, and lookups in them.
#include "fuzz/prog/op_table.h"

namespace daxfuzz::prog {
namespace {

template <typename... Kinds>
constexpr OpInfo make_row(OpCode code, std::string_view name, ResultKind result, uint16_t weight, std::string_view help,
                          Kinds... kinds) {
  static_assert(sizeof...(kinds) <= kOperandsMax);
  return OpInfo{code, name, result, weight, help, {kinds...}, static_cast<uint8_t>(sizeof...(kinds))};
}

// The table's bare enumerators become OperandKind here: the result column is pasted to its own
// enum.
namespace rows {
using enum OperandKind;
constexpr std::array<OpInfo, kOpCount> kTable = {{
#define DAXFUZZ_X(code, name, result, weight, help, ...) \
  make_row(OpCode::code, name, ResultKind::result, weight, help __VA_OPT__(, ) __VA_ARGS__),
    DAXFUZZ_OP_TABLE(DAXFUZZ_X)
#undef DAXFUZZ_X
}};
}  // namespace rows

constexpr uint32_t kAll = ~uint32_t{0};

// Bit i of a binary flags operand is row i here: append only.
constexpr FlagName kOpenNames[] = {
    {"rdonly", kOAccMode, kORdOnly},      {"wronly", kOAccMode, kOWrOnly},   {"rdwr", kOAccMode, kORdWr},
    {"creat", kOCreat, kOCreat},          {"excl", kOExcl, kOExcl},          {"trunc", kOTrunc, kOTrunc},
    {"append", kOAppend, kOAppend},       {"direct", kODirect, kODirect},    {"sync", kOSync, kOSync},
    {"dsync", kODsync, kODsync},          {"tmpfile", kOTmpfile, kOTmpfile}, {"directory", kODirectory, kODirectory},
    {"nofollow", kONoFollow, kONoFollow}, {"noatime", kONoAtime, kONoAtime}, {"path", kOPath, kOPath},
};
constexpr FlagName kFallocNames[] = {
    {"punch", kFallocPunch, kFallocPunch},    {"keep_size", kFallocKeepSize, kFallocKeepSize},
    {"zero", kFallocZero, kFallocZero},       {"collapse", kFallocCollapse, kFallocCollapse},
    {"insert", kFallocInsert, kFallocInsert}, {"unshare", kFallocUnshare, kFallocUnshare},
};
constexpr FlagName kRenameNames[] = {
    {"noreplace", kRenameNoReplace, kRenameNoReplace},
    {"exchange", kRenameExchange, kRenameExchange},
    {"whiteout", kRenameWhiteout, kRenameWhiteout},
};
constexpr FlagName kMapNames[] = {
    {"shared", kMapType, kMapShared},
    {"private", kMapType, kMapPrivate},
    {"shared_validate", kMapType, kMapSharedValidate},
    {"fixed", kMapFixed, kMapFixed},
    {"sync", kMapSync, kMapSync},
    {"populate", kMapPopulate, kMapPopulate},
    {"anon", kMapAnon, kMapAnon},
    {"locked", kMapLocked, kMapLocked},
    {"nonblock", kMapNonblock, kMapNonblock},
    {"fixed_noreplace", kMapFixedNoReplace, kMapFixedNoReplace},
};
constexpr FlagName kRemapNames[] = {
    {"maymove", kRemapMayMove, kRemapMayMove},
    {"fixed", kRemapFixed, kRemapFixed},
    {"dontunmap", kRemapDontUnmap, kRemapDontUnmap},
};
constexpr FlagName kSyncNames[] = {
    {"sync", kMsSync, kMsSync},
    {"async", kMsAsync, kMsAsync},
    {"invalidate", kMsInvalidate, kMsInvalidate},
};
constexpr FlagName kXattrNames[] = {
    {"dax", kXflagDax, kXflagDax},
    {"immutable", kXflagImmutable, kXflagImmutable},
    {"append", kXflagAppend, kXflagAppend},
};
constexpr FlagName kInodeNames[] = {
    {"extents", kFsExtents, kFsExtents},
    {"dax", kFsDax, kFsDax},
    {"immutable", kFsImmutable, kFsImmutable},
    {"append", kFsAppend, kFsAppend},
};
constexpr FlagName kProtNames[] = {
    {"read", kProtRead, kProtRead},
    {"write", kProtWrite, kProtWrite},
    {"exec", kProtExec, kProtExec},
};
constexpr FlagName kWhenceNames[] = {
    {"set", kAll, kSeekSet},   {"cur", kAll, kSeekCur},   {"end", kAll, kSeekEnd},
    {"data", kAll, kSeekData}, {"hole", kAll, kSeekHole},
};
constexpr FlagName kAdviceNames[] = {
    {"dontneed", kAll, kAdvDontNeed},
    {"remove", kAll, kAdvRemove},
    {"willneed", kAll, kAdvWillNeed},
    {"normal", kAll, kAdvNormal},
    {"random", kAll, kAdvRandom},
    {"sequential", kAll, kAdvSequential},
    {"free", kAll, kAdvFree},
    {"hugepage", kAll, kAdvHugePage},
    {"nohugepage", kAll, kAdvNoHugePage},
    {"cold", kAll, kAdvCold},
    {"pageout", kAll, kAdvPageOut},
    {"populate_read", kAll, kAdvPopulateRead},
    {"populate_write", kAll, kAdvPopulateWrite},
    {"hwpoison", kAll, kAdvHwPoison},
    {"soft_offline", kAll, kAdvSoftOffline},
};

constexpr FlagTable kOpenTable = {"open flags", "rdonly", kOpenNames, false};
constexpr FlagTable kFallocTable = {"a fallocate mode", "alloc", kFallocNames, false};
constexpr FlagTable kRenameTable = {"rename flags", "0", kRenameNames, false};
constexpr FlagTable kMapTable = {"mmap flags", "0", kMapNames, false};
constexpr FlagTable kRemapTable = {"mremap flags", "0", kRemapNames, false};
constexpr FlagTable kSyncTable = {"msync flags", "0", kSyncNames, false};
constexpr FlagTable kXattrTable = {"inode flags", "0", kXattrNames, false};
constexpr FlagTable kInodeTable = {"inode flags", "0", kInodeNames, false};
constexpr FlagTable kProtTable = {"a protection", "none", kProtNames, false};
constexpr FlagTable kWhenceTable = {"a whence", "set", kWhenceNames, true};
constexpr FlagTable kAdviceTable = {"an advice", "normal", kAdviceNames, true};

}  // namespace

const OpInfo& op_info(OpCode code) { return rows::kTable[static_cast<size_t>(code)]; }

std::span<const OpInfo> op_table() { return rows::kTable; }

const OpInfo* find_op(std::string_view name) {
  for (const OpInfo& row : rows::kTable) {
    if (row.name == name) { return &row; }
  }
  return nullptr;
}

const FlagTable* flag_table(OperandKind kind) {
  switch (kind) {
    case OperandKind::kOpenFlags: return &kOpenTable;
    case OperandKind::kFallocMode: return &kFallocTable;
    case OperandKind::kRenameFlags: return &kRenameTable;
    case OperandKind::kMapFlags: return &kMapTable;
    case OperandKind::kRemapFlags: return &kRemapTable;
    case OperandKind::kSyncFlags: return &kSyncTable;
    case OperandKind::kXattrFlags: return &kXattrTable;
    case OperandKind::kInodeFlags: return &kInodeTable;
    case OperandKind::kProt: return &kProtTable;
    case OperandKind::kWhence: return &kWhenceTable;
    case OperandKind::kAdvice: return &kAdviceTable;
    default: return nullptr;
  }
}

uint32_t flag_rows(const FlagTable& table, uint32_t value, uint32_t* rest) {
  uint32_t rows = 0;
  uint32_t explained = 0;
  for (size_t i = 0; i < table.names.size(); i++) {
    const FlagName& name = table.names[i];
    if ((name.mask & explained) != 0 || (value & name.mask) != name.value) { continue; }
    explained |= name.mask;
    rows |= uint32_t{1} << i;
  }
  *rest = value & ~explained;
  return rows;
}

}  // namespace daxfuzz::prog
