#include "weft/runtime/worker_thread.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <fstream>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>

#include "weft/base/thread_gate_test_support.hpp"
#include "weft/os/affinity.hpp"
#include "weft/runtime/block_on.hpp"
#include "weft/runtime/runtime.hpp"
#include "weft/testing/cancel_everywhere.hpp"
#include "weft/testing/virtual_time.hpp"
#include "weft/together/catch_stop.hpp"
#include "weft/together/timeout.hpp"

namespace weft {
namespace {

using namespace std::chrono_literals;
using state = worker_thread_state;

using gate = test_support::thread_gate;

void until_stopped(stop_token stop, gate* begun) {
  gate stopped;
  const stop_callback told(stop, [&stopped] { stopped.open(); });
  if (begun != nullptr) begun->open();
  stopped.pass();
}

std::string own_name() {
  std::string name;
  std::getline(std::ifstream("/proc/thread-self/comm"), name);
  return name;
}

TEST(worker_thread, runs_under_its_name_with_its_arguments_on_a_thread_of_its_own) {
  std::string name;
  std::thread::id id;
  int sum = 0;
  worker_thread t(
      {.name = "sums up"},
      [&](int a, int b) {
        name = own_name();
        id = std::this_thread::get_id();
        sum = a + b;
      },
      40, 2);
  EXPECT_TRUE(t.join());
  EXPECT_EQ(t.state(), state::ended);
  EXPECT_EQ(name, "sums up");
  EXPECT_NE(id, std::this_thread::get_id());
  EXPECT_EQ(sum, 42);
  EXPECT_TRUE(t.join());  // again
}

TEST(worker_thread, goes_through_its_states) {
  gate begun;
  gate may_end;
  auto started = worker_thread::start({}, [&](stop_token) {
    begun.open();
    may_end.pass();
  });
  ASSERT_TRUE(started);
  worker_thread t = std::move(*started);
  EXPECT_EQ(started->state(), state::ended);  // moved from: none
  begun.pass();
  EXPECT_EQ(t.state(), state::running);
  EXPECT_FALSE(t.stop_requested());
  EXPECT_TRUE(t.request_stop());
  EXPECT_FALSE(t.request_stop());
  EXPECT_TRUE(t.stop_requested());
  EXPECT_TRUE(t.get_stop_token().stop_requested());
  EXPECT_EQ(t.state(), state::stopping);
  const auto late = t.join(0ns);
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error(), errc::timed_out);
  EXPECT_EQ(t.join(1ms).error(), errc::timed_out);
  may_end.open();
  EXPECT_TRUE(t.join());
  EXPECT_EQ(t.state(), state::ended);
}

TEST(worker_thread, current_is_there_inside_only) {
  EXPECT_EQ(worker_thread::current(), nullptr);
  bool before = true;
  bool after = false;
  worker_thread t({}, [&] {
    worker_thread::running_thread* const me = worker_thread::current();
    ASSERT_NE(me, nullptr);
    before = me->stop_requested();
    me->request_stop();
    after = me->stop_requested() && me->get_stop_token().stop_requested();
  });
  EXPECT_TRUE(t.join());
  EXPECT_FALSE(before);
  EXPECT_TRUE(after);
  EXPECT_TRUE(t.stop_requested());
}

TEST(worker_thread, destructor_requests_a_stop_and_waits_for_the_end) {
  std::atomic<bool> ended{false};
  {
    worker_thread t({}, [&](stop_token stop) {
      until_stopped(stop, nullptr);
      ended = true;
    });
  }
  EXPECT_TRUE(ended);
  {
    worker_thread t({}, until_stopped, nullptr);
    t = worker_thread({}, [] {});  // the old one is stopped and joined
    EXPECT_TRUE(t.join());
  }
}

TEST(worker_thread, default_constructed_has_ended) {
  worker_thread none;
  EXPECT_EQ(none.state(), state::ended);
  EXPECT_TRUE(none.join());
  EXPECT_FALSE(none.request_stop());
  EXPECT_FALSE(none.get_stop_token().stop_possible());
  block_on(none.ended());
}

TEST(worker_thread, exception_is_kept_and_rethrown_by_whoever_asks) {
  worker_thread t({}, [] { throw std::runtime_error("planned"); });
  EXPECT_THROW(static_cast<void>(t.join()), std::runtime_error);
  EXPECT_THROW(static_cast<void>(t.join()), std::runtime_error);
  EXPECT_THROW(block_on(t.ended()), std::runtime_error);
  worker_thread asked_by_a_task({}, [] { throw std::logic_error("planned"); });
  runtime rt({.workers = 1});
  EXPECT_THROW(rt.block_on(asked_by_a_task.ended()), std::logic_error);
}

TEST(worker_thread, exception_that_nobody_came_for_ends_the_program) {
  EXPECT_DEATH({ worker_thread t({}, [] { throw std::runtime_error("planned"); }); }, "planned");
}

TEST(worker_thread, function_and_arguments_are_gone_when_it_has_ended) {
  auto kept = std::make_shared<int>(1);
  const std::weak_ptr<int> seen = kept;
  std::thread::id destroyed_on;
  struct tells {
    std::thread::id* where = nullptr;
    explicit tells(std::thread::id* w) : where(w) {}
    tells(tells&& other) noexcept : where(std::exchange(other.where, nullptr)) {}
    ~tells() {
      if (where != nullptr) *where = std::this_thread::get_id();
    }
  };
  worker_thread t({}, [kept = std::move(kept)](const tells&) {}, tells(&destroyed_on));
  EXPECT_TRUE(t.join());
  EXPECT_TRUE(seen.expired());
  EXPECT_NE(destroyed_on, std::this_thread::get_id());
  EXPECT_NE(destroyed_on, std::thread::id());
}

TEST(worker_thread, stays_on_its_cpu) {
  const auto allowed = os::allowed_cpus();
  if (allowed.empty()) GTEST_SKIP() << "the system does not say which CPUs there are";
  std::vector<unsigned> found;
  worker_thread t({.cpu = static_cast<int>(allowed.back())},
                  [&found] { found = os::allowed_cpus(); });
  EXPECT_TRUE(t.join());
  EXPECT_EQ(found, std::vector<unsigned>{allowed.back()});
}

TEST(worker_thread, that_cannot_be_started_is_an_error_value_or_a_clear_exception) {
  const auto no_cpu = worker_thread::start({.cpu = 1'000'000}, [] { FAIL(); });
  ASSERT_FALSE(no_cpu);
  EXPECT_EQ(no_cpu.error(), std::errc::invalid_argument);
  constexpr std::size_t too_much = std::size_t{1} << 60;
  const auto no_stack = worker_thread::start({.stack_size = too_much}, [] { FAIL(); });
  ASSERT_FALSE(no_stack);
  EXPECT_EQ(no_stack.error(), std::errc::resource_unavailable_try_again);
  try {
    const worker_thread t({.stack_size = too_much}, [] { FAIL(); });
    FAIL();
  } catch (const weft::error& e) {
    EXPECT_NE(std::string(e.what()).find("worker_thread could not be started"), std::string::npos);
    EXPECT_NE(std::string(e.what()).find("ulimit"), std::string::npos);
  }
}

task<> await_end(worker_thread& t, int& ends) {
  co_await t.ended();
  ++ends;
}

TEST(worker_thread, several_await_its_end_and_one_that_is_stopped_changes_nothing) {
  runtime rt({.workers = 2});
  int stopped_ends = 0;
  int ends = 0;
  worker_thread t({}, until_stopped, nullptr);
  auto stopped = rt.spawn(await_end, std::ref(t), std::ref(stopped_ends));
  stopped.stop();
  EXPECT_TRUE(block_on(stopped.outcome()).stopped());
  EXPECT_NE(t.state(), state::ended);
  EXPECT_FALSE(t.stop_requested());
  auto waits = rt.spawn(await_end, std::ref(t), std::ref(ends));
  t.request_stop();
  rt.block_on(waits);
  block_on(t.ended());
  EXPECT_EQ(stopped_ends, 0);
  EXPECT_EQ(ends, 1);
}

TEST(worker_thread, what_awaits_its_end_may_outlive_it) {
  auto t = std::make_unique<worker_thread>(worker_thread::options{}, [] {});
  auto end = t->ended();
  t.reset();
  block_on(end);
}

task<bool> times_out(worker_thread& t) {
  const auto ended = co_await timeout(1h, t.ended());
  co_return !ended && ended.error() == errc::timed_out;
}
TEST(worker_thread, awaited_with_a_timeout_it_runs_on) {
  worker_thread t({}, until_stopped, nullptr);
  testing::virtual_runtime rt;
  EXPECT_TRUE(rt.block_on(times_out(t)));
  EXPECT_EQ(rt.elapsed(), 1h);
  EXPECT_FALSE(t.stop_requested());
}

#if WEFT_CENSUS
task<> ask_to_stop(std::shared_ptr<worker_thread> t) {
  t->request_stop();
  co_return;
}
// There is one worker: whoever asks has its turn when this job is in its wait, and not before.
task<> ends_and_is_awaited() {
  gate begun;
  const auto t = std::make_shared<worker_thread>(worker_thread::options{}, until_stopped, &begun);
  begun.pass();
  auto asks = spawn(ask_to_stop, t);
  auto ended = t->ended();
  co_await ended;
  co_await asks;
}
TEST(worker_thread, stopped_at_every_await_its_threads_are_joined) {
  const auto seen = testing::cancel_everywhere(
      [](testing::virtual_runtime& rt) { return rt.spawn(ends_and_is_awaited); }, [](bool) {});
  EXPECT_GT(seen.stopped, 0u);
}
#endif

}  // namespace
}  // namespace weft
