// The operators of streams: what each gives, when, and what is left of it.
#include "weft/together/stream_operators.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <list>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "weft/channel/mpmc.hpp"
#include "weft/runtime/block_on.hpp"
#include "weft/runtime/runtime.hpp"
#include "weft/runtime/time.hpp"
#include "weft/testing/cancel_everywhere.hpp"
#include "weft/testing/virtual_time.hpp"
#include "weft/together/generator.hpp"

namespace weft {
namespace {

using namespace std::chrono_literals;
using ints = std::vector<int>;

std::chrono::milliseconds elapsed_ms() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(now().time_since_epoch());
}

stream<int> count(int from, int to) {
  for (int i = from; i < to; ++i) co_yield i;
}
stream<int> each(std::chrono::milliseconds d, int to) {
  for (int i = 0; i < to; ++i) {
    co_await sleep_for(d);
    co_yield i;
  }
}
stream<int> fails_after(int n) {
  for (int i = 0; i < n; ++i) co_yield i;
  throw std::runtime_error("broken");
}
task<int> doubled_later(int i) {
  co_await sleep_for(1ms);
  co_return 2 * i;
}
bool is_even(int i) { return i % 2 == 0; }
int doubled(int i) { return 2 * i; }

/// Counts how many of it are alive.
class held {
 public:
  explicit held(int& alive) noexcept : alive_(alive) { ++alive_; }
  held(const held&) = delete;
  held& operator=(const held&) = delete;
  ~held() { --alive_; }

 private:
  int& alive_;
};
stream<int> held_count(int& alive, int to) {
  const held h(alive);
  for (int i = 0; i < to; ++i) co_yield i;
}

TEST(stream_operators, chain_reads_as_it_runs) {
  EXPECT_EQ(block_on(count(0, 100).filter(is_even).map(doubled).take(4).collect()),
            (ints{0, 4, 8, 12}));
}

TEST(stream_operators, callables_may_be_tasks) {
  const auto later_even = [](int i) -> task<bool> {
    co_await sleep_for(1ms);
    co_return i % 2 == 0;
  };
  testing::virtual_runtime rt;
  EXPECT_EQ(rt.block_on(count(0, 6).filter(later_even).map(doubled_later).collect()),
            (ints{0, 4, 8}));
  EXPECT_EQ(rt.elapsed(), 9ms);
}

struct person {
  std::string name;
  int age;
};
stream<person> people() {
  person ada{"Ada, with a name that is not in place", 36};
  co_yield ada;
}

TEST(stream_operators, map_gives_values_and_moves_elements_through) {
  static_assert(std::same_as<decltype(people().map(&person::name)), stream<std::string>>);
  EXPECT_EQ(block_on(people().map(&person::name).collect()),
            (std::vector<std::string>{"Ada, with a name that is not in place"}));
  const auto boxed = [](int i) { return std::make_unique<int>(i); };
  const auto opened = [](std::unique_ptr<int> p) { return *p; };
  const auto not_null = [](const std::unique_ptr<int>& p) { return p != nullptr; };
  EXPECT_EQ(block_on(count(0, 3).map(boxed).filter(not_null).take(2).map(opened).collect()),
            (ints{0, 1}));
}

TEST(stream_operators, callable_that_owns_something_lives_in_the_stream) {
  auto owned = std::make_shared<int>(10);
  {
    auto add = [owned](int i) { return i + *owned; };
    auto s = count(0, 3).map(moved(add));
    EXPECT_EQ(owned.use_count(), 2);
    EXPECT_EQ(block_on(std::move(s).collect()), (ints{10, 11, 12}));
    EXPECT_EQ(owned.use_count(), 1);
  }
  EXPECT_EQ(owned.use_count(), 1);
}

stream<int&> slots(ints& in) {
  for (int& i : in) co_yield i;
}
TEST(stream_operators, references_pass_through_filter_take_and_for_each) {
  ints v{1, 2, 3, 4, 5, 6};
  const auto tenfold = [](int& i) { i *= 10; };
  block_on(slots(v).filter(is_even).take(2).for_each(tenfold));
  EXPECT_EQ(v, (ints{1, 20, 3, 40, 5, 6}));
}

TEST(stream_operators, take_asks_for_no_more_and_lets_the_rest_go) {
  const auto test = []() -> task<> {
    int alive = 0;
    int asked = 0;
    auto s = held_count(alive, 10)
                 .map([&asked](int i) {
                   ++asked;
                   return i;
                 })
                 .take(2);
    co_await s.next();
    EXPECT_EQ(alive, 1);
    const auto second = co_await s.next();
    EXPECT_EQ(second, 1);
    EXPECT_EQ(alive, 0);
    const auto none = co_await s.next();
    EXPECT_FALSE(none);
    EXPECT_EQ(asked, 2);
    const auto of_none = co_await held_count(alive, 3).take(0).collect();
    EXPECT_TRUE(of_none.empty());
    const auto of_few = co_await held_count(alive, 3).take(9).collect();
    EXPECT_EQ(of_few.size(), 3u);
  };
  block_on(test());
}

TEST(stream_operators, take_while_ends_at_the_first_no) {
  const auto small = [](int i) { return i % 5 < 3; };
  EXPECT_EQ(block_on(count(0, 100).take_while(small).collect()), (ints{0, 1, 2}));
}

TEST(stream_operators, chunks_are_full_but_the_last) {
  EXPECT_EQ(block_on(count(0, 5).chunks(2).collect()), (std::vector<ints>{{0, 1}, {2, 3}, {4}}));
  EXPECT_EQ(block_on(count(0, 4).chunks(2).collect()), (std::vector<ints>{{0, 1}, {2, 3}}));
  EXPECT_TRUE(block_on(count(0, 0).chunks(2).collect()).empty());
}

TEST(stream_operators, chunk_before_a_failure_is_given) {
  const auto test = []() -> task<> {
    auto s = fails_after(3).chunks(2);
    const auto first = co_await s.next();
    EXPECT_EQ(first, (ints{0, 1}));
    const auto rest = co_await s.next();
    EXPECT_EQ(rest, (ints{2}));
    bool thrown = false;
    try {
      co_await s.next();
    } catch (const std::runtime_error&) {
      thrown = true;
    }
    EXPECT_TRUE(thrown);
  };
  block_on(test());
}

TEST(stream_operators, failures_pass_through_every_operator) {
  int before = 0;
  const auto note = [&before](int) { ++before; };
  EXPECT_THROW(block_on(fails_after(3).filter(is_even).map(doubled).take(9).for_each(note)),
               std::runtime_error);
  EXPECT_EQ(before, 2);
  const auto bad = [](int i) -> int { return i == 2 ? throw std::runtime_error("f") : i; };
  EXPECT_THROW(block_on(count(0, 9).map(bad).collect()), std::runtime_error);
}

task<ints> moments_of(stream<int> s) {
  ints at;
  for (;;) {
    const auto next = co_await s.next();
    if (!next) break;
    at.push_back(static_cast<int>(elapsed_ms().count()));
  }
  co_return at;
}

TEST(stream_operators, throttle_holds_back_what_comes_too_soon) {
  {
    testing::virtual_runtime rt;
    EXPECT_EQ(rt.block_on(moments_of(count(0, 4).throttle(10ms))), (ints{0, 10, 20, 30}));
  }
  {
    testing::virtual_runtime rt;  // slow enough by itself
    EXPECT_EQ(rt.block_on(moments_of(each(15ms, 3).throttle(10ms))), (ints{15, 30, 45}));
  }
  {
    testing::virtual_runtime rt;  // from when it was given, not from when it would have been
    EXPECT_EQ(rt.block_on(moments_of(each(7ms, 3).throttle(10ms))), (ints{7, 17, 27}));
  }
}

stream<int> ever_slower() {
  for (int i = 1;; ++i) {
    co_await sleep_for(i * 10ms);
    co_yield i;
  }
}
TEST(stream_operators, timeout_gives_an_error_then_the_end) {
  const auto test = []() -> task<> {
    auto s = ever_slower().timeout(25ms);
    static_assert(std::same_as<decltype(s), stream<result<int>>>);
    for (int i = 1; i <= 2; ++i) {
      const auto next = co_await s.next();
      EXPECT_EQ(next->value(), i);
      co_await sleep_for(1h);  // is the consumer's time
    }
    const auto late = co_await s.next();
    EXPECT_FALSE(late->has_value());
    EXPECT_EQ(late->error(), make_error_code(errc::timed_out));
    const auto none = co_await s.next();
    EXPECT_FALSE(none);
  };
  testing::virtual_runtime rt;
  rt.block_on(test());
  EXPECT_EQ(rt.elapsed(), 55ms + 2h);
}

stream<result<int>> results() {
  co_yield result<int>(1);
  co_yield std::unexpected(make_error_code(std::errc::not_supported));
}
TEST(stream_operators, timeout_of_results_is_of_results) {
  static_assert(std::same_as<decltype(results().timeout(1s)), stream<result<int>>>);
  testing::virtual_runtime rt;
  const auto all = rt.block_on(results().timeout(1s).collect());
  ASSERT_EQ(all.size(), 2u);
  EXPECT_EQ(all[0].value(), 1);
  EXPECT_EQ(all[1].error(), std::make_error_code(std::errc::not_supported));
}

generator<int> three() {
  for (int i = 0; i < 3; ++i) co_yield i;
}
TEST(stream_operators, stream_of_keeps_what_it_walks) {
  const ints named{1, 2, 3};
  EXPECT_EQ(block_on(stream_of(named).collect()), named);
  EXPECT_EQ(block_on(stream_of(std::list<int>{4, 5}).map(doubled).collect()), (ints{8, 10}));
  EXPECT_EQ(block_on(stream_of(three()).collect()), (ints{0, 1, 2}));
}

TEST(stream_operators, receive_all_ends_when_the_channel_is_drained) {
  const auto test = []() -> task<> {
    auto [to, from] = channel<std::unique_ptr<int>>(4);
    for (int i = 0; i < 3; ++i) {
      const auto sent = co_await to.send(std::make_unique<int>(i));
      EXPECT_TRUE(sent);
    }
    {
      auto s = receive_all(from);
      const auto first = co_await s.next();
      EXPECT_EQ(**first, 0);
    }
    EXPECT_EQ(from.size(), 2u);  // what it did not give is still there
    to.close();
    const auto opened = [](const std::unique_ptr<int>& p) { return *p; };
    const auto rest = co_await receive_all(std::move(from)).map(opened).collect();
    EXPECT_EQ(rest, (ints{1, 2}));
  };
  runtime rt({.workers = 1});
  rt.block_on(test());
}

#if WEFT_CENSUS
/// Each operator in one chain, stopped at every await.
TEST(stream_operators, nothing_is_left_wherever_a_chain_is_stopped) {
  int alive = 0;
  std::vector<ints> got;
  const auto scenario = [](int& a, std::vector<ints>& g) -> task<> {
    const auto source = [](int& n) -> stream<int> {
      const held h(n);
      for (int i = 0; i < 8; ++i) {
        co_await sleep_for(1ms);
        co_yield i;
      }
    };
    const auto in_time = [](const result<int>& r) { return r.has_value(); };
    const auto value = [](const result<int>& r) { return r.value(); };
    auto s = source(a)
                 .filter(is_even)
                 .map(doubled_later)
                 .timeout(1h)
                 .take_while(in_time)
                 .map(value)
                 .throttle(10ms)
                 .chunks(2)
                 .take(2);
    const auto keep = [&](ints chunk) -> task<> {
      const held h(a);
      co_await sleep_for(1ms);
      g.push_back(std::move(chunk));
    };
    co_await std::move(s).for_each(keep);
  };
  const auto report = testing::cancel_everywhere(
      [&](testing::virtual_runtime& rt) {
        alive = 0;
        got.clear();
        return rt.spawn(scenario, std::ref(alive), std::ref(got));
      },
      [&](bool stopped) {
        EXPECT_EQ(alive, 0);
        const std::vector<ints> all{{0, 4}, {8, 12}};
        EXPECT_TRUE(stopped || got == all) << got.size();
      },
      {.io = driver::epoll});
  EXPECT_GT(report.awaits, 15u);
  EXPECT_GT(report.stopped, report.awaits);
}
#endif

}  // namespace
}  // namespace weft
