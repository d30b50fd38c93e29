// affinity: the CPUs that this process may use.
#pragma once

namespace weft::os {

/// The smaller of the affinity mask and the cgroup's CPU quota (rounded up); at least 1.
unsigned cpus_available() noexcept;

/// False: refused.
bool pin_current_thread(unsigned cpu) noexcept;

}  // namespace weft::os
