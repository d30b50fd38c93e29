// affinity: how many CPUs this process may use, and on which of them a thread runs.
#pragma once

#include <span>
#include <vector>

namespace weft::os {

/// The CPUs of the calling thread's affinity mask, or fewer if a control group grants less time:
/// min(mask, ceil(quota)), at least 1. Asked anew at each call; costs some file reads.
unsigned cpus_available() noexcept;

/// The CPUs of the calling thread's affinity mask alone, at least 1.
unsigned cpus_allowed() noexcept;
/// The calling thread's affinity mask, as the system's numbers, ascending. Empty: the system does not
/// say. Throws std::bad_alloc.
std::vector<unsigned> allowed_cpus();

/// Keeps the calling thread on `cpu` (the system's number). Result: whether the system agreed.
bool pin_current_thread(unsigned cpu) noexcept;
/// The same for several: it may use any of `cpus`. None at all is refused.
bool pin_current_thread(std::span<const unsigned> cpus) noexcept;

}  // namespace weft::os
