// futex: a thread sleeps until a word changes. The word belongs to this process.
//
//   Threads  any
//   Cost     wake without a sleeper 138 ns; round trip 2.3 us when the cores are awake
//   Note     a wake may be spurious: look at the word again
#pragma once

#include <cstdint>

#include "weft/base/atomic.hpp"
#include "weft/base/time.hpp"

namespace weft::os {

/// Sleeps while `word` equals `expected`, until woken or until `deadline_ns` of the monotonic clock.
/// False: the deadline was reached.
bool futex_wait(atomic<std::uint32_t>& word, std::uint32_t expected, std::int64_t deadline_ns) noexcept;

/// Wakes up to `n` threads that sleep on `word`. The word may be gone already: only its address is
/// used, and a wake of a stranger who came to sleep there is a spurious one.
void futex_wake(atomic<std::uint32_t>& word, int n) noexcept;

}  // namespace weft::os
