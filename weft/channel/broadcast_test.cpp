#include "weft/channel/broadcast.hpp"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "weft/task/task_test_support.hpp"

namespace weft {
namespace {

using namespace test_support;

std::string text(const broadcast_result<int>& got) {
  if (got) return std::to_string(*got);
  switch (got.error().why) {
    case broadcast_lack::lagged:
      return "lost" + std::to_string(got.error().missed);
    case broadcast_lack::closed:
      return "closed";
    case broadcast_lack::empty:
      return "empty";
  }
  return "?";
}

task<> recv_one(broadcast_receiver<int>& from, std::string& trace, char name) {
  const auto got = co_await from.recv();
  trace += name;
  trace += text(got);
}

class broadcast_test : public ::testing::Test {
 protected:
  auto recvs(broadcast_receiver<int>& from, char name) {
    return start(executor, recv_one, std::ref(from), std::ref(trace), name);
  }
  test_executor executor;
  std::string trace;
};

TEST_F(broadcast_test, every_receiver_sees_every_message_in_order) {
  auto [to, a] = broadcast<int>(8);
  auto b = to.subscribe();
  for (int i = 0; i < 5; ++i) EXPECT_EQ(to.send(i), 2u);
  for (int i = 0; i < 5; ++i) {
    EXPECT_EQ(text(a.try_recv()), std::to_string(i));
    EXPECT_EQ(text(b.try_recv()), std::to_string(i));
  }
  EXPECT_EQ(text(a.try_recv()), "empty");
  EXPECT_EQ(text(b.try_recv()), "empty");
}

TEST_F(broadcast_test, message_wakes_all_that_wait_however_many_batches) {
  auto ends = broadcast<int>(2);
  std::vector<broadcast_receiver<int>> receivers(100, ends.receiver);
  std::vector<started<void>> jobs;
  for (auto& r : receivers) jobs.push_back(recvs(r, 'x'));
  executor.run_until_idle();
  EXPECT_EQ(ends.sender.send(7), 101u);
  executor.run_until_idle();
  for (auto& j : jobs) EXPECT_TRUE(j.done());
  EXPECT_EQ(trace.size(), 200u);
}

TEST_F(broadcast_test, receiver_that_falls_behind_is_told_how_many_it_missed_then_goes_on) {
  auto [to, slow] = broadcast<int>(3);  // exact, though no power of two
  auto fast = to.subscribe();
  for (int i = 0; i < 8; ++i) {
    to.send(i);
    EXPECT_EQ(text(fast.try_recv()), std::to_string(i));
  }
  EXPECT_EQ(slow.size(), 8u);
  EXPECT_EQ(text(slow.try_recv()), "lost5");
  EXPECT_EQ(slow.size(), 3u);
  EXPECT_EQ(text(slow.try_recv()), "5");
  to.send(8);
  EXPECT_EQ(text(slow.try_recv()), "6");
  EXPECT_EQ(text(slow.try_recv()), "7");
  EXPECT_EQ(text(slow.try_recv()), "8");
  EXPECT_EQ(text(slow.try_recv()), "empty");
}

TEST_F(broadcast_test, receiver_that_is_full_but_not_over_has_lost_nothing) {
  auto [to, from] = broadcast<int>(4);
  for (int i = 0; i < 4; ++i) to.send(i);
  for (int i = 0; i < 4; ++i) EXPECT_EQ(text(from.try_recv()), std::to_string(i));
}

TEST_F(broadcast_test, lag_grows_until_it_is_told_of) {
  auto [to, from] = broadcast<int>(2);
  for (int i = 0; i < 4; ++i) to.send(i);
  EXPECT_EQ(text(from.try_recv()), "lost2");
  for (int i = 4; i < 9; ++i) to.send(i);
  EXPECT_EQ(text(from.try_recv()), "lost5");
  EXPECT_EQ(text(from.try_recv()), "7");
  EXPECT_EQ(text(from.try_recv()), "8");
}

TEST_F(broadcast_test, woken_receiver_that_is_late_lags) {
  auto [to, from] = broadcast<int>(1);
  auto a = recvs(from, 'a');
  executor.run_until_idle();
  for (int i = 0; i < 3; ++i) to.send(i);  // before it runs
  executor.run_until_idle();
  EXPECT_EQ(trace, "alost2");
  EXPECT_EQ(text(from.try_recv()), "2");
}

TEST_F(broadcast_test, subscriber_sees_only_what_comes_later) {
  auto [to, a] = broadcast<int>(4);
  to.send(1);
  auto b = to.subscribe();
  auto c = a.subscribe();
  to.send(2);
  EXPECT_EQ(text(b.try_recv()), "2");
  EXPECT_EQ(text(c.try_recv()), "2");
  EXPECT_EQ(text(a.try_recv()), "1");
}

TEST_F(broadcast_test, copy_of_a_receiver_starts_where_the_original_is) {
  auto [to, a] = broadcast<int>(2);
  to.send(1);
  to.send(2);
  EXPECT_EQ(text(a.try_recv()), "1");
  auto b = a;
  EXPECT_EQ(text(a.try_recv()), "2");
  EXPECT_EQ(text(b.try_recv()), "2");
  to.send(3), to.send(4), to.send(5);
  auto late = b;
  EXPECT_EQ(text(b.try_recv()), "lost1");
  EXPECT_EQ(text(late.try_recv()), "lost1");
  EXPECT_EQ(text(late.try_recv()), "4");
  EXPECT_EQ(text(b.try_recv()), "4");
}

// --- closing and going ----------------------------------------------------------------------------

TEST_F(broadcast_test, last_sender_closes_it_and_what_is_left_still_comes) {
  auto [to, from] = broadcast<int>(4);
  {
    broadcast_sender<int> first = std::move(to);
    broadcast_sender<int> second = first;
    first.send(1), second.send(2);
    {
      const broadcast_sender<int> gone = std::move(first);
    }
    EXPECT_FALSE(from.closed());
  }
  EXPECT_TRUE(from.closed());
  EXPECT_EQ(text(from.try_recv()), "1");
  EXPECT_EQ(text(from.try_recv()), "2");
  EXPECT_EQ(text(from.try_recv()), "closed");
  auto a = recvs(from, 'a');
  executor.run_until_idle();
  EXPECT_EQ(trace, "aclosed");
}

TEST_F(broadcast_test, lag_is_told_of_after_closing_too) {
  auto ends = broadcast<int>(1);
  {
    const auto to = std::move(ends.sender);
    to.send(1), to.send(2);
  }
  EXPECT_EQ(text(ends.receiver.try_recv()), "lost1");
  EXPECT_EQ(text(ends.receiver.try_recv()), "2");
  EXPECT_EQ(text(ends.receiver.try_recv()), "closed");
}

TEST_F(broadcast_test, last_sender_wakes_all_receivers_that_wait) {
  auto ends = broadcast<int>(1);
  auto b = ends.receiver;
  auto first = recvs(ends.receiver, 'a'), second = recvs(b, 'b');
  executor.run_until_idle();
  {
    const auto gone = std::move(ends.sender);
  }
  executor.run_until_idle();
  EXPECT_EQ(trace, "aclosedbclosed");
}

TEST_F(broadcast_test, subscriber_of_a_closed_one_finds_the_end) {
  auto ends = broadcast<int>(2);
  {
    const auto gone = std::move(ends.sender);
    gone.send(1);
  }
  auto late = ends.receiver.subscribe();
  EXPECT_EQ(text(late.try_recv()), "closed");
  EXPECT_EQ(text(ends.receiver.try_recv()), "1");
}

TEST_F(broadcast_test, message_to_nobody_is_not_there_for_who_subscribes_later) {
  auto ends = broadcast<int>(2);
  {
    const auto gone = std::move(ends.receiver);
  }
  EXPECT_EQ(ends.sender.receivers(), 0u);
  EXPECT_EQ(ends.sender.send(1), 0u);
  auto late = ends.sender.subscribe();
  EXPECT_EQ(text(late.try_recv()), "empty");
  EXPECT_EQ(ends.sender.send(2), 1u);
  EXPECT_EQ(text(late.try_recv()), "2");
}

TEST_F(broadcast_test, receiver_that_goes_while_others_wait_takes_nothing_from_them) {
  auto [to, a] = broadcast<int>(4);
  auto job = recvs(a, 'a');
  executor.run_until_idle();
  {
    auto b = to.subscribe();
    EXPECT_EQ(to.send(1), 2u);
  }
  executor.run_until_idle();
  EXPECT_EQ(trace, "a1");
  EXPECT_EQ(to.receivers(), 1u);
}

// --- what a message holds ---------------------------------------------------------------------------

TEST(broadcast_messages, message_goes_when_the_last_receiver_has_it) {
  auto [to, a] = broadcast<std::shared_ptr<int>>(4);
  auto b = a;
  const auto one = std::make_shared<int>(1);
  to.send(one);
  EXPECT_EQ(one.use_count(), 2);
  EXPECT_EQ(**a.try_recv(), 1);
  EXPECT_EQ(one.use_count(), 2);
  EXPECT_EQ(**b.try_recv(), 1);
  EXPECT_EQ(one.use_count(), 1);
}

TEST(broadcast_messages, what_only_a_receiver_that_goes_had_to_see_is_destroyed) {
  for (const int after : {0, 2, 40, 64}) {  // lost before it goes, with a batch of the leaving
    auto [to, a] = broadcast<std::shared_ptr<int>>(64);
    const auto one = std::make_shared<int>(1);
    {
      auto b = to.subscribe();
      for (int i = 0; i < 50; ++i) to.send(one);
      while (a.try_recv()) {
      }
      for (int i = 0; i < after; ++i) to.send(nullptr);
      EXPECT_EQ(one.use_count(), 1 + std::min(50, 64 - after));
    }
    EXPECT_EQ(one.use_count(), 1);
    for (int i = 0; i < after; ++i) EXPECT_TRUE(a.try_recv());
    EXPECT_EQ(a.try_recv().error().why, broadcast_lack::empty);
  }
}

TEST(broadcast_messages, lost_message_is_destroyed_at_once) {
  auto [to, a] = broadcast<std::shared_ptr<int>>(1);
  const auto one = std::make_shared<int>(1);
  to.send(one);
  EXPECT_EQ(one.use_count(), 2);
  to.send(nullptr);
  EXPECT_EQ(one.use_count(), 1);
}

struct holds_its_channel {
  std::shared_ptr<broadcast_sender<holds_its_channel>> to;
};
TEST(broadcast_messages, message_that_holds_its_own_channel_leaks_nothing) {
  for (const bool overwritten : {true, false}) {
    auto ends = broadcast<holds_its_channel>(1);
    auto to = std::make_shared<broadcast_sender<holds_its_channel>>(std::move(ends.sender));
    to->send({std::make_shared<broadcast_sender<holds_its_channel>>(*to)});
    if (overwritten) to->send({});
    to.reset();
    {
      const auto gone = std::move(ends.receiver);
    }
  }
}

struct throws_on_copy {
  throws_on_copy(int v, bool* t) : value(v), throws(t) {}
  throws_on_copy(const throws_on_copy& o) : value(o.value), throws(o.throws) {
    if (*throws) throw std::bad_alloc();
  }
  throws_on_copy(throws_on_copy&&) noexcept = default;
  throws_on_copy& operator=(throws_on_copy&&) noexcept = default;
  int value;
  bool* throws;
};
TEST(broadcast_messages, copy_that_throws_leaves_the_message_to_be_received) {
  bool throws = false;
  auto [to, a] = broadcast<throws_on_copy>(4);
  auto b = a;
  to.send({5, &throws});
  throws = true;
  EXPECT_THROW(static_cast<void>(a.try_recv()), std::bad_alloc);
  const auto outcome = test_support::run(
      [](broadcast_receiver<throws_on_copy>& from) -> task<int> {
        const auto got = co_await from.recv();
        co_return got->value;
      },
      std::ref(a));
  EXPECT_NE(outcome.exception(), nullptr);
  throws = false;
  EXPECT_EQ(a.try_recv()->value, 5);
  throws = true;  // the last one has it without a copy
  EXPECT_EQ(b.try_recv()->value, 5);
}

// --- stops and budget -------------------------------------------------------------------------------

TEST_F(broadcast_test, stopped_receiver_has_received_nothing) {
  auto [to, from] = broadcast<int>(2);
  auto a = recvs(from, 'a');
  executor.run_until_idle();
  a->stop();
  to.send(1);
  executor.run_until_idle();
  EXPECT_TRUE(a.outcome().stopped());
  EXPECT_EQ(text(from.try_recv()), "1");
}

TEST_F(broadcast_test, receiver_that_was_woken_is_not_stopped_any_more) {
  auto [to, from] = broadcast<int>(2);
  auto a = recvs(from, 'a');
  executor.run_until_idle();
  to.send(1);
  a->stop();
  executor.run_until_idle();
  EXPECT_EQ(trace, "a1");
}

TEST_F(broadcast_test, job_that_was_stopped_takes_nothing_though_it_is_there) {
  auto [to, from] = broadcast<int>(2);
  to.send(1);
  auto a = recvs(from, 'a');
  a->stop();
  executor.run_until_idle();
  EXPECT_TRUE(a.outcome().stopped());
  EXPECT_EQ(text(from.try_recv()), "1");
}

TEST_F(broadcast_test, loop_that_always_finds_a_message_gives_way_to_others) {
  auto [to, from] = broadcast<int>(1000);
  for (int i = 0; i < 1000; ++i) to.send(i);
  auto all = [](broadcast_receiver<int>& r) -> task<int> {
    for (int n = 0;; ++n) {
      const auto got = co_await r.recv();
      if (!got || *got == 999) co_return n;
    }
  };
  auto a = start(executor, all, std::ref(from));
  EXPECT_TRUE(executor.run_one());
  EXPECT_GE(from.size(), 1000u - test_executor::budget - 1);
  executor.run_until_idle();
  EXPECT_EQ(a.outcome().value(), 999);
}

TEST(broadcast_death_test, capacity_of_none_is_refused) {
  EXPECT_DEATH(static_cast<void>(broadcast<int>(0)), "keeps at least one message");
}

}  // namespace
}  // namespace weft
