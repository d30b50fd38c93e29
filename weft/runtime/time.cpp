#include "weft/runtime/time.hpp"

#include "weft/base/assert.hpp"
#include "weft/os/clock.hpp"
#include "weft/runtime/yield_if_due.hpp"
#include "weft/task/current.hpp"

namespace weft {

sleep_operation::sleep_operation(from base, std::int64_t ns) noexcept
    : timer_entry(&fired), armed_in_(static_cast<std::uintptr_t>(base)), ns_(ns) {}

std::coroutine_handle<> sleep_operation::start(promise_base& waiter) noexcept {
  job& owner = *waiter.owner();
  scheduler& home = owner.home();
  const std::int64_t now = home.now_ns();
  const std::int64_t due = base() == from::now ? saturating_add_ns(now, ns_) : ns_;
  if (due <= now) {
    if (owner.stop_requested() && !owner.shielded()) return unwind(waiter);
    owner.yield_in(*this, waiter);
    return std::noop_coroutine();
  }
  timer_set& timers = home.timers();
  armed_in_ = reinterpret_cast<std::uintptr_t>(&timers) | static_cast<std::uintptr_t>(base());
  reuse();  // the object may be awaited again
  if (owner.arm(*this, waiter) == job::arm_result::stopped) return unwind(waiter);
  // False: a stop found the timer not armed yet, and leaves the answer to us.
  if (!timers.arm(*this, due)) finish(true);
  return std::noop_coroutine();
}

void sleep_operation::withdraw() noexcept {
  if (armed_in().cancel(*this)) finish(true);
}

void sleep_operation::fired(timer_entry& entry) noexcept {
  static_cast<sleep_operation&>(entry).finish(false);
}

namespace {

std::coroutine_handle<> start_yield(operation& op, promise_base& waiter) noexcept {
  job& owner = *waiter.owner();
  if (owner.stop_requested() && !owner.shielded()) return unwind(waiter);
  if (owner.home().goes_on(owner)) return waiter.handle();
  owner.yield_in(op, waiter);
  return std::noop_coroutine();
}

}  // namespace

std::coroutine_handle<> yield_operation::start(promise_base& waiter) noexcept {
  return start_yield(*this, waiter);
}

bool yield_if_due_operation::is_to_stop() noexcept {
  const job* const running = current_job();
  return running != nullptr && running->stop_requested() && !running->shielded();
}

std::coroutine_handle<> yield_if_due_operation::start(promise_base& waiter) noexcept {
  return start_yield(*this, waiter);
}

std::chrono::steady_clock::time_point now() noexcept {
  job* const running = current_job();
  const std::int64_t ns = running != nullptr ? running->home().now_ns() : os::monotonic_ns();
  return std::chrono::steady_clock::time_point(std::chrono::nanoseconds(ns));
}

}  // namespace weft
