// root: the outermost coroutine of a spawned job. It holds the function, its arguments, the job's
// control block and the result in one frame, and is where a stop of the job ends.
#pragma once

#include <coroutine>
#include <exception>
#include <functional>
#include <type_traits>
#include <utility>

#include "weft/base/census.hpp"
#include "weft/task/join.hpp"
#include "weft/task/task.hpp"

namespace weft::detail {

/// The untyped part of a root: what a join_handle and a scheduler need to know of it.
class root_job : public job {
 public:
  root_job(scheduler& home, promise_base& promise) noexcept
      : job(home, &run_root), promise_(promise) {
    promise.become_root(*this);
    census_add(census_kind::jobs, 1);
  }
  ~root_job() { census_add(census_kind::jobs, -1); }

  /// At the end of the coroutine: tells the scheduler and the handle; frees the frame if that is
  /// left to the job. `error` is its unclaimed exception, if any.
  void end(std::exception_ptr error) noexcept;
  /// The handle goes away. Reports an exception that nobody claimed.
  void drop(std::exception_ptr (*unclaimed)(root_job&)) noexcept;

  join_state join;
  bool was_stopped = false;
  bool claimed = false;  // the result was taken: an exception in it is no panic any more

 private:
  static void run_root(job& self) noexcept;
  promise_base& promise_;
};

template <class T>
class root_promise;

/// What run_root() below returns: the frame, not started.
template <class T>
class root {
 public:
  using promise_type = root_promise<T>;
  explicit root(promise_type& promise) noexcept : promise_(&promise) {}
  promise_type& promise() const noexcept { return *promise_; }

 private:
  promise_type* promise_;
};

class root_end {
 public:
  root_end() noexcept {}
  bool await_ready() const noexcept { return false; }
  template <class P>
  void await_suspend(std::coroutine_handle<P> ended) const noexcept {
    P& promise = ended.promise();
    promise.end(promise.slot.error());
  }
  void await_resume() const noexcept {}
};

template <class T>
class root_promise final : public promise_base, public root_job {
 public:
  template <class... A>
  explicit root_promise(scheduler& home, A&...) noexcept : root_job(home, *this) {}

  root<T> get_return_object() noexcept { return root<T>(*this); }
  std::suspend_always initial_suspend() const noexcept { return {}; }
  root_end final_suspend() const noexcept { return root_end(); }
  void unhandled_exception() noexcept { slot.set_error(std::current_exception()); }
  void return_void() const noexcept {}

  static std::exception_ptr unclaimed(root_job& self) {
    return self.claimed ? nullptr : static_cast<root_promise&>(self).slot.error();
  }

  result_slot<T> slot;
};

/// Awaits the job's one task and keeps its result in the root; the boundary of a stop.
template <class T>
class root_await {
 public:
  explicit root_await(task<T>&& inner) noexcept : inner_(inner) {}
  bool await_ready() const noexcept { return false; }
  std::coroutine_handle<> await_suspend(std::coroutine_handle<root_promise<T>> root) noexcept {
    promise_ = &root.promise();
    edge_.resume_at(*promise_);
    if (promise_->stop_requested()) {  // before it ran: not even its first line is executed
      promise_->was_stopped = true;
      return root;
    }
    inner_.promise().attach(*promise_, &edge_);
    return inner_.promise().handle();
  }
  void await_resume() {
    if (edge_.stopped()) {
      promise_->was_stopped = true;
      inner_.destroy();  // frames die here, innermost first
    } else if (!promise_->was_stopped) {
      promise_->slot.take_from(inner_.promise().slot);
    }
  }

 private:
  task<T>& inner_;
  root_promise<T>* promise_ = nullptr;
  boundary edge_;
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

/// Hands the promise of the running root to its body.
template <class T>
class this_root {
 public:
  this_root() noexcept {}
  bool await_ready() const noexcept { return false; }
  bool await_suspend(std::coroutine_handle<root_promise<T>> root) noexcept {
    promise_ = &root.promise();
    return false;
  }
  root_promise<T>& await_resume() const noexcept { return *promise_; }

 private:
  root_promise<T>* promise_ = nullptr;
};

/// The body of every spawned job. `f` stays in the frame while its task runs, so that a lambda's
/// captures live as long as the coroutine that uses them.
template <class T, class F, class... A>
root<T> run_root(scheduler&, F f, A... args) {
  using returned = std::invoke_result_t<F&, A...>;
  if constexpr (is_task<returned>) {
    co_await root_await<T>(std::invoke(f, std::move(args)...));
  } else {
    root_promise<T>& me = co_await this_root<T>();
    if (me.stop_requested()) {
      me.was_stopped = true;
    } else if constexpr (std::is_void_v<returned>) {
      std::invoke(f, std::move(args)...);
      me.slot.set_value();
    } else {
      me.slot.set_value(std::invoke(f, std::move(args)...));
    }
  }
}

}  // namespace weft::detail
