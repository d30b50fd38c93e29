// Nobody is preempted here: SVE's registers have no size that is known ahead, and what pushes a call would
// have to save them. Regions look for themselves whether they are due.
#include "weft/fiber/preempt.hpp"

namespace weft::detail {

const char* preemption::why_not() noexcept { return "there is no preemption on this processor"; }
bool preemption::use(const preempt_calls&) noexcept { return false; }
void preemption::open_this_thread() noexcept {}
void preemption::interrupt(std::uint64_t) noexcept {}
preempt_figures preempt_statistics() noexcept { return {}; }

}  // namespace weft::detail
