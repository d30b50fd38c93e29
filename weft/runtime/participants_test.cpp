// A CPU quota that changes while the program runs: who takes part, and what becomes of what the others
// have. The tests know by events that something has happened, never by a while.
#include "weft/runtime/participants.hpp"

#include <gtest/gtest.h>

#include <barrier>
#include <chrono>
#include <latch>
#include <limits>
#include <memory>
#include <set>
#include <thread>
#include <vector>

#include "weft/net/tcp_test_support.hpp"
#include "weft/os/thread.hpp"
#include "weft/runtime/go.hpp"
#include "weft/runtime/quota_test_support.hpp"
#include "weft/runtime/time.hpp"
#include "weft/together/fork_join.hpp"

namespace weft {
namespace {

using namespace std::chrono_literals;
using detail::participants;
using test::grant;
using test::quota_world;

bool same(participants::change a, unsigned first, unsigned last) {
  return a.first == first && a.last == last;
}

TEST(participants, are_as_many_as_the_quota_grants_of_the_mask) {
  quota_world world(4, 3);
  const participants p({}, world);
  EXPECT_EQ(p.workers(), 4u);
  EXPECT_EQ(p.active(), 3u);
  EXPECT_FALSE(p.benched(2));
  EXPECT_TRUE(p.benched(3));
  quota_world none(4, 0);  // nonsense: one always takes part
  EXPECT_EQ(participants({}, none).active(), 1u);
  quota_world no_limit(4, UINT32_MAX);
  EXPECT_EQ(participants({}, no_limit).active(), 4u);
}

TEST(participants, far_more_than_the_quota_will_ever_grant_are_not_made) {
  const auto workers = [](unsigned cpus, unsigned granted) {
    quota_world world(cpus, granted);
    return participants({}, world).workers();
  };
  EXPECT_EQ(workers(200, 2), 8u);
  EXPECT_EQ(workers(200, 3), 12u);
  EXPECT_EQ(workers(200, 60), 200u);
  EXPECT_EQ(workers(200, 0), 8u);
}

TEST(participants, are_asked_for_once_a_second_and_tell_whose_part_changed) {
  quota_world world(8, 8);
  world.look_every_ns = 1'000'000'000;
  world.hold_time();
  const std::int64_t start = world.now_ns();
  participants p({}, world);
  EXPECT_EQ(world.asked, 1);
  world.granted = 2;
  EXPECT_TRUE(same(p.look(start + 999'999'999), 0, 0));
  EXPECT_EQ(world.asked, 1);
  EXPECT_EQ(p.active(), 8u);
  EXPECT_TRUE(same(p.look(start + 1'000'000'100), 2, 8));
  EXPECT_EQ(p.active(), 2u);
  world.granted = 5;
  EXPECT_TRUE(same(p.look(start + 2'000'000'099), 0, 0));
  EXPECT_TRUE(same(p.look(start + 2'000'000'100), 2, 5));
  EXPECT_TRUE(same(p.look(start + 3'500'000'000), 5, 5));
  EXPECT_EQ(world.asked, 4);
}

TEST(participants, a_number_of_the_programs_own_is_kept_to) {
  quota_world world(8, 1);
  const participants p({.workers = 3}, world);
  EXPECT_EQ(p.workers(), 3u);
  EXPECT_EQ(p.active(), 3u);
  runtime rt({.workers = 3}, world);
  rt.block_on(test::nothing());
  EXPECT_EQ(rt.metrics().workers_active, 3u);
  EXPECT_EQ(rt.metrics().workers_benched, 0u);
  EXPECT_EQ(world.asked, 0);
}

TEST(participants, one_worker_asks_nobody) {
  quota_world world(1, 1);
  runtime rt({}, world);
  rt.block_on(test::nothing());
  EXPECT_EQ(rt.metrics().workers, 1u);
  EXPECT_EQ(world.asked, 0);
}

class quota : public net::test::on_each_driver {
 protected:
  quota_world world{4, 4};
  runtime_options options() const { return {.io = GetParam()}; }
};
INSTANTIATE_TEST_SUITE_P(each, quota, net::test::all_drivers, net::test::driver_name);

task<> join(std::vector<join_handle<void>>& each) {
  for (auto& h : each) co_await h;
}
/// Runs f(i) on four workers at once: none begins before all four are there.
template <class F>
std::vector<join_handle<void>> on_four_workers(runtime& rt, std::barrier<>& all, F f) {
  std::vector<join_handle<void>> handles;
  for (int i = 0; i < 4; ++i) {
    handles.push_back(rt.spawn(
        [](std::barrier<>& meet, F body, int number) -> task<> {
          meet.arrive_and_wait();
          co_await body(number);
        },
        std::ref(all), f, i));
  }
  return handles;
}

struct ended_where {
  std::atomic<std::uint64_t> thread[4]{};
  bool all_in_one_place() const {
    for (const auto& t : thread) {
      if (t == 0 || t != thread[0]) return false;
    }
    return true;
  }
};

TEST_P(quota, timers_on_benched_workers_fire_and_their_jobs_run_where_work_goes_on) {
  runtime rt(options(), world);
  grant(world, rt, 4);
  world.hold_time();
  std::barrier<> all(4);
  std::latch armed(4);
  ended_where ended;
  auto handles = on_four_workers(rt, all, [&](int i) -> task<> {
    armed.count_down();
    co_await sleep_for(10ms);
    ended.thread[i] = os::current_thread_id();
  });
  armed.wait();
  grant(world, rt, 1);
  world.let_time_go();
  rt.block_on(join(handles));
  EXPECT_TRUE(ended.all_in_one_place());
  EXPECT_EQ(rt.metrics().workers_benched, 3u);
}

TEST_P(quota, io_on_benched_workers_completes_and_its_jobs_run_where_work_goes_on) {
  runtime rt(options(), world);
  grant(world, rt, 4);
  std::vector<net::test::connection> connections;
  for (int i = 0; i < 4; ++i) {
    auto c = rt.block_on(net::test::connected_pair());
    ASSERT_TRUE(c);
    connections.push_back(std::move(*c));
  }
  std::barrier<> all(4);
  std::latch reading(4);
  ended_where ended;
  auto handles = on_four_workers(rt, all, [&](int i) -> task<> {
    std::byte buffer[8];
    auto& from = connections[static_cast<std::size_t>(i)].server;
    reading.count_down();
    const auto n = co_await from.read_some(buffer);
    EXPECT_TRUE(n);
    ended.thread[i] = os::current_thread_id();
  });
  reading.wait();
  grant(world, rt, 1);
  const auto write_all = [&]() -> task<> {
    for (auto& c : connections) {
      const auto sent = co_await c.client.write_all(net::test::bytes_of("x"));
      EXPECT_TRUE(sent);
    }
  };
  rt.block_on(write_all());
  rt.block_on(join(handles));
  EXPECT_TRUE(ended.all_in_one_place());
  EXPECT_EQ(rt.metrics().workers_benched, 3u);
}

// The worker that is left always has something to run, so it never comes to take from the others: they
// must give.
TEST_P(quota, ready_jobs_and_branches_of_benched_workers_run_though_nobody_comes_for_them) {
  runtime rt(options(), world);
  grant(world, rt, 4);
  std::barrier<> all(4);
  constexpr int leaves = 300;  // of each job: more than a run queue holds
  constexpr int total = 4 * (leaves + 1);
  std::latch made(4), shrunk(1);
  std::atomic<int> ran{0};
  auto handles = on_four_workers(rt, all, [&](int) -> task<> {
    const auto leaf = [&ran]() -> task<> {
      co_await yield_now();
      ++ran;
    };
    for (int i = 0; i < leaves; ++i) spawn(leaf).detach();
    const auto wait = [&]() -> task<> {  // its sibling waits on the work deque meanwhile
      made.count_down();
      shrunk.wait();
      while (ran < total) co_await yield_now();
    };
    co_await fork_join(wait, leaf);
  });
  made.wait();
  world.granted = 1;
  shrunk.count_down();
  rt.block_on(join(handles));
  while (rt.metrics().jobs_alive != 0) std::this_thread::yield();
  EXPECT_EQ(ran, total);
  grant(world, rt, 1);
}

TEST_P(quota, workers_called_back_all_take_part_again) {
  runtime rt(options(), world);
  for (const unsigned shrunk : {1u, 3u, 2u}) {
    grant(world, rt, shrunk);
    grant(world, rt, 4);
    std::barrier<> all(4);
    std::atomic<int> ran{0};
    auto handles = on_four_workers(rt, all, [&](int) -> task<> {
      ++ran;
      co_return;
    });
    rt.block_on(join(handles));  // each of the four waited in its thread for the three others
    EXPECT_EQ(ran, 4);
  }
}

TEST_P(quota, a_runtime_that_starts_with_benched_workers_calls_them_when_it_may) {
  world.granted = 2;
  runtime rt(options(), world);
  grant(world, rt, 2);
  EXPECT_EQ(rt.metrics().workers, 4u);
  grant(world, rt, 4);
  std::barrier<> all(4);
  auto handles = on_four_workers(rt, all, [](int) -> task<> { co_return; });
  rt.block_on(join(handles));
}

TEST_P(quota, jobs_pinned_to_a_benched_worker_run_there_and_what_they_make_runs_elsewhere) {
  runtime rt(options(), world);
  grant(world, rt, 1);
  const auto where = [](unsigned home) -> task<bool> {
    co_await yield_now();
    co_await sleep_for(1ns);
    const bool stayed = this_task::worker() == home;
    auto made = spawn([] { return this_task::worker(); });
    const unsigned elsewhere = co_await made;
    co_return (stayed && this_task::worker() == home && elsewhere != home);
  };
  for (const auto p : {priority::high, priority::normal, priority::background}) {
    auto on_three = rt.spawn(spawn_options{.priority = p, .worker = 3}, where, 3u);
    const auto join = [](join_handle<bool>& h) -> task<bool> { co_return co_await h; };
    EXPECT_TRUE(rt.block_on(join(on_three)));
  }
  EXPECT_EQ(rt.metrics().workers_benched, 3u);
}

// What is pinned to a benched worker computes beside the quota, and keeps that worker for as long as it is stuck.
TEST_P(quota, fibers_begin_on_workers_that_take_part) {
  runtime rt(options(), world);
  grant(world, rt, 2);
  const auto where = [] { return this_task::worker(); };
  std::vector<join_handle<unsigned>> all;
  for (int i = 0; i < 8; ++i) all.push_back(rt.go(where));
  for (auto& one : all) EXPECT_LT(rt.block_on(one), 2u);
  const auto makes = [&]() -> task<unsigned> {  // of a benched worker's
    auto made = go(where);
    co_return co_await made;
  };
  for (int i = 0; i < 4; ++i) {
    auto on_three = rt.spawn(spawn_options{.worker = 3}, makes);
    EXPECT_LT(rt.block_on(on_three), 2u);
  }
}

TEST_P(quota, the_end_reaches_benched_workers_and_what_waits_on_them) {
  std::vector<net::test::connection> connections;
  runtime rt(options(), world);
  grant(world, rt, 4);
  for (int i = 0; i < 4; ++i) {
    auto c = rt.block_on(net::test::connected_pair());
    ASSERT_TRUE(c);
    connections.push_back(std::move(*c));
  }
  std::barrier<> all(4);
  std::latch waiting(8);
  auto handles = on_four_workers(rt, all, [&](int i) -> task<> {
    const auto sleeper = [&]() -> task<> {
      waiting.count_down();
      co_await sleep_for(1h);
    };
    auto beside = spawn(sleeper);
    std::byte buffer[8];
    auto& from = connections[static_cast<std::size_t>(i)].server;
    waiting.count_down();
    const auto n = co_await from.read_some(buffer);
    ADD_FAILURE() << "nothing was sent, and it ended with " << n.has_value();
    co_await beside;
  });
  waiting.wait();
  grant(world, rt, 1);
  EXPECT_TRUE(rt.shutdown(20s).has_value());
  EXPECT_EQ(rt.metrics().workers_benched, 3u);
  connections.clear();
}

/// Worker 1 is busy with a pinned job, beside which there always is one of high priority from outside;
/// worker 0 is held. At the `look`th look around worker 1 is benched. Result: whether what was ready had
/// its turn after that, though worker 1 was not called back.
bool all_goes_on_after_look(int look) {
  quota_world world(2, 2);
  world.hold_time();  // worker 1 looks around every 61st turn
  runtime rt({}, world);
  grant(world, rt, 2);
  std::atomic<bool> held{false}, release{false}, ready{false}, over{false};
  auto holder = rt.spawn(spawn_options{.worker = 0}, [&] {
    held = true;
    held.notify_all();
    release.wait(false);
  });
  held.wait(false);
  auto busy = rt.spawn(spawn_options{.worker = 1}, [&]() -> task<> {
    world.one_from_ask = world.asked + look;
    for (int turns = 0; turns < 12 * 61; ++turns) {
      if (!ready.exchange(true)) {
        std::thread([&] {
          rt.spawn(spawn_options{.priority = priority::high}, [&] { ready = false; }).detach();
        }).join();
      }
      co_await yield_now();
    }
    over = true;
    over.notify_all();
  });
  over.wait(false);
  while (rt.metrics().workers_benched == 0) std::this_thread::yield();
  release = true;
  release.notify_all();
  auto last = rt.spawn(spawn_options{.priority = priority::high}, test::nothing);
  const auto join_last = [](join_handle<>& h) -> task<> { co_await h; };
  rt.block_on(join_last(last));  // worker 0 runs what came from outside in order
  const bool all = !ready;
  world.one_from_ask = std::numeric_limits<int>::max();
  grant(world, rt, 2);
  rt.block_on(join_last(busy));
  rt.block_on(join_last(holder));
  return all;
}

// One look in eight comes on a turn that has found a job of high priority already.
TEST(quota_change, benches_no_worker_with_a_job_in_its_hands) {
  for (int look = 1; look <= 10; ++look) EXPECT_TRUE(all_goes_on_after_look(look)) << look;
}

TEST_P(quota, a_benched_worker_keeps_the_bounds_between_the_jobs_that_are_pinned_to_it) {
  runtime rt(options(), world);
  grant(world, rt, 1);
  std::atomic<bool> normal{false}, background{false};
  std::atomic<int> turns{0};
  const auto busy = [&]() -> task<int> {
    for (; turns < 1000 && !(normal && background); ++turns) co_await yield_now();
    co_return turns.load();
  };
  auto high = rt.spawn(spawn_options{.worker = 3}, [&]() -> task<int> {
    auto h = spawn(spawn_options{.priority = priority::high, .worker = 3}, busy);
    spawn(spawn_options{.worker = 3}, [&] { normal = true; }).detach();
    spawn(spawn_options{.priority = priority::background, .worker = 3}, [&] {
      background = true;
    }).detach();
    const int took = co_await h;
    co_return took;
  });
  const auto join = [](join_handle<int>& h) -> task<int> { co_return co_await h; };
  EXPECT_LE(rt.block_on(join(high)), 2 * 64);
  EXPECT_EQ(rt.metrics().workers_benched, 3u);
}

// Nobody has ever queued a job of background priority that thieves may take. Somebody searches when the
// branch is given away, so nobody is woken for it.
TEST_P(quota, a_branch_in_the_background_that_a_benched_worker_gives_away_is_found) {
  runtime rt(options(), world);
  world.hold_time();
  grant(world, rt, 3);
  const auto fork = [&]() -> task<> {
    const auto part = [&]() -> task<> {
      co_await yield_now();
      world.let_go();  // its sibling was given away meanwhile
    };
    co_await fork_join(part, part);
  };
  for (int i = 0; i < 20; ++i) {
    // Called by name, worker 0 wakes nobody else: it alone searches afterwards.
    auto on_zero = rt.spawn(spawn_options{.worker = 0}, [&] { world.stop_whoever_looks(); });
    while (!on_zero.done()) std::this_thread::yield();
    auto on_three = rt.spawn(spawn_options{.priority = priority::background, .worker = 3}, fork);
    for (int looks = 0; looks < 300'000 && !on_three.done(); ++looks) std::this_thread::yield();
    const bool found = on_three.done();
    if (!found) rt.block_on(test::nothing());  // whoever runs that finds it, and the test ends
    ASSERT_TRUE(found) << i;
  }
}

}  // namespace
}  // namespace weft
