#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

#include "weft/base/assert.hpp"
#include "weft/base/atomic.hpp"
#include "weft/os/membarrier.hpp"
#include "weft/os/thread.hpp"

namespace weft::os {

bool register_heavy_fence() noexcept {
  static const bool works =
      ::syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0) == 0;
  return works;
}

void heavy_fence() noexcept {
  if (!register_heavy_fence()) return fence(order::seq_cst);
  // The light sides have no fence of their own then, so nothing else will do. ENOMEM passes.
  while (::syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0) != 0) {
    WEFT_ASSERT(
        errno == ENOMEM || errno == EAGAIN || errno == EINTR,
        "membarrier was refused after it had worked: was a seccomp policy set while a runtime "
        "was there? Set it before the first one is made");
    yield_thread();
  }
}

}  // namespace weft::os
