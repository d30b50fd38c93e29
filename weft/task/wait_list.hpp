// wait_list: a word of state and the list of who waits for it to change, which change together. What
// the primitives of weft/sync are made of; wait_queue is for conditions that live elsewhere.
//
// While nobody waits the state is changed by a compare-exchange. Else whoever changes it holds the
// list, for a few instructions: takes who may go on, writes the state, lets the list go, and only
// then wakes whom it took. So nobody who comes later can take what is meant for a waiter, and what is
// given to a waiter never goes to one that leaves.
//
//   Fairness  FIFO: `crowded` stands in the word, and a passer-by that sees it gets in line. (Whoever
//             lets passers-by in before waiters, by change_beside(), bounds that: see mutex.hpp)
//   Threads   any
//   Cost      nobody waits: one compare-exchange. To wait, or to let somebody in: one and a store,
//             besides those of job::arm() and its wake
//   Cancel    O(1). A stopped waiter has had no effect, and lets in who only waited behind it; one
//             that was taken is completed, not stopped
//   Memory    24 bytes; no allocation per wait
//   Lifetime  the last access of whoever changes the state is the one that shows the change, so that
//             who sees it, or was woken by it, may destroy the primitive at once. (With more than
//             batch_max waiters it is still so: none of them is awake before the last access.)
//   Protocol  top of wait_list.cpp
#pragma once

#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <new>
#include <utility>

#include "weft/base/assert.hpp"
#include "weft/base/atomic.hpp"
#include "weft/base/intrusive_list.hpp"
#include "weft/task/awaiter.hpp"
#include "weft/task/claim.hpp"
#include "weft/task/current.hpp"

namespace weft {

class wait_list {
 public:
  struct link_tag {};
  class waiter;
  class hold;
  /// Waiters that were taken and not woken yet, oldest first.
  using list = intrusive_list<waiter, link_tag>;
  /// The state, and two bits that belong to the list.
  using word = std::uint64_t;
  static constexpr word state_max = ~word{0} >> 2;
  static constexpr unsigned batch_max = 32;  // waiters taken in one hold

  explicit wait_list(word state) noexcept : word_(calm(state)) {}
  wait_list(const wait_list&) = delete;
  wait_list& operator=(const wait_list&) = delete;
  ~wait_list();

  // Without holding it: only from a calm word to a calm one.
  static constexpr word calm(word state) noexcept { return state << flag_bits; }
  static constexpr word state_of(word seen) noexcept { return seen >> flag_bits; }
  /// Nobody waits, and nobody holds the list.
  static constexpr bool is_calm(word seen) noexcept { return (seen & flags) == 0; }
  static constexpr bool is_crowded(word seen) noexcept { return (seen & crowded) != 0; }
  static constexpr bool is_held(word seen) noexcept { return (seen & busy) != 0; }
  word load(order o) const noexcept { return word_.load(o); }
  /// From `seen`, which is calm, to `state`. Else `seen` holds what is there.
  WEFT_ALWAYS_INLINE bool change(word& seen, word state, order o) noexcept {
    return word_.compare_exchange(seen, calm(state), o, order::relaxed);
  }
  /// The same beside those who wait, and go on waiting: `seen` may be crowded, but is not held.
  bool change_beside(word& seen, word state, order o) noexcept {
    return word_.compare_exchange(seen, calm(state) | (seen & crowded), o, order::relaxed);
  }

  /// Takes `much` from the state, whatever else is there: what was there is the result. If that was
  /// held it has had no effect, for the end of the hold writes over it. Costs less than change().
  WEFT_ALWAYS_INLINE word subtract(word much, order o) noexcept {
    return word_.fetch_sub(calm(much), o);
  }

  /// Ends the wait of those that were taken. The last access to each. Not while it is held.
  static void wake(list& taken) noexcept;
  static void wake(waiter& taken) noexcept;

 private:
  static constexpr unsigned flag_bits = 2;
  static constexpr word busy = 1;     // somebody holds it
  static constexpr word crowded = 2;  // somebody waits
  static constexpr word flags = busy | crowded;

  bool try_lock(word& seen) noexcept {
    return word_.compare_exchange(
        seen, seen | busy,
        WEFT_MUTATE("wait_list.lock.relaxed", order::acquire, order::relaxed),  // P1
        order::relaxed);
  }
  word lock() noexcept {
    word seen = word_.load(order::relaxed);
    return WEFT_LIKELY((seen & busy) == 0 && try_lock(seen)) ? seen : lock_when_free(seen);
  }
  word lock_when_free(word seen) noexcept;

  atomic<word> word_;
  list waiting_;  // by whoever set `busy`
};

/// An operation that waits in a wait_list. What is handed over goes into the derived class.
class wait_list::waiter : public operation, public list_hook<link_tag> {
 public:
  void withdraw() noexcept final;
  /// It may stand in a select: it is let in by whoever has taken the claim, and by nobody else.
  static constexpr bool takes_claim = true;

 protected:
  explicit waiter(wait_list& in) noexcept : list_(reinterpret_cast<std::uintptr_t>(&in)) {}
  ~waiter() = default;

  /// It has left because of a stop, and is about to end: undo what its coming did, and take who may
  /// go on now. True: call again, after a breath (see batch_max).
  virtual bool left(hold&, list& taken) noexcept {
    static_cast<void>(taken);
    return false;
  }
  wait_list& in() const noexcept {
    // NOLINTNEXTLINE(performance-no-int-to-ptr)
    return *reinterpret_cast<wait_list*>(list_.load(order::relaxed) & ~standings);
  }

  // While it stands in line this is written by whoever holds the list, else by the job itself.
  enum class standing : std::uint8_t {
    out,       // not in line: before, and once it was taken or has left
    paid,      // the same, and its budget is spent
    gave_way,  // the same, while it lets others run first
    in_line,
    in_line_by_claim,
    dropped,
  };
  standing stands() const noexcept {
    return static_cast<standing>(list_.load(order::relaxed) & standings);
  }
  void stand(standing how) noexcept {
    list_.store((list_.load(order::relaxed) & ~standings) | static_cast<std::uintptr_t>(how),
                order::relaxed);
  }

 private:
  friend class wait_list;
  friend class hold;
  static constexpr std::uintptr_t standings = 7;  // beside the address of the list, which stays
  // Atomic since withdraw() asks for the address while somebody else may hold the list.
  atomic<std::uintptr_t> list_;
};
static_assert(alignof(wait_list) >= 8);

/// The right to change everything. Held for a few instructions, never across a wake.
class wait_list::hold {
 public:
  explicit hold(wait_list& l) noexcept : list_(l), found_(l.lock()), state_(state_of(found_)) {}
  ~hold();
  hold(const hold&) = delete;
  hold& operator=(const hold&) = delete;

  word state() const noexcept { return state_; }
  void set(word state) noexcept { state_ = state; }
  /// The word when the hold began.
  word found() const noexcept { return found_; }
  bool empty() const noexcept { return list_.waiting_.empty(); }
  waiter& front() noexcept { return list_.waiting_.front(); }
  /// The oldest. False: it waited in a select that is over, and is dropped; there may be others.
  [[nodiscard]] bool take_front(list& taken) noexcept;
  /// The same; nullptr instead of false. The caller's to wake.
  [[nodiscard]] waiter* take_one() noexcept;
  /// The oldest that can be taken. False: there is none, and nobody is left.
  [[nodiscard]] bool take_first(list& taken) noexcept;
  /// The oldest, at most batch_max of them. True: none is left.
  [[nodiscard]] bool take_batch(list& taken) noexcept;
  /// `who` waits in `w` from now on. False: the stop of its job came first.
  /// `is_asked`: w.go_on() says what to resume when it was taken and woken.
  [[nodiscard]] bool add(waiter& w, promise_base& who, bool is_asked = false) noexcept {
    return put(w, who, is_asked, false);
  }
  /// The same for one that was taken and came back: it is the oldest, as before.
  [[nodiscard]] bool add_front(waiter& w, promise_base& who, bool is_asked = false) noexcept {
    return put(w, who, is_asked, true);
  }

 private:
  friend class waiter;
  bool put(waiter& w, promise_base& who, bool is_asked, bool in_front) noexcept;
  wait_list& list_;
  const word found_;
  word state_;
};

inline wait_list::hold::~hold() {
  const bool some = !list_.waiting_.empty();
  const word flag = WEFT_MUTATE("wait_list.crowded.forgotten", some, false) ? crowded : 0;
  list_.word_.store(  // P1. The last access, I4.
      calm(state_) | flag, WEFT_MUTATE("wait_list.unlock.relaxed", order::release, order::relaxed));
  if (WEFT_MUTATE("wait_list.looked_at_again", false, true)) list_.load(order::relaxed);
}

inline wait_list::waiter* wait_list::hold::take_one() noexcept {
  using standing = waiter::standing;
  waiter& w = list_.waiting_.pop_front();
  if (WEFT_UNLIKELY(w.stands() == standing::in_line_by_claim) &&
      WEFT_MUTATE("wait_list.claim.unasked", !detail::claiming_job::from(*w.owner())->take_claim(),
                  false)) {
    w.stand(WEFT_MUTATE("wait_list.dropped.forgotten", standing::dropped, standing::out));
    return nullptr;
  }
  w.stand(WEFT_MUTATE("wait_list.taken.still_waits", standing::out, standing::in_line));
  return &w;
}

inline bool wait_list::hold::take_front(list& taken) noexcept {
  waiter* const w = take_one();
  if (w != nullptr) taken.push_back(*w);
  return w != nullptr;
}

inline bool wait_list::hold::take_first(list& taken) noexcept {
  while (!empty()) {
    if (take_front(taken)) return true;
  }
  return false;
}

inline void wait_list::wake(waiter& taken) noexcept { taken.finish(false); }
inline void wait_list::wake(list& taken) noexcept {
  while (!taken.empty()) taken.pop_front().finish(false);
}

namespace detail {
/// A stop was asked for, and no shield hides it: an operation must not begin.
WEFT_ALWAYS_INLINE bool sees_stop(const job& me) noexcept {
  return me.stop_requested() && !me.shielded();
}
}  // namespace detail

template <class Operation>
class wait_list_await;

/// An operation on a wait_list. `Self` has
///
///   bool try_now(job& me) noexcept;         // done at once, without holding the list
///   bool take(wait_list::hold&, job& me, wait_list::list& taken) noexcept;
///
/// and await_resume(). take() is the same while the list is held; false: it waits. It may take others,
/// who are woken. All else that it changes is the state; where not, say `takes_claim = false`.
/// What is done at once costs budget. A job that has none left gives way first
/// and takes afterwards: it never holds a lock while it stands behind others for that reason alone.
///
/// If those that are taken need not have got what they came for, it has, besides,
///
///   std::coroutine_handle<> woken(promise_base& who) noexcept;
///
/// which is called in the place of the coroutine's going on, and gives what does: the coroutine, or
/// nothing, when it has gone back to the front of the list; or it unwinds. A stop that finds it on the list
/// ends it without that.
template <class Self, class Waiter = wait_list::waiter>
class wait_list_operation : public awaitable_operation<Self, Waiter> {
  using base = awaitable_operation<Self, Waiter>;
  using standing = typename Waiter::standing;

 public:
  WEFT_ALWAYS_INLINE bool await_ready() noexcept {
    job* const me = current_job();
    if (me == nullptr || detail::sees_stop(*me)) return false;
    if (WEFT_UNLIKELY(!me->spend_budget())) {
      this->stand(standing::out);  // it may have paid before, for an earlier await
      return false;
    }
    if (self().try_now(*me)) return true;
    this->stand(standing::paid);
    return false;
  }
  std::coroutine_handle<> start(promise_base& who) noexcept {
    job& me = *who.owner();
    if (detail::sees_stop(me)) return unwind(who);
    if (this->stands() == standing::paid || me.spend_budget() || me.home().goes_on(me)) {
      return enter(who);
    }
    this->stand(standing::gave_way);
    me.yield_in_to_go_on(*this, who);  // It may go on elsewhere from here on: touch nothing.
    return std::noop_coroutine();
  }

 protected:
  template <class... A>
  explicit wait_list_operation(wait_list& in, A... a) noexcept : base(in, a...) {}
  ~wait_list_operation() = default;

 private:
  friend class wait_list_await<Self>;
  static constexpr bool is_asked_when_woken() noexcept {
    return requires(Self& s, promise_base& who) { s.woken(who); };
  }
  /// It gave way and its turn has come again, or it was woken and is asked.
  std::coroutine_handle<> go_on(promise_base& who) noexcept final {
    if constexpr (is_asked_when_woken()) {
      if (this->stands() != standing::gave_way) return self().woken(who);
    }
    return detail::sees_stop(*who.owner()) ? unwind(who) : enter(who);
  }
  enum class entered : std::uint8_t { done, waits, stopped };

  std::coroutine_handle<> enter(promise_base& who) noexcept {
    switch (admit(who)) {  // With `waits` it may be woken, and gone, already now.
      case entered::done:
        return who.handle();
      case entered::waits:
        return std::noop_coroutine();
      case entered::stopped:
        break;
    }
    return unwind(who);
  }
  entered admit(promise_base& who) noexcept {
    wait_list::list taken;
    entered how = entered::done;
    {
      wait_list::hold held(this->in());
      const wait_list::word before = held.state();
      if (self().take(held, *who.owner(), taken)) {
        if (auto* const shared = detail::claiming_job::from(*who.owner()); WEFT_UNLIKELY(shared)) {
          held.set(before);  // it takes nothing but what the state says: see detail::claiming_job
          shared->look_again();
          how = entered::stopped;
        }
      } else {
        if (held.add(*this, who, is_asked_when_woken())) return entered::waits;
        static_cast<void>(self().left(held, taken));  // it has taken and let in nobody
        how = entered::stopped;
      }
    }
    wait_list::wake(taken);
    return how;
  }
  Self& self() noexcept { return static_cast<Self&>(*this); }
};

/// Awaits an operation on a wait_list that is done at once most often: it becomes one, with its links and
/// its virtual functions, when it must wait. The stores that this spares where it need not are 8 %
/// of the lock and unlock of a mutex. `Operation` is made of a reference to its `primitive`, and has
///
///   static bool try_at(primitive&, job& me) noexcept;      // as try_now()
///   static auto result_at(primitive&) noexcept;            // as await_resume()
template <class Operation>
class [[nodiscard("co_await it")]] wait_list_await {
  using primitive = typename Operation::primitive;

 public:
  explicit wait_list_await(primitive& at) noexcept : at_(at) {}
  wait_list_await(const wait_list_await&) = delete;
  wait_list_await& operator=(const wait_list_await&) = delete;
#ifdef NDEBUG
  ~wait_list_await() = default;
#else
  ~wait_list_await() {
    if (waited_) operation()->~Operation();  // which checks that nobody holds on to it
  }
#endif

  WEFT_ALWAYS_INLINE bool await_ready() noexcept {
    primitive& at = at_;  // before what the compiler takes for a change of it
    job* const me = current_job();
    const bool pays = me != nullptr && !detail::sees_stop(*me) && WEFT_LIKELY(me->spend_budget());
    if (pays && Operation::try_at(at, *me)) return true;
    paid_ = pays;
    return false;
  }
  template <class P>
  std::coroutine_handle<> await_suspend(std::coroutine_handle<P> waiter) noexcept {
    return awaits_by().await_suspend(waiter);
  }
  auto await_resume() const noexcept { return Operation::result_at(at_); }
  /// What it waits in from now on; await_ready() was false. Called for each wait.
  Operation& awaits_by() noexcept {
#ifndef NDEBUG
    if (std::exchange(waited_, true)) operation()->~Operation();
#endif
    auto* const made = ::new (static_cast<void*>(memory_)) Operation(at_);
    if (paid_) made->stand(Operation::standing::paid);
    return *made;
  }

 private:
  primitive& at_;
  bool paid_;  // written by a look that failed
#ifndef NDEBUG
  Operation* operation() noexcept { return std::launder(reinterpret_cast<Operation*>(memory_)); }
  bool waited_ = false;
#endif
  alignas(Operation) std::byte memory_[sizeof(Operation)];
};

}  // namespace weft
