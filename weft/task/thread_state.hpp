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

#include "weft/base/config.hpp"

namespace weft {

class job;

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

constexpr unsigned frame_class_shift = 6;  // classes are multiples of 64 bytes
constexpr unsigned frame_class_count = 32;

struct fork_port;
class worker;

struct thread_state {
  frame_list frames[frame_class_count];
  job* running;            // current_job()
  detail::worker* worker;  // of a runtime: which one the thread is
  fork_port* port;         // where its branches may be left; see fork.hpp
  void* unwinding;         // the frame that unwind() is destroying: its memory is not to be freed
  std::size_t unwound_bytes;
};

}  // namespace detail
}  // namespace weft

extern "C" {
extern thread_local constinit weft::detail::thread_state weft_thread_state
    __attribute__((tls_model("initial-exec")));
}

namespace weft::detail {

#if WEFT_X86_64
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
