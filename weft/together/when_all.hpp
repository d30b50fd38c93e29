// when_all: waits for several things at the same time, and gives what each of them gave.
//
//   auto [page, user] = co_await when_all(fetch(url), load_user(id));       // a tuple
//   co_await when_all(sleep_for(1s), handle);                               // any awaitables
//   const auto sizes = co_await when_all(urls, [](const auto& u) { return size_of(u); });  // a vector
//
// Each operand runs as a job of its own: the first one at once, in the place of the awaiting job,
// the others when a worker comes to them, in their order. So they may run on several workers, and
// what they share must bear that.
//
//   Result     of when_all(a, b, ...): a tuple in the order of the operands; std::monostate stands for
//              no value. Of when_all(range, f): a vector in the order of the range, or nothing
//   Errors     the first exception, in time, stops the other operands; when all have ended it is
//              rethrown. What others throw after it is in a
//              failure_log, if there is one around. Errors in a weft::result are values
//   Cancel     a stop goes to all operands, whose ends are awaited; if each of them completed all
//              the same, so did when_all
//   Limits     an operand is stopped at its next wait: one that computes, or is shielded, or waits in
//              something that cannot be withdrawn, is awaited until then
//   Lifetimes  operands, range and callable are held by reference: await it in the expression that
//              makes it. f is called by the awaiting job, in order, before the first operand begins;
//              what it is called with lives as long as what it returned
//   Cost       a pooled job an operand, of 192 bytes or so, and one block for the list of them. Work that
//              seldom waits is cheaper in fork_join, and a long range of it in parallel_for
//   Memory     when_all(range, f) starts all of them: a million elements are a million jobs
#pragma once

#include <concepts>
#include <coroutine>
#include <cstddef>
#include <functional>
#include <ranges>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "weft/base/assert.hpp"
#include "weft/base/cache_line.hpp"
#include "weft/base/safe_callable.hpp"
#include "weft/together/branch_group.hpp"

namespace weft {

namespace detail {

/// What can be awaited as an A (a reference; a task only as an rvalue).
template <class A>
concept can_be_awaited = requires(A&& a) {
  { get_awaiter(std::forward<A>(a)).await_ready() } -> std::convertible_to<bool>;
};

template <class R, class F>
concept range_and_function = std::ranges::forward_range<R> && !can_be_awaited<R&&> &&
                             std::invocable<F&, std::ranges::range_reference_t<R>>;

/// Of when_all() and race().
template <class... A>
inline constexpr bool are_operands = (can_be_awaited<A&&> && ...);
template <class R, class F>
inline constexpr bool are_operands<R, F> =
    (can_be_awaited<R&&> && can_be_awaited<F&&>) || range_and_function<R, F>;

/// For one that is only there to refuse. Fails to compile.
template <class... A>
constexpr void explain_operands() {
  static_assert(!(can_be_awaited<std::remove_reference_t<A>&&> && ...),
                "an operand that has a name: a task, and what a combinator gives, are made where "
                "they are awaited: when_all(f(x), g(y))");
  static_assert((can_be_awaited<std::remove_reference_t<A>&&> && ...),
                "the operands are awaitables, or a forward range and a function of its elements");
}

template <std::size_t I, class A>
class indexed_part : public branch_part<A> {
 public:
  using branch_part<A>::branch_part;
};

template <class Indices, class... A>
class when_all_await;

template <std::size_t... I, class... A>
class when_all_await<std::index_sequence<I...>, A...> final : private branch_group,
                                                              private indexed_part<I, A>... {
 public:
  explicit when_all_await(A&&... a) : indexed_part<I, A>(std::forward<A>(a), *this)... {}

  bool await_ready() const noexcept { return sizeof...(A) == 0; }
  template <class P>
  std::coroutine_handle<> await_suspend(std::coroutine_handle<P> waiter) {
    static_assert(weft_promise<P>, "when_all() can be awaited in a weft::task only");
    if constexpr (sizeof...(A) == 0) {
      return waiter;
    } else {
      this->prepare(waiter.promise(), sizeof...(A));
      branch_group::jobs made;
      (this->add(part<I>(), made), ...);
      return this->run(part<0>(), made);
    }
  }
  std::tuple<typename branch_part<A>::value_type...> await_resume() {
    this->check();
    return std::tuple<typename branch_part<A>::value_type...>{part<I>().take()...};
  }

 private:
  template <std::size_t K>
  auto& part() noexcept {
    return static_cast<indexed_part<K, std::tuple_element_t<K, std::tuple<A...>>>&>(*this);
  }
};

/// An element of the range while the operand made of it is at work: a reference, or the value.
template <class E>
class held_element {
 public:
  template <class It>
  explicit held_element(It& at) : value_(*at) {}
  E&& get() noexcept { return static_cast<E&&>(value_); }

 private:
  E value_;
};

/// f(element) for each element, as operands of when_all or race.
template <class R, class F>
class parts_of_range : protected branch_group {
  using element = std::ranges::range_reference_t<R>;
  using returned = std::invoke_result_t<F&, element>;
  static_assert(can_be_awaited<returned&&>,
                "when_all(range, f): f returns a task or another awaitable; for plain calls there "
                "is parallel_for");

 protected:
  using T = await_result_t<returned&&>;
  static_assert(!std::is_reference_v<T>,
                "when_all(range, f): a vector holds no references; return a pointer");
  using part_value = typename branch_part<returned&&>::value_type;

 private:
  class part final {
   public:
    template <class It>
    part(It& at, F& f, branch_group& group)
        : element_(at),
          made_(std::invoke(f, element_.get())),
          branch(static_cast<returned&&>(made_), group) {}

   private:
    held_element<element> element_;
    returned made_;

   public:
    branch_part<returned&&> branch;
  };
  static_assert(alignof(part) <= cache_line, "an operand of when_all(range, f) is aligned too far");

 public:
  template <class P>
  std::coroutine_handle<> await_suspend(std::coroutine_handle<P> waiter) noexcept {
    static_assert(weft_promise<P>, "when_all() and race() can be awaited in a weft::task only");
    branch_group::jobs made;
    try {
      make_parts();
      this->prepare(waiter.promise(), static_cast<unsigned>(count_));
      for (std::size_t i = 0; i < count_; ++i) this->add(parts_[i].branch, made);
    } catch (...) {  // thrown by f, or no memory: nothing has begun
      this->give_up(std::current_exception());
      return waiter;
    }
    return this->run(parts_[0].branch, made);
  }

 protected:
  parts_of_range(branch_group::kind k, R& range, F& f) : branch_group(k), range_(range), f_(f) {}
  ~parts_of_range() {
    while (count_ != 0) parts_[--count_].~part();
    if (parts_ != nullptr) free_frame(parts_, room_ * sizeof(part));
  }

  R& range() noexcept { return range_; }
  std::size_t count() const noexcept { return count_; }
  auto& part_at(std::size_t i) noexcept { return parts_[i].branch; }

 private:
  void make_parts() {
    const auto size = static_cast<std::size_t>(std::ranges::distance(range_));
    WEFT_ASSERT(size <= operands_max,
                "when_all(range, f) has more than a thousand million operands");
    parts_ = static_cast<part*>(allocate_frame(size * sizeof(part)));
    room_ = size;
    for (auto at = std::ranges::begin(range_); count_ != size; ++at) {
      ::new (static_cast<void*>(parts_ + count_)) part(at, f_, *this);
      ++count_;
    }
  }

  static constexpr std::size_t operands_max = 1'000'000'000;
  R& range_;
  F& f_;
  part* parts_ = nullptr;
  std::size_t room_ = 0;
  std::size_t count_ = 0;
};

template <class R, class F>
class when_all_range_await final : private parts_of_range<R, F> {
  using base = parts_of_range<R, F>;
  using typename base::T;

 public:
  when_all_range_await(R& range, F& f) : base(base::kind::all, range, f) {}
  using base::await_suspend;
  bool await_ready() { return std::ranges::empty(this->range()); }
  auto await_resume() {
    this->check();
    if constexpr (!std::is_void_v<T>) {
      std::vector<T> values;
      values.reserve(this->count());
      for (std::size_t i = 0; i < this->count(); ++i) values.push_back(this->part_at(i).take());
      return values;
    }
  }
};

}  // namespace detail

/// See the top of the file.
template <class... A>
  requires(detail::can_be_awaited<A &&> && ...)
[[nodiscard("co_await it")]] auto when_all(A&&... awaitables WEFT_LIFETIMEBOUND) {
  return awaited_in_place<detail::when_all_await<std::index_sequence_for<A...>, A&&...>>(
      std::forward<A>(awaitables)...);
}

/// Awaits f(element) for each element of the range, all at the same time.
template <class R, class F>
  requires detail::range_and_function<R, F>
[[nodiscard("co_await it")]] auto when_all(R&& range WEFT_LIFETIMEBOUND, F&& f WEFT_LIFETIMEBOUND) {
  static_assert(safe_in_await<F>, WEFT_SAFE_IN_AWAIT_MESSAGE);
  return awaited_in_place<
      detail::when_all_range_await<std::remove_reference_t<R>, std::remove_reference_t<F>>>(range,
                                                                                            f);
}
/// Only here to refuse, with advice.
template <class... A>
  requires(!detail::are_operands<A...>)
void when_all(A&&...) {
  detail::explain_operands<A...>();
}

}  // namespace weft
