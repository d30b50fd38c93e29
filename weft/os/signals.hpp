// signals: SIGINT and SIGTERM as something to wait for.
//
//   Threads  open() and the end: one thread; the signal may strike any
//   Memory   one at a time in a process: dispositions are the process's
#pragma once

#include "weft/base/result.hpp"
#include "weft/os/fd.hpp"

namespace weft::os {

/// Catches SIGINT and SIGTERM as long as it lives; then they do again what they did before.
class signal_pipe {
 public:
  signal_pipe() noexcept = default;
  signal_pipe(signal_pipe&& other) noexcept;
  signal_pipe& operator=(signal_pipe&&) = delete;
  ~signal_pipe();

  /// Errors: std::errc::device_or_resource_busy when there is one already; those of pipe().
  [[nodiscard]] static result<signal_pipe> open() noexcept;
  /// Readable once a signal came.
  int fd() const noexcept { return read_.get(); }
  /// The number of the oldest signal not taken yet, or 0. Never waits.
  int take() noexcept;

 private:
  os::fd read_;
  os::fd write_;
};

}  // namespace weft::os
