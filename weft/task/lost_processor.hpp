// over_time: what the monitor tells a thread about the job that it runs: that it has been at it for
// long, or that the thread's processor has gone to another one (runtime/monitor.hpp).
//
// It is a hint, in the thread's own memory, so that looking at it costs a load: it may be of a job
// that has just ended. What depends on it asks the pin (task/pin.hpp), which knows.
//
//   Threads  the monitor raises it; the thread looks, and lowers it
#pragma once

#include <coroutine>
#include <cstdint>

#include "weft/task/thread_state.hpp"

namespace weft {

class promise_base;

namespace detail {

/// Whether go_on_elsewhere() is worth a call.
WEFT_ALWAYS_INLINE bool may_have_lost_processor() noexcept {
#if WEFT_MODEL
  return false;
#else
  return this_thread_state().lost_processor.load(order::relaxed) != 0;
#endif
}

/// For await_suspend in `ended`, which stays suspended: what to resume in the place of `next`. On a
/// thread that has no processor that is nothing: the job goes on with `next` where its scheduler
/// runs it, so that no more of it than one task's rest runs beside the workers.
std::coroutine_handle<> go_on_elsewhere(promise_base& ended, std::coroutine_handle<> next) noexcept;

}  // namespace detail
}  // namespace weft
