// join_handle: the owner's end of a spawned job.
//
//   Lifetimes  movable; one owner. Destroyed while the job runs: the job is stopped, and the
//              runtime waits for its end at shutdown. detach() lets it run on. A handle may outlive
//              its runtime: the job has ended then, and all of this holds as of any that has. But an
//              exception that nobody took has no policy any more: it is one line on stderr
//   Threads    stop(), done() and id() from any thread that may use the handle; await in one task
//   Errors     an exception of the job is rethrown to whoever awaits the handle; a job that was
//              stopped gives weft::error(std::errc::operation_canceled), or outcome_kind::stopped
//   Cancel     awaiting it: lossless; the job itself runs on, and its result stays for a later
//              await. A result is given once: after it was, awaiting the handle again is a bug
#pragma once

#include <exception>
#include <optional>
#include <utility>

#include "weft/base/result.hpp"
#include "weft/task/awaiter.hpp"
#include "weft/task/root.hpp"

namespace weft {

/// How a job ended.
enum class outcome_kind : unsigned char { value, exception, stopped };

template <class T>
class outcome {
 public:
  explicit outcome(detail::root<T>& ended) : kind_(outcome_kind::value) {
    if (ended.slot().has_error()) {
      kind_ = outcome_kind::exception;
      error_ = ended.slot().error();
    } else if (ended.was_stopped) {
      kind_ = outcome_kind::stopped;
    } else if constexpr (!std::is_void_v<T>) {
      value_.emplace(ended.slot().take());
    }
  }
  /// Of a job that ended and left this in `slot`.
  outcome(detail::result_slot<T>& slot, bool stopped) : kind_(outcome_kind::value) {
    if (slot.has_error()) {
      kind_ = outcome_kind::exception;
      error_ = slot.error();
    } else if (stopped) {
      kind_ = outcome_kind::stopped;
    } else if constexpr (!std::is_void_v<T>) {
      value_.emplace(slot.take());
    }
  }
  outcome_kind kind() const noexcept { return kind_; }
  bool has_value() const noexcept { return kind_ == outcome_kind::value; }
  bool stopped() const noexcept { return kind_ == outcome_kind::stopped; }
  std::exception_ptr exception() const noexcept { return error_; }
  /// The value, by reference, for as long as this lives; valid if has_value().
  decltype(auto) value() {
    WEFT_ASSERT(has_value(), "the job has no value; look at kind() first");
    if constexpr (!std::is_void_v<T>) return (*value_);
  }

 private:
  outcome_kind kind_;
  std::exception_ptr error_;
  std::optional<std::conditional_t<std::is_void_v<T>, char, T>> value_;
};

namespace detail {
[[noreturn]] void throw_stopped();
/// See failures.hpp: `error` came out of `origin`.
WEFT_NOINLINE void note_failure(const job& origin, const std::exception_ptr& error) noexcept;
}  // namespace detail

template <class T = void>
class [[nodiscard(
    "a dropped handle stops its job: await it, keep it, or detach() it")]] join_handle {
 public:
  using value_type = T;

  join_handle() noexcept = default;
  explicit join_handle(detail::root<T>& job) noexcept : job_(&job) {}
  join_handle(join_handle&& other) noexcept : job_(std::exchange(other.job_, nullptr)) {}
  join_handle& operator=(join_handle&& other) noexcept {
    if (this != &other) {
      release(true);
      job_ = std::exchange(other.job_, nullptr);
    }
    return *this;
  }
  ~join_handle() { release(true); }

  /// Asks the job to end; it unwinds at its next await. Does not wait.
  void stop() noexcept { checked().stop(); }
  /// Lets the job run on without an owner; an exception in it goes to the panic policy.
  void detach() noexcept { release(false); }
  /// Whether the job has ended, and an await would not wait. What it did is visible then.
  bool done() const noexcept { return checked().join.done(); }
  std::uint64_t id() const noexcept { return checked().id(); }
  explicit operator bool() const noexcept { return job_ != nullptr; }

  class joiner;
  class outcome_joiner;
  /// Waits for the end: the value, or rethrows.
  joiner operator co_await() noexcept { return joiner(checked()); }
  /// Waits for the end and says how it was, without throwing.
  outcome_joiner outcome() noexcept { return outcome_joiner(checked()); }

 private:
  detail::root<T>& checked() const noexcept {
    WEFT_ASSERT(job_ != nullptr, "this join_handle has no job: it was moved from or detached");
    return *job_;
  }
  void release(bool stop_first) noexcept {
    if (job_ == nullptr) return;
    if (stop_first && !job_->join.done()) job_->stop();
    std::exchange(job_, nullptr)->drop();
  }
  detail::root<T>* job_ = nullptr;
};

template <class T>
class join_handle<T>::joiner final : public awaitable_operation<joiner, join_operation> {
 public:
  explicit joiner(detail::root<T>& job) noexcept
      : awaitable_operation<joiner, join_operation>(job.join), job_(job) {}
  T await_resume() {
    job_.claimed = true;
    if (WEFT_UNLIKELY(job_.slot().has_error())) {
      detail::note_failure(job_, job_.slot().error());
    } else if (WEFT_UNLIKELY(job_.was_stopped)) {
      detail::throw_stopped();
    }
    return job_.slot().take();
  }

 private:
  detail::root<T>& job_;
};

template <class T>
class join_handle<T>::outcome_joiner final
    : public awaitable_operation<outcome_joiner, join_operation> {
 public:
  explicit outcome_joiner(detail::root<T>& job) noexcept
      : awaitable_operation<outcome_joiner, join_operation>(job.join), job_(job) {}
  weft::outcome<T> await_resume() {
    job_.claimed = true;
    return weft::outcome<T>(job_);
  }

 private:
  detail::root<T>& job_;
};

/// Makes a job of f(args...) on `home`; both are decay-copied into it. It is not ready yet: set its
/// name and id, then launch() it. Throws what the copies and the frame's allocation throw.
template <class F, class... A>
auto make_job(scheduler& home, F&& f, A&&... args)
    -> detail::root<detail::spawned_value_t<F, A...>>& {
  using body = detail::call_body<std::decay_t<F>, std::decay_t<A>...>;
  return detail::root_of<detail::spawned_value_t<F, A...>, body>::make(home, std::forward<F>(f),
                                                                       std::forward<A>(args)...);
}

/// Makes a job that awaits an object which somebody else keeps alive: of block_on(), of a timeout.
template <detail::awaits_for For, class A>
auto make_awaiting_job(scheduler& home, A& awaitable) -> detail::root<await_result_t<A&&>>& {
  using T = await_result_t<A&&>;
  return detail::root_of<T, detail::await_body<T, A, For>>::make(home, awaitable);
}

/// From now on the job may run, end, and be gone.
inline void launch(job& made) noexcept { made.home().launch(made); }

}  // namespace weft
