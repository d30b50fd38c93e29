// task_test_support: the smallest scheduler, for tests of this layer: a queue under a mutex, run by
// whoever calls run_until_idle() or work().
#pragma once

#include <gtest/gtest.h>

#include <condition_variable>
#include <coroutine>
#include <exception>
#include <mutex>
#include <utility>
#include <vector>

#include "weft/base/intrusive_list.hpp"
#include "weft/task/current.hpp"
#include "weft/task/join_handle.hpp"
#include "weft/task/task.hpp"

namespace weft::test_support {

class test_executor final : public scheduler {
 public:
  static constexpr std::uint16_t budget = 64;

  void schedule(job& ready, wake_kind why) noexcept override {
    const std::lock_guard guard(mutex_);
    ready_.push(ready);
    if (why == wake_kind::yielded) ++yields_;
    changed_.notify_one();
  }
  void panicked(job&, std::exception_ptr error) noexcept override {
    const std::lock_guard guard(mutex_);
    panics_.push_back(std::move(error));
  }

  /// One job, until it suspends. False: none was ready.
  bool run_one() {
    job* const next = pop();
    if (next == nullptr) return false;
    run(*next);
    return true;
  }
  int run_until_idle() {
    int n = 0;
    while (run_one()) ++n;
    return n;
  }
  /// Runs jobs until quit(). For as many threads as wanted.
  void work() {
    for (;;) {
      job* next = nullptr;
      {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [&] { return quit_ || !ready_.empty(); });
        next = ready_.pop();
      }
      if (next == nullptr) return;
      run(*next);
    }
  }
  void quit() {
    const std::lock_guard guard(mutex_);
    quit_ = true;
    changed_.notify_all();
  }

  int yields() const noexcept { return yields_; }
  std::vector<std::exception_ptr>& panics() noexcept { return panics_; }

 private:
  job* pop() {
    const std::lock_guard guard(mutex_);
    return ready_.pop();
  }
  static void run(job& next) {
    next.refill_budget(budget);
    job* const before = exchange_current_job(&next);
    next.run();
    exchange_current_job(before);
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  intrusive_queue<job, &job::next> ready_;
  std::vector<std::exception_ptr> panics_;
  int yields_ = 0;
  bool quit_ = false;
};

/// A job in a test's hand: looked at, stopped, and its outcome taken when it has ended.
template <class T>
class started {
 public:
  explicit started(detail::root<T>& root) noexcept : root_(&root) { launch(root); }
  started(started&& other) noexcept : root_(std::exchange(other.root_, nullptr)) {}
  ~started() {
    if (root_ != nullptr) root_->drop();
  }
  job& operator*() const noexcept { return *root_; }
  job* operator->() const noexcept { return root_; }
  bool done() const noexcept { return root_->join.done(); }
  weft::outcome<T> outcome() {
    EXPECT_TRUE(done());
    root_->claimed = true;
    return weft::outcome<T>(*root_);
  }

 private:
  detail::root<T>* root_;
};

template <class F, class... A>
auto start(test_executor& on, F&& f, A&&... args) {
  return started(make_job(on, std::forward<F>(f), std::forward<A>(args)...));
}

/// Runs f(args...) as a job to its end.
template <class F, class... A>
auto run(F&& f, A&&... args) {
  test_executor executor;
  auto job = start(executor, std::forward<F>(f), std::forward<A>(args)...);
  executor.run_until_idle();
  return job.outcome();
}

/// An operation that the test completes by hand.
class gate;
class passing final : public awaitable_operation<passing> {
 public:
  explicit passing(gate& g) noexcept : gate_(g) {}
  std::coroutine_handle<> start(promise_base& waiter) noexcept;
  void await_resume() const noexcept {}
  void withdraw() noexcept override;
  const char* what() const noexcept override { return "gate"; }

 private:
  friend class gate;
  gate& gate_;
};
class gate {
 public:
  passing pass() noexcept { return passing(*this); }
  bool occupied() const noexcept { return inside_ != nullptr; }
  void open() { std::exchange(inside_, nullptr)->finish(false); }

 private:
  friend class passing;
  passing* inside_ = nullptr;
};
inline std::coroutine_handle<> passing::start(promise_base& waiter) noexcept {
  if (waiter.owner()->arm(*this, waiter) == job::arm_result::stopped) return unwind(waiter);
  gate_.inside_ = this;
  return std::noop_coroutine();
}
inline void passing::withdraw() noexcept {
  gate_.inside_ = nullptr;
  finish(true);
}

/// An operation that is always done at once.
class ready final : public awaitable_operation<ready> {
 public:
  ready() noexcept {}
  std::coroutine_handle<> start(promise_base& waiter) noexcept {
    return ready_at_once(*this, waiter);
  }
  int await_resume() const noexcept { return 1; }
  void withdraw() noexcept override {}
  const char* what() const noexcept override { return "ready"; }
};

}  // namespace weft::test_support
