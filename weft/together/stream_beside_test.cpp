// Streams that have jobs beside: order, how many at once, failures, stops, and left halfway.
#include "weft/together/stream_beside.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <numeric>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "weft/runtime/runtime.hpp"
#include "weft/runtime/time.hpp"
#include "weft/testing/cancel_everywhere.hpp"
#include "weft/testing/virtual_time.hpp"

namespace weft {
namespace {

using namespace std::chrono_literals;
using ints = std::vector<int>;

/// Counts how many of it are alive, and were at most.
struct tally {
  atomic<int> alive{0};
  atomic<int> most{0};
};
class held {
 public:
  explicit held(tally& t) noexcept : t_(t) {
    const int n = t_.alive.fetch_add(1, order::relaxed) + 1;
    int most = t_.most.load(order::relaxed);
    while (n > most && !t_.most.compare_exchange_weak(most, n, order::relaxed, order::relaxed)) {
    }
  }
  held(const held&) = delete;
  held& operator=(const held&) = delete;
  ~held() { t_.alive.fetch_sub(1, order::relaxed); }

 private:
  tally& t_;
};

stream<int> count(int from, int to) {
  for (int i = from; i < to; ++i) co_yield i;
}
stream<int> each(std::chrono::milliseconds d, int first, int n, int step = 1) {
  for (int i = 0; i < n; ++i) {
    co_await sleep_for(d);
    co_yield first + i* step;
  }
}
stream<int> then_for_ever(tally& t, int n) {
  const held h(t);
  for (int i = 0; i < n; ++i) co_yield i;
  co_await sleep_for(24h);
}
stream<int> fails_after(std::chrono::milliseconds d, int n) {
  for (int i = 0; i < n; ++i) co_yield i;
  co_await sleep_for(d);
  throw std::runtime_error("broken");
}

// merge

TEST(stream_beside, merge_gives_what_comes_first) {
  const auto test = []() -> task<ints> {
    ints got;
    co_await scope([&](scope_ref s) -> task<> {
      got = co_await merge(s, each(10ms, 1, 3), each(14ms, 10, 2, 10)).collect();
    });
    co_return got;
  };
  testing::virtual_runtime rt;
  EXPECT_EQ(rt.block_on(test()), (ints{1, 10, 2, 20, 3}));
  EXPECT_EQ(rt.elapsed(), 30ms);
}

TEST(stream_beside, merge_starves_none) {
  const auto test = []() -> task<ints> {
    ints got;
    co_await scope([&](scope_ref s) -> task<> {
      auto both = merge(s, count(0, 1000), count(1000, 2000), count(2000, 3000)).take(300);
      got = co_await std::move(both).collect();
    });
    co_return got;
  };
  testing::virtual_runtime rt;
  const ints got = rt.block_on(test());
  ASSERT_EQ(got.size(), 300u);
  for (int k = 0; k < 3; ++k) {
    const auto of_k = std::count_if(got.begin(), got.end(), [k](int i) { return i / 1000 == k; });
    EXPECT_GE(of_k, 95) << k;
  }
}

TEST(stream_beside, merge_of_none_and_of_many) {
  const auto test = [](int n) -> task<std::size_t> {
    std::size_t got = 0;
    co_await scope([&](scope_ref s) -> task<> {
      std::vector<stream<int>> all;
      for (int i = 0; i < n; ++i) all.push_back(count(0, 10));
      const auto together = co_await merge(s, std::move(all)).collect();
      got = together.size();
    });
    co_return got;
  };
  testing::virtual_runtime rt;
  EXPECT_EQ(rt.block_on(test(0)), 0u);
  EXPECT_EQ(rt.block_on(test(20)), 200u);
}

TEST(stream_beside, merge_dropped_halfway_ends_its_jobs) {
  const auto test = [](tally& t) -> task<> {
    co_await scope([&](scope_ref s) -> task<> {
      auto both = merge(s, then_for_ever(t, 2), then_for_ever(t, 9), then_for_ever(t, 0));
      const auto first = co_await both.next();
      EXPECT_TRUE(first);
      co_await sleep_for(1ms);
      EXPECT_EQ(t.alive.load(order::relaxed), 3);
    });
    EXPECT_EQ(t.alive.load(order::relaxed), 0);
  };
  testing::virtual_runtime rt;
  tally t;
  rt.block_on(test(t));
  EXPECT_EQ(rt.elapsed(), 1ms);
}

TEST(stream_beside, merge_that_is_never_pulled_never_begins) {
  const auto test = [](tally& t) -> task<> {
    co_await scope([&](scope_ref s) -> task<> {
      const auto both = merge(s, then_for_ever(t, 2), then_for_ever(t, 9));
      co_return;
    });
    EXPECT_EQ(t.most.load(order::relaxed), 0);
  };
  testing::virtual_runtime rt;
  tally t;
  rt.block_on(test(t));
}

TEST(stream_beside, failure_of_one_ends_the_merge_and_not_the_scope) {
  const auto test = [](tally& t) -> task<ints> {
    ints got;
    co_await scope([&](scope_ref s) -> task<> {
      auto both = merge(s, fails_after(5ms, 1), then_for_ever(t, 2));
      std::string why;
      try {
        for (;;) {
          const auto next = co_await both.next();
          if (!next) break;
          got.push_back(*next);
        }
      } catch (const std::runtime_error& e) {
        why = e.what();
      }
      EXPECT_EQ(why, "broken");
      const auto none = co_await both.next();
      EXPECT_FALSE(none);
      co_await sleep_for(1ms);
      EXPECT_EQ(t.alive.load(order::relaxed), 0);
      EXPECT_FALSE(s.stop_requested());
    });
    std::sort(got.begin(), got.end());
    co_return got;
  };
  testing::virtual_runtime rt;
  tally t;
  EXPECT_EQ(rt.block_on(test(t)), (ints{0, 0, 1}));
}

TEST(stream_beside, stop_of_the_scope_ends_merge_and_buffered) {
  const auto test = [](tally& t) -> task<> {
    const auto waits = [&t](int i) -> task<int> {
      const held h(t);
      co_await sleep_for(24h);
      co_return i;
    };
    co_await scope([&](scope_ref s) -> task<> {
      s.spawn(
          [](scope_ref all) -> task<> {
            co_await sleep_for(5ms);
            all.stop();
          },
          s);
      auto both = merge(s, then_for_ever(t, 1), count(0, 3).buffered(s, 2, waits));
      co_await std::move(both).collect();
    });
    EXPECT_EQ(t.most.load(order::relaxed), 3);
    EXPECT_EQ(t.alive.load(order::relaxed), 0);
  };
  testing::virtual_runtime rt;
  tally t;
  rt.block_on(test(t));
  EXPECT_EQ(rt.elapsed(), 5ms);
}

// buffered

TEST(stream_beside, buffered_keeps_the_order_and_the_bound) {
  const auto test = [](tally& t) -> task<ints> {
    const auto slow = [&t](int i) -> task<int> {
      const held h(t);
      co_await sleep_for(std::chrono::milliseconds(i % 4 == 0 ? 40 : 10));
      co_return i;
    };
    ints got;
    co_await scope(
        [&](scope_ref s) -> task<> { got = co_await count(0, 16).buffered(s, 4, slow).collect(); });
    co_return got;
  };
  testing::virtual_runtime rt;
  tally t;
  ints expected(16);
  std::iota(expected.begin(), expected.end(), 0);
  EXPECT_EQ(rt.block_on(test(t)), expected);
  EXPECT_EQ(t.most.load(order::relaxed), 4);
  EXPECT_EQ(rt.elapsed(), 160ms);  // each four take 40; one by one it would be 280
}

TEST(stream_beside, buffered_one_at_a_time) {
  const auto test = [](tally& t) -> task<ints> {
    const auto slow = [&t](int i) -> task<int> {
      const held h(t);
      co_await sleep_for(10ms);
      co_return -i;
    };
    ints got;
    co_await scope(
        [&](scope_ref s) -> task<> { got = co_await count(0, 3).buffered(s, 1, slow).collect(); });
    co_return got;
  };
  testing::virtual_runtime rt;
  tally t;
  EXPECT_EQ(rt.block_on(test(t)), (ints{0, -1, -2}));
  EXPECT_EQ(t.most.load(order::relaxed), 1);
  EXPECT_EQ(rt.elapsed(), 30ms);
}

TEST(stream_beside, buffered_gives_a_result_while_the_source_waits) {
  const auto test = []() -> task<> {
    const auto quick = [](int i) -> task<int> { co_return i; };
    co_await scope([&](scope_ref s) -> task<> {
      auto out = each(1h, 1, 2).buffered(s, 8, quick);
      const auto first = co_await out.next();
      EXPECT_EQ(first, 1);
    });
  };
  testing::virtual_runtime rt;
  rt.block_on(test());
  EXPECT_EQ(rt.elapsed(), 1h);
}

TEST(stream_beside, buffered_runs_ahead_of_a_slow_consumer_by_its_bound) {
  const auto test = [](int& begun) -> task<> {
    const auto quick = [&begun](int i) -> task<int> {
      ++begun;
      co_return i;
    };
    co_await scope([&](scope_ref s) -> task<> {
      auto out = count(0, 100).buffered(s, 3, quick);
      const auto first = co_await out.next();
      EXPECT_EQ(first, 0);
      co_await sleep_for(1ms);
      EXPECT_EQ(begun, 4);
      const auto second = co_await out.next();
      EXPECT_EQ(second, 1);
      co_await sleep_for(1ms);
      EXPECT_EQ(begun, 5);
    });
    EXPECT_EQ(begun, 5);
  };
  testing::virtual_runtime rt;
  int begun = 0;
  rt.block_on(test(begun));
}

TEST(stream_beside, failure_in_buffered_comes_in_its_place) {
  const auto test = [](tally& t) -> task<ints> {
    const auto slow = [&t](int i) -> task<int> {
      const held h(t);
      if (i == 2) throw std::runtime_error("two");
      co_await sleep_for(i < 2 ? 10ms : std::chrono::milliseconds(24h));
      co_return i;
    };
    ints got;
    co_await scope([&](scope_ref s) -> task<> {
      auto out = count(0, 100).buffered(s, 4, slow);
      try {
        for (;;) {
          const auto next = co_await out.next();
          if (!next) break;
          got.push_back(*next);
        }
      } catch (const std::runtime_error&) {
        got.push_back(-1);
      }
      const auto none = co_await out.next();
      EXPECT_FALSE(none);
    });
    co_return got;
  };
  testing::virtual_runtime rt;
  tally t;
  EXPECT_EQ(rt.block_on(test(t)), (ints{0, 1, -1}));
  EXPECT_EQ(t.alive.load(order::relaxed), 0);
  EXPECT_EQ(rt.elapsed(), 10ms);
}

TEST(stream_beside, failure_of_the_source_comes_after_what_it_gave) {
  const auto test = []() -> task<ints> {
    const auto slow = [](int i) -> task<int> {
      co_await sleep_for(10ms);
      co_return i;
    };
    ints got;
    co_await scope([&](scope_ref s) -> task<> {
      auto out = fails_after(0ms, 2).buffered(s, 8, slow);
      try {
        for (;;) {
          const auto next = co_await out.next();
          if (!next) break;
          got.push_back(*next);
        }
      } catch (const std::runtime_error&) {
        got.push_back(-1);
      }
    });
    co_return got;
  };
  testing::virtual_runtime rt;
  EXPECT_EQ(rt.block_on(test()), (ints{0, 1, -1}));
}

TEST(stream_beside, elements_and_callables_may_own_things) {
  const auto test = []() -> task<long> {
    long sum = 0;
    co_await scope([&](scope_ref s) -> task<> {
      const auto boxed = [](int i) { return std::make_unique<int>(i); };
      auto base = std::make_shared<int>(1);
      auto add = [base](std::unique_ptr<int> p) -> task<std::unique_ptr<int>> {
        const int to = *base;
        co_await yield_now();
        *p += to;
        co_return std::move(p);
      };
      auto left = count(0, 10).map(boxed).buffered(s, 3, moved(add));
      auto right = count(0, 10).map(boxed);
      auto both = merge(s, std::move(left), std::move(right));
      const auto note = [&sum](std::unique_ptr<int> p) { sum += *p; };
      co_await std::move(both).for_each(note);
      EXPECT_EQ(base.use_count(), 1);
    });
    co_return sum;
  };
  testing::virtual_runtime rt;
  EXPECT_EQ(rt.block_on(test()), 45 + 55);
}

TEST(stream_beside, many_workers_lose_nothing_and_keep_the_order) {
  const auto test = []() -> task<> {
    const auto work = [](int i) -> task<int> {
      if (i % 3 == 0) co_await yield_now();
      co_return i;
    };
    for (int round = 0; round < 20; ++round) {
      co_await scope([&](scope_ref s) -> task<> {
        auto left = count(0, 500).buffered(s, 7, work);
        auto right = count(1000, 1500).buffered(s, 2, work);
        const auto all = co_await merge(s, std::move(left), std::move(right)).collect();
        EXPECT_EQ(all.size(), 1000u);
        ints of_left, of_right;
        for (const int i : all) (i < 1000 ? of_left : of_right).push_back(i);
        EXPECT_TRUE(std::is_sorted(of_left.begin(), of_left.end()));
        EXPECT_TRUE(std::is_sorted(of_right.begin(), of_right.end()));
      });
      co_await scope([&](scope_ref s) -> task<> {  // and left halfway
        auto left = count(0, 500).buffered(s, 7, work);
        auto some = merge(s, std::move(left), count(0, 1000)).take(50);
        co_await std::move(some).collect();
      });
    }
  };
  for (const unsigned workers : {1u, 2u, 4u}) {
    runtime rt({.workers = workers});
    rt.block_on(rt.spawn(test));
  }
}

#if WEFT_CENSUS
TEST(stream_beside, nothing_is_left_wherever_it_is_stopped) {
  tally t;
  ints got;
  const auto scenario = [](tally& counts, ints& g) -> task<> {
    const auto slow = [&counts](int i) -> task<int> {
      const held h(counts);
      co_await sleep_for(i % 2 == 0 ? 3ms : 1ms);
      co_return i;
    };
    co_await scope([&](scope_ref s) -> task<> {
      const held h(counts);
      auto some = each(1ms, 0, 4).buffered(s, 2, slow);
      auto both = merge(s, std::move(some), each(2ms, 100, 2));
      const auto note = [&g](int i) -> task<> {
        co_await sleep_for(1ms);
        g.push_back(i);
      };
      co_await std::move(both).for_each(note);
    });
  };
  const auto report = testing::cancel_everywhere(
      [&](testing::virtual_runtime& rt) {
        got.clear();
        return rt.spawn(scenario, std::ref(t), std::ref(got));
      },
      [&](bool stopped) {
        EXPECT_EQ(t.alive.load(order::relaxed), 0);
        EXPECT_TRUE(stopped || got.size() == 6u) << got.size();
      },
      {.io = driver::epoll});
  EXPECT_GT(report.awaits, 25u);
  EXPECT_GT(report.stopped, report.awaits);
}
#endif

}  // namespace
}  // namespace weft
