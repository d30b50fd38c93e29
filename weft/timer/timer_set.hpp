// timer_set: the timers of one processor. Fired by its owner, cancelled by anybody.
//
//   Threads  advance: the owner; everything else: any. Who arms a timer on another thread than the
//            owner's must see to it that the owner looks at next_deadline_ns() again: on_sooner() is
//            how a scheduler does that
//   Cost     arm and cancel: one uncontended lock and a few words; no allocation
//   Units    nanoseconds of the monotonic clock, to the nanosecond: the first advance() at the deadline
//            or after it fires, none before. never_ns is never, the past is at once
//   Order    oldest deadline first, equal ones as they were armed
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

  /// `told(whom)` is called by arm(), with no lock held, when the owner may have to wake sooner than it
  /// knew. Before the first arm().
  void on_sooner(void (*told)(void*) noexcept, void* whom) noexcept {
    told_ = told;
    whom_ = whom;
  }

  /// False: cancel() came first; the entry will not fire. The caller may not touch the entry after
  /// true: it may have fired. One that has fired or was cancelled may be armed again.
  [[nodiscard]] bool arm(timer_entry& entry, std::int64_t deadline_ns) noexcept;

  /// True: it was armed, and will never fire. False: it fired or is firing, whose end the caller
  /// must await by a protocol of its own; or it was never armed, or cancelled last, and the next
  /// arm() will say false. (After a fire no arm() does, unless timer_entry::reuse() came between.)
  [[nodiscard]] bool cancel(timer_entry& entry) noexcept;

  /// Fires what is due, outside of the lock, but no more than `fires_max`; returns how many. What has not
  /// been fired yet can be cancelled, by a fire, too. The rest stays armed, is told by next_deadline_ns(),
  /// and leaves first at the next advance. What is armed by a fire is for the next advance, even if its
  /// deadline has passed. A clock that went back fires nothing that was not due before, and may leave the
  /// rest until it has caught up.
  /// To be called now and then although nothing is due: timers are armed relative to its moment, and
  /// those that find it old are moved more often.
  unsigned advance(std::int64_t now_ns, unsigned fires_max = UINT32_MAX) noexcept;

  /// Nothing is due before this moment; never_ns if nothing is armed. Exact, unless a timer that
  /// would have been the next was cancelled, or an advance() is at work: it may then come earlier.
  std::int64_t next_deadline_ns() const noexcept { return next_ns_.load(order::relaxed); }
  /// When a thread that has nothing else to do must wake, if it would rather not wake before
  /// `not_before_ns`: not before the next deadline, and late for nothing by more than an eighth of the time
  /// that it was armed for, or 1 ms.
  std::int64_t wake_ns(std::int64_t not_before_ns) const noexcept {
    const std::int64_t next = next_ns_.load(order::relaxed);
    if (next >= not_before_ns) return next;
    const std::int64_t latest = latest_ns_.load(order::relaxed);
    const std::int64_t wanted = not_before_ns < latest ? not_before_ns : latest;
    return wanted > next ? wanted : next;
  }
  /// How many are armed.
  std::uint64_t size() const noexcept { return size_.load(order::relaxed); }

 private:
  enum class armed : unsigned char { no, yes, sooner };
  armed insert(timer_entry& entry, std::int64_t deadline_ns) noexcept;
  void note_next() noexcept;
  void count(std::int64_t more) noexcept;
  static bool before(const timer_entry& a, const timer_entry& b) noexcept;
  static void merge(wheel::list& older, wheel::list& newer) noexcept;
  static void sort(wheel::list& due) noexcept;

  spin_lock lock_;
  std::uint32_t turns_ = 0;                   // under lock_: how often arm() was called
  wheel wheel_;                               // under lock_
  wheel::list backlog_;                       // under lock_: due, in order, and not fired yet
  atomic<std::int64_t> next_ns_{never_ns};    // written under lock_
  atomic<std::int64_t> latest_ns_{never_ns};  // written under lock_
  atomic<std::uint64_t> size_{0};             // written under lock_
  void (*told_)(void*) noexcept = nullptr;
  void* whom_ = nullptr;
};

}  // namespace weft
