// watch_rest: the sleep of whoever watches the workers: for as long as all of them rest, and ended
// by the first that gets up.
//
//   Threads  one watcher; got_up: any worker that gets up; end: whoever ends the runtime, once
//   Cost     got_up: a fence and a load, beside a wake from a futex or the kernel's wait
//
// Words
//   state_  AWAKE | ASLEEP | ENDED. AWAKE -> ASLEEP by the watcher, ASLEEP -> AWAKE by it or by the
//           worker that wakes it, also when its time is over; ENDED stays
//   A worker's mark that it rests is its own word, 0 before it calls got_up().
// Pairings
//   P1  got_up: mark = 0, fence, load of state_  ||  sleep_while: state_ = ASLEEP, fence, load of
//       the marks: both fences are seq_cst, so either the worker sees a sleeper and wakes it, or
//       the watcher sees that somebody is up and does not sleep. Nothing else is carried.
// Rejected
//   A load without the fence, as on the way to a job: it may come before the store of the mark
//   A wake by whoever unparks a worker: that is the hot side, and a timer's wake has no such one
#pragma once

#include <cstdint>

#include "weft/base/atomic.hpp"
#include "weft/base/time.hpp"
#include "weft/os/futex.hpp"

namespace weft::detail {

class watch_rest {
 public:
  watch_rest() noexcept = default;
  watch_rest(const watch_rest&) = delete;
  watch_rest& operator=(const watch_rest&) = delete;

  /// By a worker that has lowered its mark.
  void got_up() noexcept {
    if (WEFT_MUTATE("watch_rest.got_up.no_fence", true, false)) fence(order::seq_cst);  // P1
    if (WEFT_UNLIKELY(state_.load(order::relaxed) == ASLEEP)) wake();
  }

  /// By the watcher. Until `deadline_ns`, or the end.
  void pause_until(std::int64_t deadline_ns) noexcept {
    static_cast<void>(os::futex_wait(state_, AWAKE, deadline_ns));
  }
  /// By the watcher. Sleeps until somebody gets up, unless one is up: `all_rest` reads the marks. No longer than until
  /// `deadline_ns`.
  template <class AllRest>
  void sleep_while(AllRest all_rest, std::int64_t deadline_ns = never_ns) noexcept {
    std::uint32_t seen = AWAKE;
    if (!state_.compare_exchange(seen, ASLEEP, order::relaxed, order::relaxed)) return;
    if (WEFT_MUTATE("watch_rest.sleep.no_fence", true, false)) fence(order::seq_cst);  // P1
    bool sleeps = all_rest();
    while (sleeps && state_.load(order::relaxed) == ASLEEP) {
      sleeps = os::futex_wait(state_, ASLEEP, deadline_ns);
    }
    seen = ASLEEP;  // still, if it was nobody else that ended it
    state_.compare_exchange(seen, AWAKE, order::relaxed, order::relaxed);
  }

  void end() noexcept {
    state_.store(ENDED, order::relaxed);
    os::futex_wake(state_, 1);
  }
  bool ended() const noexcept { return state_.load(order::relaxed) == ENDED; }

 private:
  enum : std::uint32_t { AWAKE, ASLEEP, ENDED };

  WEFT_NOINLINE void wake() noexcept {
    std::uint32_t seen = ASLEEP;
    if (state_.compare_exchange(seen, AWAKE, order::relaxed, order::relaxed)) {
      os::futex_wake(state_, 1);
    }
  }

  atomic<std::uint32_t> state_{AWAKE};
};

}  // namespace weft::detail
