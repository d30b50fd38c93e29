// spin_lock: one byte that guards a few instructions. Never held across a wake, a system call or
// user code: who holds it is about to let it go.
//
//   Fairness  none
//   Threads   any
//   Cost      one exchange to take, one store to release
//   Orderings P1  unlock (release) -> lock (acquire): all that the last holder wrote
#pragma once

#include "weft/base/atomic.hpp"

namespace weft {

/// Gives the CPU to somebody else: the holder of a spin lock may have been descheduled. Defined by
/// os/thread (a system call), which base may not include.
void spin_wait_yield() noexcept;

class spin_lock {
 public:
  spin_lock() noexcept = default;
  spin_lock(const spin_lock&) = delete;
  spin_lock& operator=(const spin_lock&) = delete;

  bool try_lock() noexcept { return !held_.exchange(true, order::acquire); }  // P1
  void lock() noexcept {
    while (!try_lock()) wait_until_free();
  }
  void unlock() noexcept { held_.store(false, order::release); }  // P1

 private:
  static constexpr int spins_max = 64;  // then the holder is asleep, more likely than not

  void wait_until_free() const noexcept {
    for (int i = 0; held_.load(order::relaxed); ++i) {
      if (i < spins_max) {
        cpu_pause();
      } else {
        spin_wait_yield();
      }
    }
  }
  atomic<bool> held_{false};
};

/// Holds a spin_lock for a block.
class spin_guard {
 public:
  explicit spin_guard(spin_lock& l) noexcept : lock_(l) { lock_.lock(); }
  ~spin_guard() { lock_.unlock(); }
  spin_guard(const spin_guard&) = delete;
  spin_guard& operator=(const spin_guard&) = delete;

 private:
  spin_lock& lock_;
};

}  // namespace weft
