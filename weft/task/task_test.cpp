#include "weft/task/task.hpp"

#include <gtest/gtest.h>

#include <memory>
#include <stdexcept>
#include <string>

#include "weft/base/config.hpp"
#include "weft/os/thread.hpp"
#include "weft/task/task_test_support.hpp"

namespace weft {
namespace {

using namespace test_support;

std::string trace;

/// Writes its letter when it is destroyed; copies are not letters of their own.
class noted {
 public:
  explicit noted(char name) noexcept : name_(name) {}
  noted(noted&& other) noexcept : name_(std::exchange(other.name_, '\0')) {}
  ~noted() {
    if (name_ != '\0') trace += name_;
  }

 private:
  char name_;
};

class task_test : public ::testing::Test {
 protected:
  void SetUp() override { trace.clear(); }
  test_executor executor;
};

// --- what a task gives ---

task<int> twice(int x) { co_return 2 * x; }
task<> nothing() { co_return; }
task<std::unique_ptr<int>> owned(int x) { co_return std::make_unique<int>(x); }
task<int&> pick(int& a, int& b, bool first) { co_return first ? a : b; }
task<const std::string&> same(const std::string& s) { co_return s; }
task<std::string> from_literal() { co_return "text"; }

class no_default {
 public:
  explicit no_default(int v) noexcept : value(v) {}
  no_default(no_default&&) noexcept = default;
  no_default& operator=(no_default&&) = delete;
  int value;
};
task<no_default> made(int v) { co_return no_default(v); }

task<int> sums() {
  const int a = co_await twice(1);
  const int b = co_await twice(a);
  co_await nothing();
  co_return a + b;
}

TEST_F(task_test, gives_its_value) { EXPECT_EQ(run(sums).value(), 6); }

TEST_F(task_test, gives_a_move_only_value) {
  auto f = []() -> task<int> {
    std::unique_ptr<int> p = co_await owned(5);
    co_return *p;
  };
  EXPECT_EQ(run(f).value(), 5);
}

TEST_F(task_test, gives_a_reference_to_the_very_object) {
  auto f = []() -> task<bool> {
    int a = 1, b = 2;
    int& picked = co_await pick(a, b, false);
    picked = 3;
    const std::string long_text(100, 'x');
    const std::string& s = co_await same(long_text);
    co_return (&picked == &b && b == 3 && &s == &long_text);
  };
  EXPECT_TRUE(run(f).value());
}

TEST_F(task_test, gives_what_has_no_default_and_no_assignment) {
  auto f = []() -> task<int> {
    const no_default v = co_await made(4);
    co_return v.value;
  };
  EXPECT_EQ(run(f).value(), 4);
}

TEST_F(task_test, converts_what_is_returned) {
  auto f = []() -> task<std::size_t> {
    const std::string s = co_await from_literal();
    co_return s.size();
  };
  EXPECT_EQ(run(f).value(), 4u);
}

// --- exceptions ---

struct oops : std::runtime_error {
  explicit oops(const char* where) : std::runtime_error(where) {}
};
task<int> throws_at_once() {
  throw oops("at once");
  co_return 0;
}
task<int> throws_after(gate& g) {
  noted n('t');
  co_await g.pass();
  throw oops("after");
  co_return 0;
}
class throwing_resume final : public awaitable_operation<throwing_resume> {
 public:
  throwing_resume() noexcept {}
  std::coroutine_handle<> start(promise_base& w) noexcept { return ready_at_once(*this, w); }
  int await_resume() const { throw oops("resume"); }
  void withdraw() noexcept override {}
  const char* what() const noexcept override { return "throwing"; }
};
struct throwing_copy {
  throwing_copy() noexcept {}
  throwing_copy(const throwing_copy&) { throw oops("copy"); }
};
task<int> takes(throwing_copy) { co_return 1; }

template <class F>
std::string caught(F f) {
  auto wrapper = [](F inner) -> task<std::string> {
    std::string text = "nothing";
    try {
      co_await inner();
    } catch (const oops& e) {
      text = e.what();
    }
    co_return text;
  };
  return run(wrapper, f).value();
}

TEST_F(task_test, exception_reaches_whoever_awaits) {
  EXPECT_EQ(caught(throws_at_once), "at once");
  EXPECT_EQ(caught([]() -> task<int> { co_return co_await throws_at_once(); }), "at once");
}

TEST_F(task_test, exception_of_an_awaiter_is_an_exception_of_the_task) {
  EXPECT_EQ(caught([]() -> task<int> {
              const int n = co_await throwing_resume();
              co_return n;
            }),
            "resume");
}

TEST_F(task_test, exception_of_copying_an_argument_is_thrown_by_the_call) {
  EXPECT_EQ(caught([]() -> task<int> {
              throwing_copy c;
              const int n = co_await takes(c);
              co_return n;
            }),
            "copy");
}

TEST_F(task_test, exception_after_a_suspension_destroys_locals_on_its_way) {
  gate g;
  auto outer = [](gate& at) -> task<int> {
    noted n('o');
    const int v = co_await throws_after(at);
    co_return v;
  };
  auto job = start(executor, outer, std::ref(g));
  executor.run_until_idle();
  EXPECT_EQ(trace, "");
  g.open();
  executor.run_until_idle();
  EXPECT_EQ(trace, "to");
  auto end = job.outcome();
  EXPECT_EQ(end.kind(), outcome_kind::exception);
  EXPECT_THROW(std::rethrow_exception(end.exception()), oops);
}

TEST_F(task_test, exception_that_nobody_joins_is_a_panic) {
  {
    auto job = start(executor, throws_at_once);
  }
  executor.run_until_idle();
  ASSERT_EQ(executor.panics().size(), 1u);
  EXPECT_THROW(std::rethrow_exception(executor.panics()[0]), oops);
}

// --- lifetimes ---

task<int> holds(noted, gate& g) {
  noted local('l');
  co_await g.pass();
  co_return 1;
}

TEST_F(task_test, is_lazy_and_its_arguments_die_with_it) {
  gate g;
  {
    auto t = holds(noted('p'), g);
    EXPECT_FALSE(g.occupied());
    EXPECT_EQ(trace, "");
  }
  EXPECT_EQ(trace, "p");
}

TEST_F(task_test, locals_die_at_the_end_and_parameters_with_the_frame) {
  gate g;
  auto outer = [](gate& at) -> task<> {
    const int one = co_await holds(noted('p'), at);
    trace += one == 1 ? '1' : '?';
  };
  auto job = start(executor, outer, std::ref(g));
  executor.run_until_idle();
  g.open();
  executor.run_until_idle();
  EXPECT_EQ(trace, "lp1");
}

TEST_F(task_test, references_to_the_callers_locals_stay_good) {
  auto leaf = [](std::string& s, gate& g) -> task<> {
    co_await g.pass();
    s += "changed";
  };
  auto outer = [&](gate& g) -> task<std::string> {
    std::string mine(50, ' ');
    co_await leaf(mine, g);
    co_return mine.substr(50);
  };
  gate g;
  auto job = start(executor, outer, std::ref(g));
  executor.run_until_idle();
  g.open();
  executor.run_until_idle();
  EXPECT_EQ(job.outcome().value(), "changed");
}

TEST_F(task_test, captures_of_a_spawned_lambda_live_as_long_as_its_task) {
  gate g;
  auto text = std::make_unique<std::string>("captured, and long enough to be on the heap");
  auto f = [text = std::move(text), &g]() -> task<std::size_t> {
    co_await g.pass();
    co_return text->size();
  };
  auto job = start(executor, std::move(f));
  executor.run_until_idle();
  g.open();
  executor.run_until_idle();
  EXPECT_EQ(job.outcome().value(), 43u);
}

// --- stopping ---

task<int> leaf(gate& g) {
  noted n('a');
  co_await g.pass();
  trace += '!';
  co_return 1;
}
task<int> middle(gate& g) {
  noted n('b');
  noted m('c');
  const int v = co_await leaf(g);
  trace += '!';
  co_return v;
}
task<int> swallows(gate& g) {
  noted n('d');
  try {
    const int v = co_await middle(g);
    co_return v;
  } catch (...) {
    trace += "caught";
  }
  co_return -1;
}

TEST_F(task_test, stop_destroys_innermost_first_and_no_catch_sees_it) {
  gate g;
  auto job = start(executor, swallows, std::ref(g));
  executor.run_until_idle();
  job->stop();
  EXPECT_FALSE(g.occupied());
  executor.run_until_idle();
  EXPECT_EQ(trace, "acbd");
  EXPECT_TRUE(job.outcome().stopped());
}

TEST_F(task_test, stopped_before_its_first_line_it_never_runs) {
  gate g;
  auto job = start(executor, swallows, std::ref(g));
  job->stop();
  executor.run_until_idle();
  EXPECT_EQ(trace, "");
  EXPECT_TRUE(job.outcome().stopped());
}

TEST_F(task_test, stop_while_running_takes_effect_at_the_next_wait) {
  gate g;
  auto f = [](gate& at) -> task<> {
    noted n('n');
    current_job()->stop();
    trace += "still";
    co_await at.pass();
    trace += "never";
  };
  auto job = start(executor, f, std::ref(g));
  executor.run_until_idle();
  EXPECT_EQ(trace, "stilln");
  EXPECT_TRUE(job.outcome().stopped());
  EXPECT_FALSE(g.occupied());
}

TEST_F(task_test, completion_that_came_first_is_not_reported_as_a_stop) {
  gate g;
  auto job = start(executor, leaf, std::ref(g));
  executor.run_until_idle();
  g.open();
  job->stop();
  executor.run_until_idle();
  EXPECT_EQ(trace, "!a");
  EXPECT_EQ(job.outcome().value(), 1);
}

TEST_F(task_test, stopped_one_that_does_not_wait_again_ends_with_its_value) {
  auto f = []() -> task<int> {
    current_job()->stop();
    co_return 7;
  };
  auto job = start(executor, f);
  executor.run_until_idle();
  EXPECT_EQ(job.outcome().value(), 7);
}

// --- joining ---

TEST_F(task_test, handle_gives_the_value_before_and_after_the_end) {
  auto join = [](join_handle<int>& h) -> task<int> {
    const int v = co_await h;
    co_return v;
  };
  for (const bool early : {true, false}) {
    gate g;
    auto& root = make_job(executor, leaf, std::ref(g));
    join_handle<int> handle(root);
    launch(root);
    executor.run_until_idle();
    if (!early) g.open(), executor.run_until_idle();
    auto joiner = start(executor, join, std::ref(handle));
    executor.run_until_idle();
    if (early) g.open(), executor.run_until_idle();
    EXPECT_EQ(joiner.outcome().value(), 1);
    EXPECT_TRUE(handle.done());
  }
}

TEST_F(task_test, dropped_handle_stops_its_job_and_a_detached_one_does_not) {
  gate g;
  auto begin = [&] {
    auto& root = make_job(executor, leaf, std::ref(g));
    join_handle<int> handle(root);
    launch(root);
    executor.run_until_idle();
    return handle;
  };
  {
    auto handle = begin();
  }
  executor.run_until_idle();
  EXPECT_EQ(trace, "a");
  begin().detach();
  executor.run_until_idle();
  g.open();
  executor.run_until_idle();
  EXPECT_EQ(trace, "a!a");
}

TEST_F(task_test, stopped_joiner_leaves_the_job_running) {
  gate g;
  auto& root = make_job(executor, leaf, std::ref(g));
  join_handle<int> handle(root);
  launch(root);
  auto join = [](join_handle<int>& h) -> task<int> {
    const int v = co_await h;
    co_return v;
  };
  auto first = start(executor, join, std::ref(handle));
  executor.run_until_idle();
  first->stop();
  executor.run_until_idle();
  EXPECT_TRUE(first.outcome().stopped());
  auto second = start(executor, join, std::ref(handle));
  executor.run_until_idle();
  g.open();
  executor.run_until_idle();
  EXPECT_EQ(second.outcome().value(), 1);
}

TEST_F(task_test, result_is_given_once) {
  auto& root = make_job(executor, twice, 2);
  join_handle<int> handle(root);
  launch(root);
  auto join = [](join_handle<int>& h) -> task<int> {
    const int v = co_await h;
    co_return v;
  };
  auto first = start(executor, join, std::ref(handle));
  executor.run_until_idle();
  EXPECT_EQ(first.outcome().value(), 4);
  EXPECT_DEATH(
      {
        auto second = start(executor, join, std::ref(handle));
        executor.run_until_idle();
      },
      "taken twice");
}

// --- depth ---

#if WEFT_TSAN || WEFT_ASAN
constexpr long many = 1'000'000;
#else
constexpr long many = 10'000'000;
#endif
constexpr int deep = 1'000'000;
constexpr std::size_t small_stack = 256 * 1024;

template <class F>
void on_small_stack(F f, std::size_t bytes = small_stack) {
  auto thread = os::thread::start("small", bytes, [](void* p) { (*static_cast<F*>(p))(); }, &f);
  ASSERT_TRUE(thread.has_value());
  thread->join();
}

task<long> loops_over_tasks(long n) {
  long sum = 0;
  for (long i = 0; i < n; ++i) {
    const int two = co_await twice(1);
    sum += two;
  }
  co_return sum;
}
task<long> loops_over_ready(long n) {
  long sum = 0;
  for (long i = 0; i < n; ++i) {
    const int one = co_await ready();
    sum += one;
  }
  co_return sum;
}

TEST_F(task_test, ten_million_awaits_of_tasks_do_not_grow_the_stack) {
  on_small_stack([] { EXPECT_EQ(run(loops_over_tasks, many).value(), 2 * many); });
}

TEST_F(task_test, ten_million_ready_awaits_do_not_grow_the_stack_and_give_way) {
  on_small_stack([&] {
    auto job = start(executor, loops_over_ready, many);
    executor.run_until_idle();
    EXPECT_EQ(job.outcome().value(), many);
    EXPECT_EQ(executor.yields(), many / (test_executor::budget + 1));
  });
}

task<int> descends(int depth, gate* g) {
  if (depth == 0) {
    if (g != nullptr) co_await g->pass();
    co_return 0;
  }
  const int below = co_await descends(depth - 1, g);
  co_return below + 1;
}
task<int> descends_and_throws(int depth) {
  if (depth == 0) throw oops("deep");
  const int below = co_await descends_and_throws(depth - 1);
  co_return below + 1;
}

TEST_F(task_test, million_nested_tasks_return_on_a_small_stack) {
  on_small_stack([] {
    gate* const none = nullptr;
    EXPECT_EQ(run(descends, 1'000'000, none).value(), 1'000'000);
  });
}

TEST_F(task_test, exception_passes_through_ten_thousand_nested_tasks_on_a_small_stack) {
  on_small_stack(
      [] { EXPECT_EQ(run(descends_and_throws, 10'000).kind(), outcome_kind::exception); });
}

// The frames are destroyed one by one, not by nested calls: the depth that can be stopped does not
// depend on the stack.
TEST_F(task_test, stop_unwinds_a_million_nested_tasks_on_a_small_stack) {
  on_small_stack([&] {
    gate g;
    auto job = start(executor, descends, deep, &g);
    executor.run_until_idle();
    job->stop();
    executor.run_until_idle();
    EXPECT_TRUE(job.outcome().stopped());
  });
}

}  // namespace
}  // namespace weft
