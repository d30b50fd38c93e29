// backtrace: which coroutines led to here, and in a fiber which functions: from the innermost outwards along
// who awaits whom, to the job, and on to the jobs that await that one.
//
//   const auto here = co_await this_task::backtrace();      // in a fiber: await(this_task::backtrace())
//   log(to_string(here));
//
//   Jobs     a job ends in a frame of kind `job`. Behind it come the frames of the job that awaits it where that
//            one waits until it has ended: scope, when_all, race, select, fork_join, timeout, with_stop, a
//            task_local. A job of spawn() ends the backtrace, as a thread ends a debugger's
//   Awaited  a coroutine finds itself by awaiting. It never waits, is no place where a stop is found, and
//            spends no budget. A plain function in a fiber can ask; one that a coroutine calls cannot
//   Names    of what is not stripped; symbol() reads them from the program's file. With the module and offset that
//            to_string() prints, `addr2line -Cfe module offset` gives file and line where there is debug
//            information. Of a coroutine it is where the function begins, not where it waits
//   Cost     where it is asked for: some loads a frame and an allocation or two; in a fiber an unwind of its stack.
//            Elsewhere nothing: it reads what is there anyway
#pragma once

#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "weft/task/promise.hpp"

namespace weft {

/// What was found. It can be kept: it has no pointers into what it tells of.
class [[nodiscard]] backtrace {
 public:
  static constexpr std::size_t frames_max = 256;  // of coroutines and functions; jobs come besides

  enum class kind : std::uint8_t { coroutine, function, job };
  class frame {
   public:
    kind what = kind::coroutine;
    /// What resumes the coroutine: where its function's code is; of a function where it was called
    /// from; of a job nullptr.
    const void* address = nullptr;
    std::uint64_t job_id = 0;  // of a job
    std::string job_name;
    /// The function's name, as in the source. Empty: not known. Throws std::bad_alloc.
    std::string symbol() const;
  };

  bool empty() const noexcept { return frames_.empty(); }
  std::size_t size() const noexcept { return frames_.size(); }
  const frame& operator[](std::size_t n) const noexcept { return frames_[n]; }
  auto begin() const noexcept { return frames_.begin(); }
  auto end() const noexcept { return frames_.end(); }
  /// There was more than frames_max.
  bool truncated() const noexcept { return truncated_; }

 private:
  friend class backtrace_maker;
  std::vector<frame> frames_;
  bool truncated_ = false;
};

/// A line a frame. Throws std::bad_alloc.
std::string to_string(const backtrace& b);

namespace detail {

/// That of the coroutine whose promise it is. Throws std::bad_alloc. Threads: the one that runs its job.
backtrace backtrace_from(promise_base& innermost);
/// That of a task which has its result, at the end of which `running` is.
backtrace backtrace_from_ended(promise_base& ended, const job& running);

class [[nodiscard("co_await it")]] backtrace_await {
 public:
  backtrace_await() noexcept {}
  backtrace_await(const backtrace_await&) = delete;
  backtrace_await& operator=(const backtrace_await&) = delete;

  /// True in a fiber, which needs not leave its stack for it.
  bool await_ready();
  template <class P>
  bool await_suspend(std::coroutine_handle<P> waiter) {
    static_assert(weft_promise<P>,
                  "this_task::backtrace() can be awaited in a weft::task (or by weft::await in a "
                  "fiber), not in a coroutine of another library");
    look_from(waiter.promise());
    return false;
  }
  backtrace await_resume() noexcept { return std::move(found_); }

 private:
  void look_from(promise_base& innermost);
  backtrace found_;
};

}  // namespace detail

namespace this_task {

/// `co_await`: the backtrace of who awaits it. Throws std::bad_alloc.
[[nodiscard("co_await it")]] inline detail::backtrace_await backtrace() noexcept {
  return detail::backtrace_await();
}

}  // namespace this_task
}  // namespace weft
