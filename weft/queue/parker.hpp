// parker: where one thread sleeps until it is called. The place is either a futex or the wait of an
// I/O driver, and who calls learns what else it has to do.
//
//   Threads  park and its like: the one owner. unpark: any
//   Cost     unpark of a thread that is awake: one exchange, no system call
//   Memory   what happened before an unpark happens before the return of the park that it ended
//   After    std::thread's parker in Rust's library (three states), tokio's multi-thread park.rs
//            (the second place)
//
// Words
//   state_  EMPTY          awake, no call is pending
//           PARKED_FUTEX   about to sleep, or asleep, on this word
//           PARKED_DRIVER  about to sleep, or asleep, in the driver's wait
//           NOTIFIED       a call is pending: the next park returns at once and eats it
//           The owner writes EMPTY and PARKED_*, callers write NOTIFIED
// Invariants
//   I1  NOTIFIED goes away only through the owner's exchange or compare-exchange, and that park
//       returns
//   I2  the owner sleeps only after its own change from EMPTY to PARKED_*, and no caller changes
//       PARKED_* without waking that place afterwards
// Pairings
//   P1  state_ exchange, release (unpark) -> state_ exchange or compare-exchange, acquire (the park
//       that eats it): all that the caller did. Several callers form one release sequence
// Why no wake is lost
//   unpark before the change to PARKED_*: the change fails, and park returns.
//   unpark after it, before the sleep: the futex compares the word and does not sleep; the driver's
//     wake is remembered by its eventfd (or what it has) and ends the wait that comes.
//   unpark during the sleep: the wake ends it.
//   A sleep that ends for nothing: the futex looks at the word again; the driver's owner calls
//     end_park(), which tells whether anybody called.
// Rejected
//   One word for both places with the kind beside it: two words cannot be read as one by a caller
//   A count of calls in place of NOTIFIED: callers want one more look at the queues, not several
#pragma once

#include <cstdint>

#include "weft/base/assert.hpp"
#include "weft/base/atomic.hpp"
#include "weft/base/time.hpp"
#include "weft/os/futex.hpp"

namespace weft {

/// What the caller of unpark() has to do, or what was done.
enum class unparked {
  nothing_to_do,  // it was awake, or called already
  futex_woken,    // it slept on its futex and has been woken
  wake_driver,    // it sleeps in its driver: the caller now calls driver.wake()
};

/// What prepare_park() found.
enum class parking {
  may_sleep,  // the driver's wait may be entered; end_park() must follow
  notified,   // somebody called before: there is nothing to wait for
};

class parker {
 public:
  enum class place { futex, driver };

  parker() noexcept = default;
  parker(const parker&) = delete;
  parker& operator=(const parker&) = delete;

  /// Owner. Sleeps on the futex until called; returns at once if that has happened already.
  void park() noexcept { static_cast<void>(park_until(never_ns)); }
  /// Owner. Units: nanoseconds of the monotonic clock; never_ns for no deadline. Result: false if
  /// only the time ran out.
  [[nodiscard]] bool park_until(std::int64_t deadline_ns) noexcept;

  /// Owner. Tells callers where this thread is about to sleep. After may_sleep the owner waits
  /// there and then calls end_park().
  [[nodiscard]] parking prepare_park(place where) noexcept;
  /// Owner, awake again. Result: true if somebody called.
  [[nodiscard]] bool end_park() noexcept;

  /// Any thread. Afterwards the owner is awake, or wakes, or does not fall asleep, provided that
  /// the result is acted upon.
  [[nodiscard]] unparked unpark() noexcept;

 private:
  enum : std::uint32_t { EMPTY, PARKED_FUTEX, PARKED_DRIVER, NOTIFIED };
  atomic<std::uint32_t> state_{EMPTY};
};

// ---------------------------------------------------------------------------------------------

inline parking parker::prepare_park(place where) noexcept {
  const std::uint32_t parked = where == place::futex ? PARKED_FUTEX : PARKED_DRIVER;
  std::uint32_t state = EMPTY;
  if (WEFT_MUTATE("parker.prepare.blind", false, true)) {
    state_.store(parked, order::relaxed);
    return parking::may_sleep;
  }
  if (state_.compare_exchange(state, parked, order::relaxed, order::relaxed))
    return parking::may_sleep;
  WEFT_ASSERT(state == NOTIFIED, "a parker has one owner, and that one parks once at a time");
  // An exchange, for the callers that came since the comparison: their writes count, too.
  static_cast<void>(state_.exchange(
      EMPTY, WEFT_MUTATE("parker.prepare.relaxed", order::acquire, order::relaxed)));  // P1
  return parking::notified;
}

inline bool parker::end_park() noexcept {
  return state_.exchange(EMPTY, WEFT_MUTATE("parker.end.relaxed", order::acquire,
                                            order::relaxed)) == NOTIFIED;  // P1
}

inline bool parker::park_until(std::int64_t deadline_ns) noexcept {
  if (prepare_park(place::futex) == parking::notified) return true;
  for (;;) {
    const bool in_time = os::futex_wait(state_, PARKED_FUTEX, deadline_ns);
    std::uint32_t state = NOTIFIED;
    if (state_.compare_exchange(
            state, EMPTY, WEFT_MUTATE("parker.park.relaxed", order::acquire, order::relaxed),  // P1
            order::relaxed)) {
      return true;
    }
    // A call may come between the time-out and here; the exchange decides, and does not lose it.
    if (!in_time && WEFT_MUTATE("parker.park.time_out_forgets", false, true)) {
      state_.store(EMPTY, order::relaxed);
      return false;
    }
    if (!in_time) return end_park();
    if (WEFT_MUTATE("parker.park.believes_the_futex", false, true)) return true;
  }
}

inline unparked parker::unpark() noexcept {
  switch (state_.exchange(
      NOTIFIED, WEFT_MUTATE("parker.unpark.relaxed", order::release, order::relaxed))) {  // P1
    case PARKED_FUTEX:
      // The owner may be awake and this object gone by now: the kernel takes the address as a name.
      if (WEFT_MUTATE("parker.unpark.no_wake", true, false)) os::futex_wake(state_, 1);
      return unparked::futex_woken;
    case PARKED_DRIVER:
      return unparked::wake_driver;
    default:
      return unparked::nothing_to_do;
  }
}

}  // namespace weft
