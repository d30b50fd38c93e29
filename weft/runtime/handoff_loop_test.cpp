// parallel_for where it runs for long: it gives way in time, and goes on to share what is left when it has
// lost its worker all the same.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <ranges>
#include <thread>

#include "weft/runtime/blocking_in_place.hpp"
#include "weft/runtime/handoff_test_support.hpp"
#include "weft/runtime/preempt.hpp"
#include "weft/runtime/runtime.hpp"
#include "weft/runtime/worker.hpp"
#include "weft/together/parallel.hpp"

namespace weft {
namespace {

using namespace std::chrono_literals;
using clock = std::chrono::steady_clock;
using test_support::owns_processor;
using test_support::spin_until_lost;

constexpr int elements = 64;

/// A monitor's part. Whether the other job has run is noted at the next element.
struct asked {
  bool other_ran = false;
  bool at_next = false;
  void run(int i) {
    auto& turns = detail::current_worker()->current_turn;
    if (i == 10) {
      EXPECT_FALSE(other_ran);
      EXPECT_EQ(detail::ask_to_yield(turns, turns.now()), detail::turn_state::ask_result::asked);
    }
    if (i == 11) at_next = other_ran;
  }
};
task<> note(bool* ran) {
  *ran = true;
  co_return;
}

TEST(handoff_loop, of_calls_gives_way_when_somebody_asks) {
  runtime rt({.workers = 1, .preempt_after = 0ms});
  const auto test = []() -> task<bool> {
    asked seen;
    auto other = spawn(note, &seen.other_ran);
    co_await parallel_for(std::views::iota(0, elements), [&](int i) { seen.run(i); }, 1);
    co_await other;
    co_return seen.at_next;
  };
  EXPECT_TRUE(rt.block_on(rt.spawn(test)));
}

TEST(handoff_loop, of_tasks_gives_way_when_somebody_asks) {
  runtime rt({.workers = 1, .preempt_after = 0ms});
  const auto test = []() -> task<bool> {
    asked seen;
    auto other = spawn(note, &seen.other_ran);
    const auto element = [&](int i) -> task<> {
      seen.run(i);
      co_return;
    };
    // More than half of the elements: nothing is left for others.
    co_await parallel_for(std::views::iota(10, 12), element, 1);
    co_await other;
    co_return seen.at_next;
  };
  EXPECT_TRUE(rt.block_on(rt.spawn(test)));
}

/// For how long a thread was kept from running, at most: on a machine that is not theirs alone workers, and
/// who looks after them, may be late whatever they do.
class longest_gap {
 public:
  /// Computes, and looks for gaps since the calling thread was here last.
  void spin_for(clock::duration how_long) {
    thread_local clock::time_point last;
    if (last == clock::time_point()) last = clock::now();
    const auto end = clock::now() + how_long;
    while (last < end) {
      const auto now = clock::now();
      note(now - last);
      last = now;
    }
  }
  void sleep_until(const std::atomic<bool>& over) {
    while (!over) {
      const auto due = clock::now() + 2ms;
      std::this_thread::sleep_until(due);
      note(clock::now() - due);
    }
  }
  clock::duration get() const { return clock::duration(longest_.load()); }

 private:
  void note(clock::duration gap) {
    auto seen = longest_.load();
    while (gap.count() > seen && !longest_.compare_exchange_weak(seen, gap.count())) {
    }
  }
  std::atomic<clock::duration::rep> longest_{0};
};

TEST(handoff_loop, that_takes_long_keeps_its_workers) {
  constexpr auto preempt_after = 200ms;  // who computes is asked after half of it
  longest_gap gap;
  std::atomic<bool> over{false};
  std::thread sleeper([&] { gap.sleep_until(over); });
  runtime rt({.workers = 2, .preempt_after = preempt_after, .report_stuck = false});
  const auto test = [&]() -> task<> {
    co_await parallel_for(std::views::iota(0, 800), [&](int) { gap.spin_for(1ms); });
  };
  rt.block_on(test());
  over = true;
  sleeper.join();
  if (gap.get() > preempt_after / 4)
    GTEST_SKIP() << "the machine is too busy for this: a thread waited for a CPU for "
                 << std::chrono::duration_cast<std::chrono::milliseconds>(gap.get()).count()
                 << " ms";
  EXPECT_TRUE(test_support::all_are_back(rt));
  // A thread that waited for a page, or for a lock of a sanitizer's, lost its worker, but long before that.
  EXPECT_LT(std::chrono::nanoseconds(rt.metrics().longest_hold_ns), preempt_after);
}

/// How many of the older half, behind its first element, ran on an owner of a processor.
template <class Lose>
int owned_after(std::chrono::microseconds preempt_after, Lose lose) {
  runtime rt({.workers = 2, .preempt_after = preempt_after, .report_stuck = false});
  std::atomic<int> owned{0};
  const auto test = [&]() -> task<> {
    const auto element = [&](int i) {
      if (i == 0) return lose();
      if (i < elements / 2 && owns_processor()) ++owned;
    };
    co_await parallel_for(std::views::iota(0, elements), element, 1);
  };
  rt.block_on(test());
  EXPECT_GE(rt.metrics().handoffs, 1u);
  return owned;
}
TEST(handoff_loop, goes_on_on_a_worker_when_an_element_was_long) {
  EXPECT_GT(owned_after(10ms, [] { EXPECT_TRUE(spin_until_lost()); }), 0);
}
TEST(handoff_loop, goes_on_on_a_worker_when_an_element_blocked) {
  // Nobody asks: that is for those who compute for a second.
  const auto block = [] { EXPECT_TRUE(weft::blocking([] { return spin_until_lost(); })); };
  EXPECT_GT(owned_after(2s, block), 0);
}

}  // namespace
}  // namespace weft
