// awaiter: what `co_await x` works with, and relay: a continuation that is no coroutine.
//
// A relay looks like a suspended coroutine to whoever resumes it: two function pointers and a
// promise_base behind them, the layout that GCC's and Clang's coroutine_handle rely on. A
// combinator hands it to an inner awaitable as "the coroutine that waits", and so runs a few
// instructions of its own between the inner one's end and the outer one's going on, without a frame
// of its own.
//
//   After  the fake frames of cppcoro's when_all counter and of folly's coro::detail
#pragma once

#include <coroutine>
#include <cstddef>
#include <type_traits>
#include <utility>

#include "weft/base/result.hpp"
#include "weft/task/promise.hpp"

namespace weft {

/// `x` itself, or what its operator co_await gives.
template <class A>
decltype(auto) get_awaiter(A&& awaitable) {
  if constexpr (requires { std::forward<A>(awaitable).operator co_await(); }) {
    return std::forward<A>(awaitable).operator co_await();
  } else {
    return std::forward<A>(awaitable);
  }
}

template <class A>
using await_result_t = decltype(get_awaiter(std::declval<A>()).await_resume());

/// What a combinator gives. It borrows its operands, which are gone after the expression that makes
/// them: so it is awaited there, and nowhere else.
template <class Awaiter>
class [[nodiscard("co_await it")]] awaited_in_place {
 public:
  template <class... A>
  explicit awaited_in_place(A&&... a) : inner_(std::forward<A>(a)...) {}
  awaited_in_place(const awaited_in_place&) = delete;  // it borrows: co_await it where it is made
  awaited_in_place& operator=(const awaited_in_place&) = delete;

  /// By value: GCC 12 would copy an awaiter that it is given by reference.
  class awaiter {
    using given = decltype(std::declval<Awaiter&>().await_resume());

   public:
    explicit awaiter(Awaiter& inner) noexcept : inner_(inner) {}
    bool await_ready() { return inner_.await_ready(); }
    template <class P>
    auto await_suspend(std::coroutine_handle<P> waiter) {
      return inner_.await_suspend(waiter);
    }
    given await_resume() { return inner_.await_resume(); }
    [[nodiscard(WEFT_RESULT_MESSAGE)]] given await_resume()
      requires detail::is_result<given>
    {
      return inner_.await_resume();
    }

   private:
    Awaiter& inner_;
  };
  awaiter operator co_await() && noexcept { return awaiter(inner_); }
  void operator co_await() & = delete;  // it borrows: co_await it where it is made

 private:
  Awaiter inner_;
};

template <class>
inline constexpr bool is_kept_combinator = false;
template <class Awaiter>
inline constexpr bool is_kept_combinator<awaited_in_place<Awaiter>&> = true;

/// For a static_assert on an operand that is taken by reference and awaited as an rvalue.
#define WEFT_KEPT_COMBINATOR_MESSAGE                                                        \
  "what a combinator gives borrows its operands, and these are gone: make it here, in the " \
  "same expression, or in a function that returns a task"

/// The front of a fake frame. `Self` derives from it as its only base with state in front, and has
/// `std::coroutine_handle<> resumed() noexcept`: what goes on when the inner awaitable has ended.
template <class Self>
class relay {
 public:
  relay(const relay&) = delete;
  relay& operator=(const relay&) = delete;

 protected:
  relay() noexcept : resume_(&resume), destroy_(&destroy) {
    static_assert(alignof(relay_promise) <= 2 * sizeof(void*));
  }
  ~relay() = default;

  relay_promise& promise() noexcept { return promise_; }
  std::coroutine_handle<relay_promise> handle() noexcept {
    return std::coroutine_handle<relay_promise>::from_promise(promise_);
  }

  /// Starts an awaiter whose await_ready() was false; gives what to resume now. What its await_suspend()
  /// throws comes out of here: it does not wait then.
  template <class Awaiter>
  std::coroutine_handle<> suspend_in(Awaiter& inner) noexcept(
      noexcept(inner.await_suspend(std::coroutine_handle<relay_promise>()))) {
    using answer = decltype(inner.await_suspend(handle()));
    if constexpr (std::is_void_v<answer>) {
      inner.await_suspend(handle());
      return std::noop_coroutine();
    } else if constexpr (std::is_same_v<answer, bool>) {
      return inner.await_suspend(handle()) ? std::coroutine_handle<>(std::noop_coroutine())
                                           : static_cast<Self*>(this)->resumed();
    } else {
      return inner.await_suspend(handle());
    }
  }

 private:
  // Tail calls: a loop of awaits through a relay must not grow the stack.
  WEFT_CALLS_COROUTINES static void resume(void* frame) {
    const std::coroutine_handle<> next = static_cast<Self*>(static_cast<relay*>(frame))->resumed();
    const auto go_on = *static_cast<void (**)(void*)>(next.address());
    WEFT_MUSTTAIL return go_on(next.address());
  }
  static void destroy(void*) {}  // its owner is the frame that it lives in

  void (*resume_)(void*);
  void (*destroy_)(void*);
  relay_promise promise_;
};

/// A boundary that is no coroutine: `Self` has resumed(), as above, which is called at the end of what
/// is inside and when a stop arrives.
template <class Self, class Boundary = boundary>
class boundary_relay : public Boundary {
 protected:
  boundary_relay() noexcept : Boundary(&resume<&boundary_relay::call_resumed>) {}
  ~boundary_relay() = default;

  /// `resumed` is called in the place of resumed() from now on. One jump, where a member that says
  /// what comes next would need a second one.
  template <std::coroutine_handle<> (*Resumed)(Self&) noexcept>
  void resume_with() noexcept {
    this->resume_by(&resume<Resumed>);
  }

 private:
  static std::coroutine_handle<> call_resumed(Self& self) noexcept { return self.resumed(); }
  template <std::coroutine_handle<> (*Resumed)(Self&) noexcept>
  WEFT_CALLS_COROUTINES static void resume(void* frame) {
    auto* const edge = static_cast<boundary_relay*>(static_cast<bare_boundary*>(frame));
    const std::coroutine_handle<> next = Resumed(static_cast<Self&>(*edge));
    const auto go_on = *static_cast<void (**)(void*)>(next.address());
    WEFT_MUSTTAIL return go_on(next.address());
  }
};

}  // namespace weft
