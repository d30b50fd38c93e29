#include "weft/sync/event.hpp"

namespace weft {

void event::set_for_waiters() noexcept {
  wait_list::list taken;
  for (bool more = true; more;) {
    wait_list::hold held(list_);
    more = false;
    if (mode_ == auto_reset) {
      if (!held.take_first(taken) || WEFT_MUTATE("event.set.counts_twice", false, true)) {
        held.set(set_state);
      }
    } else if (held.take_batch(taken)) {
      held.set(set_state);
    } else {
      more = true;  // whom it took is not awake yet, so the event is still there
    }
  }
  wait_list::wake(taken);
}

void event::reset() noexcept {
  wait_list::hold held(list_);
  held.set(unset_state);
}

}  // namespace weft
