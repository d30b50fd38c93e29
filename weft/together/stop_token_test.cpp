// stop_source, stop_token, stop_callback and with_stop.
#include "weft/together/stop_token.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <optional>
#include <stdexcept>
#include <thread>

#include "weft/base/thread_gate_test_support.hpp"
#include "weft/runtime/block_on.hpp"
#include "weft/runtime/blocking.hpp"
#include "weft/runtime/runtime.hpp"
#include "weft/runtime/time.hpp"
#include "weft/sync/event.hpp"
#include "weft/task/await_hook.hpp"
#include "weft/testing/cancel_everywhere.hpp"
#include "weft/testing/virtual_time.hpp"
#include "weft/together/catch_stop.hpp"
#include "weft/together/scope.hpp"
#include "weft/together/timeout.hpp"

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

// A source that asks for a stop and goes at once leaves no moment in which there was none.
TEST(stop_token, a_stop_that_comes_is_never_called_impossible) {
  constexpr int rounds = 200;
  std::optional<stop_source> source(std::in_place);
  std::atomic<int> begun{-1}, done{-1};
  std::thread asks([&] {
    for (int i = 0; i < rounds; ++i) {
      while (begun.load() != i) std::this_thread::yield();
      source->request_stop();
      source.reset();
      done.store(i);
    }
  });
  int denied = 0;
  for (int i = 0; i < rounds; ++i) {
    const stop_token token = source->get_token();
    begun.store(i);
    while (!token.stop_requested()) denied += !token.stop_possible();
    while (done.load() != i) std::this_thread::yield();
    source.emplace();
  }
  asks.join();
  EXPECT_EQ(denied, 0);
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

// --- this_task::stop_token()

using gate = test_support::thread_gate;

task<bool> was_stopped(join_handle<>& h) {
  const auto end = co_await h.outcome();
  co_return end.stopped();
}

TEST(this_task_stop_token, is_none_outside_of_a_job_and_one_and_the_same_inside) {
  EXPECT_FALSE(this_task::stop_token().stop_possible());
  stop_token kept;
  const auto asks = [](stop_token& out) -> task<> {
    out = this_task::stop_token();
    co_await yield_now();
    EXPECT_EQ(out, this_task::stop_token());
    EXPECT_TRUE(out.stop_possible());
    EXPECT_FALSE(out.stop_requested());
  };
  runtime rt({.workers = 1});
  rt.block_on(rt.spawn(asks, std::ref(kept)));
  EXPECT_FALSE(kept.stop_requested() || kept.stop_possible()) << "the job has ended otherwise";
  block_on(asks(kept));
  EXPECT_FALSE(kept.stop_requested() || kept.stop_possible());
}

TEST(this_task_stop_token, tells_a_loop_that_computes_and_a_callback) {
  runtime rt({.workers = 1});
  gate begun;
  std::atomic<int> called{0};
  stop_token kept;
  auto computes = rt.spawn([&]() -> task<> {
    const stop_token token = this_task::stop_token();
    kept = token;
    const stop_callback told(token, [&] { ++called; });
    begun.open();
    while (!token.stop_requested()) {
    }
    co_await yield_now();
  });
  begun.pass();
  computes.stop();
  EXPECT_EQ(called, 1);  // on the thread that asked for the stop
  EXPECT_TRUE(rt.block_on(was_stopped(computes)));
  EXPECT_TRUE(kept.stop_requested() && kept.stop_possible());
  EXPECT_EQ(called, 1);
}

TEST(this_task_stop_token, of_a_child_is_told_at_its_first_wait) {
  testing::virtual_runtime rt;
  int called = 0;
  rt.block_on(rt.spawn([&]() -> task<> {
    co_await scope([&](scope_ref s) -> task<> {
      s.spawn([&, s]() -> task<> {
        const stop_callback told(this_task::stop_token(), [&] { ++called; });
        s.stop();
        EXPECT_EQ(called, 0);
        const auto end = co_await catch_stop(sleep_for(1h));
        EXPECT_FALSE(end);
        EXPECT_EQ(called, 1);
      });
      co_return;
    });
  }));
  EXPECT_EQ(called, 1);
}

// It is called at the job's end, when nobody can watch that any more.
TEST(this_task_stop_token, is_none_in_what_its_job_leaves_behind) {
  runtime rt({.workers = 1});
  std::optional<stop_callback<std::function<void()>>> left;
  std::optional<stop_token> of_the_end;
  rt.block_on(rt.spawn([&]() -> task<> {
    co_await scope([&](scope_ref s) -> task<> {
      s.spawn([&, s]() -> task<> {
        left.emplace(this_task::stop_token(), [&] { of_the_end = this_task::stop_token(); });
        s.stop();
        co_return;
      });
      co_return;
    });
  }));
  ASSERT_TRUE(of_the_end);
  EXPECT_FALSE(of_the_end->stop_possible());
}

// What spawn_blocking cannot interrupt, hears of it.
TEST(this_task_stop_token, tells_the_thread_that_its_job_waits_for) {
  runtime rt({.workers = 1});
  gate begun;
  auto waits = rt.spawn([&]() -> task<> {
    const auto until_stopped = [](stop_token t, gate* g) {
      gate stopped;
      const stop_callback told(t, [&stopped] { stopped.open(); });
      g->open();
      stopped.pass();
    };
    co_await spawn_blocking(until_stopped, this_task::stop_token(), &begun);
    co_await yield_now();
  });
  begun.pass();
  waits.stop();
  EXPECT_TRUE(rt.block_on(was_stopped(waits)));
}

TEST(this_task_stop_token, of_a_job_that_was_stopped_before_is_stopped) {
  runtime rt({.workers = 1});
  gate begun, go_on;
  bool seen = false;
  int called = 0;
  auto late = rt.spawn([&]() -> task<> {
    begun.open();
    go_on.pass();
    const stop_token token = this_task::stop_token();
    seen = token.stop_requested();
    const stop_callback at_once(token, [&] { ++called; });
    co_return;
  });
  begun.pass();
  late.stop();
  go_on.open();
  static_cast<void>(rt.block_on(was_stopped(late)));
  EXPECT_TRUE(seen);
  EXPECT_EQ(called, 1);
}

TEST(this_task_stop_token, of_a_branch_is_stopped_when_that_is_cut_off) {
  testing::virtual_runtime rt;
  stop_token outer, inner;
  const auto waits = [](stop_token& out) -> task<> {
    out = this_task::stop_token();
    co_await sleep_for(1h);
  };
  rt.block_on(rt.spawn([&]() -> task<> {
    outer = this_task::stop_token();
    const auto late = co_await timeout(1ms, waits(inner));
    EXPECT_FALSE(late);
    EXPECT_TRUE(inner.stop_requested());
    EXPECT_FALSE(outer.stop_requested());
  }));
  EXPECT_FALSE(outer.stop_requested());
}

// A child that never waits is on no list, and nobody comes to tell it.
TEST(this_task_stop_token, of_a_child_that_never_waits_is_found_out_when_it_is_asked) {
  runtime rt({.workers = 2});
  gate begun;
  int called = 0;
  EXPECT_THROW(rt.block_on(rt.spawn([&]() -> task<> {
    co_await scope([&](scope_ref s) -> task<> {
      s.spawn([&]() -> task<> {
        const stop_token token = this_task::stop_token();
        const stop_callback told(token, [&] { ++called; });
        begun.open();
        while (!token.stop_requested()) {
        }
        co_return;
      });
      s.spawn([&]() -> task<> {
        begun.pass();
        throw std::runtime_error("planned");
        co_return;
      });
      co_return;
    });
  })),
               std::runtime_error);
  EXPECT_EQ(called, 1);
}

TEST(this_task_stop_token, a_stop_meets_the_first_call_and_the_end_and_is_told_once) {
  runtime rt({.workers = 2});
  struct story {
    std::atomic<int> called{0};
    std::atomic<bool> runs{false};
    stop_token token;
    std::optional<stop_callback<std::function<void()>>> told;
  };
  int stops = 0;
  for (int i = 0; i < 600; ++i) {
    story s;
    auto job = rt.spawn([&s, i]() -> task<> {
      s.runs = true;
      for (int n = i % 7 * 10; n != 0; --n) cpu_pause();
      s.token = this_task::stop_token();
      s.told.emplace(s.token, [&s] { ++s.called; });
      for (int n = i % 5; n != 0; --n) co_await yield_now();
      while (i % 4 == 1) co_await yield_now();
    });
    if (i % 8 != 0) {
      while (!s.runs) std::this_thread::yield();
    }
    for (int n = i % 11 * 10; n != 0; --n) cpu_pause();
    job.stop();
    const bool stopped = rt.block_on(was_stopped(job));
    const bool asked = s.told.has_value();
    if (asked && stopped) {
      EXPECT_TRUE(s.token.stop_requested());
    }
    const bool told = asked && s.token.stop_requested();
    s.told.reset();  // waits for a call that is under way
    EXPECT_EQ(s.called, told ? 1 : 0);
    stops += told;
  }
  EXPECT_GT(stops, 0);
}

#if WEFT_CENSUS
// Of a child that a stop finds as it gets in line for the first time: nobody else comes to call it.
class stops_at_the_last_moment final : public await_hook {
 public:
  explicit stops_at_the_last_moment(scope_ref s) noexcept : scope_(s) { install_await_hook(this); }
  ~stops_at_the_last_moment() { install_await_hook(nullptr); }
  void about_to_wait(job&) noexcept override {
    install_await_hook(nullptr);
    scope_.stop();
  }

 private:
  scope_ref scope_;
};

TEST(this_task_stop_token, callback_may_use_what_its_job_is_getting_in_line_for) {
  runtime rt({.workers = 1});
  event told;
  int called = 0;
  rt.block_on(rt.spawn([&]() -> task<> {
    co_await scope([&](scope_ref s) -> task<> {
      s.spawn([&, s]() -> task<> {
        const stop_callback tells(this_task::stop_token(), [&] {
          ++called;
          told.set();
        });
        const stops_at_the_last_moment hook(s);
        co_await told.wait();
        ADD_FAILURE() << "it was not stopped";
      });
      co_return;
    });
  }));
  EXPECT_EQ(called, 1);
  EXPECT_TRUE(told.is_set());
}

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
