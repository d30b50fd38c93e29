#include "weft/task/promise.hpp"

#include <cstdio>
#include <exception>

#include "weft/base/assert.hpp"

namespace weft {

/// In a handler of what it threw.
void promise_base::destructor_threw() noexcept {
  std::fputs(
      "weft: a destructor threw while the frame that its object was in was destroyed, by a stop or "
      "by "
      "its owner; the program ends\n",
      stderr);
  std::terminate();  // which says what it was
}

void promise_base::check_not_unwinding() noexcept {
  if (above_ == 0 || detail::this_thread_state().unwinding == handle().address())
    destructor_threw();
}

std::coroutine_handle<> unwind(promise_base& innermost) noexcept {
  innermost.owner()->tell_of_found_stop();
  detail::thread_state& thread = detail::this_thread_state();
  // Not null if a destructor that an unwind calls runs jobs itself, in a block_on().
  void* const outer = thread.unwinding;
  promise_base* p = &innermost;
  while ((p->above_ & (promise_base::under_edge | promise_base::is_edge)) == 0) {
    promise_base* const parent = p->parent();
    WEFT_ASSERT(parent != nullptr,
                "a stop found no boundary; was a task awaited outside of a job?");
    if ((p->above_ & promise_base::is_relay) == 0) {
      void* const frame = p->handle().address();
      thread.unwinding = frame;
      thread.unwound_bytes = 0;  // it stays so if the frame is a part of another one
      try {
        promise_base::destroy(frame);
      } catch (...) {
        promise_base::destructor_threw();
      }
      // Its memory is still there (operator delete): what the task that owns it is going to call.
      *promise_base::destroyer(frame) = &promise_base::free_rest;
      *static_cast<std::size_t*>(frame) = thread.unwound_bytes;
    }
    p = parent;
  }
  thread.unwinding = outer;
  thread.unwound_bytes = 0;
  bare_boundary& edge = p->edge();
  if ((p->above_ & promise_base::under_bare_edge) != promise_base::under_bare_edge) {
    static_cast<boundary&>(edge).stopped_ = true;
  }
  return edge.handle();
}

void promise_base::free_rest(void* frame) noexcept {
  const std::size_t bytes = *static_cast<std::size_t*>(frame);
#if WEFT_MODEL  // has no frames, and no pool
  WEFT_ASSERT(bytes == 0, "a model has a coroutine frame");
#else
  if (bytes != 0) free_frame(frame, bytes);
#endif
}

std::coroutine_handle<> ready_at_once(operation& op, promise_base& waiter) noexcept {
  job* const owner = waiter.owner();
  if (owner->spend_budget() || owner->home().goes_on(*owner)) return waiter.handle();
  owner->yield_in(op, waiter);  // The frame may be resumed elsewhere from here on: touch nothing.
  return std::noop_coroutine();
}

}  // namespace weft
