// stable_pool: nodes for lock-free structures, named by number. A node that was given back stays a
// node, so a thread whose look at the structure is old may still read it; its compare-exchange then
// fails, because the words that lead to nodes carry a tag. No hazard pointers, no epochs.
//
//   Threads  any, for everything but construction and destruction
//   Cost     take, give: one compare-exchange. take allocates only when more nodes are out than
//            ever before, and then doubles: about log2 allocations in a life
//   Memory   goes back to the system with the pool, not before: the most nodes that were ever out
//            at once, at most doubled
//   Progress lock-free, but for the allocator
//
// Words
//   free_      the free node given back last (id, 0: none) and a tag that counts takes
//   fresh_     the first number that was never given out
//   chunks_    chunk 0 has the numbers below first_chunk, chunk k those from first_chunk << (k - 1)
//              on, as many again as all before it. Null until it is needed, then fixed
//   next_free  (in the node) the next free node. Means something only while the node is free
// Invariants
//   I1  every number below fresh_ has a node, at an address that never changes
//   I2  a node is free, or taken by one; who took it has it alone until it tells others
// Pairings
//   P1  free_ compare-exchange, release (give) -> free_ load, acquire (take): next_free, and all
//       that was done with the node before. Takes in between continue the release sequence
//   P2  chunks_ compare-exchange, release (grow) -> chunks_ load, acquire (grow): the chunk's nodes
//       as constructed. Everybody else who knows a number learned it, by a release and an acquire,
//       from somebody who knows its chunk: operator[] needs no order
// Why the tag
//   take reads next_free of a node that others may take, give back, and put below another one
//   meanwhile. The tag has then moved on. It would have to come round to the very number: with 32
//   bits that is four thousand million takes during one; with 1 bit the model finds it.
// Rejected
//   Pointers with a tag in their upper 16 bits: 65536 takes are a millisecond of sleep
//   Numbers in ever more chunks of one size: the table of chunks would have to grow as well
#pragma once

#include <cstdint>
#include <new>

#include "weft/base/assert.hpp"
#include "weft/base/atomic.hpp"
#include "weft/base/cache_line.hpp"

namespace weft {

/// Node is default-constructed once, and has a member `atomic<std::uint32_t> next_free`.
template <class Node, unsigned FirstBits = 4, unsigned IdBits = 32, unsigned TagBits = 32>
class stable_pool {
  static_assert(FirstBits < IdBits && IdBits <= 32 && TagBits >= 1 && TagBits <= 32);

 public:
  using id = std::uint32_t;  // 0 is no node

  /// Allocates the first chunk.
  stable_pool() { chunks_[0].store(new Node[first_chunk], order::relaxed); }
  ~stable_pool();
  stable_pool(const stable_pool&) = delete;
  stable_pool& operator=(const stable_pool&) = delete;

  /// Result: a node that nobody else has; 0 if there is no memory, or no number left.
  [[nodiscard]] id take() noexcept;
  void give(id number) noexcept;

  /// `number` was taken once; that it was given back since does no harm.
  Node& operator[](id number) const noexcept;

 private:
  static constexpr id first_chunk = id{1} << FirstBits;
  static constexpr unsigned chunks_max = IdBits - FirstBits + 1;
  static constexpr std::uint64_t ids_max = std::uint64_t{1} << IdBits;
  static constexpr std::uint32_t tag_mask = 0xffffffffu >> (32 - TagBits);

  static unsigned chunk_of(id number) noexcept {
    const id above = number >> FirstBits;
    return above == 0 ? 0 : 32 - static_cast<unsigned>(__builtin_clz(above));
  }
  static id first_of(unsigned chunk) noexcept {
    return chunk == 0 ? 0 : first_chunk << (chunk - 1);
  }
  id take_fresh() noexcept;
  bool grow(unsigned chunk) noexcept;

  alignas(cache_line) atomic<std::uint64_t> free_{0};  // tag above, id below
  atomic<std::uint64_t> fresh_{1};
  atomic<Node*> chunks_[chunks_max];
};

// ---------------------------------------------------------------------------------------------

template <class Node, unsigned FirstBits, unsigned IdBits, unsigned TagBits>
stable_pool<Node, FirstBits, IdBits, TagBits>::~stable_pool() {
  for (atomic<Node*>& chunk : chunks_) delete[] chunk.load(order::relaxed);
}

template <class Node, unsigned FirstBits, unsigned IdBits, unsigned TagBits>
WEFT_ALWAYS_INLINE Node& stable_pool<Node, FirstBits, IdBits, TagBits>::operator[](
    id number) const noexcept {
  if (WEFT_LIKELY(number < first_chunk)) return chunks_[0].load(order::relaxed)[number];
  const unsigned k = chunk_of(number);
  return chunks_[k].load(order::relaxed)[number - first_of(k)];
}

template <class Node, unsigned FirstBits, unsigned IdBits, unsigned TagBits>
std::uint32_t stable_pool<Node, FirstBits, IdBits, TagBits>::take() noexcept {
  const order look = WEFT_MUTATE("stable_pool.take.relaxed", order::acquire, order::relaxed);
  std::uint64_t word = free_.load(look);  // P1
  while (const id number = static_cast<id>(word)) {
    const id next = (*this)[number].next_free.load(order::relaxed);
    const std::uint64_t tag =
        ((word >> 32) + WEFT_MUTATE("stable_pool.take.no_tag", 1u, 0u)) & tag_mask;
    if (free_.compare_exchange(word, tag << 32 | next, look, look)) return number;  // P1
  }
  return take_fresh();
}

template <class Node, unsigned FirstBits, unsigned IdBits, unsigned TagBits>
void stable_pool<Node, FirstBits, IdBits, TagBits>::give(id number) noexcept {
  std::uint64_t word = free_.load(order::relaxed);
  do {
    (*this)[number].next_free.store(static_cast<id>(word), order::relaxed);
  } while (!free_.compare_exchange(
      word, (word >> 32) << 32 | number,
      WEFT_MUTATE("stable_pool.give.relaxed", order::release, order::relaxed),  // P1
      order::relaxed));
}

template <class Node, unsigned FirstBits, unsigned IdBits, unsigned TagBits>
std::uint32_t stable_pool<Node, FirstBits, IdBits, TagBits>::take_fresh() noexcept {
  std::uint64_t number = fresh_.load(order::relaxed);
  for (;;) {
    if (number == ids_max || !grow(chunk_of(static_cast<id>(number)))) return 0;
    if (fresh_.compare_exchange(number, number + 1, order::relaxed, order::relaxed)) {
      return static_cast<id>(number);
    }
  }
}

template <class Node, unsigned FirstBits, unsigned IdBits, unsigned TagBits>
bool stable_pool<Node, FirstBits, IdBits, TagBits>::grow(unsigned chunk) noexcept {
  if (chunks_[chunk].load(
          WEFT_MUTATE("stable_pool.grow.look_relaxed", order::acquire, order::relaxed))) {  // P2
    return true;
  }
  Node* const mine = new (std::nothrow) Node[first_of(chunk)];  // as many as in all before it
  if (!mine) return false;
  Node* nothing = nullptr;
  if (chunks_[chunk].compare_exchange(
          nothing, mine,
          WEFT_MUTATE("stable_pool.grow.publish_relaxed", order::release, order::relaxed),  // P2
          order::acquire)) {
    return true;
  }
  delete[] mine;  // somebody else was faster
  return true;
}

}  // namespace weft
