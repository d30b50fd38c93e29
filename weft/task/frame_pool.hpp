// frame_pool: where coroutine frames come from. Per-thread free lists by size class, so that the
// steady state of spawn + join takes no lock; full lists go to a shared depot in batches, so that
// frames freed on another core come back, and what is too much for it goes home to slabs of pages
// (frame_slabs.hpp), which idle workers give back to the system (frame_trim.hpp).
//
//   Threads  any; memory may be freed on another thread than it came from
//   Cost     a few instructions on the thread's own list; one lock or two a batch of 64 below
//   Memory   blocks of a multiple of 8 bytes, above 512 of 64 (see thread_state.hpp), aligned to what
//            their size is a multiple of; above 2 KiB straight from the system's allocator
//   Accounts frame_account.hpp: while they are on, every block comes the slow way, with a header
//   Debug    WEFT_FRAME_POOL=off in the environment: every frame by the system's allocator; under
//            AddressSanitizer pooled frames are poisoned while free
#pragma once

#include <cstddef>
#include <new>

#include "weft/base/cache_line.hpp"
#include "weft/base/census.hpp"
#include "weft/base/config.hpp"
#include "weft/task/thread_state.hpp"

namespace weft {

class job;

namespace detail {

// Out of line: the list is empty or full, the frame is large, or the build looks closer.
[[nodiscard]] void* allocate_frame_slowly(std::size_t bytes);
[[nodiscard]] void* allocate_frame_slowly_for(const job& payer, std::size_t bytes);
void free_frame_slowly(void* frame, std::size_t bytes) noexcept;

/// From the lists, the depot, the slabs or the system, and back; no account is asked.
[[nodiscard]] void* allocate_block(std::size_t bytes);
void free_block(void* block, std::size_t bytes) noexcept;

/// What is at the depot goes home to its slabs.
void send_depot_home() noexcept;
[[nodiscard]] std::size_t depot_bytes() noexcept;

#if WEFT_ASAN || WEFT_CENSUS
inline constexpr bool frames_in_line = false;
#else
inline constexpr bool frames_in_line = true;
#endif

}  // namespace detail

namespace detail {

/// nullptr: the slow way.
[[nodiscard]] WEFT_ALWAYS_INLINE void* take_listed_frame(std::size_t bytes) noexcept {
  if (frames_in_line && bytes <= pooled_frame_bytes_max) {
    frame_list& list = this_thread_state().frames[frame_class_of(bytes)];
    if (frame_block* const b = list.head; WEFT_LIKELY(b != nullptr)) {
      list.head = b->next;
      --list.count;
      return b;
    }
  }
  return nullptr;
}
/// False: the slow way. `thread` is the calling one's.
[[nodiscard]] WEFT_ALWAYS_INLINE bool give_listed_frame(void* frame, std::size_t bytes,
                                                        thread_state& thread) noexcept {
  if (frames_in_line && bytes <= pooled_frame_bytes_max) {
    frame_list& list = thread.frames[frame_class_of(bytes)];
    if (WEFT_LIKELY(list.count < list.limit)) {
      auto* const b = static_cast<frame_block*>(frame);
      b->next = list.head;
      list.head = b;
      ++list.count;
      return true;
    }
  }
  return false;
}

/// What to ask for for a coroutine's frame. Clang says how it is aligned under -fcoro-aligned-allocation,
/// which weft's build exports; without that it may be anything.
constexpr std::size_t frame_bytes(std::size_t bytes, std::align_val_t alignment) noexcept {
  const auto a = static_cast<std::size_t>(alignment);
  return (bytes + a - 1) & ~(a - 1);
}
constexpr std::size_t frame_bytes(std::size_t bytes) noexcept {
  return WEFT_FRAME_SIZE_TELLS_ALIGNMENT ? bytes : frame_bytes(bytes, std::align_val_t{cache_line});
}

}  // namespace detail

/// Never nullptr; throws std::bad_alloc when there is no memory, or the running job's account refuses.
[[nodiscard]] WEFT_ALWAYS_INLINE void* allocate_frame(std::size_t bytes) {
  if (void* const frame = detail::take_listed_frame(bytes); WEFT_LIKELY(frame != nullptr)) {
    return frame;
  }
  return detail::allocate_frame_slowly(bytes);
}

/// For something that `payer` awaits and cannot do without, whoever calls: it is booked to the account
/// of `payer`, even above a limit. Throws std::bad_alloc when there is no memory.
[[nodiscard]] WEFT_ALWAYS_INLINE void* allocate_frame_for(const job& payer, std::size_t bytes) {
  if (void* const frame = detail::take_listed_frame(bytes); WEFT_LIKELY(frame != nullptr)) {
    return frame;
  }
  return detail::allocate_frame_slowly_for(payer, bytes);
}

/// `thread` is the calling one's.
WEFT_ALWAYS_INLINE void free_frame(void* frame, std::size_t bytes,
                                   detail::thread_state& thread) noexcept {
  if (!detail::give_listed_frame(frame, bytes, thread)) detail::free_frame_slowly(frame, bytes);
}
WEFT_ALWAYS_INLINE void free_frame(void* frame, std::size_t bytes) noexcept {
  free_frame(frame, bytes, detail::this_thread_state());
}

/// For what is small, is no frame and is in nobody's account: a block of the same lists. Throws std::bad_alloc
/// when there is no memory.
[[nodiscard]] WEFT_ALWAYS_INLINE void* allocate_pooled(std::size_t bytes) {
  void* block = detail::take_listed_frame(bytes);
  if (WEFT_UNLIKELY(block == nullptr)) block = detail::allocate_block(bytes);
  census_add(census_kind::frames, 1);
  return block;
}
WEFT_ALWAYS_INLINE void free_pooled(void* block, std::size_t bytes) noexcept {
  census_add(census_kind::frames, -1);
  if (!detail::give_listed_frame(block, bytes, detail::this_thread_state())) {
    detail::free_block(block, bytes);
  }
}

/// For what is aligned to more than a cache line: from the system, but with an account.
[[nodiscard]] void* allocate_aligned_frame(std::size_t bytes, std::size_t alignment);
void free_aligned_frame(void* frame, std::size_t bytes, std::size_t alignment) noexcept;

/// Gives what the calling thread's free lists hold to the depot, for other threads to use.
void flush_frame_cache() noexcept;

}  // namespace weft
