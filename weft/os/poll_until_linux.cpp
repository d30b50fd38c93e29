#include "weft/os/poll_until.hpp"

#include <poll.h>

#include <cerrno>
#include <ctime>

#include "weft/os/clock.hpp"

namespace weft::os {

int poll_until(pollfd* list, std::size_t count, std::int64_t deadline_ns) noexcept {
  const std::int64_t left_ns = ns_left_until(deadline_ns);
  const timespec t{static_cast<time_t>(left_ns / ns_per_s), left_ns % ns_per_s};
  const int n = ::ppoll(list, count, left_ns == never_ns ? nullptr : &t, nullptr);
  return n >= 0 ? n : -errno;
}

}  // namespace weft::os
