// ok: the `?` operator. Gives the value of a result, or ends the calling task with its error.
//
//   task<result<std::size_t>> copy_once(tcp_stream& in, tcp_stream& out) {
//     const auto n = co_await ok(in.read_some(buffer));     // an error ends copy_once with it
//     ...
//
//   In task<result<U>>  the task returns the error. Its locals are destroyed with its frame, by the
//                       end of the expression that awaits it: later than after co_return, when they
//                       are gone before the awaiting task goes on
//   In task<U>          weft::error is thrown, which carries where
//   Cost                no frame, no exception on the result path
//   Cancel              as what is awaited
#pragma once

#include <optional>
#include <source_location>

#include "weft/base/result.hpp"
#include "weft/task/awaiter.hpp"
#include "weft/task/task.hpp"

namespace weft {

namespace detail {

/// How to end a task of promise P early with an error; nullptr where it returns no result.
using end_with_error = void (*)(promise_base&, std::error_code);
template <class P>
constexpr end_with_error ender_of() noexcept {
  if constexpr (requires(P& p, std::error_code e) { p.slot().set_value(std::unexpected(e)); }) {
    return [](promise_base& p, std::error_code e) {
      static_cast<P&>(p).slot().set_value(std::unexpected(e));
    };
  } else {
    return nullptr;
  }
}

/// The frame of `ended` stays suspended, and its owner destroys it. What goes on: that owner.
inline std::coroutine_handle<> leave(promise_base& ended) noexcept {
  const std::coroutine_handle<> next = ended.parent()->handle();
  ended.abandon();  // a destructor in it that throws must not resume it once more
  return next;
}

template <class A>
class ok_await final : private relay<ok_await<A>> {
  using base = relay<ok_await<A>>;
  using awaiter = decltype(get_awaiter(std::declval<A>()));
  using result_type = std::remove_cvref_t<await_result_t<A>>;
  static_assert(is_result<result_type>, "ok() is for what gives a weft::result");
  using T = typename result_type::value_type;

 public:
  ok_await(A&& awaitable, std::source_location raised)
      : inner_(get_awaiter(std::forward<A>(awaitable))), raised_(raised) {}

  bool await_ready() {
    if (!inner_.await_ready()) return false;
    result_.emplace(inner_.await_resume());
    return result_->has_value();
  }
  template <class P>
  std::coroutine_handle<> await_suspend(std::coroutine_handle<P> outer) {
    static_assert(weft_promise<P>, "ok() can be awaited in a weft::task only");
    outer_ = &outer.promise();
    end_ = ender_of<P>();
    if (result_) return go_on();
    this->promise().attach(*outer_);
    return this->suspend_in(inner_);
  }
  T await_resume() {
    if (thrown_) std::rethrow_exception(std::move(thrown_));
    if (!*result_) throw error(result_->error(), "weft::ok", raised_);
    if constexpr (!std::is_void_v<T>) return std::move(**result_);
  }

 private:
  friend base;
  std::coroutine_handle<> resumed() noexcept {
    try {
      result_.emplace(inner_.await_resume());
    } catch (...) {
      thrown_ = std::current_exception();
    }
    return go_on();
  }
  std::coroutine_handle<> go_on() noexcept {
    if (thrown_ || result_->has_value() || end_ == nullptr) return outer_->handle();
    end_(*outer_, result_->error());
    return leave(*outer_);
  }

  awaiter inner_;
  std::optional<result_type> result_;
  std::exception_ptr thrown_;
  promise_base* outer_ = nullptr;
  end_with_error end_ = nullptr;
  std::source_location raised_;
};

/// A result that is already there.
template <class T>
class ok_result final {
 public:
  ok_result(result<T>&& r, std::source_location raised) : result_(std::move(r)), raised_(raised) {}
  bool await_ready() const noexcept { return result_.has_value(); }
  template <class P>
  std::coroutine_handle<> await_suspend(std::coroutine_handle<P> outer) noexcept {
    static_assert(weft_promise<P>, "ok() can be awaited in a weft::task only");
    constexpr end_with_error end = ender_of<P>();
    if constexpr (end == nullptr)
      return outer;
    else {
      end(outer.promise(), result_.error());
      return leave(outer.promise());
    }
  }
  T await_resume() {
    if (!result_) throw error(result_.error(), "weft::ok", raised_);
    if constexpr (!std::is_void_v<T>) return std::move(*result_);
  }

 private:
  result<T> result_;
  std::source_location raised_;
};

}  // namespace detail

template <class T>
[[nodiscard("co_await it")]] auto ok(
    result<T> r, std::source_location raised = std::source_location::current()) {
  return detail::ok_result<T>(std::move(r), raised);
}

template <class A>
  requires(!detail::is_result<std::remove_cvref_t<A>>)
[[nodiscard("co_await it")]] auto ok(
    A&& awaitable WEFT_LIFETIMEBOUND,
    std::source_location raised = std::source_location::current()) {
  return awaited_in_place<detail::ok_await<A&&>>(std::forward<A>(awaitable), raised);
}

}  // namespace weft
