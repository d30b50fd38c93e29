// Protocol
//   I1  A job's bindings are set before it is launched and never change, so whoever may touch the job
//       may read them: a child's maker, or a thief that makes a job for a branch of it. That is why
//       what is inside with() is a job of its own.
//   I2  Each job uses its innermost binding, each binding the one around it; the last to leave frees.
//   I3  The branch's end comes before its waiter's, as in timeout.cpp; the waiter is stopped only if the
//       branch was.
//
// Rejected: a binding that with() puts into the waiting job, and takes out at the end. No job for it,
// but a thief that makes one for a branch must then see what the job had when it forked, while the job
// may be inside another with(): a word more for each fork_join, or a walk of frames.
#include "weft/task/task_local.hpp"

namespace weft::detail {

std::coroutine_handle<> with_operation::start_branch(promise_base& waiter) noexcept {
  constexpr std::uint8_t budget_units = 128;
  job& outer = *waiter.owner();
  if (outer.arm(*this, waiter) == job::arm_result::stopped) return unwind(waiter);
  launched_ = true;
  wait_for_unlaunched();
  branch_.set_stopped_by_owner();
  branch_.go_with(outer);
  branch_.set_name(outer.name());
  outer.home().enlist(branch_);
  branch_.refill_budget(budget_units);
  exchange_current_job(&branch_);
  return branch_.start();
}

}  // namespace weft::detail
