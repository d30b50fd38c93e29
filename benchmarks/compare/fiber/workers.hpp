// workers: Boost.Fiber on several threads, as its manual shows it: round robin on one, stealing on
// more. See benchmarks/README.md.
#pragma once

#include <boost/fiber/algo/work_stealing.hpp>
#include <boost/fiber/all.hpp>
#include <mutex>
#include <thread>
#include <vector>

#include "../../measure.hpp"

namespace bench {

namespace fibers = boost::fibers;

/// Runs `main` in the main fiber of the first of `count` threads.
template <class Main>
void on_workers(unsigned count, Main main) {
  fibers::mutex mutex;
  fibers::condition_variable ended;
  bool over = false;
  std::vector<std::thread> others;
  for (unsigned i = 1; i < count; i++) {
    others.emplace_back([&] {
      fibers::use_scheduling_algorithm<fibers::algo::work_stealing>(count);
      std::unique_lock lock(mutex);
      ended.wait(lock, [&] { return over; });
    });
  }
  if (count != 1) fibers::use_scheduling_algorithm<fibers::algo::work_stealing>(count);
  main();
  {
    const std::scoped_lock lock(mutex);
    over = true;
  }
  ended.notify_all();
  for (auto& thread : others) thread.join();
}

/// Posted: ready, and run when the maker waits. With the default stack, of which only what is
/// touched counts.
template <class F>
fibers::fiber start(F f) {
  return fibers::fiber(fibers::launch::post, std::move(f));
}

}  // namespace bench
