// poll_until: poll(2) with a moment in place of a time-out.
#pragma once

#include <cstddef>
#include <cstdint>

#include "weft/base/time.hpp"

struct pollfd;

namespace weft::os {

/// Waits until one of `list[0, count)` has something to tell, or until `deadline_ns` (monotonic; 0: not
/// at all; never_ns), never less. Result: how many have, or -errno; -EINVAL where there are more of them
/// than the process may have open (RLIMIT_NOFILE).
[[nodiscard]] int poll_until(pollfd* list, std::size_t count, std::int64_t deadline_ns) noexcept;

}  // namespace weft::os
