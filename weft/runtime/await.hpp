// await: what `co_await` is in a coroutine, in a fiber: gives the value of an awaitable, and lets others run
// until it is there.
//
//   auto handle = weft::go([&] {
//     const auto n = weft::await(stream.read_some(buffer));       // an ordinary function, a stack of its own
//   });
//
//   Threads  in a fiber (go.hpp) only. A message that says what to write instead ends the program
//            elsewhere: co_await in a coroutine, block_on in a plain thread
//   Errors   what co_await would throw
//   Cancel   a fiber that is stopped leaves await() by an exception that is not the program's to catch:
//            destructors run, `catch (...)` must rethrow, no function in between may be noexcept. A
//            destructor that awaits does so in a shield_scope
//   Cost     two switches of stacks, 10 ns, and some returns that are predicted wrong, 10 to 15; none if the
//            awaitable is ready at once
#pragma once

#include <coroutine>
#include <cstddef>
#include <exception>
#include <memory>
#include <type_traits>
#include <utility>

#include "weft/base/result.hpp"
#include "weft/task/awaiter.hpp"

namespace weft {

namespace detail {

class fiber;
// What await() calls is not inlined, not by a link-time optimiser either: await() may stand in a function
// that is left at any instruction (preemptible.hpp), and what is thread-local here must not.
/// Asserts that it is called on a fiber's stack.
WEFT_NOINLINE fiber& this_fiber() noexcept;

/// One await of a fiber: a suspended coroutine to what is awaited, and the boundary where a stop ends.
class fiber_wait final : private relay<fiber_wait>, private boundary_relay<fiber_wait> {
  using base = relay<fiber_wait>;

 public:
  /// Starts what is awaited, for `handle`. Result: what to resume.
  using starter = std::coroutine_handle<> (*)(void* awaiter,
                                              std::coroutine_handle<relay_promise> waiter);
  WEFT_NOINLINE fiber_wait(fiber& waiting, void* awaiter, starter start) noexcept;

  /// Returns when it has ended. Throws what its start threw, and unwinds the fiber's stack at a stop.
  WEFT_NOINLINE void suspend();
  /// On the stack of a thread, when the fiber has left its own: from the start on it may be anywhere.
  std::coroutine_handle<> begin() noexcept;

  // For backtraces.
  /// The one that `waiting` is a part of.
  static fiber_wait& from(promise_base& waiting) noexcept {
    return *static_cast<fiber_wait*>(static_cast<base*>(waiting.handle().address()));
  }
  fiber& waiting_fiber() const noexcept { return fiber_; }

 private:
  friend base;
  friend boundary_relay<fiber_wait>;
  WEFT_ALWAYS_INLINE std::coroutine_handle<> resumed() noexcept;

  fiber& fiber_;
  void* const awaiter_;
  const starter start_;
  std::exception_ptr thrown_;
};

template <class Awaiter>
std::coroutine_handle<> start_await(void* awaiter, std::coroutine_handle<relay_promise> waiter) {
  auto& inner = *static_cast<Awaiter*>(awaiter);
  using answer = decltype(inner.await_suspend(waiter));
  if constexpr (std::is_void_v<answer>) {
    inner.await_suspend(waiter);
    return std::noop_coroutine();
  } else if constexpr (std::is_same_v<answer, bool>) {
    if (inner.await_suspend(waiter)) return std::noop_coroutine();
    return waiter;
  } else {
    return inner.await_suspend(waiter);
  }
}

/// In line, as await() is: a call that a switch stands in the midst of returns slowly.
template <class A>
WEFT_ALWAYS_INLINE await_result_t<A> await_in_fiber(A&& awaitable) {
  fiber& here = this_fiber();
  auto&& inner = get_awaiter(std::forward<A>(awaitable));
  if (!inner.await_ready()) {
    using awaiter = std::remove_reference_t<decltype(inner)>;
    fiber_wait wait(here, std::addressof(inner), &start_await<awaiter>);
    wait.suspend();
  }
  return inner.await_resume();
}

template <class A>
concept awaits_result = is_result<await_result_t<A>>;

}  // namespace detail

/// In a fiber: gives what `co_await awaitable` gives in a coroutine.
template <class A>
WEFT_ALWAYS_INLINE auto await(A&& awaitable) -> await_result_t<A> {
  static_assert(!is_kept_combinator<A>, WEFT_KEPT_COMBINATOR_MESSAGE);
  return detail::await_in_fiber<A>(std::forward<A>(awaitable));
}
template <class A>
  requires detail::awaits_result<A>
[[nodiscard(WEFT_RESULT_MESSAGE)]] WEFT_ALWAYS_INLINE auto await(A&& awaitable)
    -> await_result_t<A> {
  static_assert(!is_kept_combinator<A>, WEFT_KEPT_COMBINATOR_MESSAGE);
  return detail::await_in_fiber<A>(std::forward<A>(awaitable));
}

namespace this_task {

/// True on a fiber's own stack, where await() works. False in a coroutine that a fiber awaits.
WEFT_NOINLINE bool in_fiber() noexcept;

/// Bytes of the calling fiber's stack that have been in use, in whole pages, to choose spawn_options::stack by: call it
/// where a test has been through the deepest. What an earlier fiber used of the same stack counts, too, as stacks are
/// pooled. 0: this is no fiber. Cost: a system call.
WEFT_NOINLINE std::size_t stack_high_watermark() noexcept;

}  // namespace this_task
}  // namespace weft
