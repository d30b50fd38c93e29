// mutex: one job at a time, and the lock may be held across co_await.
//
//   weft::mutex m;
//   const auto held = co_await m.lock();        // until `held` goes away, also by a stop
//   if (const auto now = m.try_lock()) ...      // never waits
//
//   Fairness  FIFO: unlocking hands over to the oldest waiter, and nobody gets in between
//   Threads   any; a plain thread waits by weft::block_on(m.lock()). A guard may be let go anywhere
//   Cost      nobody waits: one compare-exchange to lock, one to unlock. See wait_list.hpp
//   Cancel    a stopped lock() has not locked; one that was handed the lock completes, and its guard
//             is there to unlock it
//   Memory    32 bytes; no allocation per wait
//   Lifetime  who has the lock may unlock and destroy it, even while another unlock() returns
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

  mutex() noexcept = default;
  ~mutex() {
    WEFT_ASSERT(!is_locked(), "a mutex was destroyed while locked; let its guard go first");
  }

  /// Waits for the lock. Result: a mutex_guard.
  [[nodiscard]] locking lock() noexcept;
  /// Result: a guard that holds nothing if somebody has it.
  [[nodiscard]] mutex_guard try_lock() noexcept;
  /// A moment's truth, for listings and tests.
  bool is_locked() const noexcept {
    return wait_list::state_of(list_.load(order::relaxed)) == taken_state;
  }

 private:
  friend class locking;
  friend class mutex_guard;
  friend class condition_variable;
  friend class condition_wait;
  static constexpr wait_list::word free_state = 0;
  static constexpr wait_list::word taken_state = 1;

  WEFT_ALWAYS_INLINE bool take(job* me) noexcept {
    wait_list::word seen = wait_list::calm(free_state);
    if (!list_.change(seen, taken_state,
                      WEFT_MUTATE("mutex.take.relaxed", order::acquire, order::relaxed))) {
      return false;
    }
    taken_by_.store(me, order::relaxed);
    return true;
  }
  WEFT_ALWAYS_INLINE void unlock() noexcept {
    // Before it is free: or the next owner's being in would, for a moment, look like ours.
    taken_by_.store(nullptr, order::relaxed);
    wait_list::word seen = wait_list::calm(taken_state);
    if (list_.change(seen, free_state,
                     WEFT_MUTATE("mutex.unlock.relaxed", order::release, order::relaxed))) {
      return;  // the last access
    }
    hand_over();
  }
  void hand_over() noexcept;
  /// Unlocks; whom to wake for it goes to `next`.
  void hand_over_to(wait_list::list& next) noexcept;

  wait_list list_{free_state};
  // Compared, never followed. By the owner; by who hands over.
  atomic<job*> taken_by_{nullptr};
};

/// Holds a mutex, or nothing.
class [[nodiscard]] mutex_guard {
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

class [[nodiscard]] mutex::locking final : public wait_list_operation<locking> {
 public:
  explicit locking(mutex& m) noexcept : wait_list_operation(m.list_), mutex_(m) {}
  WEFT_ALWAYS_INLINE bool try_now(job& me) noexcept { return mutex_.take(&me); }
  bool take(wait_list::hold& held, job& me, wait_list::list&) const noexcept {
    if (held.state() == free_state) {
      held.set(taken_state);
      mutex_.taken_by_.store(&me, order::relaxed);
      return true;
    }
    WEFT_CHECK_SLOW(mutex_.taken_by_.load(order::relaxed) != &me,
                    "a job locks a mutex that it has locked before, and would wait for itself; let "
                    "the first guard go, or hand it to the function that locks again");
    return false;
  }
  mutex_guard await_resume() const noexcept { return mutex_guard(&mutex_); }
  const char* what() const noexcept override { return "mutex"; }

 private:
  mutex& mutex_;
};

inline mutex::locking mutex::lock() noexcept { return locking(*this); }
inline mutex_guard mutex::try_lock() noexcept {
  return mutex_guard(take(current_job()) ? this : nullptr);
}

}  // namespace weft
