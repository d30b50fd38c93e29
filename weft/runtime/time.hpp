// time: waiting for a moment.
//
//   Cost    O(1), no allocation: the timer lives in the waiting frame
//   Units   nanoseconds; woken never early. Late by scheduling, and among many timers by an eighth of the
//           wait or 1 ms, whichever is less, so that they share a wake; exact on a virtual clock
//   Clock   monotonic: it stands still while the machine is suspended
//   Cancel  lossless: the timer is taken back at once
#pragma once

#include <chrono>
#include <cstdint>

#include "weft/base/chrono.hpp"
#include "weft/task/promise.hpp"
#include "weft/timer/timer_set.hpp"

namespace weft {

class sleep_operation final : public awaitable_operation<sleep_operation>, private timer_entry {
 public:
  enum class from : std::uint8_t { now, epoch };
  sleep_operation(from base, std::int64_t ns) noexcept;
  std::coroutine_handle<> start(promise_base& waiter) noexcept;
  void withdraw() noexcept override;
  const char* what() const noexcept override { return "sleep"; }
  void await_resume() const noexcept {}

 private:
  static void fired(timer_entry& entry) noexcept;
  timer_set& armed_in() const noexcept {
    return *reinterpret_cast<timer_set*>(armed_in_ & ~std::uintptr_t{1});
  }
  from base() const noexcept { return static_cast<from>(armed_in_ & 1); }

  std::uintptr_t armed_in_;  // an address, and `from` in the lowest bit: it has to be small
  std::int64_t ns_;
};

/// Waits for a while; a negative or zero wait gives way to the other jobs once.
template <class Rep, class Period>
[[nodiscard("co_await it")]] sleep_operation sleep_for(std::chrono::duration<Rep, Period> d) noexcept {
  return sleep_operation(sleep_operation::from::now, from_chrono(d));
}

/// Waits until a moment of the monotonic clock.
[[nodiscard("co_await it")]] inline sleep_operation sleep_until(
    std::chrono::steady_clock::time_point moment) noexcept {
  return sleep_operation(sleep_operation::from::epoch, from_chrono(moment.time_since_epoch()));
}

/// Gives way to the other jobs, once. A stop ends the job here.
class yield_operation final : public awaitable_operation<yield_operation> {
 public:
  yield_operation() noexcept {}
  std::coroutine_handle<> start(promise_base& waiter) noexcept;
  void withdraw() noexcept override {}
  const char* what() const noexcept override { return "yield"; }
  void await_resume() const noexcept {}
};
[[nodiscard("co_await it")]] inline yield_operation yield_now() noexcept { return yield_operation(); }

/// The moment now on the clock that the running job's timers go by (virtual in a test).
std::chrono::steady_clock::time_point now() noexcept;

}  // namespace weft
