#include "weft/sync/mutex.hpp"

namespace weft {

void mutex::hand_over() noexcept {
  wait_list::list next;
  hand_over_to(next);
  wait_list::wake(next);
}

void mutex::hand_over_to(wait_list::list& next) noexcept {
  wait_list::hold held(list_);
  if (held.empty()) {  // somebody only had a look, or has just been stopped
    held.set(free_state);
    return;
  }
  // It stays locked: for that one.
  taken_by_.store(held.front().owner(), order::relaxed);
  held.take_front(next);
  if (WEFT_MUTATE("mutex.hand_over.frees_it", false, true)) held.set(free_state);
}

}  // namespace weft
