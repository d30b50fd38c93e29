// lost_processor: what the monitor (runtime/monitor.hpp) tells a thread about the job that it runs: that the
// thread's processor has gone to another one.
//
// It is a hint, in the thread's own memory, so that looking at it costs a load: it may be of a job
// that has just ended. What depends on it asks the pin (task/pin.hpp), which knows.
//
//   Threads  the monitor raises it; the thread looks, and lowers it
//   Cost     the look: four instructions at the end of each nested task
#pragma once

#include <coroutine>
#include <cstdint>

#include "weft/task/thread_state.hpp"

namespace weft {

class promise_base;

namespace detail {

/// Whether parent_elsewhere() is worth a look.
WEFT_ALWAYS_INLINE bool may_have_lost_processor() noexcept {
#if WEFT_MODEL
  return false;
#else
  return this_thread_state().lost_processor.load(order::relaxed) != 0;
#endif
}

/// What has a frame's first words, so that a handle of it may be resumed.
struct frame_head {
  void (*resume)(void*);
  void (*destroy)(void*);
};
extern constinit frame_head way_elsewhere;

/// For await_suspend in `ended`, which stays suspended: what to resume in the place of its parent. On a
/// thread that has no processor that is nothing: the job goes on with the parent where its scheduler
/// runs it, so that no more of it than one task's rest runs beside the workers.
///
/// It calls nothing: so the usual end of a task, beside which this stands, needs no frame on the stack.
WEFT_ALWAYS_INLINE std::coroutine_handle<> parent_elsewhere(promise_base& ended) noexcept {
  this_thread_state().ended_on_lost = &ended;
  return std::coroutine_handle<>::from_address(&way_elsewhere);
}

}  // namespace detail
}  // namespace weft
