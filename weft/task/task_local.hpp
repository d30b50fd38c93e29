// task_local: a value that is there for everything that a job does and starts: a trace id, who asks, a
// log. Bound around an awaitable, it is seen by all that is awaited inside and by all jobs made inside,
// on whatever workers they run, and never changes under them.
//
//   static weft::task_local<int> trace;
//   co_await trace.with(7, serve(request));
//   if (const int* id = trace.get()) ...             // anywhere inside
//
//   Inherits   spawn, children of a scope or join_set, operands of when_all, race and timeout, branches
//              of fork_join and parallel loops, whoever takes them. Not the function of spawn_blocking,
//              which runs in no job, nor a job that runtime::spawn() makes from outside
//   Value      made once, const, and shared: it lives until the last job that sees it is gone, which for
//              a job with a handle is when the handle is. Nothing orders what jobs change through it
//   Result     of with(): what the awaitable gives; its exception is rethrown
//   Cancel     a stop passes to what is inside, whose end is awaited: as lossless as that is
//   Limits     what is inside is a job of its own, as in timeout(): it has another id, and on_exit() is
//              called on the scope_ref there
//   Lifetimes  the awaitable is held by reference: await it in the expression that makes it. A task_local
//              outlives its bindings: make it static
//   Cost       with(): two pooled blocks. get(): a step for each binding around it. A job without
//              bindings: a few instructions
//   After      Kotlin's coroutine context elements, Java's ScopedValue (JEP 446)
#pragma once

#include <coroutine>
#include <new>
#include <optional>
#include <type_traits>
#include <utility>

#include "weft/base/cache_line.hpp"
#include "weft/base/config.hpp"
#include "weft/task/current.hpp"
#include "weft/task/frame_pool.hpp"
#include "weft/task/join_handle.hpp"

namespace weft {

namespace detail {

/// Awaiting a job that runs in the place of the waiting one.
class with_operation : public join_operation {
 public:
  void withdraw() noexcept final { branch_.stop(); }  // must finish: the answer is joined()
  const char* what() const noexcept final { return "task_local"; }

 protected:
  explicit with_operation(root_job& branch) noexcept
      : join_operation(branch.join), branch_(branch) {}
  ~with_operation() = default;
  std::coroutine_handle<> start_branch(promise_base& waiter) noexcept;
  bool launched() const noexcept { return launched_; }

 private:
  void joined() noexcept final { finish(branch_.was_stopped); }
  root_job& branch_;
  bool launched_ = false;
};

template <class A>
class with_await final {
  using T = await_result_t<A&&>;

  class operation_of final : public with_operation {
   public:
    explicit operation_of(root<T>& branch) noexcept : with_operation(branch), branch_(branch) {}
    ~operation_of() {
      if (!launched()) branch_.discard();  // never ran, nobody knows it
    }
    using with_operation::launched;
    using with_operation::start_branch;

   private:
    root<T>& branch_;
  };

 public:
  with_await(local_binding& made, A& awaitable) noexcept : binding_(&made), awaitable_(awaitable) {}
  with_await(const with_await&) = delete;
  with_await& operator=(const with_await&) = delete;
  ~with_await() {
    const bool own = operation_ && operation_->launched();
    operation_.reset();
    if (own) branch_->drop();
    local_binding::drop(binding_);
  }

  bool await_ready() const noexcept { return false; }
  template <class P>
  std::coroutine_handle<> await_suspend(std::coroutine_handle<P> waiter) {
    static_assert(weft_promise<P>, "task_local::with() can be awaited in a weft::task only");
    branch_ = &make_awaiting_job<detail::awaits_for::task_local>(waiter.promise().owner()->home(),
                                                                 awaitable_);
    operation_.emplace(*branch_);  // from here on it goes with this
    branch_->add_local(*binding_);
    binding_ = nullptr;
    return operation_->start_branch(waiter.promise());
  }
  T await_resume() {
    branch_->claimed = true;
    return branch_->slot().take();
  }

 private:
  local_binding* binding_;  // until a job has it
  A& awaitable_;
  root<T>* branch_ = nullptr;
  std::optional<operation_of> operation_;
};

}  // namespace detail

template <class T>
class task_local {
  static_assert(std::is_object_v<T> && !std::is_const_v<T>);

  class binding final : public detail::local_binding {
   public:
    template <class U>
    static binding& make(const task_local& of, U&& value) {
      static_assert(alignof(binding) <= cache_line, "a task_local's value is aligned too far");
      void* const memory = allocate_frame(sizeof(binding));
      try {
        return *::new (memory) binding(of, std::forward<U>(value));
      } catch (...) {
        free_frame(memory, sizeof(binding));
        throw;
      }
    }
    const T value;

   private:
    template <class U>
    binding(const task_local& of, U&& v) : local_binding(&of, &free), value(std::forward<U>(v)) {}
    ~binding() = default;
    static void free(const local_binding& self) noexcept {
      auto* const mine = const_cast<binding*>(static_cast<const binding*>(&self));
      mine->~binding();
      free_frame(mine, sizeof(binding));
    }
  };

 public:
  constexpr task_local() noexcept = default;
  task_local(const task_local&) = delete;
  task_local& operator=(const task_local&) = delete;

  /// Awaits `awaitable`, inside which get() gives `value`. See the top of the file.
  template <class U, class A>
    requires std::is_constructible_v<T, U&&>
  [[nodiscard("co_await it")]] auto with(U&& value, A&& awaitable WEFT_LIFETIMEBOUND) const {
    return detail::with_await<std::remove_reference_t<A>>(
        binding::make(*this, std::forward<U>(value)), awaitable);
  }

  /// The innermost value around the calling job, good while that job lives; nullptr: none, or no job.
  const T* get() const noexcept {
    const job* const running = current_job();
    if (running == nullptr) return nullptr;
    const detail::local_binding* const found = running->find_local(this);
    return found != nullptr ? &static_cast<const binding*>(found)->value : nullptr;
  }
  /// The same, or `otherwise`.
  T value_or(T otherwise) const {
    const T* const found = get();
    return found != nullptr ? *found : std::move(otherwise);
  }

 private:
  char address_ = 0;  // two of them are not at one place
};

}  // namespace weft
