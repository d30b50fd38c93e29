// never, just, then, and_then, or_else: small awaitables, and what makes one of another.
//
//   const auto n = co_await then(rx.recv(), [](auto m) { return m ? m->size() : 0; });
//   const auto page = co_await and_then(fetch(url), parse);       // result<T> -> result<U>, or a task of it
//   const auto text = co_await or_else(read(a), [&](std::error_code) { return read(b); });
//
// then() calls f with what the awaitable gave. and_then() and or_else() are for a result<T>, and do what
// std::expected's members of these names do: f is called with the value, or with the error, and gives a
// result. Each f may be a function that gives a value, or one that gives a task, which is awaited too.
//
//   Errors     what the awaitable or f throws is rethrown; f is not called after an exception
//   Cancel     as what is inside: an operation that is stopped has had no effect, and f is not called
//   In select  with an f that gives a value, then(op, f) waits as `op` itself does, and f is called only
//              if op won. With one that gives a task it runs as a job of its own
//   Lifetimes  operand and callable are held by reference: await it in the expression that makes it. What
//              f is called with lives as long as the task that it returned
//   Cost       no frame but that of a task; no allocation
#pragma once

#include <concepts>
#include <coroutine>
#include <exception>
#include <functional>
#include <optional>
#include <system_error>
#include <type_traits>
#include <utility>
#include <variant>

#include "weft/base/result.hpp"
#include "weft/base/safe_callable.hpp"
#include "weft/task/awaiter.hpp"
#include "weft/task/ok.hpp"
#include "weft/task/task.hpp"
#include "weft/together/when_all.hpp"

namespace weft {

namespace detail {

class never_operation final : public awaitable_operation<never_operation> {
 public:
  never_operation() noexcept {}
  std::coroutine_handle<> start(promise_base& waiter) noexcept {
    if (waiter.owner()->arm(*this, waiter) == job::arm_result::stopped) return unwind(waiter);
    return std::noop_coroutine();
  }
  void withdraw() noexcept override { finish(true); }
  const char* what() const noexcept override { return "never"; }
  void await_resume() const noexcept {}
};

template <class T>
class just_awaiter {
 public:
  explicit just_awaiter(T&& value) : value_(std::move(value)) {}
  bool await_ready() const noexcept { return true; }
  void await_suspend(std::coroutine_handle<>) const noexcept {}
  T await_resume() { return std::move(value_); }

 private:
  T value_;
};
template <>
class just_awaiter<void> {
 public:
  just_awaiter() noexcept {}
  bool await_ready() const noexcept { return true; }
  void await_suspend(std::coroutine_handle<>) const noexcept {}
  void await_resume() const noexcept {}
};

template <class T>
struct unwrapped_task {
  using type = T;
};
template <class T>
struct unwrapped_task<task<T>> {
  using type = T;
};

// What comes after the awaitable gave v. calls(v): f is to be called, by call(f, v); else the whole gives
// otherwise<R>(v). A std::monostate stands for nothing.

template <class F, class V>
decltype(auto) call_with(F& f, V&& v) {
  if constexpr (std::is_same_v<std::remove_cvref_t<V>, std::monostate> &&
                !std::invocable<F&, V&&>) {
    return std::invoke(f);
  } else {
    return std::invoke(f, std::forward<V>(v));
  }
}

class then_step {
 public:
  template <class V>
  static bool calls(const V&) noexcept {
    return true;
  }
  template <class F, class V>
  static decltype(auto) call(F& f, V&& v) {
    return call_with(f, std::forward<V>(v));
  }
};

class and_then_step {
 public:
  template <class V>
  static bool calls(const V& v) noexcept {
    return v.has_value();
  }
  template <class F, class V>
  static decltype(auto) call(F& f, V&& v) {
    if constexpr (std::is_void_v<typename std::remove_cvref_t<V>::value_type>) {
      return std::invoke(f);
    } else {
      return std::invoke(f, *std::forward<V>(v));
    }
  }
  template <class R, class V>
  static R otherwise(V&& v) {
    return R(std::unexpect, v.error());
  }
};

class or_else_step {
 public:
  template <class V>
  static bool calls(const V& v) noexcept {
    return !v.has_value();
  }
  template <class F, class V>
  static decltype(auto) call(F& f, V&& v) {
    return std::invoke(f, v.error());
  }
  template <class R, class V>
  static R otherwise(V&& v) {
    if constexpr (std::is_void_v<typename std::remove_cvref_t<V>::value_type>) {
      return R();
    } else {
      return R(*std::forward<V>(v));
    }
  }
};

template <class T>
using stored_value_t = std::conditional_t<std::is_void_v<T>, std::monostate, T>;

/// f gives a value: nothing but what comes out is changed.
template <class Step, class A, class F>
class step_await final {
  using awaiter = decltype(get_awaiter(std::declval<A>()));
  using T = await_result_t<A>;
  using R = decltype(Step::call(std::declval<F&>(), std::declval<stored_value_t<T>>()));

 public:
  step_await(A&& awaitable, F& f) : inner_(get_awaiter(std::forward<A>(awaitable))), f_(f) {}

  bool await_ready() { return static_cast<bool>(inner_.await_ready()); }
  template <class P>
  auto await_suspend(std::coroutine_handle<P> waiter) {
    return inner_.await_suspend(waiter);
  }
  R await_resume() {
    if constexpr (std::is_void_v<T>) {
      inner_.await_resume();
      return Step::call(f_, std::monostate());
    } else {
      T v = inner_.await_resume();
      if constexpr (!std::is_same_v<Step, then_step>) {
        if (!Step::calls(v)) return Step::template otherwise<R>(std::forward<T>(v));
      }
      return Step::call(f_, std::forward<T>(v));
    }
  }
  /// For select: what it waits in.
  auto& awaits_by() noexcept { return inner_; }

 private:
  awaiter inner_;
  F& f_;
};

/// f gives a task.
template <class Step, class A, class F>
class step_task_await final : private relay<step_task_await<Step, A, F>> {
  using base = relay<step_task_await>;
  using awaiter = decltype(get_awaiter(std::declval<A>()));
  using T = await_result_t<A>;
  using V = stored_value_t<T>;
  using called = decltype(Step::call(std::declval<F&>(), std::declval<V>()));
  using R = typename unwrapped_task<called>::type;
  static_assert(!std::is_reference_v<T>,
                "then(op, f) with an f that gives a task: op gives a value");

 public:
  step_task_await(A&& awaitable, F& f) : inner_(get_awaiter(std::forward<A>(awaitable))), f_(f) {}

  bool await_ready() const noexcept { return false; }
  template <class P>
  std::coroutine_handle<> await_suspend(std::coroutine_handle<P> waiter) {
    static_assert(weft_promise<P>, "then() can be awaited in a weft::task only");
    this->promise().attach(waiter.promise());
    if (inner_.await_ready()) return resumed();
    return this->suspend_in(inner_);
  }
  R await_resume() {
    if (WEFT_UNLIKELY(error_ != nullptr)) std::rethrow_exception(std::move(error_));
    if constexpr (!std::is_same_v<Step, then_step>) {
      if (!next_) return Step::template otherwise<R>(std::move(*value_));
    }
    return next_.promise().slot().take();
  }

 private:
  friend base;
  std::coroutine_handle<> resumed() noexcept {
    promise_base& outer = *this->promise().parent();
    try {
      if constexpr (std::is_void_v<T>) {
        inner_.await_resume();
        value_.emplace();
      } else {
        value_.emplace(inner_.await_resume());
      }
      if (!Step::calls(*value_)) return outer.handle();
      ::new (static_cast<void*>(&next_)) called(Step::call(f_, std::move(*value_)));
    } catch (...) {
      error_ = std::current_exception();
      return outer.handle();
    }
    next_.promise().attach(outer);
    return next_.promise().handle();
  }

  awaiter inner_;
  F& f_;
  std::optional<V> value_;  // f may have a reference to it
  called next_;
  std::exception_ptr error_;
};

template <class Step, class A, class F>
auto make_step(A&& awaitable, F& f) {
  using given = stored_value_t<await_result_t<A&&>>;
  using called = decltype(Step::call(f, std::declval<given>()));
  if constexpr (is_task<called>) {
    return step_task_await<Step, A&&, F>(std::forward<A>(awaitable), f);
  } else {
    return step_await<Step, A&&, F>(std::forward<A>(awaitable), f);
  }
}

template <class A>
concept gives_result = can_be_awaited<A> && is_result<std::remove_cvref_t<await_result_t<A>>>;

}  // namespace detail

/// Waits until its job is stopped.
[[nodiscard("co_await it")]] inline detail::never_operation never() noexcept {
  return detail::never_operation();
}

/// Ready, with `value`.
template <class T>
[[nodiscard("co_await it")]] detail::just_awaiter<T> just(T value) {
  return detail::just_awaiter<T>(std::move(value));
}
/// Ready, with nothing.
[[nodiscard("co_await it")]] inline detail::just_awaiter<void> just() noexcept {
  return detail::just_awaiter<void>();
}

/// What f gives when called with what `awaitable` gave, or without arguments if that is nothing.
template <class A, safe_in_await F>
  requires detail::can_be_awaited<A&&>
[[nodiscard("co_await it")]] auto then(A&& awaitable WEFT_LIFETIMEBOUND, F&& f WEFT_LIFETIMEBOUND) {
  return detail::make_step<detail::then_step, A>(std::forward<A>(awaitable), f);
}

/// f(value) of the result that `awaitable` gives, or its error.
template <class A, safe_in_await F>
  requires detail::gives_result<A&&>
[[nodiscard("co_await it")]] auto and_then(A&& awaitable WEFT_LIFETIMEBOUND,
                                           F&& f WEFT_LIFETIMEBOUND) {
  return detail::make_step<detail::and_then_step, A>(std::forward<A>(awaitable), f);
}

/// f(error) of the result that `awaitable` gives, or its value. f gives a result of the same type.
template <class A, safe_in_await F>
  requires detail::gives_result<A&&>
[[nodiscard("co_await it")]] auto or_else(A&& awaitable WEFT_LIFETIMEBOUND,
                                          F&& f WEFT_LIFETIMEBOUND) {
  return detail::make_step<detail::or_else_step, A>(std::forward<A>(awaitable), f);
}

}  // namespace weft
