// select: waits for the first of several things that is ready, and leaves the others as they were.
//
//   const auto first = co_await select(orders.recv(), quit.wait(), sleep_for(1s));
//   switch (first.index()) {
//     case 0: take(std::get<0>(first)); break;     // std::optional<order>, as recv() gives it
//     case 1: co_return;
//     case 2: ...                                  // nothing for a second
//   }
//
// If something is ready, one of that is taken, by chance, each as likely as the others (select_biased: the
// first as written). Otherwise all of them wait, and the first that happens decides. Who would serve
// another one finds that the select is over before handing over: no message is taken, no permit, no lock.
//
//   Result     a variant whose index() is the operand's; std::monostate stands for no value
//   Operands   operations (a receive, a send, a lock, a permit, an event, a sleep, a join handle, ...),
//              which share one wait. And everything else that can be awaited (a task, a timeout): it runs
//              as a job of its own, as in race(), and a loser of these is stopped, which does not undo what
//              it has done (but a rate_limiter's acquire() gives its tokens back). The same holds for what
//              only the kernel or a thread can do, I/O and spawn_blocking: it may have happened before it
//              was taken back, and is lost then
//   Errors     what the winner throws is rethrown, when the others have been withdrawn. A weft::result
//              with an error is a value
//   Cancel     a stop takes all operands back. If one had happened, that is the result
//   Fairness   an operand keeps its place in line only for this one wait, as every operation does
//   Limits     64 operands. A barrier is refused: see barrier.hpp
//              A send or receive never meets one of the same select
//   Lifetimes  operands are held by reference: await it in the expression that makes it
//   Cost       something is ready: a look at each until then. Else, an operand: what its wait costs, and
//              its taking back; one wake and no allocation (operands that run: see race.hpp)
//   Memory     in the awaiting frame, some 160 bytes an operand
//   Protocol   select_group.cpp
//   After      Go's select (by chance among what is ready); Reppy's Concurrent ML (a claim decides
//              before anybody hands over)
#pragma once

#include <concepts>
#include <coroutine>
#include <cstddef>
#include <new>
#include <optional>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>

#include "weft/base/census.hpp"
#include "weft/task/task.hpp"
#include "weft/together/select_group.hpp"
#include "weft/together/when_all.hpp"

namespace weft {

namespace detail {

/// The operation that an awaiter is, or hands the wait on to without doing anything itself.
template <class W>
auto& operation_of(W& awaiter) noexcept {
  if constexpr (requires { awaiter.awaits_by(); }) {
    return operation_of(awaiter.awaits_by());
  } else {
    return awaiter;
  }
}
template <class W>
using operation_of_t = std::remove_reference_t<decltype(operation_of(std::declval<W&>()))>;

/// An operand: awaits an A (a reference). Its position makes the class another one for each.
template <std::size_t I, class A>
class select_operand {
  using awaiter = decltype(get_awaiter(std::declval<A>()));
  using plain_awaiter = std::remove_reference_t<awaiter>;
  using T = await_result_t<A>;
  using op = operation_of_t<plain_awaiter>;
  static constexpr bool is_operation = std::derived_from<op, operation>;
  using kind = select_group::operand_kind;
  static constexpr kind kind_of() {
    if constexpr (!is_operation) {
      return kind::runs;
    } else if constexpr (requires { op::takes_claim; }) {
      static_assert(op::takes_claim,
                    "this operation cannot be taken back from a select without an effect; put it "
                    "into a task, which runs as a job of its own");
      return kind::takes_claim;
    } else {
      return kind::completes_by_itself;
    }
  }

 public:
  using value_type = std::conditional_t<std::is_void_v<T>, std::monostate, T>;
  static constexpr kind how_it_waits = kind_of();

  select_operand(A&& awaitable, select_group& group)
      : awaiter_(get_awaiter(std::forward<A>(awaitable))), group_(group) {}
  ~select_operand() {
    if constexpr (has_undo) {
      if (part_ && part_->has_begun() && group_.winner() != I) awaiter_.undo();
    }
  }
  select_operand(const select_operand&) = delete;
  select_operand& operator=(const select_operand&) = delete;

  bool look() { return static_cast<bool>(awaiter_.await_ready()); }
  /// Of one that runs, before anything begins. Throws std::bad_alloc.
  void make() {
    if constexpr (how_it_waits == kind::runs) {
      if (!part_) part_.emplace(*this);
    }
  }
  void begin() noexcept {
    if constexpr (how_it_waits != kind::runs) part_.emplace(*this);
    part_->begin();
  }
  void stop() noexcept { part_->stop(); }
  value_type take() {
    if constexpr (how_it_waits == kind::runs) {
      if (part_ && part_->has_begun()) return part_->take();
    }
    if constexpr (std::is_void_v<T>) {
      awaiter_.await_resume();
      return {};
    } else {
      return awaiter_.await_resume();
    }
  }

 private:
  class waiting {
   public:
    explicit waiting(select_operand& of) noexcept : of_(of), branch_(of.group_, I) {}
    void begin() noexcept { branch_.begin(operation_of(of_.awaiter_)); }
    void stop() noexcept { branch_.stop(); }

   private:
    select_operand& of_;
    select_group::branch branch_;
  };

  /// A job that runs. It begins in a queue, and may be stopped before.
  class running final : public job, private relay<running>, private boundary_relay<running> {
   public:
    explicit running(select_operand& of) : job(of.group_.awaiting_job().home(), how), of_(of) {
      this->set_stopped_by_owner();
      this->go_with(of.group_.awaiting_job());
      this->inherit_locals(of.group_.awaiting_job());
      census_add(census_kind::jobs, 1);
    }
    ~running() { census_add(census_kind::jobs, -1); }
    void begin() noexcept {
      begun_ = true;
      this->home().launch(*this);
    }
    bool has_begun() const noexcept { return begun_; }
    value_type take() {
      if constexpr (std::is_void_v<T>) {
        slot_.take();
        return {};
      } else {
        return slot_.take();
      }
    }

   private:
    friend relay<running>;
    friend boundary_relay<running>;
    static void run(job& self) noexcept {
      auto& mine = static_cast<running&>(self);
      operation* const woken = mine.take_woken();
      (woken == nullptr ? mine.first() : after(*woken)).resume();
    }
    std::coroutine_handle<> first() noexcept {
      if (this->stop_requested()) return end(true);
      this->promise().attach(of_.group_.waiter(), *this);
      this->promise().become_root(*this);
      try {
        if (!of_.awaiter_.await_ready()) return this->suspend_in(of_.awaiter_);
      } catch (...) {
        slot_.set_error(std::current_exception());
        return end(false);
      }
      return resumed();
    }
    std::coroutine_handle<> resumed() noexcept {
      if (WEFT_UNLIKELY(this->stopped())) return end(true);
      try {
        if constexpr (std::is_void_v<T>) {
          of_.awaiter_.await_resume();
          slot_.set_value();
        } else {
          slot_.set_value(of_.awaiter_.await_resume());
        }
      } catch (...) {
        slot_.clear();
        slot_.set_error(std::current_exception());
      }
      return end(false);
    }
    std::coroutine_handle<> end(bool stopped) noexcept {
      was_stopped = stopped;
      static_cast<void>(this->home().retire(*this, &arrive));  // all else may be gone
      return std::noop_coroutine();
    }
    static bool arrive(job& ended) noexcept {
      select_operand& of = static_cast<running&>(ended).of_;
      of.group_.arrived(I, ended.was_stopped);
      return false;
    }
    static const job* waiting_job(const job& self) noexcept {
      return &static_cast<const running&>(self).of_.group_.awaiting_job();
    }

    static constexpr job_kind how{.run = &run, .part_of = &waiting_job, .name = "select"};
    select_operand& of_;
    result_slot<T> slot_;
    bool begun_ = false;  // by the awaiting job
  };

  /// One that runs, and may have happened as a loser, but can be undone (a rate_limiter's acquire()).
  static constexpr bool has_undo = requires(plain_awaiter& w) { w.undo(); };

  awaiter awaiter_;
  select_group& group_;
  std::optional<std::conditional_t<is_operation, waiting, running>> part_;
};

template <class Indices, class... A>
class select_await;

template <std::size_t... I, class... A>
class select_await<std::index_sequence<I...>, A...> final : private select_group,
                                                            private select_operand<I, A>... {
  using winner_value = std::variant<typename select_operand<I, A>::value_type...>;
  static_assert(sizeof...(A) <= select_group::operands_max, "a select has at most 64 operands");

 public:
  explicit select_await(bool as_written, A&&... a)
      : select_group(as_written ? order_of_looks::as_written : order_of_looks::random),
        select_operand<I, A>(std::forward<A>(a), *this)...,
        states_{state(select_operand<I, A>::how_it_waits)...} {
    this->operands_are(states_);
  }

  bool await_ready() { return select_group::look(states_); }
  template <class P>
  std::coroutine_handle<> await_suspend(std::coroutine_handle<P> waiter) noexcept {
    static_assert(weft_promise<P>, "select() can be awaited in a weft::task only");
    return this->start(waiter.promise());
  }
  winner_value await_resume() {
    this->check();
    return take<0>();
  }

  // For models, which have no coroutines.
  using select_group::resumed;
  using select_group::start;

 private:
  template <std::size_t K>
  auto& part() noexcept {
    return static_cast<select_operand<K, std::tuple_element_t<K, std::tuple<A...>>>&>(*this);
  }
  bool look_at(unsigned i) override {
    bool ready = false;
    static_cast<void>(((I == i && (ready = part<I>().look(), true)) || ...));
    return ready;
  }
  void make(unsigned i) override {
    static_cast<void>(((I == i && (part<I>().make(), true)) || ...));
  }
  void begin(unsigned i) noexcept override {
    static_cast<void>(((I == i && (part<I>().begin(), true)) || ...));
  }
  void stop(unsigned i) noexcept override {
    static_cast<void>(((I == i && (part<I>().stop(), true)) || ...));
  }
  template <std::size_t K>
  winner_value take() {
    if constexpr (K + 1 < sizeof...(A)) {
      if (this->winner() != K) return take<K + 1>();
    }
    return winner_value(std::in_place_index<K>, part<K>().take());
  }

  select_group::state states_[sizeof...(A)];
};

}  // namespace detail

/// See the top of the file.
template <class... A>
  requires(sizeof...(A) != 0 && (detail::can_be_awaited<A &&> && ...))
[[nodiscard("co_await it")]] auto select(A&&... awaitables WEFT_LIFETIMEBOUND) {
  return detail::select_await<std::index_sequence_for<A...>, A&&...>(
      false, std::forward<A>(awaitables)...);
}

/// As select(); of several that are ready the one that stands first is taken. An operand that is always
/// ready starves those behind it.
/// They are looked at one after the other, not all at one moment. So in `select_biased(a.recv(),
/// b.recv(), just(0))`, with its last operand as a default, a message that comes to `a` when that has
/// been looked at does not count: the default, or a later message of `b`, is taken, although at no moment
/// both channels were empty, or `a` was. Without a default nothing is missed: a select that finds nothing
/// waits, and whatever is there then ends the wait.
template <class... A>
  requires(sizeof...(A) != 0 && (detail::can_be_awaited<A &&> && ...))
[[nodiscard("co_await it")]] auto select_biased(A&&... awaitables WEFT_LIFETIMEBOUND) {
  return detail::select_await<std::index_sequence_for<A...>, A&&...>(
      true, std::forward<A>(awaitables)...);
}

}  // namespace weft
