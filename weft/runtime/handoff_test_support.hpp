// For tests of what a job does that has lost its processor.
#pragma once

#include <chrono>
#include <thread>

#include "weft/runtime/worker.hpp"
#include "weft/task/thread_state.hpp"

namespace weft::test_support {

/// The thread that runs the calling job has a processor. Never inlined: a job may be on another thread at the
/// next call.
[[gnu::noinline]] inline bool owns_processor() {
  const detail::worker::pinned here(*detail::current_worker());
  return here.processor() != nullptr;
}

/// Computes until the calling thread has lost its processor. False: nobody took it.
[[gnu::noinline]] inline bool spin_until_lost() {
  using clock = std::chrono::steady_clock;
  const auto end = clock::now() + std::chrono::seconds(20);
  atomic<std::uint8_t>& told = detail::this_thread_state().lost_processor;
  for (;;) {
    // Lowered first: then it is raised again if the processor goes after the question.
    told.store(0, order::relaxed);
    if (!owns_processor()) {
      told.store(1, order::relaxed);
      return true;
    }
    while (told.load(order::relaxed) == 0) {
      if (clock::now() > end) return false;
    }
  }
}

/// Asks, as seldom as a monitor looks, until it is so. False: it never was.
template <class Question>
bool comes_true(Question so) {
  using clock = std::chrono::steady_clock;
  const auto end = clock::now() + std::chrono::seconds(20);
  while (!so()) {
    if (clock::now() > end) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));  // it must not want the CPUs itself
  }
  return true;
}

}  // namespace weft::test_support
