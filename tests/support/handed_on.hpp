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
  // Looks at a thread that blocks are 2.5 ms apart, and the third is the last.
  static constexpr long blocks_ns = 9'000'000;
  static constexpr long pause_ns = 5'000'000;
  static constexpr long enough = 5;

  void OnTestStart(const ::testing::TestInfo&) override { install_await_hook(this); }
  void OnTestEnd(const ::testing::TestInfo&) override { install_await_hook(nullptr); }
  void OnTestProgramEnd(const ::testing::UnitTest&) override {
    std::printf("%ld times a job lost its worker before an await\n", lost_.load());
    if (lost_ < enough) std::_Exit(1);  // it was about nothing
  }

  void about_to_wait(job&) noexcept override {
    long next = next_ns_.load(std::memory_order_relaxed);
    const long now = os::monotonic_ns();
    if (now < next || !next_ns_.compare_exchange_strong(next, now + blocks_ns + pause_ns)) return;
    timespec left{0, blocks_ns};
    while (::nanosleep(&left, &left) != 0) {
    }
    if (detail::this_thread_state().lost_processor.load(order::relaxed) != 0) ++lost_;
  }

  std::atomic<long> next_ns_{0};
  std::atomic<long> lost_{0};
};
#endif

}  // namespace weft::test_support
