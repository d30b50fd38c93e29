// Protocol: that of fork.cpp, with one more who stops
//   I1  fail() is called by a part that has not ended, so the awaiting job still waits, and all jobs
//       in wait_'s list live until fail() has returned (I2 of fork.cpp).
//   I2  All parts are in the list before the first begins, so fail() misses none.
//   I3  The wait begins before the first part does, and ends after it: it never ends at once.
//   P1  fail: error_, then the part's arrival (release)  ->  the end of the wait (acquire): error_.
#include "weft/together/branch_group.hpp"

#include "weft/base/assert.hpp"
#include "weft/task/current.hpp"
#include "weft/task/failures.hpp"

namespace weft::detail {

void branch_group::fail(std::exception_ptr error) noexcept {
  note_failure(error);
  if (failed_.exchange(true, order::relaxed)) return;
  error_ = std::move(error);
  wait_->ask_to_stop();  // I1. The caller's own job as well, which is at its end
}

bool branch_group::decide() noexcept {
  if (failed_.exchange(true, order::relaxed)) return false;
  wait_->ask_to_stop();  // I1
  return true;
}

void branch_group::prepare(promise_base& waiter, unsigned count) {
  this->promise().attach(waiter);
  wait_ = fork_wait::make(*this, count, *waiter.owner());
}

void branch_group::queue(fork_branch& part) noexcept {
  scheduler& to = home();
  to.schedule(part.make_job(to), wake_kind::spawned);
}

void branch_group::wait(forked_job& first) noexcept {
  constexpr std::uint8_t budget_units = 128;
  const auto started = wait_->start(this->promise(), this->handle());
  WEFT_ASSERT(started == fork_wait::start_result::suspended,
              "a branch_group's wait ended before its first part began");
  first.refill_budget(budget_units);
  exchange_current_job(&first);
}

std::coroutine_handle<> branch_group::resumed() noexcept {
  const bool some_stopped = wait_->collect();
  // A part was stopped because the awaiting job was, or because another part failed or won.
  if (some_stopped && !failed()) return unwind(parent());
  return parent().handle();
}

}  // namespace weft::detail
