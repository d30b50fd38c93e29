#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "weft/os/thread.hpp"

namespace weft::os {

std::uint64_t current_thread_id() noexcept {
  return static_cast<std::uint64_t>(::syscall(SYS_gettid));
}

void set_timer_slack(std::int64_t ns) noexcept {
  ::prctl(PR_SET_TIMERSLACK, static_cast<unsigned long>(ns), 0, 0, 0);
}

std::int64_t timer_slack() noexcept {
  const int ns = ::prctl(PR_GET_TIMERSLACK, 0, 0, 0, 0);
  return ns > 0 ? ns : 0;
}

}  // namespace weft::os
