// frame_pool: where coroutine frames come from. Per-thread free lists by size class, so that the
// steady state of spawn + join never calls malloc; full lists go to a shared depot in batches, so
// that frames freed on another core come back.
//
//   Threads  any; memory may be freed on another thread than it came from
//   Cost     a few instructions on the thread's own list; one lock a batch of 64 at the depot
//   Memory   blocks of a multiple of 64 bytes, 64-byte aligned (GCC 12 and Clang misalign frames of
//            over-aligned locals otherwise); above 2 KiB straight from the system's allocator
//   Debug    WEFT_FRAME_POOL=off in the environment: every frame by the system's allocator; under
//            AddressSanitizer pooled frames are poisoned while free
#pragma once

#include <cstddef>

namespace weft {

/// Never nullptr; throws std::bad_alloc when there is no memory.
[[nodiscard]] void* allocate_frame(std::size_t bytes);
void free_frame(void* frame, std::size_t bytes) noexcept;

/// Gives what the calling thread's free lists hold to the depot, for other threads to use.
void flush_frame_cache() noexcept;

}  // namespace weft
