// mutex: one job at a time, and the lock may be held across co_await.
//
//   weft::mutex m;
//   const auto held = co_await m.lock();        // until `held` goes away, also by a stop
//   if (const auto now = m.try_lock()) ...      // never waits
//
//   Fairness  FIFO among who waits. Who comes while others wait may lock first, for a woken job needs a
//             while to run: of overtakes_max + 1 owners in a row at least one had waited, so the
//             n-th in line gets it after at most n * (overtakes_max + 1) locks. Who came up in vain,
//             because somebody keeps it for longer, is handed it at the next unlock
//   Threads   any; a plain thread waits by weft::block_on(m.lock()). A guard may be let go anywhere
//   Cost      nobody waits: one compare-exchange to lock, one subtraction to unlock; who overtakes: one
//             compare-exchange more. See wait_list.hpp
//   Cancel    a stopped lock() has not locked, and if it had been woken wakes the next one; one that
//             was handed the lock completes, and its guard is there to unlock it
//   Memory    32 bytes; no allocation per wait
//   Lifetime  who has the lock may unlock and destroy it, even while another unlock() returns
//   After     the bound on overtaking: Go's sync.Mutex, which bounds it in time
//   Protocol  top of mutex.cpp
//   Debug     a job that waits for what it holds itself is reported. It takes the one that locked for
//             the one that holds: a guard that is moved to another job must be let go there before
//             the first one locks again
#pragma once

#include <utility>

#include "weft/task/wait_list.hpp"

namespace weft {

class mutex_guard;
class condition_variable;
class condition_wait;

class mutex {
 public:
  class locking;
#if WEFT_MODEL
  using lock_await = locking;  // there are no coroutines that could await it
#else
  using lock_await = wait_list_await<locking>;
#endif

  mutex() noexcept = default;
  ~mutex() {
    WEFT_ASSERT(wait_list::state_of(list_.load(order::relaxed)) == free_state,
                "a mutex was destroyed while locked, or while somebody waits for it; let its guard "
                "go first");
  }

  /// Waits for the lock. Result: a mutex_guard.
  [[nodiscard("co_await it")]] lock_await lock() noexcept;
  /// Result: a guard that holds nothing if somebody has it.
  [[nodiscard("it unlocks when it goes away: give it a name")]] mutex_guard try_lock() noexcept;
  /// A moment's truth, for listings and tests.
  bool is_locked() const noexcept {
    return (wait_list::state_of(list_.load(order::relaxed)) & taken) != 0;
  }

  /// While others wait, so many may come and lock before one of those does.
  static constexpr unsigned overtakes_max = WEFT_MODEL ? 1 : 32;

 private:
  friend class locking;
  friend class mutex_guard;
  friend class condition_variable;
  friend class condition_wait;
  using word = wait_list::word;
  // Bits of the state: see mutex.cpp.
  static constexpr word free_state = 0;
  static constexpr word taken = 1;
  static constexpr word called = 2;
  static constexpr word overtake = 4;  // one of them
  static constexpr word overtakes_limit = overtake * overtakes_max;
  static constexpr word overtakes_in(word state) noexcept { return state & ~(taken | called); }

  WEFT_ALWAYS_INLINE bool take(job* me) noexcept {
    word seen = wait_list::calm(free_state);
    if (!list_.change(seen, taken,
                      WEFT_MUTATE("mutex.take.relaxed", order::acquire, order::relaxed))) {
      return take_beside(seen, me);
    }
    note_owner(me);
    return true;
  }
  WEFT_ALWAYS_INLINE void unlock() noexcept {
    // Before it is free: or the next owner's being in would, for a moment, look like ours.
    note_owner(nullptr);
    const word seen =
        list_.subtract(taken, WEFT_MUTATE("mutex.unlock.relaxed", order::release, order::relaxed));
    if (seen == wait_list::calm(taken)) return;  // the last access
    unlock_beside(seen);
  }
  /// Where nobody else is. Only WEFT_CHECK_SLOW asks, and the two stores are 2 % of a lock and unlock.
  WEFT_ALWAYS_INLINE void note_owner([[maybe_unused]] job* who) noexcept {
#ifndef NDEBUG
    taken_by_.store(who, order::relaxed);
#endif
  }
  /// Its owner has begun to unlock it, and holds it until that is done (I5).
  static bool is_being_unlocked(word seen) noexcept {
    return (wait_list::state_of(seen) & (taken | called)) == 0 &&
           (wait_list::state_of(seen) != free_state || wait_list::is_crowded(seen));
  }
  static bool may_take(word seen) noexcept {
    const word state = wait_list::state_of(seen);
    return (state & taken) == 0 &&
           !WEFT_MUTATE("mutex.taken_from_who_unlocks", is_being_unlocked(seen), false) &&
           overtakes_in(state) <
               WEFT_MUTATE("mutex.overtakes.without_end", overtakes_limit, ~word{0});
  }
  static constexpr word taken_from(word state, bool others_wait) noexcept {
    return (state | taken) + (others_wait ? overtake : 0);
  }
  // The same beside others.
  bool take_beside(word seen, job* me) noexcept;
  void unlock_beside(word seen) noexcept;
  /// Unlocks; whom to wake for it goes to `next`.
  void unlock_to(wait_list::list& next) noexcept;
  void pass_on(wait_list::hold& held, word state, wait_list::list& next) noexcept;

  wait_list list_{free_state};
  // Compared, never followed. By the owner; by who hands over.
  atomic<job*> taken_by_{nullptr};
};

/// Holds a mutex, or nothing.
class [[nodiscard("it unlocks when it goes away: give it a name")]] mutex_guard {
 public:
  mutex_guard() noexcept = default;
  mutex_guard(mutex_guard&& other) noexcept : held_(std::exchange(other.held_, nullptr)) {}
  mutex_guard& operator=(mutex_guard&& other) noexcept {
    if (this != &other) {
      unlock();
      held_ = std::exchange(other.held_, nullptr);
    }
    return *this;
  }
  ~mutex_guard() { unlock(); }

  explicit operator bool() const noexcept { return held_ != nullptr; }
  /// Early. Does nothing if it holds nothing.
  void unlock() noexcept {
    if (mutex* const m = std::exchange(held_, nullptr)) m->unlock();
  }

 private:
  friend class mutex;
  friend class mutex::locking;
  friend class condition_variable;
  friend class condition_wait;
  explicit mutex_guard(mutex* held) noexcept : held_(held) {}
  mutex* held_ = nullptr;
};

class [[nodiscard("co_await it")]] mutex::locking final : public wait_list_operation<locking> {
 public:
  using primitive = mutex;
  explicit locking(mutex& m) noexcept : wait_list_operation(m.list_), mutex_(m) {}
  static WEFT_ALWAYS_INLINE bool try_at(mutex& m, job& me) noexcept { return m.take(&me); }
  bool try_now(job& me) noexcept { return try_at(mutex_, me); }
  bool take(wait_list::hold& held, job& me, wait_list::list&) const noexcept {
    const word state = held.state();
    if (may_take(held.found())) {
      held.set(taken_from(state, !held.empty() || (state & called) != 0));
      if (detail::claiming_job::from(me) == nullptr) {  // that one gives it back
        mutex_.taken_by_.store(&me, order::relaxed);
      }
      return true;
    }
    WEFT_CHECK_SLOW(mutex_.taken_by_.load(order::relaxed) != &me,
                    "a job locks a mutex that it has locked before, and would wait for itself; let "
                    "the first guard go, or hand it to the function that locks again");
    return false;
  }
  bool left(wait_list::hold& held, wait_list::list& next) noexcept override;
  std::coroutine_handle<> woken(promise_base& who) noexcept;
  static mutex_guard result_at(mutex& m) noexcept { return mutex_guard(&m); }
  mutex_guard await_resume() const noexcept { return result_at(mutex_); }
  const char* what() const noexcept override { return "mutex"; }

 private:
  friend class mutex;
  enum class came : std::uint8_t { in, in_vain, to_be_stopped };
  came came_up(promise_base& who, wait_list::list& next) noexcept;

  mutex& mutex_;
  bool owns_;  // written by whoever takes it from the list: it was handed the lock
};

inline mutex::lock_await mutex::lock() noexcept { return lock_await(*this); }
inline mutex_guard mutex::try_lock() noexcept {
  return mutex_guard(take(current_job()) ? this : nullptr);
}

}  // namespace weft
