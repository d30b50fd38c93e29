// shared_mutex: many readers, or one writer.
//
//   weft::shared_mutex m;
//   const auto reading = co_await m.lock_shared();   // beside other readers
//   const auto writing = co_await m.lock();          // alone
//
//   Fairness  FIFO, which prefers writers: a reader that comes while a writer waits gets in line
//             behind it, so no stream of readers starves a writer; and a writer waits only for who
//             came before it. So a job that reads must not ask to read again: if a writer has come
//             in between, it would wait for itself
//   Threads   any; a plain thread waits by weft::block_on(m.lock_shared())
//   Cost      nobody waits: one compare-exchange to lock, one to unlock. See wait_list.hpp
//   Cancel    a stopped lock has not locked, and lets in who stood behind it; one that was given the
//             lock completes, and its guard is there to unlock it
//   Memory    24 bytes; no allocation per wait
//   Lifetime  who has the lock may unlock and destroy it, even while another's unlock returns
#pragma once

#include <utility>

#include "weft/task/wait_list.hpp"

namespace weft {

template <bool Writes>
class shared_mutex_guard;

class shared_mutex {
 public:
  template <bool Writes>
  class locking;

  shared_mutex() noexcept = default;
  ~shared_mutex() {
    WEFT_ASSERT(wait_list::state_of(list_.load(order::relaxed)) == 0,
                "a shared_mutex was destroyed while locked; let its guards go first");
  }

  [[nodiscard("co_await it")]] locking<true> lock() noexcept;
  [[nodiscard("co_await it")]] locking<false> lock_shared() noexcept;
  /// Result: a guard that holds nothing if it would have had to wait.
  [[nodiscard("it unlocks when it goes away: give it a name")]] shared_mutex_guard<true>
  try_lock() noexcept;
  [[nodiscard("it unlocks when it goes away: give it a name")]] shared_mutex_guard<false>
  try_lock_shared() noexcept;

 private:
  template <bool>
  friend class shared_mutex_guard;
  class request;
  static constexpr wait_list::word writer = wait_list::word{1} << 48;  // below it: so many readers

  static bool may_enter(wait_list::word state, bool writes) noexcept {
    return writes ? state == 0 : state < writer - 1;
  }
  static wait_list::word entered(wait_list::word state, bool writes) noexcept {
    return writes ? writer : state + 1;
  }
  bool try_enter(bool writes) noexcept;
  void leave(bool writes) noexcept;
  void leave_to_waiters(bool writes) noexcept;
  static bool let_in(wait_list::hold& held, wait_list::list& taken) noexcept;

  wait_list list_{0};  // its state: so many readers, or `writer`
};

class shared_mutex::request : public wait_list::waiter {
 protected:
  request(wait_list& in, bool writes) noexcept : waiter(in), writes_(writes) {}
  ~request() = default;
  bool left(wait_list::hold& held, wait_list::list& taken) noexcept final {
    return WEFT_MUTATE("shared_mutex.left.lets_nobody_in", let_in(held, taken), false);
  }

 private:
  friend class shared_mutex;
  const bool writes_;
};

/// Holds a shared_mutex for one side, or nothing.
template <bool Writes>
class [[nodiscard("it unlocks when it goes away: give it a name")]] shared_mutex_guard {
 public:
  shared_mutex_guard() noexcept = default;
  shared_mutex_guard(shared_mutex_guard&& other) noexcept
      : held_(std::exchange(other.held_, nullptr)) {}
  shared_mutex_guard& operator=(shared_mutex_guard&& other) noexcept {
    if (this != &other) {
      unlock();
      held_ = std::exchange(other.held_, nullptr);
    }
    return *this;
  }
  ~shared_mutex_guard() { unlock(); }

  explicit operator bool() const noexcept { return held_ != nullptr; }
  /// Early. Does nothing if it holds nothing.
  void unlock() noexcept {
    if (shared_mutex* const m = std::exchange(held_, nullptr)) m->leave(Writes);
  }

 private:
  friend class shared_mutex;
  explicit shared_mutex_guard(shared_mutex* held) noexcept : held_(held) {}
  shared_mutex* held_ = nullptr;
};

template <bool Writes>
class [[nodiscard("co_await it")]] shared_mutex::locking final
    : public wait_list_operation<locking<Writes>, shared_mutex::request> {
 public:
  explicit locking(shared_mutex& m) noexcept
      : wait_list_operation<locking<Writes>, shared_mutex::request>(m.list_, Writes), mutex_(m) {}
  bool try_now(job&) noexcept { return mutex_.try_enter(Writes); }
  bool take(wait_list::hold& held, job&, wait_list::list&) const noexcept {
    if (!held.empty() || !may_enter(held.state(), Writes)) return false;
    held.set(entered(held.state(), Writes));
    return true;
  }
  shared_mutex_guard<Writes> await_resume() const noexcept {
    return shared_mutex_guard<Writes>(&mutex_);
  }
  const char* what() const noexcept override { return "shared_mutex"; }

 private:
  shared_mutex& mutex_;
};

inline shared_mutex::locking<true> shared_mutex::lock() noexcept { return locking<true>(*this); }
inline shared_mutex::locking<false> shared_mutex::lock_shared() noexcept {
  return locking<false>(*this);
}
inline shared_mutex_guard<true> shared_mutex::try_lock() noexcept {
  return shared_mutex_guard<true>(try_enter(true) ? this : nullptr);
}
inline shared_mutex_guard<false> shared_mutex::try_lock_shared() noexcept {
  return shared_mutex_guard<false>(try_enter(false) ? this : nullptr);
}

inline bool shared_mutex::try_enter(bool writes) noexcept {
  wait_list::word seen = list_.load(order::relaxed);
  for (;;) {
    if (!wait_list::is_calm(seen)) {
      if (wait_list::is_crowded(seen)) return false;
      cpu_pause();  // somebody has a look, and is gone at once
      seen = list_.load(order::relaxed);
      continue;
    }
    const wait_list::word state = wait_list::state_of(seen);
    if (!may_enter(state, writes)) return false;
    if (list_.change(seen, entered(state, writes),
                     WEFT_MUTATE("shared_mutex.enter.relaxed", order::acquire, order::relaxed))) {
      return true;
    }
  }
}

inline void shared_mutex::leave(bool writes) noexcept {
  wait_list::word seen = list_.load(order::relaxed);
  while (wait_list::is_calm(seen)) {
    if (list_.change(seen, writes ? 0 : wait_list::state_of(seen) - 1,
                     WEFT_MUTATE("shared_mutex.leave.relaxed", order::release, order::relaxed))) {
      return;  // the last access
    }
  }
  leave_to_waiters(writes);
}

}  // namespace weft
