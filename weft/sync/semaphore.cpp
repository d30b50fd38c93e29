#include "weft/sync/semaphore.hpp"

namespace weft {

/// True: there may be more to let in, after a breath.
bool semaphore::let_in(wait_list::hold& held, wait_list::list& taken) noexcept {
  for (unsigned n = 0; n < wait_list::batch_max; ++n) {
    if (held.empty()) return false;
    const std::size_t wanted = static_cast<acquiring&>(held.front()).n_;
    if (held.state() < wanted) return false;
    if (!held.take_front(taken)) continue;
    held.set(WEFT_MUTATE("semaphore.let_in.for_nothing", held.state() - wanted, held.state()));
  }
  return true;
}

void semaphore::release_to_waiters(std::size_t n) noexcept {
  wait_list::list taken;
  bool more = true;
  {
    wait_list::hold held(list_);
    WEFT_ASSERT(n <= permits_max - held.state(),
                "a semaphore was released more often than it can count");
    held.set(held.state() + n);
    more = let_in(held, taken);
  }
  while (more) {  // whom it took is not awake yet, so the semaphore is still there
    wait_list::hold held(list_);
    more = let_in(held, taken);
  }
  wait_list::wake(taken);
}

}  // namespace weft
