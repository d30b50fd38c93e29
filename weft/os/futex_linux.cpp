#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>

#include "weft/base/assert.hpp"
#include "weft/os/clock.hpp"
#include "weft/os/futex.hpp"

namespace weft::os {
namespace {

constexpr std::int64_t slice_ns = 5'000'000;  // between two looks at a bell that cannot be heard

timespec as_timespec(std::int64_t ns) noexcept {
  if (ns < 0) ns = 0;
  return {static_cast<time_t>(ns / 1'000'000'000), static_cast<long>(ns % 1'000'000'000)};
}

int private_flag(futex_scope scope) noexcept {
  return scope == futex_scope::process_private ? FUTEX_PRIVATE_FLAG : 0;
}

futex_end end_of(int error) noexcept {
  WEFT_ASSERT(error != EFAULT, "a futex word was unmapped while somebody waited for it");
  if (error == ETIMEDOUT) return futex_end::timed_out;
  return error == EAGAIN ? futex_end::changed : futex_end::interrupted;
}

}  // namespace

futex_end futex_wait_at(std::uint32_t* word, std::uint32_t expected, futex_scope scope,
                        std::int64_t deadline_ns) noexcept {
  const timespec until = as_timespec(deadline_ns);
  // WAIT_BITSET takes an absolute time of the monotonic clock; plain WAIT a relative one.
  const long answer =
      ::syscall(SYS_futex, word, FUTEX_WAIT_BITSET | private_flag(scope), expected,
                deadline_ns != never_ns ? &until : nullptr, nullptr, FUTEX_BITSET_MATCH_ANY);
  return answer == 0 ? futex_end::woken : end_of(errno);
}

int futex_wake_at(std::uint32_t* word, int n, futex_scope scope) noexcept {
  const long woken =
      ::syscall(SYS_futex, word, FUTEX_WAKE | private_flag(scope), n, nullptr, nullptr, 0);
  return woken > 0 ? static_cast<int>(woken) : 0;
}

bool futex_wait(atomic<std::uint32_t>& word, std::uint32_t expected,
                std::int64_t deadline_ns) noexcept {
  return futex_wait_at(word.address(), expected, futex_scope::process_private, deadline_ns) !=
         futex_end::timed_out;
}

void futex_wake(atomic<std::uint32_t>& word, int n) noexcept {
  futex_wake_at(word.address(), n, futex_scope::process_private);
}

futex_end futex_wait_or_bell(std::uint32_t* word, std::uint32_t expected, futex_scope scope,
                             atomic<std::uint32_t>& bell, std::uint32_t unrung,
                             std::int64_t deadline_ns) noexcept {
  static atomic<bool> lacks_waitv{false};  // Linux before 5.16, or an old seccomp policy
  if (!lacks_waitv.load(order::relaxed)) {
    // The kernel answers with the last of those that were woken (futex_unqueue_multiple), so the
    // answer "the bell" says that no wake of the word was used up.
    futex_waitv both[2]{};
    both[0].val = unrung;
    both[0].uaddr = reinterpret_cast<std::uint64_t>(bell.address());
    both[0].flags = FUTEX_32 | FUTEX_PRIVATE_FLAG;
    both[1].val = expected;
    both[1].uaddr = reinterpret_cast<std::uint64_t>(word);
    both[1].flags = FUTEX_32 | static_cast<std::uint32_t>(private_flag(scope));
    const timespec until = as_timespec(deadline_ns);
    const long which =
        ::syscall(SYS_futex_waitv, both, 2u, 0u, deadline_ns != never_ns ? &until : nullptr,
                  static_cast<long>(CLOCK_MONOTONIC));
    if (which >= 0) return which == 1 ? futex_end::woken : futex_end::interrupted;
    if (errno != ENOSYS && errno != EPERM) {
      const int error = errno;
      // It does not say which of the two has changed.
      if (error == EAGAIN && bell.load(order::relaxed) != unrung) return futex_end::interrupted;
      return end_of(error);
    }
    lacks_waitv.store(true, order::relaxed);
  }
  if (bell.load(order::relaxed) != unrung) return futex_end::interrupted;
  const std::int64_t slice = saturating_add_ns(monotonic_ns(), slice_ns);
  const bool last = deadline_ns <= slice;
  const futex_end how = futex_wait_at(word, expected, scope, last ? deadline_ns : slice);
  return how == futex_end::timed_out && !last ? futex_end::interrupted : how;
}

}  // namespace weft::os
