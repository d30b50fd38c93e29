#include "weft/runtime/block_on.hpp"

#include <gtest/gtest.h>

#include <stdexcept>
#include <string>

#include "weft/runtime/runtime.hpp"
#include "weft/runtime/time.hpp"
#include "weft/together/catch_stop.hpp"

namespace weft {
namespace {

task<int> give(int x) {
  for (int i = 0; i < 3; ++i) co_await yield_now();
  co_return x;
}
task<> fail() {
  co_await yield_now();
  throw std::runtime_error("planned");
}

TEST(block_on, runs_a_task_on_the_calling_thread) {
  EXPECT_EQ(block_on(give(3)), 3);
  EXPECT_THROW(block_on(fail()), std::runtime_error);
}

TEST(block_on, waits_for_a_job_of_a_runtime) {
  runtime rt({.workers = 2});
  for (int i = 0; i < 1000; ++i) {
    auto far = rt.spawn(give, i);
    EXPECT_EQ(block_on(far), i);
  }
}

task<int> spawns() {
  auto beside = spawn(give, 4);
  const int four = co_await beside;
  co_return four + 1;
}
TEST(block_on, what_it_spawns_runs_beside_it) { EXPECT_EQ(block_on(spawns()), 5); }

task<> turns_for_ever(std::string& log) {
  struct noted {
    std::string& log;
    explicit noted(std::string& l) : log(l) {}
    noted(const noted&) = delete;
    ~noted() { log += "ended"; }
  };
  noted n(log);
  for (;;) co_await yield_now();
}
task<> leaves_one_behind(std::string& log) {
  spawn(turns_for_ever, std::ref(log)).detach();
  co_await yield_now();
  co_await yield_now();
}
TEST(block_on, what_is_left_is_stopped_and_awaited) {
  std::string log;
  block_on(leaves_one_behind(log));
  EXPECT_EQ(log, "ended");
}

task<> spawns_when_stopped(std::string& log) {
  for (;;) {
    const auto turn = co_await catch_stop(yield_now());
    if (!turn) break;
  }
  spawn(turns_for_ever, std::ref(log)).detach();
}
task<> leaves_one_behind_that_spawns(std::string& log) {
  spawn(spawns_when_stopped, std::ref(log)).detach();
  co_await yield_now();
}
TEST(block_on, what_is_spawned_after_the_end_is_stopped_before_it_runs) {
  std::string log;
  block_on(leaves_one_behind_that_spawns(log));
  EXPECT_EQ(log, "");
}

task<> sleeps() { co_await sleep_for(std::chrono::seconds(1)); }
TEST(block_on_death_test, a_wait_for_a_time_says_that_it_needs_a_runtime) {
  EXPECT_DEATH(block_on(sleeps()), "needs a runtime");
}

}  // namespace
}  // namespace weft
