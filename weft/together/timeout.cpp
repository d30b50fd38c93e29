// Protocol
//   Two parties look at the operation: the branch's end (joined) and the timer (fired). parties_
//   counts them, and the last one finishes the operation. A timer that was cancelled takes its
//   count with it.
//   I1  The branch's frame lives until the operation was finished and its owner dropped it: fired()
//       and withdraw() may stop it at any time before that.
//   I2  The outer job is reported as stopped only if the branch was, and not by the clock. What had
//       already happened is never reported as stopped.
//   P1  leave: fetch_sub (acq_rel)  ->  leave: fetch_sub (acq_rel): the first party's writes.
#include "weft/together/timeout.hpp"

#include "weft/base/time.hpp"
#include "weft/task/current.hpp"

namespace weft::detail {

std::coroutine_handle<> timeout_operation::start_branch(promise_base& waiter) noexcept {
  job& outer = *waiter.owner();
  scheduler& home = outer.home();
  armed_in_ = &home.timers();
  const std::int64_t due = base_ == from::now ? saturating_add_ns(home.now_ns(), ns_) : ns_;
  if (outer.arm(*this, waiter) == job::arm_result::stopped) return unwind(waiter);
  launched_ = true;
  wait_for_unlaunched();
  const bool armed = armed_in_->arm(*this, due);
  WEFT_ASSERT(armed, "the timer of a timeout was cancelled before it was armed");
  // The branch takes the place of the waiter on this worker, without going through a queue.
  branch_.set_stopped_by_owner();
  branch_.go_with(outer);
  home.enlist(branch_);
  branch_.refill_budget(128);
  exchange_current_job(&branch_);
  return branch_.start();
}

void timeout_operation::joined() noexcept {
  const bool cancelled = armed_in_->cancel(*this);
  leave(cancelled && !WEFT_MUTATE("timeout.cancelled.counts", false, true) ? 2 : 1);
}

void timeout_operation::fired(timer_entry& entry) noexcept {
  auto& self = static_cast<timeout_operation&>(entry);
  self.expired_.set(true);
  if (!WEFT_MUTATE("timeout.fired.stops_nobody", false, true)) self.branch_.stop();
  self.leave(1);
}

void timeout_operation::leave(std::uint32_t parties) noexcept {
  if (parties_.fetch_sub(parties, WEFT_MUTATE("timeout.leave.relaxed", order::acq_rel,
                                              order::relaxed)) != parties) {  // P1
    return;
  }
  finish(branch_.was_stopped && !WEFT_MUTATE("timeout.end.unasked", expired_.get(), false));  // I2
}

}  // namespace weft::detail
