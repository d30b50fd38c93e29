// event: set or not; who waits goes on when it is set.
//
//   weft::event ready;                          // manual_reset: stays set, for all, until reset()
//   weft::event turn(weft::event::auto_reset);  // each set() lets one through, and is used up by it
//   co_await ready.wait();
//
// An auto_reset event that nobody waits for stays set for the next one; a second set() is lost in it.
//
//   Fairness  FIFO
//   Threads   any; a plain thread waits by weft::block_on(ready.wait())
//   Cost      set() that nobody waits for: one compare-exchange; wait() that need not: a load
//             (manual_reset) or one compare-exchange
//   Cancel    a stopped wait() has used up nothing; one that was let through completes
//   Memory    32 bytes; no allocation per wait
//   Lifetime  who was let through may destroy it, even while set() returns
#pragma once

#include "weft/task/wait_list.hpp"

namespace weft {

class event : private wait_list {
 public:
  class waiting;
  enum mode : std::uint8_t { manual_reset, auto_reset };

  explicit event(mode m = manual_reset, bool set = false) noexcept
      : wait_list(set ? set_state : unset_state), mode_(m) {}

  /// Waits until it is set.
  [[nodiscard("co_await it")]] waiting wait() noexcept;
  /// Whether wait() would not have waited; uses up the set() of an auto_reset one.
  [[nodiscard]] bool try_wait() noexcept;
  /// What was written before it is seen by whom it lets through.
  void set() noexcept;
  void reset() noexcept;
  /// A moment's truth.
  bool is_set() const noexcept { return state_of(load(order::acquire)) != 0; }

 private:
  friend class waiting;
  static constexpr word unset_state = 0;
  static constexpr word set_state = 1;
  void set_for_waiters() noexcept;

  const mode mode_;
};

class [[nodiscard("co_await it")]] event::waiting final : public wait_list_operation<waiting> {
 public:
  explicit waiting(event& e) noexcept : wait_list_operation(e) {}
  bool try_now(job&) noexcept { return of().try_wait(); }
  bool take(wait_list::hold& held, job&, wait_list::list&) const noexcept {
    if (held.state() == unset_state) return false;
    if (of().mode_ == auto_reset) held.set(unset_state);
    return true;
  }
  void await_resume() const noexcept {}
  const char* what() const noexcept override { return "event"; }

 private:
  event& of() const noexcept { return static_cast<event&>(in()); }
};

inline event::waiting event::wait() noexcept { return waiting(*this); }

inline bool event::try_wait() noexcept {
  if (mode_ == manual_reset) return is_set();
  word seen = calm(set_state);
  return change(seen, unset_state,
                WEFT_MUTATE("event.use_up.relaxed", order::acquire, order::relaxed));
}

inline void event::set() noexcept {
  word seen = load(order::relaxed);
  while (is_calm(seen)) {
    // Also if it is set already: who uses that up must see what was written before this one, too.
    if (WEFT_MUTATE("event.set.looks_only", false, state_of(seen) == set_state)) return;
    if (change(seen, set_state, WEFT_MUTATE("event.set.relaxed", order::release, order::relaxed))) {
      return;  // the last access
    }
  }
  set_for_waiters();
}

}  // namespace weft
