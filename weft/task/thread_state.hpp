// thread_state: what each thread of a weft program has of its own and looks at on hot paths: free
// frames, the job it runs, the worker it is. One thread-local object, found in two instructions.
//
// A coroutine may be resumed on another thread, and a compiler may keep the address of a thread_local
// across the suspension (Clang does). So the address is asked for by an assembly statement, which no
// compiler keeps, or on other machines by a function that is never inlined.
//
//   Threads  each its own
//   Cost     two instructions on x86-64, a call elsewhere
#pragma once

#include <cstddef>
#include <cstdint>

#include "weft/base/atomic.hpp"
#include "weft/base/config.hpp"

namespace weft {

class job;
class promise_base;

namespace detail {

/// A free frame. See frame_pool.cpp.
struct frame_block {
  frame_block* next;
  // Valid in the first block of a batch at the depot.
  frame_block* next_batch;
  std::uint32_t batch_blocks;
};

struct frame_list {
  frame_block* head;
  std::uint32_t count;
  std::uint32_t limit;  // count at which free_frame() asks for help; 0 before the first help
};

// Classes of blocks: each 8 bytes up to 512, where most frames and jobs are, then each 64. What a block
// is for has a size that is a multiple of its alignment, up to 64, and its class is so, too: so it stands
// right. What is asked for for a coroutine's frame is made so first: see frame_bytes().
constexpr std::size_t fine_class_bytes = 8;
constexpr std::size_t fine_bytes_max = 512;
constexpr std::size_t coarse_class_bytes = 64;
constexpr std::size_t pooled_frame_bytes_max = 2048;
constexpr std::size_t fine_class_count = fine_bytes_max / fine_class_bytes;
constexpr std::size_t frame_class_count =
    fine_class_count + (pooled_frame_bytes_max - fine_bytes_max) / coarse_class_bytes;

/// Of a block of that many bytes, 1 to pooled_frame_bytes_max.
WEFT_ALWAYS_INLINE constexpr std::size_t frame_class_of(std::size_t bytes) noexcept {
  return bytes <= fine_bytes_max
             ? (bytes - 1) / fine_class_bytes
             : fine_class_count + (bytes - 1 - fine_bytes_max) / coarse_class_bytes;
}
/// How large its blocks are: a free one has room for a frame_block, and stands as right as asked.
constexpr std::size_t frame_class_bytes(std::size_t index) noexcept {
  const std::size_t bytes =
      index < fine_class_count
          ? (index + 1) * fine_class_bytes
          : fine_bytes_max + (index + 1 - fine_class_count) * coarse_class_bytes;
  return bytes < sizeof(frame_block) ? 32 : bytes;
}
static_assert(frame_class_of(pooled_frame_bytes_max) == frame_class_count - 1);

struct fork_port;
class worker;

struct thread_state {
  frame_list frames[frame_class_count];
  job* running;            // current_job()
  detail::worker* worker;  // of a runtime: which one the thread is
  fork_port* port;         // where its branches may be left; see fork.hpp
  void* unwinding;         // the frame that unwind() is destroying: its memory is not to be freed
  std::size_t unwound_bytes;
  promise_base* ended_on_lost;  // see lost_processor.hpp
#if !WEFT_MODEL                 // nobody watches a model's threads
  atomic<std::uint8_t> lost_processor;
#endif
};

}  // namespace detail
}  // namespace weft

extern "C" {
extern thread_local constinit weft::detail::thread_state weft_thread_state
    __attribute__((tls_model("initial-exec")));
}

namespace weft::detail {

#if WEFT_MODEL
thread_state& this_thread_state() noexcept;  // of a thread of the model, which is a fiber
#elif WEFT_X86_64
/// Of the calling thread. Do not keep it across anything that may suspend.
WEFT_ALWAYS_INLINE thread_state& this_thread_state() noexcept {
  thread_state* address;
  asm volatile(
      "movq %%fs:0, %0\n\t"
      "addq weft_thread_state@gottpoff(%%rip), %0"
      : "=r"(address)
      :
      : "cc");
  return *address;
}
#else
thread_state& thread_state_of_caller() noexcept;  // never inlined
WEFT_ALWAYS_INLINE thread_state& this_thread_state() noexcept { return thread_state_of_caller(); }
#endif

}  // namespace weft::detail
