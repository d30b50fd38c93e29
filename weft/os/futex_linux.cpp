#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>

#include "weft/os/futex.hpp"

namespace weft::os {

bool futex_wait(atomic<std::uint32_t>& word, std::uint32_t expected,
                std::int64_t deadline_ns) noexcept {
  timespec until{};
  timespec* limit = nullptr;
  if (deadline_ns != never_ns) {
    const std::int64_t ns = deadline_ns > 0 ? deadline_ns : 0;
    until.tv_sec = ns / 1'000'000'000;
    until.tv_nsec = ns % 1'000'000'000;
    limit = &until;
  }
  // WAIT_BITSET takes an absolute time of the monotonic clock; plain WAIT a relative one.
  const long answer = ::syscall(SYS_futex, word.address(), FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG,
                                expected, limit, nullptr, FUTEX_BITSET_MATCH_ANY);
  return answer == 0 || errno != ETIMEDOUT;
}

void futex_wake(atomic<std::uint32_t>& word, int n) noexcept {
  ::syscall(SYS_futex, word.address(), FUTEX_WAKE | FUTEX_PRIVATE_FLAG, n, nullptr, nullptr, 0);
}

}  // namespace weft::os
