// current: which job the calling thread is running.
//
//   Threads  each its own
//   Cost     a call and a thread-local load; never inlined, because a coroutine that moved to
//            another thread must not use the old thread's address
#pragma once

#include "weft/task/job.hpp"

namespace weft {

/// nullptr outside of a job.
job* current_job() noexcept;

/// For schedulers, around job::run(). Result: what it was before.
job* exchange_current_job(job* now) noexcept;

}  // namespace weft
