#include "weft/runtime/blocking.hpp"

#include "weft/base/assert.hpp"
#include "weft/runtime/core.hpp"
#include "weft/runtime/worker.hpp"

namespace weft::detail {

std::coroutine_handle<> blocking_work::start(promise_base& waiter) noexcept {
  worker* const w = current_worker();
  WEFT_ASSERT(w != nullptr, "spawn_blocking needs a runtime; use weft::run or runtime::block_on");
  pool_ = &w->core().blocking();
  if (waiter.owner()->arm(*this, waiter) == job::arm_result::stopped) return unwind(waiter);
  switch (pool_->submit(*this)) {
    case blocking_pool::accepted::queued:
      break;  // may have ended already: touch nothing
    case blocking_pool::accepted::withdrawn:
      finish(true);
      break;
    case blocking_pool::accepted::run_it_yourself:
      perform();
      finish(false);
      break;
  }
  return std::noop_coroutine();
}

void blocking_work::withdraw() noexcept {
  if (pool_->withdraw(*this)) finish(true);
}

}  // namespace weft::detail
