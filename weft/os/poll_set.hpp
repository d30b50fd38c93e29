// poll_set: one descriptor that polls as readable while one of its members does, or from some
// moment on: what another event loop waits for in place of all of them.
//
//   Threads  get() any; the rest one owner at a time
//   Cost     due_at(): a system call if the moment is another one than before, else nothing
#pragma once

#include <cstdint>

#include "weft/base/result.hpp"
#include "weft/base/time.hpp"
#include "weft/os/fd.hpp"

namespace weft::os {

class poll_set {
 public:
  poll_set() noexcept = default;
  /// Errors: the system's, at a limit of descriptors or memory.
  [[nodiscard]] static result<poll_set> make() noexcept;

  /// `member` must be closed after the set, or be a descriptor that nobody else has a copy of.
  [[nodiscard]] result<void> add(int member) noexcept;
  /// Readable from this moment (monotonic nanoseconds) on, until another one is set; 0 or less:
  /// now; never_ns: not for the time's sake.
  void due_at(std::int64_t moment_ns) noexcept;
  /// -1 when it was not made. For poll, epoll, select and their like; not to be read.
  int get() const noexcept { return set_.get(); }

 private:
  fd set_;
  fd alarm_;  // never read: setting it anew is what takes back that it has rung
  std::int64_t due_ns_ = never_ns;
};

}  // namespace weft::os
