// channel_test_support: jobs that are stopped now and then, and started again, until they end by themselves.
#pragma once

#include <sched.h>

#include <cstdint>
#include <new>
#include <vector>

#include "weft/base/rng.hpp"
#include "weft/task/task_test_support.hpp"

namespace weft::test_support {

/// Stops jobs[i] now and then; a job that was stopped is started again, by start(i), until it ends by
/// itself. Result: how many were stopped.
template <class Start>
std::uint64_t keep_going(std::vector<started<void>>& jobs, std::uint64_t seed, bool stop,
                         Start start) {
  rng random(seed);
  std::uint64_t stopped = 0;
  for (bool all = false; !all;) {
    all = true;
    for (std::size_t i = 0; i < jobs.size(); ++i) {
      if (!jobs[i].done()) {
        all = false;
        if (stop && random.next() % 2 == 0) jobs[i]->stop();
        continue;
      }
      if (!jobs[i].outcome().stopped()) continue;
      all = false;
      ++stopped;
      jobs[i].~started<void>();
      ::new (&jobs[i]) started<void>(start(i));
    }
    sched_yield();
  }
  return stopped;
}

}  // namespace weft::test_support
