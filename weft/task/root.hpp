// root: a spawned job: its control block, the function and its arguments, and the result, in one
// block of memory. It is where a stop of the job ends. Only the task that the function makes has a
// coroutine frame, and only while it runs.
#pragma once

#include <coroutine>
#include <exception>
#include <functional>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>

#include "weft/base/cache_line.hpp"
#include "weft/base/census.hpp"
#include "weft/task/awaiter.hpp"
#include "weft/task/current.hpp"
#include "weft/task/join.hpp"
#include "weft/task/task.hpp"

namespace weft::detail {

/// The untyped part: what a join_handle and a scheduler need to know of it.
class root_job : public job {
 public:
  /// Begins to run; what to resume. Called once, by the thread that runs the job.
  std::coroutine_handle<> start() noexcept { return kind().start(*this); }
  /// Frees a job that was never launched.
  void discard() noexcept { kind().free(*this); }
  /// The handle goes away. Reports an exception that nobody claimed.
  void drop() noexcept;

  join_state join;

 protected:
  static void run_root(job& self) noexcept;
  struct operations : job_kind {
    std::coroutine_handle<> (*start)(root_job&) noexcept;
    void (*free)(root_job&) noexcept;
    std::exception_ptr (*error)(root_job&) noexcept;
  };
  root_job(scheduler& home, const operations& kind) noexcept : job(home, kind) {
    if (const job* const maker = current_job()) inherit_locals(*maker);
    census_add(census_kind::jobs, 1);
  }
  ~root_job() { census_add(census_kind::jobs, -1); }

  /// At the end: tells the scheduler and the handle; frees the job if that is left to it.
  std::coroutine_handle<> end() noexcept;

 private:
  const operations& kind() const noexcept { return static_cast<const operations&>(job::kind()); }
};

/// A job that gives a T.
template <class T>
class root : public root_job {
 public:
  result_slot<T> slot;

 protected:
  using root_job::root_job;
  static std::exception_ptr error_of(root_job& self) noexcept {
    return static_cast<root&>(self).slot.error();
  }
};

/// `Body` has `using returned`, a task or a value, and `returned operator()()`; it is destroyed when
/// the job ends, whenever its handle goes.
template <class T, class Body>
class root_of final : public root<T>, private boundary_relay<root_of<T, Body>> {
  using returned = typename Body::returned;
  static constexpr bool is_call = is_task<returned>;

 public:
  template <class... A>
  static root_of& make(scheduler& home, A&&... a) {
    void* const memory = allocate();
    try {
      return *::new (memory) root_of(home, std::forward<A>(a)...);
    } catch (...) {  // an argument's copy
      release(memory);
      throw;
    }
  }

 private:
  friend boundary_relay<root_of>;
  template <class... A>
  explicit root_of(scheduler& home, A&&... a) : root<T>(home, how), body_(std::forward<A>(a)...) {}
  ~root_of() {
    if (!ended_) body_.~Body();
  }

  static std::coroutine_handle<> start_root(root_job& self) noexcept {
    return static_cast<root_of&>(self).begin();
  }
  std::coroutine_handle<> begin() noexcept {
    if (this->stop_requested()) {  // before it ran: not even its first line is executed
      this->was_stopped = true;
      return finish();
    }
    try {
      if constexpr (is_call) {
        ::new (static_cast<void*>(&task_)) returned(body_());
      } else if constexpr (std::is_void_v<returned>) {
        body_();
        this->slot.set_value();
      } else {
        this->slot.set_value(body_());
      }
    } catch (...) {
      this->slot.clear();
      this->slot.set_error(std::current_exception());
      return finish();
    }
    if constexpr (is_call) {
      promise_base& inner = task_.promise();
      inner.attach(*this, *this);
      return inner.handle();
    } else {
      return finish();
    }
  }
  std::coroutine_handle<> resumed() noexcept {
    if constexpr (is_call) {
      if (WEFT_UNLIKELY(this->stopped())) {
        this->was_stopped = true;  // frames die here, innermost first
      } else {
        try {
          this->slot.take_from(task_.promise().slot);
        } catch (...) {  // the value's move
          this->slot.set_error(std::current_exception());
        }
      }
      task_.destroy();
    }
    return finish();
  }
  std::coroutine_handle<> finish() noexcept {
    ended_ = true;
    body_.~Body();
    return this->end();
  }

  static void free(root_job& self) noexcept {
    auto* const mine = static_cast<root_of*>(&self);
    mine->~root_of();
    release(mine);
  }
  static void* allocate() {
    if constexpr (alignof(root_of) > cache_line) {
      return allocate_aligned_frame(sizeof(root_of), alignof(root_of));
    } else {
      return allocate_frame(sizeof(root_of));
    }
  }
  static void release(void* memory) noexcept {
    if constexpr (alignof(root_of) > cache_line) {
      free_aligned_frame(memory, sizeof(root_of), alignof(root_of));
    } else {
      free_frame(memory, sizeof(root_of));
    }
  }
  static constexpr root_job::operations how{
      {.run = &root_job::run_root, .in_block = true}, &start_root, &free, &root<T>::error_of};

  bool ended_ = false;
  [[no_unique_address]] std::conditional_t<is_call, returned, std::monostate> task_{};
  union {
    Body body_;
  };
};

template <class R>
struct spawned_value {
  using type = R;
};
template <class T>
struct spawned_value<task<T>> {
  using type = T;
};
/// What a job that runs f(args...) gives: T where f returns task<T>, else what f returns.
template <class F, class... A>
using spawned_value_t =
    typename spawned_value<std::invoke_result_t<std::decay_t<F>&, std::decay_t<A>...>>::type;

/// f(args...). `f` stays while its task runs, so that a lambda's captures live as long as the
/// coroutine that uses them; so do the arguments, which it may take by reference.
template <class F, class... A>
class call_body {
 public:
  using returned = std::invoke_result_t<F&, A...>;
  template <class G, class... B>
  explicit call_body(G&& f, B&&... a) : f_(std::forward<G>(f)), args_(std::forward<B>(a)...) {}
  returned operator()() {
    return [this]<std::size_t... I>(std::index_sequence<I...>) -> returned {
      return std::invoke(f_, std::get<I>(std::move(args_))...);
    }(std::index_sequence_for<A...>());
  }

 private:
  [[no_unique_address]] F f_;
  [[no_unique_address]] std::tuple<A...> args_;
};

/// Awaits an object that somebody else keeps alive.
template <class T, class A>
task<T> await_one(A* awaitable) {
  // GCC 12 moves an awaiter that it is given as an rvalue, and ours cannot be moved.
  if constexpr (requires { std::move(*awaitable).operator co_await(); }) {
    co_return co_await std::move(*awaitable);
  } else {
    co_return co_await *awaitable;
  }
}

template <class T, class A>
class await_body {
 public:
  using returned = task<T>;
  explicit await_body(A& awaitable) noexcept : awaitable_(&awaitable) {}
  returned operator()() { return await_one<T>(awaitable_); }

 private:
  A* awaitable_;
};

}  // namespace weft::detail
