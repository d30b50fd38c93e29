// buffer_ring: buffers that the kernel chooses from when bytes are there, for one io_uring.
//
//   Threads    lend, end: the ring's owner; give_back: any
//   Memory     committed on first touch. It stays until the ring has ended and the last lent buffer
//              is back, whichever comes second
//   Cost       lend: none; give_back: a spin lock
//
// Protocol
//   The queue of free buffers is shared memory: we write entries and the tail, the kernel takes
//   from the head, which it keeps to itself. Entry i of a slot says where a buffer is and its
//   number; the tail lies in the last two bytes of entry 0. The queue has a slot for each buffer,
//   so it is never full when one comes back.
//   I1  A buffer is in the queue, or in a request that was completed and not looked at yet, or
//       lent. What a completion carries is lent (lend()) and later given back, whatever the
//       request's answer is.
//   I2  lent_ is written by the owner only, returned_ under the lock. After end(), which takes the
//       lock, lent_ does not change: so whoever makes both equal is the last, and frees.
//   P1  give_back: entry, then tail (release)  ->  the kernel: tail (acquire): the entry, and that
//       nobody reads the buffer any more
// Rejected: a list that the owner empties into the queue (the buffer is of no use before it does,
// and who gives back last needs a lock or a count anyhow); a count of references (an atomic
// operation for each read).
#pragma once

#include <linux/io_uring.h>

#include <cstddef>
#include <cstdint>

#include "weft/base/spin_lock.hpp"
#include "weft/io/lent_bytes.hpp"

namespace weft::io {

class buffer_ring final : public buffer_lender {
 public:
  static constexpr std::uint16_t group = 0;  // its name in the io_uring

  /// Registers `buffers` of them, a power of two. nullptr: refused (Linux before 5.19, a policy, a
  /// limit on locked memory), or no memory.
  static buffer_ring* make(int ring, unsigned buffers) noexcept;

  /// The kernel has filled that one.
  std::byte* lend(unsigned number) noexcept {
    ++lent_;
    return buffers_ + number * lent_bytes_max;
  }
  void give_back(std::byte* buffer) noexcept override;
  /// No request of the io_uring `ring` can take one any more. The last access of the ring's owner.
  void end(int ring) noexcept;

 private:
  buffer_ring(void* memory, unsigned buffers) noexcept;
  void put(std::byte* buffer) noexcept;
  void free_all() noexcept;
  static std::size_t queue_bytes(unsigned buffers) noexcept;
  static std::size_t total_bytes(unsigned buffers) noexcept {
    return queue_bytes(buffers) + buffers * lent_bytes_max;
  }

  io_uring_buf* const queue_;
  std::byte* const buffers_;
  const unsigned count_;
  std::uint64_t lent_ = 0;  // I2

  spin_lock lock_;  // of what follows, and of the queue's tail
  std::uint16_t tail_ = 0;
  bool ended_ = false;
  std::uint64_t returned_ = 0;
};

}  // namespace weft::io
