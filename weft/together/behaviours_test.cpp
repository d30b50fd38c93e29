// What the suites of other runtimes test of select, and no other test here did: docs/internals/behaviours.md
// says which is which. The ideas are those of Go's runtime/chan_test.go and test/chan/select*.go,
// doubleselect.go, and of Tokio's tests/macros_select.rs.
#include <gtest/gtest.h>

#include <array>
#include <optional>
#include <string>
#include <thread>
#include <tuple>
#include <utility>
#include <variant>
#include <vector>

#include "weft/channel/mpmc.hpp"
#include "weft/runtime/block_on.hpp"
#include "weft/runtime/runtime.hpp"
#include "weft/runtime/time.hpp"
#include "weft/task/task_test_support.hpp"
#include "weft/testing/virtual_time.hpp"
#include "weft/together/combinators.hpp"
#include "weft/together/join_set.hpp"
#include "weft/together/select.hpp"

namespace weft {
namespace {

using namespace std::chrono_literals;
using test_support::start;
using test_support::started;
using test_support::test_executor;

class select_behaviours : public ::testing::TestWithParam<unsigned> {
 protected:
  runtime rt{{.workers = GetParam()}};
};
INSTANTIATE_TEST_SUITE_P(workers, select_behaviours, ::testing::Values(1u, 2u, 4u));

// --- Go -------------------------------------------------------------------------------------------

task<> recv_into(const receiver<int>& from, std::string& trace, char name) {
  const auto got = co_await from.recv();
  trace += name;
  trace += got ? std::to_string(*got) : "-";
}
task<> recv_twice_or_other(const receiver<int>& c, const receiver<int>& d, std::string& trace) {
  const auto w = co_await select(c.recv(), c.recv(), d.recv());
  trace += 's';
  trace += std::to_string(w.index());
}

// A select that stands in a line twice, and wins elsewhere, takes both its places out, whoever is
// before, between and behind.
TEST(select_lines, loser_that_stands_there_twice_leaves_the_line_to_the_others) {
  for (int before = 0; before < 3; ++before) {
    for (int behind = 0; behind < 3; ++behind) {
      test_executor executor;
      auto c = channel<int>(0), d = channel<int>(0);
      std::string trace;
      std::vector<started<void>> jobs;
      const auto receives = [&](char name) {
        jobs.push_back(start(executor, recv_into, std::ref(c.receiver), std::ref(trace), name));
        executor.run_until_idle();
      };
      for (int i = 0; i < before; ++i) receives(static_cast<char>('a' + i));
      auto selects = start(executor, recv_twice_or_other, std::ref(c.receiver),
                           std::ref(d.receiver), std::ref(trace));
      executor.run_until_idle();
      for (int i = 0; i < behind; ++i) receives(static_cast<char>('p' + i));
      ASSERT_TRUE(d.sender.try_send(7));
      executor.run_until_idle();
      std::string expected = "s2";
      ASSERT_EQ(trace, expected);
      int value = 0;
      for (int i = 0; i < before; ++i) {
        ASSERT_TRUE(c.sender.try_send(++value));
        (expected += static_cast<char>('a' + i)) += std::to_string(value);
      }
      for (int i = 0; i < behind; ++i) {
        ASSERT_TRUE(c.sender.try_send(++value));
        (expected += static_cast<char>('p' + i)) += std::to_string(value);
      }
      executor.run_until_idle();
      EXPECT_EQ(trace, expected);
      EXPECT_FALSE(c.sender.try_send(99)) << "nobody is left";
    }
  }
}

task<> send_or_other(const sender<int>& c, const receiver<int>& d, std::string& trace) {
  const auto w = co_await select(c.send(5), d.recv());
  trace += 's';
  trace += std::to_string(w.index());
  if (w.index() == 0) trace += std::get<0>(w) ? '+' : '-';
}

// What never waits takes from a select that waits, and gives to it.
TEST(select_lines, one_that_waits_is_served_by_who_never_waits) {
  test_executor executor;
  auto c = channel<int>(0), d = channel<int>(0);
  std::string trace;
  auto a =
      start(executor, send_or_other, std::ref(c.sender), std::ref(d.receiver), std::ref(trace));
  executor.run_until_idle();
  EXPECT_EQ(c.receiver.size(), 0u);
  EXPECT_EQ(c.receiver.try_recv(), 5);
  EXPECT_EQ(c.receiver.try_recv(), std::nullopt);
  executor.run_until_idle();
  EXPECT_EQ(trace, "s0+");
  auto b =
      start(executor, send_or_other, std::ref(c.sender), std::ref(d.receiver), std::ref(trace));
  executor.run_until_idle();
  EXPECT_TRUE(d.sender.try_send(1));
  EXPECT_FALSE(d.sender.try_send(2));
  EXPECT_EQ(c.receiver.try_recv(), std::nullopt) << "it is decided";
  executor.run_until_idle();
  EXPECT_EQ(trace, "s0+s1");
}

TEST(select_lines, send_into_a_closed_channel_is_something_that_happens) {
  test_executor executor;
  auto c = channel<int>(0), d = channel<int>(0);
  std::string trace;
  auto waits =
      start(executor, send_or_other, std::ref(c.sender), std::ref(d.receiver), std::ref(trace));
  executor.run_until_idle();
  EXPECT_EQ(trace, "");
  c.receiver.close();
  executor.run_until_idle();
  auto at_once =
      start(executor, send_or_other, std::ref(c.sender), std::ref(d.receiver), std::ref(trace));
  executor.run_until_idle();
  EXPECT_EQ(trace, "s0-s0-");
}

// The same channel in both directions, in two jobs: each send meets the other one's receive, never its own.
TEST_P(select_behaviours, two_that_send_and_receive_on_one_channel_meet_each_other_only) {
  for (const std::size_t capacity : {0u, 10u}) {
    auto [to, from] = channel<int>(capacity);
    const auto job = [](sender<int> out, receiver<int> in, int me, bool rendezvous) -> task<int> {
      int sent = 0;
      for (int i = 0; i < 1000; ++i) {
        if (me == 0 || i % 2 == 0) {
          const auto w = co_await select(out.send(me), in.recv());
          sent += w.index() == 0;
          if (w.index() == 1 && rendezvous) {
            EXPECT_EQ(std::get<1>(w), 1 - me);
          }
        } else {
          const auto w = co_await select(in.recv(), out.send(me));
          sent += w.index() == 1;
          if (w.index() == 0 && rendezvous) {
            EXPECT_EQ(std::get<0>(w), 1 - me);
          }
        }
      }
      co_return sent;
    };
    auto a = rt.spawn(job, to, from, 0, capacity == 0);
    auto b = rt.spawn(job, to, from, 1, capacity == 0);
    const int sent = rt.block_on(a) + rt.block_on(b);
    // Of 2000 things that happened these were sends; the others were their receives.
    EXPECT_EQ(static_cast<std::size_t>(sent), 2000 - static_cast<std::size_t>(sent) + from.size());
  }
}

TEST_P(select_behaviours, of_two_sends_into_one_channel_each_is_chosen) {
  for (const std::size_t capacity : {0u, 400u}) {
    constexpr int n = 400;
    auto [to, from] = channel<int>(capacity);
    const auto receive = [](receiver<int> in) -> task<int> {
      int ones = 0;
      for (int i = 0; i < n; ++i) {
        co_await yield_now();
        const auto got = co_await in.recv();
        ones += got.value();
      }
      co_return ones;
    };
    const auto send = [](sender<int> out) -> task<int> {
      int second = 0;
      for (int i = 0; i < n; ++i) {
        const auto w = co_await select(out.send(0), out.send(1));
        second += static_cast<int>(w.index());
      }
      co_return second;
    };
    auto receives = rt.spawn(receive, from);
    const int second = rt.block_on(rt.spawn(send, to));
    const int ones = rt.block_on(receives);
    EXPECT_EQ(ones, second) << "what won was sent";
    // Where it has to wait the first one in line is served; where there is room, chance decides.
    if (capacity != 0) {
      EXPECT_GT(ones, n / 10);
      EXPECT_LT(ones, n - n / 10);
    }
  }
}

// Plain senders and receivers on four channels, and a select over all four at each side, all at once.
TEST_P(select_behaviours, selects_and_plain_operations_on_the_same_channels_come_to_an_end) {
  static constexpr int each = WEFT_TSAN || WEFT_ASAN ? 200 : 1000;
  struct lines {
    std::array<channel_ends<int>, 4> c{channel<int>(0), channel<int>(0), channel<int>(2),
                                       channel<int>(3)};
    // In the place of one that has had its share: nobody is at the other end.
    channel_ends<int> no_receiver = channel<int>(0), no_sender = channel<int>(0);
    const sender<int>& to(const std::array<int, 4>& had, std::size_t k) const {
      return had[k] == each ? no_receiver.sender : c[k].sender;
    }
    const receiver<int>& from(const std::array<int, 4>& had, std::size_t k) const {
      return had[k] == each ? no_sender.receiver : c[k].receiver;
    }
  } all;
  const auto send = [](const sender<int>& to) -> task<> {
    for (int i = 0; i < each; ++i) {
      const auto sent = co_await to.send(1);
      EXPECT_TRUE(sent);
    }
  };
  const auto receive = [](const receiver<int>& from) -> task<> {
    for (int i = 0; i < each; ++i) {
      const auto got = co_await from.recv();
      EXPECT_TRUE(got);
    }
  };
  const auto send_any = [](lines& l) -> task<> {
    std::array<int, 4> had{};
    for (int i = 0; i < 4 * each; ++i) {
      const auto w = co_await select(l.to(had, 3).send(1), l.to(had, 2).send(1),
                                     l.to(had, 0).send(1), l.to(had, 1).send(1));
      constexpr std::size_t which[] = {3, 2, 0, 1};
      ++had[which[w.index()]];
    }
    for (const int n : had) EXPECT_EQ(n, each);
  };
  const auto receive_any = [](lines& l) -> task<> {
    std::array<int, 4> had{};
    for (int i = 0; i < 4 * each; ++i) {
      const auto w = co_await select(l.from(had, 0).recv(), l.from(had, 1).recv(),
                                     l.from(had, 2).recv(), l.from(had, 3).recv());
      ++had[w.index()];
    }
    for (const int n : had) EXPECT_EQ(n, each);
  };
  std::vector<join_handle<>> jobs;
  for (auto& one : all.c) {
    jobs.push_back(rt.spawn(send, std::ref(one.sender)));
    jobs.push_back(rt.spawn(receive, std::ref(one.receiver)));
  }
  jobs.push_back(rt.spawn(send_any, std::ref(all)));
  jobs.push_back(rt.spawn(receive_any, std::ref(all)));
  for (auto& one : jobs) rt.block_on(one);
  for (auto& one : all.c) EXPECT_EQ(one.receiver.size(), 0u);
}

// A select that could go to any of four receivers sends each value to one of them, and in order to each.
TEST_P(select_behaviours, value_that_four_could_have_goes_to_one_of_them) {
  constexpr int values = WEFT_TSAN || WEFT_ASAN ? 2000 : 10'000;
  std::array<channel_ends<int>, 4> c{channel<int>(0), channel<int>(0), channel<int>(0),
                                     channel<int>(0)};
  const auto send = [](std::array<channel_ends<int>, 4>& to) -> task<> {
    for (int i = 0; i < values; ++i) {
      const auto w = co_await select(to[0].sender.send(i), to[1].sender.send(i),
                                     to[2].sender.send(i), to[3].sender.send(i));
      std::visit([](const auto& sent) { EXPECT_TRUE(sent); }, w);
    }
    for (auto& one : to) one.sender.close();
  };
  const auto receive = [](const receiver<int>& from) -> task<std::vector<int>> {
    std::vector<int> got;
    for (;;) {
      const auto one = co_await from.recv();
      if (!one) co_return got;
      if (!got.empty()) {
        EXPECT_LT(got.back(), *one);
      }
      got.push_back(*one);
    }
  };
  std::vector<join_handle<std::vector<int>>> receivers;
  for (auto& one : c) receivers.push_back(rt.spawn(receive, std::ref(one.receiver)));
  rt.block_on(rt.spawn(send, std::ref(c)));
  std::vector<int> seen(values);
  for (auto& one : receivers) {
    for (const int v : rt.block_on(one)) ++seen[static_cast<std::size_t>(v)];
  }
  for (int i = 0; i < values; ++i) ASSERT_EQ(seen[static_cast<std::size_t>(i)], 1) << i;
}

// --- Tokio ----------------------------------------------------------------------------------------

template <std::size_t... I>
task<std::size_t> one_of_many(std::vector<channel_ends<int>>& c, std::index_sequence<I...>) {
  const auto w = co_await select(c[I].receiver.recv()...);
  EXPECT_EQ(std::visit([](const auto& got) { return got.value(); }, w), 7);
  co_return w.index();
}
TEST(select_size, as_many_operands_as_there_may_be_and_each_can_win) {
  for (std::size_t winner = 0; winner < 64; winner += 9) {
    test_executor executor;
    std::vector<channel_ends<int>> c;
    for (int i = 0; i < 64; ++i) c.push_back(channel<int>(0));
    auto waits = start(executor, [&c] { return one_of_many(c, std::make_index_sequence<64>()); });
    executor.run_until_idle();
    ASSERT_FALSE(waits.done());
    ASSERT_TRUE(c[winner].sender.try_send(7));
    executor.run_until_idle();
    EXPECT_EQ(waits.outcome().value(), winner);
    for (auto& one : c) EXPECT_FALSE(one.sender.try_send(1)) << "it has left all lines";
  }
}

task<> selects_until(const receiver<int>& closed, const bool& other_ran, int& rounds) {
  while (!other_ran) {
    const auto w = co_await select(closed.recv(), never());
    EXPECT_EQ(w.index(), 0u);
    ++rounds;
  }
}
TEST(select_budget, loop_of_selects_gives_way_to_others) {
  test_executor executor;
  auto [to, from] = channel<int>(1);
  to.close();
  bool other_ran = false;
  int rounds = 0;
  auto greedy =
      start(executor, selects_until, std::ref(from), std::cref(other_ran), std::ref(rounds));
  EXPECT_TRUE(executor.run_one());
  EXPECT_FALSE(greedy.done());
  EXPECT_LE(rounds, test_executor::budget + 1);
  other_ran = true;
  executor.run_until_idle();
  EXPECT_TRUE(greedy.done());
}

task<> picks(std::string& picked) {
  std::vector<channel_ends<int>> c;
  for (int i = 0; i < 4; ++i) {
    c.push_back(unbounded<int>());
    for (int n = 0; n < 64; ++n) EXPECT_TRUE(c.back().sender.try_send(n));
  }
  for (int i = 0; i < 64; ++i) {
    const auto w = co_await select(c[0].receiver.recv(), c[1].receiver.recv(), c[2].receiver.recv(),
                                   c[3].receiver.recv());
    picked += std::to_string(w.index());
  }
}
// A run of a virtual runtime is repeated by its seed, whatever threads there were before.
TEST(select_seed, the_same_seed_makes_the_same_choices) {
  for (const auto mode : {scheduling::work_stealing, scheduling::current_thread}) {
    const auto run = [mode](std::uint64_t seed) {
      testing::virtual_runtime rt({.seed = seed, .mode = mode});
      std::string picked;
      auto job = rt.spawn(picks, std::ref(picked));
      rt.block_on(job);
      return picked;
    };
    std::string first, second;
    first = run(7);
    std::thread([&] { second = run(7); }).join();
    EXPECT_EQ(first, second);
    EXPECT_NE(first, run(8));
    EXPECT_EQ(first, run(7));
  }
}

task<int> gives(int v) { co_return v; }
// next() that need not wait spends budget, so a loop over many outcomes starves nobody.
TEST(join_set_budget, loop_of_outcomes_that_are_there_gives_way_to_others) {
  test_executor executor;
  int taken = 0;
  bool all_ended = false;
  auto job = start(executor, [&]() -> task<> {
    const auto body = [&](join_set<int>& set) -> task<> {
      for (int i = 0; i < 1000; ++i) set.spawn(gives, i);
      auto first = co_await set.next();  // here they run
      EXPECT_TRUE(first.has_value());
      all_ended = true;
      for (;;) {
        auto next = co_await set.next();
        if (!next) co_return;
        ++taken;
      }
    };
    co_await with_join_set<int>(body);
  });
  while (!all_ended) ASSERT_TRUE(executor.run_one());
  int turns = 1;
  for (int before = taken; executor.run_one(); before = taken, ++turns) {
    EXPECT_LE(taken - before, test_executor::budget + 1);
  }
  EXPECT_TRUE(job.done());
  EXPECT_EQ(taken, 999);
  EXPECT_GE(turns, 999 / (test_executor::budget + 2));
}

TEST(join_set_size, counts_what_was_not_given_step_by_step) {
  test_executor executor;
  auto job = start(executor, []() -> task<> {
    const auto body = [](join_set<int>& set) -> task<> {
      EXPECT_EQ(set.size(), 0u);
      auto none = co_await set.next();
      EXPECT_FALSE(none.has_value());
      set.spawn(gives, 1);
      EXPECT_EQ(set.size(), 1u);
      set.spawn(gives, 2);
      for (int i = 0; i < 16; ++i) {
        EXPECT_EQ(set.size(), 2u);
        auto one = co_await set.next();
        EXPECT_TRUE(one->has_value());
        EXPECT_EQ(set.size(), 1u);
        set.spawn(gives, i);
      }
    };
    co_await with_join_set<int>(body);
  });
  executor.run_until_idle();
  EXPECT_TRUE(job.done());
}

}  // namespace
}  // namespace weft
