#include "weft/sync/once.hpp"

#include <gtest/gtest.h>

#include <stdexcept>
#include <string>
#include <vector>

#include "weft/sync/sync_test_support.hpp"

namespace weft {
namespace {

using namespace test_support;

struct world {
  once_cell<std::string> cell;
  gate g;
  int calls = 0;
  std::vector<std::string> seen;
};
task<std::string> slow(world& w, std::string value) {
  ++w.calls;
  co_await w.g.pass();
  co_return value;
}
task<> use(world& w, std::string value) {
  std::string& got = co_await w.cell.get_or_init(slow, std::ref(w), value);
  w.seen.push_back(got);
}

class once_test : public ::testing::Test {
 protected:
  auto uses(const char* value) { return start(executor, use, std::ref(w), std::string(value)); }
  test_executor executor;
  world w;
};

TEST_F(once_test, first_one_makes_it_and_the_others_wait) {
  auto a = uses("a"), b = uses("b"), c = uses("c");
  executor.run_until_idle();
  EXPECT_EQ(w.cell.get(), nullptr);
  EXPECT_EQ(w.calls, 1);
  w.g.open();
  executor.run_until_idle();
  EXPECT_EQ(w.seen, (std::vector<std::string>{"a", "a", "a"}));
  EXPECT_EQ(w.calls, 1);
  EXPECT_EQ(*w.cell.get(), "a");
}

TEST_F(once_test, stopped_one_leaves_it_to_the_next) {
  auto a = uses("a"), b = uses("b");
  executor.run_until_idle();
  a->stop();
  executor.run_until_idle();
  EXPECT_TRUE(a.outcome().stopped());
  EXPECT_EQ(w.calls, 2);
  w.g.open();
  executor.run_until_idle();
  EXPECT_EQ(w.seen, std::vector<std::string>{"b"});
}

TEST_F(once_test, failure_goes_to_who_did_it_and_the_next_one_tries) {
  once o;
  int calls = 0;
  const auto attempt = [](once& the_o, int& the_calls) -> task<> {
    co_await the_o.call(
        [](int& the_the_calls) {
          if (++the_the_calls == 1) throw std::runtime_error("first");
        },
        std::ref(the_calls));
  };
  auto a = start(executor, attempt, std::ref(o), std::ref(calls));
  auto b = start(executor, attempt, std::ref(o), std::ref(calls));
  auto c = start(executor, attempt, std::ref(o), std::ref(calls));
  executor.run_until_idle();
  EXPECT_TRUE(a.outcome().exception());
  EXPECT_TRUE(b.outcome().has_value());
  EXPECT_TRUE(c.outcome().has_value());
  EXPECT_EQ(calls, 2);
  EXPECT_TRUE(o.done());
}

// --- what need not wait

task<> uses_what_is_there(once_cell<int>& cell, once& o, int which, int& times) {
  for (; times < 10 * test_executor::budget; ++times) {
    if (which == 0) {
      const int& value = co_await cell.get_or_init([] { return 7; });
      EXPECT_EQ(value, 7);
    } else {
      co_await o.call([] {});
    }
  }
}

TEST_F(once_test, loops_over_what_is_done_give_way_and_see_a_stop) {
  for (const int which : {0, 1}) {
    once_cell<int> there;
    once done;
    int times = -1;
    {
      auto first = start(executor, uses_what_is_there, std::ref(there), std::ref(done), which,
                         std::ref(times));
      EXPECT_TRUE(executor.run_one());
      EXPECT_LE(times, test_executor::budget + 1);
      executor.run_until_idle();
      EXPECT_EQ(times, 10 * test_executor::budget);
    }
    times = 0;
    auto again = start(executor, uses_what_is_there, std::ref(there), std::ref(done), which,
                       std::ref(times));
    EXPECT_TRUE(executor.run_one());
    EXPECT_LE(times, test_executor::budget + 1);
    const int before = times;
    again->stop();
    executor.run_until_idle();
    EXPECT_TRUE(again.outcome().stopped());
    EXPECT_LE(times, before + 1);
  }
}

using once_workers = on_workers;
TEST_P(once_workers, it_is_done_once_and_seen_by_all) {
  for (int round = 0; round < 50; ++round) {
    once o;
    int value = 0;
    atomic<int> wrong{0};
    const auto look = [](once& the_o, int& the_value, atomic<int>& the_wrong) -> task<> {
      co_await the_o.call(
          [](int& the_the_value) -> task<> {
            co_await yield_now();
            ++the_the_value;
          },
          std::ref(the_value));
      if (the_value != 1) the_wrong.fetch_add(1, order::relaxed);
    };
    std::vector<join_handle<>> all;
    for (int i = 0; i < 8; ++i) {
      all.push_back(rt.spawn(look, std::ref(o), std::ref(value), std::ref(wrong)));
    }
    for (auto& one : all) rt.block_on(one);
    EXPECT_EQ(wrong.load(order::relaxed), 0);
  }
}
WEFT_ON_WORKERS(once_workers);

}  // namespace
}  // namespace weft
