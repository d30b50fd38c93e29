// Protocol
//
// state_  of a waiter, under its lock
//         idle     it waits in no line: before, and between arm() and the look
//         asked    a stopper came in between. By withdraw(); the waiter answers it
//         in_line  it stands in a line
//         done     the look was enough: there was no wait. Or its stopper took it out
//         answered it found `asked`, and ends as stopped
//         taken    a taker owns it, fills it and wakes it
//         dropped  it was found in line after its select had been decided elsewhere; its stopper, who
//                  is on the way, ends it
//
//   I1  A waiter is in a line if and only if it is `in_line`. Who takes it out (a taker, or its
//       stopper) ends it, so it ends once; both do that under the lock.
//   I2  look() and the joining of the line are one hold of the lock, so whoever changes the state
//       later finds it there: no wake is lost.
//   I3  The job is armed before the look, so a stop that comes later finds the operation; and nothing
//       is taken for a job that was stopped earlier, because arm() then fails.
//   I4  A stopper that finds `idle` leaves `asked`; the waiter then looks at nothing and answers. One
//       that finds `done` or `taken` does nothing: completion wins.
//   I5  To unlock is the adder's last access, and a taker's last to all but the waiter that it wakes.
//
// Orderings
//   Everything by the lock: P1 of spin_lock. What a taker fills in is carried by schedule().
//
// Rejected: wait_queue, whose rule (change, then look; publish, then look) does not take a message
// and a place in one step, so that a newcomer could overtake the line between a wake and its effect.
#include "weft/channel/line.hpp"

#include "weft/base/assert.hpp"

namespace weft::detail {
namespace {

// How long who finds the lock taken stays away, in pauses (some 15 to 55 ns each), doubling. Four senders
// and four receivers on two workers, ns a message: first 4: 32, 8: 27, 24: 23, 64: 22. The checker counts
// steps, not time.
constexpr unsigned pauses_first = WEFT_MODEL ? 1 : 32;
constexpr unsigned pauses_max =
    WEFT_MODEL ? 1 : 128;  // then its holder is asleep, more likely than not

}  // namespace

WEFT_NOINLINE void lock_when_free(spin_lock& taken) noexcept {
  unsigned pauses = pauses_first;
  do {
    if (pauses > pauses_max) {
      spin_wait_yield();
      continue;
    }
    for (unsigned i = 0; i < pauses; ++i) cpu_pause();
    pauses += WEFT_MODEL ? 0 : pauses;
  } while (!taken.try_lock());
}

WEFT_NOINLINE std::coroutine_handle<> line_waiter::end_here(promise_base& who,
                                                            line_waiter* woken) noexcept {
  if (woken != nullptr) woken->wake();
  if (state_.get() == state::answered) {
    finish(true);  // I4: nothing has happened
    return std::noop_coroutine();
  }
  if (owner()->disarm(*this) == job::disarm_result::disarmed) return ready_at_once(*this, who);
  finish(WEFT_MUTATE("line.done.reported_as_stopped", false, true));  // I4: completion came first
  return std::noop_coroutine();
}

void line_waiter::withdraw() noexcept {
  {
    const patient_guard guard(lock_);
    switch (state_.get()) {
      case state::idle:
        return state_.set(state::asked);
      case state::asked:
      case state::done:
      case state::answered:
      case state::taken:
        if (WEFT_MUTATE("line.taken.stopped_too", false, state_.get() == state::taken)) break;
        return;
      case state::in_line:
        unlink();
        [[fallthrough]];
      case state::dropped:
        state_.set(state::done);
        break;
    }
  }
  finish(true);
}

}  // namespace weft::detail
