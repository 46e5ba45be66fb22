// fs/mm/tlb_gate.h - what a TLB shootdown excludes: an access or a fast pin that is between its PTE
// check and its effect.
//
// A processor's access checks the translation and moves the bytes in one step, and fast GUP runs
// with interrupts off between its check and its reference; whoever removes a PTE waits for both
// (the flush IPI) before it trusts that nobody uses the old translation. In the fiber engine no
// scheduling point lies inside such a window, so the gate is always free there; with OS threads it
// is what makes the same code correct.
//
// Kernel: local_irq_save in internal_get_user_pages_fast; flush_tlb_range.
// Locking: none of ours. Windows are short (at most one page of bytes) and never contain a point or
// a sleep.
// Tested by: fs/mm/gup_test.cc (native flavour).
#pragma once

#include <cstdint>

namespace daxfs::mm {

class TlbGate {
 public:
  void enter() {
    for (;;) {
      while (__atomic_load_n(&shootdowns_, __ATOMIC_SEQ_CST) != 0) { pause(); }
      __atomic_fetch_add(&walkers_, 1, __ATOMIC_SEQ_CST);
      if (__atomic_load_n(&shootdowns_, __ATOMIC_SEQ_CST) == 0) { return; }
      leave();
    }
  }
  void leave() { __atomic_fetch_sub(&walkers_, 1, __ATOMIC_SEQ_CST); }

  // Returns when every window that may have seen a translation removed before this call is over.
  void shootdown() {
    __atomic_fetch_add(&shootdowns_, 1, __ATOMIC_SEQ_CST);
    while (__atomic_load_n(&walkers_, __ATOMIC_SEQ_CST) != 0) { pause(); }
    __atomic_fetch_sub(&shootdowns_, 1, __ATOMIC_SEQ_CST);
  }

  void reset() { walkers_ = shootdowns_ = 0; }

 private:
  static void pause() {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#endif
  }

  uint32_t walkers_ = 0;
  uint32_t shootdowns_ = 0;
};

class TlbWindow {
 public:
  explicit TlbWindow(TlbGate& gate) : gate_(gate) { gate_.enter(); }
  ~TlbWindow() { gate_.leave(); }
  TlbWindow(const TlbWindow&) = delete;
  TlbWindow& operator=(const TlbWindow&) = delete;

 private:
  TlbGate& gate_;
};

}  // namespace daxfs::mm
