// What a job keeps of its function and arguments while its task runs, and what it does not.
#include "weft/task/root.hpp"

#include <gtest/gtest.h>

#include <array>
#include <functional>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>

#include "weft/task/task_test_support.hpp"

namespace weft {
namespace {

using test_support::gate;
using test_support::start;
using test_support::test_executor;

struct pair_of_ints {
  int first;
  int second;
};
/// Looks like a copy, and refers to what it was made of.
struct view_of_int {
  view_of_int(const int& of) noexcept : at(&of) {}  // NOLINT(google-explicit-constructor)
  const int* at;
};

task<int> by_value(gate* g, pair_of_ints p) {
  co_await g->pass();
  co_return p.first + p.second;
}
task<int> by_reference(gate& g, const pair_of_ints& p) {
  co_await g.pass();
  co_return p.first + p.second;
}
task<int> by_rvalue(gate& g, pair_of_ints&& p) {
  co_await g.pass();
  co_return p.first + p.second;
}
task<int> by_view(gate& g, std::span<const int> all) {
  co_await g.pass();
  co_return all[0] + all[1];
}
task<int> by_own_view(gate& g, view_of_int v) {
  co_await g.pass();
  co_return *v.at;
}
task<int> by_reference_to_wrapper(gate& g, const std::reference_wrapper<int>& r) {
  co_await g.pass();
  co_return r.get();
}
task<std::size_t> by_string_view(gate& g, std::string_view s) {
  co_await g.pass();
  co_return s.size() + static_cast<std::size_t>(s.front() == 'l');
}

template <class F, class... A>
constexpr bool used_up = detail::call_body<F, A...>::is_used_up;
using gate_ref = std::reference_wrapper<gate>;
constexpr auto lambda = [](gate* g, int n) -> task<int> {
  co_await g->pass();
  co_return n;
};
constexpr auto generic = [](auto* g, int n) -> task<int> {
  co_await g->pass();
  co_return n;
};
using capturing = decltype([n = 1](gate* g) -> task<int> {
  co_await g->pass();
  co_return n;
});

static_assert(used_up<decltype(&by_value), gate*, pair_of_ints>);
static_assert(used_up<task<> (*)(gate&) noexcept, gate_ref>);
static_assert(used_up<std::remove_const_t<decltype(lambda)>, gate*, int>);
static_assert(used_up<task<> (*)()>);
static_assert(!used_up<decltype(&by_reference), gate_ref, pair_of_ints>);
static_assert(!used_up<decltype(&by_rvalue), gate_ref, pair_of_ints>);
static_assert(!used_up<decltype(&by_view), gate_ref, std::array<int, 2>>);
static_assert(!used_up<decltype(&by_own_view), gate_ref, int>);
static_assert(!used_up<decltype(&by_reference_to_wrapper), gate_ref, std::reference_wrapper<int>>);
static_assert(!used_up<decltype(&by_string_view), gate_ref, std::string>);
static_assert(!used_up<std::remove_const_t<decltype(generic)>, gate*, int>);
static_assert(!used_up<capturing, gate*>);
static_assert(!used_up<task<> (*)(std::unique_ptr<int>), std::unique_ptr<int>>);

class root_test : public ::testing::Test {
 protected:
  /// Its job is suspended in the gate meanwhile.
  template <class F, class... A>
  auto result_of(F f, A... args) {
    auto job = start(executor, f, std::move(args)...);
    executor.run_until_idle();
    EXPECT_TRUE(g.occupied());
    g.open();
    executor.run_until_idle();
    return job.outcome().value();
  }
  test_executor executor;
  gate g;
};

TEST_F(root_test, what_a_task_refers_to_stays_while_it_runs) {
  EXPECT_EQ(result_of(by_reference, std::ref(g), pair_of_ints{40, 2}), 42);
  EXPECT_EQ(result_of(by_rvalue, std::ref(g), pair_of_ints{40, 3}), 43);
  EXPECT_EQ(result_of(by_view, std::ref(g), std::array{40, 4}), 44);
  EXPECT_EQ(result_of(by_own_view, std::ref(g), 45), 45);
  int n = 46;
  EXPECT_EQ(result_of(by_reference_to_wrapper, std::ref(g), std::ref(n)), 46);
  EXPECT_EQ(result_of(by_string_view, std::ref(g), std::string("long enough to be on the heap")),
            30u);
  auto own = [n = 47](gate& at) -> task<int> {
    co_await at.pass();
    co_return n;
  };
  EXPECT_EQ(result_of(own, std::ref(g)), 47);
}

TEST_F(root_test, what_it_has_copied_need_not_stay) {
  EXPECT_EQ(result_of(by_value, &g, pair_of_ints{40, 2}), 42);
  EXPECT_EQ(result_of(lambda, &g, 43), 43);
  EXPECT_EQ(result_of(generic, &g, 44), 44);
}

TEST_F(root_test, a_call_that_throws_ends_the_job_with_it) {
  const auto refuse = [](gate*) -> task<> { throw std::runtime_error("not a coroutine"); };
  auto job = start(executor, refuse, &g);
  executor.run_until_idle();
  EXPECT_EQ(job.outcome().kind(), outcome_kind::exception);
}

TEST_F(root_test, void_result_says_how_it_ended_although_it_has_no_word_of_its_own) {
  const auto fail = [](gate* at) -> task<> {
    co_await at->pass();
    throw std::runtime_error("planned");
  };
  const auto pass = [](gate* at) -> task<> { co_await at->pass(); };
  for (const bool stop : {false, true}) {
    auto failing = start(executor, fail, &g);
    executor.run_until_idle();
    if (stop) failing->stop();
    if (!stop) g.open();
    executor.run_until_idle();
    EXPECT_EQ(failing.outcome().kind(), stop ? outcome_kind::stopped : outcome_kind::exception);
    auto passing = start(executor, pass, &g);
    executor.run_until_idle();
    if (stop) passing->stop();
    if (!stop) g.open();
    executor.run_until_idle();
    EXPECT_EQ(passing.outcome().kind(), stop ? outcome_kind::stopped : outcome_kind::value);
  }
}

TEST_F(root_test, an_exception_that_nobody_took_dies_with_its_job) {
  static int alive = 0;
  struct counted {
    counted() noexcept { ++alive; }
    counted(const counted&) noexcept { ++alive; }
    ~counted() { --alive; }
  };
  const auto fail = []() -> task<> {
    throw counted();
    co_return;
  };
  {
    auto job = start(executor, fail);
    executor.run_until_idle();
    EXPECT_EQ(alive, 1);
    EXPECT_EQ(job.outcome().kind(), outcome_kind::exception);
  }
  EXPECT_EQ(alive, 0);
}

}  // namespace
}  // namespace weft
