// catch_stop: lets the caller see that what it awaited was stopped.
//
//   const auto n = co_await catch_stop(count_for_ever());    // std::nullopt: it was stopped
//
//   Cancel  a stop of the job ends here: what is inside is destroyed, innermost frame first, and
//           the caller goes on. The job stays stopped: its next await outside of a shield ends it
//   Errors  an exception of the awaitable is rethrown
//   Cost    no frame, no allocation
#pragma once

#include <exception>
#include <optional>
#include <variant>

#include "weft/task/awaiter.hpp"
#include "weft/task/task.hpp"

namespace weft {

namespace detail {

template <class A>
class catch_stop_await final : private relay<catch_stop_await<A>>,
                               private boundary_relay<catch_stop_await<A>> {
  using base = relay<catch_stop_await<A>>;
  using awaiter = decltype(get_awaiter(std::declval<A>()));
  using T = await_result_t<A>;
  using stored = std::conditional_t<std::is_void_v<T>, std::monostate, T>;

 public:
  explicit catch_stop_await(A&& awaitable)
      : awaitable_(awaitable), inner_(get_awaiter(std::forward<A>(awaitable))) {}

  bool await_ready() { return false; }
  template <class P>
  std::coroutine_handle<> await_suspend(std::coroutine_handle<P> outer) {
    static_assert(weft_promise<P>, "catch_stop() can be awaited in a weft::task only");
    outer_ = &outer.promise();
    if (inner_.await_ready()) return resumed();
    this->promise().attach(*outer_, *this);
    return this->suspend_in(inner_);
  }
  std::optional<stored> await_resume() {
    if (thrown_) std::rethrow_exception(std::move(thrown_));
    return std::move(value_);
  }

 private:
  friend base;
  friend boundary_relay<catch_stop_await>;
  std::coroutine_handle<> resumed() noexcept {
    if (this->stopped()) {
      if constexpr (is_task<std::remove_cvref_t<A>>) awaitable_.destroy();
    } else {
      try {
        if constexpr (std::is_void_v<T>) {
          inner_.await_resume();
          value_.emplace();
        } else {
          value_.emplace(inner_.await_resume());
        }
      } catch (...) {
        thrown_ = std::current_exception();
      }
    }
    return outer_->handle();
  }

  std::remove_reference_t<A>& awaitable_;
  awaiter inner_;
  std::optional<stored> value_;
  std::exception_ptr thrown_;
  promise_base* outer_ = nullptr;
};

}  // namespace detail

/// The value of `awaitable`, or std::nullopt if the job was stopped while it waited. (For an
/// awaitable without a value, an empty std::monostate stands for "it ended".)
template <class A>
[[nodiscard("co_await it")]] auto catch_stop(A&& awaitable WEFT_LIFETIMEBOUND) {
  return awaited_in_place<detail::catch_stop_await<A&&>>(std::forward<A>(awaitable));
}

}  // namespace weft
