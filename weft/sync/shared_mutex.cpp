// Protocol
//
// The state in the word of list_:   readers << 28 | coming << 8 | overtakes << 2 | called | writing
//   readers    so many read
//   writing    somebody writes
//   called     a writer was taken from the list and woken without having the lock: it is on its way to
//              take it. If it comes in vain, it goes back to the front
//   coming     so many readers are on their way in the same manner
//   overtakes  how often somebody who had not waited entered since the last one who had; counted
//              where it may be in the way of somebody who waits, is called, or is coming
//
//   I1  If nobody is called or coming, there is no room for the one in front: it waits for who is in. So
//       whoever makes room for it (a writer that leaves, the last reader out, a writer in front that is
//       stopped) calls it; and so does whoever has come up, whatever came of it.
//   I2  Readers in front are called together, up to the next writer. A writer is called when no readers
//       are coming, and then nobody else is: who is called or coming is older than all in the list,
//       but for readers beside readers. Nobody but the called one ends that.
//   I3  With overtakes_max overtakes nobody can enter before one who was called, is coming, or is in
//       front; but a reader may where it is in nobody's way, beside coming readers with an empty list.
//   I4  Who was called and came in vain is overtaken no more: who makes room hands it the lock.
//   I5  A reader that is not the last one out makes room for nobody.
//   I6  There are no overtakes if nobody waits, is called or is coming.
//   I7  A reader takes itself away before it knows what stands beside it. If the last one out leaves a
//       line behind from which it must call (nobody is in, called or coming), it has the lock until
//       it has done so, under the hold: nobody enters meanwhile, and who leaves the line, because of
//       a stop, puts the reader back first. (So nobody can destroy the mutex meanwhile.) If somebody
//       held the list at that moment, the end of the hold has put the reader back.
//
// Orderings
//   P1  leave: CAS or subtraction (release), or the end of a hold  ->  enter: CAS (acquire), or the
//       begin of one: what is guarded. Other writers of the word in between are read-modify-writes or
//       holds, so a writer has the accesses of all readers before it, too.
//
// No wake is lost: an exit either sees who waits, and lets it in, or its compare-exchange fails; who is
// called sees room, or goes back to the list in the same hold, and whoever is in comes to it (I1).
//
// Why not strict hand-over, nor to hand over to readers alone: a reader that was handed the lock and
// does not run yet keeps it from writers, and those who run are not ended by that: they run on until
// they write themselves, and wait. So each write had to wait, and sent all others to wait, too.
//
// Who finds that another one has changed the word in the same moment stays away for two microseconds: for
// some hundreds of entries of the other one, which meanwhile has the line in its own cache. It is less
// than a sleep and a wake cost.
//
// Eight tasks on two workers, 1 of 64 locks to write, ns a lock: strict hand-over 31.5, and of three locks
// in 100 one has waited; readers handed over, writers called 29; both called 19. To stay away for 32
// pauses 9.7, 64 8.0, 128 7.1, 256 6.7, 512 6.5: as one worker alone, 5.9, for then they take turns. (Go: 5.6
// to 6.9.) What is won by more is not worth the wait of a lock that is met once in a while.
//
// Rejected
//   fetch_add for readers that enter: it would be lost when it falls into a hold, whose end is a store;
//   and to take it back where a writer is in would be an access after others may have destroyed the
//   mutex. And it would not show that two are at it.
//   To look before entering: 6.4 ns instead of 5.9 where nobody else is, 7.9 instead of 8.4 with the eight.
//   To call readers one by one, as writers: each would cost a turn of the scheduler before the next.
#include "weft/sync/shared_mutex.hpp"

#include "weft/base/spin_lock.hpp"

namespace weft {

namespace {

// Some 15 to 55 ns each. The checker counts steps, not time.
constexpr unsigned pauses_away = WEFT_MODEL ? 1 : 128;
constexpr unsigned looks_max = 64;  // then the holder is asleep, more likely than not

}  // namespace

WEFT_NOINLINE bool shared_mutex::enter_beside(word seen, bool writes) noexcept {
  bool met = false;
  for (unsigned looks = 0;;) {
    if (met) {
      for (unsigned i = 0; i < pauses_away; ++i) cpu_pause();
      seen = list_.load(order::relaxed);
    }
    while (wait_list::is_held(seen)) {  // for a few instructions
      ++looks < looks_max ? cpu_pause() : spin_wait_yield();
      seen = list_.load(order::relaxed);
    }
    const word state = wait_list::state_of(seen);
    const bool crowded = wait_list::is_crowded(seen);
    if (!may_enter(state, writes, crowded)) return false;
    if (list_.change_beside(seen, entered(state, writes, crowded),
                            WEFT_MUTATE("shared_mutex.enter_beside.relaxed", order::acquire,
                                        order::relaxed))) {  // P1
      return true;
    }
    met = true;
  }
}

WEFT_NOINLINE void shared_mutex::writer_leaves_beside(word seen) noexcept {
  while (!wait_list::is_held(seen)) {
    const word state = wait_list::state_of(seen) - writing;
    if (wait_list::is_crowded(seen) && (state & called) == 0)
      break;  // who is in front may have room
    if (list_.change_beside(seen, state,
                            WEFT_MUTATE("shared_mutex.writer_leaves_beside.relaxed", order::release,
                                        order::relaxed))) {  // P1
      return;                                                // the last access
    }
  }
  leave_to_waiters(true);
}

WEFT_NOINLINE void shared_mutex::reader_left_beside(word seen) noexcept {
  const bool had_effect =
      WEFT_MUTATE("shared_mutex.leave.hold_forgotten", !wait_list::is_held(seen), true);
  const bool must_call = WEFT_MUTATE(
      "shared_mutex.leave.last_reader_lets_nobody_in",
      is_being_left(wait_list::state_of(seen) - reader, wait_list::is_crowded(seen)), false);
  if (had_effect && !must_call) {
    if (WEFT_MUTATE("shared_mutex.leave_beside.looks_again", false, true)) {
      list_.load(order::relaxed);
    }
    return;  // that was the last access
  }
  leave_to_waiters(false);  // I7
}

void shared_mutex::leave_to_waiters(bool writes) noexcept {
  wait_list::list taken;
  bool more = false;
  {
    wait_list::hold held(list_);
    const word state = held.state();
    // A reader may be out already: then no other is in (I7).
    more = pass_on(held, writes ? state - writing : state < reader ? state : state - reader, taken);
  }
  while (more) {  // whom it took have not ended yet, so the mutex is still there
    wait_list::hold held(list_);
    more = pass_on(held, held.state(), taken);
  }
  wait_list::wake(taken);
}

/// The state is to be this; lets in, or calls, who is in front and has room then. True: there are more,
/// after a breath; and some were.
bool shared_mutex::pass_on(wait_list::hold& held, word state, wait_list::list& taken) noexcept {
  const bool owed = (state & overtakes) >= overtakes_limit;
  for (unsigned n = 0; !held.empty();) {
    auto& first = static_cast<request&>(held.front());
    const bool writes = first.writes_;
    if (!has_room(state,
                  WEFT_MUTATE("shared_mutex.pass_on.writer_beside_readers", writes, false))) {
      held.set(state);
      return false;
    }
    if (n == wait_list::batch_max) {
      held.set(owed ? state | overtakes_limit : state);  // I4 holds for the others, too
      return true;
    }
    // One of a select is not called: it would have won before it has the lock.
    const bool owns = owed || detail::claiming_job::from(*first.owner()) != nullptr;
    first.owns_ = owns;
    if (!held.take_front(taken)) continue;  // its select is over
    ++n;
    if (!owns) {
      state += writes ? called : coming;
    } else {
      state =
          WEFT_MUTATE("shared_mutex.hand_over.frees_it", state + unit(writes), state) & ~overtakes;
    }
  }
  if ((state & (called | coming_all)) == 0) state &= ~overtakes;
  held.set(state);
  return false;
}

bool shared_mutex::request::left(wait_list::hold& held, wait_list::list& taken) noexcept {
  if (WEFT_MUTATE("shared_mutex.left.lets_nobody_in", false, true)) return false;
  const word found = held.found();
  const bool is_left = is_being_left(wait_list::state_of(found), wait_list::is_crowded(found));
  // I7: or the last one to leave the line, or whom it calls, would have the mutex.
  const bool puts_back = WEFT_MUTATE("shared_mutex.left.frees_it", is_left, false);
  return pass_on(held, puts_back ? held.state() + reader : held.state(), taken);
}

/// Its job runs again, after it was called.
shared_mutex::request::came shared_mutex::request::came_up(promise_base& who,
                                                           wait_list::list& taken) noexcept {
  bool more = false;
  came how = came::to_be_stopped;
  {
    wait_list::hold held(in());
    word state = held.state() - (writes_ ? called : coming);
    if (!detail::sees_stop(*who.owner())) {
      if (WEFT_MUTATE("shared_mutex.came_up.writer_beside_readers", writes_, false)
              ? is_free(state)
              : (state & writing) == 0) {
        state = (state & ~overtakes) + unit(writes_);
        how = came::in;
      } else if (WEFT_MUTATE("shared_mutex.in_vain.goes_to_the_back", false, true)
                     ? held.add(*this, who, true)
                     : held.add_front(*this, who, true)) {
        held.set((state & ~overtakes) | overtakes_limit);  // I4
        return came::in_vain;
      }
    }
    if (WEFT_MUTATE("shared_mutex.came_up.lets_nobody_in", false, true)) {
      held.set(state);
    } else {
      more = pass_on(held, state, taken);  // I1
    }
  }
  while (more) {  // this one has not ended yet, so the mutex is still there
    wait_list::hold held(in());
    more = left(held, taken);
  }
  return how;
}

}  // namespace weft
