// For tests of jobs that hold their workers, and of what one does that has lost its processor.
#pragma once

#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <thread>

#include "weft/runtime/runtime.hpp"
#include "weft/runtime/worker.hpp"
#include "weft/task/thread_state.hpp"

namespace weft::test_support {

using flag = std::atomic<bool>;

/// Far beyond what anything takes that is waited for here.
inline constexpr std::chrono::seconds limit{20};

/// Computes until somebody says so. False: nobody did.
inline bool spin_until(const flag& said, std::chrono::steady_clock::duration most = limit) {
  const auto end = std::chrono::steady_clock::now() + most;
  while (!said.load()) {
    if (std::chrono::steady_clock::now() > end) return false;
  }
  return true;
}
inline task<bool> spins_until(flag* said) { co_return spin_until(*said); }
inline task<> say(flag* f) {
  *f = true;
  co_return;
}

inline task<bool> behind_one_that_computes() {
  flag said{false};
  auto stuck = spawn(spins_until, &said);
  auto other = spawn(say, &said);
  const bool rescued = co_await stuck;
  co_await other;
  co_return rescued;
}

/// The thread that runs the calling job has a processor. Never inlined: a job may be on another thread at the
/// next call.
[[gnu::noinline]] inline bool owns_processor() {
  const detail::worker::pinned here(*detail::current_worker());
  return here.processor() != nullptr;
}

/// Computes until the calling thread has lost its processor. False: nobody took it.
[[gnu::noinline]] inline bool spin_until_lost() {
  using clock = std::chrono::steady_clock;
  const auto end = clock::now() + limit;
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

class pipe_ends {
 public:
  pipe_ends() {
    if (::pipe(ends_) != 0) std::abort();
  }
  pipe_ends(const pipe_ends&) = delete;
  ~pipe_ends() {
    ::close(ends_[0]);
    ::close(ends_[1]);
  }
  bool blocking_read() {
    char c = 0;
    return ::read(ends_[0], &c, 1) == 1;
  }
  bool write() { return ::write(ends_[1], "x", 1) == 1; }

 private:
  int ends_[2];
};

/// A job may end before its thread has said that it is back. False: one never was.
inline bool all_are_back(const runtime& rt) {
  const auto end = std::chrono::steady_clock::now() + limit;
  while (rt.metrics().lost_threads != 0) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::yield();
  }
  return true;
}

/// Asks, as seldom as a monitor looks, until it is so. False: it never was.
template <class Question>
bool comes_true(Question so) {
  using clock = std::chrono::steady_clock;
  const auto end = clock::now() + limit;
  while (!so()) {
    if (clock::now() > end) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));  // it must not want the CPUs itself
  }
  return true;
}

}  // namespace weft::test_support
