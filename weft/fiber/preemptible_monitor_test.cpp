// Regions beside a monitor: it asks their turns to end, and takes the worker from what cannot give way.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <thread>

#include "weft/base/config.hpp"
#include "weft/fiber/preempt_test_support.hpp"
#include "weft/os/thread.hpp"
#include "weft/runtime/await.hpp"
#include "weft/runtime/go.hpp"
#include "weft/runtime/preempt.hpp"
#include "weft/runtime/preemptible.hpp"
#include "weft/runtime/runtime.hpp"
#include "weft/runtime/worker.hpp"

namespace weft::fiber_test {
namespace {

using namespace std::chrono_literals;
using detail::preempt_statistics;
using clock = std::chrono::steady_clock;

constexpr auto patience = 60s;  // a bound for what takes milliseconds

/// Computes, in code without the mark, until `condition()`. False: it did not come true.
template <class Condition>
bool hold_worker_until(Condition condition) {
  const auto give_up_at = clock::now() + patience;
  while (!condition()) {
    if (clock::now() > give_up_at) return false;
  }
  return true;
}

// Not inlined: a fiber asks before it changes threads, and behind it.
WEFT_NOINLINE bool has_lost_worker() {
  asm volatile("");
  return detail::this_thread_state().lost_processor.load(order::relaxed) != 0;
}
WEFT_NOINLINE detail::turn_state& turns_of_thread() {
  asm volatile("");
  return detail::current_worker()->current_turn;
}

TEST(preemptible_monitor, asks_who_computes_in_a_region) {
  SKIP_WITHOUT_PREEMPTION();
  runtime rt({.workers = 1, .preempt_after = 4ms, .report_stuck = false});
  const std::uint64_t before = preempt_statistics().calls_pushed;
  const auto give_up_at = clock::now() + patience;
  // Again, should the worker be taken before who spins is inside of the region.
  while (preempt_statistics().calls_pushed == before && clock::now() < give_up_at) {
    std::atomic<bool> set{false};
    auto spins = rt.go([&] {
      return preemptible([&]() WEFT_PREEMPTIBLE {
        for (std::uint64_t i = 0; i < 5'000'000'000; ++i) {
          if (set.load(std::memory_order_relaxed)) return true;
        }
        return false;
      });
    });
    auto other = rt.go([&] { set = true; });
    EXPECT_TRUE(rt.block_on(spins));
    rt.block_on(other);
  }
  EXPECT_GT(preempt_statistics().calls_pushed, before);
  EXPECT_GT(rt.metrics().preemptions, before);
}

TEST(preemptible_monitor, who_has_lost_its_worker_in_a_region_gives_way_and_computes_on) {
  SKIP_WITHOUT_PREEMPTION();
  constexpr unsigned rounds = 10;
  const kernel& k = kernels()[0];
  const std::uint64_t count = 20 * k.count;
  const std::uint64_t right = k.run(1, count);
  runtime rt({.workers = 1, .preempt_after = 2ms, .report_stuck = false});
  // The monitor does not ask a thread without a worker. Somebody may who was about to: this one does.
  std::atomic<detail::turn_state*> asked{nullptr};
  std::atomic<bool> over{false};
  std::thread asks([&] {
    while (!over) {
      if (auto* const turns = asked.load()) {
        static_cast<void>(detail::ask_to_yield(*turns, turns->now()));
      }
      std::this_thread::sleep_for(100us);
    }
  });
  unsigned wrong = 0, gave_way = 0, moved = 0;
  rt.block_on(rt.go([&] {
    for (unsigned i = 0; i < rounds; ++i) {
      std::atomic<bool> ran{false};
      preemptible([&] {
        auto other = go([&] { ran = true; });  // behind this one, which does not give way
        EXPECT_TRUE(hold_worker_until([&] { return ran && has_lost_worker(); }));
        const std::uint64_t thread = os::current_thread_id();
        const std::uint64_t before = preempt_statistics().calls_pushed;
        const auto give_up_at = clock::now() + patience;
        asked = &turns_of_thread();
        while (preempt_statistics().calls_pushed == before && clock::now() < give_up_at) {
          if (k.run(1, count) != right) ++wrong;
        }
        asked = nullptr;
        if (preempt_statistics().calls_pushed != before) ++gave_way;
        if (os::current_thread_id() != thread) ++moved;
        await(other);
      });
    }
  }));
  over = true;
  asks.join();
  EXPECT_EQ(wrong, 0u);
  EXPECT_EQ(gave_way, rounds);
  EXPECT_GT(moved, 0u) << "who owns the worker goes on with it";
  EXPECT_GE(rt.metrics().handoffs, rounds);
}

}  // namespace
}  // namespace weft::fiber_test
