// futex: sleep until a word changes.
//
//   Threads    any; of this process only with futex_scope::process_private, which is faster
//   Protocol   wait: the word is compared and the thread put to sleep in one step, so a wake
//              between the caller's own look and its sleep is not lost, provided that the waker
//              changes the word before it wakes
//   Orderings  none: the word's own loads and stores carry what must be seen
#pragma once

#include <cstdint>

#include "weft/base/atomic.hpp"
#include "weft/base/time.hpp"

namespace weft {

/// Who may wait for a word and wake: both sides must say the same.
enum class futex_scope : std::uint8_t {
  process_private,
  process_shared,  // the word is in memory that several processes map, each where it likes
};

namespace os {

/// Sleeps while the word holds `expected`. Result: false when `deadline_ns` (monotonic, absolute;
/// never_ns) has passed; true otherwise, also for no reason at all: look at the word again.
[[nodiscard]] bool futex_wait(atomic<std::uint32_t>& word, std::uint32_t expected,
                              std::int64_t deadline_ns) noexcept;

/// Wakes up to `n` waiters. The word may be gone already: its address is all that is used.
void futex_wake(atomic<std::uint32_t>& word, int n) noexcept;

enum class futex_end : std::uint8_t { woken, changed, timed_out, interrupted };

/// As futex_wait, by address, and says why it ended. interrupted: for no reason.
[[nodiscard]] futex_end futex_wait_at(std::uint32_t* word, std::uint32_t expected,
                                      futex_scope scope, std::int64_t deadline_ns) noexcept;
/// Result: how many it woke.
int futex_wake_at(std::uint32_t* word, int n, futex_scope scope) noexcept;

/// As futex_wait_at, and ends also when `bell`, a word of this process, no longer holds `unrung` and
/// is woken: interrupted then, and no wake of `word` was used up. On systems that cannot wait for two
/// words (Linux before 5.16) it ends as interrupted every few milliseconds.
[[nodiscard]] futex_end futex_wait_or_bell(std::uint32_t* word, std::uint32_t expected,
                                           futex_scope scope, atomic<std::uint32_t>& bell,
                                           std::uint32_t unrung, std::int64_t deadline_ns) noexcept;

}  // namespace os
}  // namespace weft
