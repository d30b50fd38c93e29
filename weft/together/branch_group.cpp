// Protocol: that of fork.cpp, with one more who stops
//   I1  fail() is called by a part that has not ended, so the awaiting job still waits, and all jobs
//       in wait_'s list live until fail() has returned (I2 of fork.cpp).
//   I2  All parts are in the list before the first begins, so fail() misses none.
//   I3  The wait begins before the first part does, and ends after it: it never ends at once.
//   I4  All parts have their jobs before the first begins: without memory for one, none does.
//   P1  fail: error_, then the part's arrival (release)  ->  the end of the wait (acquire): error_.
//       So failed_ orders nothing: it only says who was the first.
#include "weft/together/branch_group.hpp"

#include "weft/base/assert.hpp"
#include "weft/task/current.hpp"
#include "weft/task/failures.hpp"

namespace weft::detail {

void branch_group::fail(std::exception_ptr error) noexcept {
  note_failure(error);
  if (!is_first()) return;
  error_ = std::move(error);
  if (WEFT_MUTATE("branch_group.fail.stops_nobody", false, true)) return;
  wait_->ask_to_stop();  // I1. The caller's own job as well, which is at its end
}

bool branch_group::is_first() noexcept {
  if (WEFT_MUTATE("branch_group.first.two", false, true)) {
    const bool first = !failed_.load(order::relaxed);
    failed_.store(true, order::relaxed);
    return first;
  }
  return !failed_.exchange(true, order::relaxed);
}

bool branch_group::decide() noexcept {
  if (!is_first()) return false;
  if (WEFT_MUTATE("branch_group.won.stops_nobody", false, true)) return true;
  wait_->ask_to_stop();  // I1
  return true;
}

void branch_group::prepare(promise_base& waiter, unsigned count) {
  this->promise().attach(waiter);
  wait_ = fork_wait::make(*this, count, *waiter.owner());
}

void branch_group::add(fork_branch& part, jobs& to) {
  to.made_.push(part.make_job(home()));
  wait_->add(part);
}

forked_job& branch_group::begin(jobs& all) noexcept {
  constexpr std::uint8_t budget_units = 128;
  auto& first = static_cast<forked_job&>(*all.made_.pop());
  scheduler& to = home();
  while (!all.made_.empty()) to.schedule(*all.made_.pop(), wake_kind::spawned);
  const auto started = wait_->start(this->promise(), this->handle());
  WEFT_ASSERT(started == fork_wait::start_result::suspended,
              "a branch_group's wait ended before its first part began");
  first.refill_budget(budget_units);
  exchange_current_job(&first);
  return first;
}

std::coroutine_handle<> branch_group::resumed() noexcept {
  const bool some_stopped = wait_->collect();
  // A part was stopped because the awaiting job was, or because another part failed or won.
  if (some_stopped && !WEFT_MUTATE("branch_group.end.unasked", failed(), false)) {
    return unwind(parent());
  }
  return parent().handle();
}

}  // namespace weft::detail
