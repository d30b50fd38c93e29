// What becomes of an exception at each kind of boundary: it is rethrown as it was to whoever waits, all are
// in a failure_log with the job that they came out of, and one that nobody waits for is a panic.
#include "weft/task/failures.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "weft/runtime/block_on.hpp"
#include "weft/runtime/blocking.hpp"
#include "weft/runtime/runtime.hpp"
#include "weft/runtime/time.hpp"
#include "weft/task/ok.hpp"
#include "weft/task/shield_scope.hpp"
#include "weft/testing/virtual_time.hpp"
#include "weft/together/fork_join.hpp"
#include "weft/together/generator.hpp"
#include "weft/together/join_set.hpp"
#include "weft/together/parallel.hpp"
#include "weft/together/race.hpp"
#include "weft/together/scope.hpp"
#include "weft/together/stream.hpp"
#include "weft/together/when_all.hpp"

namespace weft {
namespace {

using namespace std::chrono_literals;

/// An exception of the user's own.
class mishap : public std::exception {
 public:
  explicit mishap(int n) : n_(n), what_("mishap " + std::to_string(n)) {}
  const char* what() const noexcept override { return what_.c_str(); }
  int number() const noexcept { return n_; }

 private:
  int n_;
  std::string what_;
};

task<> fails(int n, std::chrono::milliseconds after = 0ms) {
  const shield_scope shield;  // so that the first failure does not keep the others from theirs
  if (after != 0ms) co_await sleep_for(after);
  throw mishap(n);
}

/// What is thrown by `op`, 0 if nothing is.
template <class A>
task<int> thrown_by(A& op) {
  int number = 0;
  try {
    co_await op;
  } catch (const mishap& e) {
    number = e.number();
  }
  co_return number;
}

std::string told(const failure_log& log) {
  std::string all;
  for (const failure& f : log.all()) all += f.what() + "|" + f.job_name + " ";
  return all;
}

class failures_test : public ::testing::Test {
 protected:
  testing::virtual_runtime rt;
};

TEST_F(failures_test, of_a_joined_job_goes_to_the_joiner_and_its_origin_is_known) {
  rt.block_on([]() -> task<> {
    failure_log log;
    auto child = spawn({.name = "child"}, fails, 3, 0ms);
    auto op = log.around(child);
    const int thrown = co_await thrown_by(op);
    EXPECT_EQ(thrown, 3);
    EXPECT_EQ(log.size(), 1u);
    EXPECT_EQ(log.all().at(0).job, child.id());
    EXPECT_EQ(told(log), "mishap 3|child ");
  }());
}

TEST_F(failures_test, of_children_of_a_scope_the_first_is_thrown_and_all_are_in_the_log) {
  rt.block_on([]() -> task<> {
    failure_log log;
    const auto body = [](scope_ref s) -> task<> {
      s.spawn({.name = "late"}, fails, 1, 20ms);
      s.spawn({.name = "early"}, fails, 2, 10ms);
      s.spawn({.name = "coded"}, []() -> task<result<void>> {
        const shield_scope shield;
        co_await sleep_for(30ms);
        co_return std::unexpected(make_error_code(errc::closed));
      });
      co_return;
    };
    auto inner = scope(body);
    auto op = log.around(inner);
    const int thrown = co_await thrown_by(op);
    EXPECT_EQ(thrown, 2);
    const auto all = log.all();
    EXPECT_EQ(all.size(), 3u);
    if (all.size() != 3) co_return;
    EXPECT_EQ(all[0].what() + all[0].job_name, "mishap 2early");
    EXPECT_EQ(all[1].what() + all[1].job_name, "mishap 1late");
    EXPECT_EQ(all[2].job_name, "coded");
    EXPECT_NE(all[0].job, all[1].job);
    try {
      std::rethrow_exception(all[2].error);
    } catch (const error& e) {
      EXPECT_EQ(e.code(), errc::closed);
    }
  }());
}

TEST_F(failures_test, of_clean_up_is_a_failure_of_the_scope) {
  rt.block_on([]() -> task<> {
    failure_log log;
    const auto body = [](scope_ref s) -> task<> {
      s.on_exit(fails, 2, 0ms);
      s.on_exit(fails, 1, 0ms);
      co_return;
    };
    auto inner = scope(body);
    auto op = log.around(inner);
    const int thrown = co_await thrown_by(op);
    EXPECT_EQ(thrown, 1) << "the last one registered runs first";
    EXPECT_EQ(log.size(), 2u);
  }());
}

TEST_F(failures_test, of_a_join_set_are_outcomes) {
  rt.block_on([]() -> task<> {
    std::string seen;
    co_await with_join_set<void>([&](join_set<void>& set) -> task<> {
      set.spawn(fails, 2, 20ms);
      set.spawn(fails, 1, 10ms);
      for (auto next = co_await set.next(); next; next = co_await set.next()) {
        seen += failure{next->exception(), 0, ""}.what() + " ";
      }
    });
    EXPECT_EQ(seen, "mishap 1 mishap 2 ");
  }());
}

TEST_F(failures_test, of_operands_the_first_in_time_is_thrown_and_all_are_in_the_log) {
  rt.block_on([]() -> task<> {
    failure_log log;
    auto a = fails(1, 20ms), b = fails(2, 10ms), c = fails(3, 30ms);
    auto inner = when_all(std::move(a), std::move(b), std::move(c));
    auto op = log.around(inner);
    const int thrown = co_await thrown_by(op);
    EXPECT_EQ(thrown, 2);
    EXPECT_EQ(log.size(), 3u);
    EXPECT_EQ(log.all().at(0).what(), "mishap 2");
    EXPECT_EQ(log.all().at(2).what(), "mishap 3");
  }());
}

TEST_F(failures_test, of_losers_of_a_race_are_in_the_log) {
  rt.block_on([]() -> task<> {
    failure_log log;
    auto a = fails(1, 20ms);
    auto b = sleep_for(5ms);
    auto inner = race(std::move(a), b);
    const auto won = co_await log.around(inner);
    EXPECT_EQ(won.index(), 1u);
    EXPECT_EQ(log.size(), 1u);
  }());
}

TEST_F(failures_test, of_branches_the_first_in_their_order_is_thrown_and_all_are_in_the_log) {
  rt.block_on([]() -> task<> {
    failure_log log;
    const auto a = [] { return fails(1, 20ms); };
    const auto b = [] { return fails(2, 10ms); };
    auto inner = fork_join(a, b);
    auto op = log.around(inner);
    const int thrown = co_await thrown_by(op);
    EXPECT_EQ(thrown, 1);
    EXPECT_EQ(log.size(), 2u);
    EXPECT_EQ(log.all().at(0).what(), "mishap 2");
  }());
}

TEST_F(failures_test, of_loops_is_thrown_and_in_the_log) {
  rt.block_on([]() -> task<> {
    const std::vector<int> numbers{0, 1, 2, 3};
    failure_log log;
    const auto plain = [](int n) {
      if (n == 2) throw mishap(n);
    };
    auto loop = parallel_for(numbers, plain);
    auto op = log.around(loop);
    const int thrown = co_await thrown_by(op);
    EXPECT_EQ(thrown, 2);
    EXPECT_EQ(log.size(), 1u);
    const auto waits = [](int n) { return fails(n + 10); };
    auto loop_of_tasks = parallel_for(numbers, waits);
    auto second = log.around(loop_of_tasks);
    const int thrown_then = co_await thrown_by(second);
    EXPECT_EQ(thrown_then, 10);
    EXPECT_EQ(log.size(), 2u);
  }());
}

TEST_F(failures_test, of_the_blocking_pool_and_of_generators_go_to_who_asks) {
  rt.block_on([]() -> task<> {
    auto work = spawn_blocking([] { throw mishap(4); });
    const int thrown = co_await thrown_by(work);
    EXPECT_EQ(thrown, 4);
    const auto numbers = []() -> generator<int> {
      co_yield 1;
      throw mishap(5);
    };
    int seen = 0;
    try {
      for (const int n : numbers()) seen += n;
    } catch (const mishap& e) {
      seen += 10 * e.number();
    }
    EXPECT_EQ(seen, 51);
  }());
}

TEST_F(failures_test, that_pass_several_boundaries_are_noted_once_where_they_began) {
  rt.block_on([]() -> task<> {
    failure_log log;
    const auto outer = [](scope_ref s) -> task<> {
      s.spawn({.name = "outer"}, []() -> task<> {
        co_await scope([](scope_ref inner) -> task<> {
          inner.spawn({.name = "inner"}, fails, 1, 0ms);
          co_return;
        });
      });
      co_return;
    };
    auto whole = scope(outer);
    auto op = log.around(whole);
    const int thrown = co_await thrown_by(op);
    EXPECT_EQ(thrown, 1);
    EXPECT_EQ(told(log), "mishap 1|inner ");
  }());
}

TEST_F(failures_test, beyond_the_bound_are_counted) {
  rt.block_on([]() -> task<> {
    failure_log log;
    const auto body = [](scope_ref s) -> task<> {
      for (int i = 0; i < 150; ++i) s.spawn(fails, i, 1ms);
      co_return;
    };
    auto whole = scope(body);
    auto op = log.around(whole);
    const int thrown = co_await thrown_by(op);
    EXPECT_EQ(thrown, 0);
    EXPECT_EQ(log.size(), 150u);
    EXPECT_EQ(log.all().size(), failure_log::failures_max);
  }());
}

TEST_F(failures_test, log_may_go_before_what_was_started_in_it) {
  rt.block_on([]() -> task<> {
    std::optional<join_handle<>> later;
    {
      failure_log log;
      const auto starts = [](std::optional<join_handle<>>& place) -> task<> {
        place.emplace(spawn([]() -> task<> {
          co_await scope([](scope_ref s) -> task<> {
            s.spawn(fails, 1, 10ms);
            co_return;
          });
        }));
        co_return;
      };
      auto op = starts(later);
      co_await log.around(op);
      EXPECT_EQ(log.size(), 0u);
    }
    const int thrown = co_await thrown_by(*later);
    EXPECT_EQ(thrown, 1);
  }());
}

void detached_panics(panic_policy policy) {
  runtime rt({.workers = 1, .on_panic = policy});
  rt.spawn({.name = "left alone"}, [] {
      try {
        throw error(make_error_code(errc::too_large), "upload");
      } catch (...) {
        std::throw_with_nested(mishap(9));
      }
    }).detach();
  rt.block_on(sleep_for(1ms));
  static_cast<void>(rt.shutdown(10s));
}

TEST(panic_death_test, of_a_detached_job_aborts_and_says_what_where_and_why) {
  EXPECT_DEATH(detached_panics(panic_policy::abort),
               "job [0-9]+ 'left alone' ended by an exception that nobody joined: mishap 9\n"
               "weft:   caused by: upload.*\n"
               "weft:   raised at .*failures_test.cpp:[0-9]+");
}

TEST(panic, is_logged_if_that_is_the_policy) {
  ::testing::internal::CaptureStderr();
  detached_panics(panic_policy::log);
  const std::string said = ::testing::internal::GetCapturedStderr();
  EXPECT_NE(said.find("'left alone' ended by an exception that nobody joined: mishap 9"),
            std::string::npos)
      << said;
}

TEST(panic, of_a_handle_that_goes_with_an_exception_in_it) {
  ::testing::internal::CaptureStderr();
  {
    runtime rt({.workers = 1, .on_panic = panic_policy::log});
    rt.block_on([]() -> task<> {
      auto dropped = spawn({.name = "dropped"}, fails, 6, 0ms);
      while (!dropped.done()) co_await yield_now();
    }());
  }
  const std::string said = ::testing::internal::GetCapturedStderr();
  EXPECT_NE(said.find("'dropped' ended by an exception that nobody joined: mishap 6"),
            std::string::npos)
      << said;
}

TEST(panic_death_test, in_a_plain_threads_block_on_says_so_and_aborts) {
  EXPECT_DEATH(block_on([]() -> task<> {
                 spawn({.name = "alone"}, [] { throw mishap(7); }).detach();
                 co_await yield_now();
                 co_await yield_now();
               }()),
               "job [0-9]+ 'alone' ended by an exception that nobody joined: mishap 7");
}

/// Which of the library's or the language's checks finds it depends on the compiler: Clang hands such an
/// exception to the frame that is being destroyed.
TEST(panic_death_test, destructor_that_throws_ends_the_program) {
  struct bad {
    ~bad() noexcept(false) { throw mishap(8); }
  };
  EXPECT_DEATH(
      {
        testing::virtual_runtime rt;
        rt.block_on([]() -> task<> {
          auto stopped = spawn([]() -> task<> {
            const bad local;
            co_await sleep_for(1h);
          });
          co_await sleep_for(1ms);
          stopped.stop();
          static_cast<void>(co_await stopped.outcome());
        }());
      },
      "a destructor threw while the frame");
}

/// Nothing runs twice before that: not what waits for the frame, nor what is behind it.
TEST(panic_death_test, destructor_that_throws_ends_the_program_before_anything_goes_on) {
  struct bad {
    ~bad() noexcept(false) { throw mishap(8); }
  };
  struct says {
    ~says() { std::fputs("the outer frame went on\n", stderr); }
  };
  const auto inner = []() -> task<> {
    const bad local;
    co_await sleep_for(1h);
  };
  const auto run_it = [&] {
    std::set_terminate([] {
      std::fputs("terminated\n", stderr);
      std::abort();
    });
    testing::virtual_runtime rt;
    rt.block_on([](const auto& f) -> task<> {
      const says at_the_end;
      const auto timed = co_await timeout(1ms, f());
      static_cast<void>(timed);
    }(inner));
  };
  EXPECT_EXIT(run_it(), ::testing::KilledBySignal(SIGABRT),
              "^weft: a destructor threw[^\n]*\nterminated\n$");
}

/// The same where a frame is destroyed without a stop: of a stream that is left early, and behind ok().
struct throws_at_its_end {
  ~throws_at_its_end() noexcept(false) { throw mishap(9); }
};
void goes_on_once(int& times) {
  if (++times == 2) std::_Exit(3);
}
stream<int> left_early() {
  const throws_at_its_end local;
  for (int i = 0;; ++i) co_yield i;
}
task<result<int>> gives_up() {
  const throws_at_its_end local;
  const result<int> none = std::unexpected(std::make_error_code(std::errc::timed_out));
  co_return co_await ok(none);
}
TEST(panic_death_test, destructor_that_throws_in_a_stream_resumes_nobody_twice) {
  EXPECT_EXIT(block_on([]() -> task<> {
                int times = 0;
                auto numbers = left_early();
                const auto first = co_await numbers.next();
                static_cast<void>(first);
                goes_on_once(times);
              }()),
              ::testing::KilledBySignal(SIGABRT), "");
}
TEST(panic_death_test, destructor_that_throws_behind_ok_resumes_nobody_twice) {
  EXPECT_EXIT(block_on([]() -> task<> {
                int times = 0;
                const auto got = co_await gives_up();
                static_cast<void>(got);
                goes_on_once(times);
              }()),
              ::testing::KilledBySignal(SIGABRT), "");
}

}  // namespace
}  // namespace weft
