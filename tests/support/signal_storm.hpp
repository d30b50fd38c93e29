// signal_storm: with WEFT_SIGNAL_STORM=1 in the environment each thread of a test program gets SIGURG many times
// a second, by a handler without SA_RESTART: system calls end with EINTR all the time, and nothing may come of it.
// The first region of a fiber (runtime/preemptible.hpp) installs weft's handler above it, and the kernel goes by the
// flags of that one, SA_RESTART: most calls are made again from then on. With WEFT_PREEMPT=off there is none, and
// they end to the last test. So programs with regions are run both ways. WEFT_SIGNAL_STORM=restart is a handler with
// SA_RESTART, for tests that make system calls of their own (quiet_poll.hpp has those that are not restarted).
#pragma once

#include <dirent.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string_view>
#include <thread>

namespace weft::test_support {

class signal_storm {
 public:
  /// nullptr: nobody asked for it.
  static std::unique_ptr<signal_storm> if_asked_for() {
    const char* const asked = std::getenv("WEFT_SIGNAL_STORM");
    if (asked == nullptr) return nullptr;
    return std::make_unique<signal_storm>(std::string_view(asked) == "restart" ? SA_RESTART : 0);
  }
  explicit signal_storm(int restart) {
    struct sigaction action = {};
    action.sa_handler = [](int) { handled_.fetch_add(1, std::memory_order_relaxed); };
    action.sa_flags = SA_ONSTACK | restart;  // fibers run here, too
    ::sigaction(SIGURG, &action, nullptr);
    threads_ = ::opendir("/proc/self/task");  // once: tests count descriptors
    thread_ = std::thread([this] { blow(); });
  }
  signal_storm(const signal_storm&) = delete;
  ~signal_storm() {
    over_ = true;
    thread_.join();
    ::closedir(threads_);
    std::printf("%ld signals were handled\n", handled_.load());
    if (handled_ < 100) std::_Exit(1);
  }

 private:
  void blow() {
    const auto mine = static_cast<pid_t>(::syscall(SYS_gettid));
    while (!over_) {
      ::rewinddir(threads_);
      while (const dirent* const e = ::readdir(threads_)) {
        const auto id = static_cast<pid_t>(std::atoi(e->d_name));
        if (id > 0 && id != mine) ::syscall(SYS_tgkill, ::getpid(), id, SIGURG);
      }
      std::this_thread::sleep_for(std::chrono::microseconds(100));  // the tests are to go on, too
    }
  }

  static inline std::atomic<long> handled_{0};
  DIR* threads_ = nullptr;
  std::thread thread_;
  std::atomic<bool> over_{false};
};

}  // namespace weft::test_support
