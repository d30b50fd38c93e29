#include "weft/runtime/environment.hpp"

#include <limits>

#include "weft/os/affinity.hpp"
#include "weft/os/cgroup.hpp"
#include "weft/os/clock.hpp"

namespace weft::detail {
namespace {

class machine final : public environment {
 public:
  std::int64_t now_ns() noexcept override { return os::monotonic_ns(); }
  bool skip_to(std::int64_t) noexcept override { return false; }
  bool is_virtual() const noexcept override { return false; }
  std::uint64_t seed() noexcept override { return static_cast<std::uint64_t>(os::monotonic_ns()); }
  result<std::unique_ptr<io::driver>> make_driver(driver kind,
                                                  std::string_view* why) noexcept override {
    switch (kind) {
      case driver::automatic:
        return io::make_driver(io::driver_kind::automatic, why);
      case driver::io_uring:
        return io::make_driver(io::driver_kind::io_uring, why);
      case driver::epoll:
        return io::make_driver(io::driver_kind::epoll, why);
      case driver::poll:
        return io::make_driver(io::driver_kind::poll, why);
      case driver::kqueue:
        return refuse("kqueue: not on this system; leave it to automatic", why);
      case driver::iocp:
        return refuse("iocp: not on this system; leave it to automatic", why);
    }
    __builtin_unreachable();
  }

 private:
  static result<std::unique_ptr<io::driver>> refuse(std::string_view reason,
                                                    std::string_view* why) noexcept {
    if (why != nullptr) *why = reason;
    return std::unexpected(std::make_error_code(std::errc::function_not_supported));
  }
};

}  // namespace

unsigned environment::cpus_allowed() noexcept { return os::cpus_allowed(); }

unsigned environment::cpus_available() noexcept {
  const unsigned limit = os::cgroup_cpu_limit("");
  return limit != 0 ? limit : std::numeric_limits<unsigned>::max();
}

std::int64_t environment::cpus_look_every_ns() noexcept { return 1'000'000'000; }

os::topology environment::topology() { return os::current_topology(); }

environment& real_environment() noexcept {
  static machine instance;
  return instance;
}

}  // namespace weft::detail
