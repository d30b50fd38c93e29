// preempt: how a job that has run long enough is asked to give way. Internal: this is what a monitor calls.
//
//   Threads  any. The worker must be there still, and so must its turn_state; its job need not
//   Cost     a store; a system call if a fiber is inside of a preemptible region there
#pragma once

#include <cstdint>

#include "weft/task/turn.hpp"

namespace weft::detail {

/// Asks that the turn `turn` of that worker end. From then on this_task::should_yield() is true there, and a
/// fiber inside of a preemptible region gives way at once, if it is in code that may be left anywhere. To be
/// called again and again as long as the turn lasts: that code is not always what it is in. Result:
/// is_over: the turn has ended, and nothing was done.
[[nodiscard]] turn_state::ask_result ask_to_yield(turn_state& of, std::uint64_t turn) noexcept;

}  // namespace weft::detail
