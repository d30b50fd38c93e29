//   I1  Who is in the list has a number, and is there: end() takes it out before it goes. Numbers are
//       given once.
//   I2  Who found one under the lock is a visitor of it until its call of panicked() has returned.
//   P1  number: number_ (release)  ->  number: (acquire), of another thread.
//   P2  tell_panic: visitors_ down (release)  ->  end: (acquire): the last access.
// The lock is never held while panicked() runs: that may print, and calls a user's what().
#include "weft/task/live_home.hpp"

#include <new>

#include "weft/task/job.hpp"

namespace weft::detail {

live_homes& all_live_homes() noexcept {
  alignas(live_homes) static unsigned char storage[sizeof(live_homes)];
  static live_homes* const all = ::new (static_cast<void*>(storage)) live_homes;
  return *all;
}

/// Under the lock. What points to the one with that number, or to nullptr.
live_home** live_homes::link_to(std::uintptr_t number) noexcept {
  live_home** link = &first_;
  while (*link != nullptr && (*link)->number_.load(order::relaxed) != number) {
    link = &(*link)->next_;
  }
  return link;
}

std::uintptr_t live_home::number() noexcept {
  if (const std::uintptr_t n = number_.load(order::acquire); n != 0) return n;  // P1
  const spin_guard guard(among_.lock_);
  if (const std::uintptr_t n = number_.load(order::relaxed);
      n != 0 && !WEFT_MUTATE("live_home.number.unasked", false, true)) {
    return n;
  }
  number_.store(++among_.last_number_, order::release);  // P1
  next_ = among_.first_;
  among_.first_ = this;
  return among_.last_number_;
}

void live_home::end() noexcept {
  const std::uintptr_t n = number_.load(order::acquire);  // P1
  if (n == 0) return;
  {
    const spin_guard guard(among_.lock_);
    live_home** const link = among_.link_to(n);
    if (*link != this) return;  // ended before
    *link = next_;
  }
  if (WEFT_MUTATE("live_home.end.waits_for_nobody", false, true)) return;
  while (visitors_.load(order::acquire) != 0) spin_wait_yield();  // P2
}

live_home::tell_result live_home::tell_panic(std::uintptr_t number, job& ended,
                                             const std::exception_ptr& error,
                                             live_homes& among) noexcept {
  live_home* found = nullptr;
  {
    const spin_guard guard(among.lock_);
    found = *among.link_to(number);
    if (found == nullptr) return tell_result::gone;
    found->visitors_.fetch_add(1, order::relaxed);  // seen by end() through the lock
  }
  found->of_.panicked(ended, error);
  found->visitors_.fetch_sub(1, WEFT_MUTATE("live_home.visit.relaxed", order::release,
                                            order::relaxed));  // P2, and the last access
  return tell_result::told;
}

}  // namespace weft::detail
