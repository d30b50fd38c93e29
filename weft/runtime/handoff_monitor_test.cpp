// The one that looks: when it sleeps, what it takes for stuck, how many threads may be lost; and who says of itself
// that it blocks.
#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <stdexcept>
#include <thread>
#include <vector>

#include "weft/os/thread.hpp"
#include "weft/runtime/await.hpp"
#include "weft/runtime/blocking_in_place.hpp"
#include "weft/runtime/go.hpp"
#include "weft/runtime/handoff_test_support.hpp"
#include "weft/runtime/runtime.hpp"
#include "weft/runtime/time.hpp"
#include "weft/runtime/worker.hpp"
#include "weft/runtime/yield_if_due.hpp"

namespace weft {
namespace {

using namespace std::chrono_literals;
using test_support::all_are_back;
using test_support::behind_one_that_computes;
using test_support::comes_true;
using test_support::flag;
using test_support::limit;
using test_support::owns_processor;
using test_support::pipe_ends;
using test_support::say;
using test_support::spin_until;
using test_support::spins_until;

/// The number of looks, when it has stood still for a while: a look is due every 2.5 ms, or 4.
std::uint64_t looks_at_rest(runtime& rt) {
  const auto end = std::chrono::steady_clock::now() + limit;
  std::uint64_t seen = rt.metrics().monitor_looks;
  for (;;) {
    std::this_thread::sleep_for(50ms);
    const std::uint64_t now = rt.metrics().monitor_looks;
    if (now == seen) return now;
    seen = now;
    if (std::chrono::steady_clock::now() > end) return 0;
  }
}

TEST(handoff_monitor, sleeps_while_all_workers_rest_and_wakes_with_the_first) {
  runtime rt({.workers = 2, .report_stuck = false});
  rt.block_on([]() -> task<> { co_await yield_now(); }());
  const std::uint64_t at_rest = looks_at_rest(rt);
  EXPECT_NE(at_rest, 0u) << "it looks on and on";
  EXPECT_TRUE(rt.block_on(behind_one_that_computes()));
  EXPECT_GT(looks_at_rest(rt), at_rest) << "nobody woke it, or it looks on and on";
}

TEST(handoff_monitor, looks_less_often_where_no_job_takes_long) {
  constexpr auto span = 300ms;
  constexpr std::uint64_t usual = span / 2500us;
  runtime rt({.workers = 2, .report_stuck = false});
  flag over{false};
  const auto gives_way = [&]() -> task<> {
    while (!over) co_await yield_now();
  };
  auto busy = rt.spawn(gives_way), too = rt.spawn(gives_way);
  // Where others want the CPUs, a job stands still for long enough to be seen twice.
  EXPECT_TRUE(comes_true([&] {
    const std::uint64_t before = rt.metrics().monitor_looks;
    std::this_thread::sleep_for(span);
    const std::uint64_t looks = rt.metrics().monitor_looks - before;
    return looks != 0 && looks < usual * 4 / 5;
  }));
  over = true;
  rt.block_on(busy);
  rt.block_on(too);
}

TEST(handoff_yield, is_due_before_the_worker_is_lost) {
  runtime rt({.workers = 1, .preempt_after = 1s, .report_stuck = false});
  const auto test = []() -> task<bool> {
    flag said{false};
    auto other = spawn(say, &said);
    EXPECT_FALSE(this_task::should_yield());
    const auto end = std::chrono::steady_clock::now() + limit;
    while (!said.load() && std::chrono::steady_clock::now() < end) co_await yield_if_due();
    co_await other;
    co_return said.load();
  };
  EXPECT_TRUE(rt.block_on(test()));
  EXPECT_EQ(rt.metrics().handoffs, 0u);
}

TEST(handoff_threads, are_no_more_than_the_limit_and_then_the_others_wait) {
  constexpr unsigned most = 32;  // on one worker
  runtime rt({.workers = 1, .preempt_after = 1ms, .report_stuck = false});
  flag said{false};
  std::vector<join_handle<bool>> stuck;
  for (unsigned i = 0; i < most + 3; ++i) stuck.push_back(rt.spawn(spins_until, &said));
  const auto end = std::chrono::steady_clock::now() + limit;
  while (rt.metrics().no_spare == 0 && std::chrono::steady_clock::now() < end) {
    EXPECT_LE(rt.metrics().lost_threads, most);
    std::this_thread::sleep_for(1ms);  // they want the CPUs
  }
  EXPECT_NE(rt.metrics().no_spare, 0u);
  EXPECT_EQ(rt.metrics().lost_threads, most);
  said = true;
  for (auto& s : stuck) EXPECT_TRUE(rt.block_on(s));
  EXPECT_TRUE(all_are_back(rt));
}

TEST(handoff_blocking, gives_what_the_function_gives) {
  runtime rt({.workers = 1, .report_stuck = false});
  const auto test = []() -> task<int> {
    int x = 3;
    int& same = weft::blocking([&x]() -> int& { return x; });
    same = 4;
    weft::blocking([] {});
    bool thrown = false;
    try {
      weft::blocking([] { throw std::runtime_error("why"); });
    } catch (const std::runtime_error&) {
      thrown = true;
    }
    co_return thrown ? x : 0;
  };
  EXPECT_EQ(rt.block_on(test()), 4);
  EXPECT_EQ(weft::blocking([] { return 5; }), 5) << "in a plain thread";
}

TEST(handoff_blocking, hands_the_worker_over_at_once) {
  runtime rt({.workers = 1, .preempt_after = 400ms, .report_stuck = false});
  ASSERT_TRUE(rt.block_on(behind_one_that_computes()));  // there is a spare thread now
  const auto test = []() -> task<bool> {
    flag said{false};
    auto other = spawn(say, &said);
    const bool ran = weft::blocking([&said] {
      const bool lost = !owns_processor();  // before anybody could have looked
      return spin_until(said) && lost;
    });
    co_await other;
    co_return ran;
  };
  EXPECT_TRUE(rt.block_on(test()));
}

/// Its worker goes to another one while it is in a call that blocks. Result: it came back without.
bool loses_its_worker_in_a_call() {
  pipe_ends pipe;
  auto other = spawn([](pipe_ends* p) { return p->write(); }, &pipe);
  const bool came = weft::blocking([&pipe] { return pipe.blocking_read(); });
  other.detach();
  return came && !owns_processor();
}

TEST(handoff_blocking, who_lost_its_worker_so_is_asked_to_give_way) {
  runtime rt({.workers = 1, .preempt_after = 3s, .report_stuck = false});
  const auto test = []() -> task<> {
    EXPECT_TRUE(loses_its_worker_in_a_call());
    EXPECT_TRUE(this_task::should_yield());
    co_await yield_if_due();
    EXPECT_TRUE(owns_processor());
    EXPECT_FALSE(this_task::should_yield());
  };
  rt.block_on(test());
  rt.block_on(test());  // there is a spare thread now, so the job itself gives its worker away
  EXPECT_GE(rt.metrics().handoffs, 2u);
}

bool its_turn_says_it_blocks() {
  const detail::worker& here = *detail::current_worker();
  return here.says_it_blocks(here.current_turn.now());
}

TEST(handoff_blocking, is_said_of_the_turn_and_ends_with_it) {
  runtime rt({.workers = 1, .preempt_after = 3s, .report_stuck = false});
  const auto test = []() -> task<> {
    auto other = spawn([] { return its_turn_says_it_blocks(); });
    auto awaits = go([] {
      weft::blocking([] {
        EXPECT_TRUE(its_turn_says_it_blocks());
        weft::blocking([] {});
        EXPECT_TRUE(its_turn_says_it_blocks()) << "another call in the middle of it was over";
        await(yield_now());
        EXPECT_FALSE(its_turn_says_it_blocks());
      });
      return its_turn_says_it_blocks();
    });
    const bool said_of_another = co_await other;
    EXPECT_FALSE(said_of_another);
    const bool said_afterwards = co_await awaits;
    EXPECT_FALSE(said_afterwards);
  };
  rt.block_on(test());
}

TEST(handoff_monitor, does_not_take_one_that_rests_for_stuck) {
  runtime rt({.workers = 2, .report_stuck = false});
  const auto test = []() -> task<> {
    for (int i = 0; i < 40; ++i) co_await sleep_for(15ms);  // longer than preempt_after
  };
  rt.block_on(test());
  // Some, where the machine keeps the CPU from one that has got up; once nearly each time.
  EXPECT_LE(rt.metrics().stuck_in_runtime, 10u);
}

#if WEFT_CENSUS
TEST(handoff_threads, are_asked_for_again_after_a_refusal) {
  runtime rt({.workers = 1, .report_stuck = false});
  os::refuse_thread_starts(0, 3);
  EXPECT_TRUE(rt.block_on(behind_one_that_computes()));
  os::refuse_thread_starts(0, 0);
  EXPECT_GE(rt.metrics().no_spare, 1u);
}
#endif

}  // namespace
}  // namespace weft
