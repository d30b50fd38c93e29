// ms_queue: an unbounded queue of values that any number of threads fill and empty.
//
//   Fairness  first in, first out
//   Threads   any, for everything but construction and destruction
//   Cost      push: three compare-exchanges; pop: two (one of each for the node). Allocates only
//             when it is longer than ever before (stable_pool)
//   Progress  lock-free but for the allocator: a thread descheduled anywhere in push or pop stops
//             nobody. Not wait-free: who loses a compare-exchange tries again
//   Memory    goes back to the system with the queue
//   After     Michael and Scott, PODC 1996; the boxes are our own
//
// Words, each a node's number (0: none) below a tag that grows with every change of the word
//   head_  the dummy: its successor holds the oldest value. Changed by pop
//   tail_  the last node, or one that a slow pusher has yet to move on from. Changed by push, and
//          by whoever meets it lagging
//   next   (in the node) the successor
//   box    (in the node) the number of the node in whose cell this node's value lies; no tag
// Invariants
//   I1  from head_ over next one comes to tail_, and from there to a node whose next is none
//   I2  head_ never passes tail_: a pop moves tail_ on first
//   I3  each cell is the box of at most one node, the dummy not counted: its box means nothing
// Pairings
//   P1  next compare-exchange, release (push) -> next load, acquire (push, pop): the node, its box,
//       the value in it
//   P2  head_ compare-exchange, release (pop) -> head_ load, acquire (pop): that tail_ is not
//       behind (I2), and that the dummy was a node of the queue
//   P3  tail_ compare-exchange, release (push, pop) -> tail_ load, acquire (push, pop): the same
//       of the last node
//   P4  next store, release (push prepares its node) -> next load, acquire (push, pop): that head_
//       and tail_ have left the node's former life, so that the second look at them shows it
// Why boxes
//   The winner of head_ owns the oldest value, but the node that holds it becomes the dummy, and
//   the next pop may give it back while the winner is still moving the value out. So the value lies
//   in a box whose number is read before the exchange, and the winner hangs that box onto the old
//   dummy, which is its own now: node and box go back together. Cost: one store.
// Why no old look does harm
//   head_ and tail_ are read again after next: with the tag unchanged, next was read while its node
//   was dummy, or last. From then on next itself, or head_, carries a tag that moves on with every
//   use; 32 bits of it have to come round exactly for an exchange to be fooled: four thousand
//   million operations during one step of a sleeping thread. With 1 bit the model finds it.
// Rejected
//   The value copied before the exchange (the paper's way): only for what copies without a trace
//   A second count in each node for "value moved out": two more read-modify-writes a pop
//   16 tag bits beside a 48-bit pointer: 65536 operations are a millisecond
#pragma once

#include <cstdint>
#include <new>

#include "weft/base/assert.hpp"
#include "weft/base/atomic.hpp"
#include "weft/base/cache_line.hpp"
#include "weft/queue/stable_pool.hpp"
#include "weft/queue/value_cell.hpp"

namespace weft {

template <queue_value T, unsigned TagBits = 32, unsigned FirstBits = 4>
class ms_queue {
  static_assert(TagBits >= 1 && TagBits <= 32);

 public:
  ms_queue();
  ~ms_queue();
  ms_queue(const ms_queue&) = delete;
  ms_queue& operator=(const ms_queue&) = delete;

  /// Errors: std::bad_alloc, and `value` is as it was.
  void push(T&& value);
  /// Result: false, and `out` is as it was, if there is nothing.
  [[nodiscard]] bool try_pop(T& out) noexcept;
  /// A moment's truth. After a seq_cst fence it sees what was pushed before another one.
  bool empty() const noexcept;

 private:
  using word = std::uint64_t;
  using id = std::uint32_t;
  static constexpr word tag_mask = 0xffffffffu >> (32 - TagBits);

  struct node {
    atomic<word> next{0};
    atomic<id> box{0};
    atomic<id> next_free{0};
    value_cell<T> cell;  // not this node's value: that lies in the cell of its box
  };
  static id id_of(word w) noexcept { return static_cast<id>(w); }
  /// What follows `w` in the same place.
  static word after(word w, id number) noexcept {
    return (((w >> 32) + 1) & tag_mask) << 32 | number;
  }
  void help_tail(word tail, id next) noexcept;

  alignas(cache_line) atomic<word> head_;
  alignas(cache_line) atomic<word> tail_;
  stable_pool<node, FirstBits> nodes_;
};

// ---------------------------------------------------------------------------------------------

template <queue_value T, unsigned TagBits, unsigned FirstBits>
ms_queue<T, TagBits, FirstBits>::ms_queue() {
  const id dummy = nodes_.take();
  WEFT_ASSERT(dummy != 0, "a new pool has at least one node");
  nodes_[dummy].box.store(dummy, order::relaxed);
  head_.store(dummy, order::relaxed);
  tail_.store(dummy, order::relaxed);
}

template <queue_value T, unsigned TagBits, unsigned FirstBits>
ms_queue<T, TagBits, FirstBits>::~ms_queue() {
  id at = id_of(head_.load(order::relaxed));
  while ((at = id_of(nodes_[at].next.load(order::relaxed)))) {
    nodes_[nodes_[at].box.load(order::relaxed)].cell.drop();
  }
}

template <queue_value T, unsigned TagBits, unsigned FirstBits>
void ms_queue<T, TagBits, FirstBits>::push(T&& value) {
  const id number = nodes_.take();
  if (!number) throw std::bad_alloc();
  node& mine = nodes_[number];
  id box = mine.box.load(order::relaxed);
  if (!box) mine.box.store(box = number, order::relaxed);  // the node's first life
  nodes_[box].cell.fill(static_cast<T&&>(value));
  mine.next.store(
      after(mine.next.load(order::relaxed), 0),
      WEFT_MUTATE("ms_queue.push.prepare_relaxed", order::release, order::relaxed));  // P4
  for (;;) {
    const word tail = tail_.load(
        WEFT_MUTATE("ms_queue.push.tail_relaxed", order::acquire, order::relaxed));  // P3
    node& last = nodes_[id_of(tail)];
    word next = last.next.load(
        WEFT_MUTATE("ms_queue.push.next_relaxed", order::acquire, order::relaxed));  // P1, P4
    if (tail_.load(order::relaxed) != tail &&
        !WEFT_MUTATE("ms_queue.push.looks_once", false, true)) {
      continue;
    }
    if (id_of(next)) {
      help_tail(tail, id_of(next));
      continue;
    }
    if (last.next.compare_exchange(
            next, after(next, number),
            WEFT_MUTATE("ms_queue.push.link_relaxed", order::release, order::relaxed),  // P1
            order::relaxed)) {
      help_tail(tail, number);
      return;
    }
  }
}

/// Moves tail_ from `tail` to its successor, unless somebody else has.
template <queue_value T, unsigned TagBits, unsigned FirstBits>
void ms_queue<T, TagBits, FirstBits>::help_tail(word tail, id next) noexcept {
  tail_.compare_exchange(
      tail, after(tail, next),
      WEFT_MUTATE("ms_queue.help.relaxed", order::release, order::relaxed),  // P3
      order::relaxed);
}

template <queue_value T, unsigned TagBits, unsigned FirstBits>
bool ms_queue<T, TagBits, FirstBits>::try_pop(T& out) noexcept {
  for (;;) {
    word head =
        head_.load(WEFT_MUTATE("ms_queue.pop.head_relaxed", order::acquire, order::relaxed));  // P2
    // Before the second look at head_: while this node is the dummy, a tail of the same number is
    // the same node in the same life, and may be moved to its successor.
    word tail =
        tail_.load(WEFT_MUTATE("ms_queue.pop.tail_relaxed", order::acquire, order::relaxed));  // P3
    node& dummy = nodes_[id_of(head)];
    const word next = dummy.next.load(
        WEFT_MUTATE("ms_queue.pop.next_relaxed", order::acquire, order::relaxed));  // P1, P4
    if (head_.load(order::relaxed) != head &&
        !WEFT_MUTATE("ms_queue.pop.looks_once", false, true)) {
      continue;
    }
    if (!id_of(next)) return false;
    if (WEFT_MUTATE("ms_queue.pop.tail_late", false, true)) tail = tail_.load(order::acquire);
    if (id_of(tail) == id_of(head) && !WEFT_MUTATE("ms_queue.pop.passes_tail", false, true)) {
      help_tail(tail, id_of(next));  // I2
    }
    node& oldest = nodes_[id_of(next)];
    id box = oldest.box.load(order::relaxed);
    if (!head_.compare_exchange(
            head, after(head, id_of(next)),
            WEFT_MUTATE("ms_queue.pop.advance_relaxed", order::release, order::relaxed),  // P2
            order::relaxed)) {
      continue;
    }
    if (WEFT_MUTATE("ms_queue.pop.box_late", false, true)) box = oldest.box.load(order::relaxed);
    nodes_[box].cell.empty_into(out);
    dummy.box.store(box, order::relaxed);  // I3
    nodes_.give(id_of(head));
    return true;
  }
}

template <queue_value T, unsigned TagBits, unsigned FirstBits>
bool ms_queue<T, TagBits, FirstBits>::empty() const noexcept {
  for (;;) {
    const word head = head_.load(order::acquire);                             // P2
    const bool none = !id_of(nodes_[id_of(head)].next.load(order::acquire));  // P1, P4
    if (head_.load(order::relaxed) == head) return none;
  }
}

}  // namespace weft
