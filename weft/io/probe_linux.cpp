#include <cerrno>

#include "weft/io/driver_epoll.hpp"
#include "weft/io/driver_poll.hpp"
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

/// The same of epoll, where the ring was refused before.
std::string_view reason_for_poll(const std::error_code& refusal) noexcept {
  switch (refusal.value()) {
    case EPERM:
    case EACCES:
      return "poll: neither io_uring nor epoll may be used (epoll: EPERM; a seccomp policy)";
    case ENOSYS:
      return "poll: there is neither io_uring nor epoll (epoll: ENOSYS; a sandbox)";
    case EMFILE:
    case ENFILE:
      return "poll: no descriptor was left for io_uring or epoll";
    default:
      return "poll: neither io_uring nor epoll could be set up";
  }
}

template <class Driver>
result<std::unique_ptr<driver>> as_driver(result<std::unique_ptr<Driver>> made) noexcept {
  if (!made) return std::unexpected(made.error());
  return std::unique_ptr<driver>(std::move(*made));
}

/// Where that fails, `why` says so.
result<std::unique_ptr<driver>> make_poll(std::string_view& why) noexcept {
  auto made = poll_driver::make();
  if (!made) why = "none: not even a pipe for poll could be made";
  return as_driver(std::move(made));
}

/// By measurement, not by what is newest: docs/decisions/0009-automatic.md.
result<std::unique_ptr<driver>> make_best(std::string_view& why) noexcept {
  uring_refusal refusal{};
  const bool has_rings = uring_driver::works(refusal);
  auto made = epoll_driver::make(has_rings ? epoll_driver::ring_entries_usual : 0);
  if (made) {
    why = has_rings
              ? "epoll, with io_uring for files: a NOP made the round trip, but sockets cost less "
                "CPU time on epoll, as measured (docs/decisions/0009-automatic.md)"
              : reason(refusal);
    return as_driver(std::move(made));
  }
  if (has_rings) {
    if (auto ring = uring_driver::make(uring_driver::entries_usual, refusal)) {
      why = "io_uring: epoll was refused";
      return std::unique_ptr<driver>(std::move(ring));
    }
  }
  why = reason_for_poll(made.error());
  return make_poll(why);
}

}  // namespace

result<std::unique_ptr<driver>> make_platform_driver(driver_kind kind,
                                                     std::string_view& why) noexcept {
  switch (kind) {
    case driver_kind::automatic:
      return make_best(why);
    case driver_kind::io_uring: {
      uring_refusal refusal{};
      auto ring = uring_driver::make(uring_driver::entries_usual, refusal);
      why = ring ? "io_uring: as the program asked" : reason(refusal);
      if (!ring) return std::unexpected(os::from_errno(refusal.error));
      return std::unique_ptr<driver>(std::move(ring));
    }
    case driver_kind::epoll: {
      auto made = epoll_driver::make();
      why = made ? "epoll: as the program asked" : "none: epoll was refused";
      return as_driver(std::move(made));
    }
    case driver_kind::poll:
      why = "poll: as the program asked";
      return make_poll(why);
  }
  __builtin_unreachable();
}

}  // namespace weft::io
