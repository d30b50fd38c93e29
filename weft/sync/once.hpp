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
//   Cancel    a stopped call has done nothing
//   Memory    40 bytes and the value
#pragma once

#include <functional>
#include <optional>
#include <type_traits>
#include <utility>

#include "weft/sync/mutex.hpp"
#include "weft/task/task.hpp"

namespace weft {

class once {
 public:
  once() noexcept = default;
  bool done() const noexcept {
    return done_.load(WEFT_MUTATE("once.look.relaxed", order::acquire, order::relaxed));
  }
  /// Runs f(args...), a function or one that gives a task, unless that has been done. What it wrote
  /// is seen by whoever calls afterwards.
  template <class F, class... A>
  task<> call(F f, A... args) {
    if (done()) co_return;
    const auto held = co_await running_.lock();
    if (done()) co_return;
    if constexpr (requires { std::invoke(f, std::move(args)...).operator co_await(); }) {
      co_await std::invoke(f, std::move(args)...);
    } else {
      std::invoke(f, std::move(args)...);
    }
    done_.store(true, WEFT_MUTATE("once.done.relaxed", order::release, order::relaxed));
  }

 private:
  template <class>
  friend class once_cell;
  mutex running_;
  atomic<bool> done_{false};
};

template <class T>
class once_cell {
 public:
  once_cell() noexcept = default;

  /// nullptr if there is nothing yet. Threads: any
  T* get() noexcept { return once_.done() ? &*value_ : nullptr; }
  const T* get() const noexcept { return once_.done() ? &*value_ : nullptr; }

  /// The value; made from what f(args...) gives, a T or a task of one, if nobody has made it yet.
  template <class F, class... A>
  task<T&> get_or_init(F f, A... args) {
    if (once_.done()) co_return *value_;
    const auto held = co_await once_.running_.lock();
    if (once_.done()) co_return *value_;
    if constexpr (requires { std::invoke(f, std::move(args)...).operator co_await(); }) {
      auto made = co_await std::invoke(f, std::move(args)...);
      value_.emplace(std::move(made));
    } else {
      value_.emplace(std::invoke(f, std::move(args)...));
    }
    once_.done_.store(true, order::release);
    co_return *value_;
  }

 private:
  once once_;
  std::optional<T> value_;  // by who holds running_, until it is done
};

}  // namespace weft
