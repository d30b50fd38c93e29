// The harness itself, and every awaitable below I/O stopped at each of its awaits.
#include "weft/base/config.hpp"

#if WEFT_CENSUS  // the harness needs the hook that only these builds have

#include "weft/testing/cancel_everywhere.hpp"

#include <gtest/gtest.h>

#include <string>

#include "weft/runtime/blocking.hpp"
#include "weft/runtime/time.hpp"
#include "weft/together/catch_stop.hpp"
#include "weft/together/timeout.hpp"

namespace weft {
namespace {

using namespace std::chrono_literals;
using testing::cancel_everywhere;
using testing::virtual_options;
using testing::virtual_runtime;

// The ring costs a millisecond to set up, and nothing here does I/O.
constexpr virtual_options quick{.io = driver::epoll};

task<> three_sleeps(int& reached) {
  co_await sleep_for(10ms);
  ++reached;
  co_await sleep_for(10ms);
  ++reached;
  co_await sleep_for(10ms);
  ++reached;
}

TEST(cancel_everywhere, stops_before_and_in_each_await) {
  int reached = 0;
  std::string seen;
  const auto report = cancel_everywhere(
      [&](virtual_runtime& rt) {
        reached = 0;
        return rt.spawn(three_sleeps, std::ref(reached));
      },
      [&](bool stopped) {
        seen += std::to_string(reached);
        EXPECT_EQ(stopped, reached != 3);
      },
      quick);
  EXPECT_EQ(report.awaits, 3u);
  // left alone; before 1, 2, 3, none; in 1, 2, 3, none
  EXPECT_EQ(seen, "301230123");
  EXPECT_EQ(report.stopped, 6u);
}

task<int> late(int v) {
  co_await sleep_for(5ms);
  co_return v;
}
int half(int x) { return x / 2; }

task<> everything(int& balance) {
  struct held {
    int& n;
    explicit held(int& b) : n(b) { ++n; }
    held(const held&) = delete;
    ~held() { --n; }
  };
  held a(balance);
  const auto in_time = co_await timeout(10ms, late(1));
  EXPECT_TRUE(in_time.has_value());
  const auto over = co_await timeout(2ms, late(2));
  EXPECT_FALSE(over.has_value());
  auto beside = spawn(late, 3);
  held b(balance);
  const int joined = co_await beside;
  EXPECT_EQ(joined, 3);
  auto other = spawn(
      [](int& n) -> task<> {
        held c(n);
        co_await sleep_for(1h);
      },
      std::ref(balance));
  co_await yield_now();
  other.stop();
  auto o = co_await other.outcome();
  EXPECT_TRUE(o.stopped());
  const int h = co_await spawn_blocking(half, 8);
  EXPECT_EQ(h, 4);
  const auto nested = co_await timeout(1h, timeout(1ms, late(4)));
  EXPECT_FALSE(nested.has_value());
}

TEST(cancel_everywhere, nothing_is_left_wherever_a_scenario_is_stopped) {
  int balance = 0;
  const auto report = cancel_everywhere(
      [&](virtual_runtime& rt) {
        balance = 0;
        return rt.spawn(everything, std::ref(balance));
      },
      [&](bool) { EXPECT_EQ(balance, 0); }, quick);
  EXPECT_GT(report.awaits, 10u);
  EXPECT_GT(report.stopped, report.awaits);
}

}  // namespace
}  // namespace weft

#endif
