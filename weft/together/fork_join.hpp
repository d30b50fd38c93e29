// fork_join: several parts of a computation at once, as cheap as calls when nobody is idle.
//
//   task<int> fib(int n) {
//     if (n < 2) co_return n;
//     auto [a, b] = co_await fork_join([n] { return fib(n - 1); }, [n] { return fib(n - 2); });
//     co_return a + b;
//   }
//
// The first branch runs at once, in place. The others wait on the worker's deque: idle workers take
// the oldest, the forking job takes back what is left, youngest first. So the order is depth-first
// and memory is bounded by depth x workers. A branch may wait for anything; others then go on.
//
//   Branches   nullary callables that return a task or a value; they may run on other workers, so
//              what they share must bear that
//   Result     a tuple in the order of the branches; std::monostate stands for no value
//   Errors     the exception of the first branch, in their order, that has one; branches that have
//              not begun by then do not run, those on other workers are stopped and awaited. Others are
//              in a failure_log, if there is one around
//   Cancel     branches that have not begun do not run, the others are stopped and awaited
//   Lifetimes  the callables are held by reference: await it in the expression that makes it
//   Cost       no allocation of its own, no atomic read-modify-write, unless a branch is taken by
//              another worker: then a job, a steal and a wake
//   After      Cilk's spawn, libfork; why branches and not continuations: docs/decisions/0004
#pragma once

#include <coroutine>
#include <exception>
#include <new>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>

#include "weft/base/safe_callable.hpp"
#include "weft/task/awaiter.hpp"
#include "weft/task/failures.hpp"
#include "weft/task/fork.hpp"
#include "weft/task/task.hpp"

namespace weft {

namespace detail {

template <class R>
struct fork_value {
  using type = R;
};
template <class T>
struct fork_value<task<T>> {
  using type = T;
};

/// One branch: the callable, and its task or its value. The first one is never left for others.
template <class Await, std::size_t I, class F>
class fork_part : public std::conditional_t<I == 0, std::type_identity<F>, fork_branch> {
 protected:
  using returned = std::invoke_result_t<F&>;
  using T = typename fork_value<returned>::type;
  using value_type = std::conditional_t<std::is_void_v<T>, std::monostate, T>;
  static constexpr bool is_call = is_task<returned>;

  explicit fork_part(F& f) noexcept
    requires(I == 0)
      : f_(f) {}
  explicit fork_part(F& f) noexcept
    requires(I != 0)
      : fork_branch(&make_taken), f_(f) {}

  /// Calls it. A task then waits to be resumed; a value is there. Throws what the callable throws.
  WEFT_ALWAYS_INLINE void call() {
    if constexpr (is_call) {
      ::new (static_cast<void*>(&held_)) returned(f_());
    } else if constexpr (std::is_void_v<returned>) {
      f_();
      held_.set_value();
    } else {
      held_.set_value(f_());
    }
  }
  result_slot<T>& slot() noexcept {
    if constexpr (is_call) {
      return held_.promise().slot();
    } else {
      return held_;
    }
  }
  bool failed() noexcept {
    if constexpr (is_call) return held_ && slot().has_error();
    return false;
  }
  value_type take() {
    if constexpr (std::is_void_v<T>) {
      slot().take();
      return {};
    } else {
      return slot().take();
    }
  }

  F& f_;
  std::conditional_t<is_call, returned, result_slot<T>> held_{};

 private:
  template <class, class...>
  friend class fork_join_await;

  /// The job of this branch, when somebody else runs it.
  class taken final : public forked_job, private boundary_relay<taken> {
   public:
    taken(scheduler& home, fork_part& part)  // throws std::bad_alloc
        : forked_job(home, how, part, sizeof(taken), *part.group().parent().owner(),
                     forked_job::where::anywhere),
          part_(part) {}

   private:
    friend boundary_relay<taken>;
    static void run(job& self) noexcept {
      auto& mine = static_cast<taken&>(self);
      operation* const woken = mine.take_woken();
      (woken == nullptr ? mine.start() : after(*woken)).resume();
    }
    std::coroutine_handle<> start() noexcept {
      if (!this->begin()) return this->end(group(), true, nullptr);
      try {
        part_.call();
      } catch (...) {
        note_failure(std::current_exception());
        return this->end(group(), false, std::current_exception());
      }
      if constexpr (is_call) {
        promise_base& inner = part_.held_.promise();
        inner.attach(*this, *this);
        return inner.handle();
      } else {
        return this->end(group(), false, nullptr);
      }
    }
    std::coroutine_handle<> resumed() noexcept {
      if constexpr (is_call) {
        if (WEFT_UNLIKELY(this->stopped())) {
          part_.held_.destroy_stopped();
        } else if (WEFT_UNLIKELY(part_.slot().has_error())) {
          note_failure(part_.slot().error());
        }
      }
      return this->end(group(), this->stopped(), nullptr);
    }
    fork_group& group() noexcept { return part_.group(); }

    static promise_base* awaited_by(const job& self) noexcept {
      return &static_cast<const taken&>(self).part_.group().parent();
    }
    static constexpr job_kind how{
        .run = &run, .in_block = true, .name = "fork", .awaited_by = &awaited_by};
    fork_part& part_;
  };
  Await& group() noexcept { return static_cast<Await&>(*this); }
  static forked_job& make_taken(fork_branch& branch, scheduler& home) {
    auto& part = static_cast<fork_part&>(branch);
    const job& forking = *part.group().parent().owner();
    void* const memory = allocate_frame_for(forking, sizeof(taken));
    try {
      return *::new (memory) taken(home, part);
    } catch (...) {  // no memory for its bindings
      free_frame(memory, sizeof(taken));
      throw;
    }
  }
};

template <class Indices, class... F>
class fork_join_await;

template <std::size_t... I, class... F>
class fork_join_await<std::index_sequence<I...>, F...> final
    : private boundary_relay<fork_join_await<std::index_sequence<I...>, F...>, inner_boundary>,
      private fork_group,
      private fork_part<fork_join_await<std::index_sequence<I...>, F...>, I, F>... {
  static constexpr std::size_t count = sizeof...(F);
  static_assert(count > 0);
  template <std::size_t K>
  using part_at = fork_part<fork_join_await, K, std::tuple_element_t<K, std::tuple<F...>>>;

 public:
  explicit fork_join_await(F&... f) noexcept : part_at<I>(f)... {}
  ~fork_join_await() {
    if (WEFT_UNLIKELY(wait_ != nullptr)) wait_->free();
  }

  bool await_ready() const noexcept { return false; }
  template <class P>
  WEFT_ALWAYS_INLINE std::coroutine_handle<> await_suspend(
      std::coroutine_handle<P> waiter) noexcept {
    static_assert(weft_promise<P>, "fork_join() can be awaited in a weft::task only");
    this->outer_ = &waiter.promise();
    offer(std::make_index_sequence<count - 1>());
    return run<0>();
  }
  std::tuple<typename part_at<I>::value_type...> await_resume() {
    if (WEFT_UNLIKELY(wait_ != nullptr)) check();
    return std::tuple<typename part_at<I>::value_type...>{part<I>().take()...};
  }

 private:
  friend boundary_relay<fork_join_await, inner_boundary>;
  template <class, std::size_t, class>
  friend class fork_part;

  template <std::size_t K>
  part_at<K>& part() noexcept {
    return *this;
  }
  promise_base& parent() noexcept { return *this->outer_; }

  /// The last one first, so that the next one to run is the one to take back.
  template <std::size_t... K>
  WEFT_ALWAYS_INLINE void offer(std::index_sequence<K...>) noexcept {
    if constexpr (count > 1) {
      if (WEFT_UNLIKELY(!offer_branches(static_cast<fork_branch&>(part<count - 1 - K>())...))) {
        (give_job(part<count - 1 - K>()), ...);
      }
    }
  }
  WEFT_NOINLINE void give_job(fork_branch& branch) noexcept {
    scheduler& home = parent().owner()->home();
    home.schedule(branch.make_job_of_taken(home), wake_kind::spawned);
  }

  /// Runs part K in place, as a call of the forking job.
  template <std::size_t K>
  WEFT_ALWAYS_INLINE std::coroutine_handle<> run() noexcept {
    try {
      part<K>().call();
    } catch (...) {
      slow().error = std::current_exception();
      return next<K + 1>(true);
    }
    if constexpr (part_at<K>::is_call) {
      promise_base& inner = part<K>().held_.promise();
      if constexpr (K == count - 1) {
        inner.attach(parent());  // nothing else is left: it returns straight to the parent
      } else {
        if constexpr (K > 0) this->template resume_with<&fork_join_await::template resumed_at<K>>();
        inner.attach(*this, *parent().owner());
      }
      return inner.handle();
    } else {
      return next<K + 1>(false);
    }
  }
  /// The parts before K are over.
  template <std::size_t K>
  WEFT_ALWAYS_INLINE std::coroutine_handle<> next(bool failed) noexcept {
    if constexpr (K == count) {
      return parent().handle();
    } else {
      if (WEFT_UNLIKELY(failed)) return abandon(K, false);
      if (WEFT_LIKELY(take_back_branch(part<K>()))) return run<K>();
      return wait_from(K);
    }
  }

  std::coroutine_handle<> resumed() noexcept { return resumed_at<0>(*this); }
  /// Part K ran in place, and has ended or was stopped; or the branches that were waited for have.
  template <std::size_t K>
  WEFT_ALWAYS_INLINE static std::coroutine_handle<> resumed_at(fork_join_await& self) noexcept {
    if (WEFT_UNLIKELY(self.wait_ != nullptr)) return self.conclude();
    if constexpr (part_at<K>::is_call) {
      if (WEFT_UNLIKELY(self.stopped())) {
        self.template part<K>().held_.destroy_stopped();
        return self.abandon(K + 1, true);
      }
    }
    return self.template next<K + 1>(self.template part<K>().failed());
  }

  fork_wait& slow() noexcept {
    if (wait_ == nullptr) wait_ = &fork_wait::make_for_taken(*this, count, *parent().owner());
    return *wait_;
  }
  template <class Do>
  void from_part(std::size_t from, Do act) noexcept {
    const auto one = [&]<std::size_t K>() {
      if constexpr (K > 0) {
        if (K >= from) act(static_cast<fork_branch&>(part<K>()));
      }
    };
    (one.template operator()<I>(), ...);
  }
  /// Nothing from part `from` on shall run any more.
  WEFT_NOINLINE std::coroutine_handle<> abandon(std::size_t from, bool stopped) noexcept {
    slow().unwinding = stopped;
    slow().failed = !stopped;
    bool mine = true;  // from the youngest on: what comes after one that was taken was taken, too
    from_part(from, [&](fork_branch& b) {
      mine = mine && take_back_branch(b);
      if (!mine) slow().add(b);
    });
    if (mine) return over();
    slow().ask_to_stop();
    return wait();
  }
  /// Others have what is from part `from` on.
  WEFT_NOINLINE std::coroutine_handle<> wait_from(std::size_t from) noexcept {
    from_part(from, [&](fork_branch& b) { slow().add(b); });
    return wait();
  }
  std::coroutine_handle<> wait() noexcept {
    return wait_->start(parent(), this->handle()) == fork_wait::start_result::suspended
               ? std::coroutine_handle<>(std::noop_coroutine())
               : conclude();
  }
  WEFT_NOINLINE std::coroutine_handle<> conclude() noexcept {
    const bool some_stopped = wait_->collect();
    const bool failed = wait_->failed || wait_->error || (part<I>().failed() || ...);
    // A part was stopped because this job was, or because another part failed.
    if (some_stopped && !failed) wait_->unwinding = true;
    return over();
  }
  std::coroutine_handle<> over() noexcept {
    return wait_->unwinding ? unwind(parent()) : parent().handle();
  }
  /// Rethrows the first exception.
  WEFT_NOINLINE void check() {
    if (wait_->error) note_failure(wait_->error);
    ((part<I>().failed() ? note_failure(part<I>().slot().error()) : static_cast<void>(0)), ...);
    if (wait_->error) std::rethrow_exception(std::move(wait_->error));
    ((part<I>().failed() ? static_cast<void>(part<I>().take()) : static_cast<void>(0)), ...);
  }
};

}  // namespace detail

/// See the top of the file.
template <class... F>
[[nodiscard("co_await it")]] auto fork_join(F&&... f WEFT_LIFETIMEBOUND) {
  static_assert((safe_in_await<F> && ...), WEFT_SAFE_IN_AWAIT_MESSAGE);
  return detail::fork_join_await<std::index_sequence_for<F...>, std::remove_reference_t<F>...>(
      f...);
}

}  // namespace weft
