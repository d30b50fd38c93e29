// scheduling::current_thread: whoever is in block_on() is the worker.
#include <gtest/gtest.h>

#include <atomic>
#include <string>
#include <thread>

#include "weft/os/thread.hpp"
#include "weft/runtime/block_on.hpp"
#include "weft/runtime/driven_test_support.hpp"
#include "weft/task/shield_scope.hpp"
#include "weft/testing/virtual_time.hpp"
#include "weft/together/catch_stop.hpp"

namespace weft {
namespace {

using namespace test;
using testing::virtual_runtime;

constexpr runtime_options here{.mode = scheduling::current_thread};
class current_thread_on : public net::test::on_each_driver {};

task<> few_turns() {
  for (int i = 0; i < 10; ++i) co_await yield_now();
}

task<std::thread::id> who_runs_me() {
  co_await yield_now();
  auto beside = spawn([] { return std::this_thread::get_id(); });
  const auto id = co_await beside;
  co_return id == std::this_thread::get_id() ? id : std::thread::id();
}

TEST(current_thread, jobs_run_on_the_thread_in_block_on) {
  runtime rt(here);
  EXPECT_EQ(rt.block_on(who_runs_me()), std::this_thread::get_id());
  std::thread::id other;
  std::thread([&] { other = rt.block_on(who_runs_me()); }).join();
  EXPECT_NE(other, std::thread::id());
  EXPECT_NE(other, std::this_thread::get_id());
}

TEST(current_thread, no_thread_is_started) {
  const long before = threads_alive();
  const long counted = live_census().threads;
  const auto count = []() -> task<long> {
    const long sum = co_await spawn_and_join(10);
    co_return sum == 45 ? threads_alive() : -1;
  };
  {
    runtime rt(here);
    EXPECT_EQ(threads_alive(), before);
    EXPECT_EQ(rt.block_on(count()), before);
    EXPECT_EQ(live_census().threads, counted);
  }
  EXPECT_EQ(threads_alive(), before);
}

TEST(current_thread, gives_the_value_and_rethrows) {
  runtime rt(here);
  EXPECT_EQ(rt.block_on(give(7)), 7);
  EXPECT_THROW(rt.block_on(fail()), std::runtime_error);
  EXPECT_EQ(rt.block_on(spawn_and_join(1000)), 499500);  // more than the run queue holds
  EXPECT_EQ(rt.block_on(fib(12)), 144);
}

TEST(current_thread, what_was_spawned_stands_still_while_nobody_is_in_block_on) {
  std::atomic<int> turns{0};  // outlives the job, which has a turn when the runtime ends
  runtime rt(here);
  auto h = rt.spawn([&]() -> task<> {
    for (;;) {
      ++turns;
      co_await yield_now();
    }
  });
  EXPECT_EQ(turns, 0);
  rt.block_on(few_turns());
  const int then = turns;
  EXPECT_GE(then, 9);
  EXPECT_EQ(rt.metrics().jobs_alive, 1u);
  EXPECT_EQ(turns, then);
  rt.block_on(few_turns());
  EXPECT_GT(turns, then);
}

TEST(current_thread, the_thread_is_after_block_on_what_it_was_before) {
  runtime rt(here);
  const std::int64_t slack = os::timer_slack();
  const auto inside = []() -> task<std::int64_t> {
    EXPECT_NE(this_task::id(), 0u);
    co_return os::timer_slack();
  };
  EXPECT_LE(rt.block_on(inside()), 10'000);
  EXPECT_EQ(os::timer_slack(), slack);
  EXPECT_EQ(this_task::id(), 0u);
  EXPECT_EQ(weft::block_on(give(3)), 3);  // would be refused on a worker
  runtime other(here);
  EXPECT_EQ(other.block_on(give(4)), 4);
}

// A runtime that ends in a job of another one is driven there, and the job goes on afterwards.
TEST(current_thread, ends_inside_a_job_of_another_runtime) {
  runtime outer(here);
  const auto ends_another = []() -> task<bool> {
    const auto me = this_task::id();
    {
      runtime inner(here);
      inner.spawn(turn_for_ever).detach();
      inner.spawn(sleep_long).detach();
    }
    co_await sleep_for(1ms);
    co_return this_task::id() == me;
  };
  EXPECT_TRUE(outer.block_on(ends_another()));
}

TEST(current_thread, run_takes_it) { EXPECT_EQ(run(give(3), here), 3); }

TEST(current_thread, has_one_worker_and_refuses_more) {
  EXPECT_EQ(runtime({.workers = 1, .mode = scheduling::current_thread}).metrics().workers, 1u);
  try {
    runtime rt({.workers = 2, .mode = scheduling::current_thread});
    FAIL() << "two workers were taken";
  } catch (const error& e) {
    EXPECT_EQ(e.code(), std::errc::invalid_argument);
    EXPECT_NE(std::string(e.what()).find("runtime_options::workers"), std::string::npos)
        << e.what();
  }
}

TEST(current_thread, works_on_virtual_time) {
  virtual_runtime rt({.mode = scheduling::current_thread});
  EXPECT_EQ(rt.block_on(sleepers()), (std::vector<int>{1, 2, 3}));
  EXPECT_EQ(rt.elapsed(), 30ms);
  rt.block_on(sleep_long());
  EXPECT_EQ(rt.elapsed(), 1h + 30ms);
  EXPECT_TRUE(rt.block_on(on_the_pool()));
  EXPECT_EQ(rt.elapsed(), 1h + 30ms);
}

task<> sleeps_at_its_end(int& log) {
  const auto ended = co_await catch_stop(sleep_long());
  const shield_scope to_the_end;
  co_await sleep_for(1min);
  log = ended ? 1 : 2;
}
TEST(current_thread, the_destructor_drives_what_takes_virtual_time_to_end) {
  int log = 0;
  {
    virtual_runtime rt({.mode = scheduling::current_thread});
    rt.spawn(sleeps_at_its_end, std::ref(log)).detach();
    rt.block_on(sleepers());
  }
  EXPECT_EQ(log, 2);
}

TEST_P(current_thread_on, does_what_every_runtime_does) {
  runtime rt({.mode = scheduling::current_thread, .io = GetParam()});
  EXPECT_EQ(rt.block_on(echo(50)), 50);
  EXPECT_EQ(rt.block_on(sleepers()), (std::vector<int>{1, 2, 3}));
  EXPECT_TRUE(rt.block_on(on_the_pool()));
  const auto m = rt.metrics();
  EXPECT_EQ(m.workers, 1u);
  EXPECT_EQ(m.jobs_alive, 0u);
  EXPECT_EQ(m.timers_armed, 0u);
  EXPECT_GE(m.timers_fired, 3u);
  EXPECT_GE(m.parks, 1u);
}

// The driver is left with operations in flight, by a thread that ends, and another one goes on.
TEST_P(current_thread_on, is_left_with_io_in_flight_and_taken_up_by_another_thread) {
  runtime rt({.mode = scheduling::current_thread, .io = GetParam()});
  net::endpoint at;
  std::atomic<bool> listens{false};
  auto server = rt.spawn([&]() -> task<bool> {
    auto listener = net::tcp_listener::bind(net::test::loopback);
    at = *listener->local_endpoint();
    listens = true;
    auto stream = co_await listener->accept();
    std::array<std::byte, 5> got;
    const auto n = co_await stream->read_exact(got);
    co_return n.has_value() && net::test::text_of(got) == "hello";
  });
  std::thread([&] {
    const auto until_it_listens = [&]() -> task<> {
      while (!listens) co_await yield_now();
      co_await sleep_for(1ms);  // the accept is with the kernel
    };
    rt.block_on(until_it_listens());
  }).join();
  net::tcp_stream client;
  std::thread([&] {
    const auto connect = [&]() -> task<> { client = *co_await net::tcp_stream::connect(at); };
    rt.block_on(connect());
  }).join();
  const auto send = [&]() -> task<bool> {
    const auto sent = co_await client.write_all(net::test::bytes_of("hello"));
    const bool came = co_await server;
    client = net::tcp_stream();
    co_return (came && sent.has_value());
  };
  EXPECT_TRUE(rt.block_on(send()));
}

/// Ends a moment when the runtime's worker has gone to sleep.
std::thread end_when_asleep(runtime& rt, moment& m, std::uint64_t parks_before) {
  return std::thread([&rt, &m, parks_before] {
    m.waits.wait(false);
    while (rt.metrics().parks == parks_before) std::this_thread::yield();
    m.happen();
  });
}

TEST_P(current_thread_on, a_foreign_thread_wakes_whoever_drives) {
  runtime rt({.mode = scheduling::current_thread, .io = GetParam()});
  for (int round = 0; round < 50; ++round) {
    moment m;
    std::thread foreign = end_when_asleep(rt, m, rt.metrics().parks);  // asleep on its futex
    EXPECT_EQ(rt.block_on(wait_for(m)), std::this_thread::get_id());
    foreign.join();
  }
  auto listening = rt.spawn([]() -> task<> {
    auto listener = net::tcp_listener::bind(net::test::loopback);
    auto nobody = co_await listener->accept();
    static_cast<void>(nobody);
  });
  rt.block_on(few_turns());
  for (int round = 0; round < 50; ++round) {
    moment m;
    std::thread foreign = end_when_asleep(rt, m, rt.metrics().parks);  // asleep in the driver
    rt.block_on(wait_for(m));
    foreign.join();
  }
}

TEST_P(current_thread_on, shutdown_stops_what_is_suspended) {
  runtime rt({.mode = scheduling::current_thread, .io = GetParam()});
  auto asleep = rt.spawn(sleep_long);
  auto turning = rt.spawn(turn_for_ever);
  auto accepting = rt.spawn([]() -> task<> {
    auto listener = net::tcp_listener::bind(net::test::loopback);
    auto nobody = co_await listener->accept();
    static_cast<void>(nobody);
  });
  rt.block_on(few_turns());
  EXPECT_TRUE(rt.shutdown(20s).has_value());
  EXPECT_TRUE(asleep.done() && turning.done() && accepting.done());
  auto late = rt.spawn(sleep_long);
  EXPECT_TRUE(rt.shutdown(20s).has_value());
  EXPECT_TRUE(late.done());
}

TEST_P(current_thread_on, the_destructor_ends_jobs_that_never_ran_that_run_and_that_wait) {
  std::atomic<int> begun{0};
  {
    runtime rt({.mode = scheduling::current_thread, .io = GetParam()});
    const auto turns = [&]() -> task<> {
      ++begun;
      for (;;) co_await yield_now();
    };
    rt.spawn(turns).detach();
    rt.spawn(sleep_long).detach();
    rt.block_on(echo(1));
    rt.spawn(turns).detach();
  }
  EXPECT_LE(begun, 2);
}

TEST(current_thread, shutdown_gives_up_after_its_grace_and_may_be_called_again) {
  runtime rt(here);
  moment m;
  auto stuck = rt.spawn(stuck_at, std::ref(m));
  rt.block_on(few_turns());
  ::testing::internal::CaptureStderr();
  EXPECT_FALSE(rt.shutdown(1ms).has_value());
  EXPECT_FALSE(rt.shutdown(0ms).has_value());
  const std::string said = ::testing::internal::GetCapturedStderr();
  EXPECT_NE(said.find("'stuck'"), std::string::npos) << said;
  m.happen();
  EXPECT_TRUE(rt.shutdown(20s).has_value());
}

TEST(current_thread, shutdown_gives_up_although_there_is_always_a_job_to_run) {
  runtime rt(here);
  bool enough = false;
  auto busy = rt.spawn([&]() -> task<> {
    const shield_scope from_the_stop;
    while (!enough) co_await yield_now();
  });
  rt.block_on(few_turns());
  ::testing::internal::CaptureStderr();
  EXPECT_FALSE(rt.shutdown(1ms).has_value());
  ::testing::internal::GetCapturedStderr();
  enough = true;
  EXPECT_TRUE(rt.shutdown(20s).has_value());
}

// --- Several threads

TEST(current_thread, whoever_waits_takes_over_when_the_driver_leaves) {
  runtime rt(here);
  for (int round = 0; round < 50; ++round) {
    moment first, second;
    std::thread::id first_ran_on, second_ran_on;
    std::thread a([&] { first_ran_on = rt.block_on(wait_for(first)); });
    first.waits.wait(false);  // a drives
    std::thread b([&] { second_ran_on = rt.block_on(wait_for(second)); });
    second.waits.wait(false);  // its job was begun by a
    const auto of_a = a.get_id();
    const auto of_b = b.get_id();
    first.happen();
    a.join();
    EXPECT_EQ(first_ran_on, of_a);
    second.happen();  // nobody but b is there
    b.join();
    EXPECT_EQ(second_ran_on, of_b);
  }
}

TEST(current_thread, a_waiter_goes_when_the_driver_has_done_its_job) {
  runtime rt(here);
  moment driven, done;
  std::thread a([&] { rt.block_on(wait_for(driven)); });
  driven.waits.wait(false);
  const auto of_a = a.get_id();
  std::thread::id ran_on;
  std::thread b([&] { ran_on = rt.block_on(wait_for(done)); });
  done.waits.wait(false);
  done.happen();
  b.join();
  EXPECT_EQ(ran_on, of_a);
  EXPECT_EQ(rt.block_on(give(5)), 5);  // a still drives
  driven.happen();
  a.join();
}

TEST(current_thread, shutdown_waits_beside_a_driver_and_stops_its_job) {
  runtime rt(here);
  std::atomic<bool> in{false}, stopped{false};
  std::thread a([&] {
    const auto long_one = [&]() -> task<> {
      in = true;
      in.notify_all();
      co_await sleep_for(1h);
    };
    try {
      rt.block_on(long_one());
    } catch (const error& e) {
      stopped = e.code() == std::errc::operation_canceled;
    }
  });
  in.wait(false);
  EXPECT_TRUE(rt.shutdown(20s).has_value());
  a.join();
  EXPECT_TRUE(stopped);
}

TEST(current_thread, shutdown_beside_a_driver_that_is_held_up_gives_up_in_time) {
  runtime rt(here);
  std::atomic<bool> in{false}, release{false};
  std::thread a([&] {
    const auto blocks = [&]() -> task<> {
      in = true;
      in.notify_all();
      release.wait(false);
      co_return;
    };
    rt.block_on(blocks());
  });
  in.wait(false);
  ::testing::internal::CaptureStderr();
  EXPECT_FALSE(rt.shutdown(1ms).has_value());
  ::testing::internal::GetCapturedStderr();
  release = true;
  release.notify_all();
  a.join();
  EXPECT_TRUE(rt.shutdown(20s).has_value());
}

TEST(current_thread_death_test, block_on_in_a_job_is_refused) {
  const auto nested = [] {
    runtime rt(here);
    const auto inside = [&]() -> task<int> { co_return rt.block_on(give(1)); };
    rt.block_on(inside());
  };
  EXPECT_DEATH(nested(), "block_on was called on a worker");
}

TEST(current_thread_death_test, run_ready_is_for_guests) {
  EXPECT_DEATH(runtime(here).run_ready(), "run_ready.. is for scheduling::guest");
  EXPECT_DEATH(static_cast<void>(runtime(here).poll_handle()), "for scheduling::guest");
}

INSTANTIATE_TEST_SUITE_P(drivers, current_thread_on, net::test::all_drivers,
                         net::test::driver_name);

}  // namespace
}  // namespace weft
