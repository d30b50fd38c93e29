// Order of holding: the condition's list, then the mutex's. Nobody does it the other way round.
#include "weft/sync/condition_variable.hpp"

namespace weft {

std::coroutine_handle<> condition_wait::start(promise_base& who) noexcept {
  if (detail::sees_stop(*who.owner())) return unwind(who);
  wait_list::list next;
  bool waits = false;
  {
    // The mutex is let go while this list is held: once it is not, this job may be woken or stopped,
    // and its frame, with the guard in it, may be gone.
    mutex* const m = held_.held_;
    if (WEFT_MUTATE("condition.lets_go_first", false, true)) m->unlock_to(next);
    wait_list::hold held(in());
    waits = held.add(*this, who);
    if (waits) {
      held_.held_ = nullptr;
      if (WEFT_MUTATE("condition.lets_go_first", true, false)) m->unlock_to(next);
    }
  }
  if (!waits) return unwind(who);
  wait_list::wake(next);
  return std::noop_coroutine();
}

void condition_variable::notify_one() noexcept {
  // Who waits came with the mutex held, and who changed the condition had it after that one: so it
  // sees it here.
  if (wait_list::is_calm(list_.load(order::acquire))) return;
  wait_list::list taken;
  {
    wait_list::hold held(list_);
    static_cast<void>(held.take_first(taken));
  }
  wait_list::wake(taken);
}

void condition_variable::notify_all() noexcept {
  if (wait_list::is_calm(list_.load(order::acquire))) return;
  wait_list::list taken;
  for (bool all = false; !all;) {  // whom it took is not awake yet, so it is still there
    wait_list::hold held(list_);
    all = held.take_batch(taken);
  }
  wait_list::wake(taken);
}

}  // namespace weft
