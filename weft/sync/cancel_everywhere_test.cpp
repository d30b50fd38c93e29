// Every primitive in one scenario, stopped at each of its awaits: before it begins, and while it
// waits. Afterwards nothing is locked, each permit is back, and nobody else is left waiting.
#include "weft/testing/cancel_everywhere.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <vector>

#include "weft/sync/barrier.hpp"
#include "weft/sync/condition_variable.hpp"
#include "weft/sync/event.hpp"
#include "weft/sync/latch.hpp"
#include "weft/sync/mutex.hpp"
#include "weft/sync/notify.hpp"
#include "weft/sync/once.hpp"
#include "weft/sync/rate_limiter.hpp"
#include "weft/sync/semaphore.hpp"
#include "weft/sync/shared_mutex.hpp"
#include "weft/sync/sync_test_support.hpp"

#if WEFT_CENSUS

namespace weft {
namespace {

using namespace test_support;
using std::chrono::milliseconds;

struct place {
  semaphore permits{3};
  mutex m;
  shared_mutex shared;
  condition_variable changed;
  event manual;
  event turn{event::auto_reset};
  notify news;
  once_cell<int> cell;
  barrier step{2};
  latch begun{2};
  rate_limiter calls{1000, 2};
  bool ready = false;
};

task<> holds_permits(place& p, std::size_t n) {
  co_await p.permits.acquire(n);
  const semaphore_guard held(p.permits, n);
  co_await sleep_for(milliseconds(2));
}
task<> locks(place& p) {
  const auto held = co_await p.m.lock();
  co_await sleep_for(milliseconds(2));
}
task<> reads(place& p) {
  const auto held = co_await p.shared.lock_shared();
  co_await sleep_for(milliseconds(2));
}
task<> writes(place& p) {
  const auto held = co_await p.shared.lock();
  co_await sleep_for(milliseconds(2));
}
task<> waits_for_change(place& p) {
  auto held = co_await p.m.lock();
  co_await p.changed.wait(held, [&p] { return p.ready; });
  co_await sleep_for(milliseconds(1));
}
task<> waits_for_events(place& p) {
  co_await p.manual.wait();
  co_await p.turn.wait();
  co_await p.news.wait();
}
task<> makes(place& p) {
  const int& made = co_await p.cell.get_or_init([]() -> task<int> {
    co_await sleep_for(milliseconds(2));
    co_return 7;
  });
  EXPECT_EQ(made, 7);
}
task<> arrives(place& p) {
  p.begun.count_down();
  co_await p.begun.wait();
  co_await p.step.arrive_and_wait();
}

task<> calls(place& p) { co_await p.calls.acquire(2); }
/// Behind those: who is stopped while another job gets in line would be stopped under that line's lock,
/// by the hook.
task<> calls_twice(place& p) {
  co_await sleep_for(milliseconds(1));
  co_await p.calls.acquire(2);
  co_await p.calls.acquire();
}

/// What is stopped: it takes its part in each, beside others, who must not be harmed.
task<> scenario(place& p) {
  co_await calls_twice(p);
  co_await holds_permits(p, 2);
  co_await locks(p);
  co_await reads(p);
  co_await writes(p);
  co_await waits_for_change(p);
  co_await waits_for_events(p);
  co_await makes(p);
  co_await arrives(p);
}

/// They contend for everything, and must all end, whatever happens to the scenario.
task<> others(place& p) {
  std::vector<join_handle<>> all;
  for (int i = 0; i < 3; ++i) all.push_back(spawn(calls, std::ref(p)));
  for (int i = 0; i < 2; ++i) {
    all.push_back(spawn(holds_permits, std::ref(p), std::size_t{2}));
    all.push_back(spawn(locks, std::ref(p)));
    all.push_back(spawn(reads, std::ref(p)));
    all.push_back(spawn(writes, std::ref(p)));
    all.push_back(spawn(waits_for_change, std::ref(p)));
    all.push_back(spawn(makes, std::ref(p)));
  }
  co_await sleep_for(milliseconds(20));
  {
    const auto held = co_await p.m.lock();
    p.ready = true;
  }
  p.changed.notify_all();
  p.manual.set();
  co_await sleep_for(milliseconds(5));
  p.turn.set();
  co_await sleep_for(milliseconds(5));
  p.news.notify_one();
  for (auto& one : all) co_await one;
}

task<> all_of_it() {
  place p;
  auto beside = spawn(others, std::ref(p));
  auto party = spawn(arrives, std::ref(p));
  const auto ended = co_await catch_stop(scenario(p));
  const shield_scope to_the_end;
  const auto others_ended = co_await beside.outcome();
  EXPECT_TRUE(others_ended.has_value());
  if (!ended) party.stop();  // nobody arrives beside it any more
  const auto party_ended = co_await party.outcome();
  EXPECT_TRUE(!ended || party_ended.has_value());
  EXPECT_EQ(p.permits.available(), 3u);
  EXPECT_FALSE(p.m.is_locked());
  EXPECT_TRUE(p.shared.try_lock());
  co_await sleep_for(milliseconds(2));
  EXPECT_EQ(p.calls.available(), 2u);
  EXPECT_TRUE(p.calls.try_acquire(2)) << "nobody is in line";
  if (!ended) co_return;
  EXPECT_FALSE(p.turn.is_set());
  EXPECT_TRUE(p.begun.try_wait());
}

TEST(sync, stopped_at_every_await_nothing_is_lost_and_nobody_is_left_waiting) {
  const auto seen = testing::cancel_everywhere(
      [](testing::virtual_runtime& rt) { return rt.spawn(all_of_it); }, [](bool) {});
  EXPECT_GT(seen.awaits, 30u);
  EXPECT_GT(seen.runs, 70u);
}

}  // namespace
}  // namespace weft

#endif
