// io_request: an I/O operation that is awaited on the driver of whatever worker runs the job.
#pragma once

#include "weft/io/driver.hpp"

namespace weft::io {

class request : public awaitable_operation<request, io_operation> {
 public:
  std::coroutine_handle<> start(promise_base& waiter) noexcept;
  /// The driver of the worker that runs the calling job, to attach descriptors to. Asserts that there
  /// is one.
  static driver& current_driver() noexcept;
  /// Whether a worker calls, so that there is one, and a blocking pool.
  static bool on_worker() noexcept;

 protected:
  request() noexcept {}
  ~request() = default;
};

}  // namespace weft::io
