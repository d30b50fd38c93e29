// stream_operators: streams made of a stream, and what awaits all of one.
//
//   auto squares = numbers().filter([](int i) { return i % 2 == 0; }).map(square).take(10);
//   const std::vector<page> pages = co_await urls().map(fetch).collect();
//
// Each takes the stream that it is called on, which must be an rvalue: std::move(s).map(f). They are
// members, and not `s | map(f)` or map(s, f): a chain reads as it runs, names as common as map, take and
// timeout stay free in namespace weft, and no operand is left that could be used, or dangle, beside it.
// To write one of your own, write a function that takes a stream by value and co_yields.
//
//   map(f)         f(element), or what the task that f returns gives; always a value, never a reference
//   filter(p)      the elements of which p(element) is true; p may return a task<bool>
//   take(n)        the first n at most. The n-th given, the stream before is destroyed
//   take_while(p)  until p(element) is false for the first time; that one is dropped
//   chunks(n)      std::vector of n elements each, the last one of what is left. If the stream fails, what
//                  had come is given first
//   throttle(d)    at most one in any `d`: those that come too soon are held back, not dropped
//   timeout(d)     result<T>: an element that takes longer than `d` to come gives errc::timed_out, and
//                  then it is the end: what the stream waited in has been stopped, and with it the stream
//   collect()      task: all elements, in a vector
//   for_each(f)    task: f(element) for each, in turn; f may return a task
//
//   stream_of(range)  the elements of a range or generator, which it keeps a copy of (or what it is moved)
//   receive_all(rx)   the messages of a channel's receiver, until it is closed and drained. Dropped, it has
//                     lost none: what it did not give is still in line
//
//   Callables  are moved (or copied) into the stream; called through std::invoke, one call at a time. A
//              temporary closure that owns something is refused on GCC 12: name it, and give f or
//              weft::moved(f)
//   Errors     what f, p or the stream before throws leaves next()
//   Cost       a pooled frame each; map with plain f: two transfers an element. timeout: a pooled job
//              each element
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <iterator>
#include <optional>
#include <type_traits>
#include <utility>
#include <vector>

#include "weft/base/chrono.hpp"
#include "weft/base/result.hpp"
#include "weft/task/task.hpp"
#include "weft/timer/timer_set.hpp"
#include "weft/together/stream.hpp"
#include "weft/together/timeout.hpp"

namespace weft {

namespace detail {

/// What an element is as an argument of an operator's callable, and its type without references.
template <class T>
decltype(auto) unwrapped(std::optional<T>& next) noexcept {
  return std::move(*next);
}
template <class T>
T& unwrapped(T* next) noexcept {
  return *next;
}

/// `T` of a task<T>, else itself.
template <class R>
struct awaited {
  static constexpr bool is_task = false;
  using type = R;
};
template <class T>
struct awaited<task<T>> {
  static constexpr bool is_task = true;
  using type = T;
};

/// Waits until a moment of the scheduler's clock; not at all if that has passed.
class moment_operation final : public awaitable_operation<moment_operation>, private timer_entry {
 public:
  explicit moment_operation(std::int64_t due_ns) noexcept : timer_entry(&fired), due_ns_(due_ns) {}
  std::coroutine_handle<> start(promise_base& waiter) noexcept;
  void withdraw() noexcept override;
  const char* what() const noexcept override { return "throttle"; }
  void await_resume() const noexcept {}
  /// On the running job's clock.
  static std::int64_t now_ns() noexcept;

 private:
  static void fired(timer_entry& entry) noexcept;
  timer_set* armed_in_ = nullptr;
  std::int64_t due_ns_;
};

template <class F, class T>
using stream_call = awaited<std::invoke_result_t<F&, T>>;

template <class U, class T, class F>
stream<U> stream_map(stream<T> source, F f) {
  for (;;) {
    auto next = co_await source.next();
    if (!next) co_return;
    if constexpr (stream_call<F, T>::is_task) {
      U made = co_await std::invoke(f, unwrapped(next));
      co_yield handed_on<U>(made);
    } else {
      U made = std::invoke(f, unwrapped(next));
      co_yield handed_on<U>(made);
    }
  }
}

/// Until `p` says no: then the end (Whole), or the next one.
template <bool Whole, class T, class P>
stream<T> stream_filter(stream<T> source, P p) {
  using object = std::remove_reference_t<T>;
  for (;;) {
    auto next = co_await source.next();
    if (!next) co_return;
    object& element = *next;
    bool wanted = false;
    if constexpr (stream_call<P, std::add_const_t<object>&>::is_task) {
      wanted = co_await std::invoke(p, std::as_const(element));
    } else {
      wanted = std::invoke(p, std::as_const(element));
    }
    if (wanted) {
      co_yield handed_on<object>(element);
    } else if constexpr (Whole) {
      co_return;
    }
  }
}

template <class T>
stream<T> stream_take(stream<T> source, std::size_t n) {
  using object = std::remove_reference_t<T>;
  for (; n != 0; --n) {
    auto next = co_await source.next();
    if (!next) co_return;
    if constexpr (!std::is_reference_v<T>) {
      if (n == 1) const auto not_needed = std::move(source);
    }
    object& element = *next;
    co_yield handed_on<object>(element);
  }
}

template <class T>
stream<std::vector<T>> stream_chunks(stream<T> source, std::size_t n) {
  std::exception_ptr error;
  for (bool more = true; more;) {
    std::vector<T> chunk;
    chunk.reserve(n);
    try {
      while (more && chunk.size() != n) {
        auto next = co_await source.next();
        if (next) {
          chunk.push_back(std::move(*next));
        } else {
          more = false;
        }
      }
    } catch (...) {
      error = std::current_exception();
      more = false;
    }
    if (!chunk.empty()) co_yield handed_on<std::vector<T>>(chunk);
  }
  if (error != nullptr) std::rethrow_exception(error);
}

template <class T>
stream<T> stream_throttle(stream<T> source, std::int64_t ns) {
  using object = std::remove_reference_t<T>;
  for (std::int64_t not_before_ns = INT64_MIN;;) {
    auto next = co_await source.next();
    if (!next) co_return;
    if (not_before_ns > moment_operation::now_ns()) co_await moment_operation(not_before_ns);
    not_before_ns = saturating_add_ns(moment_operation::now_ns(), ns);
    object& element = *next;
    co_yield handed_on<object>(element);
  }
}

template <class T>
stream<typename timed_result<T>::type> stream_timeout(stream<T> source,
                                                      std::chrono::nanoseconds d) {
  using R = typename timed_result<T>::type;
  for (;;) {
    auto next = co_await weft::timeout(d, source.next());
    if (!next) {
      R late = std::unexpected(next.error());
      co_yield handed_on<R>(late);
      co_return;
    }
    if (!*next) co_return;
    R in_time = std::move(**next);
    co_yield handed_on<R>(in_time);
  }
}

template <class T>
task<std::vector<T>> stream_collect(stream<T> source) {
  std::vector<T> all;
  for (;;) {
    auto next = co_await source.next();
    if (!next) break;
    all.push_back(std::move(*next));
  }
  co_return all;
}

template <class T, class F>
task<> stream_for_each(stream<T> source, F f) {
  for (;;) {
    auto next = co_await source.next();
    if (!next) co_return;
    if constexpr (stream_call<F, T>::is_task) {
      co_await std::invoke(f, unwrapped(next));
    } else {
      static_cast<void>(std::invoke(f, unwrapped(next)));
    }
  }
}

template <class T, class R>
stream<T> stream_of_range(R range) {
  for (auto&& element : range) co_yield static_cast<decltype(element)&&>(element);
}

template <class T, class R>
stream<T> stream_of_messages(R from) {
  for (;;) {
    auto got = co_await from.recv();
    if (!got) co_return;
    T& message = *got;
    co_yield handed_on<T>(message);
  }
}

}  // namespace detail

template <class T>
template <safe_in_await F>
auto stream<T>::map(F&& f) && {
  using U = std::remove_cvref_t<typename detail::stream_call<std::decay_t<F>, T>::type>;
  static_assert(!std::is_void_v<U>, "map(): f gives nothing; for_each() is for that");
  return detail::stream_map<U, T, std::decay_t<F>>(std::move(*this), std::forward<F>(f));
}
template <class T>
template <safe_in_await P>
stream<T> stream<T>::filter(P&& p) && {
  return detail::stream_filter<false, T, std::decay_t<P>>(std::move(*this), std::forward<P>(p));
}
template <class T>
template <safe_in_await P>
stream<T> stream<T>::take_while(P&& p) && {
  return detail::stream_filter<true, T, std::decay_t<P>>(std::move(*this), std::forward<P>(p));
}
template <class T>
stream<T> stream<T>::take(std::size_t n) && {
  return detail::stream_take<T>(std::move(*this), n);
}
template <class T>
auto stream<T>::chunks(std::size_t n) && {
  static_assert(by_value, "chunks() of references: map() them to values or pointers first");
  WEFT_ASSERT(n != 0, "stream::chunks(0): a chunk has at least one element");
  return detail::stream_chunks<T>(std::move(*this), n);
}
template <class T>
template <class Duration>
stream<T> stream<T>::throttle(Duration d) && {
  return detail::stream_throttle<T>(std::move(*this), from_chrono(d));
}
template <class T>
template <class Duration>
auto stream<T>::timeout(Duration d) && {
  static_assert(by_value, "timeout() of references: map() them to values or pointers first");
  return detail::stream_timeout<T>(std::move(*this), std::chrono::nanoseconds(from_chrono(d)));
}
template <class T>
auto stream<T>::collect() && {
  static_assert(by_value, "collect() of references: map() them to values or pointers first");
  return detail::stream_collect<T>(std::move(*this));
}
template <class T>
template <safe_in_await F>
auto stream<T>::for_each(F&& f) && {
  return detail::stream_for_each<T, std::decay_t<F>>(std::move(*this), std::forward<F>(f));
}

/// See the top of the file. A container that is not moved in is copied.
template <class R>
  requires requires(std::remove_cvref_t<R>& r) {
    std::begin(r);
    std::end(r);
  }
auto stream_of(R&& range) {
  using range_type = std::remove_cvref_t<R>;
  using T = std::remove_cvref_t<decltype(*std::begin(std::declval<range_type&>()))>;
  static_assert(safe_in_await<R>,
                "GCC 12 would destroy this temporary range twice in a co_await: name it first");
  return detail::stream_of_range<T, range_type>(std::forward<R>(range));
}

/// See the top of the file. `from` is anything whose recv() can be awaited and gives an optional.
template <class R>
auto receive_all(R from) {
  using T = typename await_result_t<decltype(from.recv())>::value_type;
  return detail::stream_of_messages<T, R>(std::move(from));
}

}  // namespace weft
