// join_set: the order of outcomes, stops, the end of the block.
#include "weft/together/join_set.hpp"

#include <gtest/gtest.h>

#include <stdexcept>
#include <string>
#include <vector>

#include "weft/runtime/block_on.hpp"
#include "weft/runtime/runtime.hpp"
#include "weft/runtime/time.hpp"
#include "weft/testing/cancel_everywhere.hpp"
#include "weft/testing/virtual_time.hpp"
#include "weft/together/timeout.hpp"

namespace weft {
namespace {

using namespace std::chrono_literals;

task<int> later(int ms) {
  co_await sleep_for(std::chrono::milliseconds(ms));
  if (ms == 13) throw std::runtime_error("13");
  co_return ms;
}

task<std::vector<int>> in_order() {
  co_return co_await with_join_set<int>([](join_set<int>& set) -> task<std::vector<int>> {
    for (const int ms : {30, 10, 13, 20}) set.spawn(later, ms);
    set.spawn([] { return 0; });
    EXPECT_EQ(set.size(), 5u);
    std::vector<int> order;
    while (auto ended = co_await set.next()) {
      order.push_back(ended->has_value() ? ended->value() : -1);
    }
    EXPECT_EQ(set.size(), 0u);
    co_return order;
  });
}
TEST(join_set, gives_outcomes_in_the_order_of_time) {
  testing::virtual_runtime rt;
  EXPECT_EQ(rt.block_on(in_order()), (std::vector<int>{0, 10, -1, 20, 30}));
  EXPECT_EQ(rt.elapsed(), 30ms);
}

task<int> stops_all() {
  co_return co_await with_join_set<int>([](join_set<int>& set) -> task<int> {
    set.spawn(later, 10'000);
    set.spawn(later, 20'000);
    co_await sleep_for(1ms);
    set.spawn(later, 5);  // has not begun
    set.stop_all();
    set.spawn(later, 7);
    int stopped = 0, value = 0;
    while (auto ended = co_await set.next()) {
      if (ended->stopped()) ++stopped;
      if (ended->has_value()) value = ended->value();
    }
    co_return 10 * stopped + value;
  });
}
TEST(join_set, stop_all_stops_what_was_spawned_before) {
  testing::virtual_runtime rt;
  EXPECT_EQ(rt.block_on(stops_all()), 37);
  EXPECT_EQ(rt.elapsed(), 8ms);
}

task<int> ends_with_body(bool& ended) {
  co_return co_await with_join_set<int>([&](join_set<int>& set) -> task<int> {
    set.spawn(later, 100'000);
    set.spawn([&ended]() -> task<int> {
      struct at_end {
        bool& b;
        explicit at_end(bool& of) noexcept : b(of) {}
        ~at_end() { b = true; }
      };
      const at_end leaves(ended);
      co_await sleep_for(24h);
      co_return 0;
    });
    auto first = co_await timeout(5ms, set.next());
    EXPECT_FALSE(first.has_value());
    EXPECT_EQ(set.size(), 2u);
    co_return 3;
  });
}
TEST(join_set, what_still_runs_at_the_end_is_stopped_and_awaited) {
  testing::virtual_runtime rt;
  bool ended = false;
  EXPECT_EQ(rt.block_on(ends_with_body(ended)), 3);
  EXPECT_TRUE(ended);
  EXPECT_EQ(rt.elapsed(), 5ms);
}

task<long> many(int n) {
  co_return co_await with_join_set<int>([n](join_set<int>& set) -> task<long> {
    long sum = 0;
    for (int i = 0; i < n; ++i) {
      set.spawn(
          [](int v) -> task<int> {
            if (v % 3 == 0) co_await yield_now();
            co_return v;
          },
          i);
      if (i % 4 == 3) {
        auto ended = co_await set.next();
        sum += ended->value();
      }
    }
    while (auto ended = co_await set.next()) sum += ended->value();
    co_return sum;
  });
}
TEST(join_set, loses_no_outcome_on_many_workers) {
  for (const unsigned workers : {1u, 2u, 4u}) {
    runtime rt({.workers = workers});
    EXPECT_EQ(rt.block_on(rt.spawn(many, 20'000)), 199'990'000);
  }
}

#if WEFT_CENSUS
task<> scenario() {
  const int sum = co_await with_join_set<int>([](join_set<int>& set) -> task<int> {
    for (const int ms : {3, 1, 13}) set.spawn(later, ms);
    auto limited = co_await timeout(2ms, set.next());
    int total = limited && *limited && (*limited)->has_value() ? (*limited)->value() : 0;
    if (auto next = co_await set.next(); next && next->has_value()) total += next->value();
    co_return total;
  });
  EXPECT_EQ(sum, 4);
}
TEST(join_set, stopped_at_every_await_leaves_nothing) {
  const auto seen = testing::cancel_everywhere(
      [](testing::virtual_runtime& rt) { return rt.spawn(scenario); }, [](bool) {});
  EXPECT_GT(seen.stopped, 5u);
}
#endif

}  // namespace
}  // namespace weft
