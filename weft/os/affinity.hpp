// affinity: how many CPUs this process may use, and on which of them a thread runs.
#pragma once

namespace weft::os {

/// The CPUs of the calling thread's affinity mask, or fewer if a control group grants less time:
/// min(mask, ceil(quota)), at least 1. Asked anew at each call; costs some file reads.
unsigned cpus_available() noexcept;

/// Keeps the calling thread on `cpu` (the system's number). Result: whether the system agreed.
bool pin_current_thread(unsigned cpu) noexcept;

}  // namespace weft::os
