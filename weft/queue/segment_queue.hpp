// segment_queue: the lock-free queue behind the injector's face. Any number of threads put items in
// and take them out; unbounded. Items are named in blocks of slots, never by their own links, so
// nobody looks into an item that he has not won.
//
//   Fairness  first in, first out
//   Threads   any, for everything but construction and destruction
//   Cost      push: one compare-exchange on a slot. pop, pop_batch: one on the head for all that is
//             taken from one block. push_batch of more than `direct_max`: it fills blocks of its
//             own and hangs them in with one compare-exchange, whatever the number; about four in
//             all. A new block every items_per_block items: three more. Allocates only when it is
//             longer than ever before (stable_pool)
//   Progress  lock-free, but for the allocator: a thread descheduled anywhere stops nobody. Not
//             wait-free: who loses a compare-exchange looks again
//   Why not   the injector: on two cores its lock is faster. A push and a pop: 7.4 ns here, 5.5
//             there; 32 in a batch and out again: 91 ns, 38 there. This is for where a descheduled
//             holder of the lock would hurt more
//   Memory    512 bytes a block, 59 items in it if they come singly; goes back with the queue
//   Batches   of up to `direct_max` go singly: others' items may come between. So may, for the
//             items of one pop_batch over the end of a block, other poppers; each still gets them
//             in order
//
// Words. A place is `life | block's number | slot`: 34, 24 and 6 bits. A life is how often the
// block was used; number and life name it for good
//   head_     the place of the oldest item. Changed by poppers: by items claimed, or from a place
//             that holds a link to that block's slot 0
//   tail_     the last block (slot 0), or one before it, until somebody helps
//   slot      empty (the life, | 1): nothing yet. An item's address: never changed again in this
//             life. A link (a place | 2): the items go on in that block; this one is closed.
//             Changed by pushers, by compare-exchange from empty; the last slot takes only a link
//   filled    (in the block) a place: all slots before it in this life hold items. Only a hint
//   base      (in the block) how many items were pushed before its slot 0. Only for len_hint
// Invariants
//   I1  in a life, slots are filled in order: an empty one has only items before it and nothing
//       reachable behind it. So there is one first empty slot in the queue, and all pushes are
//       compare-exchanges of it
//   I2  tail_ names a block that is at the head or behind it: who moves the head off a block moves
//       the tail off it first. So a block that was given back is neither head nor tail
//   I3  a place is head_ once: lives do not come back
//   I4  a link leads to a block whose slot 0 holds an item
// Pairings
//   P1  slot compare-exchange, release (push, hang_in) -> slot load, acquire (pop, find_end): the
//       item; behind a link, the block's slots as prepared
//   P2  head_ compare-exchange, release (pop) -> head_ load, acquire (pop, empty): what the last
//       popper knew: the block's slots as prepared, that tail_ has left the blocks before (I2)
//   P3  tail_ compare-exchange, release (help_tail) -> tail_ load, acquire (find_end): the block's
//       slots as prepared
//   P4  filled store, release (push) -> filled load (find_end), then the seq_cst fence of P5: the
//       slots before it, so that P5 holds for a pusher who never looked at them
//   P5  as P2 of injector.hpp: push, seq_cst fence || seq_cst fence, empty(): one sees the other. A
//       pusher has seen all slots before its own filled, and every link on the way; a searcher
//       behind the fences sees the same, so wherever its head_ is, it finds something
// Why old looks do no harm
//   A pusher exchanges only `empty` of the very life that it read from tail_, so never in a block
//   that is free, or used anew. A popper's items are its own only if head_ did not change while it
//   read them (I3). 34 bits of life: a block used that many times during one step of a sleeping
//   thread, and the same place again. With 1 bit the model finds it.
// Rejected
//   fetch_add on the tail (LCRQ, crossbeam's Injector): poppers wait for a descheduled pusher, or
//     poison its slot, which makes two read-modify-writes of each push and pop
//   A batch as one element (its chain): a popper of fewer must split the chain, and would have to
//     look into items that it has not won, or keep the others waiting meanwhile
//   A count of the items for len_hint: another read-modify-write each
#pragma once

#include <cstddef>
#include <cstdint>

#include "weft/base/assert.hpp"
#include "weft/base/atomic.hpp"
#include "weft/base/cache_line.hpp"
#include "weft/queue/stable_pool.hpp"

namespace weft {

/// T has a member `next`, used only in chains; an item is in one queue at a time.
template <class T, unsigned Slots = 60, unsigned LifeBits = 34, unsigned FirstBits = 4>
class segment_queue {
  static_assert(Slots >= 2 && Slots <= 63 && LifeBits >= 1 && LifeBits <= 34);

 public:
  static constexpr unsigned items_per_block = Slots - 1;  // the last slot is for the link
  static constexpr unsigned direct_max = 4;               // a block of their own would cost more

  /// Items in order, linked by `next`, the last one's link null.
  struct chain {
    T* first = nullptr;
    unsigned count = 0;
  };

  segment_queue();
  ~segment_queue() {
    WEFT_ASSERT(empty(), "a segment_queue was destroyed with work in it; drain it first");
  }
  segment_queue(const segment_queue&) = delete;
  segment_queue& operator=(const segment_queue&) = delete;

  /// Errors: ends the program if it must grow and there is no memory.
  void push(T* item) noexcept;
  /// `first` to `last` are linked by `next`, `count` of them. The links are read here, not later.
  void push_batch(T* first, T* last, unsigned count) noexcept;

  /// The oldest item, or null.
  [[nodiscard]] T* pop() noexcept;
  /// Up to `max` of the oldest.
  [[nodiscard]] chain pop_batch(unsigned max) noexcept;

  /// How many items there were a moment ago; exact while nobody pushes or pops.
  std::size_t len_hint() const noexcept;
  /// See P5 for what it promises to a searcher.
  bool empty() const noexcept;

 private:
  using word = std::uint64_t;
  static constexpr unsigned slot_bits = 6;
  static constexpr unsigned id_bits = 24;
  static constexpr word slot_mask = (word{1} << slot_bits) - 1;
  static constexpr word life_mask = (word{1} << LifeBits) - 1;
  static constexpr word empty_kind = 1;
  static constexpr word link_kind = 2;
  static constexpr word kinds = 3;

  struct alignas(cache_line) block {
    atomic<word> slots[Slots];
    atomic<word> filled{0};
    atomic<word> base{0};
    plain<word> life{0};  // who took the block has it alone
    atomic<std::uint32_t> next_free{0};
  };
  struct end {
    block* where;
    word at;
    unsigned slot;
  };

  static std::uint32_t id_of(word place) noexcept {
    return static_cast<std::uint32_t>(place >> slot_bits) & ((1u << id_bits) - 1);
  }
  static unsigned slot_of(word place) noexcept { return static_cast<unsigned>(place & slot_mask); }
  static word block_of(word place) noexcept { return place & ~slot_mask; }
  static bool is_item(word w) noexcept { return (w & kinds) == 0; }
  static bool is_link(word w) noexcept { return (w & kinds) == link_kind; }
  static T* item_of(word w) noexcept { return reinterpret_cast<T*>(w); }
  static word word_of(T* item) noexcept { return reinterpret_cast<word>(item); }

  struct prepared {
    word first, last;
  };
  word take_block() noexcept;
  void close(word at, unsigned used) noexcept;
  prepared prepare(T* item, unsigned count) noexcept;
  end find_end() const noexcept;
  bool hang_in(const end& e, prepared blocks) noexcept;
  void help_tail(word at, word to) const noexcept;
  void leave_block(word& head, word link) noexcept;

  alignas(cache_line) atomic<word> head_;
  alignas(cache_line) mutable atomic<word> tail_;
  alignas(cache_line) mutable stable_pool<block, FirstBits, id_bits> blocks_;
};

// ---------------------------------------------------------------------------------------------

template <class T, unsigned Slots, unsigned LifeBits, unsigned FirstBits>
segment_queue<T, Slots, LifeBits, FirstBits>::segment_queue() {
  const word first = take_block();
  close(first, 0);
  head_.store(first, order::relaxed);
  tail_.store(first, order::relaxed);
}

// ---- pushing --------------------------------------------------------------------------------

/// Result: the place of a block that is the caller's alone, in a new life; its slots are to be set.
template <class T, unsigned Slots, unsigned LifeBits, unsigned FirstBits>
auto segment_queue<T, Slots, LifeBits, FirstBits>::take_block() noexcept -> word {
  const std::uint32_t id = blocks_.take();
  WEFT_ASSERT(id != 0, "no memory for a longer queue of jobs; fewer may wait at a time");
  block& b = blocks_[id];
  const word life = (b.life.get() + 1) & life_mask;
  b.life.set(life);
  return life << (id_bits + slot_bits) | word{id} << slot_bits;
}

/// The block's first `used` slots hold items; the others get empty.
template <class T, unsigned Slots, unsigned LifeBits, unsigned FirstBits>
void segment_queue<T, Slots, LifeBits, FirstBits>::close(word at, unsigned used) noexcept {
  block& b = blocks_[id_of(at)];
  for (unsigned i = used; i < Slots; ++i) b.slots[i].store(at | empty_kind, order::relaxed);
  b.filled.store(at | used, order::relaxed);
}

/// Blocks with `count` items, linked to each other, that nobody knows yet.
template <class T, unsigned Slots, unsigned LifeBits, unsigned FirstBits>
auto segment_queue<T, Slots, LifeBits, FirstBits>::prepare(T* item, unsigned count) noexcept
    -> prepared {
  const word first = take_block();
  word at = first;
  for (;;) {
    block& b = blocks_[id_of(at)];
    const unsigned here = count < items_per_block ? count : items_per_block;
    for (unsigned i = 0; i < here; ++i) {
      b.slots[i].store(word_of(item), order::relaxed);
      if (--count > 0) item = item->next;
    }
    close(at, here);
    if (count == 0) return {first, at};
    const word next = take_block();
    b.slots[here].store(next | link_kind, order::relaxed);
    at = next;
  }
}

/// Where the next item or link goes, if nobody is faster.
template <class T, unsigned Slots, unsigned LifeBits, unsigned FirstBits>
auto segment_queue<T, Slots, LifeBits, FirstBits>::find_end() const noexcept -> end {
  for (;;) {
    const word at = tail_.load(
        WEFT_MUTATE("segment_queue.end.tail_relaxed", order::acquire, order::relaxed));  // P3
    block& b = blocks_[id_of(at)];
    const word filled = b.filled.load(order::relaxed);  // P4
    // A store that came late may have left the place of another life.
    unsigned i = block_of(filled) == at ? slot_of(filled) : 0;
    for (; i < Slots; ++i) {
      const word w = b.slots[i].load(
          WEFT_MUTATE("segment_queue.end.slot_relaxed", order::acquire, order::relaxed));  // P1
      if (is_item(w)) continue;
      if (w == (at | empty_kind) ||
          (WEFT_MUTATE("segment_queue.end.any_life", false, true) && !is_link(w))) {
        return {&b, at, i};
      }
      if (is_link(w)) help_tail(at, w & ~kinds);
      break;  // or a life after ours: tail_ has moved on
    }
  }
}

/// Moves tail_ from block `at` to one behind it, unless somebody else has.
template <class T, unsigned Slots, unsigned LifeBits, unsigned FirstBits>
void segment_queue<T, Slots, LifeBits, FirstBits>::help_tail(word at, word to) const noexcept {
  tail_.compare_exchange(
      at, to, WEFT_MUTATE("segment_queue.help.relaxed", order::release, order::relaxed),  // P3
      order::relaxed);
}

/// Result: false if somebody else was faster; then the blocks are still the caller's.
template <class T, unsigned Slots, unsigned LifeBits, unsigned FirstBits>
bool segment_queue<T, Slots, LifeBits, FirstBits>::hang_in(const end& e, prepared blocks) noexcept {
  word expected = e.at | empty_kind;
  if (!e.where->slots[e.slot].compare_exchange(
          expected, blocks.first | link_kind,
          WEFT_MUTATE("segment_queue.hang.relaxed", order::release, order::relaxed),  // P1
          order::relaxed)) {
    return false;
  }
  help_tail(e.at, blocks.last);
  return true;
}

template <class T, unsigned Slots, unsigned LifeBits, unsigned FirstBits>
void segment_queue<T, Slots, LifeBits, FirstBits>::push(T* item) noexcept {
  for (;;) {
    const end e = find_end();
    if (WEFT_UNLIKELY(e.slot == items_per_block)) {
      push_batch(item, item, 1);
      return;
    }
    word expected = e.at | empty_kind;
    if (WEFT_MUTATE("segment_queue.end.any_life", false, true)) {
      expected = e.where->slots[e.slot].load(order::relaxed);
    }
    if (e.where->slots[e.slot].compare_exchange(
            expected, word_of(item),
            WEFT_MUTATE("segment_queue.push.relaxed", order::release, order::relaxed),  // P1
            order::relaxed)) {
      e.where->filled.store(
          e.at | (e.slot + 1),
          WEFT_MUTATE("segment_queue.push.filled_relaxed", order::release, order::relaxed));  // P4
      return;
    }
  }
}

template <class T, unsigned Slots, unsigned LifeBits, unsigned FirstBits>
void segment_queue<T, Slots, LifeBits, FirstBits>::push_batch(T* first, T* last,
                                                              unsigned count) noexcept {
  WEFT_CHECK_SLOW(count > 0, "an empty batch has no first item");
  end e = find_end();
  if (count <= direct_max && e.slot + count <= items_per_block) {
    for (T* item = first; count > 0; --count) {
      T* const next = item->next;  // a pushed item may be gone at once
      push(item);
      item = next;
    }
    return;
  }
  static_cast<void>(last);
  const prepared blocks = prepare(first, count);
  for (;; e = find_end()) {
    // Only for len_hint: what the blocks before them hold.
    const word before = e.where->base.load(order::relaxed) + e.slot;
    for (word at = blocks.first, base = before;; base += items_per_block) {
      block& b = blocks_[id_of(at)];
      b.base.store(base, order::relaxed);
      if (at == blocks.last) break;
      at = b.slots[items_per_block].load(order::relaxed) & ~kinds;
    }
    if (hang_in(e, blocks)) return;
  }
}

// ---- popping --------------------------------------------------------------------------------

/// The head's slot holds `link`. Moves the head to that block, unless somebody else has; then
/// `head` is where it is now.
template <class T, unsigned Slots, unsigned LifeBits, unsigned FirstBits>
void segment_queue<T, Slots, LifeBits, FirstBits>::leave_block(word& head, word link) noexcept {
  const word next = link & ~kinds;
  const word at = block_of(head);
  if (tail_.load(order::relaxed) == at &&
      !WEFT_MUTATE("segment_queue.pop.passes_tail", false, true)) {
    help_tail(at, next);  // I2
  }
  if (head_.compare_exchange(
          head, next,
          WEFT_MUTATE("segment_queue.leave.relaxed", order::release, order::relaxed),  // P2
          order::acquire)) {
    blocks_.give(id_of(at));
    head = next;
  }
}

template <class T, unsigned Slots, unsigned LifeBits, unsigned FirstBits>
T* segment_queue<T, Slots, LifeBits, FirstBits>::pop() noexcept {
  const order look = WEFT_MUTATE("segment_queue.pop.head_relaxed", order::acquire, order::relaxed);
  word head = head_.load(look);  // P2
  for (;;) {
    const word w = blocks_[id_of(head)].slots[slot_of(head)].load(
        WEFT_MUTATE("segment_queue.pop.slot_relaxed", order::acquire, order::relaxed));  // P1
    if (WEFT_LIKELY(is_item(w))) {
      // Release goes without a mutant: it keeps the load of the slot from reading what is written
      // there after the block was given back, which the checker never does (its gap G1).
      if (head_.compare_exchange(head, head + 1, order::release, look)) {
        item_of(w)->next = nullptr;
        return item_of(w);
      }
    } else if (is_link(w)) {
      leave_block(head, w);
    } else if (w == (block_of(head) | empty_kind)) {
      return nullptr;
    } else {
      head = head_.load(look);  // the slot is of a life after ours
    }
  }
}

template <class T, unsigned Slots, unsigned LifeBits, unsigned FirstBits>
auto segment_queue<T, Slots, LifeBits, FirstBits>::pop_batch(unsigned max) noexcept -> chain {
  chain result;
  if (max == 0) return result;
  T* last = nullptr;
  word head = head_.load(order::acquire);  // P2
  for (;;) {
    block& b = blocks_[id_of(head)];
    const unsigned begin = slot_of(head);
    const unsigned wanted = max - result.count;
    word got[items_per_block];
    unsigned n = 0;
    word w;
    // The items as addresses only: they are somebody else's until the exchange says otherwise.
    for (;;) {
      w = b.slots[begin + n].load(
          WEFT_MUTATE("segment_queue.pop.slot_relaxed", order::acquire, order::relaxed));  // P1
      if (!is_item(w) || begin + n == items_per_block) break;
      got[n++] = w;
      if (n == wanted) break;
    }
    if (n > 0) {
      if (!head_.compare_exchange(head, head + n, order::release, order::acquire)) continue;
      head += n;
      for (unsigned i = 0; i < n; ++i) {
        T* const item = item_of(got[i]);
        if (last) {
          last->next = item;
        } else {
          result.first = item;
        }
        last = item;
      }
      result.count += n;
      if (result.count == max) break;
    } else if (is_link(w)) {
      leave_block(head, w);
    } else if (w == (block_of(head) | empty_kind)) {
      break;
    } else {
      head = head_.load(order::acquire);  // the slot is of a life after ours
    }
  }
  if (last) last->next = nullptr;
  return result;
}

// ---- looking --------------------------------------------------------------------------------

template <class T, unsigned Slots, unsigned LifeBits, unsigned FirstBits>
bool segment_queue<T, Slots, LifeBits, FirstBits>::empty() const noexcept {
  for (;;) {
    const word head = head_.load(order::acquire);                                   // P2
    const word w = blocks_[id_of(head)].slots[slot_of(head)].load(order::acquire);  // P5
    if (is_item(w) || is_link(w)) return false;                                     // I4
    if (w == (block_of(head) | empty_kind)) return true;
  }
}

template <class T, unsigned Slots, unsigned LifeBits, unsigned FirstBits>
std::size_t segment_queue<T, Slots, LifeBits, FirstBits>::len_hint() const noexcept {
  const word head = head_.load(order::acquire);
  const end e = find_end();
  const word n = e.where->base.load(order::relaxed) + e.slot -
                 (blocks_[id_of(head)].base.load(order::relaxed) + slot_of(head));
  // No snapshot: with blocks used anew in between it is nonsense, and then "some" does no harm.
  return n <= (word{1} << 40) ? static_cast<std::size_t>(n) : 1;
}

}  // namespace weft
