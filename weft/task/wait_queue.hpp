// wait_queue: waiters for a condition that lives elsewhere: first come, first served, and no lock while
// there is at most one waiter. Where state and waiters must change in one step: wait_list.
//
//   // in start() of an operation that derives from wait_queue::waiter
//   for (;;) {
//     if (try_take()) return ready_at_once(*this, who);
//     switch (queue_.add_if(*this, who, [&] { return value_.load(order::seq_cst) == 0; })) {
//       case wait_queue::add_result::waiting: return std::noop_coroutine();   // touch nothing more
//       case wait_queue::add_result::granted: return who.handle();
//       case wait_queue::add_result::stopped: return unwind(who);
//       case wait_queue::add_result::not_needed: continue;                    // nothing happened
//     }
//   }
//   // whoever lets one in
//   value_.fetch_add(1, order::seq_cst);
//   if (auto* next = queue_.take_one()) ... wait_queue::wake(*next);
//
//   Fairness  FIFO
//   Threads   any
//   Cost      to wait: two compare-exchanges besides the one of job::arm(). To let one in: two. To
//             see that nobody waits: a load. From the second waiter on a spin lock, held for at
//             most `batch_max` list operations, never across a wake
//   Cancel    a stopped waiter is taken out in O(1); one that was taken is completed, not stopped
//   Memory    32 bytes; 64 a waiter, in the frame of whoever waits
//   Lifetime  a job that was woken, or `granted`, may destroy the queue at once: neither its waker
//             nor its own add_if() touches it any more. One that went on because must_wait() was
//             false has no such right: who made it false may be about to look into the queue
//   Protocol  top of wait_queue.cpp
#pragma once

#include <cstddef>
#include <cstdint>

#include "weft/base/atomic.hpp"
#include "weft/base/intrusive_list.hpp"
#include "weft/base/spin_lock.hpp"
#include "weft/task/promise.hpp"

namespace weft {

class wait_queue {
 public:
  struct link_tag {};
  class waiter;
  /// Waiters that were taken and not woken yet, oldest first.
  using list = intrusive_list<waiter, link_tag>;

  wait_queue() noexcept = default;
  wait_queue(const wait_queue&) = delete;
  wait_queue& operator=(const wait_queue&) = delete;
  ~wait_queue();

  enum class add_result : std::uint8_t {
    waiting,     // suspended; it may be woken, and gone, already now
    granted,     // taken and woken while it was being added: it goes on at once, as completed
    not_needed,  // must_wait() was false: it is in no queue, and nothing happened
    stopped,     // the stop came first: unwind
  };
  /// Publishes `w`, then asks must_wait(), and takes it back if it need not wait.
  ///
  /// No wake is lost if whoever ends the need to wait first changes what must_wait() reads and then
  /// takes from the queue, both sides by seq_cst accesses. must_wait() may have effects (take a
  /// permit), but then they stand next to a grant if the answer is `granted` or `waiting`: better
  /// ask only, and try again on `not_needed`.
  template <class MustWait>
  [[nodiscard]] add_result add_if(waiter& w, promise_base& who, MustWait must_wait) noexcept {
    if (!enter(w, who)) return add_result::stopped;
    return must_wait() ? stay(w) : take_back(w);
  }

  /// The oldest, or nullptr. It is the caller's to fill and to wake(), which must happen.
  [[nodiscard]] waiter* take_one() noexcept;
  /// The oldest, if there is one and may_leave(waiter&) says so. That is called under the lock: let
  /// it look, and do no more.
  template <class MayLeave>
  [[nodiscard]] waiter* take_one_if(MayLeave may_leave) noexcept {
    waiter* const front = lock_front();
    if (front == nullptr) return nullptr;
    const bool leaves = may_leave(*front);
    unlock_front(leaves);
    return leaves ? front : nullptr;
  }
  /// All that are in the queue now; not those that come while it works.
  void take_all(list& taken) noexcept;

  /// Ends the wait of one that was taken. The last access to it.
  static void wake(waiter& taken) noexcept;
  static void wake(list& taken) noexcept;
  bool wake_one() noexcept;
  void wake_all() noexcept;

  /// A moment's truth. seq_cst: may stand in the place of take_one() in the rule of add_if().
  bool empty() const noexcept { return word_.load(order::seq_cst) == word_empty; }

 private:
  static constexpr std::uintptr_t word_empty = 0;
  static constexpr std::uintptr_t word_many = 1;  // anything else: the one waiter
  static constexpr unsigned batch_max = 32;       // waiters unlinked in one hold of the lock

  bool enter(waiter& w, promise_base& who) noexcept;
  add_result stay(waiter& w) noexcept;
  add_result take_back(waiter& w) noexcept;
  static add_result leave_to_taker(waiter& w) noexcept;
  static add_result end_here(waiter& w) noexcept;
  void publish(waiter& w) noexcept;
  bool remove(waiter& w) noexcept;
  void withdraw(waiter& w) noexcept;
  waiter* lock_front() noexcept;
  void unlock_front(bool take) noexcept;
  waiter& pop() noexcept;
  void link(waiter& w) noexcept;

  atomic<std::uintptr_t> word_{word_empty};
  spin_lock lock_;
  list list_;  // under lock_
};

/// An operation that waits in a wait_queue. What a taker hands over goes into the derived class.
class wait_queue::waiter : public operation, public list_hook<link_tag> {
 public:
  void withdraw() noexcept final { queue_->withdraw(*this); }

 protected:
  waiter() noexcept {}
  ~waiter() = default;

  /// It has left the queue because of a stop, and is about to end. Here a primitive lets in who
  /// stood behind it, where that depends on who stands in front.
  virtual void left_queue() noexcept {}

 private:
  friend class wait_queue;
  wait_queue* queue_ = nullptr;
  atomic<std::uint32_t> phase_{0};  // see wait_queue.cpp
  plain<bool> linked_{false};       // it is on a list that the queue's lock guards
};

}  // namespace weft
