// Protocol
//
// The state in the word of list_:   overtakes << 2 | called | taken
//   taken      somebody has the lock
//   called     a waiter was taken from the list and woken without having the lock. It is on its way to
//              take it, and is the oldest still: if it comes in vain, it goes back to the front
//   overtakes  how often somebody who had not waited locked since the last one who had; only
//              counted while somebody waits or is called
//
//   I1  Free, and somebody is in the list: one is called. So whoever frees it for waiters calls the
//       first of them, unless one is called already; and who was called and leaves, because of a
//       stop, calls the next one, or leaves that to the owner.
//   I2  At most one is called, and nobody but that one ends it.
//   I3  With overtakes_max overtakes only one who was called, or is in front, can lock: the lock is
//       handed over to that one, or stays free until the one that was called has come.
//   I4  Who was called and came in vain while the lock was taken is handed it by the next unlock.
//   I5  An unlock takes `taken` away before it knows what stands beside it. If nothing does, or one is
//       called, that was all. Else the lock is still that owner's, who goes on under the hold: nobody
//       takes a word without `taken` and `called` that is not free and calm, and whoever leaves the
//       list so puts `taken` back. (So nobody can destroy it meanwhile.) If somebody held the list at
//       that moment, the end of the hold has put `taken` back.
//
// Orderings
//   P1  unlock: subtraction (release), or the end of a hold  ->  take: CAS (acquire), or the begin of
//       one: what the mutex guards. Other writers of the word in between are read-modify-writes or
//       holds.
//
// No wake is lost: an unlock either calls or hands over, or somebody is called, and comes (I1). Who
// is called sees the lock free, or taken by one whose unlock comes after the hold in which it has
// gone back to the list.
//
// Why not strict hand-over: the lock would be taken by a job that does not run yet, all who run would find
// it so and wait, too, and from then on each section would cost a turn of the scheduler.
//
// Rejected
//   To spin before waiting, or when called: no gain with sections of some ns, in which most of the time
//   goes to one worker's jobs; and each look takes the line from the owner.
//   A bound in time, as Go has it: a clock would be read for each wait. Who runs on is bounded by its
//   budget, and who keeps the lock for long by I4.
//   Another bound. 64 tasks on two workers, ns a lock: 8 overtakes 19.5, 16 16.9, 32 15.3, 64 14.7;
//   strict hand-over 51.6.
//   To look before the first compare-exchange, which fails where others wait: 15.8 instead of 16.9 (with
//   16), but 0.1 ns more where nobody does.
#include "weft/sync/mutex.hpp"

namespace weft {

bool mutex::take_beside(word seen, job* me) noexcept {
  while (!wait_list::is_held(seen) && may_take(seen)) {
    const word state = wait_list::state_of(seen);
    const bool others_wait = wait_list::is_crowded(seen) || (state & called) != 0;
    if (list_.change_beside(
            seen, taken_from(state, others_wait),
            WEFT_MUTATE("mutex.take_beside.relaxed", order::acquire, order::relaxed))) {  // P1
      taken_by_.store(me, order::relaxed);
      return true;
    }
  }
  return false;
}

void mutex::unlock_beside(word seen) noexcept {
  const bool had_effect =
      WEFT_MUTATE("mutex.unlock.hold_forgotten", !wait_list::is_held(seen), true);
  if (had_effect && (wait_list::state_of(seen) & called) != 0) return;  // that was the last access
  wait_list::list next;
  unlock_to(next);  // I5
  wait_list::wake(next);
}

void mutex::unlock_to(wait_list::list& next) noexcept {
  wait_list::hold held(list_);
  const word state = held.state() & ~taken;
  taken_by_.store(nullptr, order::relaxed);
  if ((state & called) != 0) {
    held.set(state);
  } else {
    pass_on(held, state, next);
  }
}

/// It is free, and nobody is called.
void mutex::pass_on(wait_list::hold& held, word state, wait_list::list& next) noexcept {
  while (!held.empty()) {
    auto& first = static_cast<locking&>(held.front());
    const bool selects = detail::claiming_job::from(*first.owner()) != nullptr;
    // One of a select is not called: it would have won before it has the lock.
    first.owns_ = selects || overtakes_in(state) >= overtakes_limit;
    if (!held.take_front(next)) continue;  // its select is over
    if (!first.owns_) return held.set(state | called);
    // It stays locked: for that one. Of a select it is not known who will hold it.
    taken_by_.store(selects ? nullptr : first.owner(), order::relaxed);
    held.set(WEFT_MUTATE("mutex.hand_over.frees_it", taken, free_state));
    return;
  }
  held.set(free_state);  // somebody only had a look, or has been stopped
}

bool mutex::locking::left(wait_list::hold& held, wait_list::list& next) noexcept {
  static_cast<void>(next);
  const bool owned = is_being_unlocked(held.found());  // else the last one to leave would free it
  if (WEFT_MUTATE("mutex.left.frees_it", owned, false)) held.set(held.state() | taken);  // I5
  return false;
}

/// Its job runs again, after it was taken from the list.
std::coroutine_handle<> mutex::locking::woken(promise_base& who) noexcept {
  if (owns_) return who.handle();
  wait_list::list next;
  switch (came_up(who, next)) {  // With in_vain it may be woken, and gone, already now.
    case came::in:
      return who.handle();
    case came::in_vain:
      return std::noop_coroutine();
    case came::to_be_stopped:
      break;
  }
  wait_list::wake(next);
  return unwind(who);
}

mutex::locking::came mutex::locking::came_up(promise_base& who, wait_list::list& next) noexcept {
  job& me = *who.owner();
  wait_list::hold held(in());
  const word state = held.state() & ~called;
  const bool stopped = detail::sees_stop(me);
  if ((state & taken) != 0) {
    held.set(state);
    if (stopped) return came::to_be_stopped;  // the owner calls the next one
    const bool waits = WEFT_MUTATE("mutex.in_vain.goes_to_the_back", false, true)
                           ? held.add(*this, who, true)
                           : held.add_front(*this, who, true);
    if (!waits) return came::to_be_stopped;
    held.set(taken | overtakes_limit);  // I4
    return came::in_vain;
  }
  if (!stopped) {
    held.set(taken);
    mutex_.taken_by_.store(&me, order::relaxed);
    return came::in;
  }
  if (WEFT_MUTATE("mutex.stopped.calls_nobody", false, true)) {
    held.set(state);
  } else {
    mutex_.pass_on(held, state, next);  // I1
  }
  return came::to_be_stopped;
}

}  // namespace weft
