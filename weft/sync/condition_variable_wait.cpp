// Apart from the rest, which the model explores: a coroutine needs the frame pool.
#include "weft/sync/condition_variable.hpp"
#include "weft/task/shield_scope.hpp"

namespace weft {

task<> condition_variable::wait(mutex_guard& held) {
  WEFT_ASSERT(held, "a condition is waited for with its mutex locked");
  mutex& m = *held.held_;
  {
    condition_wait notified(*this, held);
    co_await notified;
  }
  const shield_scope shield;
  auto again = co_await m.lock();
  held = std::move(again);
}

}  // namespace weft
