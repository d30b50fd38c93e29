#include "weft/sync/rate_limiter.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "tests/support/seed.hpp"
#include "weft/base/rng.hpp"
#include "weft/sync/event.hpp"
#include "weft/sync/sync_test_support.hpp"
#include "weft/testing/virtual_time.hpp"
#include "weft/together/scope.hpp"
#include "weft/together/select.hpp"

namespace weft {
namespace {

using namespace std::chrono_literals;
using std::chrono::nanoseconds;

std::int64_t ns_now() { return now().time_since_epoch().count(); }

/// The moments at which one job after the other was served.
class moments {
 public:
  task<> takes(rate_limiter& from, std::size_t n, nanoseconds after = 0ns) {
    co_await sleep_for(after);
    co_await from.acquire(n);
    served_.push_back(ns_now());
  }
  const std::vector<std::int64_t>& served() const { return served_; }

 private:
  std::vector<std::int64_t> served_;
};
using list = std::vector<std::int64_t>;

TEST(rate_limiter, burst_is_there_at_once_and_then_the_rate_to_the_nanosecond) {
  testing::virtual_runtime rt;
  rate_limiter three_a_second(3, 2);
  moments m;
  rt.block_on([](rate_limiter& r, moments& the_m) -> task<> {
    for (int i = 0; i < 6; ++i) co_await the_m.takes(r, 1);
  }(three_a_second, m));
  EXPECT_EQ(m.served(), (list{0, 0, 333'333'334, 666'666'667, 1'000'000'000, 1'333'333'334}));
}

TEST(rate_limiter, does_not_drift) {
  testing::virtual_runtime rt;
  constexpr std::int64_t count = 20'000;
  constexpr std::int64_t rate = 7;
  rate_limiter seven_a_second(rate, 3);
  rt.block_on([](rate_limiter& r) -> task<> {
    for (int i = 0; i < count; ++i) co_await r.acquire();
  }(seven_a_second));
  EXPECT_EQ(rt.elapsed().count(), ((count - 3) * 1'000'000'000 + rate - 1) / rate);
}

TEST(rate_limiter, rate_may_be_said_for_any_period) {
  testing::virtual_runtime rt;
  rate_limiter ten_an_hour(10, 1, 1h);
  moments m;
  rt.block_on([](rate_limiter& r, moments& the_m) -> task<> {
    for (int i = 0; i < 3; ++i) co_await the_m.takes(r, 1);
  }(ten_an_hour, m));
  EXPECT_EQ(m.served(), (list{0, nanoseconds(6min).count(), nanoseconds(12min).count()}));
}

TEST(rate_limiter, no_more_than_the_burst_is_kept) {
  testing::virtual_runtime rt;
  rate_limiter r(1000, 5);
  rt.block_on([](rate_limiter& the_r) -> task<> {
    EXPECT_EQ(the_r.available(), 5u);
    EXPECT_TRUE(the_r.try_acquire(5));
    EXPECT_FALSE(the_r.try_acquire());
    co_await sleep_for(1ms - 1ns);
    EXPECT_FALSE(the_r.try_acquire());
    co_await sleep_for(1ns);
    EXPECT_TRUE(the_r.try_acquire());
    co_await sleep_for(24h * 365 * 100);
    EXPECT_EQ(the_r.available(), 5u);
    EXPECT_TRUE(the_r.try_acquire(5));
    EXPECT_FALSE(the_r.try_acquire());
    EXPECT_TRUE(the_r.try_acquire(0));
  }(r));
}

TEST(rate_limiter, who_wants_many_is_not_overtaken) {
  testing::virtual_runtime rt;
  rate_limiter r(1000, 4);
  moments m;
  rt.block_on([](rate_limiter& the_r, moments& the_m) -> task<> {
    EXPECT_TRUE(the_r.try_acquire(4));
    auto many = spawn(&moments::takes, &the_m, std::ref(the_r), std::size_t{4}, 0ns);
    auto one = spawn(&moments::takes, &the_m, std::ref(the_r), std::size_t{1}, 1ms);
    co_await sleep_for(2ms);
    EXPECT_EQ(the_r.available(), 2u);
    EXPECT_FALSE(the_r.try_acquire()) << "somebody waits for it";
    co_await many;
    co_await one;
  }(r, m));
  EXPECT_EQ(m.served(), (list{4'000'000, 5'000'000}));
}

TEST(rate_limiter, who_is_stopped_takes_nothing_and_the_next_move_up_at_once) {
  testing::virtual_runtime rt;
  rate_limiter r(1000, 4);
  moments m;
  rt.block_on([](rate_limiter& the_r, moments& the_m) -> task<> {
    EXPECT_TRUE(the_r.try_acquire(4));
    auto first = spawn(&moments::takes, &the_m, std::ref(the_r), std::size_t{4}, 0ns);
    auto second = spawn(&moments::takes, &the_m, std::ref(the_r), std::size_t{2}, 0ns);
    auto third = spawn(&moments::takes, &the_m, std::ref(the_r), std::size_t{1}, 0ns);
    auto fourth = spawn(&moments::takes, &the_m, std::ref(the_r), std::size_t{2}, 0ns);
    co_await sleep_for(3ms + 500us);
    first.stop();  // of the timer
    third.stop();  // in line
    EXPECT_TRUE((co_await first.outcome()).stopped());
    EXPECT_TRUE((co_await third.outcome()).stopped());
    co_await second;
    co_await fourth;
    co_await sleep_for(10ms);
    EXPECT_EQ(the_r.available(), 4u);
  }(r, m));
  EXPECT_EQ(m.served(), (list{3'500'000, 4'000'000}));
}

TEST(rate_limiter, stopped_before_it_began_it_takes_nothing) {
  testing::virtual_runtime rt;
  rate_limiter r(1, 1);
  rt.block_on([](rate_limiter& the_r) -> task<> {
    auto one = spawn(
        [](rate_limiter& limiter) -> task<> {
          current_job()->stop();
          co_await limiter.acquire();
        },
        std::ref(the_r));
    EXPECT_TRUE((co_await one.outcome()).stopped());
    EXPECT_EQ(the_r.available(), 1u);
  }(r));
}

TEST(rate_limiter, who_was_given_its_tokens_is_not_stopped_any_more) {
  testing::virtual_runtime rt;
  rate_limiter r(1000, 1);
  moments m;
  rt.block_on([](rate_limiter& the_r, moments& the_m) -> task<> {
    EXPECT_TRUE(the_r.try_acquire());
    auto one = spawn(&moments::takes, &the_m, std::ref(the_r), std::size_t{1}, 0ns);
    co_await sleep_for(500us);
    // Due at the same moment as the timer of `one`, which was armed before: it has its token, and has
    // not run yet.
    co_await sleep_for(500us);
    one.stop();
    const auto ended = co_await one.outcome();
    EXPECT_FALSE(ended.stopped());
    EXPECT_EQ(the_r.available(), 0u);
  }(r, m));
  EXPECT_EQ(m.served(), (list{1'000'000}));
}

TEST(rate_limiter, crowd_behind_who_left_is_let_in) {
  constexpr std::size_t crowd = 3 * wait_list::batch_max + 1;
  testing::virtual_runtime rt;
  rate_limiter r(1'000'000, crowd + 1);
  moments m;
  rt.block_on([](rate_limiter& the_r, moments& the_m) -> task<> {
    EXPECT_TRUE(the_r.try_acquire(2));
    auto all = spawn(&moments::takes, &the_m, std::ref(the_r), crowd + 1, 0ns);
    co_await sleep_for(0ns);
    std::vector<join_handle<>> small;
    for (std::size_t i = 0; i < crowd; ++i) {
      small.push_back(spawn(&moments::takes, &the_m, std::ref(the_r), std::size_t{1}, 0ns));
    }
    co_await sleep_for(1us);
    all.stop();
    for (auto& one : small) co_await one;
  }(r, m));
  ASSERT_EQ(m.served().size(), crowd);
  EXPECT_EQ(m.served().back(), 1000);
}

/// The same by hand, in whole numbers of another kind: tokens times 10^9 since the beginning.
class oracle {
 public:
  oracle(std::int64_t rate, std::int64_t burst)
      : rate_(rate), burst_(burst), level_(burst * unit) {}
  /// Served in this order; who left at `gone` before its moment takes nothing. The moment, or none.
  std::optional<std::int64_t> serve(std::int64_t come, std::int64_t n, std::int64_t gone) {
    const std::int64_t from = std::max(come, free_at_);  // when it is first in line
    if (gone <= from) return std::nullopt;
    advance(from);
    const std::int64_t missing = n * unit - level_;
    const std::int64_t at = missing <= 0 ? from : from + (missing + rate_ - 1) / rate_;
    if (gone < at) {
      free_at_ = gone;
      return std::nullopt;
    }
    advance(at);
    level_ -= n * unit;
    free_at_ = at;
    return at;
  }

 private:
  static constexpr std::int64_t unit = 1'000'000'000;
  void advance(std::int64_t to) {
    level_ = std::min(burst_ * unit, level_ + (to - at_) * rate_);
    at_ = to;
  }
  const std::int64_t rate_, burst_;
  std::int64_t level_, at_ = 0, free_at_ = 0;
};

TEST(rate_limiter, serves_as_the_oracle_says_whoever_leaves) {
  rng random(test_support::seed());
  for (int round = 0; round < 60; ++round) {
    const std::uint32_t rate = 1 + random.below(5000);
    const std::uint32_t burst = 1 + random.below(10);
    struct visit {
      std::int64_t come;
      std::size_t n;
      std::int64_t gone;
      std::optional<std::int64_t> served;
    };
    std::deque<visit> visits;
    std::int64_t at = 0;
    for (int i = 0; i < 100; ++i) {
      // Odd moments to come, even ones to go: nothing happens twice at one moment, so the order is known.
      at += 2 * (1 + random.below(random.below(4) == 0 ? 1'000'000'000 / rate : 1000));
      const auto patience = static_cast<std::int64_t>(2 * random.below(2'000'000'000 / rate) + 1);
      visits.push_back({at + 1, random.below(burst + 1),
                        random.below(3) == 0 ? at + 1 + patience : INT64_MAX, std::nullopt});
    }
    testing::virtual_runtime rt;
    rate_limiter r(rate, burst);
    rt.block_on([](rate_limiter& the_r, std::deque<visit>& all) -> task<> {
      co_await scope([&](scope_ref s) -> task<> {
        for (visit& v : all) {
          s.spawn(
              [](rate_limiter& limiter, visit& mine) -> task<> {
                co_await sleep_for(nanoseconds(mine.come));
                auto one = spawn(
                    [](rate_limiter& from, visit& me) -> task<> {
                      co_await from.acquire(me.n);
                      me.served = ns_now();
                    },
                    std::ref(limiter), std::ref(mine));
                if (mine.gone == INT64_MAX) {
                  co_await one;
                } else {
                  co_await sleep_for(nanoseconds(mine.gone - mine.come));
                  one.stop();
                  static_cast<void>(co_await one.outcome());
                }
              },
              std::ref(the_r), std::ref(v));
        }
        co_return;
      });
    }(r, visits));
    oracle o(rate, burst);
    for (std::size_t i = 0; i < visits.size(); ++i) {
      const visit& v = visits[i];
      const auto expected = o.serve(v.come, static_cast<std::int64_t>(v.n), v.gone);
      if (expected == v.gone) break;  // both at one moment: either may be first
      ASSERT_EQ(v.served, expected) << "round " << round << ", visit " << i << ", rate " << rate
                                    << ", burst " << burst << ", n " << v.n;
    }
  }
}

// ---- in a select

TEST(rate_limiter, select_that_goes_elsewhere_takes_nothing_and_leads_nobody) {
  testing::virtual_runtime rt;
  rate_limiter hundred(100);
  moments behind;
  rt.block_on([](rate_limiter& r, moments& the_behind) -> task<> {
    co_await r.acquire();
    co_await scope([&](scope_ref s) -> task<> {
      s.spawn([&] { return the_behind.takes(r, 1, 1ms); });
      const auto w = co_await select(r.acquire(), sleep_for(4ms));
      EXPECT_EQ(w.index(), 1u);
    });
    EXPECT_EQ(ns_now(), 10'000'000);
    const auto w = co_await select(r.acquire(), sleep_for(40ms));  // and it may win
    EXPECT_EQ(w.index(), 0u);
    EXPECT_EQ(ns_now(), 20'000'000);
    EXPECT_EQ(r.available(), 0u);
    co_await sleep_for(10ms);
    const auto at_once = co_await select(sleep_for(1ms), r.acquire());
    EXPECT_EQ(at_once.index(), 1u);
    EXPECT_EQ(r.available(), 0u);
  }(hundred, behind));
  EXPECT_EQ(behind.served(), (list{10'000'000}));
}

TEST(rate_limiter, tokens_that_came_beside_another_winner_go_back) {
  testing::virtual_runtime rt;
  rate_limiter hundred(100, 3);
  rt.block_on([](rate_limiter& r) -> task<> {
    co_await r.acquire(3);
    unsigned lost = 0;
    for (int i = 0; i < 10; ++i) {
      EXPECT_EQ(r.available(), 0u);
      // Both at the same nanosecond.
      const auto w = co_await select_biased(sleep_for(20ms), r.acquire(2));
      lost += w.index() == 0 ? 1 : 0;
      EXPECT_EQ(r.available(), w.index() == 0 ? 2u : 0u);
      if (w.index() == 0) co_await r.acquire(2);
    }
    EXPECT_GT(lost, 0u);
  }(hundred));
}

TEST(rate_limiter, stopped_select_takes_nothing) {
  testing::virtual_runtime rt;
  rate_limiter hundred(100);
  rt.block_on([](rate_limiter& r) -> task<> {
    co_await r.acquire();
    auto job = spawn(
        [](rate_limiter& the_r) -> task<> {
          event never_set;
          static_cast<void>(co_await select(the_r.acquire(), never_set.wait()));
        },
        std::ref(r));
    co_await sleep_for(3ms);
    job.stop();
    const auto end = co_await job.outcome();
    EXPECT_TRUE(end.stopped());
    co_await r.acquire();
    EXPECT_EQ(ns_now(), 10'000'000);
  }(hundred));
}

// The same operand again: what it was given for an earlier select is no more, and does not go back twice.
TEST(rate_limiter, operand_that_is_used_again_gives_back_what_it_was_given_this_time) {
  testing::virtual_runtime rt;
  rate_limiter hundred(100, 3);
  moments others;
  rt.block_on([](rate_limiter& r, moments& the_others) -> task<> {
    auto one = r.acquire();
    const auto had = co_await select_biased(one, sleep_for(1ms));
    EXPECT_EQ(had.index(), 0u);
    co_await r.acquire(2);
    co_await scope([&](scope_ref s) -> task<> {
      for (int i = 0; i < 2; ++i) s.spawn([&] { return the_others.takes(r, 3); });
      co_await sleep_for(1ms);
      const auto lost = co_await select_biased(one, sleep_for(1ms));
      EXPECT_EQ(lost.index(), 1u);
      EXPECT_EQ(r.available(), 0u) << "it was given nothing";
    });
  }(hundred, others));
  EXPECT_EQ(others.served(), (list{30'000'000, 60'000'000}));
}

TEST(token_bucket, what_is_put_back_is_there_up_to_the_burst) {
  token_bucket b(1, 4, 10);
  b.refill(0);
  ASSERT_TRUE(b.take(3));
  b.put_back(2);
  EXPECT_EQ(b.level(), 3u);
  b.refill(10);
  EXPECT_EQ(b.level(), 4u);
  b.put_back(1);
  EXPECT_EQ(b.level(), 4u);
}

TEST(token_bucket, reckons_as_a_wide_oracle_does) {
  __extension__ using wide = __int128;
  rng random(test_support::seed() + 1);
  for (int round = 0; round < 300; ++round) {
    const std::uint64_t rate = 1 + random.next() % 3'000'000'000;
    const std::uint32_t burst = 1 + random.below(1000);
    const std::int64_t per = round % 2 == 0 ? 1'000'000'000 : 1 + random.below(4'000'000);
    token_bucket bucket(rate, burst, per);
    const wide full = static_cast<wide>(burst) * per;
    wide level = full;
    std::int64_t now = random.below(1000);
    bucket.refill(now);
    for (int i = 0; i < 300; ++i) {
      const std::int64_t step = random.below(i % 3 == 0 ? 100'000 : 100);
      now += step;
      level = std::min<wide>(full, level + static_cast<wide>(step) * static_cast<wide>(rate));
      bucket.refill(now);
      bucket.refill(now - 1);  // by a core that read the clock earlier
      ASSERT_EQ(bucket.level(), static_cast<std::size_t>(level / per));
      const std::uint32_t n = random.below(burst + 1);
      const wide missing = static_cast<wide>(n) * per - level;
      const wide gain = static_cast<wide>(rate);
      const wide due = missing <= 0 ? wide{now} : now + (missing + gain - 1) / gain;
      ASSERT_EQ(bucket.due_ns(n), static_cast<std::int64_t>(due));
      ASSERT_EQ(bucket.take(n), missing <= 0);
      if (missing <= 0) level -= static_cast<wide>(n) * per;
    }
  }
}

TEST(rate_limiter_death_test, more_than_the_burst_is_reported) {
  rate_limiter r(10, 4);
  EXPECT_DEATH(static_cast<void>(r.acquire(5)), "more tokens were asked for than .*burst");
  EXPECT_DEATH(static_cast<void>(r.try_acquire(5)), "more tokens were asked for than .*burst");
}

TEST(rate_limiter_death_test, impossible_rates_are_reported) {
  EXPECT_DEATH(rate_limiter(0, 4), "above 0");
  EXPECT_DEATH(rate_limiter(1, 0), "above 0");
  EXPECT_DEATH(rate_limiter(1'000'003, std::size_t{1} << 40), "burst is too large");
}

TEST(rate_limiter_death_test, destroyed_while_somebody_waits_is_reported) {
  EXPECT_DEATH(
      {
        testing::virtual_runtime rt;
        auto r = std::make_unique<rate_limiter>(1, 1);
        rt.block_on([](std::unique_ptr<rate_limiter>& the_r) -> task<> {
          EXPECT_TRUE(the_r->try_acquire());
          moments m;
          auto first = spawn(&moments::takes, &m, std::ref(*the_r), std::size_t{1}, 0ns);
          auto second = spawn(&moments::takes, &m, std::ref(*the_r), std::size_t{1}, 0ns);
          co_await sleep_for(1ms);
          the_r.reset();
        }(r));
      },
      "destroyed while somebody waits");
}

using rate_limiter_workers = test_support::on_workers;
/// In real time: who comes, leaves and takes on several workers; never more than the rate allows.
TEST_P(rate_limiter_workers, never_more_than_the_rate_and_nobody_is_forgotten) {
  constexpr std::uint64_t rate = 200'000;
  constexpr std::size_t burst = 8;
  rate_limiter r(rate, burst);
  atomic<std::uint64_t> tokens{0};
  atomic<std::uint64_t> left{0};
  const auto visit = [](rate_limiter& the_r, atomic<std::uint64_t>& taken,
                        atomic<std::uint64_t>& gone, std::uint64_t seed) -> task<> {
    rng random(seed);
    for (int i = 0; i < 150; ++i) {
      const std::size_t n = 1 + random.below(4);
      const auto patience = std::chrono::microseconds(random.below(400));
      if (random.below(2) == 0) {
        co_await the_r.acquire(n);
        taken.fetch_add(n, order::relaxed);
      } else {
        const auto got = co_await timeout(patience, the_r.acquire(n));
        if (got) {
          taken.fetch_add(n, order::relaxed);
        } else {
          gone.fetch_add(1, order::relaxed);
        }
      }
    }
  };
  const auto begun = std::chrono::steady_clock::now();
  std::vector<join_handle<>> all;
  for (std::uint64_t i = 0; i < 12; ++i) {
    all.push_back(
        rt.spawn(visit, std::ref(r), std::ref(tokens), std::ref(left), test_support::seed() + i));
  }
  for (auto& one : all) rt.block_on(one);
  const auto took = std::chrono::duration<double>(std::chrono::steady_clock::now() - begun);
  EXPECT_LE(static_cast<double>(tokens.load(order::relaxed)),
            static_cast<double>(rate) * took.count() + burst);
  EXPECT_GE(tokens.load(order::relaxed), 12u * 40u);
}
WEFT_ON_WORKERS(rate_limiter_workers);

}  // namespace
}  // namespace weft
