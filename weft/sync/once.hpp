// once, once_cell: something that is done once, by the first who needs it, while the others wait.
//
//   weft::once_cell<config> cell;
//   config& c = co_await cell.get_or_init(load, path);   // load(path) gives a config, or a task of one
//
// If that fails by an exception, or the job that does it is stopped, it has not happened: the next
// one in line does it; the exception goes to who did it alone.
//
//   Fairness  FIFO
//   Threads   any; a plain thread waits by weft::block_on(cell.get_or_init(load, path))
//   Cost      a small frame for each call; get() of what is there: a load
//   Cancel    a stopped call has done nothing; one that finds it done looks for a stop as well
//   Budget    what need not wait spends some
//   Memory    40 bytes and the value
#pragma once

#include <functional>
#include <optional>
#include <type_traits>
#include <utility>

#include "weft/base/safe_callable.hpp"
#include "weft/sync/mutex.hpp"
#include "weft/task/ready_look.hpp"
#include "weft/task/task.hpp"

namespace weft {

namespace detail {

// I1  Who holds in_turn() and finds it left to do, does it; so it is done by one.
// P1  finish: store (release)  ->  done: load (acquire): what was made, for those who never lock.
class once_state {
 public:
  bool done() const noexcept {
    return done_.load(WEFT_MUTATE("once.look.relaxed", order::acquire, order::relaxed));  // P1
  }
  mutex& in_turn() noexcept { return running_; }
  /// With the lock held. Who waited for it may find it done.
  bool left_to_do() const noexcept { return WEFT_MUTATE("once.looks_no_more", !done(), true); }
  void finish() noexcept {
    done_.store(true, WEFT_MUTATE("once.done.relaxed", order::release, order::relaxed));  // P1
  }

 private:
  mutex running_;
  atomic<bool> done_{false};
};

}  // namespace detail

class once {
 public:
  once() noexcept = default;
  bool done() const noexcept { return state_.done(); }
  /// Runs f(args...), a function or one that gives a task, unless that has been done. What it wrote
  /// is seen by whoever calls afterwards.
  template <class F, class... A>
  task<> call(F&& f, A&&... args) {
    static_assert(safe_in_await<F>, WEFT_SAFE_IN_AWAIT_MESSAGE);
    return call_first<std::decay_t<F>, std::decay_t<A>...>(std::forward<F>(f),
                                                           std::forward<A>(args)...);
  }

 private:
  template <class F, class... A>
  task<> call_first(F f, A... args) {
    if (done()) {
      co_await detail::ready_look("once");
      co_return;
    }
    const auto held = co_await state_.in_turn().lock();
    if (!state_.left_to_do()) co_return;
    if constexpr (requires { std::invoke(f, std::move(args)...).operator co_await(); }) {
      co_await std::invoke(f, std::move(args)...);
    } else {
      std::invoke(f, std::move(args)...);
    }
    state_.finish();
  }

  detail::once_state state_;
};

template <class T>
class once_cell {
 public:
  once_cell() noexcept = default;

  /// nullptr if there is nothing yet. Threads: any
  T* get() noexcept { return state_.done() ? &*value_ : nullptr; }
  const T* get() const noexcept { return state_.done() ? &*value_ : nullptr; }

  /// The value; made from what f(args...) gives, a T or a task of one, if nobody has made it yet.
  template <class F, class... A>
  task<T&> get_or_init(F&& f, A&&... args) {
    static_assert(safe_in_await<F>, WEFT_SAFE_IN_AWAIT_MESSAGE);
    return get_or_make<std::decay_t<F>, std::decay_t<A>...>(std::forward<F>(f),
                                                            std::forward<A>(args)...);
  }

 private:
  template <class F, class... A>
  task<T&> get_or_make(F f, A... args) {
    if (state_.done()) {
      co_await detail::ready_look("once");
      co_return *value_;
    }
    const auto held = co_await state_.in_turn().lock();
    if (!state_.left_to_do()) co_return *value_;
    if constexpr (requires { std::invoke(f, std::move(args)...).operator co_await(); }) {
      auto made = co_await std::invoke(f, std::move(args)...);
      value_.emplace(std::move(made));
    } else {
      value_.emplace(std::invoke(f, std::move(args)...));
    }
    state_.finish();
    co_return *value_;
  }

  detail::once_state state_;
  std::optional<T> value_;  // by who holds in_turn(), until it is done
};

}  // namespace weft
