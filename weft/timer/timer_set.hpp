// timer_set: the timers of one processor. Armed by its owner, cancelled by anybody.
//
//   Threads  arm, advance: the owner; cancel, next_deadline_ns: any
//   Cost     arm and cancel: one uncontended lock and a few words; no allocation
//   Units    nanoseconds of the monotonic clock; fires never early, late by at most 1 ms
//   Protocol timer_set.cpp
#pragma once

#include <cstdint>

#include "weft/base/atomic.hpp"
#include "weft/base/spin_lock.hpp"
#include "weft/timer/wheel.hpp"

namespace weft {

class timer_set {
 public:
  /// False: cancel() came first; the entry will not fire. The caller may not touch the entry after
  /// true: it may have fired.
  [[nodiscard]] bool arm(timer_entry& entry, std::int64_t deadline_ns) noexcept;

  /// True: it was armed, and will never fire. False: it fired or is firing, whose end the caller must
  /// await by a protocol of its own; or it was not armed yet, and arm() will say false.
  [[nodiscard]] bool cancel(timer_entry& entry) noexcept;

  /// Fires what is due, outside of the lock; returns how many.
  unsigned advance(std::int64_t now_ns) noexcept;

  /// Nothing is due before this moment; never_ns if nothing is armed.
  std::int64_t next_deadline_ns() const noexcept { return next_ns_.load(order::relaxed); }
  std::uint64_t size() const noexcept { return size_.load(order::relaxed); }

 private:
  static constexpr std::int64_t tick_ns = 1'000'000;
  void note_next() noexcept;

  mutable spin_lock lock_;
  wheel wheel_;                              // under lock_
  atomic<std::int64_t> next_ns_{never_ns};   // written under lock_
  atomic<std::uint64_t> size_{0};            // written under lock_
};

}  // namespace weft
