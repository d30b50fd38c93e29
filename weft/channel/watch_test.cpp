#include "weft/channel/watch.hpp"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "weft/task/task_test_support.hpp"

namespace weft {
namespace {

using namespace test_support;

task<bool> change_of(watch_receiver<int>& from) {
  const bool newer = co_await from.changed();
  co_return newer;
}

class watch_test : public ::testing::Test {
 protected:
  auto changes(watch_receiver<int>& from) { return start(executor, change_of, std::ref(from)); }
  bool changed_now(watch_receiver<int>& from) {
    auto job = changes(from);
    executor.run_until_idle();
    return job.outcome().value();
  }
  test_executor executor;
};

TEST_F(watch_test, initial_value_is_there_and_seen) {
  auto [to, from] = watch(1);
  EXPECT_EQ(*from.borrow(), 1);
  EXPECT_EQ(to.get(), 1);
  EXPECT_FALSE(from.has_changed());
  auto a = changes(from);
  executor.run_until_idle();
  EXPECT_FALSE(a.done());
  EXPECT_EQ(to.send(2), 1u);
  executor.run_until_idle();
  EXPECT_TRUE(a.outcome().value());
  EXPECT_EQ(from.get(), 2);
}

TEST_F(watch_test, newest_value_counts_and_is_reported_once) {
  auto [to, from] = watch(0);
  for (int i = 1; i <= 5; ++i) to.send(i);
  EXPECT_TRUE(changed_now(from));
  EXPECT_EQ(from.get(), 5);
  EXPECT_FALSE(from.has_changed());
}

TEST_F(watch_test, each_receiver_sees_it_for_itself_and_a_copy_has_seen_the_same) {
  auto [to, a] = watch(0);
  to.send(1);
  auto b = a;
  EXPECT_TRUE(changed_now(a));
  EXPECT_TRUE(b.has_changed());
  auto c = a;
  EXPECT_FALSE(c.has_changed());
  EXPECT_TRUE(changed_now(b));
  EXPECT_EQ(to.receivers(), 3u);
}

TEST_F(watch_test, subscriber_has_seen_the_newest_value) {
  auto [to, from] = watch(0);
  to.send(1);
  auto late = to.subscribe();
  EXPECT_FALSE(late.has_changed());
  EXPECT_EQ(late.get(), 1);
  auto later = from.subscribe();
  EXPECT_FALSE(later.has_changed());
  to.send(2);
  EXPECT_TRUE(late.has_changed() && later.has_changed());
}

TEST_F(watch_test, only_borrow_and_see_counts_as_seen) {
  auto [to, from] = watch(0);
  to.send(1);
  EXPECT_EQ(*from.borrow() + from.get() + from.read([](int v) { return v; }), 3);
  EXPECT_TRUE(from.has_changed());
  EXPECT_EQ(*from.borrow_and_see(), 1);
  EXPECT_FALSE(from.has_changed());
}

TEST_F(watch_test, send_wakes_all_that_wait_however_many_batches) {
  auto ends = watch(0);
  std::vector<watch_receiver<int>> receivers(100, ends.receiver);
  std::vector<started<bool>> jobs;
  for (auto& r : receivers) jobs.push_back(changes(r));
  executor.run_until_idle();
  EXPECT_EQ(ends.sender.send(1), 101u);
  executor.run_until_idle();
  for (auto& j : jobs) EXPECT_TRUE(j.outcome().value());
}

TEST_F(watch_test, value_that_is_lent_stays_as_it_is_and_hinders_nobody) {
  auto [to, from] = watch(std::string("one"));
  auto lent = from.borrow();
  for (int i = 0; i < 10; ++i) to.send("x");
  to.send("two");
  EXPECT_EQ(*lent, "one");
  EXPECT_EQ(lent->size(), 3u);
  EXPECT_EQ(*from.borrow(), "two");
  lent = from.borrow();
  EXPECT_EQ(*lent, "two");
}

TEST_F(watch_test, value_that_is_lent_outlives_all_handles) {
  auto ends = std::make_unique<watch_ends<std::string>>(watch(std::string(100, 'x')));
  const auto lent = ends->receiver.borrow();
  ends.reset();
  EXPECT_EQ(*lent, std::string(100, 'x'));
}

TEST_F(watch_test, values_are_destroyed_when_nobody_can_see_them) {
  const auto one = std::make_shared<int>(1);
  auto [to, from] = watch(one);
  EXPECT_EQ(one.use_count(), 2);
  {
    const auto lent = from.borrow();
    to.send(nullptr);
    EXPECT_EQ(one.use_count(), 2);
  }
  EXPECT_EQ(one.use_count(), 1);
  to.send(one);
  to.send(nullptr);
  EXPECT_EQ(one.use_count(), 1);
}

struct holds_its_watch {
  std::shared_ptr<watch_receiver<holds_its_watch>> from;
};
TEST_F(watch_test, value_that_holds_its_own_watch_may_be_replaced) {
  auto ends = watch(holds_its_watch{});
  ends.sender.send({std::make_shared<watch_receiver<holds_its_watch>>(ends.receiver)});
  EXPECT_EQ(ends.sender.send({}), 2u);
  EXPECT_EQ(ends.sender.receivers(), 1u);
}

TEST_F(watch_test, send_if_modified_sends_what_f_changed_if_it_says_so) {
  auto [to, from] = watch(1);
  EXPECT_FALSE(to.send_if_modified([](int& v) { return v = 9, false; }));
  EXPECT_EQ(from.get(), 1);
  EXPECT_FALSE(from.has_changed());
  EXPECT_TRUE(to.send_if_modified([](int& v) { return v += 4, true; }));
  EXPECT_EQ(from.get(), 5);
  EXPECT_TRUE(from.has_changed());
}

TEST_F(watch_test, send_if_modified_overwrites_nothing_unseen) {
  auto [to, from] = watch(1);
  int calls = 0;
  EXPECT_TRUE(to.send_if_modified([&](int& v) {
    if (calls++ == 0) to.send(10);  // another sender was faster
    return v += 1, true;
  }));
  EXPECT_EQ(calls, 2);
  EXPECT_EQ(from.get(), 11);
}

TEST_F(watch_test, send_if_modified_that_throws_has_changed_nothing) {
  auto [to, from] = watch(std::make_shared<int>(1));
  const auto fail = [](std::shared_ptr<int>& v) -> bool {
    v.reset();
    throw 1;
  };
  EXPECT_THROW(to.send_if_modified(fail), int);
  EXPECT_FALSE(from.has_changed());
  EXPECT_EQ(from.get().use_count(), 2);
}

// --- closing --------------------------------------------------------------------------------------

TEST_F(watch_test, last_sender_ends_the_waits) {
  auto ends = watch(0);
  auto other = ends.sender;
  auto a = changes(ends.receiver);
  executor.run_until_idle();
  {
    const auto gone = std::move(ends.sender);
  }
  executor.run_until_idle();
  EXPECT_FALSE(a.done());
  {
    const auto gone = std::move(other);
  }
  executor.run_until_idle();
  EXPECT_FALSE(a.outcome().value());
  EXPECT_TRUE(ends.receiver.closed());
  EXPECT_EQ(ends.receiver.get(), 0);
}

TEST_F(watch_test, last_value_is_reported_after_its_sender_went) {
  auto ends = watch(0);
  {
    const auto to = std::move(ends.sender);
    to.send(1);
  }
  EXPECT_TRUE(changed_now(ends.receiver));
  EXPECT_EQ(ends.receiver.get(), 1);
  EXPECT_FALSE(changed_now(ends.receiver));
}

TEST_F(watch_test, value_that_is_sent_to_nobody_is_kept_for_who_subscribes) {
  auto ends = watch(0);
  {
    const auto gone = std::move(ends.receiver);
  }
  EXPECT_EQ(ends.sender.send(4), 0u);
  EXPECT_EQ(ends.sender.subscribe().get(), 4);
}

// --- wait_for -------------------------------------------------------------------------------------

task<int> wait_until(watch_receiver<int>& from, int least) {
  const auto got = co_await from.wait_for([least](int v) { return v >= least; });
  co_return got ? **got : -1;
}

TEST_F(watch_test, wait_for_looks_at_the_newest_value_first_then_at_those_that_come) {
  auto [to, from] = watch(3);
  auto at_once = start(executor, wait_until, std::ref(from), 3);
  executor.run_until_idle();
  EXPECT_EQ(at_once.outcome().value(), 3);
  auto a = start(executor, wait_until, std::ref(from), 5);
  executor.run_until_idle();
  to.send(4);
  executor.run_until_idle();
  EXPECT_FALSE(a.done());
  to.send(6);
  executor.run_until_idle();
  EXPECT_EQ(a.outcome().value(), 6);
  EXPECT_FALSE(from.has_changed());
}

TEST_F(watch_test, wait_for_ends_with_the_last_sender_after_a_look_at_the_last_value) {
  auto ends = watch(0);
  auto other = ends.receiver;
  auto never = start(executor, wait_until, std::ref(ends.receiver), 9);
  auto last = start(executor, wait_until, std::ref(other), 2);
  executor.run_until_idle();
  {
    const auto to = std::move(ends.sender);
    to.send(2);
  }
  executor.run_until_idle();
  EXPECT_EQ(never.outcome().value(), -1);
  EXPECT_EQ(last.outcome().value(), 2);
}

TEST_F(watch_test, predicate_that_throws_comes_out_of_wait_for) {
  auto [to, from] = watch(0);
  auto a = start(
      executor,
      [](watch_receiver<int>& r) -> task<> {
        const auto got = co_await r.wait_for([](int) -> bool { throw 1; });
        static_cast<void>(got);
      },
      std::ref(from));
  executor.run_until_idle();
  EXPECT_NE(a.outcome().exception(), nullptr);
  EXPECT_EQ(to.send(1), 1u);
}

// --- stops ----------------------------------------------------------------------------------------

TEST_F(watch_test, stopped_changed_has_seen_nothing) {
  auto [to, from] = watch(0);
  auto a = changes(from);
  executor.run_until_idle();
  a->stop();
  to.send(1);
  executor.run_until_idle();
  EXPECT_TRUE(a.outcome().stopped());
  EXPECT_TRUE(from.has_changed());
  auto b = changes(from);
  b->stop();  // though it would not wait
  executor.run_until_idle();
  EXPECT_TRUE(b.outcome().stopped());
  EXPECT_TRUE(changed_now(from));
}

TEST_F(watch_test, woken_changed_is_not_stopped_any_more) {
  auto [to, from] = watch(0);
  auto a = changes(from);
  executor.run_until_idle();
  to.send(1);
  a->stop();
  executor.run_until_idle();
  EXPECT_TRUE(a.outcome().value());
}

}  // namespace
}  // namespace weft
