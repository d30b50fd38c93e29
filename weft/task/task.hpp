// task: a lazy coroutine that is awaited where it is made.
//
//   task<int> twice(int x) { co_return 2 * x; }
//   const int four = co_await twice(2);
//
//   Lifetimes  immovable: it cannot outlive the scope that made it, so references to the caller's
//              locals are always good. To run beside, hand the function and its arguments to spawn.
//   Threads    runs in the awaiting job, wherever that runs
//   Cost       one pooled frame; awaiting is a direct transfer, no queue and no atomic
//   Errors     an exception that leaves it is rethrown to whoever awaits it
//   Cancel     the frames are destroyed innermost first; nothing is thrown, so nothing can eat it
#pragma once

#include <coroutine>
#include <cstdint>
#include <exception>
#include <new>
#include <type_traits>
#include <utility>

#include "weft/base/assert.hpp"
#include "weft/base/result.hpp"
#include "weft/task/lost_processor.hpp"
#include "weft/task/promise.hpp"
#include "weft/task/result_slot.hpp"

namespace weft {

template <class T = void>
class task;

namespace detail {

/// At the end of a task: its awaiter goes on; elsewhere, if this thread has lost its processor.
class final_transfer {
 public:
  final_transfer() noexcept {}
  bool await_ready() const noexcept { return false; }
  template <class P>
  std::coroutine_handle<> await_suspend(std::coroutine_handle<P> ended) const noexcept {
    if (WEFT_UNLIKELY(may_have_lost_processor())) return parent_elsewhere(ended.promise());
    return ended.promise().parent()->handle();
  }
  void await_resume() const noexcept {}
};

template <class T>
class task_promise_common : public promise_base {
 public:
  ~task_promise_common() {
    if constexpr (std::is_void_v<T>) slot().clear();
  }
  std::suspend_always initial_suspend() const noexcept { return {}; }
  final_transfer final_suspend() const noexcept { return final_transfer(); }
  void unhandled_exception() noexcept {
    this->check_not_unwinding();
    slot().set_error(std::current_exception());
  }

  result_slot<T>& slot() noexcept {
    if constexpr (std::is_void_v<T>) {
      return this->end_without_value();
    } else {
      return slot_;
    }
  }

 private:
  struct none {};
  [[no_unique_address]] std::conditional_t<std::is_void_v<T>, none, result_slot<T>> slot_;
};

template <class T>
class task_promise final : public task_promise_common<T> {
 public:
  task<T> get_return_object() noexcept;
  template <class U = T>
    requires std::is_constructible_v<T, U&&>
  void return_value(U&& value) {
    if constexpr (std::is_reference_v<T>) {
      static_assert(std::is_reference_v<U&&>);
      this->slot().set_value(value);
    } else {
      this->slot().set_value(std::forward<U>(value));
    }
  }
};

template <>
class task_promise<void> final : public task_promise_common<void> {
 public:
  task<void> get_return_object() noexcept;
  void return_void() noexcept { slot().set_value(); }
};

}  // namespace detail

template <class T>
class [[nodiscard("co_await it where it is made, or hand function and arguments to spawn")]] task {
 public:
  using promise_type = detail::task_promise<T>;
  using value_type = T;

  explicit task(std::coroutine_handle<promise_type> frame) noexcept : frame_(frame.address()) {}
  /// None: a place for a combinator to make one in.
  task() noexcept : frame_(nullptr) {}
  explicit operator bool() const noexcept { return frame_ != nullptr; }
  task(const task&) = delete;  // it stays where it was made: co_await f(x) there, or spawn(f, x)
  task& operator=(const task&) = delete;
  ~task() {
    if (frame_ != nullptr) promise_base::destroy(frame_);
  }

  class awaiter {
   public:
    explicit awaiter(std::coroutine_handle<promise_type> frame) noexcept : frame_(frame) {}
    bool await_ready() const noexcept { return false; }
    template <class P>
    std::coroutine_handle<> await_suspend(std::coroutine_handle<P> waiter) noexcept {
      static_assert(weft_promise<P>,
                    "a weft::task can be awaited in a weft::task (or by weft::block_on in a plain "
                    "thread), not in a coroutine of another library");
      frame_.promise().attach(waiter.promise());
      return frame_;
    }
    T await_resume() { return frame_.promise().slot().take(); }
    [[nodiscard(WEFT_RESULT_MESSAGE)]] T await_resume()
      requires detail::is_result<T>
    {
      return frame_.promise().slot().take();
    }

   private:
    std::coroutine_handle<promise_type> frame_;
  };
  awaiter operator co_await() && noexcept { return awaiter(handle()); }
  void operator co_await() & = delete;  // await it where it is made: co_await f(x)

  /// For boundaries and combinators.
  promise_type& promise() noexcept { return handle().promise(); }
  /// Ends it early. Its frame may have been destroyed by a stop before.
  void destroy() noexcept {
    if (frame_ == nullptr) return;
    promise_base::destroy(std::exchange(frame_, nullptr));
  }
  /// The same, of one that a stop has come to: the outermost frame inside of a boundary.
  void destroy_stopped() noexcept {
    promise().abandon();
    destroy();
  }

 private:
  std::coroutine_handle<promise_type> handle() const noexcept {
    return std::coroutine_handle<promise_type>::from_address(frame_);
  }
  void* frame_;
};

namespace detail {

template <class T>
task<T> task_promise<T>::get_return_object() noexcept {
  static_assert(
      weft_promise<task_promise<T>>,
      "a task's result must not be aligned to more than 16 bytes; return a pointer to it");
  return task<T>(std::coroutine_handle<task_promise<T>>::from_promise(*this));
}
inline task<void> task_promise<void>::get_return_object() noexcept {
  return task<void>(std::coroutine_handle<task_promise<void>>::from_promise(*this));
}

template <class>
inline constexpr bool is_task = false;
template <class T>
inline constexpr bool is_task<task<T>> = true;

}  // namespace detail
}  // namespace weft
