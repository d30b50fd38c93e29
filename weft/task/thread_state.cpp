#include "weft/task/thread_state.hpp"

// The object itself stands in frame_pool.cpp.
#if WEFT_MODEL
#include "weft/base/atomic.hpp"

namespace weft::detail {
thread_state& this_thread_state() noexcept {
  return *static_cast<thread_state*>(model::hook::own(sizeof(thread_state)));
}
}  // namespace weft::detail
#elif !WEFT_X86_64
namespace weft::detail {
WEFT_NOINLINE thread_state& thread_state_of_caller() noexcept {
  asm volatile("");
  return weft_thread_state;
}
}  // namespace weft::detail
#endif
