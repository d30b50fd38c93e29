// timeout: an awaitable that has only so much time.
//
//   const auto n = co_await timeout(5s, stream.read_some(buffer));
//   if (!n) { ... n.error() == errc::timed_out, or what the read failed with ... }
//
// The awaitable runs as a branch: a job of its own, started at once on the same worker. When the
// time is over the branch is stopped, and its end is awaited: nothing of it is alive afterwards. If
// it had completed after all, completion wins and its value is given.
// A worker that was busy may find the timeout overdue together with a longer sleep inside of it: then the
// deadlines decide, if both timers are its own. What is another worker's, or I/O, may have ended first.
//
//   Result   result<T>; where the awaitable gives a result<T> itself, the two are one
//   Errors   errc::timed_out; an exception of the awaitable is rethrown
//   Cancel   the stop passes to the branch, whose end is awaited: as lossless as what is inside
//   Cost     one pooled frame; the timer lives in the waiting frame
//   Protocol timeout.cpp
#pragma once

#include <chrono>
#include <optional>

#include "weft/base/chrono.hpp"
#include "weft/base/result.hpp"
#include "weft/task/join_handle.hpp"
#include "weft/timer/timer_set.hpp"

namespace weft {

namespace detail {

/// The untyped part: a branch against the clock.
class timeout_operation : public join_operation, private timer_entry {
 public:
  void withdraw() noexcept final {
    if (!WEFT_MUTATE("timeout.withdraw.stops_nobody", false, true)) branch_.stop();
  }  // must finish: the answer is joined()
  const char* what() const noexcept final { return "timeout"; }

 protected:
  enum class from : unsigned char { now, epoch };
  timeout_operation(root_job& branch, from base, std::int64_t ns) noexcept
      : join_operation(branch.join), timer_entry(&fired), branch_(branch), ns_(ns), base_(base) {}
  ~timeout_operation() = default;

  /// Starts the branch in the place of the waiter.
  std::coroutine_handle<> start_branch(promise_base& waiter) noexcept;
  /// Valid after the end: the time was over before the branch had a result.
  bool timed_out() const noexcept { return branch_.was_stopped; }
  bool launched() const noexcept { return launched_; }

 private:
  void joined() noexcept final;
  void leave(std::uint32_t parties) noexcept;
  static void fired(timer_entry& entry) noexcept;

  root_job& branch_;
  timer_set* armed_in_ = nullptr;
  std::int64_t ns_;
  atomic<std::uint32_t> parties_{2};
  from base_;
  bool launched_ = false;
  plain<bool> expired_{false};
};

template <class T>
struct timed_result {
  using type = result<T>;
};
template <class T>
struct timed_result<result<T>> {
  using type = result<T>;
};

template <class A>
class timeout_await final {
  using T = await_result_t<A&&>;
  using R = typename timed_result<T>::type;

  class operation_of final : public timeout_operation {
   public:
    operation_of(root<T>& branch, bool from_now, std::int64_t ns) noexcept
        : timeout_operation(branch, from_now ? from::now : from::epoch, ns), branch_(branch) {}
    ~operation_of() {
      if (!launched()) branch_.discard();  // never ran, nobody knows it
    }
    std::coroutine_handle<> start(promise_base& waiter) noexcept { return start_branch(waiter); }
    using timeout_operation::launched;
    using timeout_operation::timed_out;

   private:
    root<T>& branch_;
  };

 public:
  timeout_await(A& awaitable, bool from_now, std::int64_t ns) noexcept
      : awaitable_(awaitable), ns_(ns), from_now_(from_now) {}
  timeout_await(const timeout_await&) = delete;
  timeout_await& operator=(const timeout_await&) = delete;
  ~timeout_await() {
    const bool own = operation_ && operation_->launched();
    operation_.reset();
    if (own) branch_->drop();
  }

  bool await_ready() const noexcept { return false; }
  template <class P>
  std::coroutine_handle<> await_suspend(std::coroutine_handle<P> waiter) {
    static_assert(weft_promise<P>, "timeout() can be awaited in a weft::task only");
    branch_ = &make_awaiting_job<detail::awaits_for::timeout>(waiter.promise().owner()->home(),
                                                              awaitable_);
    operation_.emplace(*branch_, from_now_, ns_);
    return operation_->start(waiter.promise());
  }
  R await_resume() {
    branch_->claimed = true;
    if (operation_->timed_out()) return std::unexpected(make_error_code(errc::timed_out));
    if constexpr (std::is_void_v<T>) {
      branch_->slot().take();
      return R();
    } else {
      return branch_->slot().take();
    }
  }

 private:
  A& awaitable_;
  root<T>* branch_ = nullptr;
  std::optional<operation_of> operation_;
  std::int64_t ns_;
  bool from_now_;
};

}  // namespace detail

/// Awaits `awaitable` for at most `d`, counted from the await. With no time at all (zero or less)
/// it still runs to its first wait, and what is ready by then is given.
template <class Rep, class Period, class A>
[[nodiscard("co_await it")]] auto timeout(std::chrono::duration<Rep, Period> d,
                                          A&& awaitable WEFT_LIFETIMEBOUND) {
  static_assert(!is_kept_combinator<A>, WEFT_KEPT_COMBINATOR_MESSAGE);
  return awaited_in_place<detail::timeout_await<std::remove_reference_t<A>>>(awaitable, true,
                                                                             from_chrono(d));
}

/// Awaits `awaitable` until `moment` of the monotonic clock.
template <class A>
[[nodiscard("co_await it")]] auto deadline(std::chrono::steady_clock::time_point moment,
                                           A&& awaitable WEFT_LIFETIMEBOUND) {
  static_assert(!is_kept_combinator<A>, WEFT_KEPT_COMBINATOR_MESSAGE);
  return awaited_in_place<detail::timeout_await<std::remove_reference_t<A>>>(
      awaitable, false, from_chrono(moment.time_since_epoch()));
}

}  // namespace weft
