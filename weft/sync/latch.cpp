// Protocol
//
// The state in the word of list_ is what is left to count, or `owed`.
//
//   I1  It is open at zero with nobody in line and nobody holding the list; until then nobody goes
//       through, and so nobody destroys it.
//   I2  Who counts takes its share away before it knows what stands beside it. If it was the last one and
//       there is a line, it comes to the hold, and takes the line out, the last batch in the hold that
//       opens the latch. It is the only one left that counts.
//   I3  If the line goes meanwhile by itself, because of stops, the last one to leave puts `owed` in the
//       place of zero: it would be open, and could be destroyed, before the hold of I2.
//   I4  If somebody held the list when it took its share away, the end of that hold has put it back.
//
// Orderings
//   P1  count_down: subtraction (release), or the end of a hold  ->  try_wait: load (acquire), or the begin
//       of a hold: what was written before. Subtractions in between are acquire, too: a chain.
#include "weft/sync/latch.hpp"

#include "weft/base/spin_lock.hpp"

namespace weft {

bool latch::look_when_free() const noexcept {
  constexpr int looks_max = 64;  // then the holder is asleep, more likely than not
  word seen = look();
  for (int looks = 0; wait_list::is_held(seen); seen = look()) {
    ++looks < looks_max ? cpu_pause() : spin_wait_yield();
  }
  return is_open(seen);
}

WEFT_NOINLINE void latch::count_down_beside(word seen, std::size_t n) noexcept {
  const bool had_effect =
      WEFT_MUTATE("latch.count.hold_forgotten", !wait_list::is_held(seen), true);
  if (had_effect && wait_list::state_of(seen) != n) {
    if (WEFT_MUTATE("latch.count.looks_again", false, true)) list_.load(order::relaxed);
    return;  // that was the last access
  }
  wait_list::list taken;
  bool is_last = had_effect;  // I2
  for (bool more = true; more;) {
    wait_list::hold held(list_);
    std::size_t left = 0;
    if (!is_last) {
      assert_counts(held.state(), n);
      left = held.state() - n;
      is_last = left == 0;
    }
    // Whom it took is not awake yet, so the latch is still there.
    more = is_last && WEFT_MUTATE("latch.end.wakes_nobody", !held.take_batch(taken), false);
    held.set(more ? owed : left);
  }
  wait_list::wake(taken);
}

bool latch::waiting::left(wait_list::hold& held, wait_list::list&) noexcept {
  if (WEFT_MUTATE("latch.left.opens_it", held.state() == 0, false)) held.set(owed);  // I3
  return false;
}

}  // namespace weft
