// fiber_job: the job of a fiber: its control block, the function and its arguments, and the result, in one
// block of memory, as root.hpp has it for a task. The stack, and all that a switch needs, is a fiber's
// (fiber.hpp), of which nothing is seen here: runtime.hpp includes this.
//
//   Memory  the stack is taken when the job is made, and given back when its function has returned
//   Errors  no memory for the job, or for its stack: std::bad_alloc, and there is no job
//   Cancel  a job that was stopped before it began does not run; in one that waits, fiber_stop is thrown
#pragma once

#include <coroutine>
#include <cstddef>
#include <exception>
#include <new>
#include <type_traits>
#include <utility>

#include "weft/base/cache_line.hpp"
#include "weft/task/root.hpp"
#include "weft/task/spawn_options.hpp"

namespace weft::detail {

class fiber;
class runtime_core;

/// What unwinds the stack of a stopped fiber. It is nobody's to catch: `catch (...)` rethrows it. One that
/// is destroyed on its way was swallowed there, and that ends the program, as glibc does it with
/// pthread_cancel: the fiber would go on with what it waited for not done, and not known to be.
class fiber_stop {
 public:
  fiber_stop(const fiber_stop&) = default;  // a throw asks for it, and does not use it
  fiber_stop& operator=(const fiber_stop&) = delete;
  ~fiber_stop() {
    if (!arrived_) was_swallowed();
  }
  /// The function of the fiber is left: all is destroyed that stood on the stack.
  void arrived() const noexcept { arrived_ = true; }

 private:
  friend class fiber;
  fiber_stop() noexcept = default;
  [[noreturn]] static void was_swallowed() noexcept;
  mutable bool arrived_ = false;
};

/// Where a new fiber belongs.
struct fiber_plan {
  scheduler& home;
  std::size_t stack_bytes;
  unsigned worker;  // any_worker: it is not pinned
};
/// Of one that the calling job makes; asserts that there is one.
fiber_plan plan_fiber(const spawn_options& options) noexcept;
fiber_plan plan_fiber(runtime_core& core, const spawn_options& options) noexcept;

/// What a fiber does with its job.
struct fiber_calls {
  void (*run)(root_job&) noexcept;  // on the fiber's stack
  std::coroutine_handle<> (*end)(root_job&) noexcept;
};
/// Throws std::bad_alloc.
fiber& make_fiber(std::size_t stack_bytes, root_job& owner, const fiber_calls& calls);
std::coroutine_handle<> begin_fiber(fiber& ready) noexcept;
/// Of one that never began.
void discard_fiber(fiber& unused) noexcept;
/// The function of the fiber has been left: by a stop, or without one.
void assert_stop_not_swallowed(const fiber& running, bool stopped) noexcept;
/// The thread was ended in the middle of a fiber.
[[noreturn]] void was_ended_by_force() noexcept;

template <class T, class Body>
class fiber_root final : public root<T> {
 public:
  template <class... A>
  static fiber_root& make(const fiber_plan& plan, A&&... a) {
    void* const memory = allocate();
    fiber_root* made = nullptr;
    try {
      made = ::new (memory) fiber_root(plan.home, std::forward<A>(a)...);
    } catch (...) {  // an argument's copy, or no memory
      release(memory);
      throw;
    }
    try {
      made->fiber_ = &make_fiber(plan.stack_bytes, *made, calls);
    } catch (...) {
      free(*made);
      throw;
    }
    return *made;
  }

 private:
  template <class... A>
  explicit fiber_root(scheduler& home, A&&... a)
      : root<T>(home, how), body_(std::forward<A>(a)...) {}
  ~fiber_root() {
    if (fiber_ != nullptr) discard_fiber(*fiber_);
    if (!this->ended) body_.~Body();
  }

  static std::coroutine_handle<> start(root_job& self) noexcept {
    return begin_fiber(*static_cast<fiber_root&>(self).fiber_);
  }

  /// The function and its arguments are destroyed on the fiber's stack, too, also if it was stopped before
  /// its first line: they may await, in a shield.
  static void run(root_job& self) noexcept {
    auto& mine = static_cast<fiber_root&>(self);
    std::exception_ptr error;
    bool stopped = mine.stop_requested();
    if (WEFT_LIKELY(!stopped)) {
      try {
        if constexpr (std::is_void_v<T>) {
          mine.body_();
        } else {
          mine.slot().set_value(mine.body_());
        }
      } catch (const fiber_stop& stop) {
        stop.arrived();
        stopped = true;
      } catch (...) {
        error = std::current_exception();
        if (WEFT_UNLIKELY(error == nullptr)) was_ended_by_force();  // it is no C++ exception
      }
      assert_stop_not_swallowed(*mine.fiber_, stopped);
    }
    mine.body_.~Body();
    mine.open_slot();  // it is in no queue any more
    mine.was_stopped = stopped;
    if (WEFT_UNLIKELY(error != nullptr)) {
      mine.slot().set_error(std::move(error));
    } else if constexpr (std::is_void_v<T>) {
      if (!stopped) mine.slot().set_value();
    }
    mine.ended = true;
  }

  /// Its stack is given back.
  static std::coroutine_handle<> end_root(root_job& self) noexcept {
    auto& mine = static_cast<fiber_root&>(self);
    mine.fiber_ = nullptr;
    return WEFT_UNLIKELY(mine.slot().has_error()) ? mine.end_by_error() : mine.end();
  }

  static void free(root_job& self) noexcept {
    auto* const mine = static_cast<fiber_root*>(&self);
    mine->~fiber_root();
    release(mine);
  }
  static void* allocate() {
    if constexpr (alignof(fiber_root) > cache_line) {
      return allocate_aligned_frame(sizeof(fiber_root), alignof(fiber_root));
    } else {
      return allocate_frame(sizeof(fiber_root));
    }
  }
  static void release(void* memory) noexcept {
    if constexpr (alignof(fiber_root) > cache_line) {
      free_aligned_frame(memory, sizeof(fiber_root), alignof(fiber_root));
    } else {
      free_frame(memory, sizeof(fiber_root));
    }
  }

  static constexpr root_job::operations how{
      {.run = &root_job::run_root, .in_block = true, .is_fiber = true},
      &start,
      &free,
      &root<T>::error_of};
  static constexpr fiber_calls calls{&run, &end_root};

  fiber* fiber_ = nullptr;  // until it is given back
  union {
    Body body_;
  };
};

/// What go(f, args...) gives: what f returns.
template <class F, class... A>
using fiber_value_t = std::invoke_result_t<std::decay_t<F>&, std::decay_t<A>...>;

/// Makes a fiber of f(args...); both are decay-copied into it. It is not ready yet: launch() it.
template <class F, class... A>
auto make_fiber_job(const fiber_plan& plan, const spawn_options& options, F&& f, A&&... args)
    -> root<fiber_value_t<F, A...>>& {
  using T = fiber_value_t<F, A...>;
  static_assert(
      !is_task<std::remove_cvref_t<T>>,
      "go() runs an ordinary function on a stack of its own, and this one returns a task: "
      "spawn(f, x) it, or write go([] { return await(f(x)); })");
  using body = call_body<std::decay_t<F>, std::decay_t<A>...>;
  auto& made = fiber_root<T, body>::make(plan, std::forward<F>(f), std::forward<A>(args)...);
  configure(made, options);
  if (plan.worker != any_worker) made.pin_to(plan.worker);
  return made;
}

}  // namespace weft::detail
