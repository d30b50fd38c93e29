// What the suites of other runtimes test of channels, and no other test here did: docs/internals/behaviours.md
// says which is which. The ideas are those of Go's runtime/chan_test.go and test/chan, and of Tokio's
// tests/sync_mpsc.rs, sync_broadcast.rs and sync_watch.rs.
#include <gtest/gtest.h>

#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include "tests/support/seed.hpp"
#include "weft/base/rng.hpp"
#include "weft/base/thread_gate_test_support.hpp"
#include "weft/channel/broadcast.hpp"
#include "weft/channel/message_queue.hpp"
#include "weft/channel/mpmc.hpp"
#include "weft/channel/oneshot.hpp"
#include "weft/channel/watch.hpp"
#include "weft/runtime/block_on.hpp"
#include "weft/runtime/runtime.hpp"
#include "weft/runtime/time.hpp"
#include "weft/task/task_test_support.hpp"

namespace weft {
namespace {

using namespace test_support;

class channel_behaviours : public ::testing::TestWithParam<unsigned> {
 protected:
  runtime rt{{.workers = GetParam()}};
};
INSTANTIATE_TEST_SUITE_P(workers, channel_behaviours, ::testing::Values(1u, 2u, 4u));

// --- Go: channels ---------------------------------------------------------------------------------

task<> send_noted(const sender<int>& to, int value, bool& sent) {
  const auto r = co_await to.send(value);
  sent = static_cast<bool>(r);
}
task<> recv_noted(const receiver<int>& from, std::optional<int>& got, bool& ended) {
  got = co_await from.recv();
  ended = true;
}

TEST(channel_at_each_capacity, waits_only_when_it_is_empty_or_full) {
  for (std::size_t capacity = 0; capacity < 40; ++capacity) {
    test_executor executor;
    auto [to, from] = channel<int>(capacity);
    EXPECT_EQ(from.try_recv(), std::nullopt);
    std::optional<int> got;
    bool received = false;
    {
      auto waits = start(executor, recv_noted, std::ref(from), std::ref(got), std::ref(received));
      executor.run_until_idle();
      ASSERT_FALSE(received) << capacity;
      ASSERT_TRUE(to.try_send(-1)) << capacity;  // it is taken though nothing may be in line
      executor.run_until_idle();
      ASSERT_TRUE(received) << capacity;
      ASSERT_EQ(got, -1) << capacity;
    }
    for (std::size_t i = 0; i < capacity; ++i) {
      ASSERT_TRUE(to.try_send(static_cast<int>(i))) << capacity;
      ASSERT_EQ(from.size(), i + 1);
    }
    ASSERT_EQ(to.try_send(99).status(), send_status::full) << capacity;
    bool sent = false;
    auto waits =
        start(executor, send_noted, std::ref(to), static_cast<int>(capacity), std::ref(sent));
    executor.run_until_idle();
    ASSERT_FALSE(sent) << capacity;
    ASSERT_EQ(from.size(), capacity);
    for (int i = 0; i <= static_cast<int>(capacity); ++i) ASSERT_EQ(from.try_recv(), i);
    executor.run_until_idle();
    ASSERT_TRUE(sent) << capacity;
    ASSERT_EQ(from.try_recv(), std::nullopt);
  }
}

TEST_P(channel_behaviours, four_to_four_each_value_comes_as_often_as_it_was_sent) {
  constexpr int pairs = 4, values = 500;
  for (const std::size_t capacity : {0u, 1u, 7u, 64u}) {
    auto [to, from] = channel<int>(capacity);
    const auto send = [](sender<int> out) -> task<> {
      for (int i = 0; i < values; ++i) {
        const auto sent = co_await out.send(i);
        EXPECT_TRUE(sent);
      }
    };
    // Each takes as many as one sends, no matter whose.
    const auto receive = [](receiver<int> in) -> task<std::vector<int>> {
      std::vector<int> seen(values);
      for (int i = 0; i < values; ++i) {
        const auto got = co_await in.recv();
        ++seen[static_cast<std::size_t>(got.value())];
      }
      co_return seen;
    };
    std::vector<join_handle<>> senders;
    std::vector<join_handle<std::vector<int>>> receivers;
    for (int i = 0; i < pairs; ++i) {
      senders.push_back(rt.spawn(send, to));
      receivers.push_back(rt.spawn(receive, from));
    }
    std::vector<int> sum(values);
    for (auto& one : receivers) {
      const auto seen = rt.block_on(one);
      for (std::size_t v = 0; v < seen.size(); ++v) sum[v] += seen[v];
    }
    for (auto& one : senders) rt.block_on(one);
    for (const int n : sum) ASSERT_EQ(n, pairs) << capacity;
    EXPECT_EQ(from.size(), 0u);
  }
}

// A close takes nothing from who looks at the same time: what is in line is there before and after it.
TEST(channel_threads_behaviours, look_that_meets_a_close_finds_what_is_in_line) {
  for (int round = 0; round < 500; ++round) {
    auto [to, from] = channel<int>(1);
    EXPECT_TRUE(to.try_send(round));
    thread_gate go;
    std::optional<int> got;
    std::thread looks([&, &in = from] {
      go.pass();
      got = in.try_recv();
    });
    go.open();
    for (int n = round % 50; n != 0; --n) cpu_pause();
    to.close();
    looks.join();
    ASSERT_EQ(got, round);
    ASSERT_EQ(from.try_recv(), std::nullopt);
  }
}

TEST_P(channel_behaviours, workers_between_two_channels_lose_nothing_and_the_last_one_closes) {
  constexpr int workers = 23, items = 20'000;
  constexpr int kinds[] = {2, 3, 7, 11, 13, 17, 19, 23, 27, 31};
  auto [into, work] = channel<int>(workers * 3);
  auto [out, results] = channel<int>(workers * 3);
  const auto feed = [](sender<int> to, const int(&values)[10]) -> task<long> {
    long sum = 0;
    for (int i = 0; i < items; ++i) {
      const auto sent = co_await to.send(values[i % 10]);
      EXPECT_TRUE(sent);
      sum += values[i % 10];
    }
    co_return sum;
  };
  const auto pass_on = [](receiver<int> from, sender<int> to, int gives_way_at) -> task<> {
    for (;;) {
      const auto got = co_await from.recv();
      if (!got) co_return;
      if (*got == gives_way_at) co_await yield_now();
      const auto sent = co_await to.send(*got);
      EXPECT_TRUE(sent);
    }
  };
  const auto add_up = [](receiver<int> from) -> task<std::pair<int, long>> {
    std::pair<int, long> all{0, 0};
    for (;;) {
      const auto got = co_await from.recv();
      if (!got) co_return all;
      ++all.first;
      all.second += *got;
    }
  };
  std::vector<join_handle<>> between;
  for (int i = 0; i < workers; ++i) between.push_back(rt.spawn(pass_on, work, out, kinds[i % 10]));
  {
    const auto none = std::move(out);  // the workers have the others
  }
  auto feeder = rt.spawn(feed, std::move(into), std::cref(kinds));
  auto sum = rt.spawn(add_up, std::move(results));
  const auto [n, total] = rt.block_on(sum);
  EXPECT_EQ(n, items);
  EXPECT_EQ(total, rt.block_on(feeder));
  for (auto& one : between) rt.block_on(one);
}

// Each waits for the one before it, though all of them were made first: the order is that of the chain.
TEST_P(channel_behaviours, chain_over_rendezvous_goes_from_link_to_link) {
  constexpr int links = 10'000;
  const auto link = [](receiver<int> from, sender<int> to) -> task<> {
    const auto got = co_await from.recv();
    const auto sent = co_await to.send(got.value() + 1);
    EXPECT_TRUE(sent);
  };
  auto first = channel<int>(0);
  auto left = std::move(first.receiver);
  for (int i = 0; i < links; ++i) {
    auto next = channel<int>(0);
    rt.spawn(link, std::move(left), std::move(next.sender)).detach();
    left = std::move(next.receiver);
  }
  EXPECT_EQ(rt.block_on([](sender<int> to, receiver<int> from) -> task<int> {
    const auto sent = co_await to.send(0);
    EXPECT_TRUE(sent);
    const auto got = co_await from.recv();
    co_return got.value();
  }(std::move(first.sender), std::move(left))),
            links);
}

// A network that grows while it works, and ends from its far end: whoever finds nobody who receives stops.
TEST_P(channel_behaviours, prime_sieve_grows_and_ends_when_nobody_receives) {
  for (const std::size_t capacity : {0u, 1u, 5u}) {
    const auto generate = [](sender<int> to) -> task<> {
      for (int i = 2;; ++i) {
        const auto sent = co_await to.send(i);
        if (!sent) co_return;
      }
    };
    const auto filter = [](receiver<int> from, sender<int> to, int prime) -> task<> {
      for (;;) {
        const auto got = co_await from.recv();
        if (!got) co_return;
        if (*got % prime == 0) continue;
        const auto sent = co_await to.send(*got);
        if (!sent) co_return;
      }
    };
    const auto sieve = [](std::size_t room, auto first, auto next) -> task<std::vector<int>> {
      std::vector<int> primes;
      std::vector<join_handle<>> all;
      auto ends = channel<int>(room);
      all.push_back(spawn(first, std::move(ends.sender)));
      receiver<int> from = std::move(ends.receiver);
      for (int i = 0; i < 60; ++i) {
        const auto got = co_await from.recv();
        primes.push_back(got.value());
        auto more = channel<int>(room);
        all.push_back(spawn(next, std::move(from), std::move(more.sender), primes.back()));
        from = std::move(more.receiver);
      }
      {
        const auto nobody = std::move(from);
      }
      for (auto& one : all) co_await one;
      co_return primes;
    };
    const auto primes = rt.block_on(rt.spawn(sieve, capacity, generate, filter));
    ASSERT_EQ(primes.size(), 60u);
    int candidate = 1;
    for (const int p : primes) {
      const auto is_prime = [](int n) {
        for (int d = 2; d * d <= n; ++d) {
          if (n % d == 0) return false;
        }
        return true;
      };
      do ++candidate;
      while (!is_prime(candidate));
      ASSERT_EQ(p, candidate);
    }
  }
}

// Values are made only when somebody asks: a question and an answer at each of twenty nodes for each of them.
struct on_demand {
  sender<char> ask;
  receiver<long> answer;
};
task<> ones(receiver<char> asked, sender<long> to) {
  for (;;) {
    const auto question = co_await asked.recv();
    if (!question) co_return;
    const auto sent = co_await to.send(1);
    if (!sent) co_return;
  }
}
task<> running_sum(on_demand of, receiver<char> asked, sender<long> to) {
  for (long sum = 0;;) {
    const auto question = co_await asked.recv();
    if (!question) co_return;
    const auto passed_on = co_await of.ask.send('?');
    EXPECT_TRUE(passed_on);
    const auto got = co_await of.answer.recv();
    sum += got.value();
    const auto sent = co_await to.send(sum);
    if (!sent) co_return;
  }
}
TEST_P(channel_behaviours, network_on_demand_gives_what_it_is_asked_for) {
  constexpr int nodes = 20, elements = 12;
  const auto asks = []() -> task<> {
    auto questions = channel<char>(0);
    auto answers = channel<long>(0);
    std::vector<join_handle<>> all;
    all.push_back(spawn(ones, std::move(questions.receiver), std::move(answers.sender)));
    on_demand last{std::move(questions.sender), std::move(answers.receiver)};
    for (int i = 0; i < nodes; ++i) {
      auto q = channel<char>(0);
      auto a = channel<long>(0);
      all.push_back(
          spawn(running_sum, std::move(last), std::move(q.receiver), std::move(a.sender)));
      last = on_demand{std::move(q.sender), std::move(a.receiver)};
    }
    // Sums of sums of ones are binomial coefficients: C(nodes + k, k).
    long expected = 1;
    for (int k = 0; k < elements; ++k) {
      if (k > 0) expected = expected * (nodes - 1 + k + 1) / k;
      const auto asked = co_await last.ask.send('?');
      EXPECT_TRUE(asked);
      const auto got = co_await last.answer.recv();
      EXPECT_EQ(got, k == 0 ? 1 : expected);
    }
    last.ask.close();
    for (auto& one : all) co_await one;
  };
  rt.block_on(rt.spawn(asks));
}

template <class E>
concept sends = requires(E& e, int v) { e.send(v); };
template <class E>
concept receives = requires(E& e) { e.recv(); };
TEST(channel_ends_types, each_end_does_its_own_half_only) {
  static_assert(sends<sender<int>> && !receives<sender<int>>);
  static_assert(receives<receiver<int>> && !sends<receiver<int>>);
  static_assert(sends<oneshot_sender<int>> && !receives<oneshot_sender<int>>);
  static_assert(receives<oneshot_receiver<int>> && !sends<oneshot_receiver<int>>);
  static_assert(sends<broadcast_sender<int>> && !receives<broadcast_sender<int>>);
  static_assert(receives<broadcast_receiver<int>> && !sends<broadcast_receiver<int>>);
  static_assert(!sends<watch_receiver<int>>);
  // One value from one to one: neither end is for two.
  static_assert(!std::is_copy_constructible_v<oneshot_sender<int>>);
  static_assert(!std::is_copy_constructible_v<oneshot_receiver<int>>);
  static_assert(std::is_copy_constructible_v<sender<std::unique_ptr<int>>>);
}

// --- Tokio: mpsc ----------------------------------------------------------------------------------

TEST(channel_threads_behaviours, plain_threads_send_and_receive) {
  auto ends = channel<int>(2);
  std::thread sends([to = std::move(ends.sender)] {
    for (int i = 0; i < 1000; ++i) {
      const auto sent = block_on(to.send(i));
      EXPECT_TRUE(sent);
    }
  });
  runtime rt({.workers = 1});
  auto half = rt.spawn(
      [](receiver<int> from) -> task<long> {  // a job beside the thread, on the same end
        long sum = 0;
        for (;;) {
          const auto got = co_await from.recv();
          if (!got) co_return sum;
          sum += *got;
        }
      },
      ends.receiver);
  long sum = 0;
  while (const auto got = block_on(ends.receiver.recv())) sum += *got;
  sends.join();
  EXPECT_EQ(sum + rt.block_on(half), 499'500);
}

TEST(channel_many, recv_many_uses_the_room_that_the_vector_has) {
  auto [to, from] = unbounded<std::string>();
  for (int i = 0; i < 10; ++i) EXPECT_TRUE(to.try_send(std::to_string(i)));
  std::vector<std::string> out;
  out.reserve(9);
  const auto* const where = out.data();
  const std::size_t room = out.capacity();
  EXPECT_EQ(block_on(from.recv_many(out, room)), room);
  EXPECT_EQ(out.data(), where);
  EXPECT_EQ(out.capacity(), room);
  EXPECT_EQ(block_on(from.recv_many(out, 4)), 10 - room);
  EXPECT_EQ(out.back(), "9");
}

// --- Tokio: what need not wait gives way, after the end too ---------------------------------------

/// Awaits `op()` for as often as there is budget ten times over; another job has its turn in between.
template <class Make>
task<> over_and_over(Make make, int& times) {
  for (; times < 10 * test_executor::budget; ++times) {
    static_cast<void>(co_await make());
  }
}
template <class Make>
void gives_way(const char* what, Make make) {
  test_executor executor;
  int times = 0;
  auto job = start(executor, over_and_over<Make>, std::move(make), std::ref(times));
  EXPECT_TRUE(executor.run_one());
  EXPECT_LE(times, test_executor::budget + 1) << what;
  executor.run_until_idle();
  EXPECT_TRUE(job.done()) << what;
  EXPECT_GE(executor.yields(), 9) << what;
}

TEST(channel_budget, loops_over_what_is_closed_give_way_to_others) {
  auto line = channel<int>(1);
  line.sender.close();
  gives_way("recv", [&] { return line.receiver.recv(); });
  gives_way("send", [&] { return line.sender.send(1); });
  auto news = broadcast<int>(1);
  {
    const auto gone = std::move(news.sender);
  }
  gives_way("broadcast", [&] { return news.receiver.recv(); });
  auto seen = watch(0);
  {
    const auto gone = std::move(seen.sender);
  }
  gives_way("watch", [&] { return seen.receiver.changed(); });
  auto answer = oneshot<int>();
  {
    const auto gone = std::move(answer.sender);
  }
  gives_way("oneshot", [&] { return answer.receiver.recv(); });
  message_queue<int> q(1);
  q.close();
  gives_way("message_queue::recv", [&] { return q.recv(); });
  gives_way("message_queue::send", [&] { return q.send(1); });
  gives_way("message_queue::readable", [&] { return q.readable(); });
}

TEST(channel_budget, loops_over_what_always_changes_give_way_to_others) {
  auto seen = watch(0);
  gives_way("changed", [&] {
    seen.sender.send(1);
    return seen.receiver.changed();
  });
  gives_way("wait_for that holds",
            [&] { return seen.receiver.wait_for([](int v) { return v == 1; }); });
  auto news = broadcast<int>(8);
  gives_way("broadcast", [&] {
    news.sender.send(1);
    return news.receiver.recv();
  });
  // The lag is told of without a wait, too.
  gives_way("broadcast that lags", [&] {
    for (int i = 0; i < 10; ++i) news.sender.send(i);
    return news.receiver.recv();
  });
}

// --- Tokio: broadcast, watch ----------------------------------------------------------------------

// Against a list of all that was sent: what each receiver gets, misses and has left, whoever comes and goes.
TEST(broadcast_oracle, receivers_get_miss_and_have_left_what_the_oracle_says) {
  rng random(seed());
  for (int round = 0; round < 60; ++round) {
    const std::size_t capacity = 1 + random.below(6);
    auto ends = broadcast<int>(capacity);
    std::optional<broadcast_sender<int>> to(std::move(ends.sender));
    struct one {
      broadcast_receiver<int> from;
      std::size_t next;
    };
    std::vector<one> all;
    all.push_back({std::move(ends.receiver), 0});
    std::size_t sent = 0;  // the n-th message says n
    for (int step = 0; step < 400; ++step) {
      const unsigned what = random.below(20);
      if (what < 7) {
        if (to) {
          ASSERT_EQ(to->send(static_cast<int>(sent)), all.size());
          ++sent;
        }
      } else if (what < 9 && all.size() < 6 && !all.empty()) {
        const auto& other = all[random.below(static_cast<std::uint32_t>(all.size()))];
        if (what == 7) {
          all.push_back({other.from.subscribe(), sent});
        } else {
          all.push_back({other.from, other.next});
        }
      } else if (what == 9 && all.size() > 1) {
        all.erase(all.begin() + random.below(static_cast<std::uint32_t>(all.size())));
      } else if (what == 10 && random.below(40) == 0) {
        to.reset();
      } else {
        auto& it = all[random.below(static_cast<std::uint32_t>(all.size()))];
        ASSERT_EQ(it.from.size(), sent - it.next);
        const std::size_t oldest = sent > capacity ? sent - capacity : 0;
        const auto got = it.from.try_recv();
        if (it.next < oldest) {
          ASSERT_FALSE(got);
          ASSERT_EQ(got.error(), (broadcast_error{broadcast_lack::lagged, oldest - it.next}));
          it.next = oldest;
        } else if (it.next < sent) {
          ASSERT_EQ(got, static_cast<int>(it.next));
          ++it.next;
        } else {
          ASSERT_FALSE(got);
          ASSERT_EQ(got.error().why, to ? broadcast_lack::empty : broadcast_lack::closed);
        }
      }
    }
  }
}

TEST(watch_behaviours, each_of_two_senders_is_seen) {
  test_executor executor;
  auto [first, from] = watch(0);
  auto second = first;
  std::string trace;
  auto sees = start(
      executor,
      [](watch_receiver<int>& in, std::string& said) -> task<> {
        for (;;) {
          const bool newer = co_await in.changed();
          if (!newer) co_return;
          said += std::to_string(*in.borrow_and_see());
        }
      },
      std::ref(from), std::ref(trace));
  executor.run_until_idle();
  first.send(1);
  executor.run_until_idle();
  second.send(2);
  executor.run_until_idle();
  EXPECT_EQ(trace, "12");
  sees->stop();
  executor.run_until_idle();
}

TEST(watch_behaviours, wait_for_of_a_job_that_was_stopped_has_seen_nothing) {
  test_executor executor;
  auto [to, from] = watch(0);
  to.send(1);
  auto job = start(
      executor,
      [](watch_receiver<int>& in) -> task<> {
        current_job()->stop();
        const auto got = co_await in.wait_for([](int v) { return v == 1; });
        static_cast<void>(got);
      },
      std::ref(from));
  executor.run_until_idle();
  EXPECT_TRUE(job.outcome().stopped());
  EXPECT_TRUE(from.has_changed());
}

TEST(watch_behaviours, receivers_may_all_go_and_others_come) {
  auto ends = watch(1);
  EXPECT_EQ(ends.sender.receivers(), 1u);
  {
    const auto gone = std::move(ends.receiver);
  }
  EXPECT_EQ(ends.sender.receivers(), 0u);
  auto late = ends.sender.subscribe();
  EXPECT_EQ(ends.sender.receivers(), 1u);
  EXPECT_FALSE(late.closed());
  EXPECT_EQ(ends.sender.send(2), 1u);
  EXPECT_TRUE(late.has_changed());
  EXPECT_EQ(late.get(), 2);
}

}  // namespace
}  // namespace weft
