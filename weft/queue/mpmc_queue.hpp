// mpmc_queue: a bounded ring of values that any number of threads fill and empty.
//
//   Fairness  first in, first out, in the order in which places were claimed
//   Threads   any, for everything but construction and destruction
//   Cost      push and pop: one compare-exchange each, in threads that do not collide. Never
//             allocates after its construction
//   Progress  not lock-free: a thread that is descheduled between its claim of a place and the
//             publication of that place stops nobody at other places, but who comes to this one
//             is turned away: poppers find "nothing there yet", pushers, a whole turn later, "no
//             room". Nobody ever waits inside
//   After     Dmitry Vyukov's bounded MPMC queue (a sequence number in each slot)
//
// Words
//   tail_      the next place to be filled; head_ the next to be emptied. Each changes only by the
//              compare-exchange that claims the place. They count up modulo 2^IndexBits
//   sequence   of the slot for place p: p while it is free for p, p + 1 while it holds p's value,
//              p + capacity once it is free for the next turn. Written by whoever claimed p
// Invariants
//   I1  head_ <= tail_ <= head_ + capacity (in that modular order)
//   I2  between the claim of place p by a compare-exchange and the store to its slot's sequence,
//       the slot's value is the claimer's alone
// Pairings
//   P1  sequence store, release (try_push) -> sequence load, acquire (try_pop): the value
//   P2  sequence store, release (try_pop) -> sequence load, acquire (try_push): the empty slot
// Why a claim is right
//   A pusher claims p only if it saw the slot's sequence at p, and p still is the tail. Nobody
//   fills place p, or frees it for a later turn, without that same claim. Only a thread that slept
//   between the two for a whole turn of the index could be fooled: with 64 bits that is never; with
//   3 bits the model finds it.
// What a searcher may build on
//   Of a pusher that fences (seq_cst) after try_push and a popper that fences before try_pop one
//   sees the other, as with the injector. A popper may be turned away because of an earlier pusher
//   in the middle of its push; that one fences later, and looks.
// Rejected
//   fetch_add for claims: who claims a place that is not ready must wait there for somebody
//   A flag instead of the sequence: a pusher and a popper a turn apart could not be told from each
//     other
//   A slot in a cache line of its own: twice as fast with many cores at one queue, at 4 to 8 times
//     the memory
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "weft/base/assert.hpp"
#include "weft/base/atomic.hpp"
#include "weft/base/cache_line.hpp"
#include "weft/queue/value_cell.hpp"

namespace weft {

template <queue_value T, class Index = std::uint64_t, unsigned IndexBits = 8 * sizeof(Index)>
class mpmc_queue {
  static_assert(IndexBits >= 2 && IndexBits <= 8 * sizeof(Index));

 public:
  /// Units: values. A power of two, at least 2: with one slot, "full for p" and "free for p + 1"
  /// would be the same number.
  explicit mpmc_queue(std::size_t capacity);
  ~mpmc_queue();
  mpmc_queue(const mpmc_queue&) = delete;
  mpmc_queue& operator=(const mpmc_queue&) = delete;

  /// Result: false, and `value` is as it was, if there is no room.
  [[nodiscard]] bool try_push(T&& value) noexcept;
  /// Result: false, and `out` is as it was, if there is nothing.
  [[nodiscard]] bool try_pop(T& out) noexcept;

  std::size_t capacity() const noexcept { return static_cast<std::size_t>(mask_) + 1; }
  /// A moment's truth, claimed places included.
  std::size_t len_hint() const noexcept;
  bool empty_hint() const noexcept { return len_hint() == 0; }

 private:
  static constexpr Index index_mask =
      static_cast<Index>(static_cast<Index>(~Index{0}) >> (8 * sizeof(Index) - IndexBits));

  struct slot {
    atomic<Index> sequence;
    value_cell<T> cell;
  };
  static Index plus(Index i, std::uint64_t n) noexcept {
    return static_cast<Index>((i + n) & index_mask);
  }
  /// Half of all distances are backwards.
  static bool is_behind(Index sequence, Index place) noexcept {
    return ((sequence - place) & index_mask) > (index_mask >> 1);
  }
  struct claimed {
    slot* where;  // null: turned away
    Index place;
  };
  claimed claim(atomic<Index>& end, Index ready_offset, order ready) noexcept;
  slot& at(Index place) noexcept { return slots_[place & mask_]; }

  const Index mask_;
  const std::unique_ptr<slot[]> slots_;
  alignas(cache_line) atomic<Index> tail_{0};
  alignas(cache_line) atomic<Index> head_{0};
};

// ---------------------------------------------------------------------------------------------

template <queue_value T, class Index, unsigned IndexBits>
mpmc_queue<T, Index, IndexBits>::mpmc_queue(std::size_t capacity)
    : mask_(static_cast<Index>(capacity - 1)), slots_(new slot[capacity]) {
  WEFT_ASSERT(capacity >= 2 && (capacity & (capacity - 1)) == 0,
              "the capacity of an mpmc_queue is a power of two, at least 2");
  WEFT_ASSERT(capacity - 1 <= index_mask / 4, "the index cannot tell full from empty");
  for (std::size_t i = 0; i < capacity; ++i) {
    slots_[i].sequence.store(static_cast<Index>(i), order::relaxed);
  }
}

template <queue_value T, class Index, unsigned IndexBits>
mpmc_queue<T, Index, IndexBits>::~mpmc_queue() {
  const Index tail = tail_.load(order::relaxed);
  for (Index p = head_.load(order::relaxed); p != tail; p = plus(p, 1)) at(p).cell.drop();
}

/// The place at `end`, now the caller's, if its slot's sequence has come to place + ready_offset.
template <queue_value T, class Index, unsigned IndexBits>
WEFT_ALWAYS_INLINE auto mpmc_queue<T, Index, IndexBits>::claim(atomic<Index>& end,
                                                               Index ready_offset,
                                                               order ready) noexcept -> claimed {
  Index seen = end.load(order::relaxed);
  for (;;) {
    // A copy that the exchange does not write: what follows need not wait for it (4 ns with GCC).
    const Index place = seen;
    slot& s = at(place);
    const Index sequence = s.sequence.load(ready);
    const Index wanted = plus(place, ready_offset);
    if (sequence == wanted) {
      if (end.compare_exchange_weak(seen, plus(place, 1), order::relaxed, order::relaxed)) {
        return {&s, place};
      }
    } else if (is_behind(sequence, wanted)) {
      return {nullptr, place};
    } else {
      seen = end.load(order::relaxed);  // others have claimed this place meanwhile
    }
  }
}

template <queue_value T, class Index, unsigned IndexBits>
bool mpmc_queue<T, Index, IndexBits>::try_push(T&& value) noexcept {
  const claimed c = claim(
      tail_, 0, WEFT_MUTATE("mpmc_queue.push.look_relaxed", order::acquire, order::relaxed));  // P2
  if (!c.where) return false;
  c.where->cell.fill(static_cast<T&&>(value));
  c.where->sequence.store(plus(c.place, 1), WEFT_MUTATE("mpmc_queue.push.publish_relaxed",
                                                        order::release, order::relaxed));  // P1
  return true;
}

template <queue_value T, class Index, unsigned IndexBits>
bool mpmc_queue<T, Index, IndexBits>::try_pop(T& out) noexcept {
  const claimed c = claim(
      head_, 1, WEFT_MUTATE("mpmc_queue.pop.look_relaxed", order::acquire, order::relaxed));  // P1
  if (!c.where) return false;
  c.where->cell.empty_into(out);
  const std::uint64_t turn = WEFT_MUTATE("mpmc_queue.pop.frees_for_the_same_turn", capacity(), 0u);
  c.where->sequence.store(plus(c.place, turn), WEFT_MUTATE("mpmc_queue.pop.free_relaxed",
                                                           order::release, order::relaxed));  // P2
  return true;
}

template <queue_value T, class Index, unsigned IndexBits>
std::size_t mpmc_queue<T, Index, IndexBits>::len_hint() const noexcept {
  const Index head = head_.load(order::relaxed);
  const std::size_t n = static_cast<std::size_t>((tail_.load(order::relaxed) - head) & index_mask);
  // No snapshot: what was pushed and popped between the two loads may make it more than there is
  // room for.
  return n <= capacity() ? n : capacity();
}

}  // namespace weft
