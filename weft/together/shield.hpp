// shield: runs what it is given to its end, also if its job is stopped meanwhile, or was before.
//
//   co_await shield(connection.close());
//
//   Result  what the awaitable gives
//   Errors  an exception of the awaitable is rethrown
//   Cancel  a stop is seen afterwards, at the job's next await. What runs inside as jobs of its own (a
//           scope's children, a timeout's branch) is hidden with it; their own limits still hold
//   Cost    no frame, no allocation
//
// In one function, weft::shield_scope does the same for a block.
#pragma once

#include "weft/task/awaiter.hpp"

namespace weft {

namespace detail {

template <class A>
class shield_await final : private relay<shield_await<A>> {
  using base = relay<shield_await<A>>;
  using awaiter = decltype(get_awaiter(std::declval<A>()));

 public:
  explicit shield_await(A&& awaitable) : inner_(get_awaiter(std::forward<A>(awaitable))) {}

  bool await_ready() const noexcept { return false; }
  template <class P>
  std::coroutine_handle<> await_suspend(std::coroutine_handle<P> outer) {
    static_assert(weft_promise<P>, "shield() can be awaited in a weft::task only");
    if (inner_.await_ready()) return outer;
    this->promise().attach(outer.promise());
    job& owner = *outer.promise().owner();
    owner.enter_shield();
    try {
      return this->suspend_in(inner_);
    } catch (...) {  // it did not even begin, and the job goes on
      owner.leave_shield();
      throw;
    }
  }
  decltype(auto) await_resume() { return inner_.await_resume(); }

 private:
  friend base;
  std::coroutine_handle<> resumed() noexcept {
    promise_base& outer = *this->promise().parent();
    outer.owner()->leave_shield();
    return outer.handle();
  }

  awaiter inner_;
};

}  // namespace detail

/// See the top of the file.
template <class A>
[[nodiscard("co_await it")]] auto shield(A&& awaitable WEFT_LIFETIMEBOUND) {
  return awaited_in_place<detail::shield_await<A&&>>(std::forward<A>(awaitable));
}

}  // namespace weft
