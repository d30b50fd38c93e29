// Each wait of weft/together in a fiber: it waits, goes on with the right result, and a stop unwinds it.
#include <gtest/gtest.h>

#include <array>
#include <chrono>
#include <functional>
#include <optional>
#include <ranges>
#include <string>
#include <tuple>
#include <utility>
#include <variant>
#include <vector>

#include "weft/channel/mpmc.hpp"
#include "weft/fiber/one_wait_test_support.hpp"
#include "weft/sync/event.hpp"
#include "weft/together/catch_stop.hpp"
#include "weft/together/combinators.hpp"
#include "weft/together/fork_join.hpp"
#include "weft/together/join_set.hpp"
#include "weft/together/parallel.hpp"
#include "weft/together/race.hpp"
#include "weft/together/retry.hpp"
#include "weft/together/scope.hpp"
#include "weft/together/select.hpp"
#include "weft/together/shield.hpp"
#include "weft/together/stop_token.hpp"
#include "weft/together/stream.hpp"
#include "weft/together/stream_beside.hpp"
#include "weft/together/timeout.hpp"
#include "weft/together/when_all.hpp"

namespace weft {
namespace {

using namespace std::chrono_literals;
using test_support::in_each_way;
using test_support::one_wait;
using test_support::wait_end;
using ints = std::vector<int>;

/// What everything here waits for in the end.
class await_together : public ::testing::Test {
 protected:
  task<int> behind_it(int x) {
    co_await may_end.wait();
    co_return x;
  }
  task<result<int>> result_behind_it(int x) {
    co_await may_end.wait();
    if (x < 0) co_return std::unexpected(std::make_error_code(std::errc::io_error));
    co_return x;
  }
  stream<int> numbers_behind_it(int n) {
    co_await may_end.wait();
    for (int i = 1; i <= n; ++i) co_yield i;
  }
  /// A row: `waits` awaits, and goes on when the event is set.
  template <class Waits>
  void row(const Waits& waits) {
    in_each_way([&](const one_wait& wait) {
      may_end.reset();
      wait(waits, [&] { may_end.set(); });
    });
  }
  /// Of what is not called off.
  template <class Waits>
  void row_to_the_end(const Waits& waits) {
    in_each_way([&](const one_wait& wait) {
      may_end.reset();
      wait.to_the_end(
          [&] {
            waits();
            await(yield_now());
          },
          [&] { may_end.set(); });
    });
  }

  event may_end;
};

// --- several at once ------------------------------------------------------------------------------

TEST_F(await_together, when_all) {
  row([&] {
    const auto [a, b] = await(when_all(behind_it(1), behind_it(2)));
    EXPECT_EQ(a, 1);
    EXPECT_EQ(b, 2);
  });
}

TEST_F(await_together, when_all_of_a_range) {
  row([&] {
    const auto all = await(when_all(std::views::iota(1, 4), [&](int i) { return behind_it(i); }));
    EXPECT_EQ(all, (ints{1, 2, 3}));
  });
}

TEST_F(await_together, race) {
  row([&] {
    const auto first = await(race(never(), behind_it(7)));
    ASSERT_EQ(first.index(), 1u);
    EXPECT_EQ(std::get<1>(first), 7);
  });
}

TEST_F(await_together, race_of_a_range) {
  row([&] {
    const auto by = [&](int i) -> task<int> {
      if (i != 2) co_await never();
      co_return co_await behind_it(i);
    };
    const auto first = await(race(std::views::iota(0, 4), by));
    EXPECT_EQ(first.index, 2u);
    EXPECT_EQ(first.value, 2);
  });
}

TEST_F(await_together, select_and_select_biased) {
  row([&] {
    event never_set;
    const auto chosen = await(select(never_set.wait(), may_end.wait()));
    EXPECT_EQ(chosen.index(), 1u);
  });
  row([&] {
    event never_set;
    const auto chosen = await(select_biased(may_end.wait(), never_set.wait(), may_end.wait()));
    EXPECT_EQ(chosen.index(), 0u);
  });
}

TEST_F(await_together, fork_join) {
  row([&] {
    const auto [a, b] =
        await(fork_join([&] { return behind_it(5); }, [&] { return behind_it(6); }));
    EXPECT_EQ(a + b, 11);
  });
}

TEST_F(await_together, parallel_for_and_parallel_reduce) {
  row([&] {
    int sum = 0;
    const auto adds = [&](int i) -> task<> { sum += co_await behind_it(i); };
    await(parallel_for(std::views::iota(0, 5), adds));
    EXPECT_EQ(sum, 10);
  });
  row([&] {
    const auto each = [&](int i) { return behind_it(i); };
    EXPECT_EQ(await(parallel_reduce(std::views::iota(0, 5), 0, std::plus<>(), each)), 10);
  });
}

// --- blocks ---------------------------------------------------------------------------------------

TEST_F(await_together, scope) {
  row([&] {
    int done = 0;
    const auto child = [&]() -> task<> { done += co_await behind_it(1); };
    const auto body = [&](scope_ref s) -> task<int> {
      s.spawn(child);
      s.spawn(child);
      co_return 7;
    };
    EXPECT_EQ(await(scope(body)), 7);
    EXPECT_EQ(done, 2);
  });
}

TEST_F(await_together, with_join_set) {
  row([&] {
    const auto body = [&](join_set<int>& set) -> task<int> {
      for (int i = 1; i <= 3; ++i) set.spawn([this, i] { return behind_it(i); });
      int sum = 0;
      while (auto ended = co_await set.next()) sum += ended->value();
      co_return sum;
    };
    EXPECT_EQ(await(with_join_set<int>(body)), 6);
  });
}

/// A fiber beside the block's body takes the outcomes; one that is stopped leaves them in the set.
TEST_F(await_together, join_set_next) {
  in_each_way([&](const one_wait& wait) {
    may_end.reset();
    const auto takes = [&](join_set<int>& set) {
      wait(
          [&] {
            auto ended = await(set.next());
            ASSERT_TRUE(ended && ended->has_value());
            EXPECT_EQ(ended->value(), 7);
          },
          [&] { may_end.set(); });
      EXPECT_EQ(set.size(), 0u);
    };
    const auto body = [&](join_set<int>& set) -> task<> {
      set.spawn([this] { return behind_it(7); });
      auto taker = go(takes, std::ref(set));
      co_await taker;
    };
    await(with_join_set<int>(body));
  });
}

// --- limits ---------------------------------------------------------------------------------------

TEST_F(await_together, timeout_and_deadline_that_are_met) {
  row([&] { EXPECT_EQ(await(timeout(1h, behind_it(7))), 7); });
  row([&] { EXPECT_EQ(await(deadline(now() + 1h, behind_it(7))), 7); });
}

TEST_F(await_together, timeout_and_deadline_that_are_missed) {
  in_each_way([](const one_wait& wait) {
    event never_set;
    const auto at = now() + 1s;
    wait([&] { EXPECT_EQ(await(timeout(1s, never_set.wait())).error(), std::errc::timed_out); },
         [] {});
    wait(
        [&] {
          EXPECT_EQ(await(deadline(at + 5s, never_set.wait())).error(), std::errc::timed_out);
          EXPECT_EQ(now(), at + 5s);
        },
        [] {});
  });
}

TEST_F(await_together, with_stop_that_is_not_asked_for_and_one_that_is) {
  row([&] {
    const stop_source source;
    EXPECT_EQ(await(with_stop(source.get_token(), behind_it(7))), 7);
  });
  in_each_way([&](const one_wait& wait) {
    stop_source source;
    may_end.reset();
    wait(
        [&] {
          const auto got = await(with_stop(source.get_token(), behind_it(7)));
          ASSERT_FALSE(got);
          EXPECT_EQ(got.error(), std::errc::operation_canceled);
        },
        [&] { source.request_stop(); });
  });
}

TEST_F(await_together, retry) {
  in_each_way([](const one_wait& wait) {
    const retry_policy policy{
        .max_attempts = 3, .initial_delay = 1s, .factor = 2, .jitter = retry_jitter::none};
    const auto begin = now();
    wait(
        [&] {
          const auto fails_twice = [](unsigned attempt) -> task<result<unsigned>> {
            if (attempt < 3) co_return std::unexpected(std::make_error_code(std::errc::io_error));
            co_return attempt;
          };
          const auto got = await(retry(policy, fails_twice));
          EXPECT_EQ(got, 3u);
          EXPECT_EQ(now() - begin, 3s);
        },
        [] {});
  });
}

TEST_F(await_together, shield) {
  row_to_the_end([&] { EXPECT_EQ(await(shield(behind_it(7))), 7); });
}

TEST_F(await_together, catch_stop) {
  in_each_way([&](const one_wait& wait) {
    may_end.reset();
    std::vector<bool> was_stopped;
    wait(
        [&] {
          const auto got = await(catch_stop(behind_it(7)));
          was_stopped.push_back(!got);
          await(yield_now());
          EXPECT_EQ(got, 7);
        },
        [&] { may_end.set(); });
    EXPECT_EQ(was_stopped.front(), wait.how() != wait_end::completed);
    EXPECT_FALSE(was_stopped.back());
  });
}

TEST_F(await_together, then_and_then_and_or_else) {
  const auto twice = [](int v) { return 2 * v; };
  const auto again = [&](int v) { return behind_it(3 * v); };
  row([&] { EXPECT_EQ(await(then(behind_it(7), twice)), 14); });
  row([&] { EXPECT_EQ(await(then(behind_it(7), again)), 21); });
  const auto more = [](int v) { return result<int>(v + 1); };
  row([&] { EXPECT_EQ(await(and_then(result_behind_it(7), more)), 8); });
  const auto other = [&](std::error_code) { return result_behind_it(9); };
  row([&] { EXPECT_EQ(await(or_else(result_behind_it(-1), other)), 9); });
}

TEST_F(await_together, just_never_waits_and_never_always) {
  testing::virtual_runtime rt;
  const auto end = rt.block_on(rt.get().go([] {
    EXPECT_EQ(await(just(7)), 7);
    await(just());
    auto waits = go([] { await(never()); });
    await(sleep_for(24h));
    EXPECT_FALSE(waits.done());
    waits.stop();
    return await(waits.outcome()).kind();
  }));
  EXPECT_EQ(end, outcome_kind::stopped);
}

// --- streams --------------------------------------------------------------------------------------

/// A stopped next() takes its stream with it, so each wait has one of its own.
TEST_F(await_together, next_of_a_stream_and_what_awaits_all_of_it) {
  row([&] {
    auto all = numbers_behind_it(2);
    EXPECT_EQ(*await(all.next()), 1);
    EXPECT_EQ(*await(all.next()), 2);
    EXPECT_FALSE(await(all.next()));
  });
  row([&] { EXPECT_EQ(await(numbers_behind_it(3).collect()), (ints{1, 2, 3})); });
  row([&] {
    int sum = 0;
    await(numbers_behind_it(3).for_each([&sum](int i) { sum += i; }));
    EXPECT_EQ(sum, 6);
  });
}

TEST_F(await_together, operators_of_a_stream) {
  row([&] {
    auto all = numbers_behind_it(9)
                   .filter([](int i) { return i % 2 == 1; })
                   .map([this](int i) { return behind_it(10 * i); })
                   .take(3);
    EXPECT_EQ(await(std::move(all).collect()), (ints{10, 30, 50}));
  });
  row([&] {
    auto all = numbers_behind_it(9).take_while([](int i) { return i < 4; }).chunks(2);
    EXPECT_EQ(await(std::move(all).collect()), (std::vector<ints>{{1, 2}, {3}}));
  });
}

TEST_F(await_together, operators_of_a_stream_that_keep_time) {
  in_each_way([](const one_wait& wait) {
    wait(
        [&] {
          const auto begin = now();
          auto all = stream_of(ints{1, 2, 3}).throttle(10ms);
          EXPECT_EQ(await(std::move(all).collect()), (ints{1, 2, 3}));
          EXPECT_EQ(now() - begin, 20ms);
        },
        [] {});
    wait(
        [&] {
          auto ends = channel<int>(1);
          auto all = receive_all(std::move(ends.receiver)).timeout(10ms);
          const auto late = await(all.next());
          ASSERT_TRUE(late);
          EXPECT_EQ(late->error(), std::errc::timed_out);
        },
        [] {});
  });
}

/// Their jobs are children of a scope, whose body awaits the fiber that takes: it is not stopped here, for it
/// must not outlive the scope.
TEST_F(await_together, streams_that_have_jobs_beside) {
  const auto takes = [&](scope_ref s) {
    const one_wait wait(wait_end::completed);
    auto both = merge(s, numbers_behind_it(2), numbers_behind_it(3));
    wait([&] { EXPECT_EQ(*await(both.next()), 1); }, [&] { may_end.set(); });
    int sum = 1;
    while (const auto each = await(both.next())) sum += *each;
    EXPECT_EQ(sum, 9);
    may_end.reset();
    auto in_order = stream_of(ints{1, 2, 3}).buffered(s, 2, [this](int i) { return behind_it(i); });
    wait([&] { EXPECT_EQ(*await(in_order.next()), 1); }, [&] { may_end.set(); });
    EXPECT_EQ(*await(in_order.next()), 2);
  };
  const auto body = [&](scope_ref s) -> task<> {
    auto taker = go(takes, s);
    co_await taker;
  };
  testing::virtual_runtime rt;
  rt.block_on(scope(body));
}

}  // namespace
}  // namespace weft
