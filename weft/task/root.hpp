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
  /// Throws std::bad_alloc, where there are bindings to inherit.
  root_job(scheduler& home, const operations& kind) : job(home, kind) {
    if (const job* const maker = current_job()) inherit_locals(*maker);
    census_add(census_kind::jobs, 1);
  }
  ~root_job() { census_add(census_kind::jobs, -1); }

  /// At the end: tells the scheduler and the handle; frees the job if that is left to it.
  std::coroutine_handle<> end() noexcept;
  /// The same of one that has an exception in its slot.
  std::coroutine_handle<> end_by_error() noexcept;

 private:
  std::coroutine_handle<> retire_by(bool (*hand_over)(job&) noexcept) noexcept;
  void report(const std::exception_ptr& error) noexcept;
  const operations& kind() const noexcept { return static_cast<const operations&>(job::kind()); }
};

/// A job that gives a T.
template <class T>
class root : public root_job {
 public:
  /// Valid once the job has ended.
  result_slot<T>& slot() noexcept { return slot_; }

 protected:
  using root_job::root_job;
  void open_slot() noexcept {}
  static std::exception_ptr error_of(root_job& self) noexcept {
    return static_cast<root&>(self).slot_.error();
  }

 private:
  result_slot<T> slot_;
};

template <>
class root<void> : public root_job {
 public:
  result_slot<void>& slot() noexcept { return ended_with; }

 protected:
  using root_job::root_job;
  ~root() {
    if (ended) ended_with.~result_slot();
  }
  /// From here on the job is in no queue.
  void open_slot() noexcept { ::new (static_cast<void*>(&ended_with)) result_slot<void>; }
  static std::exception_ptr error_of(root_job& self) noexcept { return self.ended_with.error(); }
};

/// The task that a job's function has made, and the boundary that it returns to.
template <class Holder, class Task>
struct called_task {
  class front final : public boundary_relay<front, bare_boundary> {
   public:
    /// It is the first thing in a Holder.
    std::coroutine_handle<> resumed() noexcept {
      return reinterpret_cast<Holder*>(this)->task_returned();
    }
  };
  front edge;
  Task task;
};

/// How long a job needs its function and its arguments.
enum class body_stays : std::uint8_t { no_task, beside_its_task, until_called };
template <class Body>
consteval body_stays how_long() noexcept {
  if constexpr (!is_task<typename Body::returned>)
    return body_stays::no_task;
  else
    return Body::is_used_up ? body_stays::until_called : body_stays::beside_its_task;
}

/// The function and the arguments of a job, and the task that they make, if they make one. `Self`
/// derives from it, and has resumed(), which is called when the task has ended, or a stop.
template <class Self, class Body, body_stays = how_long<Body>()>
class root_body {
 protected:
  template <class... A>
  explicit root_body(std::in_place_t, A&&... a) : body_(std::forward<A>(a)...) {}
  ~root_body() {}
  auto call() { return body_(); }
  void destroy_body() noexcept { body_.~Body(); }

 private:
  union {
    Body body_;
  };
};

template <class Self, class Body>
class root_body<Self, Body, body_stays::beside_its_task> {
  using running = called_task<root_body, typename Body::returned>;

 public:
  std::coroutine_handle<> task_returned() noexcept { return static_cast<Self*>(this)->resumed(); }

 protected:
  template <class... A>
  explicit root_body(std::in_place_t, A&&... a) : body_(std::forward<A>(a)...) {}
  ~root_body() {}
  running& call() {
    ::new (static_cast<void*>(&running_.task)) typename Body::returned(body_());
    return running_;
  }
  running& called() noexcept { return running_; }
  void destroy_body() noexcept { body_.~Body(); }

 private:
  running running_;  // in front
  union {
    Body body_;
  };
};

/// Nothing of them is needed once they were called: the task takes their place.
template <class Self, class Body>
class root_body<Self, Body, body_stays::until_called> {
  using running = called_task<root_body, typename Body::returned>;

 public:
  std::coroutine_handle<> task_returned() noexcept { return static_cast<Self*>(this)->resumed(); }

 protected:
  template <class... A>
  explicit root_body(std::in_place_t, A&&... a) : body_(std::forward<A>(a)...) {}
  ~root_body() {}
  running& call() {
    Body body(std::move(body_));
    ::new (static_cast<void*>(&running_)) running;
    ::new (static_cast<void*>(&running_.task)) typename Body::returned(body());
    return running_;
  }
  running& called() noexcept { return running_; }
  void destroy_body() noexcept {}

 private:
  union {
    Body body_;
    running running_;
  };
};

/// `Body` has `using returned`, a task or a value, and `returned operator()()`; it is destroyed when
/// the job ends, whenever its handle goes. It may have a `name`, for listings, and `is_awaited`: true if
/// who waits for it does so until it has ended.
template <class T, class Body>
class root_of final : public root<T>, private root_body<root_of<T, Body>, Body> {
  using base = root_body<root_of, Body>;
  static constexpr bool is_call = is_task<typename Body::returned>;

 public:
  template <class... A>
  static root_of& make(scheduler& home, A&&... a) {
    void* const memory = allocate();
    try {
      return *::new (memory) root_of(home, std::forward<A>(a)...);
    } catch (...) {  // an argument's copy, or no memory
      release(memory);
      throw;
    }
  }

 private:
  friend base;
  template <class... A>
  explicit root_of(scheduler& home, A&&... a)
      : root<T>(home, how), base(std::in_place, std::forward<A>(a)...) {}
  ~root_of() {
    if (!this->ended) this->destroy_body();
  }

  static std::coroutine_handle<> start_root(root_job& self) noexcept {
    return static_cast<root_of&>(self).begin();
  }
  std::coroutine_handle<> begin() noexcept {
    if (this->stop_requested()) {  // before it ran: not even its first line is executed
      this->open_slot();
      this->was_stopped = true;
      return finish();
    }
    try {
      if constexpr (is_call) {
        auto& made = this->call();
        promise_base& inner = made.task.promise();
        inner.attach(made.edge, *this);
        return inner.handle();
      } else {
        this->open_slot();
        if constexpr (std::is_void_v<T>) {
          this->call();
          this->slot().set_value();
        } else {
          this->slot().set_value(this->call());
        }
      }
    } catch (...) {
      if constexpr (is_call) this->open_slot();
      this->slot().clear();
      this->slot().set_error(std::current_exception());
      return finish_by_error();
    }
    return finish();
  }
  std::coroutine_handle<> resumed() noexcept
    requires is_call
  {
    this->open_slot();
    auto& task = this->called().task;
    auto& gave = task.promise().slot();
    if (WEFT_LIKELY(gave.has_value())) {
      try {
        this->slot().take_from(gave);
      } catch (...) {  // the value's move
        this->slot().set_error(std::current_exception());
        task.destroy();
        return finish_by_error();
      }
    } else if (gave.has_error()) {
      this->slot().take_from(gave);
      task.destroy();
      return finish_by_error();
    } else {
      this->was_stopped = true;  // frames die here, innermost first
      task.destroy_stopped();
      return finish();
    }
    task.destroy();
    return finish();
  }
  std::coroutine_handle<> finish() noexcept {
    this->ended = true;
    this->destroy_body();
    return this->end();
  }
  std::coroutine_handle<> finish_by_error() noexcept {
    this->ended = true;
    this->destroy_body();
    return this->end_by_error();
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
  static constexpr const char* usual_name() noexcept {
    if constexpr (requires { Body::name; }) {
      return Body::name;
    } else {
      return "";
    }
  }
  static constexpr auto usual_awaiter() noexcept -> promise_base* (*)(const job&) noexcept {
    if constexpr (requires { requires Body::is_awaited; }) {
      return [](const job& self) noexcept {
        return static_cast<const root_of&>(self).join.waiter_of_running();
      };
    } else {
      return nullptr;
    }
  }
  static constexpr root_job::operations how{{.run = &root_job::run_root,
                                             .in_block = true,
                                             .name = usual_name(),
                                             .awaited_by = usual_awaiter()},
                                            &start_root,
                                            &free,
                                            &root<T>::error_of};
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

/// Whether a function with these parameters, called with A..., keeps nothing but copies of them.
template <class A, class P>
inline constexpr bool is_copied =
    std::is_same_v<A, std::remove_cv_t<P>> || (std::is_scalar_v<A> && std::is_scalar_v<P>);
template <class T, class P>
inline constexpr bool is_copied<std::reference_wrapper<T>, P&> =
    std::is_same_v<std::remove_const_t<T>, std::remove_const_t<P>>;
template <class Signature, class... A>
inline constexpr bool all_copied = false;
template <class R, class... P, class... A>
  requires(sizeof...(P) == sizeof...(A))
inline constexpr bool all_copied<R (*)(P...), A...> = (is_copied<A, P> && ...);
template <class R, class... P, class... A>
inline constexpr bool all_copied<R (*)(P...) noexcept, A...> = all_copied<R (*)(P...), A...>;
template <class F, class R, class... P, class... A>
inline constexpr bool all_copied<R (F::*)(P...) const, A...> = all_copied<R (*)(P...), A...>;
template <class F, class R, class... P, class... A>
inline constexpr bool all_copied<R (F::*)(P...) const noexcept, A...> =
    all_copied<R (*)(P...), A...>;

/// Whether f(args...) may go when it has given its task: f has no captures, and the task no reference
/// to what was copied into args.
template <class F, class... A>
consteval bool needed_for_the_call_only() {
  if constexpr (std::is_pointer_v<F>) {
    return all_copied<F, A...>;
  } else if constexpr (std::is_empty_v<F> && requires { &F::operator(); }) {
    return all_copied<decltype(&F::operator()), A...>;
  } else {
    return false;
  }
}

/// f(args...). `f` stays while its task runs, so that a lambda's captures live as long as the
/// coroutine that uses them; so do the arguments, which it may take by reference. Where it does neither
/// (is_used_up), they go when it is called.
template <class F, class... A>
class call_body {
 public:
  using returned = std::invoke_result_t<F&, A...>;
  static constexpr bool is_used_up =
      needed_for_the_call_only<F, A...>() && (std::is_trivially_destructible_v<A> && ...) &&
      (std::is_trivially_copy_constructible_v<A> && ...) &&
      std::is_trivially_copy_constructible_v<F> && std::is_trivially_destructible_v<F>;
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

/// What make_awaiting_job() makes a job for; as a name in listings.
enum class awaits_for : std::uint8_t { block_on, timeout, with_stop, task_local };
consteval const char* name_of(awaits_for what) {
  constexpr const char* names[] = {"block_on", "timeout", "with_stop", "task_local"};
  return names[static_cast<unsigned>(what)];
}

template <class T, class A, awaits_for For>
class await_body {
 public:
  using returned = task<T>;
  static constexpr bool is_used_up = true;
  static constexpr const char* name = name_of(For);
  static constexpr bool is_awaited =
      For != awaits_for::block_on;  // there it is a thread that waits
  explicit await_body(A& awaitable) noexcept : awaitable_(&awaitable) {}
  returned operator()() { return await_one<T>(awaitable_); }

 private:
  A* awaitable_;
};

}  // namespace weft::detail
