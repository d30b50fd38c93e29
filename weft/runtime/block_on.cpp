// Orderings
//   P1  schedule: arrivals_ up (release)  ->  run_until: load (acquire). The queue is under its lock;
//       the count is read before the queue is looked at, so a push after the look changes the word
//       that the thread would sleep on.
// A job is run, enlisted and retired by this thread alone, as only this thread runs jobs of it;
// schedule() comes from anywhere.
#include "weft/runtime/block_on.hpp"

#include <cstdlib>

#include "weft/base/assert.hpp"
#include "weft/base/time.hpp"
#include "weft/os/futex.hpp"
#include "weft/task/current.hpp"
#include "weft/task/panic.hpp"
#include "weft/task/stop_watch.hpp"

namespace weft::detail {

thread_executor::~thread_executor() {
  alive_.end();
  WEFT_ASSERT(jobs_.left() == 0, "a thread's executor ended with jobs alive");
}

void thread_executor::schedule(job& ready, wake_kind) noexcept {
  {
    // The job may run and end as soon as it is in the queue: so the word is changed under the lock,
    // which run_until() takes once more before it lets the executor go.
    spin_guard guard(lock_);
    ready_.push(ready);
    arrivals_.fetch_add(1, order::release);  // P1
  }
  os::futex_wake(arrivals_, 1);  // by its address alone: the executor may be gone
}

void thread_executor::enlist(job& made) noexcept { jobs_.add(jobs_.of(0), made); }

bool thread_executor::retire(job& ended, bool (*hand_over)(job&) noexcept) noexcept {
  detail::stop_watches.forget(ended);
  jobs_.remove(jobs_.of(0), ended);
  const bool answer = hand_over(ended);
  static_cast<void>(jobs_.retired(jobs_.of(0)));
  return answer;
}

void thread_executor::panicked(job& ended, std::exception_ptr error) noexcept {
  if (jobs_.stopping() && is_end_of_stopped(error)) return;
  print_panic(ended, error);
  std::abort();
}

job* thread_executor::next() noexcept {
  spin_guard guard(lock_);
  return ready_.pop();
}

void thread_executor::run_until(join_state& awaited) noexcept {
  constexpr std::uint16_t budget_units = 128;
  job* const outer = exchange_current_job(nullptr);
  while (jobs_.left() != 0) {
    if (!jobs_.stopping() && awaited.done()) jobs_.stop_all();
    const std::uint32_t seen = arrivals_.load(order::acquire);  // P1
    job* const ready = next();
    if (ready == nullptr) {
      static_cast<void>(os::futex_wait(arrivals_, seen, never_ns));
      continue;
    }
    ready->refill_budget(budget_units);
    exchange_current_job(ready);
    ready->run();
    exchange_current_job(nullptr);
  }
  exchange_current_job(outer);
  spin_guard last_waker_has_left(lock_);
}

}  // namespace weft::detail
