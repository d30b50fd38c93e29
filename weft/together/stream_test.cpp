// stream: elements of every kind, waits between them, ends, failures, stops, and left halfway.
#include "weft/together/stream.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <concepts>
#include <memory>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "weft/base/census.hpp"
#include "weft/runtime/block_on.hpp"
#include "weft/runtime/runtime.hpp"
#include "weft/runtime/time.hpp"
#include "weft/sync/event.hpp"
#include "weft/task/ok.hpp"
#include "weft/task/shield_scope.hpp"
#include "weft/testing/cancel_everywhere.hpp"
#include "weft/testing/virtual_time.hpp"
#include "weft/together/catch_stop.hpp"
#include "weft/together/race.hpp"
#include "weft/together/timeout.hpp"

namespace weft {
namespace {

using namespace std::chrono_literals;
using ints = std::vector<int>;

// The shape.

static_assert(std::movable<stream<int>> && !std::copyable<stream<int>>);
static_assert(std::is_nothrow_move_constructible_v<stream<int>>);
static_assert(!std::is_default_constructible_v<stream<int>>);
static_assert(sizeof(stream<int>) == sizeof(void*));
template <class T>
using next_of = await_result_t<decltype(std::declval<stream<T>&>().next())>;
static_assert(std::same_as<next_of<int>, std::optional<int>>);
static_assert(std::same_as<next_of<int&>, int*>);
static_assert(std::same_as<next_of<const int&>, const int*>);

stream<int> count(int from, int to) {
  for (int i = from; i < to; ++i) co_yield i;
}
stream<int> count_slowly(int to) {
  for (int i = 0; i < to; ++i) {
    co_await sleep_for(10ms);
    co_yield i;
  }
}
task<ints> all(stream<int> s) {
  ints got;
  for (;;) {
    const auto next = co_await s.next();
    if (!next) break;
    got.push_back(*next);
  }
  co_return got;
}

/// Notes the end of whatever has it.
class mark {
 public:
  mark(std::string& where, char what) noexcept : where_(where), what_(what) {}
  ~mark() { where_ += what_; }
  mark(const mark&) = delete;
  mark& operator=(const mark&) = delete;

 private:
  std::string& where_;
  char what_;
};

TEST(stream, gives_its_elements_in_order_then_the_end_for_ever) {
  EXPECT_EQ(block_on(all(count(0, 5))), (ints{0, 1, 2, 3, 4}));
  const auto again = []() -> task<> {
    auto s = count(0, 1);
    const auto first = co_await s.next();
    EXPECT_EQ(first, 0);
    for (int i = 0; i < 3; ++i) {
      const auto none = co_await s.next();
      EXPECT_FALSE(none);
    }
  };
  block_on(again());
}

TEST(stream, waits_between_its_elements) {
  testing::virtual_runtime rt;
  EXPECT_EQ(rt.block_on(all(count_slowly(4))), (ints{0, 1, 2, 3}));
  EXPECT_EQ(rt.elapsed(), 40ms);
}

TEST(stream, runs_only_while_its_next_is_awaited) {
  const auto body = [](int& n) -> stream<int> {
    ++n;
    co_yield 1;
    ++n;
    co_yield 2;
    ++n;
  };
  const auto test = [&]() -> task<> {
    int steps = 0;
    auto s = body(steps);
    EXPECT_EQ(steps, 0);
    for (int i = 1; i <= 3; ++i) {
      const auto next = co_await s.next();
      EXPECT_EQ(next.has_value(), i < 3);
      EXPECT_EQ(steps, i);
      co_await yield_now();
      EXPECT_EQ(steps, i);
    }
  };
  runtime rt({.workers = 1});
  rt.block_on(test());
}

TEST(stream, may_be_pulled_by_another_job_each_time) {
  const auto pull = [](stream<int>& s) -> task<int> {
    const auto next = co_await s.next();
    co_return next.value_or(-1);
  };
  const auto test = [&]() -> task<> {
    auto s = count_slowly(20);
    for (int i = 0; i < 20; ++i) {
      auto other = spawn(pull, std::ref(s));
      const int got = co_await other;
      EXPECT_EQ(got, i);
    }
    const int none = co_await pull(s);
    EXPECT_EQ(none, -1);
  };
  testing::virtual_runtime rt;
  rt.block_on(test());
  auto s = count(0, 2);  // and by plain threads
  EXPECT_EQ(block_on(s.next()), 0);
  EXPECT_EQ(block_on(s.next()), 1);
  EXPECT_EQ(block_on(s.next()), std::nullopt);
}

// Elements.

struct tally {
  int copies = 0;
  int moves = 0;
  int alive = 0;
};
class counted {
 public:
  counted(tally& t, int v) : value(v), t_(&t) { ++t_->alive; }
  counted(const counted& o) : value(o.value), t_(o.t_) {
    ++t_->copies;
    ++t_->alive;
  }
  counted(counted&& o) noexcept : value(std::exchange(o.value, -1)), t_(o.t_) {
    ++t_->moves;
    ++t_->alive;
  }
  ~counted() { --t_->alive; }
  int value;

 private:
  tally* t_;
};

template <class T>
stream<T> some_counted(tally& t) {
  counted one(t, 1);
  co_yield one;
  if constexpr (!std::is_reference_v<T>) co_yield counted(t, 2);
  if constexpr (!std::is_reference_v<T>) co_yield std::move(one);
  co_yield one;
}

TEST(stream, named_element_is_copied_once_and_another_moved_once) {
  const auto test = []() -> task<> {
    tally t;
    {
      ints got;
      auto s = some_counted<counted>(t);
      for (;;) {
        const auto next = co_await s.next();
        if (!next) break;
        got.push_back(next->value);
      }
      EXPECT_EQ(got, (ints{1, 2, 1, -1}));
    }
    EXPECT_EQ(t.copies, 2);
    EXPECT_EQ(t.moves, 2);
    EXPECT_EQ(t.alive, 0);
  };
  block_on(test());
}

TEST(stream, references_are_to_the_thing_itself) {
  const auto test = []() -> task<> {
    tally t;
    auto s = some_counted<counted&>(t);
    counted* const first = co_await s.next();
    first->value = 7;
    counted* const second = co_await s.next();
    EXPECT_EQ(first, second);
    EXPECT_EQ(second->value, 7);
    counted* const end = co_await s.next();
    EXPECT_EQ(end, nullptr);
    EXPECT_EQ(t.copies + t.moves + t.alive, 0);
  };
  block_on(test());
}

stream<std::unique_ptr<int>> owned(int n) {
  for (int i = 0; i < n; ++i) {
    auto p = std::make_unique<int>(i);
    co_yield std::move(p);
    EXPECT_EQ(p, nullptr);
    co_yield std::make_unique<int>(-i);
  }
}
stream<std::string> texts() {
  co_yield "made of another type";
  const std::string named = "named";
  co_yield named;
  co_yield {"xxx", 2};
}
struct plain_pair {
  int a;
  std::string b;
};
stream<plain_pair> pairs() {
  plain_pair p{1, "a long text that is not in place"};
  co_yield p;
  co_yield std::as_const(p);
}

TEST(stream, elements_may_be_move_only_converted_and_aggregates) {
  const auto test = []() -> task<> {
    ints got;
    auto s = owned(2);
    for (;;) {
      auto next = co_await s.next();
      if (!next) break;
      const std::unique_ptr<int> mine = std::move(*next);
      got.push_back(*mine);
    }
    EXPECT_EQ(got, (ints{0, 0, 1, -1}));
    auto words = texts();
    std::string joined;
    for (;;) {
      const auto next = co_await words.next();
      if (!next) break;
      joined += *next + ";";
    }
    EXPECT_EQ(joined, "made of another type;named;xx;");
    auto ps = pairs();
    for (int i = 0; i < 2; ++i) {
      const auto next = co_await ps.next();
      EXPECT_EQ(next->b, "a long text that is not in place");
    }
  };
  block_on(test());
}

TEST(stream, a_million_elements_need_no_stack) {
  const auto test = []() -> task<long> {
    long sum = 0;
    auto s = count(0, 1'000'000);
    for (;;) {
      const auto next = co_await s.next();
      if (!next) break;
      sum += *next;
    }
    co_return sum;
  };
  EXPECT_EQ(block_on(test()), 499'999'500'000);
}

// Ends.

stream<int> marked(std::string& ends, bool waits) {
  const mark outer(ends, 'o');
  co_yield 1;
  const mark inner(ends, 'i');
  co_yield 2;
  if (waits) co_await sleep_for(1h);
  co_yield 3;
}

TEST(stream, dropped_at_a_yield_it_destroys_what_is_alive_at_once) {
  const auto test = []() -> task<> {
    std::string ends;
    {
      const auto never_begun = marked(ends, false);
    }
    EXPECT_EQ(ends, "");
    {
      auto s = marked(ends, false);
      co_await s.next();
    }
    EXPECT_EQ(ends, "o");
    ends.clear();
    auto s = marked(ends, false);
    co_await s.next();
    co_await s.next();
    s = count(5, 6);
    EXPECT_EQ(ends, "io");
    const auto of_the_other = co_await s.next();
    EXPECT_EQ(of_the_other, 5);
    auto moved = std::move(s);
    const auto none = co_await moved.next();
    EXPECT_FALSE(none);
  };
  block_on(test());
}

stream<std::shared_ptr<int>> keeps(std::shared_ptr<int> p) { co_yield p; }

TEST(stream, frame_and_parameters_are_gone_at_the_end) {
  const auto test = []() -> task<> {
    auto p = std::make_shared<int>(1);
    auto s = keeps(p);
    co_await s.next();
    EXPECT_EQ(p.use_count(), 2);
    co_await s.next();
    EXPECT_EQ(p.use_count(), 1);
  };
  block_on(test());
}

stream<int> fails_after(int n, std::string& ends) {
  const mark m(ends, 'f');
  for (int i = 0; i < n; ++i) co_yield i;
  co_await yield_now();
  throw std::runtime_error("broken");
}

TEST(stream, exception_leaves_next_and_then_it_is_the_end) {
  const auto test = []() -> task<> {
    std::string ends;
    auto s = fails_after(2, ends);
    co_await s.next();
    co_await s.next();
    bool thrown = false;
    try {
      co_await s.next();
    } catch (const std::runtime_error&) {
      thrown = true;
    }
    EXPECT_TRUE(thrown);
    EXPECT_EQ(ends, "f");
    const auto none = co_await s.next();
    EXPECT_FALSE(none);
  };
  runtime rt({.workers = 1});
  rt.block_on(test());
}

TEST(stream, ok_in_a_stream_throws_the_error) {
  const auto body = []() -> stream<int> {
    const result<int> good = 1;
    const int one = co_await ok(good);
    co_yield one;
    const result<int> bad = std::unexpected(make_error_code(errc::timed_out));
    const int two = co_await ok(bad);
    co_yield two;
  };
  const auto test = [&]() -> task<> {
    auto s = body();
    const auto first = co_await s.next();
    EXPECT_EQ(first, 1);
    std::error_code code;
    try {
      co_await s.next();
    } catch (const error& e) {
      code = e.code();
    }
    EXPECT_EQ(code, make_error_code(errc::timed_out));
  };
  block_on(test());
}

// Stops.

task<> consumes(std::string& ends, stream<int> (*make)(std::string&, bool)) {
  const mark consumer(ends, 'c');
  auto s = make(ends, true);
  for (;;) {
    const auto next = co_await s.next();
    if (!next) break;
  }
}

TEST(stream, stopped_wait_unwinds_producer_then_consumer) {
  const auto test = []() -> task<> {
    std::string ends;
    auto job = spawn(consumes, std::ref(ends), marked);
    co_await sleep_for(1min);
    EXPECT_EQ(ends, "");
    job.stop();
    const auto end = co_await job.outcome();
    EXPECT_TRUE(end.stopped());
    EXPECT_EQ(ends, "ioc");
  };
  testing::virtual_runtime rt;
  rt.block_on(test());
  EXPECT_EQ(rt.elapsed(), 1min);
}

TEST(stream, consumer_that_is_stopped_elsewhere_drops_the_stream) {
  const auto test = []() -> task<> {
    std::string ends;
    const auto body = [](std::string& e) -> task<> {
      auto s = marked(e, true);
      co_await s.next();
      co_await sleep_for(1h);
    };
    auto job = spawn(body, std::ref(ends));
    co_await sleep_for(1min);
    job.stop();
    const auto end = co_await job.outcome();
    EXPECT_TRUE(end.stopped());
    EXPECT_EQ(ends, "o");
  };
  testing::virtual_runtime rt;
  rt.block_on(test());
}

TEST(stream, is_at_its_end_after_a_stop_that_the_consumer_outlived) {
  const auto test = []() -> task<> {
    std::string ends;
    auto s = marked(ends, true);
    co_await s.next();
    co_await s.next();
    const auto late = co_await timeout(5ms, s.next());
    EXPECT_FALSE(late.has_value());
    EXPECT_EQ(ends, "io");
    const auto none = co_await s.next();
    EXPECT_FALSE(none);

    ends.clear();
    auto other = marked(ends, true);
    co_await other.next();
    co_await other.next();
    auto quick = count(8, 9);
    const auto won = co_await race(other.next(), quick.next());
    EXPECT_EQ(won.index(), 1u);
    EXPECT_EQ(ends, "io");
    const auto gone = co_await other.next();
    EXPECT_FALSE(gone);
  };
  testing::virtual_runtime rt;
  rt.block_on(test());
  EXPECT_EQ(rt.elapsed(), 5ms);
}

TEST(stream, caught_stop_leaves_it_at_its_end) {
  const auto body = [](std::string& ends, bool& caught) -> task<> {
    auto s = marked(ends, true);
    co_await s.next();
    co_await s.next();
    const auto got = co_await catch_stop(s.next());
    caught = !got.has_value();
    const shield_scope to_the_end;
    const auto none = co_await s.next();
    EXPECT_FALSE(none);
  };
  const auto test = [&]() -> task<> {
    std::string ends;
    bool caught = false;
    auto job = spawn(body, std::ref(ends), std::ref(caught));
    co_await sleep_for(1ms);
    job.stop();
    const auto end = co_await job.outcome();
    static_cast<void>(end);
    EXPECT_TRUE(caught);
    EXPECT_EQ(ends, "io");
  };
  testing::virtual_runtime rt;
  rt.block_on(test());
}

#if WEFT_CENSUS
/// Whatever the await, all is destroyed once, and nothing was given twice or skipped.
TEST(stream, nothing_is_left_wherever_its_consumer_is_stopped) {
  std::string ends;
  ints got;
  const auto scenario = [](std::string& e, ints& g) -> task<> {
    const auto body = [](std::string& in) -> stream<int> {
      const mark m(in, 's');
      for (int i = 0; i < 3; ++i) {
        co_await sleep_for(1ms);
        co_yield i;
      }
      co_await sleep_for(1ms);
    };
    auto s = body(e);
    for (;;) {
      const auto next = co_await s.next();
      if (!next) break;
      g.push_back(*next);
      co_await sleep_for(1ms);
    }
  };
  const auto report = testing::cancel_everywhere(
      [&](testing::virtual_runtime& rt) {
        ends.clear();
        got.clear();
        return rt.spawn(scenario, std::ref(ends), std::ref(got));
      },
      [&](bool stopped) {
        EXPECT_TRUE(ends == "s" || (stopped && ends.empty())) << ends;
        for (std::size_t i = 0; i < got.size(); ++i) EXPECT_EQ(got[i], static_cast<int>(i));
        EXPECT_TRUE(stopped || got.size() == 3u) << got.size();
      },
      {.io = driver::epoll});
  EXPECT_EQ(report.awaits, 7u);
  EXPECT_GE(report.stopped, 13u);
}
#endif

// Misuse.

using stream_death_test = ::testing::Test;

stream<int> pulls(stream<int>*& itself) {
  const auto next = co_await itself->next();
  co_yield next.value_or(0);
}
TEST(stream_death_test, pulled_twice_at_once) {
  EXPECT_DEATH(
      {
        stream<int>* itself = nullptr;
        auto s = pulls(itself);
        itself = &s;
        block_on(s.next());
      },
      "awaited twice at once");
}

stream<int> shields() {
  const shield_scope across;
  co_yield 1;
}
TEST(stream_death_test, shield_across_a_yield) {
#ifdef NDEBUG
  GTEST_SKIP() << "checked in debug builds only";
#endif
  EXPECT_DEATH(
      {
        auto s = shields();
        block_on(s.next());
      },
      "shield_scope lives across");
}

}  // namespace
}  // namespace weft
