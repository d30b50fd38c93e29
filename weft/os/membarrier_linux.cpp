#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "weft/base/atomic.hpp"
#include "weft/os/membarrier.hpp"

namespace weft::os {

bool register_heavy_fence() noexcept {
  static const bool works =
      ::syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0) == 0;
  return works;
}

void heavy_fence() noexcept {
  if (::syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0) != 0) {
    fence(order::seq_cst);
  }
}

}  // namespace weft::os
