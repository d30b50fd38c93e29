// timer_set: the timers of one processor. Fired by its owner, cancelled by anybody.
//
//   Threads  advance: the owner; everything else: any. Who arms a timer on another thread than the
//            owner's must see to it that the owner looks at next_deadline_ns() again
//   Cost     arm and cancel: one uncontended lock and a few words; no allocation
//   Units    nanoseconds of the monotonic clock; fires never early, late by less than 1 ms.
//            never_ns is never, what is before the clock's beginning is at once
//   Order    in one advance: oldest deadline first, equal ones as they were armed
//   Protocol top of timer_set.cpp
#pragma once

#include <cstdint>

#include "weft/base/atomic.hpp"
#include "weft/base/spin_lock.hpp"
#include "weft/timer/wheel.hpp"

namespace weft {

class timer_set {
 public:
  timer_set() noexcept = default;
  ~timer_set();  // asserts that no timer is armed
  timer_set(const timer_set&) = delete;
  timer_set& operator=(const timer_set&) = delete;

  /// False: cancel() came first; the entry will not fire. The caller may not touch the entry after
  /// true: it may have fired. One that has fired or was cancelled may be armed again.
  [[nodiscard]] bool arm(timer_entry& entry, std::int64_t deadline_ns) noexcept;

  /// True: it was armed, and will never fire. False: it fired or is firing, whose end the caller
  /// must await by a protocol of its own; or it was never armed, or cancelled last, and the next
  /// arm() will say false. (After a fire no arm() does, unless timer_entry::reuse() came between.)
  [[nodiscard]] bool cancel(timer_entry& entry) noexcept;

  /// Fires what is due, outside of the lock; returns how many. What is armed by a fire is for the
  /// next advance, even if its deadline has passed. A clock that went back fires nothing that was
  /// not due before, and may leave the rest until it has caught up.
  unsigned advance(std::int64_t now_ns) noexcept;

  /// Nothing is due before this moment; never_ns if nothing is armed. A lower bound: for timers
  /// more than 256 ms away it may come earlier (at most four times in a timer's life; more often
  /// where cancelled timers stood between); advance() then.
  std::int64_t next_deadline_ns() const noexcept { return next_ns_.load(order::relaxed); }
  /// How many are armed.
  std::uint64_t size() const noexcept { return size_.load(order::relaxed); }

 private:
  static constexpr std::int64_t tick_ns = 1'000'000;
  void note_next() noexcept;
  static void sort(wheel::list& due) noexcept;

  spin_lock lock_;
  wheel wheel_;                             // under lock_
  atomic<std::int64_t> next_ns_{never_ns};  // written under lock_
  atomic<std::uint64_t> size_{0};           // written under lock_
};

}  // namespace weft
