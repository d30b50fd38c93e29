#include "weft/sync/event.hpp"

namespace weft {

void event::set_for_waiters() noexcept {
  list taken;
  for (bool more = true; more;) {
    hold held(*this);
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
  wake(taken);
}

void event::reset() noexcept {
  hold held(*this);
  held.set(unset_state);
}

}  // namespace weft
