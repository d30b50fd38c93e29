// io_request: an I/O operation that is awaited on the driver of whatever worker runs the job.
#pragma once

#include "weft/io/driver.hpp"

namespace weft::io {

class request : public awaitable_operation<request, io_operation> {
 public:
  std::coroutine_handle<> start(promise_base& waiter) noexcept;
  /// The driver of the worker that runs the calling job, to attach descriptors to, which any thread may:
  /// it may be another's in the next moment. Asserts that there is one.
  static driver& current_driver() noexcept;
  /// Whether the worker's driver does such calls. False also on a thread that has lost its processor.
  static bool driver_does_file(os::file_code code) noexcept;
  /// Whether a worker calls, so that there is one, and a blocking pool.
  static bool on_worker() noexcept;

 protected:
  request() noexcept {}
  ~request() = default;
  /// After a start on a thread that had lost its processor.
  std::coroutine_handle<> go_on(promise_base& waiter) noexcept override;
};

}  // namespace weft::io
