// scheduling::guest: another loop drives, here one around poll().
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/epoll.h>

#include <atomic>
#include <string>
#include <thread>

#include "tests/support/seed.hpp"
#include "weft/base/rng.hpp"
#include "weft/os/fd.hpp"
#include "weft/runtime/block_on.hpp"
#include "weft/runtime/driven_test_support.hpp"

namespace weft {
namespace {

using namespace test;

constexpr runtime_options as_guest{.mode = scheduling::guest};
class guest_on : public net::test::on_each_driver {
 protected:
  runtime_options options() const { return {.mode = scheduling::guest, .io = GetParam()}; }
};

constexpr int patience_ms = 20'000;  // a bound for a test that has failed

bool readable(int fd, int timeout_ms) {
  pollfd p{.fd = fd, .events = POLLIN, .revents = 0};
  int n = 0;
  do {
    n = ::poll(&p, 1, timeout_ms);
  } while (n < 0 && errno == EINTR);
  return n == 1 && (p.revents & POLLIN) != 0;
}
bool readable(const runtime& rt, int timeout_ms = 0) {
  return readable(rt.poll_handle(), timeout_ms);
}

/// The host: never calls run_ready() unless the handle is readable. False: that was for too long.
template <class Done>
[[nodiscard]] bool serve_until(runtime& rt, Done done) {
  while (!done()) {
    if (!readable(rt, patience_ms)) return false;
    static_cast<void>(rt.run_ready());
  }
  return true;
}
/// Spawns it, serves until its end, and gives what came of it.
template <class F, class... A>
auto serve(runtime& rt, F f, A... args) {
  auto h = rt.spawn(f, args...);
  EXPECT_TRUE(serve_until(rt, [&] { return h.done(); }));
  return weft::block_on(h);
}
/// Until there is nothing to do.
void settle(runtime& rt) {
  while (readable(rt)) static_cast<void>(rt.run_ready());
}

TEST(guest, jobs_run_in_run_ready_and_nowhere_else) {
  const long before = threads_alive();
  const long counted = live_census().threads;
  {
    runtime rt(as_guest);
    EXPECT_EQ(threads_alive(), before);
    const auto who = []() -> task<std::thread::id> {
      co_await yield_now();
      co_return std::this_thread::get_id();
    };
    auto h = rt.spawn(who);
    EXPECT_FALSE(h.done());
    EXPECT_TRUE(readable(rt));
    EXPECT_FALSE(rt.run_ready());
    EXPECT_TRUE(h.done());
    EXPECT_EQ(weft::block_on(h), std::this_thread::get_id());
    EXPECT_EQ(threads_alive(), before);
    EXPECT_EQ(live_census().threads, counted);
    EXPECT_EQ(this_task::id(), 0u);
  }
}

TEST_P(guest_on, the_handle_is_readable_when_there_is_something_to_do_and_only_then) {
  runtime rt(options());
  settle(rt);
  for (int i = 0; i < 100; ++i) {
    EXPECT_FALSE(readable(rt));
    auto h = rt.spawn(give, i);
    EXPECT_TRUE(readable(rt));
    EXPECT_TRUE(readable(rt));  // it is a level, and stays until somebody comes
    EXPECT_FALSE(rt.run_ready());
    EXPECT_TRUE(h.done());
    EXPECT_EQ(weft::block_on(h), i);
  }
}

TEST_P(guest_on, does_what_every_runtime_does) {
  runtime rt(options());
  EXPECT_EQ(serve(rt, echo, 50), 50);
  EXPECT_EQ(serve(rt, sleepers), (std::vector<int>{1, 2, 3}));
  EXPECT_TRUE(serve(rt, on_the_pool));
  EXPECT_EQ(serve(rt, spawn_and_join, 1000), 499500);
  EXPECT_EQ(serve(rt, fib, 12), 144);
  EXPECT_THROW(serve(rt, fail), std::runtime_error);
  const auto m = rt.metrics();
  EXPECT_EQ(m.workers, 1u);
  EXPECT_EQ(m.jobs_alive, 0u);
  EXPECT_GE(m.timers_fired, 3u);
  EXPECT_GE(m.parks, 3u);
  settle(rt);
  EXPECT_FALSE(readable(rt));
}

TEST_P(guest_on, serves_a_host_that_polls_with_an_epoll_of_its_own) {
  runtime rt(options());
  const os::fd host(::epoll_create1(EPOLL_CLOEXEC));
  epoll_event e{};
  e.events = EPOLLIN | EPOLLET;  // even that: run_ready() says when the host must come again
  ASSERT_EQ(::epoll_ctl(host.get(), EPOLL_CTL_ADD, rt.poll_handle(), &e), 0);
  auto h = rt.spawn(echo, 20);
  while (!h.done()) {
    ASSERT_TRUE(readable(host.get(), patience_ms));
    ASSERT_GE(::epoll_wait(host.get(), &e, 1, 0), 0);
    while (rt.run_ready()) {
    }
  }
  EXPECT_EQ(weft::block_on(h), 20);
}

TEST(guest, timers_make_the_handle_readable_when_they_are_due_and_not_before) {
  runtime rt(as_guest);
  settle(rt);
  EXPECT_FALSE(rt.next_deadline().has_value());
  const auto before = std::chrono::steady_clock::now();
  const auto sleeps = []() -> task<> { co_await sleep_for(20ms); };
  auto h = rt.spawn(sleeps);
  EXPECT_FALSE(rt.run_ready());
  const auto due = rt.next_deadline();
  ASSERT_TRUE(due.has_value());
  EXPECT_GE(*due, before + 20ms);
  EXPECT_TRUE(readable(rt, patience_ms));
  EXPECT_GE(std::chrono::steady_clock::now(), *due);
  EXPECT_FALSE(rt.run_ready());
  EXPECT_TRUE(h.done());
  EXPECT_FALSE(rt.next_deadline().has_value());
  EXPECT_FALSE(readable(rt));
}

task<> sleeps_on(int times) {
  for (int i = 0; i < times; ++i) co_await sleep_for(8ms);
}
// Its timers are not put off to share a wake with others, as a worker with a thread does.
TEST(guest, a_host_with_a_clock_of_its_own_never_finds_a_timer_overdue) {
  runtime rt(as_guest);
  auto one = rt.spawn(sleeps_on, 12);
  const auto later = std::chrono::steady_clock::now() + 100us;
  while (std::chrono::steady_clock::now() < later) {
  }
  while (rt.run_ready()) {
  }
  auto two = rt.spawn(sleeps_on, 12);
  while (!one.done() || !two.done()) {
    const auto before = std::chrono::steady_clock::now();
    if (rt.run_ready()) continue;
    if (const auto due = rt.next_deadline()) {
      ASSERT_GT(*due, before);
      std::this_thread::sleep_until(*due);
    }
  }
}

TEST(guest, run_ready_runs_no_more_turns_than_it_is_told) {
  runtime rt(as_guest);
  auto h = rt.spawn(turn_for_ever);
  for (unsigned most : {1u, 5u, 100u}) {
    const auto before = rt.metrics().turns;
    EXPECT_TRUE(rt.run_ready(most));
    EXPECT_LE(rt.metrics().turns, before + most);
    EXPECT_GE(rt.metrics().turns + 1, before + most);  // a look may count as one
    EXPECT_TRUE(readable(rt));                         // for a host that goes by the handle alone
  }
  const auto before = rt.metrics().turns;
  EXPECT_TRUE(rt.run_ready(0));
  EXPECT_EQ(rt.metrics().turns, before);
  h.stop();
  EXPECT_TRUE(serve_until(rt, [&] { return h.done(); }));
}

// The handle's own promise: a host that sleeps in poll() is woken by everything, whenever it comes.
TEST_P(guest_on, a_wake_from_another_thread_ends_the_hosts_poll) {
  runtime rt(options());
  rng random(test_support::seed());
  for (int round = 0; round < 300; ++round) {
    moment m;
    auto h = rt.spawn(wait_for, std::ref(m));
    const std::uint64_t pause = random.below(2000);
    std::thread foreign([&m, pause] {
      m.waits.wait(false);
      for (std::uint64_t i = 0; i < pause; ++i) cpu_pause();
      m.happen();  // while the host runs the job, or comes to rest, or polls
    });
    ASSERT_TRUE(serve_until(rt, [&] { return h.done(); })) << "a wake was lost";
    foreign.join();
    EXPECT_EQ(weft::block_on(h), std::this_thread::get_id());
  }
}

TEST_P(guest_on, jobs_from_other_threads_wake_the_host_each_time) {
  runtime rt(options());
  constexpr int each = 500;
  std::atomic<int> left{2};
  const auto client = [&] {
    for (int i = 0; i < each; ++i) {
      auto h = rt.spawn(give, i);
      EXPECT_EQ(weft::block_on(h), i);  // a foreign thread waits for a job of a guest
    }
    --left;
    rt.spawn(give, 0).detach();  // so that the host looks
  };
  std::thread a(client), b(client);
  EXPECT_TRUE(serve_until(rt, [&] { return left == 0; }));
  a.join();
  b.join();
  settle(rt);
  EXPECT_EQ(rt.metrics().jobs_spawned, 2u * each + 2);
}

TEST_P(guest_on, a_stop_from_another_thread_wakes_the_host) {
  runtime rt(options());
  for (int round = 0; round < 50; ++round) {
    auto sleeping = rt.spawn(sleep_long);
    auto accepting = rt.spawn([]() -> task<> {
      auto listener = net::tcp_listener::bind(net::test::loopback);
      auto nobody = co_await listener->accept();
      static_cast<void>(nobody);
    });
    settle(rt);
    std::thread foreign([&] {
      sleeping.stop();
      accepting.stop();
    });
    EXPECT_TRUE(serve_until(rt, [&] { return sleeping.done() && accepting.done(); }));
    foreign.join();
  }
}

TEST_P(guest_on, may_be_driven_by_one_thread_after_the_other) {
  runtime rt(options());
  auto h = rt.spawn(echo, 50);
  while (!h.done()) {
    ASSERT_TRUE(readable(rt, patience_ms));
    std::thread([&] { static_cast<void>(rt.run_ready(3)); }).join();  // and that thread's end
  }
  EXPECT_EQ(weft::block_on(h), 50);
}

TEST_P(guest_on, shutdown_stops_what_is_suspended_and_the_host_may_go_on) {
  runtime rt(options());
  auto asleep = rt.spawn(sleep_long);
  auto accepting = rt.spawn([]() -> task<> {
    auto listener = net::tcp_listener::bind(net::test::loopback);
    auto nobody = co_await listener->accept();
    static_cast<void>(nobody);
  });
  settle(rt);
  EXPECT_FALSE(asleep.done());
  EXPECT_TRUE(rt.shutdown(20s).has_value());
  EXPECT_TRUE(asleep.done() && accepting.done());
  auto late = rt.spawn(sleep_long);  // stopped as it is made
  EXPECT_TRUE(serve_until(rt, [&] { return late.done(); }));
}

TEST(guest, shutdown_that_gave_up_leaves_the_rest_to_the_host) {
  runtime rt(as_guest);
  moment m;
  auto stuck = rt.spawn(stuck_at, std::ref(m));
  settle(rt);
  ::testing::internal::CaptureStderr();
  EXPECT_FALSE(rt.shutdown(1ms).has_value());
  ::testing::internal::GetCapturedStderr();
  m.happen();
  EXPECT_TRUE(serve_until(rt, [&] { return stuck.done(); }));
  EXPECT_TRUE(rt.shutdown(20s).has_value());
}

TEST_P(guest_on, the_destructor_ends_jobs_that_never_ran_that_run_and_that_wait) {
  runtime rt(options());
  rt.spawn(sleep_long).detach();
  rt.spawn(turn_for_ever).detach();
  rt.spawn([]() -> task<> {
      auto listener = net::tcp_listener::bind(net::test::loopback);
      auto nobody = co_await listener->accept();
      static_cast<void>(nobody);
    }).detach();
  for (int i = 0; i < 10; ++i) EXPECT_TRUE(rt.run_ready(3));
  rt.spawn(turn_for_ever).detach();
}

TEST_P(guest_on, a_runtime_that_was_never_driven_ends) {
  runtime rt(options());
  rt.spawn(sleep_long).detach();
}

TEST(guest, has_one_worker_and_refuses_more) {
  EXPECT_THROW(runtime({.workers = 2, .mode = scheduling::guest}), error);
}

TEST(guest, is_refused_where_the_driver_has_no_descriptor) {
  try {
    runtime rt({.mode = scheduling::guest, .io = driver::poll});
    ADD_FAILURE() << "a host cannot wait for poll";
  } catch (const error& e) {
    EXPECT_EQ(e.code(), std::errc::not_supported);
    EXPECT_NE(std::string_view(e.what()).find("poll has no descriptor"), std::string_view::npos);
  }
}

TEST(guest_death_test, misuse_is_told) {
  const auto in_a_job = [] {
    runtime rt(as_guest);
    auto h = rt.spawn([&rt] { static_cast<void>(rt.run_ready()); });
    static_cast<void>(rt.run_ready());
  };
  EXPECT_DEATH(in_a_job(), "run_ready.. was called by a job");
  const auto by_two = [] {
    runtime rt(as_guest);
    auto h = rt.spawn([&rt] { std::thread([&rt] { static_cast<void>(rt.run_ready()); }).join(); });
    static_cast<void>(rt.run_ready());
  };
  EXPECT_DEATH(by_two(), "only one may");
  const auto blocks = [] {
    runtime rt(as_guest);
    rt.block_on(give(1));
  };
  EXPECT_DEATH(blocks(), "block_on was called on a guest");
  const auto never_ends = [] {
    runtime rt(as_guest);
    auto h = rt.spawn([&rt] { static_cast<void>(rt.shutdown(1s)); });
    static_cast<void>(rt.run_ready());
  };
  EXPECT_DEATH(never_ends(), "a job ends the runtime that it runs on");
}

INSTANTIATE_TEST_SUITE_P(drivers, guest_on, net::test::drivers_for_guests, net::test::driver_name);

}  // namespace
}  // namespace weft
