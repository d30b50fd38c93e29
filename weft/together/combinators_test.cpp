// never, just, then, and_then, or_else.
#include "weft/together/combinators.hpp"

#include <gtest/gtest.h>

#include <memory>
#include <stdexcept>
#include <string>

#include "weft/channel/mpmc.hpp"
#include "weft/runtime/block_on.hpp"
#include "weft/runtime/runtime.hpp"
#include "weft/runtime/time.hpp"
#include "weft/sync/event.hpp"
#include "weft/sync/semaphore.hpp"
#include "weft/task/shield_scope.hpp"
#include "weft/testing/cancel_everywhere.hpp"
#include "weft/testing/virtual_time.hpp"
#include "weft/together/catch_stop.hpp"
#include "weft/together/select.hpp"
#include "weft/together/timeout.hpp"

namespace weft {
namespace {

using namespace std::chrono_literals;

task<int> later(std::chrono::milliseconds d, int v) {
  co_await sleep_for(d);
  co_return v;
}
task<result<int>> gives(result<int> r) {
  co_await sleep_for(1ms);
  co_return r;
}
const std::error_code lost = make_error_code(errc::not_found);

TEST(never, ends_by_a_stop_alone) {
  testing::virtual_runtime rt;
  const bool ended = rt.block_on([]() -> task<bool> {
    const auto r = co_await timeout(5ms, never());
    co_return r.has_value();
  }());
  EXPECT_FALSE(ended);
  EXPECT_EQ(rt.elapsed(), 5ms);
}

task<std::string> ready_values() {
  auto p = co_await just(std::make_unique<int>(4));
  const auto n = co_await just(3);
  co_await just();
  const auto first = co_await select_biased(never(), just(5));
  co_return std::to_string(*p) + std::to_string(n) + std::to_string(std::get<1>(first));
}
TEST(just, is_ready) { EXPECT_EQ(block_on(ready_values()), "435"); }

task<std::string> then_values() {
  const auto twice = [](int v) { return 2 * v; };
  const auto a = co_await then(just(4), twice);
  const auto b = co_await then(later(5ms, 3), twice);
  const auto c = co_await then(sleep_for(1ms), [] { return 9; });
  int calls = 0;
  const auto count = [&calls](int) { ++calls; };
  co_await then(just(1), count);
  const auto d = co_await then(then(just(1), twice), twice);
  co_return std::to_string(a) + std::to_string(b) + std::to_string(c) + std::to_string(calls) +
      std::to_string(d);
}
TEST(then, gives_what_the_function_gives) {
  testing::virtual_runtime rt;
  EXPECT_EQ(rt.block_on(then_values()), "86914");
  EXPECT_EQ(rt.elapsed(), 6ms);
}

task<int> sum_later(const std::unique_ptr<int>& a, int b) {
  co_await sleep_for(2ms);
  co_return *a + b;
}
task<std::string> then_tasks() {
  // What the function is called with lives as long as its task.
  const auto add_two = [](std::unique_ptr<int>&& v) { return sum_later(v, 2); };
  const auto a = co_await then(just(std::make_unique<int>(3)), add_two);
  const auto again = [](int v) { return later(3ms, v + 1); };
  const auto b = co_await then(later(5ms, 3), again);
  const auto quietly = []() -> task<> { co_await sleep_for(1ms); };
  co_await then(sleep_for(1ms), quietly);
  co_return std::to_string(a) + std::to_string(b);
}
TEST(then, awaits_a_task_that_the_function_gives) {
  testing::virtual_runtime rt;
  EXPECT_EQ(rt.block_on(then_tasks()), "54");
  EXPECT_EQ(rt.elapsed(), 12ms);
}

task<int> fails() {
  co_await sleep_for(1ms);
  throw std::runtime_error("first");
}
task<std::string> then_throws() {
  std::string said;
  bool called = false;
  const auto notes = [&called](int v) {
    called = true;
    return v;
  };
  const auto throws = [](int) -> int { throw std::runtime_error("second"); };
  const auto task_fails = [](int) { return fails(); };
  const auto no_task = [](int) -> task<int> { throw std::runtime_error("third"); };
  const auto say = [&said](const std::exception& e) { said += e.what(); };
  try {
    static_cast<void>(co_await then(fails(), notes));
  } catch (const std::runtime_error& e) {
    say(e);
  }
  try {
    static_cast<void>(co_await then(just(1), throws));
  } catch (const std::runtime_error& e) {
    say(e);
  }
  try {
    static_cast<void>(co_await then(just(1), task_fails));
  } catch (const std::runtime_error& e) {
    say(e);
  }
  try {
    static_cast<void>(co_await then(just(1), no_task));
  } catch (const std::runtime_error& e) {
    say(e);
  }
  co_return said + (called ? "called" : "");
}
TEST(then, exceptions_pass) {
  testing::virtual_runtime rt;
  EXPECT_EQ(rt.block_on(then_throws()), "firstsecondfirstthird");
}

task<std::string> results() {
  std::string said;
  const auto say = [&said](const result<std::string>& r) {
    said += r ? *r : r.error().message();
    said += ' ';
  };
  const auto text = [](int v) -> result<std::string> { return std::to_string(v); };
  const auto text_later = [](int v) -> task<result<std::string>> {
    co_await sleep_for(1ms);
    co_return std::to_string(v) + "l";
  };
  const auto spare = [](std::error_code) -> result<int> { return 7; };
  const auto spare_later = [](std::error_code) { return gives(8); };
  const auto worse = [](std::error_code) -> result<int> {
    return std::unexpected(make_error_code(errc::closed));
  };
  const auto a = co_await and_then(gives(1), text);
  const auto b = co_await and_then(gives(std::unexpected(lost)), text);
  const auto c = co_await and_then(gives(2), text_later);
  const auto d = co_await and_then(gives(std::unexpected(lost)), text_later);
  say(a), say(b), say(c), say(d);
  const auto e = co_await or_else(gives(3), spare);
  const auto f = co_await or_else(gives(std::unexpected(lost)), spare);
  const auto g = co_await or_else(gives(4), spare_later);
  const auto h = co_await or_else(gives(std::unexpected(lost)), spare_later);
  const auto i = co_await or_else(gives(std::unexpected(lost)), worse);
  said += std::to_string(*e) + std::to_string(*f) + std::to_string(*g) + std::to_string(*h);
  said += i.error() == errc::closed ? "c" : "?";
  const auto nothing =
      co_await and_then(timeout(5ms, sleep_for(1ms)), [] { return result<int>(6); });
  const auto fine = co_await or_else(timeout(5ms, sleep_for(1ms)),
                                     [](std::error_code) { return result<void>(); });
  co_return said + std::to_string(*nothing) + std::to_string(fine.has_value());
}
TEST(and_then_and_or_else, do_what_those_of_expected_do) {
  testing::virtual_runtime rt;
  const std::string none = lost.message();
  EXPECT_EQ(rt.block_on(results()), "1 " + none + " 2l " + none + " 3748c61");
}

task<std::string> in_a_select() {
  auto x = channel<int>(4);
  event go;
  semaphore permits(0);
  int calls = 0;
  const auto plus_ten = [&calls](std::optional<int> v) {
    ++calls;
    return *v + 10;
  };
  const auto plus_one = [](int v) { return v + 1; };
  EXPECT_TRUE(x.sender.try_send(1));
  const auto a = co_await select(go.wait(), then(x.receiver.recv(), plus_ten));
  auto waiting = spawn([&]() -> task<int> {
    const auto w =
        co_await select(permits.acquire(), then(then(x.receiver.recv(), plus_ten), plus_one));
    co_return w.index() == 1 ? std::get<1>(w) : 0;
  });
  co_await sleep_for(1ms);
  permits.release();
  EXPECT_TRUE(x.sender.try_send(2));  // too late for that one
  const auto b = co_await waiting;
  EXPECT_EQ(x.receiver.size(), 1u);
  co_return std::to_string(std::get<1>(a)) + std::to_string(b) + std::to_string(calls);
}
TEST(then, in_a_select_waits_as_its_operation_does) {
  testing::virtual_runtime rt;
  EXPECT_EQ(rt.block_on(in_a_select()), "1101");
}

#if WEFT_CENSUS

task<> every_one_of_them(int& calls, std::size_t& left) {
  auto x = channel<int>(1);
  EXPECT_TRUE(x.sender.try_send(1));
  calls = 0;
  const auto all = [&]() -> task<> {
    const auto note = [&calls](std::optional<int>) { ++calls; };
    const auto note_later = [&calls](int) -> task<int> {
      co_await sleep_for(1ms);
      ++calls;
      co_return 1;
    };
    co_await sleep_for(1ms);
    co_await then(x.receiver.recv(), note);
    const auto a = co_await then(later(1ms, 1), note_later);
    const auto b = co_await and_then(gives(1), [](int) { return gives(2); });
    const auto c =
        co_await or_else(gives(std::unexpected(lost)), [](std::error_code) { return gives(2); });
    EXPECT_EQ(a + *b + *c, 5);
    const auto d = co_await timeout(1ms, never());
    EXPECT_FALSE(d);
  };
  const auto end = co_await catch_stop(all());
  static_cast<void>(end);
  left = x.receiver.size();
}
TEST(combinators, stopped_everywhere_nothing_is_lost) {
  int calls = 0;
  std::size_t left = 0;
  const auto seen = testing::cancel_everywhere(
      [&](testing::virtual_runtime& rt) {
        return rt.spawn(every_one_of_them, std::ref(calls), std::ref(left));
      },
      [&](bool) { EXPECT_EQ(left, calls == 0 ? 1u : 0u); });
  EXPECT_GT(seen.awaits, 6u);
  EXPECT_GT(seen.runs, 12u);
}

#endif

}  // namespace
}  // namespace weft
