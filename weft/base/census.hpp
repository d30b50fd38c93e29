// census: how many things of each kind are alive. The test main asks after every test: all must be
// zero, or something leaked although no sanitizer could see it (a pooled frame, a parked job).
//
//   Threads  any; exact when nothing is running, a moment's estimate otherwise
//   Cost     one relaxed add a birth and a death in builds with WEFT_CENSUS (tests), else nothing
#pragma once

#include "weft/base/atomic.hpp"

namespace weft {

enum class census_kind : int { frames, jobs, fds, timers, threads, count_ };

struct census {
  long frames;   // coroutine frames of weft's tasks
  long jobs;     // spawned jobs whose control block exists
  long fds;      // descriptors that weft opened and has not closed
  long timers;   // armed timers
  long threads;  // threads that weft started and has not joined
};

namespace detail {
extern atomic<long> census_counts[static_cast<int>(census_kind::count_)];
}

inline void census_add(census_kind kind, long n) noexcept {
#if WEFT_CENSUS
  detail::census_counts[static_cast<int>(kind)].fetch_add(n, order::relaxed);
#else
  static_cast<void>(kind), static_cast<void>(n);
#endif
}

/// What is alive now.
census live_census() noexcept;

}  // namespace weft
