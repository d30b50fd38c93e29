// How much of a class runs at a time, who comes next, and what becomes of a place whatever its work does.
#include "weft/runtime/blocking_class.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <functional>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "weft/base/thread_gate_test_support.hpp"
#include "weft/runtime/block_on.hpp"
#include "weft/runtime/blocking.hpp"
#include "weft/runtime/runtime.hpp"
#include "weft/sync/event.hpp"
#include "weft/task/shield_scope.hpp"
#include "weft/testing/cancel_everywhere.hpp"
#include "weft/together/catch_stop.hpp"
#include "weft/together/timeout.hpp"

namespace weft {
namespace {

using namespace std::chrono_literals;

using gate = test_support::thread_gate;

void stand_in(gate* begun, gate* end) {
  begun->open();
  end->pass();
}
task<> hold(blocking_class& kind, gate& begun, gate& end) {
  co_await spawn_blocking(kind, stand_in, &begun, &end);
}
task<> note(blocking_class& kind, std::string& trace, char name) {
  const auto add = [](std::string* to, char c) { *to += c; };
  co_await spawn_blocking(kind, add, &trace, name);
}
task<bool> was_stopped(join_handle<>& h) {
  const auto end = co_await h.outcome();
  co_return end.stopped();
}
void until_waiting(const blocking_class& kind, unsigned count) {
  while (kind.waiting() != count) std::this_thread::yield();
}

class blocking_classes : public ::testing::Test {
 protected:
  /// Spawns one that adds `name` to the trace, behind those that wait already.
  join_handle<> next(blocking_class& kind, char name) {
    const unsigned before = kind.waiting();
    auto made = rt.spawn(note, std::ref(kind), std::ref(trace), name);
    until_waiting(kind, before + 1);
    return made;
  }

  std::string trace;
  runtime rt{{.workers = 2, .max_blocking_threads = 4}};
  gate begun, end;
};

TEST_F(blocking_classes, who_finds_it_full_waits_and_they_go_in_as_they_came) {
  blocking_class kind({.name = "k", .at_most = 1});
  EXPECT_STREQ(kind.name(), "k");
  EXPECT_EQ(kind.at_most(), 1u);
  auto first = rt.spawn(hold, std::ref(kind), std::ref(begun), std::ref(end));
  begun.pass();
  std::vector<join_handle<>> others;
  for (const char name : {'a', 'b', 'c', 'd', 'e'}) others.push_back(next(kind, name));
  EXPECT_EQ(kind.running(), 1u);
  EXPECT_EQ(kind.waiting(), 5u);
  EXPECT_EQ(trace, "");
  end.open();
  for (auto& one : others) rt.block_on(one);
  rt.block_on(first);
  EXPECT_EQ(trace, "abcde");
  EXPECT_EQ(kind.running(), 0u);
}

TEST_F(blocking_classes, who_waits_has_no_thread_and_the_one_there_is_goes_on_with_the_next) {
  blocking_class kind({.at_most = 1});
  auto first = rt.spawn(hold, std::ref(kind), std::ref(begun), std::ref(end));
  begun.pass();
  std::vector<join_handle<>> others;
  for (int i = 0; i < 20; ++i) others.push_back(next(kind, 'x'));
  EXPECT_EQ(rt.metrics().blocking_threads, 1u);
  EXPECT_EQ(rt.metrics().blocking_waiting, 0u);
  end.open();
  for (auto& one : others) rt.block_on(one);
  rt.block_on(first);
  EXPECT_EQ(rt.metrics().blocking_threads, 1u);
}

TEST_F(blocking_classes, one_kind_leaves_threads_to_the_others) {
  blocking_class slow({.at_most = 3});  // of 4
  gate begun_too[2];
  std::vector<join_handle<>> held;
  held.push_back(rt.spawn(hold, std::ref(slow), std::ref(begun), std::ref(end)));
  for (gate& g : begun_too) {
    held.push_back(rt.spawn(hold, std::ref(slow), std::ref(g), std::ref(end)));
  }
  begun.pass();
  for (const gate& g : begun_too) g.pass();
  gate others;  // three at a time pass here: no trace
  for (unsigned i = 1; i <= 10; ++i) {
    held.push_back(rt.spawn(hold, std::ref(slow), std::ref(others), std::ref(end)));
    until_waiting(slow, i);
  }
  const auto quick = []() -> task<int> {
    const int n = co_await spawn_blocking([] { return 7; });
    co_return n;
  };
  EXPECT_EQ(rt.block_on(quick()), 7);
  EXPECT_EQ(slow.waiting(), 10u);
  end.open();
  for (auto& one : held) rt.block_on(one);
}

TEST_F(blocking_classes, a_stopped_waiter_never_runs_and_the_others_keep_their_turns) {
  blocking_class kind({.at_most = 1});
  auto first = rt.spawn(hold, std::ref(kind), std::ref(begun), std::ref(end));
  begun.pass();
  auto a = next(kind, 'a'), b = next(kind, 'b'), c = next(kind, 'c');
  b.stop();
  EXPECT_TRUE(rt.block_on(was_stopped(b)));  // now, while the place is taken
  EXPECT_EQ(kind.waiting(), 2u);
  end.open();
  rt.block_on(a);
  rt.block_on(c);
  rt.block_on(first);
  EXPECT_EQ(trace, "ac");
}

TEST_F(blocking_classes, work_that_is_stopped_in_the_pools_line_hands_its_place_on) {
  blocking_class kind({.at_most = 1});
  blocking_class rest({.at_most = 4});
  gate begun_too[3];
  std::vector<join_handle<>> held;  // all four threads
  held.push_back(rt.spawn(hold, std::ref(rest), std::ref(begun), std::ref(end)));
  for (gate& g : begun_too) {
    held.push_back(rt.spawn(hold, std::ref(rest), std::ref(g), std::ref(end)));
  }
  begun.pass();
  for (const gate& g : begun_too) g.pass();
  auto in_line = rt.spawn(note, std::ref(kind), std::ref(trace), 'a');
  while (rt.metrics().blocking_waiting != 1) std::this_thread::yield();
  auto behind = next(kind, 'b');
  in_line.stop();
  EXPECT_TRUE(rt.block_on(was_stopped(in_line)));
  EXPECT_EQ(kind.waiting(), 0u);
  EXPECT_EQ(kind.running(), 1u);
  end.open();
  rt.block_on(behind);
  for (auto& one : held) rt.block_on(one);
  EXPECT_EQ(trace, "b");
}

TEST_F(blocking_classes, an_exception_and_a_stop_while_it_runs_free_the_place) {
  blocking_class kind({.at_most = 1});
  const auto fails = [](blocking_class& k) -> task<> {
    co_await spawn_blocking(k, [] { throw std::runtime_error("planned"); });
  };
  EXPECT_THROW(rt.block_on(fails(kind)), std::runtime_error);
  auto held = rt.spawn(hold, std::ref(kind), std::ref(begun), std::ref(end));
  begun.pass();
  held.stop();
  auto after = next(kind, 'a');
  EXPECT_EQ(kind.running(), 1u);  // the thread is still in it
  end.open();
  rt.block_on(after);
  static_cast<void>(rt.block_on(was_stopped(held)));
  EXPECT_EQ(trace, "a");
  EXPECT_EQ(kind.running(), 0u);
}

/// Its code where it was refused; else none.
task<std::error_code> try_note(blocking_class& kind, std::string& trace, char name) {
  try {
    co_await note(kind, trace, name);
  } catch (const error& e) {
    co_return e.code();
  }
  co_return std::error_code();
}

TEST_F(blocking_classes, who_would_make_the_line_too_long_is_refused_at_once) {
  blocking_class kind({.at_most = 1, .waiting_max = 2});
  EXPECT_EQ(kind.waiting_max(), 2u);
  auto held = rt.spawn(hold, std::ref(kind), std::ref(begun), std::ref(end));
  begun.pass();
  auto a = next(kind, 'a'), b = next(kind, 'b');
  const std::error_code refused = rt.block_on(try_note(kind, trace, 'x'));
  EXPECT_EQ(refused, std::errc::resource_unavailable_try_again);
  EXPECT_EQ(kind.waiting(), 2u);
  b.stop();  // its place in line is free again
  EXPECT_TRUE(rt.block_on(was_stopped(b)));
  auto c = next(kind, 'c');
  end.open();
  rt.block_on(held);
  rt.block_on(a);
  rt.block_on(c);
  EXPECT_EQ(trace, "ac");
  EXPECT_EQ(rt.block_on(try_note(kind, trace, 'd')), std::error_code());
  EXPECT_EQ(trace, "acd");
  EXPECT_EQ(kind.running(), 0u);
}

TEST_F(blocking_classes, where_nobody_may_wait_a_place_is_taken_or_refused) {
  blocking_class kind({.at_most = 1, .waiting_max = 0});
  auto held = rt.spawn(hold, std::ref(kind), std::ref(begun), std::ref(end));
  begun.pass();
  EXPECT_EQ(rt.block_on(try_note(kind, trace, 'x')), std::errc::resource_unavailable_try_again);
  end.open();
  rt.block_on(held);
  EXPECT_EQ(rt.block_on(try_note(kind, trace, 'y')), std::error_code());
  EXPECT_EQ(trace, "y");
}

TEST_F(blocking_classes, a_job_that_was_stopped_before_takes_no_place) {
  blocking_class kind({.at_most = 1});
  auto stopped = rt.spawn([&]() -> task<> {
    begun.open();
    end.pass();
    co_await note(kind, trace, 'x');
  });
  begun.pass();
  stopped.stop();
  end.open();
  EXPECT_TRUE(rt.block_on(was_stopped(stopped)));
  EXPECT_EQ(kind.running(), 0u);
  EXPECT_EQ(trace, "");
}

TEST_F(blocking_classes, it_may_go_as_soon_as_its_last_work_has_been_awaited) {
  const auto short_lived = []() -> task<> {
    blocking_class kind({.at_most = 1});
    co_await spawn_blocking(kind, [] {});
  };
  for (int i = 0; i < 200; ++i) rt.block_on(short_lived());
}

TEST_F(blocking_classes, a_shutdown_stops_those_in_line_and_waits_for_those_that_run) {
  blocking_class kind({.at_most = 1});
  std::jthread opens;
  {
    runtime ends({.workers = 1});
    ends.spawn(hold, std::ref(kind), std::ref(begun), std::ref(end)).detach();
    begun.pass();
    for (int i = 0; i < 5; ++i) {
      ends.spawn(note, std::ref(kind), std::ref(trace), 'x').detach();
      until_waiting(kind, static_cast<unsigned>(i) + 1);
    }
    opens = std::jthread([&] {
      until_waiting(kind, 0);
      end.open();
    });
  }
  EXPECT_EQ(kind.running(), 0u);
  EXPECT_EQ(trace, "");
}

TEST(blocking_class_death_test, one_that_goes_before_its_work_says_what_is_wrong) {
  const auto too_early = [] {
    runtime mine({.workers = 1});
    gate in, never;
    std::optional<blocking_class> kind(std::in_place, blocking_class::options{.at_most = 1});
    auto held = mine.spawn(hold, std::ref(*kind), std::ref(in), std::ref(never));
    in.pass();
    kind.reset();
  };
  EXPECT_DEATH(too_early(), "blocking_class was destroyed while its work runs or waits");
}

TEST(blocking_class_death_test, one_that_lets_nothing_in_is_refused) {
  EXPECT_DEATH(blocking_class({.at_most = 0}), "at_most");
}

struct load {
  explicit load(unsigned at_most) : kind({.at_most = at_most}) {}
  blocking_class kind;
  std::atomic<unsigned> inside{0};
  std::atomic<unsigned> most{0};
  std::atomic<unsigned> began{0};
  std::atomic<unsigned> ended_well{0};
  std::atomic<unsigned> threw{0};
};

void work_in(load* l, unsigned i) {
  ++l->began;
  const unsigned now = ++l->inside;
  for (unsigned seen = l->most; seen < now && !l->most.compare_exchange_weak(seen, now);) {
  }
  if (i % 8 == 0) std::this_thread::yield();
  --l->inside;
  if (i % 16 == 3) throw std::runtime_error("planned");
}

task<> worker_of(load& l, unsigned count) {
  for (unsigned i = 0; i < count; ++i) {
    try {
      co_await spawn_blocking(l.kind, work_in, &l, i);
      ++l.ended_well;
    } catch (const std::runtime_error&) {
      ++l.threw;
    }
  }
}

/// Some are stopped when they have hardly begun to wait, in line or in between.
task<> stopped_again_and_again(load& l, unsigned count) {
  for (unsigned i = 0; i < count; ++i) {
    const auto late = co_await timeout(std::chrono::microseconds(i % 50), worker_of(l, 2));
    static_cast<void>(late);
  }
}

TEST_F(blocking_classes, the_limit_holds_for_all_that_come_go_throw_and_are_stopped) {
  constexpr unsigned times = 500;
  for (const unsigned at_most : {1u, 3u}) {
    SCOPED_TRACE(at_most);
    load l(at_most);
    {
      // A short-lived runtime, too: a place may come to it from the other one as it ends.
      runtime other({.workers = 1, .max_blocking_threads = 8});
      std::vector<join_handle<>> mine, its;
      for (int i = 0; i < 6; ++i) mine.push_back(rt.spawn(worker_of, std::ref(l), times));
      for (int i = 0; i < 3; ++i) {
        mine.push_back(rt.spawn(stopped_again_and_again, std::ref(l), times / 4));
        its.push_back(other.spawn(stopped_again_and_again, std::ref(l), times / 4));
      }
      for (auto& one : its) other.block_on(one);
      for (int i = 0; i < 100; ++i) {
        runtime brief({.workers = 1});
        brief.block_on(worker_of(l, 1));
      }
      for (auto& one : mine) rt.block_on(one);
    }
    EXPECT_EQ(l.kind.running(), 0u);
    EXPECT_EQ(l.kind.waiting(), 0u);
    EXPECT_LE(l.most, at_most);
    EXPECT_GE(l.began, 6 * times + 100);
    EXPECT_LE(l.ended_well + l.threw, l.began);
    EXPECT_GT(l.threw, 0u);
  }
}

#if WEFT_CENSUS  // the harness needs the hook that only these builds have

task<> two_of(blocking_class& kind, event& about_to, int& began, int& done) {
  const auto add = [](int* n) { ++*n; };
  about_to.set();
  co_await spawn_blocking(kind, add, &began);
  ++done;
  co_await spawn_blocking(kind, add, &began);
  ++done;
}

/// The place is taken when the scenario gets in line, and free when it has waited or was stopped.
task<> in_line_behind_another(blocking_class& kind, int& began, int& done) {
  began = done = 0;
  event taken(event::manual_reset), about_to(event::manual_reset);
  gate end;
  auto holder = spawn(
      [](blocking_class& k, event& in, gate& out) -> task<> {
        const auto work = [](event* i, gate* o) {
          i->set();
          o->pass();
        };
        co_await spawn_blocking(k, work, &in, &out);
      },
      std::ref(kind), std::ref(taken), std::ref(end));
  auto opener = spawn(
      [](event& when, gate& out) -> task<> {
        co_await when.wait();
        out.open();
      },
      std::ref(about_to), std::ref(end));
  {
    const shield_scope to_the_end;
    co_await taken.wait();
  }
  const auto ended = co_await catch_stop(two_of(kind, about_to, began, done));
  static_cast<void>(ended);
  const shield_scope to_the_end;
  about_to.set();
  co_await opener;
  co_await holder;
}

TEST(blocking_class_cancel_everywhere, a_stopped_wait_has_had_no_effect) {
  blocking_class kind({.at_most = 1});
  int began = 0;
  int done = 0;
  int least_began = 2;
  int most_began = 0;
  const auto seen = testing::cancel_everywhere(
      [&](testing::virtual_runtime& rt) {
        return rt.spawn(in_line_behind_another, std::ref(kind), std::ref(began), std::ref(done));
      },
      [&](bool stopped) {
        EXPECT_EQ(kind.running(), 0u);
        EXPECT_EQ(kind.waiting(), 0u);
        EXPECT_LE(began - done, 1);  // a running one cannot be called back, and ends
        EXPECT_TRUE(stopped || done == began);
        most_began = std::max(most_began, began);
        least_began = std::min(least_began, began);
      });
  EXPECT_GE(seen.awaits, 4u);
  EXPECT_GT(seen.runs, seen.awaits);
  EXPECT_EQ(least_began, 0);  // stopped in line
  EXPECT_EQ(most_began, 2);
}

#endif

}  // namespace
}  // namespace weft
