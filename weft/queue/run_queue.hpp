// run_queue: the bounded ring of ready work that one worker owns and the others steal from.
//
//   Fairness  first in, first out for the owner; a thief takes the oldest half
//   Threads   push_back, pop: the owner. steal_into: anyone, into a queue of its own.
//             The hints: anyone
//   Cost      push_back: two loads and a release store. pop: one compare-exchange, on a line that
//             is shared only while somebody steals. Never allocates
//   After     tokio's runtime/scheduler/multi_thread/queue.rs (the two packed heads); the orderings
//             are our own and weaker, each proved necessary by a mutant in run_queue_model.cpp
//
// Words
//   head_   64 bits: `steal` above, `real` below. Slots in [real, tail) are there to be taken.
//           Slots in [steal, real) were taken by a thief that is still copying them. Without a
//           thief the two are equal. Written by the owner's pop and overflow, and by thieves,
//           always by compare-exchange
//   tail_   the next free slot. Written by the owner alone
//   Both count up for ever modulo 2^IndexBits; a slot is its count modulo Capacity.
// Invariants
//   I1  steal <= real <= tail <= steal + Capacity (in that modular order)
//   I2  steal != real exactly while one thief copies; a second thief then leaves with nothing
//   I3  a slot is written only outside of [steal, tail), and only by the owner
// Pairings
//   P1  tail_ store, release (push_back, steal_into's publication) -> tail_ load, acquire
//       (steal_into): the slots up to the tail, and what the items hold
//   P2  head_ compare-exchange, release (steal_into has copied) -> head_ load, acquire (push_back,
//       steal_into on its own queue): the slots may be written again
//   P3  head_ compare-exchange, release (pop, overflow) -> head_ load, acquire (steal_into): the
//       tail that is read next is not behind the head, so its distance makes sense. A thief's own
//       exchange continues the release sequence of the owner's
// Why nothing is lost or had twice
//   An item leaves by exactly one successful exchange of head_, whose range [old real, new real) no
//   other exchange can repeat, since counts do not come back: a thief that slept between its loads
//   and its exchange would have to sleep through 2^IndexBits pushes. With 32 bits that is four
//   thousand million; with 3 bits the model finds it.
// Rejected
//   One head and a copy before the exchange: the owner may overwrite what is being copied
//   A lock for thieves: a descheduled thief would stop the others (here they only go elsewhere)
//   Overflow item by item: one lock of the injector each, and the same again a moment later
#pragma once

#include <cstdint>

#include "weft/base/assert.hpp"
#include "weft/base/atomic.hpp"
#include "weft/base/cache_line.hpp"

namespace weft {

/// Where a full queue puts half of its items: `first` to `last` are linked by their `next`.
template <class S, class T>
concept overflow_sink =
    requires(S& sink, T* item, unsigned count) { sink.push_batch(item, item, count); };

/// T has a member `next`, used only in the chain that goes to the sink.
template <class T, unsigned Capacity = 256, class Index = std::uint32_t,
          unsigned IndexBits = 8 * sizeof(Index)>
class run_queue {
  static_assert((Capacity & (Capacity - 1)) == 0 && Capacity >= 2, "a power of two");
  static_assert(IndexBits <= 8 * sizeof(Index) && sizeof(Index) <= 4);
  static_assert(Capacity <= (std::uint64_t{1} << (IndexBits - 1)),
                "the index cannot tell full from empty");

 public:
  static constexpr unsigned capacity = Capacity;

  run_queue() noexcept = default;
  ~run_queue() {
    WEFT_ASSERT(empty_hint(), "a run queue was destroyed with work in it; drain it first");
  }
  run_queue(const run_queue&) = delete;
  run_queue& operator=(const run_queue&) = delete;

  /// Owner. The item is last in line; thieves may have it at once. If the ring is full, the older
  /// half and the item go to `sink` as one batch.
  template <overflow_sink<T> Sink>
  WEFT_ALWAYS_INLINE void push_back(T* item, Sink& sink) noexcept {
    if (WEFT_LIKELY(push_if_room(item))) return;
    push_over(item, sink);
  }

  /// Owner. As push_back() of items that are linked by `next`, `first` and the rest of its chain, but
  /// published at once; takes as many as there is room for. Result: what is left of the chain.
  [[nodiscard]] T* push_chain(T* first) noexcept;

  /// Owner. The oldest item, or null.
  [[nodiscard]] T* pop() noexcept;

  /// The owner of `mine` takes the older half of this queue: all but one go into `mine`, and that
  /// one (the newest of them) is the result. Null: nothing here, another thief is at it, or `mine`
  /// is more than half full.
  [[nodiscard]] T* steal_into(run_queue& mine) noexcept;

  /// Exact for the owner as far as nobody steals; a moment's truth for others. A thread that passed
  /// a seq_cst fence sees each item whose pusher passed one before, until it is taken.
  unsigned len_hint() const noexcept;
  bool empty_hint() const noexcept { return len_hint() == 0; }

 private:
  static constexpr std::uint32_t index_mask =
      IndexBits == 32 ? 0xffffffffu : (std::uint32_t{1} << (IndexBits % 32)) - 1;

  struct heads {
    std::uint32_t steal;
    std::uint32_t real;
  };
  static std::uint64_t pack(heads h) noexcept {
    return static_cast<std::uint64_t>(h.steal) << 32 | h.real;
  }
  static heads unpack(std::uint64_t word) noexcept {
    return {static_cast<std::uint32_t>(word >> 32), static_cast<std::uint32_t>(word)};
  }
  static std::uint32_t plus(std::uint32_t i, std::uint32_t n) noexcept {
    return (i + n) & index_mask;
  }
  static std::uint32_t distance(std::uint32_t from, std::uint32_t to) noexcept {
    return (to - from) & index_mask;
  }
  plain<T*>& slot(std::uint32_t i) noexcept { return slots_[i % Capacity]; }

  bool push_if_room(T* item) noexcept;
  template <overflow_sink<T> Sink>
  WEFT_NOINLINE void push_over(T* item, Sink& sink) noexcept;
  template <class Sink>
  bool overflow(T* item, std::uint32_t head, std::uint32_t tail, Sink& sink) noexcept;
  unsigned claim_and_copy(run_queue& mine, std::uint32_t my_tail) noexcept;

  alignas(cache_line) atomic<std::uint64_t> head_{0};
  alignas(cache_line) atomic<Index> tail_{0};
  plain<T*> slots_[Capacity];
};

// ---------------------------------------------------------------------------------------------

template <class T, unsigned Capacity, class Index, unsigned IndexBits>
WEFT_ALWAYS_INLINE bool run_queue<T, Capacity, Index, IndexBits>::push_if_room(T* item) noexcept {
  const heads head = unpack(head_.load(
      WEFT_MUTATE("run_queue.push.head_relaxed", order::acquire, order::relaxed)));  // P2
  const std::uint32_t tail = tail_.load(order::relaxed);
  if (distance(head.steal, tail) >=
      WEFT_MUTATE("run_queue.push.full_by_one", Capacity, Capacity + 1)) {
    return false;
  }
  slot(tail).set(item);
  tail_.store(static_cast<Index>(plus(tail, 1)),
              WEFT_MUTATE("run_queue.push.tail_relaxed", order::release, order::relaxed));  // P1
  return true;
}

template <class T, unsigned Capacity, class Index, unsigned IndexBits>
template <overflow_sink<T> Sink>
void run_queue<T, Capacity, Index, IndexBits>::push_over(T* item, Sink& sink) noexcept {
  while (!push_if_room(item)) {
    const heads head = unpack(head_.load(order::relaxed));
    const std::uint32_t tail = tail_.load(order::relaxed);
    if (distance(head.steal, tail) < Capacity) continue;  // a thief has made room
    if (head.steal != head.real) {
      // A thief is about to make room; waiting for it could take as long as it is descheduled.
      sink.push_batch(item, item, 1);
      return;
    }
    if (overflow(item, head.real, tail, sink)) return;
  }
}

template <class T, unsigned Capacity, class Index, unsigned IndexBits>
template <class Sink>
bool run_queue<T, Capacity, Index, IndexBits>::overflow(T* item, std::uint32_t head,
                                                        std::uint32_t tail, Sink& sink) noexcept {
  constexpr unsigned moved = Capacity / 2;
  WEFT_ASSERT(distance(head, tail) == Capacity, "a run queue overflows only when it is full");
  std::uint64_t expected = pack({head, head});
  const std::uint32_t after = plus(head, moved);
  if (!head_.compare_exchange(
          expected, pack({after, after}),
          WEFT_MUTATE("run_queue.overflow.relaxed", order::release, order::relaxed),  // P3
          order::relaxed)) {
    return false;  // a thief came first: there may be room now
  }
  // The slots were the owner's to write and are nobody's to take any more: no ordering is needed.
  T* first = slot(head).get();
  T* last = first;
  for (unsigned i = 1; i < moved; ++i) {
    T* next = slot(plus(head, i)).get();
    last->next = next;
    last = next;
  }
  last->next = item;
  sink.push_batch(first, item, moved + 1);
  return true;
}

template <class T, unsigned Capacity, class Index, unsigned IndexBits>
T* run_queue<T, Capacity, Index, IndexBits>::push_chain(T* first) noexcept {
  const heads head = unpack(head_.load(order::acquire));  // P2
  std::uint32_t tail = tail_.load(order::relaxed);
  for (std::uint32_t room = Capacity - distance(head.steal, tail); room != 0 && first != nullptr;
       --room) {
    T* const item = first;
    first = item->next;
    slot(tail).set(item);
    tail = plus(tail, 1);
  }
  tail_.store(static_cast<Index>(tail),
              WEFT_MUTATE("run_queue.chain.relaxed", order::release, order::relaxed));  // P1
  return first;
}

template <class T, unsigned Capacity, class Index, unsigned IndexBits>
T* run_queue<T, Capacity, Index, IndexBits>::pop() noexcept {
  std::uint64_t word = head_.load(order::relaxed);
  const std::uint32_t tail = tail_.load(order::relaxed);
  for (;;) {
    const heads head = unpack(word);
    if (head.real == tail) return nullptr;
    const std::uint32_t after = plus(head.real, 1);
    // With a thief at work only `real` moves: its slots stay reserved until it has copied (I2).
    const bool thief = head.steal != head.real;
    const heads next{
        thief && !WEFT_MUTATE("run_queue.pop.frees_thief", false, true) ? head.steal : after,
        after};
    if (head_.compare_exchange(
            word, pack(next),
            WEFT_MUTATE("run_queue.pop.relaxed", order::release, order::relaxed),  // P3
            order::relaxed)) {
      return slot(head.real).get();
    }
  }
}

template <class T, unsigned Capacity, class Index, unsigned IndexBits>
T* run_queue<T, Capacity, Index, IndexBits>::steal_into(run_queue& mine) noexcept {
  WEFT_ASSERT(this != &mine, "a worker does not steal from itself");
  const std::uint32_t my_tail = mine.tail_.load(order::relaxed);
  const heads my_head = unpack(mine.head_.load(
      WEFT_MUTATE("run_queue.steal.own_head_relaxed", order::acquire, order::relaxed)));  // P2
  if (distance(my_head.steal, my_tail) > Capacity / 2) return nullptr;  // no room for half a queue
  const unsigned n = claim_and_copy(mine, my_tail);
  if (n == 0) return nullptr;
  T* result = mine.slot(plus(my_tail, n - 1)).get();
  if (n > 1) {
    mine.tail_.store(
        static_cast<Index>(plus(my_tail, n - 1)),
        WEFT_MUTATE("run_queue.steal.publish_relaxed", order::release, order::relaxed));  // P1
  }
  return result;
}

template <class T, unsigned Capacity, class Index, unsigned IndexBits>
unsigned run_queue<T, Capacity, Index, IndexBits>::claim_and_copy(run_queue& mine,
                                                                  std::uint32_t my_tail) noexcept {
  const order look = WEFT_MUTATE("run_queue.steal.head_relaxed", order::acquire, order::relaxed);
  std::uint64_t word = head_.load(look);  // P3
  heads head;
  std::uint32_t n;
  for (;;) {
    head = unpack(word);
    if (head.steal != head.real && !WEFT_MUTATE("run_queue.steal.two_thieves", false, true))
      return 0;
    const std::uint32_t tail = tail_.load(
        WEFT_MUTATE("run_queue.steal.tail_relaxed", order::acquire, order::relaxed));  // P1
    const std::uint32_t there = distance(head.real, tail);
    n = there - there / 2;
    if (n == 0) return 0;
    // No release: the slots came with the tail, and a later reader of head_ still gets the owner's,
    // whose sequence this exchange continues. Acquire is for the failure, which looks again.
    if (head_.compare_exchange(word, pack({head.steal, plus(head.real, n)}), look, look))
      break;  // P3
  }
  WEFT_ASSERT(n <= Capacity / 2, "a thief saw more items than a run queue holds");
  for (std::uint32_t i = 0; i < n; ++i) {
    mine.slot(plus(my_tail, i)).set(slot(plus(head.real, i)).get());
  }
  word = pack({head.steal, plus(head.real, n)});
  for (;;) {
    const std::uint32_t real = unpack(word).real;  // the owner may have popped meanwhile
    if (head_.compare_exchange(
            word, pack({real, real}),
            WEFT_MUTATE("run_queue.steal.done_relaxed", order::release, order::relaxed),  // P2
            order::relaxed)) {
      return n;
    }
  }
}

template <class T, unsigned Capacity, class Index, unsigned IndexBits>
unsigned run_queue<T, Capacity, Index, IndexBits>::len_hint() const noexcept {
  const std::uint32_t real = unpack(head_.load(order::relaxed)).real;
  const std::uint32_t n = distance(real, tail_.load(order::relaxed));
  // The two loads are no snapshot: whoever pushed and popped in between makes the difference
  // nonsense, and then "some" is the answer that does no harm.
  return n <= Capacity ? n : 1;
}

}  // namespace weft
