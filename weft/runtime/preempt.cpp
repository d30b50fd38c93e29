#include "weft/runtime/preempt.hpp"

#include "weft/fiber/preempt.hpp"

namespace weft::detail {

turn_state::ask_result ask_to_yield(turn_state& of, std::uint64_t turn) noexcept {
  const auto answer = of.ask_to_end(turn);
  if (answer == turn_state::ask_result::is_over) return answer;
  // Another turn may have begun meanwhile. Then it is not to end, and the signal finds nothing to do.
  const std::uint64_t thread = of.thread_open_to_signals();
  if (thread != 0) preemption::interrupt(thread);
  return answer;
}

}  // namespace weft::detail
