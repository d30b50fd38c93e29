// scope: children that end before the block that made them does.
//
//   co_await scope([&](scope_ref s) -> task<> {
//     s.spawn(serve, std::ref(listener));         // beside the body, on any worker
//     s.spawn([&] { return heartbeat(peers); });  // may use what the awaiting task has
//     co_await ok(until_told_to_end());
//     s.stop();
//   });                                           // here all of them have ended
//
// The body runs at once, in the place of the awaiting job; children when a worker comes to them. A
// scope_ref is a pointer: copy it, hand it to children, which may spawn, stop and register clean-up,
// too, from whatever worker they run on.
//
//   Result     what the body returns
//   Errors     the first failure stops the others, and the body; when all have ended it is thrown, as
//              it was: its type never depends on who else failed. A failure is an exception, or an
//              error in the weft::result of a child or of the body. An error is given as a value if the
//              body returns a result, else thrown as weft::error. Later failures: scope_options::others,
//              or with their jobs, failure_log.
//              What a child returns otherwise is dropped
//   Cancel     a stop of the awaiting job goes to the body and to all children, whose ends are awaited.
//              If all of them completed nevertheless, so did the scope. s.stop() ends the children and
//              the body, not the awaiting job: the scope returns. (A body that was cut off and owed a
//              value gives std::errc::operation_canceled.) After a stop or a failure spawn() does nothing
//   Limits     a child is stopped when it waits: one that computes, or is shielded, is awaited until then
//   Lifetimes  the scope cannot end before its children: they may use what the awaiting task has. Not
//              what the body's frame has, which may end before them: keep that outside, or hand it over
//              (spawn copies or moves the callable and its arguments). await it where it is made
//   Threads    scope_ref: any, while the scope lives, which it does for its body and its children
//   Cost       a child: one pooled block (112 bytes for a function without arguments) beside its task's
//              frame, a queue, one atomic subtraction; no list unless it waits; one wake, of the last
//   Protocol   child_group.cpp
//   After      Trio's nursery, Go's errgroup, corral's Nursery
#pragma once

#include <chrono>
#include <concepts>
#include <coroutine>
#include <cstddef>
#include <exception>
#include <functional>
#include <optional>
#include <type_traits>
#include <utility>
#include <vector>

#include "weft/base/result.hpp"
#include "weft/base/safe_callable.hpp"
#include "weft/task/awaiter.hpp"
#include "weft/task/current.hpp"
#include "weft/task/frame_account.hpp"
#include "weft/task/ok.hpp"
#include "weft/task/root.hpp"
#include "weft/task/spawn_options.hpp"
#include "weft/task/spawnable.hpp"
#include "weft/together/child_group.hpp"
#include "weft/together/timeout.hpp"

namespace weft {

class scope_ref;

/// For one scope. With options, scope() gives a weft::result.
struct scope_options {
  /// The time it has, from when it is awaited; then all of it is stopped, and it gives errc::timed_out.
  std::chrono::nanoseconds timeout = std::chrono::nanoseconds::max();
  /// The same by the clock; the earlier one counts.
  std::chrono::steady_clock::time_point deadline = std::chrono::steady_clock::time_point::max();
  /// Failures after the first are added here, in the order of time.
  std::vector<std::exception_ptr>* others = nullptr;
};

namespace detail {

/// Clean-up that waits until all children have ended.
class exit_step {
 public:
  exit_step(const exit_step&) = delete;
  exit_step& operator=(const exit_step&) = delete;

 protected:
  struct operations {
    std::coroutine_handle<> (*start)(exit_step&,
                                     promise_base& parent);  // nullptr: there was no task
    std::exception_ptr (*error)(exit_step&) noexcept;
    void (*free)(exit_step&) noexcept;
  };
  explicit exit_step(const operations& kind) noexcept : kind_(&kind) {}
  ~exit_step() = default;

 private:
  friend class scope_operation;
  const operations* kind_;
  exit_step* next_ = nullptr;
};

template <class Body>
class exit_step_of final : public exit_step {
  using returned = typename Body::returned;

 public:
  template <class... A>
  static exit_step& make(A&&... a) {
    void* const memory = allocate_frame(sizeof(exit_step_of));
    try {
      return *::new (memory) exit_step_of(std::forward<A>(a)...);
    } catch (...) {
      free_frame(memory, sizeof(exit_step_of));
      throw;
    }
  }

 private:
  template <class... A>
  explicit exit_step_of(A&&... a) : exit_step(how), body_(std::forward<A>(a)...) {
    static_assert(alignof(exit_step_of) <= cache_line, "a clean-up is aligned too far");
  }
  ~exit_step_of() = default;
  static constexpr operations how{
      [](exit_step& self, promise_base& parent) -> std::coroutine_handle<> {
        auto& mine = static_cast<exit_step_of&>(self);
        mine.task_.~returned();
        ::new (static_cast<void*>(&mine.task_)) returned(mine.body_());
        promise_base& inner = mine.task_.promise();
        inner.attach(parent);
        return inner.handle();
      },
      [](exit_step& self) noexcept -> std::exception_ptr {
        auto& mine = static_cast<exit_step_of&>(self);
        return mine.task_ ? mine.task_.promise().slot().error() : nullptr;
      },
      [](exit_step& self) noexcept {
        auto* const mine = static_cast<exit_step_of*>(&self);
        mine->~exit_step_of();
        free_frame(mine, sizeof(exit_step_of));
      }};

  Body body_;
  returned task_;
};

/// The untyped part of a scope: waiting for the end of its children, then clean-up, then its end.
class scope_operation : private relay<scope_operation>, public operation, public child_group {
 public:
  void withdraw() noexcept final;  // the answer is the end of the last child
  const char* what() const noexcept override { return "scope"; }

  /// `step` runs after the end of all children, the last one that was added first.
  void add_exit(exit_step& step) noexcept;

  /// Whether `running` is the job of the body.
  bool is_body(const job* running) const noexcept { return running == body_; }

  /// The job that awaits it, once it has started.
  job& waiting_job() noexcept { return *outer().owner(); }
  /// Of `child`, or of the body: who awaits the scope, until they have ended.
  static promise_base* awaited_by(const job& child) noexcept {
    return &static_cast<scope_operation&>(static_cast<const child_job&>(child).group()).outer();
  }

  /// The one whose body or child the running job is; asserts that there is one.
  static scope_operation& of(job& running) noexcept;

 protected:
  /// in: a stop counts if it cut off the body or a child. body: if it cut off the body.
  enum class ends : std::uint8_t { when_all_have, with_the_body };
  explicit scope_operation(ends how) noexcept : how_(how) {}
  ~scope_operation();

  /// `body` begins in the place of the job of `waiter`, which waits for the end. What to resume.
  std::coroutine_handle<> start_body(promise_base& waiter, child_job& body) noexcept;
  /// By the body's job, at the end of the body.
  void body_ended() noexcept {
    if (how_ == ends::with_the_body) stop();
  }

 private:
  friend relay<scope_operation>;
  promise_base& outer() noexcept { return *this->promise().parent(); }
  void all_ended() noexcept final { finish(false); }
  std::coroutine_handle<> resumed() noexcept;

  job* body_ = nullptr;
  exit_step* exits_ = nullptr;  // under lock_ while children live
  exit_step* exiting_ = nullptr;
  atomic<bool> withdrawn_{false};
  const ends how_;
  bool body_was_stopped_ = false;
};

/// What becomes of a child of a scope when it has ended: a failure is the scope's.
class tells_scope {
 public:
  template <class T>
  static void ended(child_group& group, result_slot<T>& slot) noexcept {
    if (WEFT_UNLIKELY(slot.has_error())) return group.fail(slot.error());
    if constexpr (is_result<T>) {
      try {
        const T given = slot.take();
        if (!given) group.fail(given.error());
      } catch (...) {  // the value's move
        group.fail(std::current_exception());
      }
    }
  }
  template <class T>
  static void stopped(child_group&) noexcept {}
};

/// A child: `Body` as in root_of; `Tell` is told what it gave.
template <class Body, class Tell = tells_scope>
class child_of final : public child_job, private root_body<child_of<Body, Tell>, Body> {
  using base = root_body<child_of, Body>;
  using T = typename spawned_value<typename Body::returned>::type;
  static constexpr bool is_call = is_task<typename Body::returned>;
  static constexpr bool has_epoch = requires(const Tell& t) { t.epoch(); };

 public:
  template <class... A>
  static child_of& make(scheduler& home, child_group& group, Tell tell, A&&... a) {
    void* const memory = allocate();
    try {
      return *::new (memory) child_of(home, group, tell, std::forward<A>(a)...);
    } catch (...) {  // an argument's copy, or no memory
      release(memory);
      throw;
    }
  }

 private:
  friend base;
  template <class... A>
  child_of(scheduler& home, child_group& group, Tell tell, A&&... a)
      : child_job(home, how, group), base(std::in_place, std::forward<A>(a)...), tell_(tell) {}
  ~child_of() {
    if (!ended) this->destroy_body();
  }

  std::coroutine_handle<> begin() noexcept {
    // Not even its first line is executed. Only a join_set's jobs have to ask twice.
    if (has_epoch ? this->told_to_stop() : this->group().stopping()) return finish_stopped();
    if constexpr (is_call) {
      try {
        auto& made = this->call();
        promise_base& inner = made.task.promise();
        inner.attach(made.edge, *this);
        return inner.handle();
      } catch (...) {
        return finish_failed();
      }
    } else {
      result_slot<T> slot;
      try {
        if constexpr (std::is_void_v<T>) {
          this->call();
          slot.set_value();
        } else {
          slot.set_value(this->call());
        }
      } catch (...) {
        slot.clear();
        slot.set_error(std::current_exception());
      }
      tell_.ended(this->group(), slot);
      return finish();
    }
  }
  std::coroutine_handle<> resumed() noexcept
    requires is_call
  {
    auto& task = this->called().task;
    auto& gave = task.promise().slot();
    if (WEFT_UNLIKELY(!gave.has_value() && !gave.has_error())) {
      task.destroy_stopped();
      return finish_stopped();
    }
    tell_.ended(this->group(), gave);
    task.destroy();
    return finish();
  }
  WEFT_NOINLINE std::coroutine_handle<> finish_failed() noexcept {  // in a handler
    result_slot<T> slot;
    slot.set_error(std::current_exception());
    tell_.ended(this->group(), slot);
    return finish();
  }
  WEFT_NOINLINE std::coroutine_handle<> finish_stopped() noexcept {
    this->was_stopped = true;
    tell_.template stopped<T>(this->group());
    return finish();
  }
  std::coroutine_handle<> finish() noexcept {
    ended = true;
    this->destroy_body();  // what it borrowed it does not touch after the scope's end
    return this->end();
  }

  static void* allocate() {
    if constexpr (alignof(child_of) > cache_line) {
      return allocate_aligned_frame(sizeof(child_of), alignof(child_of));
    } else {
      return allocate_frame(sizeof(child_of));
    }
  }
  static void release(void* memory) noexcept {
    if constexpr (alignof(child_of) > cache_line) {
      free_aligned_frame(memory, sizeof(child_of), alignof(child_of));
    } else {
      free_frame(memory, sizeof(child_of));
    }
  }
  static std::coroutine_handle<> start_child(child_job& self) noexcept {
    return static_cast<child_of&>(self).begin();
  }
  static void free_child(child_job& self) noexcept {
    auto* const mine = static_cast<child_of*>(&self);
    mine->~child_of();
    release(mine);
  }
  static constexpr auto epoch_of() noexcept -> std::uint32_t (*)(const child_job&) noexcept {
    if constexpr (has_epoch) {
      return [](const child_job& self) noexcept {
        return static_cast<const child_of&>(self).tell_.epoch();
      };
    } else {
      return nullptr;
    }
  }
  static constexpr child_job::operations how{
      {child_job::as_child(&scope_operation::awaited_by)}, &start_child, &free_child, epoch_of()};

  [[no_unique_address]] Tell tell_;
};

/// Makes a child of f(args...) and launches it, unless the group is stopping.
template <class Tell, class F, class... A>
void spawn_child(scope_operation& group, Tell tell, const spawn_options& options, F&& f,
                 A&&... args) {
  job* const running = current_job();
  WEFT_ASSERT(running != nullptr, "a scope's spawn() was called outside of a job");
  const next_block_account paid_by(options.account);
  using body = call_body<std::decay_t<F>, std::decay_t<A>...>;
  auto& child = child_of<body, Tell>::make(running->home(), group, tell, std::forward<F>(f),
                                           std::forward<A>(args)...);
  configure(child, options);
  group.adopt(child,
              group.is_body(running) ? child_group::spawner::body : child_group::spawner::other);
}

template <class F, class... A>
void add_exit(scope_operation& to, F&& f, A&&... args) {
  using body = call_body<std::decay_t<F>, std::decay_t<A>...>;
  static_assert(
      std::is_same_v<typename body::returned, task<void>>,
      "on_exit(): the clean-up is a function that returns task<>; a plain one belongs in a "
      "destructor");
  to.add_exit(exit_step_of<body>::make(std::forward<F>(f), std::forward<A>(args)...));
}

}  // namespace detail

/// A scope, for its body and its children.
class scope_ref {
 public:
  explicit scope_ref(detail::scope_operation& of) noexcept : scope_(&of) {}

  /// Runs f(args...) beside the caller, as a child. f and args are copied (or moved) into it. Does
  /// nothing once the scope is to stop. f returns a task or a value.
  template <class F, class... A>
    requires spawnable<F, A...>
  void spawn(F&& f, A&&... args) const {
    if (stop_requested()) return;
    detail::spawn_child(*scope_, detail::tells_scope(), spawn_options{}, std::forward<F>(f),
                        std::forward<A>(args)...);
  }
  template <class F, class... A>
    requires spawnable<F, A...>
  void spawn(spawn_options options, F&& f, A&&... args) const {
    if (stop_requested()) return;
    detail::spawn_child(*scope_, detail::tells_scope(), options, std::forward<F>(f),
                        std::forward<A>(args)...);
  }
  /// Only here to refuse, with advice.
  template <class F, class... A>
    requires(!detail::can_spawn<F, A...>)
  void spawn(F&&, A&&...) const {
    detail::explain_spawn<F, A...>();
  }
  /// The children and the body are to end. Does not wait. Who calls it goes on until its next await.
  void stop() const noexcept { scope_->stop(); }
  /// Whether stop() was called, something failed, or the awaiting job is stopped.
  bool stop_requested() const noexcept { return scope_->stopping(); }
  /// See weft::on_exit().
  template <class F, class... A>
  void on_exit(F&& f, A&&... args) const {
    detail::add_exit(*scope_, std::forward<F>(f), std::forward<A>(args)...);
  }

 private:
  detail::scope_operation* scope_;
};

namespace detail {

/// `Self` derives from it and has `auto body() -> task<R>`.
template <class Self, class R>
class scope_await_base : public scope_operation {
  class body_job final : public child_job, private boundary_relay<body_job> {
   public:
    body_job(scheduler& home, scope_await_base& of) : child_job(home, how, of), of_(of) {}
    ~body_job() = default;

   private:
    friend boundary_relay<body_job>;
    std::coroutine_handle<> begin() noexcept {
      if (this->told_to_stop()) return finish(true);
      try {
        ::new (static_cast<void*>(&task_)) task<R>(static_cast<Self&>(of_).body());
      } catch (...) {
        of_.fail(std::current_exception());
        return finish(false);
      }
      promise_base& inner = task_.promise();
      inner.attach(*this, *this);
      return inner.handle();
    }
    std::coroutine_handle<> resumed() noexcept {
      const bool stopped = this->stopped();
      if (stopped) {
        task_.destroy_stopped();
      } else {
        take(task_.promise().slot());
        task_.destroy();
      }
      return finish(stopped);
    }
    void take(result_slot<R>& slot) noexcept {
      try {
        of_.slot_.take_from(slot);
      } catch (...) {  // the value's move
        return of_.fail(std::current_exception());
      }
      if (of_.slot_.has_error()) {
        of_.fail(of_.slot_.error());
        of_.slot_.clear();
      } else if constexpr (is_result<R>) {
        R given = of_.slot_.take();
        if (!given) return of_.fail(given.error());
        of_.slot_.set_value(std::move(given));
      }
    }
    std::coroutine_handle<> finish(bool stopped) noexcept {
      this->was_stopped = stopped;
      of_.body_ended();
      return this->end();
    }
    static std::coroutine_handle<> start_body_job(child_job& self) noexcept {
      return static_cast<body_job&>(self).begin();
    }
    static const job* waiting(const job& self) noexcept {
      return &static_cast<const body_job&>(self).of_.waiting_job();
    }
    static constexpr child_job::operations how{
        {child_job::as_child(&scope_operation::awaited_by, &waiting, "scope")},
        &start_body_job,
        nullptr,
        nullptr};

    scope_await_base& of_;
    task<R> task_;
  };

 public:
  bool await_ready() const noexcept { return false; }
  template <class P>
  std::coroutine_handle<> await_suspend(std::coroutine_handle<P> waiter) {
    static_assert(weft_promise<P>, "scope() can be awaited in a weft::task only");
    job_.emplace(waiter.promise().owner()->home(), *this);
    return this->start_body(waiter.promise(), *job_);
  }
  R await_resume() {
    this->check();
    if (WEFT_UNLIKELY(this->failed())) {
      if constexpr (is_result<R>) {
        return R(std::unexpect, this->failed_with());
      } else {
        throw error(this->failed_with(), "weft::scope");
      }
    }
    if (WEFT_UNLIKELY(!slot_.has_value())) {  // stopped by its own s.stop()
      if constexpr (std::is_void_v<R>) {
        return;
      } else if constexpr (std::is_same_v<R, result<void>>) {
        return R();
      } else if constexpr (is_result<R>) {
        return R(std::unexpect, std::make_error_code(std::errc::operation_canceled));
      } else {
        throw_stopped();
      }
    }
    return slot_.take();
  }

 protected:
  using scope_operation::scope_operation;
  ~scope_await_base() = default;

 private:
  result_slot<R> slot_;
  std::optional<body_job> job_;
};

template <class F>
using scope_value_t = typename std::invoke_result_t<F&, scope_ref>::value_type;

template <class F>
class scope_await final : public scope_await_base<scope_await<F>, scope_value_t<F>> {
  using base = scope_await_base<scope_await, scope_value_t<F>>;

 public:
  explicit scope_await(F& f) noexcept : base(base::ends::when_all_have), f_(f) {}
  auto body() { return std::invoke(f_, scope_ref(*this)); }

 private:
  F& f_;
};

/// With options: against the clock, if a time was given.
template <class F>
class scope_with_options final {
  using T = scope_value_t<F>;
  using R = typename timed_result<T>::type;

 public:
  scope_with_options(const scope_options& options, F& f) noexcept : options_(options), inner_(f) {
    inner_.note_others_in(options.others);
  }
  bool await_ready() const noexcept { return false; }
  template <class P>
  std::coroutine_handle<> await_suspend(std::coroutine_handle<P> waiter) {
    using clock = std::chrono::steady_clock;
    std::int64_t due_ns = options_.deadline == clock::time_point::max()
                              ? never_ns
                              : from_chrono(options_.deadline.time_since_epoch());
    if (options_.timeout != std::chrono::nanoseconds::max()) {
      const std::int64_t now_ns = waiter.promise().owner()->home().now_ns();
      const std::int64_t end_ns = saturating_add_ns(now_ns, from_chrono(options_.timeout));
      due_ns = end_ns < due_ns ? end_ns : due_ns;
    }
    if (due_ns == never_ns) return inner_.await_suspend(waiter);
    timed_.emplace(inner_, false, due_ns);
    return timed_->await_suspend(waiter);
  }
  R await_resume() {
    if (timed_) return timed_->await_resume();
    if constexpr (std::is_void_v<T>) {
      inner_.await_resume();
      return R();
    } else {
      return inner_.await_resume();
    }
  }

 private:
  scope_options options_;
  scope_await<F> inner_;
  std::optional<timeout_await<scope_await<F>>> timed_;
};

template <class F>
class on_exit_await final {
 public:
  explicit on_exit_await(F&& f) : f_(std::forward<F>(f)) {}
  bool await_ready() const noexcept { return false; }
  template <class P>
  std::coroutine_handle<> await_suspend(std::coroutine_handle<P> waiter) {
    static_assert(weft_promise<P>, "on_exit() can be awaited in a weft::task only");
    add_exit(scope_operation::of(*waiter.promise().owner()), std::forward<F>(f_));
    return waiter;
  }
  void await_resume() const noexcept {}

 private:
  F&& f_;
};

template <class F>
concept scope_body = std::invocable<F&, scope_ref> && is_task<std::invoke_result_t<F&, scope_ref>>;

template <class F>
constexpr void require_scope_body() {
  static_assert(safe_in_await<F>, WEFT_SAFE_IN_AWAIT_MESSAGE);
  static_assert(scope_body<std::remove_reference_t<F>>,
                "scope(): the body takes a scope_ref and returns a task: "
                "[&](scope_ref s) -> task<> { ... }");
}

}  // namespace detail

/// See the top of the file. `body` takes a scope_ref and returns a task.
template <class F>
[[nodiscard("co_await it")]] auto scope(F&& body WEFT_LIFETIMEBOUND) {
  detail::require_scope_body<F>();
  if constexpr (detail::scope_body<std::remove_reference_t<F>>) {
    return awaited_in_place<detail::scope_await<std::remove_reference_t<F>>>(body);
  }
}
/// The same with a time limit, or with a place for all failures. Gives a weft::result.
template <class F>
[[nodiscard("co_await it")]] auto scope(scope_options options, F&& body WEFT_LIFETIMEBOUND) {
  detail::require_scope_body<F>();
  if constexpr (detail::scope_body<std::remove_reference_t<F>>) {
    return awaited_in_place<detail::scope_with_options<std::remove_reference_t<F>>>(options, body);
  }
}

/// Registers asynchronous clean-up with the scope whose body or child the calling job is: f() runs,
/// shielded, in the awaiting job, after the body and all children have ended, also if they were stopped
/// or failed, and before the scope returns. The last one registered runs first. f is copied (or moved).
///
///   co_await on_exit([&] { return connection.close(); });   // when the connection is there
///
/// Errors  an exception of f counts as a failure of the scope
/// Note    clean-up may not spawn into the scope that has ended; it may open one of its own.
///         A branch of when_all, race or timeout is a job of its own: call s.on_exit() there
template <class F>
[[nodiscard("co_await it")]] auto on_exit(F&& f WEFT_LIFETIMEBOUND) {
  static_assert(safe_in_await<F>, WEFT_SAFE_IN_AWAIT_MESSAGE);
  return awaited_in_place<detail::on_exit_await<F&&>>(std::forward<F>(f));
}

}  // namespace weft
