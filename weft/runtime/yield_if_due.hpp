// yield_if_due: for what computes long and shares its worker: gives way when somebody wants it to.
//
//   for (const auto& row : rows) {
//     add_up(row);
//     co_await yield_if_due();                // await(yield_if_due()) in a fiber
//   }
//
//   Cost    6 ns in a fiber while nobody asks; should_yield() alone is two relaxed loads, 0.5 ns
//   Cancel  a stop ends the job here, as in yield_now(), also where nobody asks
#pragma once

#include "weft/runtime/time.hpp"
#include "weft/task/fork.hpp"

namespace weft {

namespace this_task {

/// Whether the running job has been on its worker for too long, and should give way at the next opportunity.
/// False outside of a job, and where nobody looks how long jobs take (preemptible.hpp, Limits). In a function
/// that is left while it asks, for another thread, it may give the answer for the thread before.
WEFT_ALWAYS_INLINE bool should_yield() noexcept {
  const detail::fork_port* const port = detail::this_thread_state().port;
  return port != nullptr && port->current_turn.is_to_end();
}

}  // namespace this_task

class yield_if_due_operation final : public awaitable_operation<yield_if_due_operation> {
 public:
  yield_if_due_operation() noexcept {}
  bool await_ready() const noexcept { return !this_task::should_yield() && !is_to_stop(); }
  std::coroutine_handle<> start(promise_base& waiter) noexcept;
  void withdraw() noexcept override {}
  const char* what() const noexcept override { return "yield"; }
  void await_resume() const noexcept {}

 private:
  // Not inlined: it may stand in a function that is left at any instruction, for another thread.
  static bool is_to_stop() noexcept;
};

/// yield_now() if this_task::should_yield(), else nothing. A stop ends the job here.
[[nodiscard("co_await it")]] inline yield_if_due_operation yield_if_due() noexcept {
  return yield_if_due_operation();
}

}  // namespace weft
