#include <cerrno>

#include "weft/io/driver_epoll.hpp"
#include "weft/io/driver_uring.hpp"
#include "weft/io/probe.hpp"
#include "weft/os/error.hpp"

namespace weft::io {
namespace {

/// What a refusal of the ring means to whoever reads the metrics.
std::string_view reason(uring_refusal refusal) noexcept {
  switch (refusal.stage) {
    case uring_stage::setup:
      switch (refusal.error) {
        case EPERM:
        case EACCES:
          return "epoll: io_uring_setup is denied (EPERM; a container's seccomp policy, or the "
                 "sysctl kernel.io_uring_disabled)";
        case ENOSYS:
          return "epoll: this kernel has no io_uring (ENOSYS)";
        case ENOMEM:
          return "epoll: no memory for a ring (ENOMEM; see RLIMIT_MEMLOCK)";
        case EMFILE:
        case ENFILE:
          return "epoll: no descriptor was left for a ring";
        default:
          return "epoll: io_uring_setup failed";
      }
    case uring_stage::features:
      return "epoll: this kernel's io_uring is too old (NODROP, EXT_ARG or SUBMIT_STABLE missing)";
    case uring_stage::memory:
      return "epoll: the ring could not be mapped";
    case uring_stage::round_trip:
      return refusal.error == EPERM
                 ? "epoll: a ring can be made, but io_uring_enter is denied (EPERM; seccomp)"
                 : "epoll: a NOP did not make it through the ring";
    case uring_stage::wake:
      return "epoll: no descriptor was left for a ring's wake-up";
  }
  return "epoll: io_uring does not work here";
}

}  // namespace

result<std::unique_ptr<driver>> make_platform_driver(driver_kind kind,
                                                     std::string_view& why) noexcept {
  if (kind != driver_kind::epoll) {
    uring_refusal refusal{};
    auto ring = uring_driver::make(uring_driver::entries_usual, refusal);
    if (ring) {
      why = kind == driver_kind::automatic ? "io_uring: a NOP made the round trip"
                                           : "io_uring: as the program asked";
      return std::unique_ptr<driver>(std::move(ring));
    }
    why = reason(refusal);
    if (kind == driver_kind::io_uring) {
      return std::unexpected(os::from_errno(refusal.error));
    }
  } else {
    why = "epoll: as the program asked";
  }
  auto made = epoll_driver::make();
  if (!made) {
    why = "none: epoll was refused";
    return std::unexpected(made.error());
  }
  return std::unique_ptr<driver>(std::move(*made));
}

}  // namespace weft::io
