// A thread that is held, in each of the ways in which one can be stuck, until somebody lets it go; and how
// late what goes on beside it may be on this machine.
#pragma once

#include <gtest/gtest.h>
#include <poll.h>
#include <sched.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdlib>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "weft/base/config.hpp"

// What runs in a child that has its parent's memory and thread-local storage.
#define WEFT_PLAIN __attribute__((no_sanitize("address", "thread", "undefined")))

namespace weft::test_support {

enum class way { computes, waits, cannot_be_woken };
/// nullptr: it can be tried here.
inline const char* why_not(way how) {
  return how == way::cannot_be_woken && WEFT_TSAN
             ? "ThreadSanitizer takes a vfork for a fork, and allows no new threads after it"
             : nullptr;
}
/// Keeps a thread until somebody lets it go.
class hold {
 public:
  using clock = std::chrono::steady_clock;

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
    since_ = clock::now();
    thread_ = ::syscall(SYS_gettid);
    switch (how) {
      case way::computes: {
        const auto end = clock::now() + std::chrono::milliseconds(limit_ms);
        while (!over_.load()) {
          if (clock::now() > end) return false;
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
  bool is_held() const { return thread_ != 0; }
  /// Once somebody is.
  clock::time_point since() const { return is_held() ? since_ : clock::time_point(); }
  /// How the kernel has the thread: R, S, D. '?': nobody is held yet.
  char state() const {
    std::ifstream file("/proc/self/task/" + std::to_string(thread_.load()) + "/stat");
    std::string all;
    std::getline(file, all);
    const auto name_end = all.rfind(") ");
    return name_end == all.npos ? '?' : all[name_end + 2];
  }

 private:
  static constexpr int limit_ms = 20'000;
  static constexpr int stack_bytes = 64 * 1024;

  // Nothing but system calls.
  WEFT_PLAIN static int wait_for(int descriptor) {
    pollfd one = {descriptor, POLLIN, 0};
    for (;;) {
      timespec limit = {limit_ms / 1000, 0};
      const long n = ::syscall(SYS_ppoll, &one, 1, &limit, nullptr, 0);
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
  clock::time_point since_;  // published by thread_
  std::atomic<long> thread_{0};
};

/// A plain thread that sleeps for a millisecond again and again: what the machine does to that one is not the
/// runtime's doing.
class plain_beat {
 public:
  using ms = std::chrono::duration<double, std::milli>;

  plain_beat() : thread_([this] { beat(); }) {}
  ~plain_beat() {
    if (thread_.joinable()) worst();
  }
  plain_beat(const plain_beat&) = delete;
  /// How late it was at worst. Ends it.
  ms worst() {
    over_ = true;
    thread_.join();
    return worst_;
  }

 private:
  void beat() {
    while (!over_) {
      const auto due = hold::clock::now() + std::chrono::milliseconds(1);
      std::this_thread::sleep_until(due);
      worst_ = std::max(worst_, ms(hold::clock::now() - due));
    }
  }

  ms worst_{0};
  std::atomic<bool> over_{false};
  std::thread thread_;
};

/// What is late because of one that is stuck: as tests/heartbeat has it.
inline plain_beat::ms late_at_most(std::chrono::milliseconds preempt_after,
                                   plain_beat::ms machine) {
  constexpr double period_ms = 2.5;
  constexpr double slack_ms = 15;
  return preempt_after + plain_beat::ms(2 * period_ms + slack_ms) + 2 * machine;
}

inline const char* name_of(way how) {
  switch (how) {
    case way::computes:
      return "computes";
    case way::waits:
      return "waits";
    case way::cannot_be_woken:
      return "cannot_be_woken";
  }
  __builtin_unreachable();
}

}  // namespace weft::test_support
