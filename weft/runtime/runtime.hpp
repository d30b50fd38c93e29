// runtime: the scheduler, its workers and their I/O, as one object.
//
//   int main() { return weft::run(serve("0.0.0.0:8080")); }          // the usual form
//   weft::runtime rt({.workers = 2});  rt.block_on(serve(...));      // the explicit one
//
//   Threads    every member from any thread, unless it says otherwise; several runtimes may live in
//              one process
//   Lifetimes  the destructor stops what still runs, and waits for its end
//   Fork       a child of fork() may make runtimes of its own, unless it was forked in a job. That of its
//              parent has no threads there: the child leaves it alone, ends by exec or _exit, and is told by
//              a message if it does not
#pragma once

#include <chrono>
#include <cstdio>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

#include "weft/runtime/fiber_job.hpp"
#include "weft/runtime/metrics.hpp"
#include "weft/runtime/options.hpp"
#include "weft/task/current.hpp"
#include "weft/task/frame_account.hpp"
#include "weft/task/join_handle.hpp"
#include "weft/task/spawnable.hpp"

namespace weft {

namespace detail {

class runtime_core;
class environment;

/// The thread that called block_on() sleeps until the job has ended, or runs it.
class thread_join {
 public:
  static void wait(runtime_core& home, root_job& awaited) noexcept;
};

scheduler& scheduler_of(runtime_core& core) noexcept;
/// The scheduler of the job that the calling thread runs; asserts that there is one.
scheduler& current_scheduler() noexcept;
void assert_not_a_worker() noexcept;
void assert_may_block_on(const runtime_core& core) noexcept;
int report_exit(std::exception_ptr error) noexcept;
int report_exit(std::error_code error) noexcept;

template <class T>
inline constexpr bool gives_exit_code = std::is_void_v<T> || std::is_convertible_v<T, int>;
template <class T>
inline constexpr bool gives_exit_code<result<T>> = true;

}  // namespace detail

class runtime {
 public:
  explicit runtime(runtime_options options = {});
  /// With time, randomness and driver from outside: for tests and simulators.
  runtime(runtime_options options, detail::environment& environment);
  ~runtime();
  runtime(const runtime&) = delete;
  runtime& operator=(const runtime&) = delete;

  /// Runs an awaitable as a job and sleeps until it has ended: its value, or rethrows. With
  /// scheduling::current_thread the calling thread does not sleep: it runs this job, and all others
  /// while it is there, unless another thread in block_on() does so already.
  ///
  /// Threads  any that is not a worker (a worker would wait for itself: co_await instead). Not with
  ///          scheduling::guest: there a thread that is not the host's may wait by
  ///          weft::block_on(rt.spawn(...))
  template <class A>
  auto block_on(A&& awaitable) -> await_result_t<std::remove_reference_t<A>&&> {
    static_assert(!is_kept_combinator<A>, WEFT_KEPT_COMBINATOR_MESSAGE);
    using T = await_result_t<std::remove_reference_t<A>&&>;
    detail::assert_may_block_on(*core_);
    auto& job =
        make_awaiting_job<detail::awaits_for::block_on>(detail::scheduler_of(*core_), awaitable);
    join_handle<T> handle(job);
    launch(job);
    detail::thread_join::wait(*core_, job);
    return typename join_handle<T>::joiner(job).await_resume();
  }

  /// Runs f(args...) beside the caller. f and args are copied (or moved) into the job.
  template <class F, class... A>
    requires spawnable<F, A...>
  auto spawn(F&& f, A&&... args) -> join_handle<detail::spawned_value_t<F, A...>> {
    auto& job =
        make_job(detail::scheduler_of(*core_), std::forward<F>(f), std::forward<A>(args)...);
    launch(job);
    return join_handle<detail::spawned_value_t<F, A...>>(job);
  }

  template <class F, class... A>
    requires spawnable<F, A...>
  auto spawn(spawn_options options, F&& f, A&&... args)
      -> join_handle<detail::spawned_value_t<F, A...>> {
    const detail::next_block_account paid_by(options.account);
    auto& job =
        make_job(detail::scheduler_of(*core_), std::forward<F>(f), std::forward<A>(args)...);
    detail::configure(job, options);
    launch(job);
    return join_handle<detail::spawned_value_t<F, A...>>(job);
  }
  /// Only here to refuse, with advice.
  template <class F, class... A>
    requires(!detail::can_spawn<F, A...>)
  auto spawn(F&&, A&&...) {
    detail::explain_spawn<F, A...>();
    return join_handle<>();
  }

  /// Runs f(args...) in a fiber: see go.hpp, whose await() it waits by.
  template <class F, class... A>
    requires spawnable<F, A...>
  auto go(F&& f, A&&... args) -> join_handle<detail::fiber_value_t<F, A...>> {
    return go(spawn_options{}, std::forward<F>(f), std::forward<A>(args)...);
  }
  template <class F, class... A>
    requires spawnable<F, A...>
  auto go(spawn_options options, F&& f, A&&... args)
      -> join_handle<detail::fiber_value_t<F, A...>> {
    static_cast<void>(detail::scheduler_of(*core_));
    const detail::next_block_account paid_by(options.account);
    auto& job = detail::make_fiber_job(detail::plan_fiber(*core_, options), options,
                                       std::forward<F>(f), std::forward<A>(args)...);
    launch(job);
    return join_handle<detail::fiber_value_t<F, A...>>(job);
  }
  /// Only here to refuse, with advice.
  template <class F, class... A>
    requires(!detail::can_spawn<F, A...>)
  auto go(F&&, A&&...) {
    detail::explain_spawn<F, A...>();
    return join_handle<>();
  }

  /// Stops every job and waits until all have ended, for at most `grace`; new jobs are stopped as
  /// they are made. Errors: errc::would_not_end after naming on stderr what still runs. Called in one of
  /// its own jobs, or in work of its own spawn_blocking(), which it would wait for, it ends the program
  /// with a message.
  [[nodiscard(WEFT_RESULT_MESSAGE)]] result<void> shutdown(std::chrono::nanoseconds grace);

  metrics_snapshot metrics() const;

  // scheduling::guest: the loop of another library, the host's, drives this runtime. It polls
  // poll_handle() beside its own descriptors, and calls run_ready() when that is readable.

  /// Runs what is ready: at most `turns_max` times a job, on the calling thread, and never waits.
  /// True: there is more, and the host may come again at once, or serve others first: the handle
  /// stays readable. False: there is nothing to do before the handle is readable again.
  ///
  /// Threads  any, one at a time; not a job
  bool run_ready(unsigned turns_max = 256);
  /// Readable (level-triggered) when run_ready() has something to do: I/O, wakes and jobs from
  /// other threads, due timers. Only to be polled; the runtime closes it.
  int poll_handle() const;
  /// When the next timer is due, for hosts with timers of their own; none if there is no timer. The
  /// handle tells of timers, too.
  std::optional<std::chrono::steady_clock::time_point> next_deadline() const;

 private:
  std::unique_ptr<detail::runtime_core> core_;
};

/// Runs f(args...) beside the calling job, on its runtime. Asserts that a job is running.
template <class F, class... A>
  requires spawnable<F, A...>
auto spawn(F&& f, A&&... args) -> join_handle<detail::spawned_value_t<F, A...>> {
  auto& job = make_job(detail::current_scheduler(), std::forward<F>(f), std::forward<A>(args)...);
  launch(job);
  return join_handle<detail::spawned_value_t<F, A...>>(job);
}

template <class F, class... A>
  requires spawnable<F, A...>
auto spawn(spawn_options options, F&& f, A&&... args)
    -> join_handle<detail::spawned_value_t<F, A...>> {
  const detail::next_block_account paid_by(options.account);
  auto& job = make_job(detail::current_scheduler(), std::forward<F>(f), std::forward<A>(args)...);
  detail::configure(job, options);
  launch(job);
  return join_handle<detail::spawned_value_t<F, A...>>(job);
}

/// Only here to refuse, with advice.
template <class F, class... A>
  requires(!detail::can_spawn<F, A...>)
auto spawn(F&&, A&&...) {
  detail::explain_spawn<F, A...>();
  return join_handle<>();
}

/// The figures of the runtime that runs the calling job.
metrics_snapshot current_metrics();

/// The usual main(): runs `main_task` on a runtime of its own and gives the process's exit code: 0,
/// the task's int, or 1 after printing the error or exception that ended it.
template <class T>
int run(task<T> main_task, runtime_options options = {}) {
  static_assert(detail::gives_exit_code<T>,
                "run(): the main task gives nothing, an int, or a weft::result of something");
  try {
    runtime rt(options);
    if constexpr (std::is_void_v<T>) {
      rt.block_on(main_task);
      return 0;
    } else {
      T ended = rt.block_on(main_task);
      if constexpr (std::is_convertible_v<T, int>) {
        return static_cast<int>(ended);
      } else {
        if (!ended) return detail::report_exit(ended.error());
        if constexpr (!std::is_void_v<typename T::value_type>) {
          if constexpr (std::is_convertible_v<typename T::value_type, int>) {
            return static_cast<int>(*ended);
          }
        }
        return 0;
      }
    }
  } catch (...) {
    return detail::report_exit(std::current_exception());
  }
}

/// Only here to refuse, with advice.
template <class M>
  requires(!detail::is_task<std::remove_cvref_t<M>>)
int run(M&&, runtime_options = {}) {
  static_assert(!std::is_same_v<M, M>, "run() takes a task: run(f()), not run(f)");
  return 1;
}

namespace this_task {

/// Of the running job; 0 outside of one.
std::uint64_t id() noexcept;
const char* name() noexcept;
/// The number of the worker that the calling thread is; any_worker outside of one. A job may find
/// another one after each await, unless it is pinned.
unsigned worker() noexcept;
/// `name` must outlive the job.
void set_name(const char* name) noexcept;
/// True once the job was stopped: for loops that compute and never await.
bool stop_requested() noexcept;

}  // namespace this_task
}  // namespace weft
