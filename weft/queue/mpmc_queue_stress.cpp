// The queues of values with real threads: two push, two pop, each value comes out once and in its
// pusher's order.
#include "weft/queue/mpmc_queue.hpp"

#include <gtest/gtest.h>

#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "weft/queue/ms_queue.hpp"
#include "weft/queue/stress_test_support.hpp"

namespace weft {
namespace {

using namespace test_support;

constexpr unsigned pushers = 2, poppers = 2;

// Owns memory: a value had twice, or read while it is written, is a sanitizer's matter, too.
struct value {
  std::unique_ptr<std::uint32_t> number;
};

/// `push(value)` and `pop(value&)` answer whether they did.
template <class Push, class Pop, class Len>
void send_through(std::uint32_t usual, Push push, Pop pop, Len is_long) {
  const std::uint32_t each = stress_operations(usual) / pushers;
  register_of_numbers all(each * pushers);
  const stress_limit limit;
  atomic<std::uint32_t> pushed[pushers];
  atomic<unsigned> pushing(pushers);
  std::vector<std::thread> threads;
  for (unsigned p = 0; p < pushers; ++p) {
    threads.emplace_back([&, p] {
      std::uint32_t n = 0;
      for (; n < each && (n % 4096 || !limit.reached()); ++n) {
        value v{std::make_unique<std::uint32_t>(p * each + n)};
        while (is_long() || !push(std::move(v))) std::this_thread::yield();
      }
      pushed[p].store(n, order::relaxed);
      pushing.fetch_sub(1, order::release);
    });
  }
  atomic<unsigned> disorders(0);
  for (unsigned c = 0; c < poppers; ++c) {
    threads.emplace_back([&] {
      std::uint32_t next[pushers] = {};
      for (;;) {
        const bool last = pushing.load(order::acquire) == 0;
        value v;
        if (pop(v)) {
          const std::uint32_t n = *v.number;
          std::uint32_t& least = next[n / each];
          if (n % each < least) disorders.fetch_add(1, order::relaxed);
          least = n % each + 1;
          all.had(n);
        } else if (last) {
          return;
        } else {
          std::this_thread::yield();
        }
      }
    });
  }
  for (std::thread& t : threads) t.join();
  EXPECT_EQ(disorders.load(order::relaxed), 0u);
  for (unsigned p = 0; p < pushers; ++p) {
    for (std::uint32_t n = 0; n < each; ++n) {
      ASSERT_EQ(all.times(p * each + n), n < pushed[p].load(order::relaxed) ? 1u : 0u) << p << n;
    }
  }
}

// Small, so that both ends meet all the time.
TEST(mpmc_queue_stress, every_value_comes_out_once_and_in_order) {
  mpmc_queue<value> q(16);
  send_through(
      4'000'000, [&](value&& v) { return q.try_push(std::move(v)); },
      [&](value& v) { return q.try_pop(v); }, [] { return false; });
}

TEST(ms_queue_stress, every_value_comes_out_once_and_in_order) {
  ms_queue<value> q;
  atomic<int> length(0);  // keeps the queue short, so that its nodes go round
  send_through(
      4'000'000,
      [&](value&& v) {
        q.push(std::move(v));
        length.fetch_add(1, order::relaxed);
        return true;
      },
      [&](value& v) {
        if (!q.try_pop(v)) return false;
        length.fetch_sub(1, order::relaxed);
        return true;
      },
      [&] { return length.load(order::relaxed) > 64; });
  EXPECT_TRUE(q.empty());
}

}  // namespace
}  // namespace weft
