#include "weft/sync/notify.hpp"

#include <gtest/gtest.h>

#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "weft/sync/mutex.hpp"
#include "weft/sync/sync_test_support.hpp"

namespace weft {
namespace {

using namespace test_support;

class notify_test : public ::testing::Test {
 protected:
  auto waits_for_it(char name) {
    return waits(executor, trace, name, [this] { return n.wait(); });
  }
  test_executor executor;
  notify n;
  std::string trace;
};

TEST_F(notify_test, oldest_waiter_is_notified) {
  auto a = waits_for_it('a'), b = waits_for_it('b');
  executor.run_until_idle();
  n.notify_one();
  executor.run_until_idle();
  EXPECT_EQ(trace, "a");
  n.notify_one();
  executor.run_until_idle();
  EXPECT_EQ(trace, "ab");
}

TEST_F(notify_test, one_notification_is_kept_for_the_next_wait) {
  n.notify_one();
  n.notify_one();
  auto a = waits_for_it('a'), b = waits_for_it('b');
  executor.run_until_idle();
  EXPECT_EQ(trace, "a");
  n.notify_one();
  executor.run_until_idle();
}

TEST_F(notify_test, all_that_wait_are_notified_and_nothing_is_kept) {
  n.notify_all();
  auto a = waits_for_it('a'), b = waits_for_it('b');
  executor.run_until_idle();
  EXPECT_EQ(trace, "");
  n.notify_all();
  executor.run_until_idle();
  EXPECT_EQ(trace, "ab");
  auto c = waits_for_it('c');
  executor.run_until_idle();
  EXPECT_EQ(trace, "ab");
  c->stop();
  executor.run_until_idle();
}

TEST_F(notify_test, notify_all_leaves_the_permit_that_is_kept) {
  n.notify_one();
  n.notify_all();
  auto a = waits_for_it('a');
  executor.run_until_idle();
  EXPECT_EQ(trace, "a");
}

TEST_F(notify_test, notification_does_not_go_away_with_a_stopped_waiter) {
  auto a = waits_for_it('a'), b = waits_for_it('b');
  executor.run_until_idle();
  a->stop();
  n.notify_one();
  executor.run_until_idle();
  EXPECT_EQ(trace, "b");
}

TEST_F(notify_test, who_was_notified_is_not_stopped_any_more) {
  auto a = waits_for_it('a');
  executor.run_until_idle();
  n.notify_one();
  a->stop();
  executor.run_until_idle();
  EXPECT_EQ(trace, "a");
}

TEST_F(notify_test, stopped_before_it_began_it_uses_up_nothing) {
  n.notify_one();
  auto a = start(
      executor,
      [](notify& n) -> task<> {
        current_job()->stop();
        co_await n.wait();
      },
      std::ref(n));
  auto b = waits_for_it('b');
  executor.run_until_idle();
  EXPECT_TRUE(a.outcome().stopped());
  EXPECT_EQ(trace, "b");
}

using notify_workers = on_workers;
TEST_P(notify_workers, no_item_is_left_while_consumers_sleep) {
  constexpr int items = 3000;
  mutex m;
  std::deque<int> queue;
  notify changed;
  long sum = 0;
  const auto consume = [](mutex& the_m, std::deque<int>& the_queue, notify& the_changed,
                          long& the_sum) -> task<> {
    for (int left = items / 2; left > 0;) {
      {
        const auto held = co_await the_m.lock();
        for (; left > 0 && !the_queue.empty(); --left) {
          the_sum += the_queue.front();
          the_queue.pop_front();
        }
        if (!the_queue.empty()) the_changed.notify_one();
      }
      if (left > 0) co_await the_changed.wait();
    }
    the_changed.notify_one();  // a notification for the other one may have come here
  };
  const auto produce = [](mutex& the_m, std::deque<int>& the_queue, notify& the_changed) -> task<> {
    for (int i = 0; i < items; ++i) {
      {
        const auto held = co_await the_m.lock();
        the_queue.push_back(i);
      }
      the_changed.notify_one();
    }
  };
  std::vector<join_handle<>> all;
  for (int i = 0; i < 2; ++i) {
    all.push_back(
        rt.spawn(consume, std::ref(m), std::ref(queue), std::ref(changed), std::ref(sum)));
  }
  all.push_back(rt.spawn(produce, std::ref(m), std::ref(queue), std::ref(changed)));
  for (auto& one : all) rt.block_on(one);
  EXPECT_EQ(sum, static_cast<long>(items) * (items - 1) / 2);
}
WEFT_ON_WORKERS(notify_workers);

}  // namespace
}  // namespace weft
