// work_deque: the forked children of one worker, newest first for it, oldest first for thieves.
//
//   Fairness  last in, first out for the owner; a thief takes the oldest, or up to half of all
//   Threads   push, push_batch, pop, pop_if: the owner (a role that may move from thread to thread
//             with a release and an acquire of its own). steal, steal_batch, the hints: anyone
//   Cost      push: a release store. pop: a release store and a load, also for the last item; a
//             compare-exchange only against a thief that is at this very item. A thief pays two
//             compare-exchanges and, between them, the heavy fence. Where membarrier is refused, pop
//             pays an exchange instead of its store
//   Memory    grows to twice the size when full, never shrinks; outgrown buffers stay until the end
//             (together less than the one in use), so that no thief reads freed memory. If there is
//             none left the process ends with a message: the slot that is missing has 8 bytes, its
//             item had more a moment ago, and a push that may fail would burden each fork
//   After     Chase and Lev (SPAA 2005) for the indices, Frigo's THE (PLDI 1998) for a thief that
//             announces before it looks, so that the owner needs no exchange for the last item
//
// Words (a count is one of items, in the bits above ClaimBits; a slot is its count modulo capacity)
//   top_     `end` | firm | number
//            number = 0   items from `end` on are there to be taken
//            number > 0   one thief has claimed [start, end), start = end - number. Not firm: it is
//                         making sure; the owner may take from the claim's young end. Firm: they are
//                         the thief's, which is copying them out of the slots
//            0 -> claimed -> firm -> 0 (end stays), or claimed -> 0 (back to start), by thieves;
//            claimed -> a smaller claim, or -> 0 one after start, by the owner
//   bottom_  the count behind the youngest item. Written by the owner. While it pops, one less
//   buffer_  the slots. Written by the owner
// Invariants
//   I1  start <= bottom <= start + capacity, but for a pop's one less
//   I2  while a thief has a claim no other thief changes top_, and only the owner can move start, by
//       one, which ends the claim. So the claim is this thief's as long as its start stands there
//   I3  the items in [start, bottom) are each at their count in every buffer of which a thief can
//       know; a slot is written by the owner alone, outside of [start, bottom)
//   I4  a thief reads slots only in its own firm claim
// Pairings
//   P1  bottom_ store, release (push, pop) -> bottom_ load, acquire (steal): the slots below it, what
//       the items hold, and a buffer_ no older than they
//   P2  top_ store, release (steal has copied) -> top_ load, acquire (push without room, pop's slow
//       part, the next thief's claim, which passes it on): the slots may be written again
//   P3  buffer_ store, release (grow) -> buffer_ load, acquire (steal): the copied slots
// Why nothing is lost or had twice
//   A Dekker pair. Owner: bottom_ = b, light fence, look at top_. Thief: claim top_, heavy fence, look
//   at bottom_. Either the owner's look sees the claim or something later, or the thief's look sees
//   this bottom_ or a later one. So, for the item at b:
//     the owner sees end <= b            any claim that it misses will see bottom_ = b and stay below
//                                        it, unless b was pushed anew, and then it is another item
//     it sees a claim with start < b     the owner cuts it to [start, b) by exchange
//     it sees a claim with start = b     the owner moves start on by exchange: the thief has lost
//     it sees a firm claim above b       the item is gone
//   and the thief makes firm what is left of its claim below the bottom_ that it saw, in one exchange
//   with the owner's cut. That holds for n items as for one, so a batch needs no second fence.
//   A stale firm exchange would need the same start again: 2^(bits - ClaimBits) items stolen while
//   one thief sleeps. With 56 bits that is 7 * 10^16; with 3 bits the model finds it.
// Progress  the owner never waits: it wins against every claim that is not firm. Thieves are not
//   lock-free among each other: while one is at it (microseconds of membarrier), the others get
//   nothing here. No wake is lost by that: its claim fails only if the owner took all there was.
// Rejected
//   Chase-Lev as it is: a compare-exchange for the last item, which a fork without older ones always
//   is; each of several thieves pays a heavy fence and all but one for nothing; no proof for a batch
//   Claims that several thieves may share: a claim given back and made again is the same word (ABA)
#pragma once

#include <cstddef>
#include <cstdint>
#include <new>
#include <span>
#include <type_traits>

#include "weft/base/assert.hpp"
#include "weft/base/atomic.hpp"
#include "weft/base/cache_line.hpp"

namespace weft {

template <class T, class Index = std::uint64_t, unsigned ClaimBits = 8>
class work_deque {
  static_assert(std::is_unsigned_v<Index> && ClaimBits >= 2 && ClaimBits <= 8 * sizeof(Index) - 2);

 public:
  /// What one steal_batch takes at most.
  static constexpr unsigned batch_max = (1u << (ClaimBits - 1)) - 1;

  /// `asymmetric`: a thief's heavy fence works (os::register_heavy_fence), so pop needs no fence.
  /// `capacity`: of the first buffer, a power of two. Throws std::bad_alloc.
  explicit work_deque(bool asymmetric, unsigned capacity = 256) : asymmetric_(asymmetric) {
    buffer* const first = buffer::make(capacity, nullptr);
    if (first == nullptr) throw std::bad_alloc();
    adopt(first);
    know_start(0);
  }
  ~work_deque() {
    WEFT_ASSERT(empty_hint(), "a work deque was destroyed with work in it; drain it first");
    for (buffer* b = buffer_.load(order::relaxed); b != nullptr;) {
      buffer* const older = b->older;
      buffer::free(b);
      b = older;
    }
  }
  work_deque(const work_deque&) = delete;
  work_deque& operator=(const work_deque&) = delete;

  /// Owner. The item is the youngest; thieves may have it at once.
  void push(T* item) noexcept {
    const Index b = bottom_.load(order::relaxed);
    if (WEFT_UNLIKELY(b == limit_.get())) return push_into_new_room(item);
    slot(b).set(item);
    bottom_.store(plus(b, 1), WEFT_MUTATE("work_deque.push.bottom_relaxed", order::release,
                                          order::relaxed));  // P1
  }
  /// Owner. As push of each in turn, but thieves see all of them or none.
  void push_batch(std::span<T* const> items) noexcept;

  /// Owner. The youngest item, or null.
  [[nodiscard]] T* pop() noexcept {
    const Index bottom = bottom_.load(order::relaxed);
    if (bottom == known_start_.get()) return nullptr;  // there is nothing, and no word was touched
    const Index b = plus(bottom, -1);
    T* const item = slot(b).get();
    if (WEFT_LIKELY(take_back(b))) return item;
    return settle(b) ? item : nullptr;
  }
  /// Owner. Whether `expected` was the youngest item; then it has been popped, else nothing changed.
  [[nodiscard]] bool pop_if(T* expected) noexcept {
    const Index b = plus(bottom_.load(order::relaxed), -1);
    // A stale slot (the deque is empty) may hold the same pointer: what follows finds that out.
    if (slot(b).get() != expected) return false;
    if (WEFT_LIKELY(take_back(b))) return true;
    return settle(b);
  }

  /// Anyone. The oldest item; null: there is nothing, or another thief is at it.
  /// `heavy` is os::heavy_fence; it is called only if there seems to be something and the deque is
  /// asymmetric.
  template <class HeavyFence>
  [[nodiscard]] T* steal(HeavyFence&& heavy) noexcept {
    T* item;
    return steal_batch(heavy, &item, 1) == 1 ? item : nullptr;
  }
  /// Anyone. As steal, but up to half of the items (rounded up), at most `max` and batch_max, with
  /// one heavy fence. Result: how many; out[0] is the oldest.
  template <class HeavyFence>
  [[nodiscard]] unsigned steal_batch(HeavyFence&& heavy, T** out, unsigned max) noexcept;

  /// Exact for the owner as far as nobody steals; a moment's truth for others. A thread that passed
  /// a seq_cst fence sees each item whose pusher passed one before, until somebody takes it: also
  /// an item that a thief has claimed and may yet give back.
  std::size_t len_hint() const noexcept {
    const Index top = top_.load(order::relaxed);
    const Index from = (top & firm_bit) != 0 ? end_of(top) : start_of(top);
    const auto n = distance(from, bottom_.load(order::relaxed));
    return n > 0 ? static_cast<std::size_t>(n) : 0;
  }
  bool empty_hint() const noexcept { return len_hint() == 0; }

 private:
  using difference = std::make_signed_t<Index>;
  static constexpr Index one = static_cast<Index>(Index{1} << ClaimBits);
  static constexpr Index low_bits = static_cast<Index>(one - 1);
  static constexpr Index firm_bit = static_cast<Index>(one >> 1);
  static constexpr Index number_bits = static_cast<Index>(firm_bit - 1);
  // Of items that the differences of counts can tell apart, with a pop's one less.
  static constexpr std::uint64_t capacity_max = std::uint64_t{1}
                                                << (8 * sizeof(Index) - ClaimBits - 2);

  static Index plus(Index i, difference n) noexcept {
    return static_cast<Index>(i + static_cast<Index>(n) * one);
  }
  static difference distance(Index from, Index to) noexcept {
    return static_cast<difference>(static_cast<difference>(to - from) >> ClaimBits);
  }
  static Index end_of(Index top) noexcept { return static_cast<Index>(top & ~low_bits); }
  static unsigned number_of(Index top) noexcept { return static_cast<unsigned>(top & number_bits); }
  static Index start_of(Index top) noexcept {
    return plus(end_of(top), static_cast<difference>(-static_cast<int>(number_of(top))));
  }
  /// Whether end <= b, whatever the low bits of `top`.
  static bool ends_before(Index top, Index b) noexcept {
    return static_cast<difference>(top - b) <= static_cast<difference>(low_bits);
  }

  struct alignas(cache_line) buffer {
    std::uint64_t capacity;
    buffer* older;

    /// nullptr: there is no memory.
    static buffer* make(std::uint64_t capacity, buffer* older) noexcept;
    static void free(buffer* b) noexcept;
    plain<T*>* slots() noexcept { return reinterpret_cast<plain<T*>*>(this + 1); }
    plain<T*>& at(Index i) noexcept { return slots()[(i >> ClaimBits) & (capacity - 1)]; }
  };

  plain<T*>& slot(Index i) noexcept { return slots_.get()[(i >> ClaimBits) & mask_.get()]; }
  void adopt(buffer* b) noexcept {
    slots_.set(b->slots());
    mask_.set(b->capacity - 1);
    buffer_.store(
        b, WEFT_MUTATE("work_deque.grow.publish_relaxed", order::release, order::relaxed));  // P3
  }
  void know_start(Index start) noexcept {
    known_start_.set(start);
    limit_.set(static_cast<Index>(start + static_cast<Index>((mask_.get() + 1) << ClaimBits)));
  }
  bool take_back(Index b) noexcept;
  WEFT_NOINLINE bool settle(Index b) noexcept;
  WEFT_NOINLINE void push_into_new_room(T* item) noexcept;
  WEFT_NOINLINE void make_room(std::size_t n) noexcept;
  void grow(Index start, Index bottom, std::size_t n) noexcept;
  static void compiler_fence() noexcept { __atomic_signal_fence(__ATOMIC_SEQ_CST); }

  alignas(cache_line) atomic<Index> top_{0};
  // The owner's line. Thieves read only the first word and the last two.
  alignas(cache_line) atomic<Index> bottom_{0};
  plain<Index> limit_{0};        // where the room ends that the owner knows of
  plain<Index> known_start_{0};  // the start that it saw last
  plain<plain<T*>*> slots_{nullptr};
  plain<std::uint64_t> mask_{0};
  const bool asymmetric_;
  atomic<buffer*> buffer_{nullptr};
};

// ---------------------------------------------------------------------------------------------

/// The owner's half of the Dekker pair. False: something may be up, ask settle().
template <class T, class Index, unsigned ClaimBits>
WEFT_ALWAYS_INLINE bool work_deque<T, Index, ClaimBits>::take_back(Index b) noexcept {
  Index top;
  if (WEFT_MUTATE("work_deque.pop.load_first", false, true)) {  // what a compiler could make of it
    top = top_.load(order::relaxed);
    bottom_.store(b, order::release);
  } else if (WEFT_LIKELY(asymmetric_)) {
    bottom_.store(b, WEFT_MUTATE("work_deque.pop.bottom_relaxed", order::release,
                                 order::relaxed));  // P1
    compiler_fence();
    top = top_.load(order::relaxed);
  } else if (WEFT_MUTATE("work_deque.pop.no_exchange", false, true)) {
    bottom_.store(b, order::release);
    top = top_.load(order::seq_cst);
  } else {
    // Thieves do not change bottom_: the exchange is a store with a fence, cheaper than mfence.
    bottom_.exchange(b, WEFT_MUTATE("work_deque.pop.exchange_acq_rel", order::seq_cst,
                                    order::acq_rel));  // P1
    top = top_.load(WEFT_MUTATE("work_deque.pop.top_not_seq_cst", order::seq_cst, order::acquire));
  }
  return ends_before(WEFT_MUTATE("work_deque.pop.ignores_claims", top, start_of(top)), b);
}

/// bottom_ = b is stored, and top_ was above it. Whether the item at b is the owner's; if not, the
/// deque is empty.
template <class T, class Index, unsigned ClaimBits>
bool work_deque<T, Index, ClaimBits>::settle(Index b) noexcept {
  const order look = WEFT_MUTATE("work_deque.pop.top_relaxed", order::acquire, order::relaxed);
  // A later look is as good as the first: a claim that the first one missed sees bottom_ = b.
  Index top = top_.load(look);  // P2
  for (;;) {
    if (ends_before(top, b)) return true;  // the thief has seen it, too, and drawn back
    const Index start = start_of(top);
    if ((top & firm_bit) != 0 || distance(start, b) < 0) {
      // No order is needed here and below: bottom_ = start, and no claim reaches beyond it.
      WEFT_ASSERT((top & firm_bit) == 0 || end_of(top) == plus(b, 1),
                  "a thief took more than there was");
      bottom_.store(plus(b, 1), order::relaxed);
      know_start(WEFT_MUTATE("work_deque.pop.room_in_claim", start, end_of(top)));
      return false;
    }
    const auto left = static_cast<Index>(distance(start, b));
    const Index next =
        left != 0 ? static_cast<Index>(b | left)
                  : WEFT_MUTATE("work_deque.pop.keeps_start", plus(b, 1), static_cast<Index>(b));
    if (left != 0 && WEFT_MUTATE("work_deque.pop.does_not_cut", false, true)) return true;
    if (!top_.compare_exchange(top, next, look, look)) continue;  // P2
    if (left == 0) {
      bottom_.store(plus(b, 1), order::relaxed);
      know_start(plus(b, 1));
    }
    return true;
  }
}

template <class T, class Index, unsigned ClaimBits>
void work_deque<T, Index, ClaimBits>::push_batch(std::span<T* const> items) noexcept {
  Index b = bottom_.load(order::relaxed);
  const auto room = static_cast<std::size_t>(distance(b, limit_.get()));
  if (WEFT_UNLIKELY(room < items.size())) make_room(items.size());
  for (T* item : items) {
    slot(b).set(item);
    b = plus(b, 1);
  }
  bottom_.store(
      b, WEFT_MUTATE("work_deque.push_batch.relaxed", order::release, order::relaxed));  // P1
}

// Apart, so that push has no call to save registers for.
template <class T, class Index, unsigned ClaimBits>
void work_deque<T, Index, ClaimBits>::push_into_new_room(T* item) noexcept {
  make_room(1);
  push(item);
}

/// Afterwards there is room for n more, as far as the owner knows.
template <class T, class Index, unsigned ClaimBits>
void work_deque<T, Index, ClaimBits>::make_room(std::size_t n) noexcept {
  const Index top =
      top_.load(WEFT_MUTATE("work_deque.push.top_relaxed", order::acquire, order::relaxed));  // P2
  // What is being copied (firm) still needs its slots.
  const Index start = WEFT_MUTATE("work_deque.push.room_in_claim", start_of(top), end_of(top));
  const Index bottom = bottom_.load(order::relaxed);
  const auto used = static_cast<std::size_t>(distance(start, bottom));
  if (used + n > mask_.get() + 1) grow(start, bottom, used + n);
  know_start(start);
}

template <class T, class Index, unsigned ClaimBits>
void work_deque<T, Index, ClaimBits>::grow(Index start, Index bottom, std::size_t n) noexcept {
  buffer* const old = buffer_.load(order::relaxed);
  std::uint64_t capacity = old->capacity;
  while (capacity < n) capacity *= 2;
  buffer* const wider = buffer::make(capacity, old);
  WEFT_ASSERT(wider != nullptr,
              "no memory for a larger work deque: something forks without end, or faster than it "
              "joins");
  const Index from =
      WEFT_MUTATE("work_deque.grow.from_end", start, end_of(top_.load(order::acquire)));
  const Index to = WEFT_MUTATE("work_deque.grow.one_less", bottom, plus(bottom, -1));
  for (Index i = from; i != to; i = plus(i, 1)) wider->at(i).set(old->at(i).get());
  adopt(wider);
  if (WEFT_MUTATE("work_deque.grow.frees", false, true)) {
    buffer::free(old);
    wider->older = nullptr;
  }
}

template <class T, class Index, unsigned ClaimBits>
template <class HeavyFence>
unsigned work_deque<T, Index, ClaimBits>::steal_batch(HeavyFence&& heavy, T** out,
                                                      unsigned max) noexcept {
  Index top = top_.load(order::relaxed);
  if ((top & low_bits) != 0 && !WEFT_MUTATE("work_deque.steal.over_a_claim", false, true)) return 0;
  const Index start = end_of(top);
  Index bottom = bottom_.load(order::relaxed);
  const auto there = distance(start, bottom);
  if (there <= 0 || max == 0) return 0;
  const auto half = static_cast<std::uint64_t>(there - there / 2);
  const std::uint64_t limit = max < batch_max ? max : batch_max;
  const auto wanted = static_cast<Index>(half < limit ? half : limit);
  Index claim = static_cast<Index>(plus(start, static_cast<difference>(wanted)) | wanted);
  // The heavy fence would do as an acquire, but the thread sanitizer does not follow it.
  if (!top_.compare_exchange(top, claim, order::acquire, order::relaxed)) {  // P2
    return 0;  // another thief came first
  }

  if (!WEFT_MUTATE("work_deque.steal.no_heavy_fence", false, true)) {
    if (asymmetric_) {
      heavy();
    } else {
      fence(order::seq_cst);
    }
  }
  const Index before = bottom;
  bottom = bottom_.load(
      WEFT_MUTATE("work_deque.steal.bottom_relaxed", order::acquire, order::relaxed));  // P1
  if (WEFT_MUTATE("work_deque.steal.bottom_before", false, true)) bottom = before;

  const auto below = distance(start, bottom);
  const unsigned seen = below > 0 ? static_cast<unsigned>(below) : 0;
  unsigned n;
  for (;;) {
    // The owner may have cut the claim, and at its very start taken it away (I2).
    if (start_of(claim) != start && !WEFT_MUTATE("work_deque.steal.after_loss", false, true)) {
      return 0;
    }
    n = number_of(claim) < seen && !WEFT_MUTATE("work_deque.steal.ignores_cut", false, true)
            ? number_of(claim)
            : seen;
    const Index next = n == 0 ? start
                              : static_cast<Index>(plus(start, static_cast<difference>(n)) |
                                                   firm_bit | static_cast<Index>(n));
    if (WEFT_MUTATE("work_deque.steal.firm_by_store", false, true)) {
      top_.store(next, order::relaxed);
      break;
    }
    if (top_.compare_exchange(claim, next, order::relaxed, order::relaxed)) break;
  }
  if (n == 0) return 0;

  buffer* const slots = buffer_.load(
      WEFT_MUTATE("work_deque.steal.buffer_relaxed", order::acquire, order::relaxed));  // P3
  WEFT_ASSERT(n <= slots->capacity, "a thief saw more items than a work deque holds");
  for (unsigned i = 0; i < n; ++i) {
    out[i] = slots->at(plus(start, static_cast<difference>(i))).get();
  }
  top_.store(plus(start, static_cast<difference>(n)),
             WEFT_MUTATE("work_deque.steal.done_relaxed", order::release, order::relaxed));  // P2
  return n;
}

template <class T, class Index, unsigned ClaimBits>
auto work_deque<T, Index, ClaimBits>::buffer::make(std::uint64_t capacity, buffer* older) noexcept
    -> buffer* {
  WEFT_ASSERT(capacity != 0 && (capacity & (capacity - 1)) == 0,
              "a work deque's capacity is a power of two");
  WEFT_ASSERT(capacity <= capacity_max, "a work deque holds more than its index can count");
  void* const memory = ::operator new(sizeof(buffer) + capacity * sizeof(plain<T*>),
                                      std::align_val_t{cache_line}, std::nothrow);
  if (memory == nullptr) return nullptr;
  buffer* const b = ::new (memory) buffer{capacity, older};
  for (std::uint64_t i = 0; i < capacity; ++i) ::new (b->slots() + i) plain<T*>();
  return b;
}

template <class T, class Index, unsigned ClaimBits>
void work_deque<T, Index, ClaimBits>::buffer::free(buffer* b) noexcept {
  for (std::uint64_t i = 0; i < b->capacity; ++i) b->slots()[i].~plain();
  ::operator delete(static_cast<void*>(b), std::align_val_t{cache_line});
}

}  // namespace weft
