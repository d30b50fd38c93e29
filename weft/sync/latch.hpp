// latch: counts down to nothing, once; who waits goes on then.
//
//   weft::latch done(3);
//   done.count_down();            // in each of three jobs
//   co_await done.wait();
//
//   Threads   any; a plain thread waits by weft::block_on(done.wait())
//   Cost      count_down(): one subtraction; wait() at zero: a load
//   Cancel    a stopped wait() has had no effect
//   Memory    24 bytes; no allocation per wait
//   Lifetime  who has waited may destroy it, even while the last count_down() returns
//   After     std::latch
//   Protocol  top of latch.cpp
#pragma once

#include <cstddef>

#include "weft/task/wait_list.hpp"

namespace weft {

class latch {
 public:
  class waiting;

  explicit latch(std::size_t count) noexcept : list_(count) {
    WEFT_ASSERT(count <= count_max, "a latch counts from count_max at most");
  }
  static constexpr std::size_t count_max = wait_list::state_max >> 1;

  /// What was written before is seen by whom the last one lets through.
  void count_down(std::size_t n = 1) noexcept;
  [[nodiscard("co_await it")]] waiting wait() noexcept;
  /// Whether it is at zero.
  [[nodiscard]] bool try_wait() const noexcept {
    const word seen = look();
    return WEFT_UNLIKELY(wait_list::is_held(seen)) ? look_when_free() : is_open(seen);
  }
  /// count_down(), and then wait(). It counts although the wait may be stopped.
  [[nodiscard("co_await it")]] waiting arrive_and_wait(std::size_t n = 1) noexcept;

 private:
  friend class waiting;
  using word = wait_list::word;
  static constexpr word owed = count_max + 1;  // of the state: see latch.cpp

  word look() const noexcept {
    return list_.load(WEFT_MUTATE("latch.look.relaxed", order::acquire, order::relaxed));  // P1
  }
  bool look_when_free() const noexcept;
  /// All have counted, and nobody touches it any more.
  static bool is_open(word seen) noexcept { return seen == wait_list::calm(0); }
  void count_down_beside(word seen, std::size_t n) noexcept;
  static void assert_counts(std::size_t left, std::size_t n) noexcept {
    WEFT_ASSERT(n <= left, "a latch was counted down more often than it was made for");
  }
  wait_list list_;  // its state: what is left
};

class [[nodiscard("co_await it")]] latch::waiting final : public wait_list_operation<waiting> {
 public:
  explicit waiting(latch& l) noexcept : wait_list_operation(l.list_), latch_(l) {}
  bool try_now(job&) const noexcept { return is_open(latch_.look()); }
  bool take(wait_list::hold& held, job&, wait_list::list&) const noexcept {
    return held.state() == 0 &&
           WEFT_MUTATE("latch.opens_before_the_line_is_called", held.empty(), true);
  }
  bool left(wait_list::hold& held, wait_list::list&) noexcept override;
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
  // Acquire, too: the last one hands on what the others wrote.
  const word seen =
      list_.subtract(n, WEFT_MUTATE("latch.count.relaxed", order::acq_rel, order::relaxed));  // P1
  assert_counts(wait_list::state_of(seen), n);
  if (wait_list::is_calm(seen)) return;  // the last access
  count_down_beside(seen, n);
}

}  // namespace weft
