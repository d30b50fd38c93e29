// semaphore: so many permits, and who finds too few waits for them.
//
//   weft::semaphore slots(8);
//   co_await slots.acquire();                      // or acquire(3): all three at once, or none
//   const weft::semaphore_guard held(slots);       // gives it back, also when the job is stopped
//
//   Fairness  FIFO. One that waits for many holds up those behind it, so that it gets them
//   Threads   any; a plain thread waits by weft::block_on(slots.acquire())
//   Cost      nobody waits: one compare-exchange. See wait_list.hpp
//   Cancel    a stopped acquire() has taken nothing, and lets in who stood behind it; one that was
//             given its permits completes
//   Memory    24 bytes; no allocation per wait
//   Lifetime  who has acquired may destroy it, even while the release() that let it do so returns
#pragma once

#include <cstddef>

#include "weft/task/wait_list.hpp"

namespace weft {

class semaphore {
 public:
  class acquiring;

  explicit semaphore(std::size_t permits) noexcept : list_(permits) {
    WEFT_ASSERT(permits <= permits_max, "a semaphore has at most permits_max permits");
  }
  static constexpr std::size_t permits_max = wait_list::state_max >> 1;

  /// Waits for `n` permits, and takes them together.
  [[nodiscard("co_await it")]] acquiring acquire(std::size_t n = 1) noexcept;
  /// False: too few, or others wait for them.
  [[nodiscard]] bool try_acquire(std::size_t n = 1) noexcept;
  /// Gives `n` permits back, or adds new ones. Threads: any, whoever acquired them.
  void release(std::size_t n = 1) noexcept;
  /// A moment's truth, for listings and tests.
  std::size_t available() const noexcept { return wait_list::state_of(list_.load(order::relaxed)); }

 private:
  friend class acquiring;
  void release_to_waiters(std::size_t n) noexcept;
  static bool let_in(wait_list::hold& held, wait_list::list& taken) noexcept;

  wait_list list_;  // its state: permits that nobody has
};

class [[nodiscard("co_await it")]] semaphore::acquiring final
    : public wait_list_operation<acquiring> {
 public:
  acquiring(semaphore& from, std::size_t n) noexcept
      : wait_list_operation(from.list_), semaphore_(from), n_(n) {}
  bool try_now(job&) noexcept { return semaphore_.try_acquire(n_); }
  bool take(wait_list::hold& held, job&, wait_list::list&) const noexcept {
    if (!held.empty() || held.state() < n_) return false;
    held.set(held.state() - n_);
    return true;
  }
  bool left(wait_list::hold& held, wait_list::list& taken) noexcept override {
    return WEFT_MUTATE("semaphore.left.lets_nobody_in", let_in(held, taken), false);
  }
  void await_resume() const noexcept {}
  const char* what() const noexcept override { return "semaphore"; }

 private:
  friend class semaphore;
  semaphore& semaphore_;
  const std::size_t n_;
};

inline semaphore::acquiring semaphore::acquire(std::size_t n) noexcept {
  return acquiring(*this, n);
}

inline bool semaphore::try_acquire(std::size_t n) noexcept {
  wait_list::word seen = list_.load(order::relaxed);
  for (;;) {
    if (!wait_list::is_calm(seen)) {
      if (wait_list::is_crowded(seen)) return false;
      cpu_pause();  // somebody has a look, and is gone at once
      seen = list_.load(order::relaxed);
      continue;
    }
    const std::size_t free = wait_list::state_of(seen);
    if (free < n) return false;
    if (list_.change(seen, free - n,
                     WEFT_MUTATE("semaphore.take.relaxed", order::acquire, order::relaxed))) {
      return true;
    }
  }
}

inline void semaphore::release(std::size_t n) noexcept {
  wait_list::word seen = list_.load(order::relaxed);
  while (wait_list::is_calm(seen)) {
    const std::size_t free = wait_list::state_of(seen);
    WEFT_ASSERT(n <= permits_max - free, "a semaphore was released more often than it can count");
    if (list_.change(seen, free + n,
                     WEFT_MUTATE("semaphore.give.relaxed", order::release, order::relaxed))) {
      return;  // the last access
    }
  }
  release_to_waiters(n);
}

/// Gives permits that were acquired back when it goes away.
class [[nodiscard("it releases when it goes away: give it a name")]] semaphore_guard {
 public:
  explicit semaphore_guard(semaphore& acquired, std::size_t n = 1) noexcept
      : semaphore_(&acquired), n_(n) {}
  semaphore_guard(semaphore_guard&& other) noexcept : semaphore_(other.semaphore_), n_(other.n_) {
    other.semaphore_ = nullptr;
  }
  semaphore_guard& operator=(semaphore_guard&&) = delete;
  ~semaphore_guard() {
    if (semaphore_ != nullptr) semaphore_->release(n_);
  }

 private:
  semaphore* semaphore_;
  std::size_t n_;
};

}  // namespace weft
