// futex: waits for a 32-bit word of the program's own to change, in a task, without a thread for it.
//
//   std::atomic<std::uint32_t> ready{0};
//   while (ready.load() == 0) co_await weft::futex_wait(ready, 0);     // here
//   ready.store(1); weft::futex_wake(ready, 1);                        // on any thread
//
// It is for words that others change, too: foreign threads, C libraries, other processes. Between
// tasks event, mutex and channel cost less: they make no system call.
//
//   Protocol   the waker changes the word, then wakes. A wait may end for no reason: look again
//   Words      std::atomic<std::uint32_t> or weft::atomic<std::uint32_t>, aligned, mapped until the
//              wait is over. futex_scope::process_shared: in memory that several processes have
//              mapped; all of them must say so. The kernel's own futex calls work with it
//   Threads    any, also by weft::block_on in a plain thread
//   Cost       io_uring (Linux 6.7): an entry in the ring. Otherwise, and in a plain thread, each wait
//              under way has a thread of its own: io/futex_waiters.hpp
//   Cancel     the operation ends when the kernel has let go of it. A wake that it had used up by then
//              completes it, so none is lost; a stopped wait has used up none
//   After      futex(2); the ring's IORING_OP_FUTEX_WAIT
#pragma once

#include <chrono>
#include <concepts>
#include <cstdint>
#include <memory>

#include "weft/base/atomic.hpp"
#include "weft/base/chrono.hpp"
#include "weft/io/driver.hpp"
#include "weft/os/futex.hpp"
#include "weft/task/task.hpp"

namespace weft {

namespace io {
class futex_waiters;
}

/// What can be waited for. Named by its shape, because <atomic> costs a file more than all of weft.
template <class W>
concept futex_word = sizeof(W) == sizeof(std::uint32_t) && alignof(W) >= alignof(std::uint32_t) &&
                     (std::same_as<W, atomic<std::uint32_t>> || requires {
                       requires std::same_as<typename W::value_type, std::uint32_t>;
                       requires W::is_always_lock_free;
                     });

/// Why a wait ended.
enum class futex_status : std::uint8_t {
  woken,      // by a futex_wake
  changed,    // the word did not hold what was expected; or for no reason
  timed_out,  // of futex_wait_for
};

namespace detail {

template <futex_word W>
std::uint32_t* futex_address(W& word) noexcept {
#if !WEFT_MODEL
  if constexpr (std::same_as<W, atomic<std::uint32_t>>) return word.address();
#endif
  return reinterpret_cast<std::uint32_t*>(&word);
}

class [[nodiscard("co_await it")]] futex_operation final
    : public awaitable_operation<futex_operation, io::io_operation> {
 public:
  /// With a deadline it must not be awaited on a worker.
  futex_operation(std::uint32_t* word, std::uint32_t expected, futex_scope scope,
                  std::int64_t deadline_ns = never_ns) noexcept;
  ~futex_operation();
  std::coroutine_handle<> start(promise_base& waiter) noexcept;
  void withdraw() noexcept override;
  futex_status await_resume() const noexcept { return static_cast<futex_status>(this->answer); }

 private:
  /// After a start on a thread that had lost its processor.
  std::coroutine_handle<> go_on(promise_base& waiter) noexcept override { return start(waiter); }

  const std::int64_t deadline_ns_;
  std::shared_ptr<io::futex_waiters> waiters_;  // in a plain thread
};

task<futex_status> futex_wait_for(std::uint32_t* word, std::uint32_t expected, futex_scope scope,
                                  std::int64_t limit_ns);

}  // namespace detail

/// Waits while the word holds `expected`, until somebody wakes it.
template <futex_word W>
[[nodiscard("co_await it")]] detail::futex_operation futex_wait(
    W& word WEFT_LIFETIMEBOUND, std::uint32_t expected,
    futex_scope scope = futex_scope::process_private) noexcept {
  return detail::futex_operation(detail::futex_address(word), expected, scope);
}

/// The same for at most `limit`, on the task's clock; in a plain thread on the system's.
template <futex_word W, class Rep, class Period>
task<futex_status> futex_wait_for(W& word, std::uint32_t expected,
                                  std::chrono::duration<Rep, Period> limit,
                                  futex_scope scope = futex_scope::process_private) {
  return detail::futex_wait_for(detail::futex_address(word), expected, scope, from_chrono(limit));
}

/// Wakes up to `n` of those who wait for the word, tasks and threads alike; the longest waiting first.
/// The word may be gone already. Never waits; a system call.
///
/// Result  how many it woke. A wait that was not under way yet, and finds the word changed, is not
///         counted
template <futex_word W>
std::uint32_t futex_wake(W& word, std::uint32_t n,
                         futex_scope scope = futex_scope::process_private) noexcept {
  constexpr std::uint32_t n_max = INT32_MAX;
  return static_cast<std::uint32_t>(os::futex_wake_at(
      detail::futex_address(word), static_cast<int>(n < n_max ? n : n_max), scope));
}

/// Blocks the calling thread, without another one's help, until `deadline_ns` of the monotonic clock.
template <futex_word W>
futex_status blocking_futex_wait(W& word, std::uint32_t expected,
                                 futex_scope scope = futex_scope::process_private,
                                 std::int64_t deadline_ns = never_ns) noexcept {
  switch (os::futex_wait_at(detail::futex_address(word), expected, scope, deadline_ns)) {
    case os::futex_end::woken:
      return futex_status::woken;
    case os::futex_end::timed_out:
      return futex_status::timed_out;
    case os::futex_end::changed:
    case os::futex_end::interrupted:
      break;
  }
  return futex_status::changed;
}

}  // namespace weft
