// retry: does something again until it succeeds, with waits between that grow.
//
//   const auto page = co_await retry({.max_attempts = 5}, [&] { return fetch(url); });
//   co_await retry(policy, connect_once, [](std::error_code e) { return e != errc::closed; });
//
// After the k-th failure it waits for initial_delay * factor^(k-1), but at most max_delay; with full
// jitter for an evenly chosen time up to that, so that those who failed together do not come together.
//
//   f          gives a task or another awaitable; called once an attempt, with the attempt's number
//              (1, 2, ..) if it takes one. Held by reference: await it where it is made
//   Result     that of the last attempt. retry_policy::report says how many there were, and why it ended
//   Errors     an error in f's weft::result is tried again, or only those for which the third argument
//              says true. Exceptions are not, unless retry_policy::exceptions; the last one is rethrown
//   Cancel     ends it, in an attempt or in a wait; the budget gets back what was not used
//   Limits     `total` bounds when an attempt may begin, not how long it takes: for that there is
//              timeout(), around f's work or around all of it
//   Cost       a pooled frame; a wait is a timer in it
//   After      "full jitter" of M. Brooker, "Exponential Backoff And Jitter" (2015)
#pragma once

#include <chrono>
#include <concepts>
#include <cstdint>
#include <exception>
#include <functional>
#include <optional>
#include <system_error>
#include <type_traits>
#include <utility>

#include "weft/base/result.hpp"
#include "weft/base/rng.hpp"
#include "weft/base/safe_callable.hpp"
#include "weft/task/awaiter.hpp"
#include "weft/task/ok.hpp"
#include "weft/task/task.hpp"
#include "weft/timer/timer_set.hpp"
#include "weft/together/retry_budget.hpp"

namespace weft {

enum class retry_jitter : std::uint8_t { full, none };

/// Why a retry() ended.
enum class retry_end : std::uint8_t {
  success,
  not_retryable,  // an error that is not to be tried again
  attempts,       // all of them were made
  total,          // the next one would have begun after it
  budget,         // the retry_budget had none left
};

/// What a retry() did; valid when it has ended.
struct retry_report {
  unsigned attempts = 0;
  retry_end end = retry_end::success;
  std::chrono::nanoseconds waited{0};  // between attempts
};

struct retry_policy {
  unsigned max_attempts = 3;  // the first one is one of them; 0: without a bound
  std::chrono::nanoseconds initial_delay = std::chrono::milliseconds(100);
  double factor = 2;
  std::chrono::nanoseconds max_delay = std::chrono::seconds(10);
  retry_jitter jitter = retry_jitter::full;
  std::chrono::nanoseconds total = std::chrono::nanoseconds::max();  // from the first attempt on
  bool exceptions = false;         // whether these are tried again, too
  retry_budget* budget = nullptr;  // shared with others
  retry_report* report = nullptr;  // written at the end
  std::uint64_t seed = 0;          // of the jitter; 0: from the moment and the job
};

namespace detail {

/// The wait between two attempts.
class retry_delay final : public awaitable_operation<retry_delay>, private timer_entry {
 public:
  explicit retry_delay(std::int64_t due_ns) noexcept : timer_entry(&fired), due_ns_(due_ns) {}
  std::coroutine_handle<> start(promise_base& waiter) noexcept;
  void withdraw() noexcept override;
  const char* what() const noexcept override { return "retry"; }
  void await_resume() const noexcept {}

 private:
  static void fired(timer_entry& entry) noexcept;
  timer_set* armed_in_ = nullptr;
  const std::int64_t due_ns_;
};

/// What does not depend on the types: counting, reckoning, and saying why it ended.
class retry_state {
 public:
  explicit retry_state(const retry_policy& policy) noexcept;
  retry_state(const retry_state&) = delete;
  retry_state& operator=(const retry_state&) = delete;
  /// A retry that was paid for and not made is given back: its wait was stopped.
  ~retry_state();

  /// An attempt begins; its number.
  unsigned begin() noexcept;
  /// The attempt failed. True: there shall be another one, at due_ns().
  [[nodiscard]] bool again(bool retryable) noexcept;
  std::int64_t due_ns() const noexcept { return due_ns_; }
  void ended(retry_end why) noexcept;
  bool exceptions() const noexcept { return policy_.exceptions; }

 private:
  std::int64_t next_delay_ns() noexcept;
  bool refuse(retry_end why) noexcept;
  const retry_policy policy_;
  rng random_;
  std::int64_t begun_ns_;
  std::int64_t due_ns_ = 0;
  std::int64_t waited_ns_ = 0;
  double delay_ns_;
  unsigned attempts_ = 0;
  bool paid_ = false;
};

template <class F>
decltype(auto) call_attempt(F& f, unsigned number) {
  if constexpr (std::invocable<F&, unsigned>) {
    return std::invoke(f, number);
  } else {
    return std::invoke(f);
  }
}
template <class F>
using attempt_t = decltype(call_attempt(std::declval<F&>(), 0u));
template <class F>
using attempt_result_t = await_result_t<attempt_t<F>&&>;

/// For retry() without a third argument.
inline bool every_error(std::error_code) noexcept { return true; }

template <class F, class P>
task<attempt_result_t<F>> retry_loop(retry_policy policy, F& f, P& retryable) {
  using T = attempt_result_t<F>;
  retry_state state(policy);
  for (;;) {
    result_slot<T> got;
    {
      // f's awaitable is gone before the wait.
      const unsigned number = state.begin();
      try {
        auto&& attempt = call_attempt(f, number);
        if constexpr (std::is_void_v<T>) {
          co_await std::forward<decltype(attempt)>(attempt);
          got.set_value();
        } else {
          got.set_value(co_await std::forward<decltype(attempt)>(attempt));
        }
      } catch (...) {
        got.set_error(std::current_exception());
      }
    }
    bool another = false;
    if (got.has_error()) {
      another = state.again(state.exceptions());
      if (!another) co_return got.take();
    } else if constexpr (is_result<T>) {
      T value = got.take();
      if (!value) another = state.again(std::invoke(retryable, value.error()));
      if (!another) {
        if (value) state.ended(retry_end::success);
        co_return std::move(value);
      }
    } else {
      state.ended(retry_end::success);
      co_return got.take();
    }
    retry_delay wait(state.due_ns());
    co_await wait;
  }
}

}  // namespace detail

/// See the top of the file.
template <safe_in_await F>
[[nodiscard("co_await it")]] auto retry(retry_policy policy, F&& f WEFT_LIFETIMEBOUND)
    -> task<detail::attempt_result_t<std::remove_reference_t<F>>> {
  return detail::retry_loop(policy, f, detail::every_error);
}
/// Tries again only after errors for which `retryable(std::error_code)` is true.
template <safe_in_await F, safe_in_await P>
  requires std::predicate<std::remove_reference_t<P>&, std::error_code>
[[nodiscard("co_await it")]] auto retry(retry_policy policy, F&& f WEFT_LIFETIMEBOUND,
                                        P&& retryable WEFT_LIFETIMEBOUND)
    -> task<detail::attempt_result_t<std::remove_reference_t<F>>> {
  static_assert(detail::is_result<detail::attempt_result_t<std::remove_reference_t<F>>>,
                "retry(): the errors that the third argument is asked about are those of a "
                "weft::result, which f does not give");
  return detail::retry_loop(policy, f, retryable);
}

}  // namespace weft
