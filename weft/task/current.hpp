// current: which job the calling thread is running.
//
//   Threads  each its own
//   Cost     three instructions; the address of what is thread-local is asked for anew each time,
//            because a coroutine that moved to another thread must not use the old thread's
#pragma once

#include "weft/task/job.hpp"
#include "weft/task/thread_state.hpp"

namespace weft {

/// nullptr outside of a job.
inline job* current_job() noexcept { return detail::this_thread_state().running; }

/// For schedulers, around job::run(). Result: what it was before.
inline job* exchange_current_job(job* now) noexcept {
  detail::thread_state& mine = detail::this_thread_state();
  job* const before = mine.running;
  mine.running = now;
  return before;
}

}  // namespace weft
