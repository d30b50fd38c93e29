// select: who wins, that losers had no effect, fairness, stops.
#include "weft/together/select.hpp"

#include <gtest/gtest.h>

#include <array>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "tests/support/seed.hpp"
#include "weft/base/rng.hpp"
#include "weft/channel/mpmc.hpp"
#include "weft/channel/oneshot.hpp"
#include "weft/runtime/block_on.hpp"
#include "weft/runtime/runtime.hpp"
#include "weft/runtime/time.hpp"
#include "weft/sync/event.hpp"
#include "weft/sync/latch.hpp"
#include "weft/sync/mutex.hpp"
#include "weft/sync/notify.hpp"
#include "weft/sync/semaphore.hpp"
#include "weft/sync/shared_mutex.hpp"
#include "weft/task/shield_scope.hpp"
#include "weft/testing/cancel_everywhere.hpp"
#include "weft/testing/virtual_time.hpp"
#include "weft/together/catch_stop.hpp"
#include "weft/together/combinators.hpp"
#include "weft/together/join_set.hpp"
#include "weft/together/race.hpp"
#include "weft/together/shield.hpp"
#include "weft/together/timeout.hpp"

namespace weft {
namespace {

using namespace std::chrono_literals;

task<int> later(std::chrono::milliseconds d, int v) {
  co_await sleep_for(d);
  co_return v;
}
task<> notes(std::chrono::milliseconds d, bool& reached) {
  co_await sleep_for(d);
  reached = true;
}
task<int> fails_later(std::chrono::milliseconds d) {
  co_await sleep_for(d);
  throw std::runtime_error("it failed");
}

// ---- who wins

task<std::string> by_position() {
  auto ends = channel<int>(4);
  event never_set;
  const auto a = co_await select(ends.receiver.recv(), sleep_for(10ms), never_set.wait());
  const auto sent = ends.sender.try_send(7);
  const auto b = co_await select(sleep_for(10ms), ends.receiver.recv(), never_set.wait());
  const auto c = co_await select(sleep_for(30ms), sleep_for(10ms), sleep_for(20ms));
  const auto d = co_await select(sleep_for(1ms));
  const auto e = co_await select(later(2ms, 5), sleep_for(3ms));
  co_return std::to_string(a.index()) + std::to_string(b.index()) +
      std::to_string(*std::get<1>(b)) + std::to_string(c.index()) + std::to_string(d.index()) +
      std::to_string(std::get<0>(e)) + std::to_string(sent ? 1 : 0);
}
TEST(select, the_first_that_is_ready_wins) {
  testing::virtual_runtime rt;
  EXPECT_EQ(rt.block_on(by_position()), "1171051");
  EXPECT_EQ(rt.elapsed(), 23ms);
}

task<> wakes_all_sorts() {
  auto line = channel<int>(0);
  auto one = oneshot<int>();
  semaphore permits(0);
  notify changed;
  event turn(event::auto_reset);
  latch all(1);
  mutex m;
  shared_mutex sm;
  auto lock = m.try_lock();
  auto wlock = sm.try_lock();
  std::vector<std::size_t> won;
  const auto all_of_them = [&]() -> task<> {
    const auto w = co_await select(line.receiver.recv(), one.receiver.recv(), permits.acquire(),
                                   changed.wait(), turn.wait(), all.wait(), m.lock(),
                                   sm.lock_shared(), never());
    won.push_back(w.index());
  };
  const auto then_do = [&](auto f) -> task<> {
    auto waiting = spawn([&] { return all_of_them(); });
    co_await sleep_for(1ms);
    f();
    co_await waiting;
  };
  co_await then_do([&] { EXPECT_TRUE(line.sender.try_send(1)); });
  co_await then_do([&] { permits.release(); });
  co_await then_do([&] { changed.notify_one(); });
  co_await then_do([&] { changed.notify_all(); });
  co_await then_do([&] { turn.set(); });
  co_await then_do([&] { lock.unlock(); });
  lock = m.try_lock();
  EXPECT_TRUE(lock);  // the winner's guard went, and no loser has locked it
  co_await then_do([&] { wlock.unlock(); });
  wlock = sm.try_lock();
  EXPECT_TRUE(wlock);
  co_await then_do([&] { EXPECT_TRUE(one.sender.send(3)); });
  lock.unlock();
  const std::vector<std::size_t> expected{0, 2, 3, 3, 4, 6, 7, 1};
  EXPECT_EQ(won, expected);
  EXPECT_EQ(permits.available(), 0u);
  EXPECT_FALSE(turn.is_set());
  EXPECT_TRUE(m.try_lock());
}
TEST(select, every_kind_of_operation_can_win_and_lose) {
  testing::virtual_runtime rt;
  rt.block_on(wakes_all_sorts());
}

task<std::string> handles_and_sets() {
  auto slow = spawn(later, 20ms, 1);
  auto quick = spawn(later, 10ms, 2);
  const auto a = co_await select(slow, quick);
  const int again = co_await slow;  // it lost: its result is still there
  std::string said =
      std::to_string(a.index()) + std::to_string(std::get<1>(a)) + std::to_string(again);
  const auto body = [&said](join_set<int>& set) -> task<> {
    set.spawn(later, 10ms, 4);
    const auto b = co_await select(set.next(), sleep_for(5ms));
    const auto c = co_await select(set.next(), sleep_for(50ms));
    said += std::to_string(b.index()) + std::to_string(c.index());
    auto ended = std::get<0>(c);
    said += std::to_string(ended->value());
  };
  co_await with_join_set<int>(body);
  co_return said;
}
TEST(select, a_join_that_lost_has_not_taken_the_result) {
  testing::virtual_runtime rt;
  EXPECT_EQ(rt.block_on(handles_and_sets()), "121104");
  EXPECT_EQ(rt.elapsed(), 30ms);
}

task<std::string> sends() {
  auto a = channel<std::unique_ptr<int>>(1);
  auto b = channel<std::unique_ptr<int>>(1);
  EXPECT_TRUE(a.sender.try_send(std::make_unique<int>(0)));
  auto mine = std::make_unique<int>(1), yours = std::make_unique<int>(2);
  // One has room: that one is sent to. The other value stays where it is.
  const auto first = co_await select(a.sender.send_from(mine), b.sender.send_from(yours));
  EXPECT_TRUE(mine);
  EXPECT_FALSE(yours);
  // None has: the first place that is freed.
  auto waiting = spawn([&]() -> task<std::size_t> {
    auto third = std::make_unique<int>(3);
    const auto w = co_await select(a.sender.send_from(mine), b.sender.send_from(third));
    EXPECT_TRUE(mine);
    co_return w.index();
  });
  co_await sleep_for(1ms);
  const auto freed = b.receiver.try_recv();
  const auto second = co_await waiting;
  EXPECT_EQ(a.receiver.size(), 1u);
  EXPECT_EQ(b.receiver.size(), 1u);
  co_return std::to_string(first.index()) + std::to_string(second) + std::to_string(**freed);
}
TEST(select, a_send_that_lost_has_sent_nothing) {
  testing::virtual_runtime rt;
  EXPECT_EQ(rt.block_on(sends()), "112");
}

task<> losers_leave_their_lines() {
  auto ends = channel<int>(4);
  semaphore permits(0);
  const auto first = co_await select(ends.receiver.recv(), permits.acquire(), sleep_for(1ms));
  EXPECT_EQ(first.index(), 2u);
  EXPECT_TRUE(ends.sender.try_send(1));
  permits.release();
  EXPECT_EQ(ends.receiver.size(), 1u);
  EXPECT_EQ(permits.available(), 1u);
}
TEST(select, a_loser_no_longer_waits) {
  testing::virtual_runtime rt;
  rt.block_on(losers_leave_their_lines());
}

task<> same_instant() {
  // Both become ready before the job has run: what came second stays where it is.
  auto a = channel<int>(0);
  auto b = channel<int>(4);
  semaphore permits(0);
  auto waiting = spawn([&]() -> task<std::size_t> {
    const auto w = co_await select(a.receiver.recv(), permits.acquire(), b.receiver.recv());
    co_return w.index();
  });
  co_await sleep_for(1ms);
  permits.release();
  EXPECT_TRUE(b.sender.try_send(5));
  EXPECT_FALSE(a.sender.try_send(6));  // nobody waits for it any more
  EXPECT_EQ(b.receiver.size(), 1u);
  const auto index = co_await waiting;
  EXPECT_EQ(index, 1u);
  EXPECT_EQ(permits.available(), 0u);
  EXPECT_EQ(b.receiver.size(), 1u);
}
TEST(select, what_comes_after_the_decision_is_not_taken) {
  testing::virtual_runtime rt;
  rt.block_on(same_instant());
}

task<> one_behind_another() {
  // The front of the line is a select that was decided elsewhere: the next in line is served.
  notify changed;
  event go;
  auto selects = spawn([&]() -> task<std::size_t> {
    const auto w = co_await select(changed.wait(), go.wait());
    co_return w.index();
  });
  co_await sleep_for(1ms);
  bool notified = false;
  auto behind = spawn([&]() -> task<> {
    co_await changed.wait();
    notified = true;
  });
  co_await sleep_for(1ms);
  go.set();
  changed.notify_one();  // the select has not run yet, and stands in front
  const auto index = co_await selects;
  co_await behind;
  EXPECT_EQ(index, 1u);
  EXPECT_TRUE(notified);
}
TEST(select, who_stands_behind_a_decided_one_is_served) {
  testing::virtual_runtime rt;
  rt.block_on(one_behind_another());
}

task<std::string> rendezvous_of_two() {
  auto a = channel<int>(0);
  auto b = channel<int>(0);
  auto other = spawn([&]() -> task<int> {
    const auto w = co_await select(a.receiver.recv(), b.receiver.recv());
    co_return w.index() == 0 ? *std::get<0>(w) : 10 + *std::get<1>(w);
  });
  co_await sleep_for(1ms);
  const auto w = co_await select(a.sender.send(1), never());
  const int got = co_await other;
  co_return std::to_string(w.index()) + std::to_string(got);
}
TEST(select, two_selects_meet) {
  testing::virtual_runtime rt;
  EXPECT_EQ(rt.block_on(rendezvous_of_two()), "01");
}

task<std::size_t> with_itself() {
  auto a = channel<int>(0);
  const auto w = co_await select(a.sender.send(1), a.receiver.recv(), sleep_for(5ms));
  co_return w.index();
}
TEST(select, a_send_does_not_meet_a_receive_of_the_same_select) {
  testing::virtual_runtime rt;
  EXPECT_EQ(rt.block_on(with_itself()), 2u);
}

task<std::size_t> closes_meanwhile() {
  auto a = channel<int>(1);
  event never_set;
  auto closer = spawn([&]() -> task<> {
    co_await sleep_for(1ms);
    a.sender.close();
  });
  const auto w = co_await select(never_set.wait(), a.receiver.recv());
  EXPECT_FALSE(std::get<1>(w).has_value());
  co_await closer;
  co_return w.index();
}
TEST(select, closing_a_channel_is_something_that_happens) {
  testing::virtual_runtime rt;
  EXPECT_EQ(rt.block_on(closes_meanwhile()), 1u);
}

task<int> takes_turns() {
  auto a = unbounded<int>();
  auto b = unbounded<int>();
  int sum = 0;
  for (int i = 0; i < 1000; ++i) {  // more than there is budget for
    const auto sent = co_await select(a.sender.send(1), b.sender.send(1));
    const auto got = co_await select(a.receiver.recv(), b.receiver.recv());
    sum += sent.index() == got.index();
  }
  co_return sum;
}
TEST(select, goes_on_when_the_budget_is_spent) {
  testing::virtual_runtime rt;
  EXPECT_EQ(rt.block_on(takes_turns()), 1000);
  EXPECT_EQ(block_on(takes_turns()), 1000);
}

// ---- by chance, and in order

task<std::vector<int>> counts(int rounds, unsigned ready) {
  std::vector<int> won(4);
  std::vector<channel_ends<int>> c;
  for (int i = 0; i < 4; ++i) c.push_back(unbounded<int>());
  for (unsigned i = 0; i < 4; ++i) {
    for (int n = 0; (ready >> i & 1) != 0 && n < rounds; ++n) {
      EXPECT_TRUE(c[i].sender.try_send(n));
    }
  }
  for (int n = 0; n < rounds; ++n) {
    const auto w = co_await select(c[0].receiver.recv(), c[1].receiver.recv(), c[2].receiver.recv(),
                                   c[3].receiver.recv());
    ++won[w.index()];
  }
  co_return won;
}
double chi_square(const std::vector<int>& won, unsigned ready, int rounds) {
  double sum = 0;
  const double expected = static_cast<double>(rounds) / __builtin_popcount(ready);
  for (unsigned i = 0; i < won.size(); ++i) {
    if ((ready >> i & 1) == 0) {
      EXPECT_EQ(won[i], 0);
      continue;
    }
    sum += (won[i] - expected) * (won[i] - expected) / expected;
  }
  return sum;
}
TEST(select, takes_each_that_is_ready_as_often_as_the_others) {
  constexpr int rounds = 20'000;
  for (const auto& [ready, limit] : {std::pair{0b1111u, 21.1}, {0b1101u, 18.4}, {0b1001u, 15.1}}) {
    // On the thread's own generator: the limits are those of one in ten thousand.
    const auto won = block_on([&]() -> task<std::vector<int>> {
      detail::seed_select_random(test_support::seed());
      co_return co_await counts(rounds, ready);
    }());
    EXPECT_LT(chi_square(won, ready, rounds), limit) << ready;
  }
}

task<std::string> in_order() {
  auto a = unbounded<int>();
  auto b = unbounded<int>();
  std::string said;
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(a.sender.try_send(i));
  for (int i = 0; i < 2; ++i) EXPECT_TRUE(b.sender.try_send(i));
  for (int i = 0; i < 5; ++i) {
    const auto w = co_await select_biased(b.receiver.recv(), a.receiver.recv());
    said += std::to_string(w.index());
  }
  co_return said;
}
TEST(select, biased_takes_the_first_that_is_ready) { EXPECT_EQ(block_on(in_order()), "00111"); }

// ---- errors, tasks, nesting

task<std::string> throws(bool at_once) {
  bool reached = false;
  std::string said = "none";
  try {
    if (at_once) {
      auto failed = spawn([]() -> task<int> {
        throw std::runtime_error("it failed");
        co_return 0;
      });
      co_await sleep_for(1ms);
      static_cast<void>(co_await select_biased(failed, notes(5ms, reached)));
    } else {
      static_cast<void>(co_await select(notes(20ms, reached), fails_later(10ms)));
    }
  } catch (const std::runtime_error& e) {
    said = e.what();
  }
  co_return said + std::to_string(reached);
}
TEST(select, an_exception_wins_too_and_the_others_are_withdrawn) {
  testing::virtual_runtime rt;
  EXPECT_EQ(rt.block_on(throws(false)), "it failed0");
  EXPECT_EQ(rt.block_on(throws(true)), "it failed0");
}

task<> losing_tasks(bool& ended) {
  event go;
  const auto won = co_await select(sleep_for(10ms), shield(notes(30ms, ended)), go.wait());
  EXPECT_EQ(won.index(), 0u);
  EXPECT_TRUE(ended);
}
TEST(select, the_ends_of_tasks_that_lose_are_awaited) {
  testing::virtual_runtime rt;
  bool ended = false;
  rt.block_on(losing_tasks(ended));
  EXPECT_EQ(rt.elapsed(), 30ms);
}

task<std::string> nested() {
  event inner;
  auto setter = spawn([&]() -> task<> {
    co_await sleep_for(5ms);
    inner.set();
  });
  const auto a = co_await select(select(inner.wait(), sleep_for(20ms)), sleep_for(30ms));
  const auto b = co_await select(timeout(5ms, never()), race(later(9ms, 1), later(8ms, 2)));
  const auto c = co_await timeout(5ms, select(never(), sleep_for(9ms)));
  co_await setter;
  co_return std::to_string(a.index()) + std::to_string(std::get<0>(a).index()) +
      std::to_string(b.index()) + std::to_string(c.has_value());
}
TEST(select, nests_and_stands_beside_the_others) {
  testing::virtual_runtime rt;
  EXPECT_EQ(rt.block_on(nested()), "0000");
}

// ---- stops

task<> stopped_while_it_waits() {
  auto ends = channel<int>(1);
  semaphore permits(0);
  bool reached = false;
  const auto got = co_await timeout(
      5ms, select(ends.receiver.recv(), permits.acquire(), never(), notes(9ms, reached)));
  EXPECT_FALSE(got);
  EXPECT_FALSE(reached);
  EXPECT_TRUE(ends.sender.try_send(1));
  permits.release();
  EXPECT_EQ(ends.receiver.size(), 1u);
  EXPECT_EQ(permits.available(), 1u);
}
TEST(select, a_stop_takes_all_operands_back) {
  testing::virtual_runtime rt;
  rt.block_on(stopped_while_it_waits());
  EXPECT_EQ(rt.elapsed(), 5ms);
}

task<> stopped_before() {
  auto ends = channel<int>(1);
  EXPECT_TRUE(ends.sender.try_send(1));
  auto selects = spawn([&]() -> task<> {
    {
      const shield_scope still;
      co_await sleep_for(2ms);
    }
    static_cast<void>(co_await select(ends.receiver.recv(), never()));
  });
  co_await sleep_for(1ms);
  selects.stop();
  const auto end = co_await selects.outcome();
  EXPECT_TRUE(end.stopped());
  EXPECT_EQ(ends.receiver.size(), 1u);
}
TEST(select, a_job_that_was_stopped_before_takes_nothing) {
  testing::virtual_runtime rt;
  rt.block_on(stopped_before());
}

task<> decided_then_stopped() {
  semaphore permits(0);
  bool went_on = false;
  auto selects = spawn([&]() -> task<> {
    const auto w = co_await select(permits.acquire(), never());
    EXPECT_EQ(w.index(), 0u);
    went_on = true;
  });
  co_await sleep_for(1ms);
  permits.release();
  selects.stop();  // it has the permit already
  co_await selects;
  EXPECT_TRUE(went_on);
}
TEST(select, what_had_happened_is_not_reported_as_stopped) {
  testing::virtual_runtime rt;
  rt.block_on(decided_then_stopped());
}

#if WEFT_CENSUS

struct books {
  int made = 0, received = 0, kept = 0, in_line = 0;
  std::size_t permits = 0;
  int taken = 0;
};

task<> producer(sender<std::unique_ptr<int>> to, books& b, std::unique_ptr<int>& mine) {
  for (int i = 0; i < 3; ++i) {
    mine = std::make_unique<int>(i);
    ++b.made;
    const auto status = co_await to.send_from(mine);
    if (status != send_status::sent) co_return;
    co_await sleep_for(1ms);
  }
}
task<> consumer(receiver<std::unique_ptr<int>> x, receiver<std::unique_ptr<int>> y, semaphore& s,
                books& b) {
  for (int i = 0; i < 8; ++i) {
    auto w = co_await select(x.recv(), y.recv(), s.acquire(), sleep_for(1500us), later(3ms, 1));
    if (w.index() == 0) b.received += std::get<0>(w).has_value();
    if (w.index() == 1) b.received += std::get<1>(w).has_value();
    if (w.index() == 2) ++b.taken;
  }
}
task<> pipeline(books& b, std::size_t capacity) {
  b = books();
  auto x = channel<std::unique_ptr<int>>(capacity);
  auto y = channel<std::unique_ptr<int>>(capacity);
  semaphore permits(0);
  std::unique_ptr<int> left_x, left_y;
  auto first = spawn(producer, x.sender, std::ref(b), std::ref(left_x));
  auto second = spawn(producer, y.sender, std::ref(b), std::ref(left_y));
  auto third = spawn([&]() -> task<> {
    for (int i = 0; i < 2; ++i) {
      co_await sleep_for(700us);
      permits.release();
      ++b.permits;
    }
  });
  const auto ended = co_await catch_stop(consumer(x.receiver, y.receiver, permits, b));
  static_cast<void>(ended);
  const shield_scope to_the_end;
  first.stop(), second.stop(), third.stop();
  const auto end_1 = co_await first.outcome();
  const auto end_2 = co_await second.outcome();
  const auto end_3 = co_await third.outcome();
  static_cast<void>(end_1), static_cast<void>(end_2), static_cast<void>(end_3);
  b.kept = (left_x != nullptr) + (left_y != nullptr);
  b.in_line = static_cast<int>(x.receiver.size() + y.receiver.size());
  b.permits -= permits.available();
}
TEST(select, stopped_everywhere_nothing_is_lost) {
  for (const std::size_t capacity : {0u, 1u, 4u}) {
    books b;
    const auto seen = testing::cancel_everywhere(
        [&](testing::virtual_runtime& rt) { return rt.spawn(pipeline, std::ref(b), capacity); },
        [&](bool) {
          EXPECT_EQ(b.made, b.received + b.kept + b.in_line);
          EXPECT_EQ(b.permits, static_cast<std::size_t>(b.taken));
        });
    EXPECT_GT(seen.awaits, 20u);
    EXPECT_GT(seen.runs, 2 * 20u);
  }
}

#endif

}  // namespace
}  // namespace weft
