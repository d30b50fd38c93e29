// Signals to all threads, all the time: each sleep of the library's ends for nothing now and then, each
// system call may fail with EINTR, and nothing comes of it.
#include <dirent.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <thread>
#include <utility>
#include <vector>

#include "weft/base/config.hpp"
#include "weft/runtime/block_on.hpp"
#include "weft/runtime/driven_test_support.hpp"
#include "weft/runtime/futex.hpp"

namespace weft {
namespace {

using namespace test;

using namespace std::chrono_literals;

constexpr auto limit = 20s;  // a bound for what takes some milliseconds
constexpr unsigned workers = 2;

std::atomic<long> handled{0};
std::atomic<int> storms{0};  // so far
std::atomic<int> threads_hit{0};
constinit thread_local int last_storm = 0;  // that hit this thread

void count_it(int) {
  handled.fetch_add(1, std::memory_order_relaxed);
  if (std::exchange(last_storm, storms.load()) != storms.load()) threads_hit.fetch_add(1);
}

/// As long as it lives, each thread of the process gets a signal many times a second, but for its own.
/// A round lasts until somebody has handled one: those that are pending merge, and where the machine is busy a
/// thousand rounds of mere sending would be a few signals.
class storm {
 public:
  storm() {
    handled = 0;
    threads_hit = 0;
    ++storms;
    struct sigaction action{};
    action.sa_handler = &count_it;  // without SA_RESTART
    ::sigaction(SIGURG, &action, &before_);
    thread_ = std::thread([this] {
      const auto mine = static_cast<pid_t>(::syscall(SYS_gettid));
      while (!over_) {
        const long before = handled;
        if (DIR* const all = ::opendir("/proc/self/task")) {
          while (const dirent* const e = ::readdir(all)) {
            const auto id = static_cast<pid_t>(std::atoi(e->d_name));
            if (id > 0 && id != mine) ::syscall(SYS_tgkill, ::getpid(), id, SIGURG);
          }
          ::closedir(all);
        }
        while (!over_ && handled == before) std::this_thread::yield();
        ++rounds_;
      }
    });
  }
  storm(const storm&) = delete;
  ~storm() {
    over_ = true;
    thread_.join();
    ::sigaction(SIGURG, &before_, nullptr);
  }
  /// Waits until it has blown for so many rounds, and has hit so many threads. False: it did not.
  bool has_blown(long rounds, int threads) const {
    const auto give_up_at = std::chrono::steady_clock::now() + limit;
    while (rounds_ < rounds || threads_hit < threads) {
      if (std::chrono::steady_clock::now() > give_up_at) return false;
      std::this_thread::yield();
    }
    return true;
  }

 private:
  struct sigaction before_{};
  std::thread thread_;
  std::atomic<bool> over_{false};
  std::atomic<long> rounds_{0};
};

class signal_storm : public net::test::on_each_driver {};
INSTANTIATE_TEST_SUITE_P(drivers, signal_storm, net::test::all_drivers, net::test::driver_name);

// Not who wakes first: with two workers that is the machine's business.
task<bool> sleeps_its_time(std::chrono::milliseconds d) {
  const auto begin = std::chrono::steady_clock::now();
  co_await sleep_for(d);
  co_return std::chrono::steady_clock::now() - begin >= d;
}
task<bool> sleep_beside_each_other() {
  auto a = spawn(sleeps_its_time, 20ms);
  auto b = spawn(sleeps_its_time, 10ms);
  const bool first = co_await a;
  const bool second = co_await b;
  co_return (first && second);
}

task<long> all_kinds() {
  long right = 0;
  const int back = co_await echo(20);
  right += back == 20 ? 1 : 0;
  const bool whole = co_await sleep_beside_each_other();
  right += whole ? 1 : 0;
  const long sum = co_await spawn_and_join(100);
  right += sum == 4950 ? 1 : 0;
  for (int i = 0; i < 20; ++i) {
    const int got = co_await spawn_blocking([i] { return i; });
    right += got == i ? 1 : 0;
  }
  co_return right;
}

TEST_P(signal_storm, changes_nothing) {
  runtime rt({.workers = workers, .io = GetParam()});
  const storm all;
  for (int i = 0; i < 5; ++i) {
    std::vector<std::thread> waiting;  // each sleeps until its job has ended, and not less
    std::atomic<int> right{0};
    for (int t = 0; t < 3; ++t) {
      waiting.emplace_back([&rt, &right] { right += rt.block_on(all_kinds()) == 23 ? 1 : 0; });
    }
    for (auto& w : waiting) w.join();
    ASSERT_EQ(right, 3);
  }
  // A sleep does not end early, whatever else does.
  const auto begin = std::chrono::steady_clock::now();
  rt.block_on(sleep_for(20ms));
  EXPECT_GE(std::chrono::steady_clock::now() - begin, 20ms);
  EXPECT_TRUE(all.has_blown(200, workers + 1)) << "of so many threads at least: " << threads_hit;
}

/// A wait on a word of the program's own, in a job and in a plain thread.
TEST_P(signal_storm, ends_no_wait_on_a_word) {
  runtime rt({.workers = workers, .io = GetParam()});
  const storm all;
  for (int i = 0; i < 20; ++i) {
    std::atomic<std::uint32_t> word{0};
    std::atomic<bool> ended{false};
    auto waits = rt.spawn([&word, &ended]() -> task<> {
      while (word.load() == 0) {
        auto op = futex_wait(word, 0);
        const auto woken = co_await op;
        static_cast<void>(woken);
      }
      ended = true;
    });
    for (int y = 0; y < 50; ++y) std::this_thread::yield();
    EXPECT_FALSE(ended);
    word = 1;
    futex_wake(word, 1);
    rt.block_on(waits);
  }
  EXPECT_TRUE(all.has_blown(20, workers + 1));
}

}  // namespace
}  // namespace weft
