// For tests of drivers without a runtime: a scheduler of one thread, requests as awaitables, and
// plain blocking sockets for the other end.
#pragma once

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <mutex>
#include <span>
#include <string>
#include <utility>

#include "weft/base/time.hpp"
#include "weft/io/driver.hpp"
#include "weft/os/clock.hpp"
#include "weft/task/join_handle.hpp"

namespace weft::io::test {

/// Runs jobs on the thread that calls run(), and waits in a driver when there are none.
class loop final : public scheduler {
 public:
  explicit loop(driver& d) : io(d) {}
  ~loop() { EXPECT_EQ(alive_, 0); }

  void schedule(job& ready, wake_kind) noexcept override {
    if (inline_) return ready.run();  // the contract allows it; tests use it to run inside wait()
    {
      std::lock_guard held(lock_);
      queue_.push(ready);
    }
    if (std::this_thread_id() != runner_) io.wake();
  }
  void enlist(job&) noexcept override { ++alive_; }
  void retire(job&) noexcept override { --alive_; }

  template <class F, class... A>
  auto spawn(F f, A&&... args) {
    auto& made = make_job(*this, f, std::forward<A>(args)...);
    launch(made);
    return join_handle<detail::spawned_value_t<F, std::decay_t<A>...>>(made);
  }

  /// Runs until `done()`; a wait for ever is a failed test.
  void run_until(const std::function<bool()>& done) {
    const std::int64_t limit = os::monotonic_ns() + 20'000'000'000;
    while (!done()) {
      if (job* next = pop()) {
        next->refill_budget(128);
        next->run();
        continue;
      }
      io.wait(limit);
      if (os::monotonic_ns() >= limit) {
        std::fprintf(stderr, "a driver test waits for ever: %d jobs are alive\n", alive_);
        std::abort();
      }
    }
  }
  void run() {
    run_until([this] { return alive_ == 0; });
  }
  /// Runs what can run now, without waiting.
  void settle() {
    for (int quiet = 0; quiet < 3;) {
      if (job* next = pop()) {
        next->run();
        quiet = 0;
      } else {
        quiet = io.wait(0) == 0 ? quiet + 1 : 0;
      }
    }
  }
  /// Jobs run inside of schedule(), that is, inside of wait().
  void run_inline(bool on) { inline_ = on; }

  driver& io;

 private:
  job* pop() {
    std::lock_guard held(lock_);
    return queue_.pop();
  }
  std::mutex lock_;
  intrusive_queue<job, &job::next> queue_;
  int alive_ = 0;
  bool inline_ = false;
  const pthread_t runner_ = pthread_self();
};

/// What a job awaits: gives the driver's answer.
class request final : public awaitable_operation<request, io_operation> {
 public:
  request(io_code c, io_handle& h) noexcept {
    code = c;
    handle = &h;
  }
  std::coroutine_handle<> start(promise_base& waiter) noexcept {
    auto& home = static_cast<loop&>(waiter.owner()->home());
    switch (home.io.submit(*this, waiter)) {
      case submitted::done: return ready_at_once(*this, waiter);
      case submitted::pending: return std::noop_coroutine();
      case submitted::stopped: return unwind(waiter);
    }
    std::abort();
  }
  std::int64_t await_resume() const noexcept { return answer; }
};

inline request accept(io_handle& listener) { return request(io_code::accept, listener); }
inline request connect(io_handle& h, os::socket_address& to) {
  struct filled {};
  request r(io_code::connect, h);
  r.address = &to;
  return r;
}

}  // namespace weft::io::test
