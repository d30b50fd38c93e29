// latch: counts down to nothing, once; who waits goes on then.
//
//   weft::latch done(3);
//   done.count_down();            // in each of three jobs
//   co_await done.wait();
//
//   Threads   any; a plain thread waits by weft::block_on(done.wait())
//   Cost      count_down(): one compare-exchange; wait() at zero: a load
//   Cancel    a stopped wait() has had no effect
//   Memory    24 bytes; no allocation per wait
//   Lifetime  who has waited may destroy it, even while the last count_down() returns
//   After     std::latch
#pragma once

#include <cstddef>

#include "weft/task/wait_list.hpp"

namespace weft {

class latch {
 public:
  class waiting;

  explicit latch(std::size_t count) noexcept : list_(count) {
    WEFT_ASSERT(count <= wait_list::state_max, "a latch cannot count that far");
  }
  /// What was written before is seen by whom the last one lets through.
  void count_down(std::size_t n = 1) noexcept;
  [[nodiscard("co_await it")]] waiting wait() noexcept;
  /// Whether it is at zero.
  [[nodiscard]] bool try_wait() const noexcept {
    return wait_list::state_of(
               list_.load(WEFT_MUTATE("latch.look.relaxed", order::acquire, order::relaxed))) == 0;
  }
  /// count_down(), and then wait(). It counts although the wait may be stopped.
  [[nodiscard("co_await it")]] waiting arrive_and_wait(std::size_t n = 1) noexcept;

 private:
  friend class waiting;
  void count_down_for_waiters(std::size_t n) noexcept;
  static void assert_counts(std::size_t left, std::size_t n) noexcept {
    WEFT_ASSERT(n <= left, "a latch was counted down more often than it was made for");
  }
  wait_list list_;  // its state: what is left
};

class [[nodiscard("co_await it")]] latch::waiting final : public wait_list_operation<waiting> {
 public:
  explicit waiting(latch& l) noexcept : wait_list_operation(l.list_), latch_(l) {}
  bool try_now(job&) const noexcept { return latch_.try_wait(); }
  bool take(wait_list::hold& held, job&, wait_list::list&) const noexcept {
    return held.state() == 0;
  }
  void await_resume() const noexcept {}
  const char* what() const noexcept override { return "latch"; }

 private:
  latch& latch_;
};

inline latch::waiting latch::wait() noexcept { return waiting(*this); }
inline latch::waiting latch::arrive_and_wait(std::size_t n) noexcept {
  count_down(n);
  return waiting(*this);
}
inline void latch::count_down(std::size_t n) noexcept {
  wait_list::word seen = list_.load(order::relaxed);
  while (wait_list::is_calm(seen)) {
    const std::size_t left = wait_list::state_of(seen);
    assert_counts(left, n);
    // Acquire, too: the last one hands on what the others wrote.
    if (list_.change(seen, left - n,
                     WEFT_MUTATE("latch.count.relaxed", order::acq_rel, order::relaxed))) {
      return;  // the last access
    }
  }
  count_down_for_waiters(n);
}

}  // namespace weft
