// rate_limiter: so many tokens a second, and some in store. Who finds too few waits until they come.
//
//   weft::rate_limiter calls(100, 20);       // 100 a second, 20 at once if there was nothing for a while
//   co_await calls.acquire();                // or acquire(5): all five at once, or none
//   if (!calls.try_acquire()) co_return busy();
//
//   Fairness  FIFO. One that waits for many holds up those behind it, so that it gets them
//   Exact     what is there is reckoned from moments in whole numbers, not refilled now and then: n tokens
//             after it was empty are there n / rate later, to the nanosecond, and nothing drifts. A
//             limiter begins full
//   Threads   any. Waiting needs a job's clock, so a runtime: a plain thread waits by runtime::block_on()
//   Cost      tokens are there: the list is held for a few instructions. To wait: one timer, for the
//             first in line; nothing runs between
//   Cancel    a stopped acquire() has taken nothing, and who stood behind it moves up at once; one that
//             was given its tokens completes
//   Select    acquire() stands in a select as a job of its own does, for to lead the line is an effect that
//             others see. Tokens that it was given although another operand was first go back at once;
//             who leads the line by then keeps the moment that it has reckoned
//   Errors    more than the burst can never be had: an assertion says so
//   Memory    72 bytes; no allocation per wait
//   Lifetime  who has acquired may destroy it, when no select has an operand in it
//   Protocol  rate_limiter.cpp
//   After     the token bucket of traffic shaping (Turner, 1986)
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

#include "weft/base/chrono.hpp"
#include "weft/sync/token_bucket.hpp"
#include "weft/task/awaiter.hpp"
#include "weft/task/wait_list.hpp"
#include "weft/timer/timer_set.hpp"

namespace weft {

class rate_limiter {
 public:
  class acquiring;

  /// `rate` tokens each `per`, evenly; at most `burst` are kept.
  explicit rate_limiter(std::uint64_t rate, std::size_t burst = 1,
                        std::chrono::nanoseconds per = std::chrono::seconds(1)) noexcept
      : list_(nobody_first), bucket_(rate, burst, per.count()) {}

  /// Waits until there are `n` tokens, and takes them together. n <= burst()
  [[nodiscard("co_await it")]] acquiring acquire(std::size_t n = 1) noexcept;
  /// False: too few, or others wait for them. In a job. n <= burst()
  [[nodiscard]] bool try_acquire(std::size_t n = 1) noexcept;
  /// A moment's truth, for listings and tests. In a job.
  std::size_t available() noexcept;
  std::size_t burst() const noexcept { return bucket_.burst(); }

  // What an acquire() is made of, for it and its model.
  class turn;
  class clock_wait;

 private:
  static constexpr wait_list::word nobody_first = 0;
  static constexpr wait_list::word somebody_first = 1;

  bool take_if_free(wait_list::hold& held, const job& me, std::size_t n) noexcept;
  bool next_in_line(wait_list::hold& held, wait_list::list& taken) noexcept;
  void leave_first(bool more, wait_list::list& taken) noexcept;
  void put_back(std::size_t n) noexcept;
  void check(std::size_t n) const noexcept {
    WEFT_ASSERT(n <= burst(),
                "more tokens were asked for than the rate_limiter's burst: they would "
                "never be there; ask for fewer at a time, or allow a larger burst");
  }

  wait_list list_;       // its state: whether somebody is first in line, with a timer
  token_bucket bucket_;  // by whoever holds the list
};

/// Waiting in line, until there are tokens or the clock is all there is to wait for.
class rate_limiter::turn final : public wait_list_operation<turn> {
 public:
  /// To be first in line is an effect, and lasts: a select that has another operand's result would leave
  /// a line that nobody leads. So acquiring, which is no operation itself, runs as a job there.
  static constexpr bool takes_claim = false;
  turn(rate_limiter& from, std::size_t n) noexcept
      : wait_list_operation(from.list_), limiter_(from), n_(n) {}
  bool try_now(job& me) noexcept;
  bool take(wait_list::hold& held, job& me, wait_list::list& taken) noexcept;
  void await_resume() const noexcept {}
  const char* what() const noexcept override { return "rate_limiter"; }
  /// They are given back: it was served, and its result is not wanted.
  void undo() noexcept { limiter_.put_back(n_); }
  /// It has its tokens. Else, once it is done, it is first in line, and waits for the clock.
  bool served() const noexcept { return served_; }

 private:
  friend class rate_limiter;
  rate_limiter& limiter_;
  const std::size_t n_;
  bool served_ = false;
};

/// Waiting for the clock, first in line.
class rate_limiter::clock_wait final : public operation, private timer_entry {
 public:
  explicit clock_wait(turn& of) noexcept : timer_entry(&fired), turn_(of) {}
  std::coroutine_handle<> start(promise_base& who) noexcept;
  void withdraw() noexcept override;
  const char* what() const noexcept override { return "rate_limiter"; }

 private:
  static void fired(timer_entry& entry) noexcept;
  void give_up() noexcept;
  turn& turn_;
  timer_set* armed_in_ = nullptr;
  std::int64_t due_ns_ = 0;
};

class [[nodiscard("co_await it")]] rate_limiter::acquiring final : private relay<acquiring> {
 public:
  acquiring(rate_limiter& from, std::size_t n) noexcept : turn_(from, n), clock_(turn_) {}
  bool await_ready() noexcept {
    turn_.served_ = false;  // as far as undo() is concerned: it may be used again
    return turn_.await_ready();
  }
  template <class P>
  std::coroutine_handle<> await_suspend(std::coroutine_handle<P> waiter) noexcept {
    static_assert(weft_promise<P>, "a rate_limiter can be awaited in a weft::task only");
    this->promise().attach(waiter.promise());
    return turn_.start(this->promise());
  }
  void await_resume() const noexcept {}
  /// It has ended, and its result is not wanted: of a select that another operand decided.
  void undo() noexcept {
    if (turn_.served()) turn_.undo();
  }

 private:
  friend relay<acquiring>;
  std::coroutine_handle<> resumed() noexcept {
    if (turn_.served()) return this->promise().parent()->handle();
    return clock_.start(this->promise());
  }
  turn turn_;
  clock_wait clock_;
};

inline rate_limiter::acquiring rate_limiter::acquire(std::size_t n) noexcept {
  check(n);
  return acquiring(*this, n);
}

}  // namespace weft
