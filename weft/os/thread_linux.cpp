#include <sys/syscall.h>
#include <unistd.h>

#include "weft/os/thread.hpp"

namespace weft::os {

std::uint64_t current_thread_id() noexcept {
  return static_cast<std::uint64_t>(::syscall(SYS_gettid));
}

}  // namespace weft::os
