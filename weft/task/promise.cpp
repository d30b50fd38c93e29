#include "weft/task/promise.hpp"

#include "weft/base/assert.hpp"

namespace weft {

std::coroutine_handle<> unwind(promise_base& innermost) noexcept {
  promise_base* p = &innermost;
  while (p->edge_ == nullptr) {
    promise_base* const parent = p->parent_;
    WEFT_ASSERT(parent != nullptr,
                "a stop found no boundary; was a task awaited outside of a job?");
    if (p->owned_at_ != nullptr) {  // a task's frame; a relay is part of the frame above it
      *p->owned_at_ = nullptr;
      p->handle().destroy();
    }
    p = parent;
  }
  p->edge_->stopped_ = true;
  return p->edge_->handle();
}

std::coroutine_handle<> ready_at_once(operation& op, promise_base& waiter) noexcept {
  job* const owner = waiter.owner();
  if (owner->spend_budget() || owner->home().goes_on(*owner)) return waiter.handle();
  owner->yield_in(op, waiter);  // The frame may be resumed elsewhere from here on: touch nothing.
  return std::noop_coroutine();
}

}  // namespace weft
