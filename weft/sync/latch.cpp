#include "weft/sync/latch.hpp"

namespace weft {

void latch::count_down_for_waiters(std::size_t n) noexcept {
  wait_list::list taken;
  for (bool more = true; more;) {
    wait_list::hold held(list_);
    assert_counts(held.state(), n);
    const std::size_t left = held.state() - n;
    // At zero when the last waiter is out: whom it took is not awake yet, so the latch is still there.
    more = left == 0 && WEFT_MUTATE("latch.end.wakes_nobody", !held.take_batch(taken), false);
    if (!more) held.set(left);
  }
  wait_list::wake(taken);
}

}  // namespace weft
