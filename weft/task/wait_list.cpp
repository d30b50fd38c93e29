// Protocol
//
// word_     state << 2 | crowded | busy
//           busy     one thread holds the list. Only it writes the word until it clears this bit, by
//                    the store that shows the new state; a subtract() meanwhile is written over, and
//                    whoever made it knows
//           crowded  somebody waits
//           calm     neither: the state may be changed by a compare-exchange; where somebody waits, by
//                    one that leaves `crowded` as it is (change_beside)
// stands()  of a waiter, written by whoever holds the list; before and afterwards by its job
//           out       not on waiting_: before, and once it was taken or has left; so are `paid` and
//                     `gave_way`, which are the job's own notes
//           in_line   it is on waiting_; by_claim: of a select, it can be taken by who has the claim
//           dropped   not on waiting_: it was found there after its select was decided. Its withdrawal
//                     is under way, and ends it as if it had been there until then
//
//   I1  Without `busy`: `crowded` if and only if waiting_ is not empty.
//   I2  A waiter leaves waiting_ once for each time that it was put there, with the list held: taken,
//       then completed by its taker; or stopped, by the one stopper of its job. So it ends once, and
//       whoever ends it knows which.
//   I3  A waiter is armed and put on waiting_ in one hold. A stopper that comes in between waits
//       for the list, and so finds the waiter on it, or taken.
//   I4  Nobody touches a waiter or the primitive after the store that ends its hold, except to wake
//       whom it took. The waiter is alive until then: it is ended by that wake alone.
//
// Orderings
//   P1  ~hold: store (release)  ->  lock: CAS (acquire): state, list, waiters' contents.
//   P2  change(), change_beside() and subtract() by their caller's order: giving (release)  ->
//       taking (acquire), and  ->  lock (P1).
//   Waking is ordered by the job's schedule().
//
// No wake is lost: whoever waits has read the state and joined the list in one hold; whoever changes
// the state sees `crowded`, or its compare-exchange fails.
//
// A stopper in withdraw() may touch the list though the waiter was taken: its job, which must have
// ended its wait before the primitive may die, is not resumed before the stopper leaves (I1 of job.cpp).
//
// Rejected: a spin lock beside the word (to let go of it would be an access after the one that shows
// the state: a use after free when who sees that destroys the primitive; and one operation more). The
// lock-free single waiter of wait_queue (the state must not change between the look and the taking).
#include "weft/task/wait_list.hpp"

#include "weft/base/spin_lock.hpp"

namespace weft {

wait_list::~wait_list() {
  WEFT_ASSERT(
      is_calm(word_.load(order::relaxed)),
      "a primitive was destroyed while somebody waits in it; stop or join the waiters first");
}

WEFT_NOINLINE wait_list::word wait_list::lock_when_free(word seen) noexcept {
  constexpr int spins_max = 64;  // then the holder is asleep, more likely than not
  for (int spins = 0;;) {
    if ((seen & busy) == 0) {
      if (try_lock(seen)) return seen;
      continue;
    }
    ++spins < spins_max ? cpu_pause() : spin_wait_yield();
    seen = word_.load(order::relaxed);
  }
}

bool wait_list::hold::put(waiter& w, promise_base& who, bool is_asked, bool in_front) noexcept {
  job& me = *who.owner();
  const auto armed = is_asked ? me.arm_to_go_on(w, who) : me.arm(w, who);
  if (armed == job::arm_result::stopped) return false;
  const bool shared = detail::claiming_job::from(me) != nullptr;
  w.stand(shared ? waiter::standing::in_line_by_claim : waiter::standing::in_line);
  in_front ? list_.waiting_.push_front(w) : list_.waiting_.push_back(w);
  return true;
}

bool wait_list::hold::take_batch(list& taken) noexcept {
  for (unsigned n = 0; n < batch_max && !empty(); ++n) static_cast<void>(take_front(taken));
  return empty();
}

void wait_list::waiter::withdraw() noexcept {
  list taken;
  bool more = true;
  {
    hold held(in());
    if (stands() == standing::out) return;  // taken: completion wins
    if (stands() != standing::dropped) unlink();
    stand(standing::out);
    more = left(held, taken);
  }
  while (more) {  // this one has not ended yet, so the primitive is still there
    hold held(in());
    more = left(held, taken);
  }
  wake(taken);
  finish(true);
}

}  // namespace weft
