#include "fuzz/exec/lone_layout.h"

#include <algorithm>
#include <cinttypes>
#include <string>

#include "fs/base/text.h"
#include "fs/base/types.h"
#include "fs/mm/address_space.h"

namespace daxfuzz::exec {

using daxfs::kPageSize;
using oracle::OpRecord;
using prog::OpCode;

namespace {

// Other bits mean nothing to a mapping.
constexpr unsigned kProtBits = prog::kProtRead | prog::kProtWrite | prog::kProtExec;

uint64_t page_up(int64_t length) { return daxfs::round_up(static_cast<uint64_t>(length), kPageSize); }

}  // namespace

LoneLayout::Piece LoneLayout::Piece::part(uint64_t from, uint64_t to) const {
  Piece piece = *this;
  piece.begin = from;
  piece.end = to;
  if (ino != 0) { piece.pgoff = pgoff + (from - begin) / kPageSize; }
  return piece;
}

bool LoneLayout::Piece::continues(const Piece& before) const {
  return before.end == begin && before.part(begin, end) == *this;
}

LoneLayout::Pieces LoneLayout::pieces_of(const daxfs::mm::Mm& mm) {
  Pieces pieces;
  mm.peek_vmas([&](const daxfs::mm::Vma& vma) {
    Piece piece{vma.begin.peek().value(), vma.end.peek().value(), 0, 0, vma.prot.peek(), vma.shared};
    if (daxfs::mm::VmFile* const file = vma.file.peek(); file != nullptr) {
      piece.ino = file->mapping().host().ino().value();
      piece.pgoff = vma.pgoff.peek().value();
    }
    if (!pieces.empty() && piece.continues(pieces.back())) {
      pieces.back().end = piece.end;
    } else {
      pieces.push_back(piece);
    }
  });
  return pieces;
}

bool LoneLayout::about(const prog::Op& op) {
  switch (op.code) {
    case OpCode::kMmap:
    case OpCode::kMunmap:
    case OpCode::kMremap:
    case OpCode::kMprotect: return true;
    default: return false;
  }
}

void LoneLayout::note(const daxfs::mm::Mm& mm) {
  noted_ = true;
  pieces_ = pieces_of(mm);
}

const LoneLayout::Piece* LoneLayout::at(uint64_t address) const {
  const auto piece = std::find_if(pieces_.begin(), pieces_.end(), [&](const Piece& p) { return address < p.end; });
  return piece != pieces_.end() && piece->begin <= address ? &*piece : nullptr;
}

bool LoneLayout::free(uint64_t begin, uint64_t end) const {
  return std::none_of(pieces_.begin(), pieces_.end(), [&](const Piece& p) { return p.begin < end && begin < p.end; });
}

void LoneLayout::cut(uint64_t begin, uint64_t end) {
  Pieces left;
  for (const Piece& piece : pieces_) {
    if (piece.end <= begin || end <= piece.begin) {
      left.push_back(piece);
      continue;
    }
    if (piece.begin < begin) { left.push_back(piece.part(piece.begin, begin)); }
    if (end < piece.end) { left.push_back(piece.part(end, piece.end)); }
  }
  pieces_ = std::move(left);
}

void LoneLayout::put(const Piece& piece) {
  if (piece.begin == piece.end) { return; }
  const auto behind =
      std::find_if(pieces_.begin(), pieces_.end(), [&](const Piece& p) { return piece.end <= p.begin; });
  pieces_.insert(behind, piece);
}

const char* LoneLayout::apply_mmap(const OpRecord& record) {
  const prog::Op& op = *record.op;
  const auto begin = static_cast<uint64_t>(record.ret);
  const uint64_t end = begin + page_up(op.length);
  const bool replaces = (op.flags & prog::kMapFixed) != 0 && (op.flags & prog::kMapFixedNoReplace) == 0;
  if (!replaces && !free(begin, end)) { return "took the place of another mapping"; }
  cut(begin, end);
  Piece piece{begin, end, 0, 0, op.prot & kProtBits, (op.flags & prog::kMapType) != prog::kMapPrivate};
  if ((op.flags & prog::kMapAnon) == 0) {
    piece.ino = record.ino;
    piece.pgoff = static_cast<uint64_t>(op.offset) / kPageSize;
  }
  put(piece);
  return nullptr;
}

const char* LoneLayout::apply_mprotect(const OpRecord& record) {
  const uint64_t end = record.address + page_up(record.op->length);
  for (uint64_t address = record.address; address < end;) {
    const Piece* const piece = at(address);
    if (piece == nullptr) { return "succeeded where nothing is mapped"; }
    Piece changed = piece->part(address, std::min(piece->end, end));
    changed.prot = record.op->prot & kProtBits;
    cut(changed.begin, changed.end);
    put(changed);
    address = changed.end;
  }
  return nullptr;
}

const char* LoneLayout::apply_mremap(const OpRecord& record) {
  const prog::Op& op = *record.op;
  const uint64_t from = record.address;
  const auto to = static_cast<uint64_t>(record.ret);
  const uint64_t length = page_up(op.length2);
  const uint64_t old_length = page_up(op.length);
  const uint64_t kept = std::min(old_length, length);
  const Piece* const source = at(from);
  if (source == nullptr) { return "succeeded where nothing is mapped"; }
  if (old_length == 0 && !source->shared) { return "mapped private memory twice"; }
  const Piece whole = *source;
  cut(from + kept, from + old_length);
  if (to == from) {  // in its place
    if (!free(from + kept, from + length)) { return "grew over another mapping"; }
    if (length > kept) { put(whole.part(from + kept, from + length)); }
    return nullptr;
  }
  if ((op.flags & prog::kRemapMayMove) == 0) { return "moved what may not be moved"; }
  if ((op.flags & prog::kRemapFixed) != 0) { cut(to, to + length); }
  if (!free(to, to + length)) { return "took the place of another mapping"; }
  if ((op.flags & prog::kRemapDontUnmap) == 0) { cut(from, from + kept); }
  Piece moved = whole.part(from, from + length);
  moved.begin = to;
  moved.end = to + length;
  put(moved);
  return nullptr;
}

const char* LoneLayout::apply(const OpRecord& record) {
  switch (record.op->code) {
    case OpCode::kMmap: return apply_mmap(record);
    case OpCode::kMprotect: return apply_mprotect(record);
    case OpCode::kMremap: return apply_mremap(record);
    default: cut(record.address, record.address + page_up(record.op->length)); return nullptr;
  }
}

std::optional<oracle::Objection> LoneLayout::check(const daxfs::mm::Mm& mm, const OpRecord& record) {
  if (!noted_ || record.error != daxfs::Errc::kOk) { return std::nullopt; }
  const std::string call(record.op->info().name);
  const auto against = [&](std::string title) {
    return oracle::Objection{.tag = "LC9", .title = std::move(title), .detail = "nothing ran beside the call\n"};
  };
  if (const char* const wrong = apply(record)) { return against(daxfs::format("%s %s", call.c_str(), wrong)); }
  Pieces asked;
  for (const Piece& piece : pieces_) {
    if (!asked.empty() && piece.continues(asked.back())) {
      asked.back().end = piece.end;
    } else {
      asked.push_back(piece);
    }
  }
  const Pieces are = pieces_of(mm);
  if (are == asked) { return std::nullopt; }
  const auto [is, should] = std::mismatch(are.begin(), are.end(), asked.begin(), asked.end());
  const auto text = [](const Piece& piece) {
    return daxfs::format("[%" PRIx64 ", %" PRIx64 ") of inode %u from page %" PRIu64 ", protection %u, %s", piece.begin,
                         piece.end, piece.ino, piece.pgoff, piece.prot, piece.shared ? "shared" : "private");
  };
  const std::string nothing = "nothing";
  return against(daxfs::format("%s left %s, where its operands ask for %s", call.c_str(),
                               (is == are.end() ? nothing : text(*is)).c_str(),
                               (should == asked.end() ? nothing : text(*should)).c_str()));
}

}  // namespace daxfuzz::exec
