#include "weft/io/buffer_ring_uring.hpp"

#include <sys/syscall.h>
#include <unistd.h>

#include <bit>
#include <new>

#include "weft/base/assert.hpp"
#include "weft/os/memory.hpp"

namespace weft::io {

std::size_t buffer_ring::queue_bytes(unsigned buffers) noexcept {
  const std::size_t page = os::page_size();
  return (buffers * sizeof(io_uring_buf) + page - 1) / page * page;
}

buffer_ring::buffer_ring(void* memory, unsigned buffers) noexcept
    : queue_(static_cast<io_uring_buf*>(memory)),
      buffers_(static_cast<std::byte*>(memory) + queue_bytes(buffers)),
      count_(buffers) {
  for (unsigned i = 0; i < buffers; ++i) put(buffers_ + i * lent_bytes_max);
}

buffer_ring* buffer_ring::make(int ring, unsigned buffers) noexcept {
  WEFT_ASSERT(std::has_single_bit(buffers), "the kernel wants a power of two of buffers");
  const auto memory = os::map_pages(total_bytes(buffers));
  if (!memory) return nullptr;
  auto* made = new (std::nothrow) buffer_ring(*memory, buffers);
  if (made != nullptr) {
    io_uring_buf_reg what{};
    what.ring_addr = reinterpret_cast<std::uint64_t>(*memory);
    what.ring_entries = buffers;
    what.bgid = group;
    if (syscall(SYS_io_uring_register, ring, IORING_REGISTER_PBUF_RING, &what, 1) == 0) return made;
  }
  delete made;
  os::unmap_pages(*memory, total_bytes(buffers));
  return nullptr;
}

void buffer_ring::put(std::byte* buffer) noexcept {
  io_uring_buf& slot = queue_[tail_ & (count_ - 1)];
  slot.addr = reinterpret_cast<std::uint64_t>(buffer);
  slot.len = lent_bytes_max;
  slot.bid =
      static_cast<std::uint16_t>(static_cast<std::size_t>(buffer - buffers_) / lent_bytes_max);
  // Not `resv` of that slot: in entry 0 it is the tail.
  __atomic_store_n(&queue_[0].resv, ++tail_, __ATOMIC_RELEASE);  // P1
}

void buffer_ring::free_all() noexcept {
  void* const memory = queue_;
  const std::size_t bytes = total_bytes(count_);
  delete this;
  os::unmap_pages(memory, bytes);
}

void buffer_ring::give_back(std::byte* buffer) noexcept {
  bool last = false;
  {
    const spin_guard held(lock_);
    if (!ended_) put(buffer);
    ++returned_;
    last = ended_ && returned_ == lent_;  // I2
  }
  if (last) free_all();
}

void buffer_ring::end(int ring) noexcept {
  io_uring_buf_reg what{};
  what.bgid = group;
  // Not needed, for it goes with the ring; but the kernel ends that some time after the close. (A ring that
  // is its thread's refuses it, as that thread has ended: then the pages stay pinned for that time.)
  static_cast<void>(syscall(SYS_io_uring_register, ring, IORING_UNREGISTER_PBUF_RING, &what, 1));
  bool last = false;
  {
    const spin_guard held(lock_);
    ended_ = true;
    last = returned_ == lent_;  // I2
  }
  if (last) free_all();
}

}  // namespace weft::io
