// select() and its relatives where the processor has gone, or goes just then: what is not there is not
// reported, what is there is not lost. No wait here is decided by a time; limits are far beyond what any
// of it takes.
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <random>
#include <utility>

#include "weft/fs/file.hpp"
#include "weft/net/tcp_test_support.hpp"
#include "weft/net/unix.hpp"
#include "weft/runtime/await.hpp"
#include "weft/runtime/blocking_in_place.hpp"
#include "weft/runtime/futex.hpp"
#include "weft/runtime/go.hpp"
#include "weft/runtime/handoff_test_support.hpp"
#include "weft/runtime/runtime.hpp"
#include "weft/runtime/time.hpp"
#include "weft/sync/event.hpp"
#include "weft/together/catch_stop.hpp"
#include "weft/together/race.hpp"
#include "weft/together/select.hpp"
#include "weft/together/timeout.hpp"
#include "weft/together/when_all.hpp"

namespace weft {
namespace {

using namespace std::chrono_literals;
using clock = std::chrono::steady_clock;
using test_support::spin_until_lost;

constexpr auto limit = 20s;
constexpr std::chrono::milliseconds never_here = 10min;
constexpr int rounds = 12;

void spin_for(clock::duration how_long) {
  const auto end = clock::now() + how_long;
  while (clock::now() < end) {
  }
}

using stream = net::unix_stream;
using byte = std::array<std::byte, 1>;

struct pair {
  stream near, far;
};
pair make_pair() {
  auto both = stream::pair();
  EXPECT_TRUE(both.has_value());
  return {std::move(both->first), std::move(both->second)};
}
constexpr byte sent{std::byte{42}};

task<> write_one(stream* to) {
  const auto n = co_await to->write_some(sent);
  EXPECT_TRUE(n.has_value() && *n == 1);
}
task<> set(event* e) {
  e->set();
  co_return;
}

class handoff_select : public net::test::on_each_driver {
 protected:
  static runtime_options options(unsigned workers = 1) {
    return {.workers = workers, .io = GetParam(), .preempt_after = 2ms, .report_stuck = false};
  }
};
INSTANTIATE_TEST_SUITE_P(drivers, handoff_select, net::test::all_drivers, net::test::driver_name);

task<> reads_or_waits() {
  auto [near, far] = make_pair();
  for (std::size_t round = 0; round < rounds; ++round) {
    const std::size_t happens = round % 3;
    byte in{};
    EXPECT_TRUE(spin_until_lost());
    event other;
    auto writes = happens == 0 ? spawn(write_one, &far) : spawn([]() -> task<> { co_return; });
    auto sets = happens == 1 ? spawn(set, &other) : spawn([]() -> task<> { co_return; });
    const std::chrono::milliseconds sleeps = happens == 2 ? 1ms : never_here;
    auto won = co_await select(near.read_some(in), other.wait(), sleep_for(sleeps));
    EXPECT_EQ(won.index(), happens) << round;
    if (auto* const n = std::get_if<0>(&won)) {
      EXPECT_TRUE(n->has_value() && **n == 1) << round;
      EXPECT_EQ(in, sent);
    }
    co_await writes;
    co_await sets;
  }
}
TEST_P(handoff_select, read_on_a_lost_thread_ends_when_something_came) {
  for (const unsigned workers : {1u, 2u}) {
    runtime rt(options(workers));
    rt.block_on(reads_or_waits());
    EXPECT_GE(rt.metrics().handoffs, 1u);
  }
}

task<> reads_or_waits_after_blocking() {
  auto [near, far] = make_pair();
  for (int round = 0; round < rounds; ++round) {
    byte in{};
    EXPECT_TRUE(weft::blocking([] { return spin_until_lost(); }));
    const auto late = co_await select_biased(near.read_some(in), sleep_for(1ms));
    EXPECT_EQ(late.index(), 1u) << round;
    EXPECT_TRUE(weft::blocking([] { return spin_until_lost(); }));
    auto writes = spawn(write_one, &far);
    const auto won = co_await select_biased(near.read_some(in), sleep_for(never_here));
    EXPECT_EQ(won.index(), 0u) << round;
    EXPECT_EQ(in, sent);
    co_await writes;
  }
}
TEST_P(handoff_select, read_after_a_call_that_blocked_ends_when_something_came) {
  runtime_options how = options();
  how.preempt_after = 3s;
  runtime rt(how);
  rt.block_on(reads_or_waits_after_blocking());
  EXPECT_GE(rt.metrics().handoffs, 1u);
}

/// The processor goes at any moment: while the operands are made, too, and between two of them.
task<> reads_at_any_moment() {
  auto [a, far_a] = make_pair();
  auto [b, far_b] = make_pair();
  auto [c, far_c] = make_pair();
  std::minstd_rand random(7);
  for (int round = 0; round < 40 * rounds; ++round) {
    byte in_a{}, in_b{}, in_c{};
    event other;
    spin_for(std::chrono::microseconds(200 + random() % 1200));
    const bool writes = round % 2 == 0;
    auto happens = writes ? spawn(write_one, &far_b) : spawn(set, &other);
    auto won = co_await select(a.read_some(in_a), b.read_some(in_b), c.read_some(in_c),
                               other.wait(), sleep_for(never_here));
    const std::size_t index = won.index();
    EXPECT_EQ(index, writes ? 1u : 3u) << round;
    if (index == 1) {
      EXPECT_EQ(in_b, sent);
    }
    co_await happens;
    if (index != (writes ? 1u : 3u)) co_return;
  }
}
TEST_P(handoff_select, nothing_happens_that_did_not_whenever_the_processor_goes) {
  runtime_options how = options();
  how.preempt_after = 500us;
  runtime rt(how);
  rt.block_on(reads_at_any_moment());
  EXPECT_GE(rt.metrics().handoffs, 1u);
}

TEST_P(handoff_select, futex_on_a_lost_thread_is_woken_by_a_wake_alone) {
  runtime rt(options());
  const auto test = []() -> task<> {
    for (int round = 0; round < rounds; ++round) {
      std::atomic<std::uint32_t> word{7};
      event other;
      const bool wakes = round % 2 == 0;
      const auto wake = [](std::atomic<std::uint32_t>* w) -> task<> {
        w->store(8);
        futex_wake(*w, 1);
        co_return;
      };
      EXPECT_TRUE(spin_until_lost());
      auto happens = wakes ? spawn(wake, &word) : spawn(set, &other);
      auto won = co_await select(futex_wait(word, 7), other.wait(), sleep_for(never_here));
      EXPECT_EQ(won.index(), wakes ? 0u : 1u) << round;
      EXPECT_EQ(word.load(), wakes ? 8u : 7u);
      co_await happens;
    }
  };
  rt.block_on(test());
  EXPECT_GE(rt.metrics().handoffs, 1u);
}

TEST_P(handoff_select, what_only_sleeps_or_stands_in_a_line_ends_as_ever) {
  runtime rt(options());
  const auto test = []() -> task<> {
    for (int round = 0; round < rounds; ++round) {
      event one, other;
      EXPECT_TRUE(spin_until_lost());
      const auto slept = co_await select(sleep_for(1ms), sleep_for(never_here));
      EXPECT_EQ(slept.index(), 0u);
      EXPECT_TRUE(spin_until_lost());
      auto happens = spawn(set, &other);
      const auto stood = co_await select(one.wait(), other.wait());
      EXPECT_EQ(stood.index(), 1u);
      co_await happens;
    }
  };
  rt.block_on(test());
}

TEST_P(handoff_select, file_is_read) {
  runtime rt(options());
  const auto test = []() -> task<> {
    auto zeros = co_await fs::open("/dev/zero", {.read = true});
    EXPECT_TRUE(zeros.has_value());
    for (int round = 0; round < rounds; ++round) {
      byte in{std::byte{1}};
      EXPECT_TRUE(spin_until_lost());
      auto won = co_await select(zeros->read_at(in, 0), sleep_for(never_here));
      EXPECT_EQ(won.index(), 0u);
      const auto* const n = std::get_if<0>(&won);
      EXPECT_TRUE(n != nullptr && n->has_value() && **n == 1);
      EXPECT_EQ(in[0], std::byte{0});
    }
  };
  rt.block_on(test());
}

TEST_P(handoff_select, in_a_fiber) {
  runtime rt(options());
  auto fiber = rt.go([] {
    auto [near, far] = make_pair();
    stream* const other_end = &far;
    for (int round = 0; round < rounds; ++round) {
      byte in{};
      EXPECT_TRUE(spin_until_lost());
      const auto late = await(select(near.read_some(in), sleep_for(1ms)));
      EXPECT_EQ(late.index(), 1u) << round;
      EXPECT_TRUE(spin_until_lost());
      auto writes = spawn(write_one, other_end);
      auto won = await(select(near.read_some(in), sleep_for(never_here)));
      EXPECT_EQ(won.index(), 0u) << round;
      EXPECT_EQ(in, sent);
      await(writes);
    }
  });
  rt.block_on(fiber);
  EXPECT_GE(rt.metrics().handoffs, 1u);
}

/// The stop comes while the job gives way, or before: nothing has begun.
TEST_P(handoff_select, stop_while_it_gives_way_ends_it) {
  runtime rt(options());
  const auto test = []() -> task<> {
    for (int round = 0; round < rounds; ++round) {
      std::atomic<bool> lost{false};
      auto [near, far] = make_pair();
      const auto selects = [](stream* from, std::atomic<bool>* says) -> task<> {
        byte in{};
        EXPECT_TRUE(spin_until_lost());
        *says = true;
        static_cast<void>(co_await select(from->read_some(in), sleep_for(never_here)));
        ADD_FAILURE() << "something happened";
      };
      auto stuck = spawn(selects, &near, &lost);
      co_await yield_now();
      const auto end = clock::now() + limit;
      while (!lost && clock::now() < end) co_await yield_now();
      spin_for(std::chrono::microseconds(50 * round));  // it is in the injector
      stuck.stop();
      const auto how = co_await stuck.outcome();
      EXPECT_TRUE(how.stopped());
    }
  };
  rt.block_on(test());
}

// --- Those whose operands are jobs that run

TEST_P(handoff_select, timeout_race_and_when_all_give_what_came) {
  runtime rt(options());
  const auto test = []() -> task<> {
    auto [near, far] = make_pair();
    for (int round = 0; round < rounds; ++round) {
      byte in{};
      event other;

      EXPECT_TRUE(spin_until_lost());
      auto writes = spawn(write_one, &far);
      const auto timed = co_await timeout(never_here, near.read_some(in));
      EXPECT_TRUE(timed.has_value() && *timed == 1);
      co_await writes;

      EXPECT_TRUE(spin_until_lost());
      const auto late = co_await timeout(1ms, near.read_some(in));
      EXPECT_FALSE(late.has_value());

      EXPECT_TRUE(spin_until_lost());
      auto sets = spawn(set, &other);
      const auto first = co_await race(near.read_some(in), other.wait());
      EXPECT_EQ(first.index(), 1u);
      co_await sets;

      EXPECT_TRUE(spin_until_lost());
      auto writes_again = spawn(write_one, &far);
      const auto both = co_await when_all(near.read_some(in), sleep_for(1ms));
      EXPECT_TRUE(std::get<0>(both).has_value() && *std::get<0>(both) == 1);
      co_await writes_again;

      EXPECT_TRUE(spin_until_lost());
      auto writes_last = spawn(write_one, &far);
      const auto caught = co_await catch_stop(near.read_some(in));
      EXPECT_TRUE(caught.has_value() && caught->has_value() && **caught == 1);
      co_await writes_last;
    }
  };
  rt.block_on(test());
  EXPECT_GE(rt.metrics().handoffs, 1u);
}

}  // namespace
}  // namespace weft
