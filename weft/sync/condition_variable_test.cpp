#include "weft/sync/condition_variable.hpp"

#include <gtest/gtest.h>

#include <deque>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "weft/sync/sync_test_support.hpp"

namespace weft {
namespace {

using namespace test_support;

struct shop {
  mutex m;
  condition_variable changed;
  int items = 0;
  std::string trace;
};

task<> buy(shop& s, char name) {
  auto held = co_await s.m.lock();
  co_await s.changed.wait(held, [&s] { return s.items > 0; });
  --s.items;
  s.trace += name;
}

class condition_variable_test : public ::testing::Test {
 protected:
  auto buys(char name) { return start(executor, buy, std::ref(s), name); }
  void deliver(int n) {
    const auto held = s.m.try_lock();
    ASSERT_TRUE(held);
    s.items += n;
  }
  test_executor executor;
  shop s;
};

TEST_F(condition_variable_test, waiting_lets_the_mutex_go) {
  auto a = buys('a');
  executor.run_until_idle();
  EXPECT_FALSE(s.m.is_locked());
  deliver(1);
  s.changed.notify_one();
  executor.run_until_idle();
  EXPECT_EQ(s.trace, "a");
  EXPECT_FALSE(s.m.is_locked());
}

// --- what need not wait

TEST_F(condition_variable_test, loop_over_what_holds_gives_way_and_sees_a_stop) {
  int times = 0;
  const auto loops = [](shop& the_s, int& n) -> task<> {
    auto held = co_await the_s.m.lock();
    for (; n < 10 * test_executor::budget; ++n) {
      co_await the_s.changed.wait(held, [] { return true; });
    }
  };
  auto job = start(executor, loops, std::ref(s), std::ref(times));
  EXPECT_TRUE(executor.run_one());
  EXPECT_LE(times, test_executor::budget + 1);
  EXPECT_TRUE(s.m.is_locked()) << "it keeps the lock while others run";
  job->stop();
  executor.run_until_idle();
  EXPECT_TRUE(job.outcome().stopped());
  EXPECT_LE(times, test_executor::budget + 1);
  EXPECT_FALSE(s.m.is_locked());
}

// --- who holds the mutex afterwards

struct held_after {
  bool ended = false, stopped = false, threw = false, held = false;
};
/// `held` outlives the wait, as where a stop is caught.
template <class Ready>
task<> waits_and_tells(shop& s, held_after& after, Ready ready) {
  auto held = co_await s.m.lock();
  try {
    auto wait = [](shop& the_s, mutex_guard& the_held, Ready the_ready) -> task<> {
      co_await the_s.changed.wait(the_held, the_ready);
    }(s, held, ready);
    const auto ended = co_await catch_stop(std::move(wait));
    after.stopped = !ended;
  } catch (const std::runtime_error&) {
    after.threw = true;
  }
  after.ended = true;
  after.held = static_cast<bool>(held);
}

TEST_F(condition_variable_test, wait_that_completes_holds_the_mutex) {
  held_after after;
  const auto ready = [this] { return s.items > 0; };
  auto job = start(executor, waits_and_tells<decltype(ready)>, std::ref(s), std::ref(after), ready);
  executor.run_until_idle();
  deliver(1);
  s.changed.notify_one();
  executor.run_until_idle();
  EXPECT_TRUE(after.ended && !after.stopped && after.held);
}

TEST_F(condition_variable_test, wait_that_is_stopped_while_it_waits_holds_nothing) {
  held_after after;
  const auto never = [] { return false; };
  auto job = start(executor, waits_and_tells<decltype(never)>, std::ref(s), std::ref(after), never);
  executor.run_until_idle();
  EXPECT_FALSE(s.m.is_locked());
  job->stop();
  executor.run_until_idle();
  EXPECT_TRUE(after.ended && after.stopped && !after.held);
}

TEST_F(condition_variable_test, wait_that_finds_a_stop_before_it_waits_holds_the_mutex) {
  held_after after;
  bool asked = false;
  const auto stops_itself = [&] {  // found by the first half of the wait
    asked = true;
    current_job()->stop();
    return false;
  };
  auto job = start(executor, waits_and_tells<decltype(stops_itself)>, std::ref(s), std::ref(after),
                   stops_itself);
  executor.run_until_idle();
  EXPECT_TRUE(asked);
  EXPECT_TRUE(after.ended && after.stopped && after.held);
  EXPECT_FALSE(s.m.is_locked());
}

TEST_F(condition_variable_test, what_ready_throws_comes_out_with_the_mutex_held) {
  for (const bool at_once : {true, false}) {
    held_after after;
    bool first = !at_once;
    const auto throws = [&first] {
      if (!std::exchange(first, false)) throw std::runtime_error("not ready");
      return false;
    };
    auto job =
        start(executor, waits_and_tells<decltype(throws)>, std::ref(s), std::ref(after), throws);
    executor.run_until_idle();
    s.changed.notify_one();
    executor.run_until_idle();
    EXPECT_TRUE(after.ended && after.threw && after.held);
  }
}

TEST_F(condition_variable_test, stop_that_meets_a_notification_lets_the_wait_complete) {
  held_after after;
  const auto ready = [this] { return s.items > 0; };
  auto job = start(executor, waits_and_tells<decltype(ready)>, std::ref(s), std::ref(after), ready);
  executor.run_until_idle();
  deliver(1);
  s.changed.notify_one();
  job->stop();
  executor.run_until_idle();
  EXPECT_TRUE(after.ended && !after.stopped && after.held);
}

TEST_F(condition_variable_test, one_notification_wakes_the_oldest) {
  auto a = buys('a'), b = buys('b');
  executor.run_until_idle();
  deliver(2);
  s.changed.notify_one();
  executor.run_until_idle();
  EXPECT_EQ(s.trace, "a");
  s.changed.notify_one();
  executor.run_until_idle();
  EXPECT_EQ(s.trace, "ab");
}

TEST_F(condition_variable_test, all_are_notified_and_come_in_one_by_one) {
  std::vector<started<void>> all;
  for (int i = 0; i < 70; ++i) all.push_back(buys('.'));
  executor.run_until_idle();
  deliver(70);
  s.changed.notify_all();
  executor.run_until_idle();
  EXPECT_EQ(s.trace.size(), 70u);
}

TEST_F(condition_variable_test, condition_that_holds_is_not_waited_for) {
  deliver(1);
  auto a = buys('a');
  executor.run_until_idle();
  EXPECT_EQ(s.trace, "a");
}

TEST_F(condition_variable_test, stopped_waiter_ends_without_the_lock) {
  auto a = buys('a');
  executor.run_until_idle();
  const auto held = s.m.try_lock();
  a->stop();
  executor.run_until_idle();
  EXPECT_TRUE(a.outcome().stopped());
  EXPECT_TRUE(s.m.is_locked());
}

TEST_F(condition_variable_test, notification_does_not_go_away_with_a_stopped_waiter) {
  auto a = buys('a'), b = buys('b');
  executor.run_until_idle();
  a->stop();
  deliver(1);
  s.changed.notify_one();
  executor.run_until_idle();
  EXPECT_EQ(s.trace, "b");
}

TEST_F(condition_variable_test, who_was_notified_gets_the_lock_although_it_is_stopped) {
  auto a = buys('a');
  executor.run_until_idle();
  auto held = s.m.try_lock();
  s.items = 1;
  s.changed.notify_one();
  executor.run_until_idle();  // a waits for the mutex
  a->stop();
  executor.run_until_idle();
  EXPECT_FALSE(a.done());
  held.unlock();
  executor.run_until_idle();
  EXPECT_EQ(s.trace, "a");
  EXPECT_FALSE(s.m.is_locked());
}

TEST_F(condition_variable_test, stopped_before_it_began_it_does_not_wait) {
  auto a = start(
      executor,
      [](shop& s) -> task<> {
        auto held = co_await s.m.lock();
        current_job()->stop();
        co_await s.changed.wait(held);
      },
      std::ref(s));
  executor.run_until_idle();
  EXPECT_TRUE(a.outcome().stopped());
  EXPECT_FALSE(s.m.is_locked());
}

using condition_workers = on_workers;
TEST_P(condition_workers, what_is_delivered_is_bought) {
  shop s;
  const auto deliver = [](shop& the_s) -> task<> {
    for (int i = 0; i < 500; ++i) {
      auto held = co_await the_s.m.lock();
      ++the_s.items;
      held.unlock();
      the_s.changed.notify_one();
    }
  };
  const auto buy_many = [](shop& the_s) -> task<> {
    for (int i = 0; i < 250; ++i) co_await buy(the_s, '.');
  };
  std::vector<join_handle<>> all;
  for (int i = 0; i < 4; ++i) all.push_back(rt.spawn(buy_many, std::ref(s)));
  for (int i = 0; i < 2; ++i) all.push_back(rt.spawn(deliver, std::ref(s)));
  for (auto& one : all) rt.block_on(one);
  EXPECT_EQ(s.items, 0);
  EXPECT_EQ(s.trace.size(), 1000u);
}
TEST_P(condition_workers, plain_threads_wait_too) {
  shop s;
  std::thread other([&] { block_on(buy(s, 't')); });
  rt.block_on(rt.spawn(
      [](shop& the_s) -> task<> {
        auto held = co_await the_s.m.lock();
        ++the_s.items;
        held.unlock();
        the_s.changed.notify_all();
      },
      std::ref(s)));
  other.join();
  EXPECT_EQ(s.trace, "t");
}
WEFT_ON_WORKERS(condition_workers);

}  // namespace
}  // namespace weft
