// handed_on: with WEFT_HANDED_ON=1 in the environment the jobs of a test program block, before an await now and then,
// until their worker is taken from them: what they and the others do then, they do after a hand-over, and nothing
// may come of it. Without it no worker is taken from a job in most suites: see main.cpp.
#pragma once

#include "weft/task/await_hook.hpp"

#if WEFT_CENSUS
#include <gtest/gtest.h>
#include <time.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>

#include "weft/os/clock.hpp"
#include "weft/task/thread_state.hpp"
#endif

namespace weft::test_support {

inline bool is_handed_on() { return std::getenv("WEFT_HANDED_ON") != nullptr; }

#if WEFT_CENSUS
/// Other hooks take this one's place for as long as a test.
class handed_on final : public ::testing::EmptyTestEventListener, private await_hook {
  // A thread that blocks has lost its worker after three looks, 2.5 or 4 ms apart, if anybody waits for that; on a
  // machine that has other work, later.
  static constexpr long looks_ns = 2'000'000;
  static constexpr long at_most_ns = 20'000'000;
  static constexpr long pause_ns = 2'000'000;
  static constexpr long enough = 5;

  void OnTestStart(const ::testing::TestInfo&) override { install_await_hook(this); }
  void OnTestEnd(const ::testing::TestInfo&) override { install_await_hook(nullptr); }
  void OnTestProgramEnd(const ::testing::UnitTest&) override {
    std::printf("%ld of %ld jobs that blocked before an await lost their worker\n", lost_.load(),
                blocked_.load());
    if (lost_ >= enough) return;
    std::printf("FAILED: fewer than %ld, so this run was about nothing\n", enough);
    std::fflush(stdout);
    std::_Exit(1);
  }

  void about_to_wait(job&) noexcept override {
    auto& thread = detail::this_thread_state();
    // Of an executor that nobody takes a worker from; or it has lost its worker already.
    if (thread.worker == nullptr || thread.lost_processor.load(order::relaxed) != 0) return;
    long next = next_ns_.load(std::memory_order_relaxed);
    const long now = os::monotonic_ns();
    const long until = now + at_most_ns;
    if (now < next || !next_ns_.compare_exchange_strong(next, until + pause_ns)) return;
    ++blocked_;
    while (thread.lost_processor.load(order::relaxed) == 0 && os::monotonic_ns() < until) {
      timespec left{0, looks_ns};
      ::nanosleep(&left, nullptr);
    }
    if (thread.lost_processor.load(order::relaxed) != 0) ++lost_;
    next_ns_.store(os::monotonic_ns() + pause_ns, std::memory_order_relaxed);
  }

  std::atomic<long> next_ns_{0};
  std::atomic<long> blocked_{0};
  std::atomic<long> lost_{0};
};
#endif

}  // namespace weft::test_support
