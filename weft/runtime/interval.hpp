// interval: a tick at each full period, for as long as one likes.
//
//   weft::interval every(1s);
//   for (;;) {
//     co_await every.tick();                 // the first one at once
//     report();
//   }
//
// Ticks are due at the start, and every period after it, however long what is between them takes.
//
//   Threads   one job at a time
//   Missed    who comes late by a period or more has missed ticks: what then, missed_tick says
//   Cancel    a stopped or timed-out tick() was not taken; the next one gives it
//   Cost      that of sleep_until(); a tick that is overdue gives way to the other jobs once
//   After     tokio::time::interval
#pragma once

#include <chrono>

#include "weft/runtime/time.hpp"

namespace weft {

enum class missed_tick : std::uint8_t {
  burst,  // each is made up for, one after the other, until none is overdue
  delay,  // from the late one on, a period from each tick to the next: the beat moves
  skip,   // left out; the next one is on the beat again
};

class interval {
 public:
  class ticking;
  using time_point = std::chrono::steady_clock::time_point;

  /// `period` > 0. The first tick is due when tick() is awaited for the first time.
  template <class Rep, class Period>
  explicit interval(std::chrono::duration<Rep, Period> period,
                    missed_tick late = missed_tick::burst)
      : interval(never_begun, from_chrono(period), late) {}
  /// The first tick is due at `first`.
  template <class Rep, class Period>
  interval(time_point first, std::chrono::duration<Rep, Period> period,
           missed_tick late = missed_tick::burst)
      : interval(from_chrono(first.time_since_epoch()), from_chrono(period), late) {}

  /// Waits for the next tick. Result: the moment at which it was due.
  [[nodiscard("co_await it")]] ticking tick() noexcept;
  /// The next tick is due a period from now, whatever was due before. In a job.
  void reset() noexcept { due_ns_ = saturating_add_ns(now_ns(), period_ns_); }
  std::chrono::nanoseconds period() const noexcept { return std::chrono::nanoseconds(period_ns_); }

 private:
  static constexpr std::int64_t never_begun = INT64_MIN;
  interval(std::int64_t first_ns, std::int64_t period_ns, missed_tick late);
  static std::int64_t now_ns() noexcept { return now().time_since_epoch().count(); }
  std::int64_t due_ns() noexcept {
    if (due_ns_ == never_begun) due_ns_ = now_ns();
    return due_ns_;
  }
  void take() noexcept;

  std::int64_t due_ns_;
  std::int64_t period_ns_;
  missed_tick late_;
};

class [[nodiscard]] interval::ticking {
 public:
  explicit ticking(interval& of) noexcept
      : of_(of), sleep_(sleep_operation::from::epoch, of.due_ns()) {}
  bool await_ready() const noexcept { return sleep_.await_ready(); }
  template <class P>
  std::coroutine_handle<> await_suspend(std::coroutine_handle<P> waiter) noexcept {
    return sleep_.await_suspend(waiter);
  }
  time_point await_resume() noexcept {
    const time_point due{std::chrono::nanoseconds(of_.due_ns_)};
    of_.take();
    return due;
  }

 private:
  interval& of_;
  sleep_operation sleep_;
};

inline interval::ticking interval::tick() noexcept { return ticking(*this); }

}  // namespace weft
