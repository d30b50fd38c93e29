// What a thread had begun in the kernel before it was stuck: it ends at the next owner of the processor,
// in whatever way the thread is stuck. And what the next owner begins itself.
#include <gtest/gtest.h>
#include <poll.h>
#include <sched.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <fstream>
#include <span>
#include <string>
#include <thread>
#include <tuple>
#include <vector>

#include "weft/io/reader_writer.hpp"
#include "weft/net/tcp_test_support.hpp"
#include "weft/net/unix.hpp"
#include "weft/runtime/blocking.hpp"
#include "weft/runtime/futex.hpp"
#include "weft/runtime/runtime.hpp"
#include "weft/runtime/time.hpp"

// What runs in a child that has its parent's memory and thread-local storage.
#define WEFT_PLAIN __attribute__((no_sanitize("address", "thread", "undefined")))

namespace weft {
namespace {

using namespace std::chrono_literals;

enum class way { computes, waits, cannot_be_woken };
constexpr int limit_ms = 20'000;

/// Keeps a thread until somebody lets it go.
class hold {
 public:
  hold() {
    if (::pipe(ends_) != 0) std::abort();
  }
  hold(const hold&) = delete;
  ~hold() {
    ::close(ends_[0]);
    ::close(ends_[1]);
  }
  /// False: nobody did.
  bool stay(way how) {
    thread_ = ::syscall(SYS_gettid);
    switch (how) {
      case way::computes: {
        const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(limit_ms);
        while (!over_.load()) {
          if (std::chrono::steady_clock::now() > end) return false;
        }
        return true;
      }
      case way::waits:
        return wait_for(ends_[0]) == 0;
      case way::cannot_be_woken:
        return stay_in_the_kernel();
    }
    return false;
  }
  void let_go() {
    over_ = true;
    EXPECT_EQ(::write(ends_[1], "x", 1), 1);
  }
  /// How the kernel has the thread: R, S, D. '?': nobody is held yet.
  char state() const {
    std::ifstream file("/proc/self/task/" + std::to_string(thread_.load()) + "/stat");
    std::string all;
    std::getline(file, all);
    const auto name_end = all.rfind(") ");
    return name_end == all.npos ? '?' : all[name_end + 2];
  }

 private:
  static constexpr int stack_bytes = 64 * 1024;

  // Nothing but system calls.
  WEFT_PLAIN static int wait_for(int descriptor) {
    pollfd one = {descriptor, POLLIN, 0};
    for (;;) {
      const long n = ::syscall(SYS_poll, &one, 1, limit_ms);
      if (n == 1) return 0;
      if (n == 0 || errno != EINTR) return 1;
    }
  }
  WEFT_PLAIN static int child(void* descriptor) {
    ::syscall(SYS_exit, wait_for(*static_cast<int*>(descriptor)));
    return 0;
  }
  /// As in vfork: until the child ends the parent sleeps as if for a disk (D), and does nothing else that
  /// the kernel has for it meanwhile.
  bool stay_in_the_kernel() {
    std::vector<std::byte> stack(stack_bytes);
    const int pid =
        ::clone(&child, stack.data() + stack.size(), CLONE_VM | CLONE_VFORK | SIGCHLD, &ends_[0]);
    if (pid < 0) return false;
    int status = 0;
    while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
  }

  int ends_[2];
  std::atomic<bool> over_{false};
  std::atomic<long> thread_{0};
};

class handoff_kernel : public ::testing::TestWithParam<std::tuple<driver, way>> {
 protected:
  static driver io() { return std::get<0>(GetParam()); }
  static way how() { return std::get<1>(GetParam()); }
  void SetUp() override {
    std::string_view why;
    if (!detail::real_environment().make_driver(io(), &why)) GTEST_SKIP() << why;
  }
  /// Whether what the thread had begun is told of by way of that thread alone, and so not before it is let go.
  static bool is_told_late() { return how() == way::cannot_be_woken && io() == driver::io_uring; }
};
std::string name_of(const ::testing::TestParamInfo<std::tuple<driver, way>>& of) {
  constexpr const char* ways[] = {"computes", "waits", "cannot_be_woken"};
  const auto [io, how] = of.param;
  return net::test::driver_name({io, of.index}) + "_" + ways[static_cast<int>(how)];
}
INSTANTIATE_TEST_SUITE_P(all, handoff_kernel,
                         ::testing::Combine(net::test::all_drivers_of_files,
                                            ::testing::Values(way::computes, way::waits,
                                                              way::cannot_be_woken)),
                         name_of);

using stream = net::unix_stream;

constexpr std::size_t more_than_fits = 4 << 20;

task<bool> reads(stream* s, std::size_t bytes) {
  std::vector<std::byte> in(bytes);
  const auto n = co_await io::read_exact(*s, in);
  co_return n.has_value() && *n == bytes;
}
task<bool> writes(stream* s, std::size_t bytes) {
  const std::vector<std::byte> out(bytes);
  const auto done = co_await io::write_all(*s, out);
  co_return done.has_value();
}
task<bool> waits_for(std::atomic<std::uint32_t>* word) {
  while (word->load() == 0) co_await futex_wait(*word, 0u);
  co_return true;
}
task<bool> sleeps() {
  co_await sleep_for(2ms);
  co_return true;
}
task<int> joined(std::vector<join_handle<bool>>* all) {
  int wrong = 0;
  for (auto& one : *all) {
    const bool right = co_await one;
    if (!right) ++wrong;
  }
  co_return wrong;
}

/// By the next owner, while the other thread is held.
task<int> makes_them_end(stream* for_reader, stream* for_writer, std::atomic<std::uint32_t>* word,
                         hold* let_go_first) {
  const bool written = co_await writes(for_reader, 1);
  if (let_go_first != nullptr) let_go_first->let_go();
  const bool read = co_await reads(for_writer, more_than_fits);
  word->store(1);
  futex_wake(*word, 1);
  co_return (written ? 0 : 1) + (read ? 0 : 1);
}

TEST_P(handoff_kernel, what_the_thread_had_begun_ends) {
  hold held;
  const auto test = [&]() -> task<int> {
    auto a = *stream::pair();
    auto b = *stream::pair();
    std::atomic<std::uint32_t> word{0};
    std::vector<join_handle<bool>> begun;
    begun.push_back(spawn(reads, &a.first, std::size_t{1}));
    begun.push_back(spawn(writes, &b.first, more_than_fits));
    begun.push_back(spawn(waits_for, &word));
    begun.push_back(spawn(sleeps));
    co_await yield_now();  // by the one worker, so by the thread that is held now
    auto stuck = spawn([&held] { return held.stay(how()); });
    auto others =
        spawn(makes_them_end, &a.second, &b.second, &word, is_told_late() ? &held : nullptr);
    int wrong = co_await joined(&begun);
    if (!is_told_late()) held.let_go();
    wrong += co_await others;
    const bool was_let_go = co_await stuck;
    co_return wrong + (was_let_go ? 0 : 1);
  };
  runtime rt({.workers = 1, .io = io(), .report_stuck = false});
  EXPECT_EQ(rt.block_on(rt.spawn(test)), 0);
  EXPECT_GE(rt.metrics().handoffs, 1u) << "it was about nothing";
}

/// Not with a limit of time on it: nothing but a wake from another thread ends that sleep.
task<int> is_woken_from_outside(int times) {
  int woken = 0;
  for (int i = 0; i < times; ++i) woken += co_await spawn_blocking([] { return 1; });
  co_return woken;
}

TEST_P(handoff_kernel, next_owner_is_woken_and_begins_anew) {
  hold held;
  const auto test = [&]() -> task<int> {
    co_await yield_now();
    auto stuck = spawn([&held] { return held.stay(how()); });
    auto a = *stream::pair();
    auto reader = spawn(reads, &a.first, std::size_t{1});  // so it sleeps in the driver
    const int woken = co_await is_woken_from_outside(20);
    EXPECT_EQ(woken, 20);
    const bool slept = co_await sleeps();
    const bool written = co_await writes(&a.second, 1);
    const bool read = co_await reader;
    EXPECT_TRUE(slept && written && read);
    if (how() == way::cannot_be_woken) {
      EXPECT_EQ(held.state(), 'D');
    } else if (how() == way::waits) {
      EXPECT_EQ(held.state(), 'S');
    }
    held.let_go();
    const bool was_let_go = co_await stuck;
    co_return was_let_go ? 0 : 1;
  };
  runtime rt({.workers = 1, .io = io(), .report_stuck = false});
  EXPECT_EQ(rt.block_on(rt.spawn(test)), 0);
  EXPECT_GE(rt.metrics().handoffs, 1u) << "it was about nothing";
}

}  // namespace
}  // namespace weft
