// stop_source, stop_token, stop_callback and with_stop.
#include "weft/together/stop_token.hpp"

#include <gtest/gtest.h>

#include <functional>
#include <optional>

#include "weft/runtime/block_on.hpp"
#include "weft/runtime/runtime.hpp"
#include "weft/runtime/time.hpp"
#include "weft/testing/cancel_everywhere.hpp"
#include "weft/testing/virtual_time.hpp"

namespace weft {
namespace {

using namespace std::chrono_literals;

TEST(stop_token, sees_the_request_and_who_is_left_to_make_one) {
  stop_token none;
  EXPECT_FALSE(none.stop_possible() || none.stop_requested());
  std::optional<stop_source> source(std::in_place);
  const stop_token token = source->get_token();
  EXPECT_TRUE(token.stop_possible());
  EXPECT_FALSE(token.stop_requested());
  stop_source copy = *source;
  EXPECT_TRUE(copy.request_stop());
  EXPECT_FALSE(source->request_stop());
  EXPECT_TRUE(token.stop_requested());
  stop_source other;
  const stop_token abandoned = other.get_token();
  {
    const stop_source gone = std::move(other);
  }
  EXPECT_FALSE(abandoned.stop_possible());
}

TEST(stop_token, callbacks_run_once_or_not_at_all) {
  stop_source source;
  int ran = 0;
  {
    const stop_callback gone(source.get_token(), [&] { ran += 100; });
  }
  const stop_callback stays(source.get_token(), [&] { ++ran; });
  source.request_stop();
  source.request_stop();
  EXPECT_EQ(ran, 1);
  const stop_callback late(source.get_token(), [&] { ran += 10; });
  EXPECT_EQ(ran, 11);
}

TEST(stop_token, a_callback_may_destroy_itself) {
  stop_source source;
  std::optional<stop_callback<std::function<void()>>> callback;
  callback.emplace(source.get_token(), [&] { callback.reset(); });
  source.request_stop();
  EXPECT_FALSE(callback.has_value());
}

task<int> later(std::chrono::milliseconds d, int v) {
  co_await sleep_for(d);
  co_return v;
}
task<int> with_source(std::chrono::milliseconds when) {
  stop_source source;
  auto stopper = spawn([&source, when]() -> task<> {
    co_await sleep_for(when);
    source.request_stop();
  });
  const auto r = co_await with_stop(source.get_token(), later(10ms, 4));
  if (!r) {
    EXPECT_EQ(r.error(), std::make_error_code(std::errc::operation_canceled));
  }
  stopper.stop();
  static_cast<void>(co_await stopper.outcome());
  co_return r.value_or(0);
}
TEST(with_stop, ends_when_it_is_asked_to_and_gives_what_was_complete) {
  testing::virtual_runtime rt;
  EXPECT_EQ(rt.block_on(with_source(5ms)), 0);
  EXPECT_EQ(rt.elapsed(), 5ms);
  EXPECT_EQ(rt.block_on(with_source(20ms)), 4);
  EXPECT_EQ(rt.elapsed(), 15ms);
}

TEST(with_stop, does_not_begin_after_the_request) {
  int begun = 0;
  block_on([&]() -> task<> {
    stop_source source;
    source.request_stop();
    const auto begins = [&]() -> task<> {
      ++begun;
      co_return;
    };
    const auto r = co_await with_stop(source.get_token(), begins());
    EXPECT_FALSE(r.has_value());
    const auto free = co_await with_stop(stop_token(), begins());
    EXPECT_TRUE(free.has_value());
  }());
  EXPECT_EQ(begun, 1);
}

TEST(with_stop, a_request_meets_the_end_on_other_workers) {
  runtime rt({.workers = 4});
  rt.block_on(rt.spawn([]() -> task<> {
    for (int i = 0; i < 2000; ++i) {
      stop_source source;
      auto stopper = spawn([source]() mutable { source.request_stop(); });
      const auto r = co_await with_stop(source.get_token(), [](int n) -> task<int> {
        for (int k = 0; k < n % 4; ++k) co_await yield_now();
        co_await sleep_for(std::chrono::microseconds(n % 3));
        co_return n;
      }(i));
      if (r) {
        EXPECT_EQ(*r, i);
      }
      co_await stopper;
    }
  }));
}

#if WEFT_CENSUS
TEST(with_stop, stopped_at_every_await_leaves_nothing) {
  const auto seen = testing::cancel_everywhere(
      [](testing::virtual_runtime& rt) {
        return rt.spawn([]() -> task<> {
          stop_source source;
          const auto r = co_await with_stop(source.get_token(), later(10ms, 4));
          EXPECT_EQ(r.value_or(0), 4);
        });
      },
      [](bool) {});
  EXPECT_GE(seen.stopped, 1u);
}
#endif

}  // namespace
}  // namespace weft
