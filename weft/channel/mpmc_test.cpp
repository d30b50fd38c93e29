#include "weft/channel/mpmc.hpp"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "weft/task/shield_scope.hpp"
#include "weft/task/task_test_support.hpp"
#include "weft/together/catch_stop.hpp"

namespace weft {
namespace {

using namespace test_support;

task<> send_all(sender<int> to, int begin, int end) {
  for (int i = begin; i != end; ++i) {
    const auto sent = co_await to.send(i);
    if (!sent) co_return;
  }
}

task<> recv_all(receiver<int> from, std::vector<int>& into) {
  for (;;) {
    const auto got = co_await from.recv();
    if (!got) co_return;
    into.push_back(*got);
  }
}

task<> recv_one(const receiver<int>& from, std::string& trace, char name) {
  const auto got = co_await from.recv();
  trace += name;
  trace += got ? std::to_string(*got) : "-";
}

task<> send_one(const sender<int>& to, int value, std::string& trace) {
  const auto sent = co_await to.send(value);
  trace += sent ? "s" : "r";
  trace += std::to_string(value);
}

class channel_test : public ::testing::Test {
 protected:
  auto sends(const sender<int>& to, int value) {
    return start(executor, send_one, std::ref(to), value, std::ref(trace));
  }
  auto recvs(const receiver<int>& from, char name) {
    return start(executor, recv_one, std::ref(from), std::ref(trace), name);
  }
  test_executor executor;
  std::string trace;
};

// --- order ----------------------------------------------------------------------------------------

TEST_F(channel_test, messages_come_in_the_order_in_which_they_were_sent_at_every_capacity) {
  for (std::size_t capacity : {0u, 1u, 2u, 3u, 4u, 7u, 8u, 64u, 1000u}) {
    std::vector<int> got;
    auto [to, from] = channel<int>(capacity);
    auto s = start(executor, send_all, std::move(to), 0, 300);
    auto r = start(executor, recv_all, std::move(from), std::ref(got));
    executor.run_until_idle();
    ASSERT_TRUE(s.done() && r.done()) << capacity;
    ASSERT_EQ(got.size(), 300u) << capacity;
    for (int i = 0; i < 300; ++i) ASSERT_EQ(got[static_cast<std::size_t>(i)], i) << capacity;
  }
}

TEST_F(channel_test, unbounded_one_keeps_the_order_however_its_segments_turn) {
  auto [to, from] = unbounded<int>();
  int sent = 0, received = 0;
  for (int fill : {1, 63, 64, 65, 200, 5, 1000, 64, 3}) {
    for (int i = 0; i < fill; ++i) ASSERT_TRUE(to.try_send(sent++));
    const int leave = fill % 3;
    while (sent - received > leave) {
      const auto got = from.try_recv();
      ASSERT_TRUE(got);
      ASSERT_EQ(*got, received++);
    }
  }
  EXPECT_EQ(from.size(), static_cast<std::size_t>(sent - received));
}

TEST_F(channel_test, receivers_are_served_in_the_order_in_which_they_came) {
  auto [to, from] = channel<int>(4);
  auto a = recvs(from, 'a'), b = recvs(from, 'b'), c = recvs(from, 'c');
  executor.run_until_idle();
  for (int i = 1; i <= 3; ++i) EXPECT_TRUE(to.try_send(i));
  executor.run_until_idle();
  EXPECT_EQ(trace, "a1b2c3");
}

TEST_F(channel_test, nobody_overtakes_a_waiting_sender) {
  auto [to, from] = channel<int>(1);
  EXPECT_TRUE(to.try_send(0));
  auto a = sends(to, 1), b = sends(to, 2);
  executor.run_until_idle();
  EXPECT_EQ(trace, "");
  EXPECT_EQ(from.try_recv(), 0);
  // The place that was freed is taken already.
  EXPECT_EQ(to.try_send(9).status(), send_status::full);
  EXPECT_EQ(from.try_recv(), 1);
  EXPECT_EQ(from.try_recv(), 2);
  EXPECT_EQ(from.try_recv(), std::nullopt);
  executor.run_until_idle();
  EXPECT_EQ(trace, "s1s2");
}

TEST_F(channel_test, nobody_overtakes_a_waiting_receiver) {
  auto [to, from] = channel<int>(4);
  auto a = recvs(from, 'a');
  executor.run_until_idle();
  EXPECT_TRUE(to.try_send(7));
  EXPECT_EQ(from.try_recv(), std::nullopt);  // it is a's, though a has not run yet
  executor.run_until_idle();
  EXPECT_EQ(trace, "a7");
}

TEST_F(channel_test, rendezvous_send_ends_when_its_value_is_taken) {
  auto [to, from] = channel<int>(0);
  EXPECT_EQ(to.try_send(1).status(), send_status::full);
  auto a = sends(to, 5);
  executor.run_until_idle();
  EXPECT_EQ(trace, "");
  EXPECT_EQ(from.size(), 0u);
  EXPECT_EQ(from.try_recv(), 5);
  executor.run_until_idle();
  EXPECT_EQ(trace, "s5");
  auto b = recvs(from, 'b');
  executor.run_until_idle();
  EXPECT_TRUE(to.try_send(6));  // somebody waits for it
  executor.run_until_idle();
  EXPECT_EQ(trace, "s5b6");
}

// --- closing --------------------------------------------------------------------------------------

TEST_F(channel_test, last_sender_closes_it_and_what_is_in_line_still_comes) {
  auto [to, from] = channel<int>(4);
  {
    sender<int> first = std::move(to);
    sender<int> second = first;
    EXPECT_TRUE(first.try_send(1));
    EXPECT_TRUE(second.try_send(2));
    {
      const sender<int> gone = std::move(first);
    }
    EXPECT_FALSE(from.closed());
  }
  EXPECT_TRUE(from.closed());
  auto a = recvs(from, 'a'), b = recvs(from, 'b'), c = recvs(from, 'c');
  executor.run_until_idle();
  EXPECT_EQ(trace, "a1b2c-");
}

TEST_F(channel_test, last_sender_wakes_all_receivers_however_many_batches) {
  auto ends = channel<int>(4);
  std::vector<started<void>> all;
  for (int i = 0; i < 100; ++i) all.push_back(recvs(ends.receiver, 'x'));
  executor.run_until_idle();
  {
    const sender<int> gone = std::move(ends.sender);
  }
  executor.run_until_idle();
  for (auto& one : all) EXPECT_TRUE(one.done());
  EXPECT_EQ(trace.size(), 200u);
}

TEST_F(channel_test, waiting_sender_has_its_value_back_when_the_last_receiver_goes) {
  auto ends = channel<std::unique_ptr<int>>(0);
  auto send = [](sender<std::unique_ptr<int>> to) -> task<int> {
    auto sent = co_await to.send(std::make_unique<int>(42));
    EXPECT_EQ(sent.status(), send_status::closed);
    const auto back = std::move(sent).refused();
    co_return *back;
  };
  auto job = start(executor, send, std::move(ends.sender));
  executor.run_until_idle();
  EXPECT_FALSE(job.done());
  {
    const auto gone = std::move(ends.receiver);
  }
  executor.run_until_idle();
  EXPECT_EQ(job.outcome().value(), 42);
}

TEST_F(channel_test, send_to_nobody_gives_the_value_back_at_once) {
  auto ends = channel<int>(4);
  {
    const auto gone = std::move(ends.receiver);
  }
  auto a = sends(ends.sender, 3);
  executor.run_until_idle();
  EXPECT_EQ(trace, "r3");
  auto refused = ends.sender.try_send(8);
  EXPECT_EQ(refused.status(), send_status::closed);
  EXPECT_EQ(refused.refused(), 8);
  EXPECT_TRUE(ends.sender.closed());
}

TEST_F(channel_test, close_is_for_all_handles_and_keeps_what_is_in_line) {
  auto [to, from] = channel<int>(2);
  EXPECT_TRUE(to.try_send(1));
  EXPECT_TRUE(to.try_send(2));
  auto a = sends(to, 3);
  executor.run_until_idle();
  from.close();
  executor.run_until_idle();
  EXPECT_EQ(trace, "r3");
  EXPECT_EQ(to.try_send(4).status(), send_status::closed);
  EXPECT_EQ(from.try_recv(), 1);
  EXPECT_EQ(from.try_recv(), 2);
  EXPECT_EQ(from.try_recv(), std::nullopt);
  to.close();  // again: nothing
}

TEST_F(channel_test, messages_do_not_outlive_the_last_receiver) {
  for (std::size_t n : {0u, 1u, 3u, 4u}) {
    auto ends = channel<std::shared_ptr<int>>(4);
    const auto one = std::make_shared<int>(1);
    for (std::size_t i = 0; i < n; ++i) EXPECT_TRUE(ends.sender.try_send(one));
    EXPECT_EQ(one.use_count(), static_cast<long>(n + 1));
    {
      const auto gone = std::move(ends.receiver);
    }
    EXPECT_EQ(one.use_count(), 1);
  }
}

struct holds_its_channel {
  std::unique_ptr<sender<holds_its_channel>> to;
};
TEST_F(channel_test, message_that_holds_its_own_channel_leaks_nothing) {
  auto ends = unbounded<holds_its_channel>();
  auto to = std::make_unique<sender<holds_its_channel>>(std::move(ends.sender));
  const auto& known = *to;
  holds_its_channel message{std::make_unique<sender<holds_its_channel>>(known)};
  EXPECT_TRUE(known.try_send(std::move(message)));
  to.reset();
}

// --- stops ----------------------------------------------------------------------------------------

TEST_F(channel_test, stopped_receiver_eats_nothing_and_the_next_one_is_served) {
  auto [to, from] = channel<int>(1);
  auto a = recvs(from, 'a'), b = recvs(from, 'b');
  executor.run_until_idle();
  a->stop();
  EXPECT_TRUE(to.try_send(1));
  executor.run_until_idle();
  EXPECT_EQ(trace, "b1");
  EXPECT_TRUE(a.outcome().stopped());
}

TEST_F(channel_test, stopped_sender_has_sent_nothing_and_the_next_one_gets_its_place) {
  auto [to, from] = channel<int>(1);
  EXPECT_TRUE(to.try_send(0));
  auto a = sends(to, 1), b = sends(to, 2);
  executor.run_until_idle();
  a->stop();
  EXPECT_EQ(from.try_recv(), 0);
  EXPECT_EQ(from.try_recv(), 2);
  EXPECT_EQ(from.try_recv(), std::nullopt);
  executor.run_until_idle();
  EXPECT_EQ(trace, "s2");
}

TEST_F(channel_test, receiver_that_has_its_message_is_not_stopped_any_more) {
  auto [to, from] = channel<int>(1);
  auto a = recvs(from, 'a');
  executor.run_until_idle();
  EXPECT_TRUE(to.try_send(1));
  a->stop();
  executor.run_until_idle();
  EXPECT_EQ(trace, "a1");
}

TEST_F(channel_test, job_that_was_stopped_takes_nothing_though_it_is_there) {
  auto [to, from] = channel<int>(2);
  EXPECT_TRUE(to.try_send(1));
  auto a = recvs(from, 'a');
  auto b = sends(to, 2);
  a->stop(), b->stop();
  executor.run_until_idle();
  EXPECT_TRUE(a.outcome().stopped() && b.outcome().stopped());
  EXPECT_EQ(from.size(), 1u);
}

TEST_F(channel_test, stopped_job_sends_nothing_into_an_unbounded_one) {
  auto [to, from] = unbounded<int>();
  auto a = sends(to, 1);
  a->stop();
  executor.run_until_idle();
  EXPECT_TRUE(a.outcome().stopped());
  EXPECT_EQ(from.size(), 0u);
}

TEST_F(channel_test, shielded_job_goes_on_although_it_is_stopped) {
  auto [to, from] = channel<int>(1);
  auto echo = [](const sender<int>& in, const receiver<int>& out) -> task<int> {
    const shield_scope shield;
    const auto got = co_await out.recv();   // waits, and is stopped meanwhile
    const auto sent = co_await in.send(5);  // knows it
    const auto back = co_await out.recv();
    co_return (sent && got && back) ? *got * 10 + *back : 0;
  };
  auto a = start(executor, echo, std::ref(to), std::ref(from));
  executor.run_until_idle();
  a->stop();
  EXPECT_EQ(executor.run_until_idle(), 0);
  EXPECT_TRUE(to.try_send(4));
  executor.run_until_idle();
  EXPECT_EQ(a.outcome().value(), 45);
}

TEST_F(channel_test, value_that_a_stopped_send_from_did_not_send_is_where_it_was) {
  auto [to, from] = channel<std::unique_ptr<int>>(0);
  auto value = std::make_unique<int>(5);
  auto send = [](const sender<std::unique_ptr<int>>& in, std::unique_ptr<int>& v) -> task<> {
    const auto status = co_await in.send_from(v);
    EXPECT_EQ(status, send_status::closed);
  };
  auto a = start(executor, send, std::ref(to), std::ref(value));
  executor.run_until_idle();
  a->stop();
  executor.run_until_idle();
  EXPECT_TRUE(a.outcome().stopped());
  ASSERT_TRUE(value);
  EXPECT_EQ(*value, 5);
  to.close();
  EXPECT_EQ(to.try_send_from(value), send_status::closed);
  ASSERT_TRUE(value);
  auto b = start(executor, send, std::ref(to), std::ref(value));
  executor.run_until_idle();
  EXPECT_TRUE(b.outcome().has_value());
  EXPECT_TRUE(value);
}

// --- many, budget, types ----------------------------------------------------------------------------

TEST_F(channel_test, recv_many_takes_what_is_there_and_no_more_than_asked_for) {
  auto [to, from] = channel<int>(200);
  for (int i = 0; i < 150; ++i) EXPECT_TRUE(to.try_send(i));
  auto many = [](const receiver<int>& r, std::vector<int>& into,
                 std::size_t max) -> task<std::size_t> {
    const auto n = co_await r.recv_many(into, max);
    co_return n;
  };
  std::vector<int> out;
  auto a = start(executor, many, std::ref(from), std::ref(out), std::size_t{100});
  executor.run_until_idle();
  EXPECT_EQ(a.outcome().value(), 100u);
  auto b = start(executor, many, std::ref(from), std::ref(out), std::size_t{100});
  executor.run_until_idle();
  EXPECT_EQ(b.outcome().value(), 50u);
  ASSERT_EQ(out.size(), 150u);
  for (int i = 0; i < 150; ++i) EXPECT_EQ(out[static_cast<std::size_t>(i)], i);
  auto none = start(executor, many, std::ref(from), std::ref(out), std::size_t{0});
  auto c = start(executor, many, std::ref(from), std::ref(out), std::size_t{8});
  executor.run_until_idle();
  EXPECT_EQ(none.outcome().value(), 0u);
  EXPECT_FALSE(c.done());
  EXPECT_TRUE(to.try_send(150));  // goes to the one that waits
  EXPECT_TRUE(to.try_send(151));
  executor.run_until_idle();
  EXPECT_EQ(c.outcome().value(), 2u);
  to.close();
  auto d = start(executor, many, std::ref(from), std::ref(out), std::size_t{8});
  executor.run_until_idle();
  EXPECT_EQ(d.outcome().value(), 0u);
}

TEST_F(channel_test, recv_many_that_is_stopped_or_closed_leaves_the_vector_alone) {
  auto ends = channel<int>(4);
  std::vector<int> out{7};
  auto many = [](const receiver<int>& r, std::vector<int>& into) -> task<std::size_t> {
    const auto n = co_await r.recv_many(into, 8);
    co_return n;
  };
  auto a = start(executor, many, std::ref(ends.receiver), std::ref(out));
  auto b = start(executor, many, std::ref(ends.receiver), std::ref(out));
  executor.run_until_idle();
  a->stop();
  EXPECT_TRUE(ends.sender.try_send(1));  // b's
  EXPECT_TRUE(ends.sender.try_send(2));
  executor.run_until_idle();
  EXPECT_TRUE(a.outcome().stopped());
  EXPECT_EQ(b.outcome().value(), 2u);
  EXPECT_EQ(out, (std::vector<int>{7, 1, 2}));
  auto c = start(executor, many, std::ref(ends.receiver), std::ref(out));
  executor.run_until_idle();
  {
    const auto gone = std::move(ends.sender);
  }
  executor.run_until_idle();
  EXPECT_EQ(c.outcome().value(), 0u);
  EXPECT_EQ(out.size(), 3u);
}

TEST_F(channel_test, recv_many_drains_what_a_closed_one_has_left) {
  auto [to, from] = channel<int>(4);
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(to.try_send(i));
  to.close();
  std::vector<int> out;
  auto many = [](const receiver<int>& r, std::vector<int>& into) -> task<int> {
    int calls = 0;
    for (;;) {
      const auto n = co_await r.recv_many(into, 2);
      ++calls;
      if (n == 0) break;
    }
    co_return calls;
  };
  auto a = start(executor, many, std::ref(from), std::ref(out));
  executor.run_until_idle();
  EXPECT_EQ(a.outcome().value(), 3);  // 2, 1, none
  EXPECT_EQ(out, (std::vector<int>{0, 1, 2}));
}

TEST_F(channel_test, size_is_what_is_in_line_not_who_waits) {
  auto [to, from] = channel<int>(2);
  EXPECT_EQ(to.size(), 0u);
  std::vector<started<void>> senders;
  for (int i = 0; i < 5; ++i) senders.push_back(sends(to, i));
  executor.run_until_idle();
  EXPECT_EQ(to.size(), 2u);
  EXPECT_EQ(from.try_recv(), 0);
  EXPECT_EQ(from.size(), 2u);  // the next one came in
  for (int i = 1; i < 5; ++i) EXPECT_EQ(from.try_recv(), i);
  EXPECT_EQ(from.size(), 0u);
  executor.run_until_idle();
}

TEST_F(channel_test, recv_many_lets_the_waiting_senders_in) {
  auto [to, from] = channel<int>(2);
  std::vector<started<void>> senders;
  for (int i = 0; i < 40; ++i) senders.push_back(sends(to, i));
  executor.run_until_idle();
  std::vector<int> out;
  auto many = [](const receiver<int>& r, std::vector<int>& into) -> task<> {
    const auto n = co_await r.recv_many(into, 1000);
    EXPECT_EQ(n, 40u);
  };
  auto a = start(executor, many, std::ref(from), std::ref(out));
  executor.run_until_idle();
  ASSERT_EQ(out.size(), 40u);
  for (int i = 0; i < 40; ++i) EXPECT_EQ(out[static_cast<std::size_t>(i)], i);
  for (auto& s : senders) EXPECT_TRUE(s.done());
}

TEST_F(channel_test, loop_that_always_finds_a_message_gives_way_to_others) {
  auto [to, from] = unbounded<int>();
  for (int i = 0; i < 1000; ++i) EXPECT_TRUE(to.try_send(i));
  {
    const auto gone = std::move(to);
  }
  std::vector<int> got;
  auto a = start(executor, recv_all, std::move(from), std::ref(got));
  EXPECT_TRUE(executor.run_one());
  EXPECT_LE(got.size(), test_executor::budget + 1u);
  executor.run_until_idle();
  EXPECT_EQ(got.size(), 1000u);
  EXPECT_GE(executor.yields(), 1000 / (test_executor::budget + 2));
}

TEST_F(channel_test, loop_of_sends_without_bound_gives_way_to_others) {
  auto [to, from] = unbounded<int>();
  auto a = start(executor, send_all, std::move(to), 0, 1000);
  EXPECT_TRUE(executor.run_one());
  EXPECT_LE(from.size(), test_executor::budget + 1u);
  executor.run_until_idle();
  EXPECT_EQ(from.size(), 1000u);
}

struct alignas(128) wide {
  int value;
};
struct nothing {};

template <class T, class Check>
void round_trip(test_executor& executor, T value, Check check) {
  for (std::size_t capacity : {0u, 3u}) {
    auto ends = channel<T>(capacity);
    auto echo = [](const receiver<T>& from, Check& checked) -> task<> {
      const auto got = co_await from.recv();
      EXPECT_TRUE(got.has_value());
      if (got) checked(*got);
    };
    auto a = start(executor, echo, std::ref(ends.receiver), std::ref(check));
    executor.run_until_idle();
    EXPECT_TRUE(ends.sender.try_send(value));
    executor.run_until_idle();
    EXPECT_TRUE(a.done());
  }
  auto ends = unbounded<T>();
  for (int i = 0; i < 200; ++i) EXPECT_TRUE(ends.sender.try_send(value));
  for (int i = 0; i < 200; ++i) {
    const auto got = ends.receiver.try_recv();
    ASSERT_TRUE(got.has_value());
    check(*got);
  }
}

TEST_F(channel_test, any_type_goes_through_whose_move_does_not_throw) {
  round_trip(executor, std::string(100, 'x'),
             [](const std::string& s) { EXPECT_EQ(s.size(), 100u); });
  round_trip(executor, wide{7}, [](const wide& w) {
    EXPECT_EQ(w.value, 7);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(&w) % 128, 0u);
  });
  round_trip(executor, nothing{}, [](const nothing&) {});
  round_trip(executor, 'c', [](char c) { EXPECT_EQ(c, 'c'); });
  static_assert(detail::message<std::unique_ptr<int>>);
  struct throws_on_move {
    throws_on_move(throws_on_move&&) noexcept(false) {}
  };
  static_assert(!detail::message<throws_on_move>);
  static_assert(!detail::message<void> && !detail::message<int&>);
}

TEST_F(channel_test, what_is_left_in_line_is_destroyed_with_it) {
  const auto one = std::make_shared<int>(1);
  for (int n : {1, 64, 65, 200}) {
    auto ends = unbounded<std::shared_ptr<int>>();
    for (int i = 0; i < n; ++i) EXPECT_TRUE(ends.sender.try_send(one));
  }
  EXPECT_EQ(one.use_count(), 1);
}

TEST_F(channel_test, job_may_end_with_the_last_handles_while_the_other_side_wakes_it) {
  auto ends = channel<int>(0);
  auto own = [](receiver<int> from, sender<int> to) -> task<> {
    const auto got = co_await from.recv();
    EXPECT_TRUE(got.has_value());
    static_cast<void>(to);
  };
  auto a = start(executor, own, ends.receiver, ends.sender);
  executor.run_until_idle();
  {
    const auto last = std::move(ends.sender);
    EXPECT_TRUE(last.try_send(1));
    {
      const auto gone = std::move(ends.receiver);
    }
  }
  executor.run_until_idle();
  EXPECT_TRUE(a.done());
}

TEST(channel_size, operations_are_small) {
  EXPECT_LE(sizeof(recv_operation<std::uint64_t>), 104u);
  EXPECT_LE(sizeof(send_operation<std::uint64_t>), 112u);
  EXPECT_EQ(sizeof(sender<int>), sizeof(void*));
}

TEST(channel_death_test, value_of_a_send_that_succeeded_is_not_there) {
  auto [to, from] = channel<int>(1);
  auto sent = to.try_send(1);
  EXPECT_DEATH(static_cast<void>(sent.refused()), "no value to give back");
}

}  // namespace
}  // namespace weft
