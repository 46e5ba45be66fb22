// fs/ext4/io_end.h - IoEnd: what ext4 has to do when the bytes of one direct request are on the device.
//
// It belongs to the request and travels with it; the walk over the file's pieces marks it, the end of the request looks
// at the marks. A request that was left in flight ends in irq context, unless blocks are to be converted or the file
// is to be made durable: that takes a journal handle, hence the volume's work queue.
//
// Kernel: ext4_io_end_t (fs/ext4/ext4.h, fs/ext4/page-io.c) as direct I/O used it until 4.19, ext4_dio_write_end_io
// (fs/ext4/file.c) since.
// Locking: made under i_rwsem or with the unlocked requests of dioread_nolock; end_io takes a handle and i_data_sem.
// Invariants:
//   O12  nothing is converted, and no transaction starts, in irq context.
//   O13  a request that is over is not marked any more.
//   IE2  while a request is in flight nobody takes away its unwritten blocks.
// Tested by: fs/vfs/aio_test.cc, fs/ext4/file_rw_test.cc.
#pragma once

#include <cstdint>

#include "fs/base/compiler.h"
#include "fs/base/flags.h"
#include "fs/ext4/file_rw.h"
#include "fs/io/direct_io.h"

namespace daxfs::ext4 {

class Inode;

class IoEnd final : public io::DioEndIo {
 public:
  // Counts a request on `inode` as in flight (Inode::dio) until finished(). `sync_flags`: RwFlags; kRwSync and
  // kRwDataSync make the end of a request that is left in flight wait for the medium, too.
  static IoEnd* begin(Inode& inode, unsigned sync_flags);
  IoEnd(const IoEnd&) = delete;
  IoEnd& operator=(const IoEnd&) = delete;

  // Which of the inode's requests it is: for traces.
  FS_NO_TSAN uint64_t number() const { return number_; }

  // Of a write without the inode lock: `unlock` runs once its pages are pinned. If the request is over when its
  // submission returns, the caller drops cached pages, which it cannot do under i_data_sem, and only then calls
  // Inode::dio.end().
  void on_pinned(void (*unlock)(Inode&)) { unlock_ = unlock; }

  // Of a write: what is cached of its range afterwards may be older than it (kernel: iomap_dio_complete). `extends`:
  // behind the end of the file, so that the call waits, with i_rwsem exclusive.
  void begin_write(bool extends) {
    write_ = drops_pages_ = true;
    extends_ = extends;
  }

  // --- io::DioEndIo
  void pinned() override;
  void note_piece(const io::Iomap& iomap) override;
  bool bios_done() override;
  Status end_io(uint64_t pos, uint64_t size, Status error) override;
  void finished() override;

 private:
  enum Flag : uint32_t {
    kUnwritten = 1u << 0,       // blocks are to be converted
    kDefer = 1u << 1,           // the end of the request needs process context
    kFirstPieceSeen = 1u << 2,  // only of a historical bug
  };
  static_assert(distinct_bits({kUnwritten, kDefer, kFirstPieceSeen}));

  IoEnd() = default;
  bool caller_ends() const { return unlock_ != nullptr && !left_in_flight_; }
  void mark(uint32_t flag);
  uint64_t traced_marks() const;
  void mark_unwritten();
  Status convert(uint64_t pos, uint64_t size);

  Inode* inode_ = nullptr;
  uint64_t number_ = 0;
  void (*unlock_)(Inode&) = nullptr;
  uint32_t flags_ = 0;  // of Flag
  unsigned sync_flags_ = 0;
  bool left_in_flight_ = false;
  bool counted_ = false;  // in Inode::dio
  bool drops_pages_ = false;
  bool write_ = false;
  bool extends_ = false;
  bool alive_ = false;
};

}  // namespace daxfs::ext4
