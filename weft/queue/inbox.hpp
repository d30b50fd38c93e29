// inbox: items that any thread puts in and one thread takes out, all that are there at once.
//
//   Fairness  first in, first out
//   Threads   push, empty: any. take_all: the one owner
//   Cost      push: one compare-exchange. take_all: one exchange, and a walk over what it took;
//             one load if there is nothing. Never allocates: items carry their own link
//   Progress  push is lock-free, take_all wait-free but for its walk
//   After     Treiber's stack, emptied whole: nothing is popped singly, so there is no ABA
//
// Words
//   newest_  the item pushed last, null if there is none. Items are linked from newer to older;
//            pushers put themselves before it, the owner exchanges it for null
// Invariants
//   I1  who finds newest_ null with its push is the only one to do so until the owner's next
//       exchange
//   I2  an item in the list is touched by nobody: its pusher is done with it at the exchange that
//       puts it in, so whoever takes it may free it
// Pairings
//   P1  newest_ compare-exchange, release (push) -> newest_ exchange, acquire (take_all): the link
//       and what the items hold. Pushes on top continue each other's release sequence
// Why no wake is lost, if a push that returns true wakes the owner, and wakes are remembered
//   (parker, futex, eventfd), and the owner sleeps only after a take_all that was empty
//   All changes of newest_ have one order. What lies there after the owner's last exchange was
//   begun by a push that found null (I1), and its wake comes after it. If the owner's look misses
//   it (a load may be old), that wake was not yet received: it would have carried the push with it.
//   So it ends the sleep that follows.
//   An owner who sleeps without such a memory needs the fences of idle.hpp instead.
// Why a push's look may be old
//   The exchange succeeds only if newest_ still is what the link says. It may have been taken and
//   pushed again meanwhile; the link is right for the new life as well.
// Rejected
//   Vyukov's intrusive queue: a pusher descheduled between its two steps hides the items behind it
//   Two words (first, last) under a lock: the same
#pragma once

#include "weft/base/assert.hpp"
#include "weft/base/atomic.hpp"
#include "weft/base/cache_line.hpp"

namespace weft {

/// T has a member `next`; an item is in one list at a time.
template <class T>
class inbox {
 public:
  /// Items in the order in which they came, linked by `next`, the last one's link null.
  struct chain {
    T* first = nullptr;
    unsigned count = 0;
  };

  inbox() noexcept = default;
  ~inbox() { WEFT_ASSERT(empty(), "an inbox was destroyed with items in it; take them first"); }
  inbox(const inbox&) = delete;
  inbox& operator=(const inbox&) = delete;

  /// Result: true if it was empty. Then, and only then, the owner must be woken.
  [[nodiscard]] bool push(T* item) noexcept;

  /// The owner. Empties it.
  [[nodiscard]] chain take_all() noexcept;

  bool empty() const noexcept { return !newest_.load(order::relaxed); }

 private:
  alignas(cache_line) atomic<T*> newest_;
};

// ---------------------------------------------------------------------------------------------

template <class T>
bool inbox<T>::push(T* item) noexcept {
  T* before = newest_.load(order::relaxed);
  do {
    item->next = before;
  } while (!newest_.compare_exchange_weak(
      before, item, WEFT_MUTATE("inbox.push.relaxed", order::release, order::relaxed),  // P1
      order::relaxed));
  return !before && !WEFT_MUTATE("inbox.push.never_first", false, true);
}

template <class T>
typename inbox<T>::chain inbox<T>::take_all() noexcept {
  if (empty()) return {};
  T* newer =
      newest_.exchange(nullptr, WEFT_MUTATE("inbox.take.relaxed", order::acquire, order::relaxed));
  chain result;
  while (newer) {  // P1
    T* const older = newer->next;
    newer->next = result.first;  // turned round: oldest first
    result.first = newer;
    ++result.count;
    newer = older;
  }
  return result;
}

}  // namespace weft
