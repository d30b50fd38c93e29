// A runtime at its beginning and its end: what the system refuses, and who is still inside.
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "weft/base/config.hpp"
#include "weft/os/clock.hpp"
#include "weft/runtime/blocking.hpp"
#include "weft/runtime/environment.hpp"
#include "weft/runtime/runtime.hpp"
#include "weft/task/current.hpp"
#include "weft/task/join_handle.hpp"
#include "weft/task/shield_scope.hpp"
#include "weft/together/catch_stop.hpp"

namespace weft {
namespace {

/// The machine, but for its drivers.
class other_drivers : public detail::environment {
 public:
  std::int64_t now_ns() noexcept override { return os::monotonic_ns(); }
  bool skip_to(std::int64_t) noexcept override { return false; }
  bool is_virtual() const noexcept override { return false; }
  std::uint64_t seed() noexcept override { return 1; }
};

/// Does no I/O: it waits until it is woken.
class fake_driver : public io::driver {
 public:
  explicit fake_driver(std::string_view name) noexcept : name_(name) {}
  std::string_view name() const noexcept override { return name_; }
  result<io::io_handle> attach(os::fd) noexcept override {
    return std::unexpected(std::make_error_code(std::errc::not_supported));
  }
  void detach(void*, int) noexcept override {}
  io::submitted submit(io::io_operation&, promise_base&) noexcept override {
    return io::submitted::stopped;
  }
  void withdraw(io::io_operation&) noexcept override {}
  unsigned wait(std::int64_t deadline_ns, unsigned) noexcept override {
    if (deadline_ns > 0) rung_.wait(false);
    rung_ = false;
    return 0;
  }
  void wake() noexcept override {
    rung_ = true;
    rung_.notify_all();
  }
  bool idle() const noexcept override { return false; }

 private:
  std::string_view name_;
  std::atomic<bool> rung_{false};
};

/// What `automatic` comes to, processor by processor: descriptors and memory may run out between two, or come
/// back. A driver that is asked for by its name is there.
class few_drivers final : public other_drivers {
 public:
  explicit few_drivers(std::vector<driver> comes_to) noexcept : comes_to_(std::move(comes_to)) {}
  result<std::unique_ptr<io::driver>> make_driver(driver kind,
                                                  std::string_view* why) noexcept override {
    const bool told = kind != driver::automatic;
    if (!told) kind = comes_to_.at(asked_++);
    const char* const name = kind == driver::epoll      ? "epoll"
                             : kind == driver::io_uring ? "io_uring"
                                                        : "poll";
    *why = told                       ? "as told"
           : kind == driver::epoll    ? "all is there"
           : kind == driver::io_uring ? "no epoll was left"
                                      : "nothing else was left";
    return std::make_unique<fake_driver>(name);
  }

 private:
  std::vector<driver> comes_to_;
  std::size_t asked_ = 0;
};

// What the last in `automatic`'s order needs, all can have.
TEST(runtime_start, all_processors_have_the_same_kind_of_driver) {
  constexpr driver best = driver::epoll, second = driver::io_uring, last = driver::poll;
  const struct {
    std::vector<driver> comes_to;
    const char* name;
    const char* why;
  } worlds[] = {
      {{best, best, best}, "epoll", "all is there"},
      {{best, best, second}, "io_uring", "no epoll was left"},
      {{second, best}, "io_uring", "no epoll was left"},
      {{best, last}, "poll", "nothing else was left"},
      {{second, last}, "poll", "nothing else was left"},
      {{last, second}, "poll", "nothing else was left"},
  };
  for (const auto& each : worlds) {
    few_drivers world(each.comes_to);
    const runtime rt({.workers = 3}, world);
    EXPECT_EQ(rt.metrics().driver, each.name);
    EXPECT_EQ(rt.metrics().driver_reason, each.why);
  }
}

#if !WEFT_ASAN && !WEFT_TSAN  // they need more address space than there is
/// Room for the stacks of a few threads more.
void limit_address_space() {
  long pages = 0;
  std::FILE* const f = std::fopen("/proc/self/statm", "r");
  if (f == nullptr || std::fscanf(f, "%ld", &pages) != 1) std::_Exit(3);
  std::fclose(f);
  const rlim_t bytes = static_cast<rlim_t>(pages) * 4096 + (rlim_t{60} << 20);
  const rlimit limit{bytes, bytes};
  if (::setrlimit(RLIMIT_AS, &limit) != 0) std::_Exit(3);
}

TEST(runtime_start, misspelt_driver_in_the_environment_is_an_exception_that_names_those_there_are) {
  const char* const before = std::getenv("WEFT_DRIVER");
  const std::string kept = before != nullptr ? before : "";
  ASSERT_EQ(setenv("WEFT_DRIVER", "iouring", 1), 0);
  std::string said;
  try {
    const runtime rt({.workers = 1});
  } catch (const error& e) {
    said = e.what();
  }
  kept.empty() ? unsetenv("WEFT_DRIVER") : setenv("WEFT_DRIVER", kept.c_str(), 1);
  EXPECT_NE(said.find("WEFT_DRIVER"), std::string::npos) << said;
  EXPECT_NE(said.find("io_uring, epoll or poll"), std::string::npos) << said;
}

// A wait that was stopped has left its marks in it; and it is one call.
TEST(blocking_death_test, what_was_awaited_is_not_awaited_again) {
  const auto again = [](bool stopped) {
    runtime rt({.workers = 1, .io = driver::epoll, .max_blocking_threads = 1});
    rt.block_on([](bool stop_first) -> task<> {
      auto work = spawn_blocking([] { return 7; });
      if (stop_first) {
        auto first = [](auto& w) -> task<> {
          current_job()->stop();
          static_cast<void>(co_await w);
        }(work);
        const auto ended = co_await catch_stop(std::move(first));
        EXPECT_FALSE(ended);
        const shield_scope from_the_stop;
        static_cast<void>(co_await work);
      } else {
        static_cast<void>(co_await work);
        static_cast<void>(co_await work);
      }
    }(stopped));
  };
  EXPECT_DEATH(again(false), "was awaited twice; it is one call");
  EXPECT_DEATH(again(true), "was awaited twice; it is one call");
}

TEST(runtime_start_death_test, a_refused_thread_is_an_exception_and_ends_the_threads_before_it) {
  const auto too_many = [] {
    limit_address_space();
    few_drivers world(std::vector(200, driver::epoll));
    try {
      runtime rt({.workers = 200}, world);
      std::fputs("there was room for all\n", stderr);
    } catch (const error& e) {
      std::fprintf(stderr, "refused: %s\n", e.what());
      std::_Exit(e.code() == std::errc::resource_unavailable_try_again ? 0 : 2);
    }
    std::_Exit(1);
  };
  EXPECT_EXIT(too_many(), ::testing::ExitedWithCode(0), "refused: .*thread");
}
#endif

/// Notes on which threads it was told that it stays.
class told_to_stay final : public fake_driver {
 public:
  struct notes {
    std::mutex lock;
    std::vector<std::thread::id> threads;
  };
  explicit told_to_stay(notes& to) noexcept : fake_driver("stays"), notes_(to) {}
  void stay_on_one_thread() noexcept override {
    const std::lock_guard held(notes_.lock);
    notes_.threads.push_back(std::this_thread::get_id());
  }

 private:
  notes& notes_;
};
class drivers_told_to_stay final : public other_drivers {
 public:
  told_to_stay::notes told;
  result<std::unique_ptr<io::driver>> make_driver(driver, std::string_view* why) noexcept override {
    *why = "as told";
    return std::make_unique<told_to_stay>(told);
  }
};

TEST(runtime_start, a_driver_stays_on_its_workers_thread_with_per_core_and_else_changes_hands) {
  for (const auto mode : {scheduling::work_stealing, scheduling::per_core}) {
    drivers_told_to_stay world;
    {
      const runtime rt({.workers = 3, .mode = mode}, world);
    }
    std::vector<std::thread::id> threads = std::move(world.told.threads);
    std::sort(threads.begin(), threads.end());
    threads.erase(std::unique(threads.begin(), threads.end()), threads.end());
    EXPECT_EQ(threads.size(), mode == scheduling::per_core ? 3u : 0u);
    for (const auto& each : threads) EXPECT_NE(each, std::this_thread::get_id());
  }
}

/// A driver in whose wake() a foreign thread stays for a while, after the worker has been woken.
class slow_to_wake final : public fake_driver {
 public:
  slow_to_wake(std::atomic<bool>& slow, std::atomic<bool>& sleeping,
               std::atomic<bool>& left_behind) noexcept
      : fake_driver("slow"), slow_(slow), sleeping_(sleeping), left_behind_(left_behind) {}
  ~slow_to_wake() override {
    if (inside_ != 0) left_behind_ = true;
  }
  unsigned wait(std::int64_t deadline_ns, unsigned most) noexcept override {
    sleeping_ = deadline_ns > 0;
    const unsigned none = fake_driver::wait(deadline_ns, most);
    sleeping_ = false;
    return none;
  }
  void wake() noexcept override {
    ++inside_;
    const bool stays = slow_.exchange(false);
    fake_driver::wake();
    for (int i = 0; stays && i < 200 && !left_behind_; ++i) std::this_thread::yield();
    if (!left_behind_) --inside_;
  }

 private:
  std::atomic<bool>& slow_;
  std::atomic<bool>& sleeping_;
  std::atomic<bool>& left_behind_;
  std::atomic<int> inside_{0};
};

class one_slow_driver final : public other_drivers {
 public:
  result<std::unique_ptr<io::driver>> make_driver(driver, std::string_view* why) noexcept override {
    *why = "for a test";
    return std::make_unique<slow_to_wake>(slow, sleeping, left_behind);
  }
  std::atomic<bool> slow{false};
  std::atomic<bool> sleeping{false};
  std::atomic<bool> left_behind{false};
};

/// Waits until somebody calls happen().
class moment final : public awaitable_operation<moment> {
 public:
  moment() noexcept {}
  std::coroutine_handle<> start(promise_base& waiter) noexcept {
    if (waiter.owner()->arm(*this, waiter) == job::arm_result::stopped) return unwind(waiter);
    waits.store(true);
    waits.notify_all();
    return std::noop_coroutine();
  }
  void happen() noexcept { finish(false); }
  void withdraw() noexcept override {}
  const char* what() const noexcept override { return "moment"; }
  void await_resume() const noexcept {}
  std::atomic<bool> waits{false};
};

// Whoever ends the wait of a runtime's last job is still inside of it while that job ends, and the
// runtime with it.
TEST(runtime_end, waits_for_a_foreign_thread_that_wakes_its_last_job) {
  for (int round = 0; round < 20; ++round) {
    one_slow_driver world;
    std::thread foreign;
    {
      runtime rt({.workers = 1}, world);
      moment awaited;
      foreign = std::thread([&] {
        awaited.waits.wait(false);
        while (!world.sleeping) std::this_thread::yield();  // so that it has to be woken
        world.slow = true;
        awaited.happen();
      });
      const auto wait_for_it = [](moment& m) -> task<> { co_await m; };
      rt.block_on(wait_for_it(awaited));
    }
    EXPECT_FALSE(world.left_behind) << "the driver went while a thread was in its wake()";
    foreign.join();
  }
}

// The end of a runtime stops all jobs, in some order. Who goes on because the job that it joined was stopped
// first has made no mistake.
TEST(runtime_edge, a_detached_job_that_joins_a_stopped_one_at_the_end_is_no_panic) {
  ::testing::internal::CaptureStderr();
  std::atomic<bool> runs{false};
  {
    runtime rt({.workers = 2, .on_panic = panic_policy::log});
    rt.spawn([&runs]() -> task<> {
        runs = true;
        while (!this_task::stop_requested()) std::this_thread::yield();
        auto late = spawn([] {});  // stopped as it is made
        while (!late.done()) std::this_thread::yield();
        co_await late;
      }).detach();
    while (!runs) std::this_thread::yield();
  }
  EXPECT_EQ(::testing::internal::GetCapturedStderr(), "");
}

}  // namespace
}  // namespace weft
