// signal: an event that resets itself, the least that a primitive on a wait_queue can be. What costs
// something in it is the queue's, so tests and benchmarks of waits and wakes use it.
#pragma once

#include <coroutine>
#include <cstdint>

#include "weft/base/atomic.hpp"
#include "weft/task/wait_queue.hpp"

namespace weft::test_support {

class signal {
 public:
  class waiting final : public awaitable_operation<waiting, wait_queue::waiter> {
   public:
    explicit waiting(signal& s) noexcept : signal_(s) {}
    std::coroutine_handle<> start(promise_base& who) noexcept {
      using result = wait_queue::add_result;
      for (;;) {
        if (signal_.take()) return ready_at_once(*this, who);
        const auto added = signal_.queue_.add_if(
            *this, who, [this] { return signal_.set_.load(order::seq_cst) == 0; });
        if (added == result::waiting) return std::noop_coroutine();
        if (added == result::stopped) return unwind(who);
        if (added == result::granted) return who.handle();
      }
    }
    void await_resume() const noexcept {}
    const char* what() const noexcept override { return "signal"; }

   private:
    signal& signal_;
  };
  waiting wait() noexcept { return waiting(*this); }
  void set() noexcept {
    set_.store(1, order::seq_cst);
    while (!queue_.empty() && take()) {
      if (queue_.wake_one()) return;
      set_.store(1, order::seq_cst);
    }
  }

 private:
  bool take() noexcept { return set_.exchange(0, order::seq_cst) != 0; }
  atomic<std::uint32_t> set_{0};
  wait_queue queue_;
};

}  // namespace weft::test_support
