#include "weft/sync/shared_mutex.hpp"

namespace weft {

/// True: there may be more to let in, after a breath.
bool shared_mutex::let_in(wait_list::hold& held, wait_list::list& taken) noexcept {
  for (unsigned n = 0; n < wait_list::batch_max; ++n) {
    if (held.empty()) return false;
    const bool writes = static_cast<request&>(held.front()).writes_;
    if (!may_enter(held.state(),
                   WEFT_MUTATE("shared_mutex.let_in.writer_beside_readers", writes, false))) {
      return false;
    }
    if (held.take_front(taken)) held.set(entered(held.state(), writes));
  }
  return true;
}

void shared_mutex::leave_to_waiters(bool writes) noexcept {
  wait_list::list taken;
  bool more = true;
  {
    wait_list::hold held(list_);
    held.set(writes ? 0 : held.state() - 1);
    more = let_in(held, taken);
  }
  while (more) {  // whom it took is not awake yet, so the mutex is still there
    wait_list::hold held(list_);
    more = let_in(held, taken);
  }
  wait_list::wake(taken);
}

}  // namespace weft
