#include "weft/together/stream_operators.hpp"

#include "weft/task/current.hpp"

namespace weft::detail {

// The protocol is that of sleep_operation.
std::coroutine_handle<> moment_operation::start(promise_base& waiter) noexcept {
  job& owner = *waiter.owner();
  armed_in_ = &owner.home().timers();
  if (owner.arm(*this, waiter) == job::arm_result::stopped) return unwind(waiter);
  // False: a stop found the timer not armed yet, and leaves the answer to us.
  if (!armed_in_->arm(*this, due_ns_)) finish(true);
  return std::noop_coroutine();
}

void moment_operation::withdraw() noexcept {
  if (armed_in_->cancel(*this)) finish(true);
}

void moment_operation::fired(timer_entry& entry) noexcept {
  static_cast<moment_operation&>(entry).finish(false);
}

std::int64_t moment_operation::now_ns() noexcept { return current_job()->home().now_ns(); }

}  // namespace weft::detail
