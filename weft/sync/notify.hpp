// notify: "something has changed, look again", without saying what.
//
//   while (!queue.pop(&item)) co_await changed.wait();     // the consumer
//   queue.push(item); changed.notify_one();                // the producer
//
// notify_one() wakes the oldest waiter; if there is none, the next wait() goes straight through: one
// such permit is kept, however often it is called. notify_all() wakes who waits now and keeps nothing.
//
//   Fairness  FIFO
//   Threads   any; a plain thread waits by weft::block_on(changed.wait())
//   Cost      nobody waits: one compare-exchange (notify_all: a load)
//   Cancel    a stopped wait() has used up nothing; one that was notified completes, so a
//             notification is never lost in a waiter that is leaving
//   Memory    24 bytes; no allocation per wait
//   Lifetime  who was woken may destroy it, even while the notifier returns
//   After     tokio::sync::Notify
#pragma once

#include "weft/task/wait_list.hpp"

namespace weft {

class notify {
 public:
  class waiting;

  notify() noexcept = default;

  /// Waits for a notification, or uses up the one that is kept.
  [[nodiscard("co_await it")]] waiting wait() noexcept;
  /// What was written before is seen by whom it wakes, or lets through.
  void notify_one() noexcept;
  void notify_all() noexcept;

 private:
  friend class waiting;
  static constexpr wait_list::word nothing = 0;
  static constexpr wait_list::word permit = 1;
  void notify_waiter() noexcept;
  void notify_waiters() noexcept;

  wait_list list_{nothing};
};

class [[nodiscard("co_await it")]] notify::waiting final : public wait_list_operation<waiting> {
 public:
  explicit waiting(notify& n) noexcept : wait_list_operation(n.list_), notify_(n) {}
  bool try_now(job&) noexcept {
    wait_list::word seen = wait_list::calm(permit);
    return notify_.list_.change(
        seen, nothing, WEFT_MUTATE("notify.use_up.relaxed", order::acquire, order::relaxed));
  }
  bool take(wait_list::hold& held, job&, wait_list::list&) const noexcept {
    if (held.state() == nothing) return false;
    held.set(nothing);
    return true;
  }
  void await_resume() const noexcept {}
  const char* what() const noexcept override { return "notify"; }

 private:
  notify& notify_;
};

inline notify::waiting notify::wait() noexcept { return waiting(*this); }

inline void notify::notify_one() noexcept {
  wait_list::word seen = list_.load(order::relaxed);
  while (wait_list::is_calm(seen)) {
    // Also if one is kept already: who uses it up must see what was written before this one, too.
    if (WEFT_MUTATE("notify.one.looks_only", false, wait_list::state_of(seen) == permit)) return;
    if (list_.change(seen, permit,
                     WEFT_MUTATE("notify.one.relaxed", order::release, order::relaxed))) {
      return;  // the last access
    }
  }
  notify_waiter();
}

}  // namespace weft
