// futex: sleep until a word changes.
//
//   Threads    any, of this process only
//   Protocol   wait: the word is compared and the thread put to sleep in one step, so a wake
//              between the caller's own look and its sleep is not lost, provided that the waker
//              changes the word before it wakes
//   Orderings  none: the word's own loads and stores carry what must be seen
#pragma once

#include <cstdint>

#include "weft/base/atomic.hpp"
#include "weft/base/time.hpp"

namespace weft::os {

/// Sleeps while the word holds `expected`. Result: false when `deadline_ns` (monotonic, absolute;
/// never_ns) has passed; true otherwise, also for no reason at all: look at the word again.
[[nodiscard]] bool futex_wait(atomic<std::uint32_t>& word, std::uint32_t expected,
                              std::int64_t deadline_ns) noexcept;

/// Wakes up to `n` waiters. The word may be gone already: its address is all that is used.
void futex_wake(atomic<std::uint32_t>& word, int n) noexcept;

}  // namespace weft::os
