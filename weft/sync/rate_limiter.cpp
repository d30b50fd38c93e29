// Protocol
//   list_'s state   nobody_first | somebody_first: a waiter has left the list and waits for the clock, or
//                   is on its way there; only it, and whom it lets in, may take tokens
//   bucket_         by whoever holds the list
//
//   I1  While somebody is first, nobody else takes tokens or becomes first. So what it needs is there at
//       the moment that it has reckoned, and its timer need never be moved.
//   I2  Who is first ceases to be so once: by its timer, by a stop that took the timer back, or because
//       it found a stop, or enough tokens, before the timer was armed. It then lets in whom tokens are
//       there for and names the next one first, or leaves nobody_first.
//   I3  Tokens are given back by who was given them and did not use them (a select that went elsewhere):
//       there are more then, so I1 holds; a timer that runs is not moved.
//   I4  Who is named first is woken and arms a timer of its own, in its own scheduler: limiters may be
//       shared by several runtimes, and a timer may be armed only by a thread that looks at it.
//
// A stop and the timer meet in timer_set::cancel(), as in a sleep. Rejected: a timer for each waiter (a
// stopped one would have to move those behind it, on other workers); moments given out on arrival
// (the same, or what was reserved for a stopped one is lost).
#include "weft/sync/rate_limiter.hpp"

#include <algorithm>

#include "weft/base/assert.hpp"
#include "weft/task/current.hpp"

namespace weft {
namespace {

job& running_job() noexcept {
  job* const me = current_job();
  WEFT_ASSERT(me != nullptr, "a rate_limiter was asked outside of a job, where there is no clock");
  return *me;
}

}  // namespace

bool rate_limiter::take_if_free(wait_list::hold& held, const job& me, std::size_t n) noexcept {
  if (WEFT_MUTATE("rate_limiter.first.overtaken", held.state() != nobody_first, false) ||
      !held.empty()) {
    return false;
  }
  bucket_.refill(me.home().now_ns());
  return bucket_.take(n);
}

/// The first one is no longer. True: there may be more to let in, after a breath.
bool rate_limiter::next_in_line(wait_list::hold& held, wait_list::list& taken) noexcept {
  for (unsigned n = 0; n < wait_list::batch_max; ++n) {
    if (held.empty()) {
      held.set(nobody_first);
      return false;
    }
    auto& next = static_cast<turn&>(held.front());
    next.served_ = bucket_.take(next.n_);
    static_cast<void>(held.take_front(taken));  // none is of a select: takes_claim
    if (!next.served_) return false;            // it is first now
  }
  return true;
}

void rate_limiter::leave_first(bool more, wait_list::list& taken) noexcept {
  while (more) {  // whom it took is not awake yet, so the limiter is still there
    wait_list::hold held(list_);
    more = next_in_line(held, taken);
  }
}

/// Who is first goes by its timer, and is served then (I1: there is more than it has reckoned with, not
/// less). While nobody is, nobody waits.
void rate_limiter::put_back(std::size_t n) noexcept {
  const wait_list::hold held(list_);
  bucket_.put_back(WEFT_MUTATE("rate_limiter.undo.forgotten", n, n - n));
}

bool rate_limiter::try_acquire(std::size_t n) noexcept {
  check(n);
  const job& me = running_job();
  wait_list::hold held(list_);
  return take_if_free(held, me, n);
}

std::size_t rate_limiter::available() noexcept {
  const std::int64_t now_ns = running_job().home().now_ns();
  const wait_list::hold held(list_);
  bucket_.refill(now_ns);
  return bucket_.level();
}

bool rate_limiter::turn::try_now(job& me) noexcept {
  if (wait_list::is_crowded(limiter_.list_.load(order::relaxed))) return false;
  wait_list::hold held(limiter_.list_);
  return served_ = limiter_.take_if_free(held, me, n_);
}

bool rate_limiter::turn::take(wait_list::hold& held, job& me, wait_list::list&) noexcept {
  if (WEFT_MUTATE("rate_limiter.two_are_first", held.state() != nobody_first, false) ||
      !held.empty()) {
    return false;
  }
  served_ = limiter_.take_if_free(held, me, n_);
  if (!served_) held.set(somebody_first);
  return true;
}

std::coroutine_handle<> rate_limiter::clock_wait::start(promise_base& who) noexcept {
  job& me = *who.owner();
  if (detail::sees_stop(me)) {
    give_up();
    return unwind(who);
  }
  rate_limiter& limiter = turn_.limiter_;
  wait_list::list taken;
  bool more = false;
  {
    wait_list::hold held(limiter.list_);
    limiter.bucket_.refill(me.home().now_ns());
    turn_.served_ = limiter.bucket_.take(turn_.n_);
    if (turn_.served_) {
      more = limiter.next_in_line(held, taken);
    } else {
      due_ns_ = limiter.bucket_.due_ns(turn_.n_);
    }
  }
  if (turn_.served_) {
    limiter.leave_first(more, taken);
    wait_list::wake(taken);
    return who.handle();
  }
  armed_in_ = &me.home().timers();
  if (me.arm(*this, who) == job::arm_result::stopped) {
    give_up();
    return unwind(who);
  }
  // False: a stop found the timer not armed yet, and leaves the answer to us.
  if (!armed_in_->arm(*this, due_ns_) &&
      WEFT_MUTATE("rate_limiter.early_stop.forgotten", true, false)) {
    give_up();
    finish(true);
  }
  return std::noop_coroutine();
}

void rate_limiter::clock_wait::withdraw() noexcept {
  const bool was_armed = armed_in_->cancel(*this);
  if (!WEFT_MUTATE("rate_limiter.stop.asks_nobody", was_armed, true)) return;
  give_up();
  finish(true);
}

/// It takes nothing, and is first no longer.
void rate_limiter::clock_wait::give_up() noexcept {
  rate_limiter& limiter = turn_.limiter_;
  wait_list::list taken;
  limiter.leave_first(WEFT_MUTATE("rate_limiter.give_up.names_nobody", true, false), taken);
  wait_list::wake(taken);
}

void rate_limiter::clock_wait::fired(timer_entry& entry) noexcept {
  auto& self = static_cast<clock_wait&>(entry);
  turn& who = self.turn_;
  rate_limiter& limiter = who.limiter_;
  wait_list::list taken;
  bool more = false;
  {
    wait_list::hold held(limiter.list_);
    limiter.bucket_.refill(std::max(self.due_ns_, self.owner()->home().now_ns()));
    who.served_ = limiter.bucket_.take(who.n_);
    WEFT_ASSERT(who.served_, "the first in a rate_limiter's line was overtaken");  // I1
    more = WEFT_MUTATE("rate_limiter.fired.names_nobody", true, false) &&
           limiter.next_in_line(held, taken);
  }
  limiter.leave_first(more, taken);
  self.finish(false);
  wait_list::wake(taken);  // by itself: the limiter is there while they wait, and is not asked
}

}  // namespace weft
