#include "weft/channel/message_queue.hpp"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "weft/task/task_test_support.hpp"

namespace weft {
namespace {

using namespace test_support;

task<> recv_one(message_queue<int>& q, std::string& trace, char name) {
  const auto got = co_await q.recv();
  trace += name;
  trace += got ? std::to_string(*got) : "-";
}
task<> send_one(message_queue<int>& q, int value, std::string& trace) {
  auto sent = co_await q.send(value);
  trace += sent ? "s" : sent.status() == send_status::full ? "f" : "c";
  trace += std::to_string(sent ? value : sent.refused());
}
task<> look(message_queue<int>& q, std::string& trace) {
  const bool there = co_await q.readable();
  trace += there ? "!" : ".";
}

class message_queue_test : public ::testing::Test {
 protected:
  auto sends(message_queue<int>& q, int value) {
    return start(executor, send_one, std::ref(q), value, std::ref(trace));
  }
  auto recvs(message_queue<int>& q, char name) {
    return start(executor, recv_one, std::ref(q), std::ref(trace), name);
  }
  auto looks(message_queue<int>& q) { return start(executor, look, std::ref(q), std::ref(trace)); }
  static message_queue_stats books(std::uint64_t in, std::uint64_t out, std::uint64_t dropped,
                                   std::uint64_t most, std::uint64_t size) {
    EXPECT_EQ(in, out + dropped + size);
    return {in, out, dropped, most, size};
  }
  test_executor executor;
  std::string trace;
};

TEST_F(message_queue_test, drop_oldest_keeps_the_newest_and_counts_the_others) {
  message_queue<int> q(3, overflow::drop_oldest);
  for (int i = 0; i < 8; ++i) EXPECT_TRUE(q.try_send(i));
  EXPECT_EQ(q.stats(), books(8, 0, 5, 3, 3));
  for (int i = 5; i < 8; ++i) EXPECT_EQ(q.try_recv(), i);
  EXPECT_EQ(q.try_recv(), std::nullopt);
  EXPECT_EQ(q.stats(), books(8, 3, 5, 3, 0));
  auto a = sends(q, 9);
  executor.run_until_idle();
  EXPECT_EQ(trace, "s9");
}

TEST_F(message_queue_test, fail_gives_the_value_back_and_never_waits) {
  message_queue<int> q(1, overflow::fail);
  auto a = sends(q, 1), b = sends(q, 2);
  executor.run_until_idle();
  EXPECT_EQ(trace, "s1f2");
  auto refused = q.try_send(3);
  EXPECT_EQ(refused.status(), send_status::full);
  EXPECT_EQ(refused.refused(), 3);
  EXPECT_EQ(q.stats(), books(1, 0, 0, 1, 1));
}

TEST_F(message_queue_test, block_writer_waits_and_nobody_overtakes) {
  message_queue<int> q(1, overflow::block_writer);
  auto a = sends(q, 1), b = sends(q, 2), c = sends(q, 3);
  executor.run_until_idle();
  EXPECT_EQ(trace, "s1");
  EXPECT_EQ(q.try_recv(), 1);
  EXPECT_EQ(q.try_send(9).status(), send_status::full);  // the place that was freed is b's
  executor.run_until_idle();
  EXPECT_EQ(trace, "s1s2");
  EXPECT_EQ(q.try_recv(), 2);
  EXPECT_EQ(q.try_recv(), 3);
  EXPECT_EQ(q.stats(), books(3, 3, 0, 1, 0));
  executor.run_until_idle();
  EXPECT_EQ(trace, "s1s2s3");
}

TEST_F(message_queue_test, message_goes_to_the_reader_that_has_waited_longest) {
  for (const overflow policy : {overflow::drop_oldest, overflow::block_writer, overflow::fail}) {
    trace.clear();
    message_queue<int> q(1, policy);
    auto a = recvs(q, 'a'), b = recvs(q, 'b');
    executor.run_until_idle();
    EXPECT_TRUE(q.try_send(1));
    EXPECT_TRUE(q.try_send(2));
    EXPECT_EQ(q.try_recv(), std::nullopt);  // they are a's and b's, though those have not run yet
    EXPECT_EQ(q.stats(), books(2, 2, 0, 0, 0));
    executor.run_until_idle();
    EXPECT_EQ(trace, "a1b2");
  }
}

TEST_F(message_queue_test, dropped_message_is_destroyed_and_so_is_what_is_left) {
  const auto one = std::make_shared<int>(1);
  {
    message_queue<std::shared_ptr<int>> q(2, overflow::drop_oldest);
    for (int i = 0; i < 5; ++i) EXPECT_TRUE(q.try_send(one));
    EXPECT_EQ(one.use_count(), 3);
  }
  EXPECT_EQ(one.use_count(), 1);
}

// --- readable ---------------------------------------------------------------------------------------

TEST_F(message_queue_test, readable_wakes_all_that_look_and_takes_nothing) {
  message_queue<int> q(2);
  std::vector<started<void>> jobs;
  for (int i = 0; i < 70; ++i) jobs.push_back(looks(q));
  executor.run_until_idle();
  EXPECT_EQ(trace, "");
  EXPECT_TRUE(q.try_send(1));
  executor.run_until_idle();
  EXPECT_EQ(trace, std::string(70, '!'));
  EXPECT_EQ(q.size(), 1u);
  auto at_once = looks(q);
  executor.run_until_idle();
  EXPECT_TRUE(at_once.done());
}

TEST_F(message_queue_test, readable_is_woken_by_a_send_that_is_awaited_too) {
  message_queue<int> q(2);
  auto a = looks(q);
  executor.run_until_idle();
  auto b = start(
      executor,
      [](message_queue<int>& to) -> task<> {
        for (int i = 0; i < 2; ++i) {
          const auto sent = co_await to.send(i);
          EXPECT_TRUE(sent);
        }
      },
      std::ref(q));
  executor.run_until_idle();
  EXPECT_EQ(trace, "!");
}

TEST_F(message_queue_test, message_that_goes_to_a_reader_wakes_nobody_who_looks) {
  message_queue<int> q(2);
  auto a = recvs(q, 'a');
  auto b = looks(q);
  executor.run_until_idle();
  EXPECT_TRUE(q.try_send(1));
  executor.run_until_idle();
  EXPECT_EQ(trace, "a1");
  q.close();
  executor.run_until_idle();
  EXPECT_EQ(trace, "a1.");
}

// --- closing ----------------------------------------------------------------------------------------

TEST_F(message_queue_test, closing_gives_writers_their_values_back_and_keeps_what_is_in_line) {
  message_queue<int> q(1);
  auto a = sends(q, 1), b = sends(q, 2);
  executor.run_until_idle();
  q.close();
  executor.run_until_idle();
  EXPECT_EQ(trace, "s1c2");
  EXPECT_TRUE(q.closed());
  EXPECT_EQ(q.try_send(3).status(), send_status::closed);
  auto seen = looks(q);
  auto c = recvs(q, 'c'), d = recvs(q, 'd');
  executor.run_until_idle();
  EXPECT_EQ(trace, "s1c2!c1d-");
  q.close();  // again: nothing
}

TEST_F(message_queue_test, closing_wakes_readers) {
  message_queue<int> q(1);
  std::vector<started<void>> jobs;
  for (int i = 0; i < 40; ++i) jobs.push_back(recvs(q, 'x'));
  executor.run_until_idle();
  q.close();
  executor.run_until_idle();
  for (auto& j : jobs) EXPECT_TRUE(j.done());
  EXPECT_EQ(trace.size(), 80u);
}

TEST_F(message_queue_test, closed_one_drops_nothing_for_a_send) {
  message_queue<int> q(1, overflow::drop_oldest);
  EXPECT_TRUE(q.try_send(1));
  q.close();
  EXPECT_EQ(q.try_send(2).status(), send_status::closed);
  EXPECT_EQ(q.stats(), books(1, 0, 0, 1, 1));
}

// --- many -------------------------------------------------------------------------------------------

TEST_F(message_queue_test, recv_many_takes_what_is_there_and_lets_writers_in) {
  message_queue<int> q(4);
  std::vector<started<void>> writers;
  for (int i = 0; i < 7; ++i) writers.push_back(sends(q, i));
  executor.run_until_idle();
  std::vector<int> out{-1};
  auto many = [](message_queue<int>& from, std::vector<int>& into,
                 std::size_t max) -> task<std::size_t> {
    const auto n = co_await from.recv_many(into, max);
    co_return n;
  };
  auto a = start(executor, many, std::ref(q), std::ref(out), std::size_t{3});
  executor.run_until_idle();
  EXPECT_EQ(a.outcome().value(), 3u);
  auto b = start(executor, many, std::ref(q), std::ref(out), std::size_t{100});
  executor.run_until_idle();
  EXPECT_EQ(b.outcome().value(), 4u);
  EXPECT_EQ(out, (std::vector<int>{-1, 0, 1, 2, 3, 4, 5, 6}));
  auto none = start(executor, many, std::ref(q), std::ref(out), std::size_t{0});
  auto c = start(executor, many, std::ref(q), std::ref(out), std::size_t{9});
  executor.run_until_idle();
  EXPECT_EQ(none.outcome().value(), 0u);
  EXPECT_FALSE(c.done());
  q.close();
  executor.run_until_idle();
  EXPECT_EQ(c.outcome().value(), 0u);
  EXPECT_EQ(q.stats(), books(7, 7, 0, 4, 0));
}

// --- stops ------------------------------------------------------------------------------------------

TEST_F(message_queue_test, stopped_waits_have_had_no_effect) {
  message_queue<int> q(1);
  auto a = recvs(q, 'a'), b = recvs(q, 'b');
  auto seen = looks(q);
  executor.run_until_idle();
  a->stop(), seen->stop();
  EXPECT_TRUE(q.try_send(1));
  executor.run_until_idle();
  EXPECT_EQ(trace, "b1");
  EXPECT_TRUE(q.try_send(2));
  auto c = sends(q, 3), d = sends(q, 4);
  executor.run_until_idle();
  c->stop();
  EXPECT_EQ(q.try_recv(), 2);
  EXPECT_EQ(q.try_recv(), 4);
  executor.run_until_idle();
  EXPECT_TRUE(a.outcome().stopped() && c.outcome().stopped() && seen.outcome().stopped());
  EXPECT_EQ(q.stats(), books(3, 3, 0, 1, 0));
}

TEST_F(message_queue_test, job_that_was_stopped_before_drops_and_takes_nothing) {
  message_queue<int> q(1, overflow::drop_oldest);
  EXPECT_TRUE(q.try_send(1));
  auto a = recvs(q, 'a');
  auto b = sends(q, 2);
  a->stop(), b->stop();
  executor.run_until_idle();
  EXPECT_TRUE(a.outcome().stopped() && b.outcome().stopped());
  EXPECT_EQ(q.stats(), books(1, 0, 0, 1, 1));
}

TEST_F(message_queue_test, value_of_a_stopped_send_from_is_where_it_was) {
  message_queue<std::unique_ptr<int>> q(1);
  EXPECT_TRUE(q.try_send(nullptr));
  auto value = std::make_unique<int>(5);
  auto send = [](message_queue<std::unique_ptr<int>>& to, std::unique_ptr<int>& v) -> task<> {
    const auto status = co_await to.send_from(v);
    EXPECT_EQ(status, send_status::closed);
  };
  auto a = start(executor, send, std::ref(q), std::ref(value));
  executor.run_until_idle();
  a->stop();
  executor.run_until_idle();
  EXPECT_TRUE(a.outcome().stopped());
  ASSERT_TRUE(value);
  auto b = start(executor, send, std::ref(q), std::ref(value));
  executor.run_until_idle();
  q.close();
  executor.run_until_idle();
  EXPECT_TRUE(b.outcome().has_value());
  ASSERT_TRUE(value);
  EXPECT_EQ(*value, 5);
}

TEST_F(message_queue_test, loop_that_always_finds_a_message_gives_way_to_others) {
  message_queue<int> q(1000);
  for (int i = 0; i < 1000; ++i) EXPECT_TRUE(q.try_send(i));
  auto all = [](message_queue<int>& from) -> task<> {
    for (int n = 0; n < 1000; ++n) {
      const auto got = co_await from.recv();
      EXPECT_EQ(got, n);
    }
  };
  auto a = start(executor, all, std::ref(q));
  EXPECT_TRUE(executor.run_one());
  EXPECT_GE(q.size(), 1000u - test_executor::budget - 1);
  executor.run_until_idle();
  EXPECT_TRUE(a.done());
}

TEST(message_queue_death_test, capacity_of_none_is_refused) {
  EXPECT_DEATH(static_cast<void>(message_queue<int>(0)), "holds at least one message");
}

}  // namespace
}  // namespace weft
