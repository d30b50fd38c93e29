#include "weft/shared/queue.hpp"

#include <gtest/gtest.h>
#include <sched.h>

#include <map>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/seed.hpp"
#include "weft/base/rng.hpp"
#include "weft/os/clock.hpp"
#include "weft/runtime/block_on.hpp"
#include "weft/runtime/runtime.hpp"
#include "weft/shared/shared_test_support.hpp"

namespace weft {
namespace {

using namespace std::chrono_literals;
using namespace test_support;

struct message {
  std::uint32_t sender = 0;
  std::uint32_t number = 0;
  std::uint64_t check[6] = {};
};
message make_message(std::uint32_t sender, std::uint32_t number) {
  message m{sender, number, {}};
  for (auto& c : m.check) c = std::uint64_t{sender} << 32 | number;
  return m;
}
bool is_whole(const message& m) {
  for (const auto c : m.check) {
    if (c != (std::uint64_t{m.sender} << 32 | m.number)) return false;
  }
  return true;
}

constexpr shared_options never{.look_after = std::chrono::nanoseconds::max()};
constexpr shared_options soon{.look_after = 2ms};

TEST(shared_queue, keeps_the_order_and_knows_full_and_empty) {
  const shared_pages memory(65536);
  auto q = shared_queue<int>::create_at(memory.all(), 3);
  ASSERT_TRUE(q);
  auto other = shared_queue<int>::open_at(memory.all());
  ASSERT_TRUE(other);
  EXPECT_EQ(q->capacity(), 3u);
  for (int round = 0; round < 10; ++round) {
    for (int i = 0; i < 3; ++i) EXPECT_TRUE(q->try_send(i));
    EXPECT_FALSE(q->try_send(9));
    EXPECT_EQ(other->size(), 3u);
    for (int i = 0; i < 3; ++i) EXPECT_EQ(other->try_recv(), i);
    EXPECT_EQ(other->try_recv(), std::nullopt);
  }
}

TEST(shared_queue, what_cannot_be_opened_says_why) {
  const shared_pages memory(65536);
  EXPECT_EQ(shared_queue<int>::open_at(memory.all()).error(), errc::not_found);
  EXPECT_EQ(shared_queue<int>::create_at(memory.all(), 0).error(), std::errc::invalid_argument);
  EXPECT_EQ(shared_queue<int>::create_at(memory.all(), SIZE_MAX / 2).error(),
            std::errc::invalid_argument);
  EXPECT_EQ(shared_queue<int>::create_at(memory.all().first(100), 1).error(),
            std::errc::invalid_argument);
  EXPECT_EQ(shared_queue<int>::create_at(memory.all().subspan(8), 1).error(),
            std::errc::invalid_argument);
  auto q = shared_queue<int>::create_at(memory.all(), 3);
  ASSERT_TRUE(q);
  EXPECT_EQ(shared_queue<int>::create_at(memory.all(), 3).error(), std::errc::file_exists);
  EXPECT_EQ(shared_queue<long>::open_at(memory.all()).error(), std::errc::invalid_argument);
  std::vector<shared_queue<int>> many;
  for (unsigned i = 1; i < shared::members::count_max; ++i) {
    many.push_back(std::move(*shared_queue<int>::open_at(memory.all())));
  }
  EXPECT_EQ(shared_queue<int>::open_at(memory.all()).error(), errc::too_large);
  many.pop_back();
  EXPECT_TRUE(shared_queue<int>::open_at(memory.all()));
}

task<> send_numbers(shared_queue<int>& q, int n) {
  for (int i = 1; i <= n; ++i) {
    const auto sent = co_await q.send(i);
    EXPECT_TRUE(sent.has_value());
  }
}
task<long> sum_up(shared_queue<int>& q) {
  long sum = 0;
  for (;;) {
    const auto got = co_await q.recv();
    if (!got) co_return sum;
    sum += *got;
  }
}

TEST(shared_queue, tasks_and_threads_wait_at_both_ends) {
  for (const driver io : {driver::epoll, driver::io_uring, driver::poll}) {
    const shared_pages memory(65536);
    auto q = shared_queue<int>::create_at(memory.all(), 4, never);  // no look repairs a lost wake
    ASSERT_TRUE(q);
    runtime rt({.workers = 2, .io = io});
    auto a = rt.spawn(send_numbers, std::ref(*q), 2'000);
    auto b = rt.spawn(send_numbers, std::ref(*q), 2'000);
    auto c = rt.spawn(sum_up, std::ref(*q));
    auto d = rt.spawn(sum_up, std::ref(*q));
    long in_thread = 0;
    std::thread e([&] {
      while (const auto got = q->blocking_recv()) in_thread += *got;
    });
    rt.block_on(a);
    rt.block_on(b);
    q->close();
    const long in_tasks = rt.block_on(c) + rt.block_on(d);
    e.join();
    EXPECT_EQ(in_tasks + in_thread, 2 * 2'000L * 2'001 / 2);
    EXPECT_FALSE(block_on(q->send(1)));
    EXPECT_EQ(block_on(q->recv()), std::nullopt);
    EXPECT_EQ(q->blocking_send(1).error(), errc::closed);
  }
}

TEST(shared_queue, stopped_recv_has_received_nothing_and_stopped_send_has_sent_nothing) {
  const shared_pages memory(65536);
  auto q = shared_queue<int>::create_at(memory.all(), 1, never);
  ASSERT_TRUE(q);
  runtime rt({.workers = 2});
  for (int i = 0; i < 200; ++i) {
    auto receives = rt.spawn([&q = *q]() { return q.recv(); });
    if (i % 2 == 0) std::this_thread::yield();
    receives.stop();
    EXPECT_TRUE(rt.block_on(receives.outcome()).stopped());
    EXPECT_TRUE(q->try_send(i));
    auto sends = rt.spawn([&q = *q]() { return q.send(-1); });
    if (i % 2 == 0) std::this_thread::yield();
    sends.stop();
    EXPECT_TRUE(rt.block_on(sends.outcome()).stopped());
    EXPECT_EQ(q->try_recv(), i);
    EXPECT_EQ(q->size(), 0u);
  }
}

TEST(shared_queue, blocking_calls_keep_to_their_deadlines) {
  const shared_pages memory(65536);
  auto q = shared_queue<int>::create_at(memory.all(), 1);
  ASSERT_TRUE(q);
  EXPECT_EQ(q->blocking_recv(os::monotonic_ns() + 1), std::nullopt);
  EXPECT_TRUE(q->blocking_send(1));
  EXPECT_EQ(q->blocking_send(2, os::monotonic_ns() + 1).error(), errc::timed_out);
}

TEST(shared_queue, messages_of_another_process_arrive_in_order) {
  const shared_pages memory(65536);
  auto q = shared_queue<message>::create_at(memory.all(), 16, never);
  ASSERT_TRUE(q);
  child sender([&memory] {
    auto mine = shared_queue<message>::open_at(memory.all(), never);
    for (std::uint32_t i = 0; mine && i < 20'000; ++i) {
      if (!mine->blocking_send(make_message(1, i))) return false;
    }
    return mine.has_value();
  });
  for (std::uint32_t i = 0; i < 20'000; ++i) {
    const auto got = q->blocking_recv();
    ASSERT_TRUE(got && is_whole(*got));
    ASSERT_EQ(got->number, i);
  }
  EXPECT_TRUE(sender.join());
}

TEST(shared_queue, sender_killed_anywhere_loses_nothing_that_it_had_sent) {
  rng random(test_support::seed());
  const shared_pages memory(65536);
  const shared_pages said(4096);
  auto q = shared_queue<message>::create_at(memory.all(), 8, soon);
  ASSERT_TRUE(q);
  auto& sent = *reinterpret_cast<atomic<std::uint32_t>*>(said.all().data());
  int whole = 0;
  for (std::uint32_t round = 1; round <= 150; ++round) {
    sent.store(0, order::relaxed);
    child sender([&memory, &sent, round] {
      auto mine = shared_queue<message>::open_at(memory.all(), soon);
      if (!mine) return false;
      for (std::uint32_t i = 0;; ++i) {
        if (!mine->blocking_send(make_message(round, i))) return false;
        sent.store(i + 1, order::release);
      }
    });
    std::uint32_t next = 0;
    const std::uint32_t enough = random.below(400);
    while (next < enough) {
      const auto got = q->blocking_recv();
      ASSERT_TRUE(got && is_whole(*got));
      ASSERT_EQ(got->sender, round);
      ASSERT_EQ(got->number, next++);
    }
    sender.kill();
    while (const auto got = q->blocking_recv(os::monotonic_ns() + 5'000'000)) {
      ASSERT_TRUE(is_whole(*got));
      ASSERT_EQ(got->number, next++);
    }
    // Sent and not said so, of the one that it was in the middle of.
    EXPECT_GE(next, sent.load(order::acquire));
    EXPECT_LE(next, sent.load(order::acquire) + 1);
    whole += next == sent.load(order::relaxed) ? 1 : 0;
  }
  EXPECT_GT(whole, 0);
}

TEST(shared_queue, receiver_killed_anywhere_takes_at_most_one_message_along) {
  rng random(test_support::seed());
  const shared_pages memory(65536);
  const shared_pages said(4096);
  auto q = shared_queue<message>::create_at(memory.all(), 8, soon);
  ASSERT_TRUE(q);
  auto& received = *reinterpret_cast<atomic<std::uint32_t>*>(said.all().data());
  for (std::uint32_t round = 1; round <= 150; ++round) {
    received.store(0, order::relaxed);
    child receiver([&memory, &received] {
      auto mine = shared_queue<message>::open_at(memory.all(), soon);
      if (!mine) return false;
      for (std::uint32_t i = 0;; ++i) {
        const auto got = mine->blocking_recv();
        if (!got || !is_whole(*got) || got->number != i) return false;
        received.store(i + 1, order::release);
      }
    });
    const std::uint32_t enough = random.below(400);
    for (std::uint32_t i = 0; i < enough; ++i) {
      ASSERT_TRUE(q->blocking_send(make_message(round, i), os::monotonic_ns() + 20'000'000'000));
    }
    receiver.kill();
    std::uint32_t left = enough;  // the number of the first that it has not taken along
    if (const auto first = q->blocking_recv(os::monotonic_ns() + 5'000'000)) {
      left = first->number;
      std::uint32_t next = left;
      while (const auto got = q->try_recv()) {
        ASSERT_TRUE(is_whole(*got));
        ASSERT_EQ(got->number, ++next);
      }
      EXPECT_EQ(next + 1, enough);
    }
    EXPECT_GE(left, received.load(order::acquire));
    EXPECT_LE(left, received.load(order::acquire) + 1);
  }
}

TEST(shared_queue, lock_of_a_killed_process_is_free_for_who_has_waited) {
  const shared_pages memory(65536);
  const shared_pages said(4096);
  auto q = shared_queue<int>::create_at(memory.all(), 8, soon);
  ASSERT_TRUE(q);
  auto& locked = *reinterpret_cast<atomic<std::uint32_t>*>(said.all().data());
  runtime rt({.workers = 1});
  for (int round = 0; round < 3; ++round) {
    locked.store(0, order::relaxed);
    child holder([&] {
      auto mine = shared::queue_end::open(memory.all(), sizeof(int), soon);
      if (!mine) return false;
      (*mine)->blocking_lock();
      locked.store(1, order::release);
      for (;;) ::pause();
    });
    while (locked.load(order::acquire) == 0) ::sched_yield();
    EXPECT_FALSE(q->try_send(0));
    holder.kill_only();
    if (round == 0) {
      EXPECT_TRUE(q->blocking_send(round));
    } else {
      EXPECT_TRUE(rt.block_on(q->send(round)));
    }
    EXPECT_EQ(q->try_recv(), round);
  }
}

}  // namespace
}  // namespace weft
