// wait_queue_test_support: a semaphore and an event, as plain as they can be on a wait_queue.
#pragma once

#include "weft/task/promise.hpp"
#include "weft/task/wait_queue.hpp"

namespace weft::test_support {

class test_semaphore {
 public:
  explicit test_semaphore(int permits) noexcept : permits_(permits) {}

  class acquiring final : public awaitable_operation<acquiring, wait_queue::waiter> {
   public:
    explicit acquiring(test_semaphore& s) noexcept : semaphore_(s) {}
    std::coroutine_handle<> start(promise_base& who) noexcept {
      if (semaphore_.take()) return ready_at_once(*this, who);
      for (;;) {
        switch (semaphore_.queue_.add_if(
            *this, who, [this] { return semaphore_.permits_.load(order::seq_cst) == 0; })) {
          case wait_queue::add_result::waiting:
            return std::noop_coroutine();
          case wait_queue::add_result::granted:
            return who.handle();
          case wait_queue::add_result::stopped:
            return unwind(who);
          case wait_queue::add_result::not_needed:
            break;
        }
        if (semaphore_.take()) return who.handle();
      }
    }
    void await_resume() const noexcept {}
    const char* what() const noexcept override { return "acquire"; }

   private:
    test_semaphore& semaphore_;
  };
  acquiring acquire() noexcept { return acquiring(*this); }

  void release() {
    permits_.fetch_add(1, order::seq_cst);
    while (!queue_.empty()) {
      if (!take()) return;
      if (queue_.wake_one()) return;
      permits_.fetch_add(1, order::seq_cst);
    }
  }
  int permits() const noexcept { return permits_.load(order::relaxed); }
  wait_queue& queue() noexcept { return queue_; }

 private:
  bool take() noexcept {
    int seen = permits_.load(order::seq_cst);
    while (seen > 0) {
      if (permits_.compare_exchange(seen, seen - 1, order::seq_cst, order::seq_cst)) return true;
    }
    return false;
  }
  atomic<int> permits_;
  wait_queue queue_;
};

class test_event {
 public:
  class waiting final : public awaitable_operation<waiting, wait_queue::waiter> {
   public:
    explicit waiting(test_event& e) noexcept : event_(e) {}
    std::coroutine_handle<> start(promise_base& who) noexcept {
      switch (
          event_.queue_.add_if(*this, who, [this] { return !event_.set_.load(order::seq_cst); })) {
        case wait_queue::add_result::waiting:
          return std::noop_coroutine();
        case wait_queue::add_result::stopped:
          return unwind(who);
        default:
          return who.handle();
      }
    }
    void await_resume() const noexcept {}
    const char* what() const noexcept override { return "event"; }

   private:
    test_event& event_;
  };
  waiting wait() noexcept { return waiting(*this); }
  void set() {
    set_.store(true, order::seq_cst);
    queue_.wake_all();
  }

 private:
  atomic<bool> set_{false};
  wait_queue queue_;
};

}  // namespace weft::test_support
