// parallel_for, parallel_reduce: a loop over a range that idle workers help with.
//
//   co_await parallel_for(std::views::iota(0, n), [&](int i) { out[i] = f(in[i]); });
//   const long sum = co_await parallel_reduce(numbers, 0L, std::plus<>(), [](int x) { return x; });
//
// The loop runs in the awaiting job, front to back. Each time that this worker has no branch left
// for others to take, the younger half of what remains is left for them, and is taken back in the end
// if nobody came. So a loop among busy workers is a plain loop with a look now and then, and one
// among idle workers is split again wherever it turns out to be long.
//
//   Elements   f is called once for each, with what the range's iterator gives; from several workers
//              at the same time, so what the calls share must bear that. It returns nothing or a
//              value, or a task, which is awaited: while it waits, the elements behind it in its piece
//              wait, too (other pieces go on); for waits that overlap there is when_all(range, f)
//   Result     parallel_reduce: op(.. op(op(init, f(x0)), f(x1)) .., f(xn)), with brackets set
//              otherwise: the order is kept, so op need be associative, not commutative (where the
//              brackets are depends on who was idle: sums of floating point numbers vary with it).
//              All in the type of init, which is used once
//   Grain      how many elements are run between two looks, and the fewest that are left for others;
//              with a grain of half the range or more it is a plain loop. By default the clock
//              decides: a look each 4 us, or 512 elements; and nothing is left for others while the
//              rest seems to take less than 10 us, so that a short loop wakes nobody. The first
//              element is not split off then: for a few long ones say 1. Tasks: 1 by default
//   Limits     the rest of a piece can be given away between two of its chunks only: while an element is
//              at work, those behind it in its chunk and piece wait for it
//   Fairness   at a look a piece gives way, as by yield_if_due(), when its job has been on its worker for
//              too long, and when it has lost it; so a loop as such is not taken for a stuck job
//   Errors     the first exception, in time, ends the loop: no element begins after it was noticed, the
//              pieces on other workers end (plain calls at their next look, tasks are stopped) and are
//              awaited, then it is rethrown
//   Cancel     as an error, at the next look; a stop that comes in the last elements may come too late
//   Lifetimes  range and callables are held by reference: await it in the expression that makes it
//   Cost       an empty range: nothing. Plain calls: a pooled frame, and a few more each time that a
//              part is left for others; a look costs some 2 ns, the clock 25 ns each 4 us or so.
//              Tasks: a job more, so that an error can stop them
//   After      lazy binary splitting (Tzannes, Caragea, Barua, Vishkin, PPoPP 2010)
#pragma once

#include <algorithm>
#include <concepts>
#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <optional>
#include <ranges>
#include <type_traits>
#include <utility>

#include "weft/base/atomic.hpp"
#include "weft/base/safe_callable.hpp"
#include "weft/task/current.hpp"
#include "weft/task/failures.hpp"
#include "weft/task/fork.hpp"
#include "weft/task/task.hpp"
#include "weft/together/branch_group.hpp"
#include "weft/together/fork_join.hpp"

namespace weft {

namespace detail {

/// Ends the job if a stop has been asked for: what a loop without waits has in the place of one.
class stop_here final {
 public:
  stop_here() noexcept {}
  bool await_ready() const noexcept { return !asked(*current_job()); }
  template <class P>
  std::coroutine_handle<> await_suspend(std::coroutine_handle<P> waiter) const noexcept {
    return unwind(waiter.promise());
  }
  void await_resume() const noexcept {}

  static bool asked(const job& of) noexcept { return of.stop_requested() && !of.shielded(); }
};

/// Gives way at once: who awaits it has looked whether it is due, and for a stop.
class give_way_here final : public awaitable_operation<give_way_here> {
 public:
  give_way_here() noexcept {}
  std::coroutine_handle<> start(promise_base& waiter) noexcept {
    waiter.owner()->yield_in(*this, waiter);  // It may go on elsewhere from here on: touch nothing.
    return std::noop_coroutine();
  }
  void withdraw() noexcept override {}  // it is never armed
  const char* what() const noexcept override { return "yield"; }
  void await_resume() const noexcept {}
};

/// Whether somebody has asked for the end of the running job's turn. One that has computed until it lost its
/// processor was asked before.
WEFT_ALWAYS_INLINE bool turn_is_to_end() noexcept {
  const fork_port* const port = this_thread_state().port;
  return port != nullptr && port->current_turn.is_to_end();
}

/// What the worker says of a branch that would be left now.
enum class branch_look : unsigned char {
  unwanted,
  wanted,  // it would be the next that a thief finds
  lost     // there is no processor to leave it on: the job has to go on elsewhere
};

/// `alone_too`: also where there are no thieves.
WEFT_ALWAYS_INLINE branch_look look_for_thieves(bool alone_too) noexcept {
  fork_port* const port = this_thread_state().port;
  if (port == nullptr || (!alone_too && port->sleepers->workers() == 1)) {
    return branch_look::unwanted;
  }
  const bool owned = port->pin.pin() == pin_state::pin_result::owned;
  const bool wanted = owned && port->deque->empty_hint();
  port->pin.unpin();
  if (WEFT_UNLIKELY(!owned)) return branch_look::lost;
  return wanted ? branch_look::wanted : branch_look::unwanted;
}

/// How many elements to run between two looks, and when others are worth waking.
class loop_pace {
 public:
  explicit loop_pace(std::ptrdiff_t grain) noexcept
      : chunk_(grain != 0 ? grain : 1),
        worth_(grain != 0 ? saturated_double(grain) : PTRDIFF_MAX),
        fixed_(grain != 0) {}

  /// How many to run now, of `left`.
  std::ptrdiff_t next(std::ptrdiff_t left) const noexcept { return std::min(chunk_, left); }
  /// Whether half of `left` may be left for others.
  bool may_split(std::ptrdiff_t left) const noexcept { return left >= worth_; }

  /// A piece begins on this worker.
  void begin(job& runs) noexcept {
    if (fixed_) return;
    const fork_port* const port = this_thread_state().port;
    if (port == nullptr || port->sleepers->workers() == 1) {  // nobody would come
      chunk_ = chunk_alone;
      fixed_ = true;
      return;
    }
    last_ns_ = runs.home().now_ns();
    start_count();
  }
  /// `n` elements were run.
  WEFT_ALWAYS_INLINE void ran(std::ptrdiff_t n, job& runs) noexcept {
    if (fixed_) return;
    since_clock_ += n;
    if (--until_clock_ == 0) adapt(runs.home().now_ns());
  }

 private:
  static constexpr std::ptrdiff_t chunk_max = 512;     // elements
  static constexpr std::ptrdiff_t chunk_alone = 4096;  // where a look is for a stop only
  static constexpr std::ptrdiff_t growth_max = 4;      // times, at once: the next may take longer
  static constexpr std::int64_t chunk_ns = 4'000;
  static constexpr std::int64_t credible_ns = 200;  // less tells more about the clock than the loop
  static constexpr std::int64_t worth_ns = 10'000;  // to wake somebody and be stolen from

  static std::ptrdiff_t saturated_double(std::ptrdiff_t n) noexcept {
    return n > PTRDIFF_MAX / 2 ? PTRDIFF_MAX : 2 * n;
  }
  void start_count() noexcept {
    since_clock_ = 0;
    until_clock_ = chunk_ == chunk_max ? 8 : 1;  // reading it costs more than some fast elements
  }
  WEFT_NOINLINE void adapt(std::int64_t now_ns) noexcept {
    const std::int64_t took_ns = std::max<std::int64_t>(now_ns - last_ns_, 1);
    worth_ = took_ns < credible_ns ? PTRDIFF_MAX
                                   : std::max<std::ptrdiff_t>(since_clock_ * worth_ns / took_ns, 2);
    chunk_ = std::clamp<std::ptrdiff_t>(since_clock_ * chunk_ns / took_ns, 1,
                                        std::min(growth_max * chunk_, chunk_max));
    last_ns_ = now_ns;
    start_count();
  }

  std::int64_t last_ns_ = 0;
  std::ptrdiff_t chunk_;
  std::ptrdiff_t worth_;  // so many take long enough, or are two grains
  std::ptrdiff_t since_clock_ = 0;
  int until_clock_ = 0;  // chunks
  bool fixed_;
};

/// How a loop of plain calls runs: in the awaiting job, and in branches of it that others take.
template <class Total>
class loop_in_place {
 public:
  /// No piece begins another element.
  void fail(std::exception_ptr error) noexcept {
    note_failure(error);
    if (failed_.exchange(true, order::relaxed)) return;
    error_ = std::move(error);  // read after the awaiting job has seen the end of all branches
  }
  bool failed() const noexcept { return failed_.load(order::relaxed); }
  /// One piece has seen the stop, which is that of the awaiting job: no piece begins another element. The stop itself comes
  /// to them one after the other, as each level waits for its branches, and they would go on to divide meanwhile.
  void stop_all() noexcept { failed_.store(true, order::relaxed); }

 protected:
  loop_in_place() noexcept {}
  ~loop_in_place() = default;
  std::coroutine_handle<> start(task<Total>& all, promise_base& waiter) noexcept {
    all.promise().attach(waiter);
    return all.promise().handle();
  }
  Total end(task<Total>& all) {
    if (WEFT_UNLIKELY(error_ != nullptr)) std::rethrow_exception(std::move(error_));
    return all.promise().slot().take();
  }

 private:
  atomic<bool> failed_{false};
  std::exception_ptr error_;
};

/// How a loop of tasks runs: in a job of its own, which can be stopped whatever it waits in.
template <class Total>
class loop_as_branch : public branch_group {
 protected:
  std::coroutine_handle<> start(task<Total>& all, promise_base& waiter) {
    branch_group& group = *this;
    part_.emplace(std::move(all), group);
    this->prepare(waiter, 1);
    branch_group::jobs made;
    this->add(*part_, made);
    return this->run(*part_, made);
  }
  Total end(task<Total>&) {
    this->check();
    return part_->take();
  }

 private:
  std::optional<branch_part<task<Total>&&>> part_;
};

/// What parallel_for makes of its elements.
class loop_of_calls {
 public:
  struct total {};
  static constexpr bool gives_values = false;
  template <class It, class F>
  WEFT_ALWAYS_INLINE void run_chunk(total&, It at, std::ptrdiff_t n, F& f) {
    for (; n != 0; --n, ++at) static_cast<void>(std::invoke(f, *at));
  }
  void join(total&, total&&, total&&) noexcept {}
  void result(total&&) noexcept {}
  void result_of_none() noexcept {}
};

/// What parallel_reduce makes of them.
template <class T, class Op>
class loop_of_values {
 public:
  using total = std::optional<T>;
  static constexpr bool gives_values = true;
  template <class I>
  loop_of_values(I&& init, Op& op) : init_(std::forward<I>(init)), op_(op) {}

  template <class It, class F>
  WEFT_ALWAYS_INLINE void run_chunk(total& sum, It at, std::ptrdiff_t n, F& f) {
    if (!sum) {
      sum.emplace(std::invoke(f, *at));
      ++at;
      --n;
    }
    T local = std::move(*sum);  // where a compiler can keep it in a register
    for (; n != 0; --n, ++at) local = op_(std::move(local), static_cast<T>(std::invoke(f, *at)));
    *sum = std::move(local);
  }
  template <class U>
  void gather(total& sum, U&& value) {
    if (sum) {
      *sum = op_(std::move(*sum), static_cast<T>(std::forward<U>(value)));
    } else {
      sum.emplace(std::forward<U>(value));
    }
  }
  void join(total& sum, total&& older, total&& younger) {
    if (older) gather(sum, std::move(*older));
    if (younger) gather(sum, std::move(*younger));
  }
  T result(total&& sum) { return op_(std::move(init_), std::move(*sum)); }
  T result_of_none() { return std::move(init_); }

 private:
  T init_;
  Op& op_;
};

/// The elements [lo, hi) of a loop of plain calls.
template <class Loop>
task<typename Loop::total> piece_of_calls(Loop& loop, std::ptrdiff_t lo, std::ptrdiff_t hi,
                                          loop_pace pace) {
  typename Loop::total sum{};
  auto end = loop.run_calls(sum, lo, hi, pace);
  while (end == Loop::run_end::due) {
    give_way_here others_first;
    co_await others_first;
    end = loop.run_calls(sum, lo, hi, pace);
  }
  if (end == Loop::run_end::stopped) co_await stop_here();
  if (end == Loop::run_end::wanted) {
    const std::ptrdiff_t middle = lo + (hi - lo + 1) / 2;
    const auto older = [&loop, lo, middle, &pace] {
      return piece_of_calls(loop, lo, middle, pace);
    };
    const auto younger = [&loop, middle, hi, &pace] {
      return piece_of_calls(loop, middle, hi, pace);
    };
    auto halves = co_await fork_join(older, younger);
    loop.append(sum, std::move(std::get<0>(halves)), std::move(std::get<1>(halves)));
  }
  co_return sum;
}

/// The elements [lo, hi) of a loop of tasks.
template <class Loop>
task<typename Loop::total> piece_of_tasks(Loop& loop, std::ptrdiff_t lo, std::ptrdiff_t hi,
                                          std::ptrdiff_t grain) {
  typename Loop::total sum{};
  std::ptrdiff_t until_look = 0;
  try {
    while (lo != hi && !loop.failed()) {
      if (until_look == 0) {
        until_look = grain;
        if (WEFT_UNLIKELY(turn_is_to_end())) {
          give_way_here others_first;
          co_await others_first;
        }
        // Without a processor: the end of the next element's task goes on elsewhere by itself.
        if ((hi - lo) / 2 >= grain && look_for_thieves(true) == branch_look::wanted) break;
      }
      co_await stop_here();
      if constexpr (Loop::gives_values) {
        auto&& value = co_await std::invoke(loop.f_, *loop.at(lo));
        loop.gather(sum, std::forward<decltype(value)>(value));
      } else {
        co_await std::invoke(loop.f_, *loop.at(lo));
      }
      ++lo;
      --until_look;
    }
  } catch (...) {
    loop.fail(std::current_exception());
  }
  if (lo != hi && !loop.failed()) {
    const std::ptrdiff_t middle = lo + (hi - lo + 1) / 2;
    const auto older = [&loop, lo, middle, grain] {
      return piece_of_tasks(loop, lo, middle, grain);
    };
    const auto younger = [&loop, middle, hi, grain] {
      return piece_of_tasks(loop, middle, hi, grain);
    };
    auto halves = co_await fork_join(older, younger);
    loop.append(sum, std::move(std::get<0>(halves)), std::move(std::get<1>(halves)));
  }
  co_return sum;
}

template <class R, class Kind, class F>
class parallel_await final
    : private std::conditional_t<
          is_task<std::invoke_result_t<F&, std::ranges::range_reference_t<R>>>,
          loop_as_branch<typename Kind::total>, loop_in_place<typename Kind::total>>,
      private Kind {
  static constexpr bool is_call =
      is_task<std::invoke_result_t<F&, std::ranges::range_reference_t<R>>>;
  using iterator = std::ranges::iterator_t<R>;

 public:
  using total = typename Kind::total;
  using Kind::gives_values;
  enum class run_end : unsigned char { done, wanted, stopped, due };

  template <class... A>
  parallel_await(R& range, F& f, std::size_t grain, A&&... kind)
      : Kind(std::forward<A>(kind)...),
        begin_(std::ranges::begin(range)),
        f_(f),
        size_(static_cast<std::ptrdiff_t>(std::ranges::size(range))),
        grain_(
            static_cast<std::ptrdiff_t>(std::min(grain, static_cast<std::size_t>(PTRDIFF_MAX)))) {}
  parallel_await(const parallel_await&) = delete;
  parallel_await& operator=(const parallel_await&) = delete;

  bool await_ready() const noexcept { return size_ == 0; }
  template <class P>
  std::coroutine_handle<> await_suspend(std::coroutine_handle<P> waiter) {
    static_assert(weft_promise<P>, "a parallel loop can be awaited in a weft::task only");
    ::new (static_cast<void*>(&root_)) task<total>(make_root());
    return this->start(root_, waiter.promise());
  }
  auto await_resume() {
    if (size_ == 0) return Kind::result_of_none();
    return Kind::result(this->end(root_));
  }

 private:
  template <class Loop>
  friend task<typename Loop::total> piece_of_calls(Loop&, std::ptrdiff_t, std::ptrdiff_t,
                                                   loop_pace);
  template <class Loop>
  friend task<typename Loop::total> piece_of_tasks(Loop&, std::ptrdiff_t, std::ptrdiff_t,
                                                   std::ptrdiff_t);

  task<total> make_root() {
    if constexpr (is_call) {
      return piece_of_tasks(*this, 0, size_, std::max<std::ptrdiff_t>(grain_, 1));
    } else {
      return piece_of_calls(*this, 0, size_, loop_pace(grain_));
    }
  }
  iterator at(std::ptrdiff_t i) const {
    return begin_ + static_cast<std::ranges::range_difference_t<R>>(i);
  }
  void append(total& sum, total&& older, total&& younger) noexcept {
    if (this->failed()) return;  // the halves may have no value
    try {
      Kind::join(sum, std::move(older), std::move(younger));
    } catch (...) {
      this->fail(std::current_exception());
    }
  }
  /// Runs elements until all are done, the rest is wanted by others, or others want the worker (due).
  /// `lo`: from where on.
  run_end run_calls(total& sum, std::ptrdiff_t& lo, std::ptrdiff_t hi, loop_pace& pace) noexcept {
    job& runs = *current_job();
    pace.begin(runs);
    try {
      for (;;) {
        if (lo == hi || this->failed()) return run_end::done;
        if (stop_here::asked(runs)) {
          this->stop_all();
          return run_end::stopped;
        }
        if (WEFT_UNLIKELY(turn_is_to_end())) return run_end::due;
        if (pace.may_split(hi - lo)) {
          const auto seen = look_for_thieves(false);
          if (seen == branch_look::wanted) return run_end::wanted;
          if (WEFT_UNLIKELY(seen == branch_look::lost)) return run_end::due;
        }
        const std::ptrdiff_t n = pace.next(hi - lo);
        Kind::run_chunk(sum, at(lo), n, f_);
        lo += n;
        pace.ran(n, runs);
      }
    } catch (...) {
      this->fail(std::current_exception());
      return run_end::done;
    }
  }

  const iterator begin_;
  F& f_;
  const std::ptrdiff_t size_;
  const std::ptrdiff_t grain_;
  task<total> root_;  // the whole range
};

/// What a loop's callable gives for an element: a value, or a task's.
template <class R, class F>
using element_value_t =
    typename fork_value<std::invoke_result_t<F&, std::ranges::range_reference_t<R>>>::type;

}  // namespace detail

/// A range that can be cut in two without walking it.
template <class R>
concept divisible_range = std::ranges::random_access_range<R> && std::ranges::sized_range<R>;

/// Calls f(element) for each element of the range. See the top of the file.
template <divisible_range R, class F>
  requires std::invocable<F&, std::ranges::range_reference_t<R>>
[[nodiscard("co_await it")]] auto parallel_for(R&& range WEFT_LIFETIMEBOUND,
                                               F&& f WEFT_LIFETIMEBOUND, std::size_t grain = 0) {
  static_assert(safe_in_await<F>, WEFT_SAFE_IN_AWAIT_MESSAGE);
  return awaited_in_place<detail::parallel_await<std::remove_reference_t<R>, detail::loop_of_calls,
                                                 std::remove_reference_t<F>>>(range, f, grain);
}

/// init op f(first) op ... op f(last), in this order.
template <divisible_range R, class T, class Op, class F>
  requires std::invocable<F&, std::ranges::range_reference_t<R>> &&
           std::constructible_from<std::decay_t<T>, detail::element_value_t<R, F>> &&
           std::is_invocable_r_v<std::decay_t<T>, Op&, std::decay_t<T>, std::decay_t<T>>
[[nodiscard("co_await it")]] auto parallel_reduce(R&& range WEFT_LIFETIMEBOUND, T&& init,
                                                  Op&& op WEFT_LIFETIMEBOUND,
                                                  F&& f WEFT_LIFETIMEBOUND, std::size_t grain = 0) {
  static_assert(safe_in_await<T> && safe_in_await<Op> && safe_in_await<F>,
                WEFT_SAFE_IN_AWAIT_MESSAGE);
  using kind = detail::loop_of_values<std::decay_t<T>, std::remove_reference_t<Op>>;
  return awaited_in_place<
      detail::parallel_await<std::remove_reference_t<R>, kind, std::remove_reference_t<F>>>(
      range, f, grain, std::forward<T>(init), op);
}

}  // namespace weft
