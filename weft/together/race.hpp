// race: waits for several things, and goes on with the first that has a result.
//
//   const auto first = co_await race(fetch(mirror_a), fetch(mirror_b));     // std::variant, by position
//   const auto [which, page] = co_await race(mirrors, [](const auto& m) { return fetch(m); });
//
// Each operand runs as a job of its own, as in when_all(). The first, in time, that gives a value or
// throws wins; the others are stopped, and awaited: when the race returns, nothing of them is alive.
//
//   Result     of race(a, b, ...): a variant whose index() is the operand's; std::monostate stands for
//              no value. Of race(range, f): a race_winner, index and value
//   Errors     if the first thing that happens is an exception, that is rethrown. A weft::result with an
//              error is a value: it wins, too. What others gave after the first is lost; what they
//              threw is in a failure_log, if there is one around
//   Cancel     a stop goes to all operands, whose ends are awaited; if one of them won all the same, the
//              race completed
//   Limits     a loser may complete before it sees the stop, with its effects: a race between two receives
//              may take two messages and give one. It is for operands of which more than one may happen
//   Lifetimes  as when_all()
//   Cost       as when_all()
#pragma once

#include <cstddef>
#include <utility>
#include <variant>

#include "weft/together/when_all.hpp"

namespace weft {

/// Which operand of race(range, f) won, and what it gave.
template <class T>
class race_winner {
 public:
  std::size_t index;
  T value;
};

namespace detail {

template <class Indices, class... A>
class race_await;

template <std::size_t... I, class... A>
class race_await<std::index_sequence<I...>, A...> final : private branch_group,
                                                          private indexed_part<I, A>... {
  static_assert(sizeof...(A) != 0, "a race of nothing would never end");
  using winner = std::variant<typename branch_part<A>::value_type...>;

 public:
  explicit race_await(A&&... a)
      : branch_group(kind::race), indexed_part<I, A>(std::forward<A>(a), *this)... {}

  bool await_ready() const noexcept { return false; }
  template <class P>
  std::coroutine_handle<> await_suspend(std::coroutine_handle<P> waiter) {
    static_assert(weft_promise<P>, "race() can be awaited in a weft::task only");
    this->prepare(waiter.promise(), sizeof...(A));
    branch_group::jobs made;
    (this->add(part<I>(), made), ...);
    return this->run(part<0>(), made);
  }
  winner await_resume() {
    this->check();
    return take<0>();
  }

 private:
  template <std::size_t K>
  auto& part() noexcept {
    return static_cast<indexed_part<K, std::tuple_element_t<K, std::tuple<A...>>>&>(*this);
  }
  template <std::size_t K>
  winner take() {
    if constexpr (K + 1 < sizeof...(A)) {
      if (!part<K>().won()) return take<K + 1>();
    }
    return winner(std::in_place_index<K>, part<K>().take());
  }
};

template <class R, class F>
class race_range_await final : private parts_of_range<R, F> {
  using base = parts_of_range<R, F>;
  using value = typename base::part_value;

 public:
  race_range_await(R& range, F& f) : base(base::kind::race, range, f) {
    WEFT_ASSERT(!std::ranges::empty(range), "a race of an empty range would never end");
  }
  using base::await_suspend;
  bool await_ready() const noexcept { return false; }
  race_winner<value> await_resume() {
    this->check();
    std::size_t i = 0;
    while (!this->part_at(i).won()) ++i;
    return race_winner<value>{i, this->part_at(i).take()};
  }
};

}  // namespace detail

/// See the top of the file.
template <class... A>
  requires(sizeof...(A) != 0 && (detail::can_be_awaited<A &&> && ...))
[[nodiscard("co_await it")]] auto race(A&&... awaitables WEFT_LIFETIMEBOUND) {
  return awaited_in_place<detail::race_await<std::index_sequence_for<A...>, A&&...>>(
      std::forward<A>(awaitables)...);
}

/// The first of f(element), for each element of the range, which must not be empty.
template <class R, class F>
  requires detail::range_and_function<R, F>
[[nodiscard("co_await it")]] auto race(R&& range WEFT_LIFETIMEBOUND, F&& f WEFT_LIFETIMEBOUND) {
  static_assert(safe_in_await<F>, WEFT_SAFE_IN_AWAIT_MESSAGE);
  return awaited_in_place<
      detail::race_range_await<std::remove_reference_t<R>, std::remove_reference_t<F>>>(range, f);
}
/// Only here to refuse, with advice.
template <class... A>
  requires(!detail::are_operands<A...>)
void race(A&&...) {
  detail::explain_operands<A...>();
}

}  // namespace weft
