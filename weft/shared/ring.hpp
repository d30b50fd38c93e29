// ring: the places of a shared_queue, under the lock of its members. Each step is one that a process may
// be killed after; see members.hpp.
//
//   put    write the place at tail, then tail + 1: the commit. Killed before: the message was never
//          there, and the next one overwrites the place. Killed after: it is there
//   take   copy the place at head, then head + 1: the commit. Killed before: the message goes to another
//   P1     commit_put: tail (release)  ->  count (acquire): the message, also of a dead one
//   P2     commit_take: head (release)  ->  room (acquire): the copy is done, the place may be written
#pragma once

#include <cstdint>

#include "weft/base/atomic.hpp"

namespace weft::shared {

class ring {
 public:
  /// Places of a ring of `capacity` are 0 .. capacity - 1.
  bool has_room(std::uint64_t capacity) const noexcept {
    return tail_.load(order::relaxed) - head_.load(order::acquire) < capacity;  // P2
  }
  bool has_message() const noexcept {
    return tail_.load(WEFT_MUTATE("ring.count.relaxed", order::acquire, order::relaxed)) !=  // P1
           head_.load(order::relaxed);
  }
  std::uint64_t to_write(std::uint64_t capacity) const noexcept {
    return tail_.load(order::relaxed) % capacity;
  }
  std::uint64_t to_read(std::uint64_t capacity) const noexcept {
    return head_.load(order::relaxed) % capacity;
  }
  void commit_put() noexcept {
    tail_.store(tail_.load(order::relaxed) + 1,
                WEFT_MUTATE("ring.put.relaxed", order::release, order::relaxed));  // P1
  }
  void commit_take() noexcept {
    head_.store(head_.load(order::relaxed) + 1, order::release);  // P2
  }
  std::uint64_t count() const noexcept {
    const std::uint64_t head = head_.load(order::acquire);  // first: it only grows towards tail
    return tail_.load(order::acquire) - head;
  }

 private:
  atomic<std::uint64_t> head_{0};
  atomic<std::uint64_t> tail_{0};
};

}  // namespace weft::shared
