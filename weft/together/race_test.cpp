// race and shield: who wins, what becomes of the losers, stops.
#include "weft/together/race.hpp"

#include <gtest/gtest.h>

#include <array>
#include <stdexcept>
#include <string>
#include <vector>

#include "tests/support/seed.hpp"
#include "weft/base/rng.hpp"
#include "weft/runtime/block_on.hpp"
#include "weft/runtime/runtime.hpp"
#include "weft/runtime/time.hpp"
#include "weft/testing/cancel_everywhere.hpp"
#include "weft/testing/virtual_time.hpp"
#include "weft/together/catch_stop.hpp"
#include "weft/together/shield.hpp"
#include "weft/together/timeout.hpp"

namespace weft {
namespace {

using namespace std::chrono_literals;

task<int> later(std::chrono::milliseconds d, int v) {
  co_await sleep_for(d);
  co_return v;
}
task<> notes(std::chrono::milliseconds d, bool& reached) {
  co_await sleep_for(d);
  reached = true;
}
task<int> fails_later(std::chrono::milliseconds d) {
  co_await sleep_for(d);
  throw std::runtime_error("first");
}

task<std::string> winners() {
  bool reached = false;
  const auto a = co_await race(later(20ms, 1), notes(10ms, reached), later(30ms, 3));
  const std::array<int, 3> delays{30, 10, 20};
  const auto b =
      co_await race(delays, [](int d) { return later(std::chrono::milliseconds(d), d); });
  const auto c = co_await race(later(1ms, 5));
  co_return std::to_string(a.index()) + std::to_string(reached) + std::to_string(b.index) +
      std::to_string(b.value) + std::to_string(std::get<0>(c));
}
TEST(race, the_first_result_wins) {
  testing::virtual_runtime rt;
  EXPECT_EQ(rt.block_on(winners()), "111105");
  EXPECT_EQ(rt.elapsed(), 21ms);
}

task<std::string> first_fails() {
  bool reached = false;
  std::string said = "none";
  try {
    static_cast<void>(co_await race(notes(20ms, reached), fails_later(10ms)));
  } catch (const std::runtime_error& e) {
    said = e.what();
  }
  co_return said + std::to_string(reached);
}
TEST(race, a_failure_wins_too_and_the_others_are_stopped) {
  testing::virtual_runtime rt;
  EXPECT_EQ(rt.block_on(first_fails()), "first0");
  EXPECT_EQ(rt.elapsed(), 10ms);
}

task<> losers_are_awaited(bool& ended) {
  const auto won = co_await race(later(10ms, 1), shield(notes(30ms, ended)));
  EXPECT_EQ(won.index(), 0u);
  EXPECT_TRUE(ended);
}
TEST(race, the_ends_of_the_losers_are_awaited) {
  testing::virtual_runtime rt;
  bool ended = false;
  rt.block_on(losers_are_awaited(ended));
  EXPECT_EQ(rt.elapsed(), 30ms);
}

TEST(race, a_stop_goes_to_all_operands) {
  testing::virtual_runtime rt;
  bool a = false, b = false;
  const auto r = rt.block_on([&]() -> task<bool> {
    const auto limited = co_await timeout(5ms, race(notes(10ms, a), notes(20ms, b)));
    co_return limited.has_value();
  }());
  EXPECT_FALSE(r || a || b);
  EXPECT_EQ(rt.elapsed(), 5ms);
}

TEST(race, that_was_won_is_not_reported_as_stopped) {
  testing::virtual_runtime rt;
  bool ended = false;
  const auto r = rt.block_on([&]() -> task<bool> {
    const auto limited = co_await timeout(20ms, race(later(10ms, 1), shield(notes(30ms, ended))));
    co_return limited.has_value();
  }());
  EXPECT_TRUE(r && ended);
}

task<int> gives_at_once(int v) { co_return v; }
TEST(race, is_won_once_on_many_workers) {
  for (const unsigned workers : {1u, 2u, 4u}) {
    runtime rt({.workers = workers});
    rt.block_on(rt.spawn([]() -> task<> {
      for (int i = 0; i < 500; ++i) {
        const std::array<int, 4> numbers{0, 1, 2, 3};
        const auto won = co_await race(numbers, [](int n) -> task<int> {
          if (n % 2 == 0) co_await yield_now();
          co_return n;
        });
        EXPECT_EQ(static_cast<int>(won.index), won.value);
        const auto pair = co_await race(gives_at_once(1), yield_now());
        static_cast<void>(pair);
      }
    }));
  }
}

TEST(shield, runs_to_its_end_and_the_stop_is_seen_afterwards) {
  testing::virtual_runtime rt;
  bool inside = false, after = false;
  const auto r = rt.block_on([&]() -> task<bool> {
    const auto limited = co_await timeout(5ms, [&]() -> task<> {
      co_await shield(notes(10ms, inside));
      co_await notes(10ms, after);
    }());
    co_return limited.has_value();
  }());
  EXPECT_FALSE(r || after);
  EXPECT_TRUE(inside);
  EXPECT_EQ(rt.elapsed(), 10ms);
}

TEST(shield, gives_what_is_inside) {
  testing::virtual_runtime rt;
  const int n = rt.block_on([]() -> task<int> {
    int sum = co_await shield(later(1ms, 4));
    try {
      sum += co_await shield(fails_later(1ms));
    } catch (const std::runtime_error&) {
      sum += 10;
    }
    co_return sum;
  }());
  EXPECT_EQ(n, 14);
}

#if WEFT_CENSUS
task<> scenario() {
  bool ended = false;
  const auto won = co_await race(later(3ms, 1), later(2ms, 2), shield(notes(4ms, ended)));
  // Stopped early, the one that does not see it wins.
  EXPECT_TRUE(won.index() == 1 || (won.index() == 2 && this_task::stop_requested()));
  co_await sleep_for(1ms);
}
TEST(race, stopped_at_every_await_leaves_nothing) {
  const auto seen = testing::cancel_everywhere(
      [](testing::virtual_runtime& rt) { return rt.spawn(scenario); }, [](bool) {});
  EXPECT_GT(seen.stopped, 3u);
}
#endif

}  // namespace
}  // namespace weft
