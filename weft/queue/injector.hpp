// injector: the global queue. Work from outside the workers, and what overflows from their run
// queues. Unbounded, and never allocates: items carry their own link.
//
//   Fairness  first in, first out
//   Threads   any, for everything
//   Cost      empty(): one relaxed load. Push and pop: a spin lock held for a few instructions,
//             whatever the batch
//   After     tokio's inject queue (a lock and a length beside it)
//
// This is the plain algorithm; a lock-free one may take its place behind the same face. What the
// callers build on is only P1 and P2.
//
// Words
//   lock_    guards first_, last_ and every write of length_
//   length_  how many items are linked. Written under the lock, read by anybody without it
// Invariants
//   I1  with the lock free, length_ is the number of items from first_ to last_
//   I2  a length of zero was written by a pop that emptied the queue, or is the first value
// Pairings
//   P1  unlock -> lock: the links, and what the items hold
//   P2  push, seq_cst fence || seq_cst fence, empty(): of a pusher that fences after it and a
//       searcher that fences before it looks, one sees the other. The fences are those of idle.hpp
//       (worker_to_notify, sleep); here the length needs no order at all
// Rejected
//   Looking at first_ without the lock: it is no atomic, and the address of an item says nothing
//   about how many there are
//   A seq_cst length: the fence is needed for the run queues as well, so it would be paid twice
#pragma once

#include <cstddef>

#include "weft/base/assert.hpp"
#include "weft/base/atomic.hpp"
#include "weft/base/cache_line.hpp"
#include "weft/base/spin_lock.hpp"

namespace weft {

/// T has a member `next`; an item is in one queue at a time.
template <class T>
class injector {
 public:
  /// Items in order, linked by `next`, the last one's link null.
  struct chain {
    T* first = nullptr;
    unsigned count = 0;
  };

  injector() noexcept = default;
  ~injector() { WEFT_ASSERT(empty(), "an injector was destroyed with work in it; drain it first"); }
  injector(const injector&) = delete;
  injector& operator=(const injector&) = delete;

  void push(T* item) noexcept { push_batch(item, item, 1); }
  /// `first` to `last` are linked by `next`, `count` of them.
  void push_batch(T* first, T* last, unsigned count) noexcept;

  /// The oldest item, or null.
  [[nodiscard]] T* pop() noexcept { return pop_batch(1).first; }
  /// Up to `max` of the oldest.
  [[nodiscard]] chain pop_batch(unsigned max) noexcept;

  /// How many items there were a moment ago. See P2 for what it promises to a searcher.
  std::size_t len_hint() const noexcept { return length_.load(order::relaxed); }
  bool empty() const noexcept { return len_hint() == 0; }

 private:
  alignas(cache_line) atomic<std::size_t> length_{0};
  spin_lock lock_;
  plain<T*> first_;
  plain<T*> last_;
};

// ---------------------------------------------------------------------------------------------

template <class T>
void injector<T>::push_batch(T* first, T* last, unsigned count) noexcept {
  WEFT_CHECK_SLOW(count > 0, "an empty batch has no first item");
  last->next = nullptr;
  spin_guard held(lock_);  // P1
  if (T* before = last_.get()) {
    before->next = first;
  } else {
    first_.set(first);
  }
  last_.set(last);
  length_.store(length_.load(order::relaxed) + count, order::relaxed);  // P2
}

template <class T>
typename injector<T>::chain injector<T>::pop_batch(unsigned max) noexcept {
  if (max == 0 || empty()) return {};
  spin_guard held(lock_);  // P1
  T* const first = first_.get();
  if (!first) return {};  // somebody else was faster
  T* last = first;
  unsigned n = 1;
  while (n < max) {
    T* const next = last->next;
    if (!next) break;
    last = next;
    ++n;
  }
  T* const rest = last->next;
  last->next = nullptr;
  first_.set(rest);
  if (!rest) last_.set(nullptr);
  length_.store(length_.load(order::relaxed) - n, order::relaxed);
  return {first, n};
}

}  // namespace weft
