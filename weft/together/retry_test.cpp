#include "weft/together/retry.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <stdexcept>
#include <system_error>
#include <vector>

#include "weft/runtime/time.hpp"
#include "weft/testing/cancel_everywhere.hpp"
#include "weft/testing/virtual_time.hpp"
#include "weft/together/catch_stop.hpp"
#include "weft/together/shield.hpp"
#include "weft/together/timeout.hpp"

namespace weft {
namespace {

using namespace std::chrono_literals;
using std::chrono::nanoseconds;
using list = std::vector<std::int64_t>;

const std::error_code refused = std::make_error_code(std::errc::connection_refused);
const std::error_code denied = std::make_error_code(std::errc::permission_denied);

/// Fails so many times, each attempt takes a while; notes when the attempts began, in milliseconds.
class service {
 public:
  explicit service(unsigned failures, nanoseconds takes = 0ns)
      : failures_(failures), takes_(takes) {}
  task<result<int>> call() {
    begun_ns.push_back(now().time_since_epoch().count());
    if (takes_ != 0ns) co_await sleep_for(takes_);
    if (begun_ns.size() <= failures_) co_return std::unexpected(refused);
    co_return 42;
  }
  list begun_ms() const {
    list ms;
    for (const auto ns : begun_ns) ms.push_back(ns / 1'000'000);
    return ms;
  }
  list begun_ns;

 private:
  unsigned failures_;
  nanoseconds takes_;
};

class retry_test : public ::testing::Test {
 protected:
  result<int> tries(service& s) {
    return rt.block_on([](retry_policy p, service& the_s) -> task<result<int>> {
      co_return co_await retry(p, [&the_s] { return the_s.call(); });
    }(policy, s));
  }
  testing::virtual_runtime rt;
  retry_report report;
  retry_policy policy{.max_attempts = 6,
                      .initial_delay = 100ms,
                      .factor = 2,
                      .max_delay = 1s,
                      .jitter = retry_jitter::none,
                      .report = &report};
};

TEST_F(retry_test, success_is_not_tried_again) {
  service s(0);
  EXPECT_EQ(tries(s), 42);
  EXPECT_EQ(s.begun_ms(), (list{0}));
  EXPECT_EQ(report.attempts, 1u);
  EXPECT_EQ(report.end, retry_end::success);
}

TEST_F(retry_test, waits_grow_by_the_factor_up_to_the_longest) {
  service s(5, 10ms);
  EXPECT_EQ(tries(s), 42);
  EXPECT_EQ(s.begun_ms(), (list{0, 110, 320, 730, 1540, 2550}));
  EXPECT_EQ(report.attempts, 6u);
  EXPECT_EQ(report.end, retry_end::success);
  EXPECT_EQ(report.waited, 2500ms);
}

TEST_F(retry_test, last_error_is_given_when_the_attempts_are_used_up) {
  service s(100);
  policy.max_attempts = 3;
  EXPECT_EQ(tries(s), std::unexpected(refused));
  EXPECT_EQ(s.begun_ms(), (list{0, 100, 300}));
  EXPECT_EQ(report.attempts, 3u);
  EXPECT_EQ(report.end, retry_end::attempts);
}

TEST_F(retry_test, without_a_bound_it_goes_on) {
  service s(500);
  policy.max_attempts = 0;
  EXPECT_EQ(tries(s), 42);
  EXPECT_EQ(report.attempts, 501u);
  EXPECT_EQ(rt.elapsed(), 100ms + 200ms + 400ms + 800ms + 496 * 1s);
}

TEST_F(retry_test, no_attempt_begins_after_the_total) {
  service s(100);
  policy.max_attempts = 0;
  policy.total = 700ms;
  EXPECT_EQ(tries(s), std::unexpected(refused));
  EXPECT_EQ(s.begun_ms(), (list{0, 100, 300, 700}));
  EXPECT_EQ(report.end, retry_end::total);
  EXPECT_EQ(rt.elapsed(), 700ms) << "it does not wait for an attempt that will not be made";
}

TEST_F(retry_test, full_jitter_is_seeded_and_within_the_wait) {
  policy.jitter = retry_jitter::full;
  policy.seed = 7;
  policy.max_attempts = 0;
  service first(200), second(200);
  EXPECT_EQ(tries(first), 42);
  const std::int64_t between = rt.elapsed().count();
  EXPECT_EQ(tries(second), 42);
  std::int64_t longest = 100'000'000;
  std::int64_t sum = 0;
  for (std::size_t i = 1; i < first.begun_ns.size(); ++i) {
    const std::int64_t wait = first.begun_ns[i] - first.begun_ns[i - 1];
    EXPECT_GE(wait, 0);
    EXPECT_LE(wait, longest);
    EXPECT_EQ(second.begun_ns[i] - second.begun_ns[i - 1], wait) << "the same seed";
    longest = std::min<std::int64_t>(2 * longest, 1'000'000'000);
    sum += wait;
  }
  EXPECT_EQ(sum, between);
  EXPECT_GT(sum, 70 * 1'000'000'000LL);  // 200 waits of half a second, more or less
  EXPECT_LT(sum, 130 * 1'000'000'000LL);
  policy.seed = 0;
  service third(200);
  EXPECT_EQ(tries(third), 42);
  EXPECT_NE(third.begun_ns[200] - third.begun_ns[0], sum) << "without a seed each call has its own";
}

TEST_F(retry_test, only_errors_that_are_wanted_are_tried_again) {
  list attempts;
  const auto got = rt.block_on([](retry_policy p, list& the_attempts) -> task<result<int>> {
    const auto fails = [&](unsigned attempt) -> task<result<int>> {
      the_attempts.push_back(attempt);
      co_return std::unexpected(attempt < 3 ? refused : denied);
    };
    co_return co_await retry(p, fails, [](std::error_code e) { return e == refused; });
  }(policy, attempts));
  EXPECT_EQ(got, std::unexpected(denied));
  EXPECT_EQ(attempts, (list{1, 2, 3}));
  EXPECT_EQ(report.end, retry_end::not_retryable);
  EXPECT_EQ(report.attempts, 3u);
}

task<int> throws_until(unsigned last, unsigned attempt) {
  if (attempt < last) throw std::runtime_error("attempt " + std::to_string(attempt));
  co_return static_cast<int>(attempt);
}

TEST_F(retry_test, exceptions_are_not_tried_again_unless_that_is_asked_for) {
  const auto all = [](retry_policy p) -> task<int> {
    co_return co_await retry(p, [](unsigned attempt) { return throws_until(3, attempt); });
  };
  EXPECT_THROW(rt.block_on(all(policy)), std::runtime_error);
  EXPECT_EQ(report.attempts, 1u);
  EXPECT_EQ(report.end, retry_end::not_retryable);
  policy.exceptions = true;
  EXPECT_EQ(rt.block_on(all(policy)), 3);
  EXPECT_EQ(report.attempts, 3u);
  policy.max_attempts = 2;
  try {
    rt.block_on(all(policy));
    ADD_FAILURE();
  } catch (const std::runtime_error& e) {
    EXPECT_STREQ(e.what(), "attempt 2") << "the last one";
  }
}

TEST_F(retry_test, what_gives_nothing_may_be_tried_too) {
  unsigned calls = 0;
  policy.exceptions = true;
  rt.block_on([](retry_policy p, unsigned& the_calls) -> task<> {
    co_await retry(p, [&the_calls]() -> task<> {
      if (++the_calls < 3) throw std::runtime_error("not yet");
      co_return;
    });
  }(policy, calls));
  EXPECT_EQ(calls, 3u);
}

TEST_F(retry_test, stop_ends_the_wait_between_attempts) {
  service s(100);
  retry_budget budget(0, 5);
  policy.budget = &budget;
  const auto got = rt.block_on([](retry_policy p, service& the_s) -> task<result<result<int>>> {
    co_return co_await timeout(150ms, retry(p, [&the_s] { return the_s.call(); }));
  }(policy, s));
  EXPECT_EQ(got.error(), errc::timed_out);
  EXPECT_EQ(s.begun_ms(), (list{0, 100}));
  EXPECT_EQ(rt.elapsed(), 150ms);
  EXPECT_EQ(budget.retries_left(), 4u) << "the retry that was not made is given back";
}

TEST_F(retry_test, stop_ends_an_attempt) {
  service s(100, 1s);
  const auto got = rt.block_on([](retry_policy p, service& the_s) -> task<result<int>> {
    co_return co_await timeout(150ms, retry(p, [&the_s] { return the_s.call(); }));
  }(policy, s));
  EXPECT_EQ(got, std::unexpected(make_error_code(errc::timed_out)));
  EXPECT_EQ(rt.elapsed(), 150ms);
}

TEST_F(retry_test, budget_bounds_retries_by_the_calls) {
  retry_budget budget(20, 10);
  policy.budget = &budget;
  policy.initial_delay = 0ms;
  policy.max_attempts = 4;
  std::size_t attempts = 0;
  constexpr std::size_t calls = 1000;
  for (std::size_t i = 0; i < calls; ++i) {
    service s(100);
    EXPECT_EQ(tries(s), std::unexpected(refused));
    attempts += report.attempts;
  }
  EXPECT_EQ(report.end, retry_end::budget);
  // 10 that were there, less what the first calls earned above the bound, and one for five calls.
  EXPECT_GE(attempts, calls + calls / 5 + 9);
  EXPECT_LE(attempts, calls + calls / 5 + 10);
}

TEST(retry_budget, is_earned_by_calls_and_spent_by_retries) {
  retry_budget budget(50, 2);
  EXPECT_TRUE(budget.take_retry());
  EXPECT_TRUE(budget.take_retry());
  EXPECT_FALSE(budget.take_retry());
  budget.count_call();
  EXPECT_FALSE(budget.take_retry());
  budget.count_call();
  EXPECT_TRUE(budget.take_retry());
  budget.give_back();
  for (int i = 0; i < 100; ++i) budget.count_call();
  EXPECT_EQ(budget.retries_left(), 2u);
}

#if WEFT_CENSUS
task<> stopped_somewhere(retry_budget& budget, unsigned& begun) {
  // The policy has its own name: GCC 12 and temporaries of a co_await.
  retry_policy policy{.max_attempts = 4, .jitter = retry_jitter::none, .budget = &budget};
  const auto fails = [&begun](unsigned attempt) -> task<result<int>> {
    if (attempt > 1) ++begun;
    co_await sleep_for(1ms);
    if (attempt < 4) co_return std::unexpected(refused);
    co_return 1;
  };
  const auto got = co_await retry(policy, fails);
  EXPECT_EQ(got, 1);
}

TEST(retry, stopped_at_every_await_the_budget_is_right) {
  retry_budget* budget = nullptr;
  unsigned begun = 0;
  const auto seen = testing::cancel_everywhere(
      [&](testing::virtual_runtime& rt) {
        delete budget;
        budget = new retry_budget(0, 100);
        begun = 0;
        return rt.spawn(stopped_somewhere, std::ref(*budget), std::ref(begun));
      },
      [&](bool) { EXPECT_EQ(budget->retries_left(), 100 - begun); });
  delete budget;
  EXPECT_GT(seen.awaits, 5u);
  EXPECT_GT(seen.stopped, 10u);
}
#endif

}  // namespace
}  // namespace weft
