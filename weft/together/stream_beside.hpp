// stream_beside: streams that have jobs run for them: merge, buffered.
//
//   co_await scope([&](scope_ref s) -> task<> {
//     auto pages = urls().buffered(s, 8, fetch);            // eight fetches at once, in order
//     auto both = merge(s, std::move(pages), news(peer));   // whatever comes first
//     co_await std::move(both).for_each(store);
//   });
//
// Who runs beside must be awaited by somebody, and a destructor cannot wait: a stream that is dropped
// halfway, or whose consumer is stopped, can only ask its jobs to end. So they are children of a scope,
// which is the first argument: it cannot end before them, and what it may use, they may use.
//
//   Begin      with the first next()
//   Elements   values; their move must not throw, for they go through a channel
//   Errors     what a stream, or f, throws leaves next() of the new one, in the element's place; it is
//              then at its end, and its jobs are told to stop. It does not concern the scope
//   Cancel     dropped, or stopped in next(), it tells its jobs to stop; the scope awaits them. A stop of
//              the scope reaches them as its other children
//   Lifetimes  keep it inside the scope's body: outside, its jobs would wait for it, and the scope for them
//   Cost       merge: two jobs, and one a stream; an element: a channel's send and receive. buffered: two
//              jobs and, each element, one. All pooled; a few allocations a stream, none an element
#pragma once

#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <optional>
#include <type_traits>
#include <utility>
#include <vector>

#include "weft/channel/mpmc.hpp"
#include "weft/together/scope.hpp"
#include "weft/together/stop_token.hpp"
#include "weft/together/stream.hpp"

namespace weft {

namespace detail {

/// An element on its way to the consumer, or why there is none. `at`: its place in the order.
template <class T>
class conveyed {
 public:
  explicit conveyed(T&& v, std::size_t place = 0) noexcept : value(std::move(v)), at(place) {
    static_assert(
        std::is_nothrow_move_constructible_v<T>,
        "elements of merge() and buffered() go through a channel: their move must not throw");
  }
  explicit conveyed(std::exception_ptr e, std::size_t place = 0) noexcept
      : error(std::move(e)), at(place) {}
  std::optional<T> value;
  std::exception_ptr error;
  std::size_t at;
};

/// Lives in the frame of a stream with jobs: when that goes, they are told to end.
class ends_with_stream {
 public:
  ends_with_stream() {}
  ends_with_stream(const ends_with_stream&) = delete;
  ends_with_stream& operator=(const ends_with_stream&) = delete;
  ~ends_with_stream() { source_.request_stop(); }
  stop_token token() const noexcept { return source_.get_token(); }

 private:
  stop_source source_;
};

template <class T>
task<> convey_all(stream<T> from, const sender<conveyed<T>>& to) {
  std::exception_ptr error;
  try {
    for (;;) {
      auto next = co_await from.next();
      if (!next) co_return;
      const auto sent = co_await to.send(conveyed<T>(std::move(*next)));
      if (!sent) co_return;
    }
  } catch (...) {
    error = std::current_exception();
  }
  const auto sent = co_await to.send(conveyed<T>(std::move(error)));
  static_cast<void>(sent);
}

template <class T>
task<> merge_all(std::vector<stream<T>>& sources, const sender<conveyed<T>>& to) {
  co_await scope([&](scope_ref s) -> task<> {
    for (auto& from : sources) s.spawn(convey_all<T>, std::move(from), std::cref(to));
    co_return;
  });
}

/// The child of the user's scope; what it does ends with it, or with the stream.
template <class T>
task<> merge_until(stop_token stop, std::vector<stream<T>> sources, sender<conveyed<T>> to) {
  const auto ended = co_await with_stop(stop, merge_all<T>(sources, to));
  static_cast<void>(ended);
}

template <class T>
stream<T> stream_merge(scope_ref in, std::vector<stream<T>> sources) {
  auto ends = channel<conveyed<T>>(0);  // a stream goes on when its element was taken
  const ends_with_stream jobs;
  in.spawn(merge_until<T>, jobs.token(), std::move(sources), std::move(ends.sender));
  for (;;) {
    auto got = co_await ends.receiver.recv();
    if (!got) co_return;
    if (got->error != nullptr) std::rethrow_exception(std::move(got->error));
    T& element = *got->value;
    co_yield handed_on<T>(element);
  }
}

struct permit {};

/// One call of f, for buffered().
template <class U, class T, class F>
task<> convey_one(F& f, T element, std::size_t at, const sender<conveyed<U>>& to) {
  std::exception_ptr error;
  try {
    U made = co_await std::invoke(f, std::move(element));
    const auto sent = co_await to.send(conveyed<U>(std::move(made), at));
    static_cast<void>(sent);
    co_return;
  } catch (...) {
    error = std::current_exception();
  }
  const auto sent = co_await to.send(conveyed<U>(std::move(error), at));
  static_cast<void>(sent);
}

template <class U, class T, class F>
task<> buffer_all(stream<T>& source, F& f, const receiver<permit>& permits,
                  const sender<conveyed<U>>& to) {
  co_await scope([&](scope_ref s) -> task<> {
    std::exception_ptr error;
    std::size_t at = 0;
    try {
      for (;; ++at) {
        const auto may = co_await permits.recv();
        if (!may) co_return;
        auto next = co_await source.next();
        if (!next) co_return;
        s.spawn(convey_one<U, T, F>, std::ref(f), std::move(*next), at, std::cref(to));
      }
    } catch (...) {
      error = std::current_exception();
    }
    const auto sent = co_await to.send(conveyed<U>(std::move(error), at));
    static_cast<void>(sent);
  });
}

template <class U, class T, class F>
task<> buffer_until(stop_token stop, stream<T> source, F f, receiver<permit> permits,
                    sender<conveyed<U>> to) {
  const auto ended = co_await with_stop(stop, buffer_all<U, T, F>(source, f, permits, to));
  static_cast<void>(ended);
}

/// A permit is for an element that was asked for and not yet given, so `n` are under way at most: they
/// fit into the channel, and into `early`, where those wait that came before their turn.
template <class U, class T, class F>
stream<U> stream_buffered(scope_ref in, stream<T> source, std::size_t n, F f) {
  auto results = channel<conveyed<U>>(n);
  auto permits = channel<permit>(n);
  for (std::size_t i = 0; i != n; ++i) static_cast<void>(permits.sender.try_send(permit()));
  std::vector<std::optional<conveyed<U>>> early(n);
  const ends_with_stream jobs;
  in.spawn(buffer_until<U, T, F>, jobs.token(), std::move(source), std::move(f),
           std::move(permits.receiver), std::move(results.sender));
  for (std::size_t turn = 0;; ++turn) {
    auto& place = early[turn % n];
    while (!place) {
      auto got = co_await results.receiver.recv();
      if (!got) co_return;
      const std::size_t at = got->at;
      early[at % n].emplace(std::move(*got));
    }
    conveyed<U> mine = std::move(*place);
    place.reset();
    if (mine.error != nullptr) std::rethrow_exception(std::move(mine.error));
    static_cast<void>(permits.sender.try_send(permit()));
    U& element = *mine.value;
    co_yield handed_on<U>(element);
  }
}

}  // namespace detail

/// The elements of all, as they come: first come, first served, so none is starved; each stream's own in
/// their order. It ends when all have. Each stream runs up to one element ahead.
template <class T>
stream<T> merge(scope_ref in, std::vector<stream<T>> streams) {
  static_assert(!std::is_reference_v<T>,
                "merge() of references: what they point at would not last");
  return detail::stream_merge<T>(in, std::move(streams));
}
template <class T, class... More>
  requires(std::same_as<More, stream<T>> && ...)
stream<T> merge(scope_ref in, stream<T> first, More... more) {
  std::vector<stream<T>> all;
  all.reserve(1 + sizeof...(More));
  all.push_back(std::move(first));
  (all.push_back(std::move(more)), ...);
  return merge(in, std::move(all));
}

/// What the tasks f(element) give, in the order of the elements, while up to `n` of them run at once, each
/// as a child of the scope. Done but not yet taken counts as running: it is at most `n` ahead.
template <class T>
template <class Scope, safe_in_await F>
auto stream<T>::buffered(Scope in, std::size_t n, F&& f) && {
  using call = detail::stream_call<std::decay_t<F>, T>;
  static_assert(by_value, "buffered() of references: what they point at would not last");
  static_assert(call::is_task, "buffered(): f returns a task; map() is for plain functions");
  using U = std::remove_cvref_t<typename call::type>;
  static_assert(!std::is_void_v<U>, "buffered(): f's task gives nothing; let it return something");
  WEFT_ASSERT(n != 0, "stream::buffered(0): nothing would ever run");
  return detail::stream_buffered<U, T, std::decay_t<F>>(scope_ref(in), std::move(*this), n,
                                                        std::forward<F>(f));
}

}  // namespace weft
