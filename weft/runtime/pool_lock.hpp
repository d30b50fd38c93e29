// pool_lock: the mutex and the condition that blocking_pool sleeps by. Outside of the interleaving checker
// they are the standard library's; there, toys that promise as little: a notification wakes one of those that
// wait already, and a wait with a deadline may end at any moment.
#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>

#include "weft/base/atomic.hpp"

#if WEFT_MODEL
#include "weft/base/spin_lock.hpp"
#include "weft/base/time.hpp"
#include "weft/os/futex.hpp"
#endif

namespace weft::detail {

#if !WEFT_MODEL

using pool_mutex = std::mutex;
using pool_condition = std::condition_variable;

#else

using pool_mutex = spin_lock;

class pool_condition {
 public:
  void notify_one() noexcept {
    const spin_guard guard(lock_);
    wake_first();
  }
  void notify_all() noexcept {
    const spin_guard guard(lock_);
    while (first_ != nullptr) wake_first();
  }
  template <class Holds>
  void wait(std::unique_lock<pool_mutex>& held, Holds holds) {
    while (!holds()) static_cast<void>(sleep(held, never_ns));
  }
  template <class Holds>
  bool wait_for(std::unique_lock<pool_mutex>& held, std::chrono::nanoseconds, Holds holds) {
    while (!holds()) {
      if (!sleep(held, 1)) return holds();
    }
    return true;
  }

 private:
  struct sleeper {
    atomic<std::uint32_t> woken{0};
    sleeper* next = nullptr;
  };
  void wake_first() noexcept {
    sleeper* const s = first_;
    if (s == nullptr) return;
    first_ = s->next;
    s->woken.store(1, order::release);
    os::futex_wake(s->woken, 1);
  }
  /// False: the time was over, and nobody had woken it.
  bool sleep(std::unique_lock<pool_mutex>& held, std::int64_t deadline_ns) noexcept {
    sleeper me;
    {
      const spin_guard guard(lock_);
      sleeper** last = &first_;
      while (*last != nullptr) last = &(*last)->next;
      *last = &me;
    }
    held.unlock();
    bool in_time = true;
    while (in_time && me.woken.load(order::acquire) == 0) {
      in_time = os::futex_wait(me.woken, 0, deadline_ns);
    }
    {
      const spin_guard guard(lock_);  // also: who has woken it has left it
      for (sleeper** s = &first_; *s != nullptr; s = &(*s)->next) {
        if (*s == &me) {
          *s = me.next;
          break;
        }
      }
    }
    held.lock();
    return in_time;
  }

  spin_lock lock_;
  sleeper* first_ = nullptr;  // under lock_
};

#endif

}  // namespace weft::detail
