// environment: what a runtime takes from outside: time, randomness, the driver. The real one is the
// machine; weft/testing gives one whose clock jumps from event to event.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>

#include "weft/base/result.hpp"
#include "weft/io/driver.hpp"
#include "weft/os/topology.hpp"
#include "weft/runtime/options.hpp"

namespace weft::detail {

class environment {
 public:
  virtual ~environment() = default;
  /// The monotonic clock, nanoseconds. Threads: any.
  virtual std::int64_t now_ns() noexcept = 0;
  /// A worker has nothing to do before `deadline_ns`. True: the clock was moved on to it, so that the
  /// worker need not sleep. False: it is a clock that goes by itself.
  virtual bool skip_to(std::int64_t deadline_ns) noexcept = 0;
  /// The clock does not go by itself, so deadlines of it are no deadlines for the kernel.
  virtual bool is_virtual() const noexcept = 0;
  /// Start value of the scheduler's random choices.
  virtual std::uint64_t seed() noexcept = 0;
  virtual result<std::unique_ptr<io::driver>> make_driver(driver kind,
                                                          std::string_view* why) noexcept = 0;

  // Of the machine, unless told otherwise.

  /// The CPUs of the calling thread's affinity mask: so many worker threads an automatic runtime gets.
  virtual unsigned cpus_allowed() noexcept;
  /// How many of them it may use now; more than there are is no limit. Asked by a worker, whose own mask
  /// may be one CPU: so the quota alone decides. Cost: 45 us of file reads.
  virtual unsigned cpus_available() noexcept;
  /// How often workers ask that.
  virtual std::int64_t cpus_look_every_ns() noexcept;
  /// The CPUs that workers are pinned to. Throws std::bad_alloc.
  virtual os::topology topology();

 protected:
  environment() noexcept = default;
};

/// The machine's clock, entropy and drivers.
environment& real_environment() noexcept;

}  // namespace weft::detail
