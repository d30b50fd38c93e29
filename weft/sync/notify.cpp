#include "weft/sync/notify.hpp"

namespace weft {

void notify::notify_waiter() noexcept {
  wait_list::list taken;
  {
    wait_list::hold held(list_);
    if (!held.take_first(taken)) {
      held.set(WEFT_MUTATE("notify.one.keeps_nothing", permit, nothing));
    }
  }
  wait_list::wake(taken);
}

void notify::notify_all() noexcept {
  if (!wait_list::is_calm(list_.load(order::acquire))) notify_waiters();
}

void notify::notify_waiters() noexcept {
  wait_list::list taken;
  for (bool all = false; !all;) {  // whom it took is not awake yet, so it is still there
    wait_list::hold held(list_);
    all = held.take_batch(taken);
  }
  wait_list::wake(taken);
}

}  // namespace weft
