// lent_buffers: the buffers that are lent where the kernel does not choose one: of the whole
// process, from the heap.
//
//   Threads  any
//   Memory   each thread keeps up to lent_buffers_of_thread_max free ones, all together
//            lent_buffers_shared_max more; what is above goes back to the heap
//   Cost     a few instructions while the thread has a free one, else a spin lock, else the heap
#pragma once

#include <cstddef>

#include "weft/io/lent_bytes.hpp"

namespace weft::io {

inline constexpr unsigned lent_buffers_of_thread_max = 4;
inline constexpr unsigned lent_buffers_shared_max = 64;

/// A buffer of lent_bytes_max bytes, to be given back to heap_lender(). nullptr: no memory.
[[nodiscard]] std::byte* borrow_from_heap() noexcept;
buffer_lender& heap_lender() noexcept;

}  // namespace weft::io
