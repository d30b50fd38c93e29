// What a runtime promises, on virtual time where time matters: exact numbers, no sleeps.
#include "weft/runtime/runtime.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "weft/runtime/blocking.hpp"
#include "weft/runtime/time.hpp"
#include "weft/task/shield_scope.hpp"
#include "weft/testing/virtual_time.hpp"
#include "weft/together/catch_stop.hpp"
#include "weft/together/timeout.hpp"

namespace weft {
namespace {

using namespace std::chrono_literals;
using testing::virtual_runtime;

task<int> give(int x) { co_return x; }
task<> fail() {
  co_await yield_now();
  throw std::runtime_error("planned");
}
task<> sleep_long() { co_await sleep_for(1h); }

TEST(runtime, block_on_gives_the_value_and_rethrows) {
  runtime rt({.workers = 2});
  EXPECT_EQ(rt.block_on(give(7)), 7);
  EXPECT_THROW(rt.block_on(fail()), std::runtime_error);
}

task<long> spawn_and_join(int n) {
  long sum = 0;
  for (int i = 0; i < n; ++i) {
    auto handle = spawn(give, i);
    const int got = co_await handle;
    sum += got;
  }
  co_return sum;
}

TEST(runtime, a_spawned_job_runs_and_its_value_reaches_the_joiner) {
  for (unsigned workers : {1u, 2u, 4u}) {
    runtime rt({.workers = workers});
    EXPECT_EQ(rt.block_on(spawn_and_join(1000)), 499500);
  }
}

task<long> fan_out(int n) {
  std::vector<join_handle<int>> handles;
  for (int i = 0; i < n; ++i) handles.push_back(spawn(give, i));
  long sum = 0;
  for (auto& h : handles) {
    const int got = co_await h;
    sum += got;
  }
  co_return sum;
}

// More jobs than a run queue holds: the overflow goes through the injector, and none is lost.
TEST(runtime, ten_thousand_jobs_at_once_all_end) {
  runtime rt({.workers = 3});
  EXPECT_EQ(rt.block_on(fan_out(10000)), 49995000);
  EXPECT_EQ(rt.metrics().jobs_alive, 0u);
}

TEST(runtime, what_overflows_a_run_queue_is_counted) {
  runtime rt({.workers = 1});
  EXPECT_EQ(rt.block_on(spawn_and_join(10)), 45);
  EXPECT_EQ(rt.metrics().overflowed, 0u);
  EXPECT_EQ(rt.block_on(fan_out(1000)), 499500);
  EXPECT_GE(rt.metrics().overflowed, 256u);  // 1000 come while one runs, and there is room for 256
}

task<std::string> greet(std::string who) { co_return "hello " + who; }

TEST(runtime, arguments_and_captures_are_copied_into_the_job) {
  runtime rt({.workers = 1});
  std::string who = "weft";
  auto direct = rt.spawn(greet, who);
  auto lambda = rt.spawn(
      [suffix = std::string("!")](std::string w) -> task<std::string> {
        co_await yield_now();
        co_return w + suffix;
      },
      who);
  who = "gone";
  const auto join = [](join_handle<std::string>& h) -> task<std::string> { co_return co_await h; };
  EXPECT_EQ(rt.block_on(join(direct)), "hello weft");
  EXPECT_EQ(rt.block_on(join(lambda)), "weft!");
}

TEST(runtime, a_plain_function_can_be_spawned) {
  runtime rt({.workers = 1});
  auto h = rt.spawn([](int a, int b) { return a * b; }, 6, 7);
  const auto join = [](join_handle<int>& j) -> task<int> { co_return co_await j; };
  EXPECT_EQ(rt.block_on(join(h)), 42);
}

task<> outcome_of_all() {
  auto good = spawn(give, 1);
  auto bad = spawn(fail);
  auto gone = spawn(sleep_long);
  gone.stop();
  auto a = co_await good.outcome();
  auto b = co_await bad.outcome();
  auto c = co_await gone.outcome();
  EXPECT_EQ(a.value(), 1);
  EXPECT_EQ(b.kind(), outcome_kind::exception);
  EXPECT_TRUE(c.stopped());
}

TEST(runtime, an_outcome_tells_value_exception_and_stop_apart) {
  virtual_runtime rt;
  rt.block_on(outcome_of_all());
  EXPECT_EQ(rt.elapsed(), 0ns);  // the stop did not wait for the hour
}

task<> join_a_stopped_job() {
  auto gone = spawn(sleep_long);
  gone.stop();
  co_await gone;
}

TEST(runtime, joining_a_stopped_job_says_so) {
  virtual_runtime rt;
  try {
    rt.block_on(join_a_stopped_job());
    FAIL() << "nothing was thrown";
  } catch (const error& e) {
    EXPECT_EQ(e.code(), std::errc::operation_canceled);
  }
}

struct noted {
  std::string& log;
  char c;
  noted(std::string& l, char x) : log(l), c(x) {}
  noted(const noted&) = delete;
  ~noted() { log += c; }
};
task<> inner(std::string& log) {
  noted n(log, 'a');
  co_await sleep_for(1h);
  log += "NEVER";
}
task<> outer(std::string& log) {
  noted n(log, 'b');
  try {
    co_await inner(log);
  } catch (...) {
    log += "CAUGHT";
  }
}

TEST(runtime, a_dropped_handle_stops_its_job_and_frames_die_innermost_first) {
  std::string log;
  {
    virtual_runtime rt;
    static_cast<void>(rt.spawn(outer, std::ref(log)));
  }
  EXPECT_TRUE(log == "ab" || log.empty()) << log;  // empty: stopped before its first line
  log.clear();
  {
    virtual_runtime rt;
    auto h = rt.spawn(outer, std::ref(log));
    const auto one_second = []() -> task<> { co_await sleep_for(1s); };
    rt.block_on(one_second());
    EXPECT_EQ(rt.elapsed(), 1s);
    {
      auto dropped = std::move(h);
    }
  }
  EXPECT_EQ(log, "ab");
}

TEST(runtime, a_detached_job_is_stopped_by_the_runtimes_end) {
  std::string log;
  {
    virtual_runtime rt;
    rt.spawn(outer, std::ref(log)).detach();
    const auto one_second = []() -> task<> { co_await sleep_for(1s); };
    rt.block_on(one_second());
  }
  EXPECT_EQ(log, "ab");
}

task<> sleep_in_steps(std::vector<long>& at) {
  for (auto d : {1ms, 10ms, 250ms, 5000ms, 100000ms}) {
    co_await sleep_for(d);
    at.push_back(
        std::chrono::duration_cast<std::chrono::milliseconds>(now().time_since_epoch()).count());
  }
}

TEST(time, a_sleep_ends_exactly_when_it_is_due) {
  virtual_runtime rt;
  std::vector<long> at;
  rt.block_on(sleep_in_steps(at));
  EXPECT_EQ(at, (std::vector<long>{1, 11, 261, 5261, 105261}));
}

task<> sleep_and_note(std::chrono::milliseconds d, int id, std::vector<int>& order) {
  co_await sleep_for(d);
  order.push_back(id);
}
task<> sleepers(std::vector<int>& order) {
  auto a = spawn(sleep_and_note, 300ms, 3, std::ref(order));
  auto b = spawn(sleep_and_note, 100ms, 1, std::ref(order));
  auto c = spawn(sleep_and_note, 200ms, 2, std::ref(order));
  co_await a;
  co_await b;
  co_await c;
}

TEST(time, sleepers_wake_in_the_order_of_their_deadlines) {
  virtual_runtime rt;
  std::vector<int> order;
  rt.block_on(sleepers(order));
  EXPECT_EQ(order, (std::vector<int>{1, 2, 3}));
  EXPECT_EQ(rt.elapsed(), 300ms);
}

TEST(time, a_wait_that_is_over_gives_way_once) {
  virtual_runtime rt;
  const auto none = []() -> task<> {
    co_await sleep_for(-5s);
    co_await sleep_for(0s);
    co_await sleep_until(now() - 1h);
  };
  rt.block_on(none());
  EXPECT_EQ(rt.elapsed(), 0ns);
}

task<int> late(std::chrono::milliseconds d, int v) {
  co_await sleep_for(d);
  co_return v;
}
task<> timeouts() {
  const auto in_time = co_await timeout(50ms, late(10ms, 42));
  EXPECT_TRUE(in_time.has_value());
  EXPECT_EQ(in_time.value_or(0), 42);
  const auto over = co_await timeout(5ms, late(100ms, 42));
  EXPECT_FALSE(over.has_value());
  if (!over) {
    EXPECT_EQ(over.error(), errc::timed_out);
  }
  const auto at_once = co_await timeout(5ms, give(3));
  EXPECT_EQ(at_once.value_or(0), 3);
}

TEST(timeout, ends_with_the_value_or_when_the_time_is_over) {
  virtual_runtime rt;
  rt.block_on(timeouts());
  EXPECT_EQ(rt.elapsed(), 15ms);
}

task<> overdue_together() {
  const auto busy_for = [](std::chrono::milliseconds d) {
    const auto until = std::chrono::steady_clock::now() + d;
    while (std::chrono::steady_clock::now() < until) continue;
  };
  auto hog = spawn(busy_for, 20ms);  // the only worker comes to it when this waits
  const auto r = co_await timeout(5ms, late(10ms, 7));
  EXPECT_FALSE(r.has_value());
  co_await hog;
}

// The worker was busy when the time was over, and later when a sleep inside was: the order decides.
TEST(timeout, wins_against_a_longer_sleep_if_both_are_overdue) {
  runtime rt({.workers = 1});
  rt.block_on(overdue_together());
}

task<> rethrows_through_timeout() {
  const auto r = co_await timeout(1s, fail());
  static_cast<void>(r);
}

TEST(timeout, an_exception_passes_through) {
  virtual_runtime rt;
  EXPECT_THROW(rt.block_on(rethrows_through_timeout()), std::runtime_error);
}

task<> nested(std::string& log) {
  noted n(log, 'o');
  const auto r = co_await timeout(1000ms, outer(log));
  static_cast<void>(r);
  log += "LATE";
}
task<> stop_nested(std::string& log) {
  auto h = spawn(nested, std::ref(log));
  co_await sleep_for(10ms);
  h.stop();
  auto o = co_await h.outcome();
  EXPECT_TRUE(o.stopped());
}

TEST(timeout, an_outer_stop_reaches_the_innermost_frame_and_its_end_is_awaited) {
  virtual_runtime rt;
  std::string log;
  rt.block_on(stop_nested(log));
  EXPECT_EQ(log, "abo");
  EXPECT_EQ(rt.elapsed(), 10ms);
}

// What is under a shield at a shutdown is not stopped by way of a timeout inside of it.
task<> cleans_up(int& cleaned) {
  const auto ended = co_await catch_stop(sleep_long());
  EXPECT_FALSE(ended.has_value());
  const shield_scope to_the_end;
  const auto in_time = co_await timeout(1h, late(10ms, 7));
  EXPECT_EQ(in_time.value_or(0), 7);
  const auto over = co_await timeout(1ms, late(10ms, 7));
  EXPECT_FALSE(over.has_value());
  cleaned = in_time.value_or(0);
}

TEST(timeout, works_in_a_shield_while_the_runtime_ends) {
  int cleaned = 0;
  {
    virtual_runtime rt;
    rt.spawn(cleans_up, std::ref(cleaned)).detach();
    const auto one_second = []() -> task<> { co_await sleep_for(1s); };
    rt.block_on(one_second());
  }
  EXPECT_EQ(cleaned, 7);
}

task<> stopped_and_seen(bool& seen) {
  const auto r = co_await catch_stop(sleep_long());
  seen = !r.has_value();
}
task<> stop_it(bool& seen) {
  auto h = spawn(stopped_and_seen, std::ref(seen));
  co_await sleep_for(1ms);
  h.stop();
  auto o = co_await h.outcome();
  EXPECT_TRUE(o.has_value());  // it went on after the stop and ended by itself
}

TEST(catch_stop, lets_the_caller_go_on) {
  virtual_runtime rt;
  bool seen = false;
  rt.block_on(stop_it(seen));
  EXPECT_TRUE(seen);
}

task<int> on_the_pool() {
  const auto id = std::this_thread::get_id();
  const auto other = co_await spawn_blocking([] { return std::this_thread::get_id(); });
  EXPECT_NE(id, other);
  const int v = co_await spawn_blocking([](int x) { return x + 1; }, 41);
  co_return v;
}

TEST(blocking, work_runs_on_another_thread_and_is_awaited) {
  runtime rt({.workers = 1});
  EXPECT_EQ(rt.block_on(on_the_pool()), 42);
}

task<> throwing_on_the_pool() {
  co_await spawn_blocking([] { throw std::runtime_error("planned"); });
}

TEST(blocking, an_exception_reaches_the_awaiter) {
  runtime rt({.workers = 1});
  EXPECT_THROW(rt.block_on(throwing_on_the_pool()), std::runtime_error);
}

// One thread, occupied: what waits in line behind it is taken back by a stop, and never starts.
// Whoever looks out for work before it sleeps, a thread of the pool or a lone worker, must not miss what
// comes as it gives up: then this would hang.
task<std::size_t> trips(std::size_t count) {
  std::size_t at = 0;
  while (at < count) {
    const std::size_t there = co_await spawn_blocking([at] { return at + 1; });
    at = there;
  }
  co_return at;
}

TEST(blocking, trips_there_and_back_are_all_made) {
  for (const unsigned threads : {1u, 2u, 8u}) {
    for (const unsigned travellers : {1u, 2u, 5u}) {
      SCOPED_TRACE(::testing::Message() << threads << " threads, " << travellers << " travellers");
      runtime rt({.workers = travellers > 2 ? 2u : 1u, .max_blocking_threads = threads});
      std::vector<join_handle<std::size_t>> out;
      for (unsigned i = 0; i < travellers; ++i) out.push_back(rt.spawn(trips, std::size_t{2000}));
      for (auto& t : out) EXPECT_EQ(rt.block_on(t), 2000u);
    }
  }
}

task<> sleep_some(std::chrono::microseconds d) { co_await sleep_for(d); }
task<> crowd(int count) {
  std::vector<join_handle<void>> all;
  for (int i = 0; i < count; ++i) {
    all.push_back(spawn(sleep_some, std::chrono::microseconds(400'000L * (i % 7919) / 7919)));
  }
  for (auto& one : all) co_await one;
}

// Each worker fires what has come due together, a thousand times a second; those that wake each other to
// help must not fire a few each time, and wake the other again for them: then it was eleven times as often.
TEST(runtime, a_crowd_of_sleepers_costs_few_wakes) {
  runtime rt({.workers = 2});
  const auto begin = std::chrono::steady_clock::now();
  const auto parks_before = rt.metrics().parks;
  rt.block_on(rt.spawn(crowd, 100'000));
  const auto parks = static_cast<double>(rt.metrics().parks - parks_before);
  const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - begin;
  EXPECT_LT(parks / took.count(), 6.0) << parks << " in " << took.count() << " ms";
}

task<std::size_t> one_more(std::size_t n) { co_return n + 1; }
task<std::size_t> hops(std::size_t count, runtime& other) {
  std::size_t at = 0;
  while (at < count) {
    auto there = other.spawn(one_more, at);
    at = co_await there;
  }
  co_return at;
}

TEST(runtime, hops_between_lone_workers_all_arrive) {
  for (const scheduling mode : {scheduling::work_stealing, scheduling::per_core}) {
    runtime there({.workers = 1, .mode = mode});
    runtime here({.workers = 1, .mode = mode});
    auto one = here.spawn(hops, std::size_t{20'000}, std::ref(there));
    auto two = there.spawn(hops, std::size_t{20'000}, std::ref(here));
    EXPECT_EQ(here.block_on(one), 20'000u);
    EXPECT_EQ(here.block_on(two), 20'000u);
  }
}

TEST(blocking, a_stop_takes_work_out_of_the_line) {
  runtime rt({.workers = 1, .max_blocking_threads = 1});
  std::atomic<bool> occupied{false}, release{false}, ran{false};
  auto first = rt.spawn([&]() -> task<> {
    co_await spawn_blocking([&] {
      occupied = true;
      occupied.notify_all();
      release.wait(false);
    });
  });
  occupied.wait(false);
  std::atomic<bool> started{false};
  auto second = rt.spawn([&]() -> task<> {
    started = true;
    started.notify_all();
    co_await spawn_blocking([&] { ran = true; });
  });
  started.wait(false);
  second.stop();
  const auto outcome_of = [](join_handle<void>& h) -> task<bool> {
    auto o = co_await h.outcome();
    co_return o.stopped();
  };
  EXPECT_TRUE(rt.block_on(outcome_of(second)));
  release = true;
  release.notify_all();
  EXPECT_FALSE(rt.block_on(outcome_of(first)));
  EXPECT_FALSE(ran);
}

TEST(runtime, shutdown_names_what_would_not_end) {
  runtime rt({.workers = 1});
  std::atomic<bool> in{false}, release{false};
  auto stuck = rt.spawn([&]() -> task<> {
    this_task::set_name("stuck");
    in = true;
    in.notify_all();
    release.wait(false);  // a job that blocks its worker, and cannot see the stop
    co_return;
  });
  in.wait(false);
  ::testing::internal::CaptureStderr();
  const auto ended = rt.shutdown(1ms);
  const std::string said = ::testing::internal::GetCapturedStderr();
  EXPECT_FALSE(ended.has_value());
  if (!ended) {
    EXPECT_EQ(ended.error(), errc::would_not_end);
  }
  EXPECT_NE(said.find("'stuck'"), std::string::npos) << said;
  release = true;
  release.notify_all();
  EXPECT_TRUE(rt.shutdown(10s).has_value());
}

TEST(runtime, a_job_made_during_shutdown_is_stopped) {
  runtime rt({.workers = 1});
  EXPECT_TRUE(rt.shutdown(1s).has_value());
  auto h = rt.spawn(sleep_long);
  EXPECT_TRUE(rt.shutdown(1s).has_value());
  EXPECT_TRUE(h.done());
}

task<> log_panic() {
  co_await yield_now();
  throw std::runtime_error("planned");
}

TEST(runtime, an_exception_nobody_joins_is_reported) {
  ::testing::internal::CaptureStderr();
  {
    runtime rt({.workers = 1, .on_panic = panic_policy::log});
    rt.spawn(log_panic).detach();
    while (rt.metrics().jobs_alive != 0) std::this_thread::yield();
  }
  const std::string said = ::testing::internal::GetCapturedStderr();
  EXPECT_NE(said.find("planned"), std::string::npos) << said;
}

TEST(runtime, times_without_end_are_waited_for) {
  runtime rt({.workers = 1, .blocking_keep_alive = std::chrono::seconds::max()});
  EXPECT_EQ(rt.block_on(on_the_pool()), 42);
  std::atomic<bool> in{false}, release{false};
  auto busy = rt.spawn([&] {
    in = true;
    in.notify_all();
    release.wait(false);
  });
  in.wait(false);
  std::thread later([&] {
    for (int i = 0; i < 1000; ++i) std::this_thread::yield();
    release = true;
    release.notify_all();
  });
  EXPECT_TRUE(rt.shutdown(std::chrono::nanoseconds::max()).has_value());  // did not give up at once
  later.join();
  EXPECT_TRUE(busy.done());
}

TEST(runtime, several_runtimes_live_side_by_side) {
  runtime a({.workers = 1}), b({.workers = 1});
  auto far = a.spawn(give, 5);
  const auto join = [](join_handle<int>& j) -> task<int> { co_return co_await j; };
  EXPECT_EQ(b.block_on(join(far)), 5);  // a job of b waits for one of a
}

// Two that wake each other through the LIFO slot do not keep a third from running.
task<> ping_pong(std::atomic<bool>& stop) {
  while (!stop) {
    auto h = spawn(give, 1);
    const int one = co_await h;
    static_cast<void>(one);
  }
}
TEST(runtime, two_ping_pongers_do_not_starve_a_third) {
  runtime rt({.workers = 1});
  std::atomic<bool> stop{false};
  auto a = rt.spawn(ping_pong, std::ref(stop));
  auto b = rt.spawn(ping_pong, std::ref(stop));
  EXPECT_EQ(rt.block_on(give(3)), 3);  // from outside, through the injector
  stop = true;
  const auto both = [](join_handle<void>& x, join_handle<void>& y) -> task<> {
    co_await x;
    co_await y;
  };
  rt.block_on(both(a, b));
}

// A job that gives way when nobody else is ready goes straight on, but not for ever.
task<> yield_until(std::atomic<bool>& done) {
  while (!done) co_await yield_now();
}
TEST(runtime, who_yields_alone_still_lets_timers_and_the_outside_in) {
  runtime rt({.workers = 1});
  std::atomic<bool> done{false};
  auto yields = rt.spawn(yield_until, std::ref(done));
  const auto wait = [](std::atomic<bool>& set) -> task<> {
    co_await sleep_for(1ms);
    set = true;
  };
  rt.spawn(wait, std::ref(done)).detach();  // from outside; then a timer
  const auto join = [](join_handle<void>& j) -> task<> { co_await j; };
  rt.block_on(join(yields));
  EXPECT_GT(rt.metrics().turns, 10u);  // each yield is a turn
}
task<> take_turns(std::string& order, char name) {
  for (int i = 0; i < 200; ++i) {  // more than the turns between two looks around
    order += name;
    co_await yield_now();
  }
}
TEST(runtime, two_that_yield_take_turns) {
  virtual_runtime rt;
  std::string order;
  const auto both = [](std::string& to) -> task<> {
    auto a = spawn(take_turns, std::ref(to), 'a');
    auto b = spawn(take_turns, std::ref(to), 'b');
    co_await a;
    co_await b;
  };
  rt.block_on(both(order));
  ASSERT_EQ(order.size(), 400u);
  for (std::size_t i = 0; i < order.size(); i += 2) {
    EXPECT_NE(order[i], order[i + 1]) << "at " << i;
  }
}

// Who joins several children is resumed after the last of them, not between any two.
task<> note(std::string& order, char name) {
  order += name;
  co_return;
}
task<> note_and_spawn(std::string& order, char name, int strangers) {
  order += name;
  for (int i = 0; i < strangers; ++i) spawn(note, std::ref(order), 'x').detach();
  co_return;
}
task<> join_children(std::string& order, int children, int strangers) {
  std::vector<join_handle<void>> joined;
  for (int i = 0; i < children; ++i) {
    joined.push_back(spawn(note_and_spawn, std::ref(order), 'c', i == 0 ? strangers : 0));
  }
  for (auto& j : joined) {
    co_await j;
    order += 'P';
  }
  co_await yield_now();
  co_await yield_now();
}
std::string order_of(int children, int strangers) {
  virtual_runtime rt;
  std::string order;
  const auto run = [](std::string& to, int c, int s) -> task<> {
    auto h = spawn(join_children, std::ref(to), c, s);
    co_await h;
  };
  rt.block_on(run(order, children, strangers));
  return order;
}
TEST(runtime, who_joins_children_goes_on_after_the_last_of_them) {
  EXPECT_EQ(order_of(1, 0), "cP");
  EXPECT_EQ(order_of(4, 0), "ccccPPPP");
  EXPECT_EQ(order_of(2, 2), "ccPPxx") << "jobs of others are not waited for";
  EXPECT_EQ(order_of(1, 2), "cPxx");
  EXPECT_EQ(order_of(300, 0).size(), 600u);  // more than a birth's number can tell
}

task<result<void>> main_with_error() { co_return std::unexpected(make_error_code(errc::closed)); }
task<> main_with_exception() { co_await fail(); }

TEST(run, gives_the_exit_code) {
  EXPECT_EQ(run(give(3), {.workers = 1}), 3);
  ::testing::internal::CaptureStderr();
  EXPECT_EQ(run(main_with_error(), {.workers = 1}), 1);
  EXPECT_EQ(run(main_with_exception(), {.workers = 1}), 1);
  const std::string said = ::testing::internal::GetCapturedStderr();
  EXPECT_NE(said.find("closed"), std::string::npos) << said;
  EXPECT_NE(said.find("planned"), std::string::npos) << said;
}

}  // namespace
}  // namespace weft
