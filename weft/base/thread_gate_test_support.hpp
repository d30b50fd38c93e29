// thread_gate: where a test's threads wait for each other, without time. A std::atomic, whose wait() the
// shim does not have.
#pragma once

#include <atomic>

namespace weft::test_support {

class thread_gate {
 public:
  void open() noexcept {
    open_.store(true);
    open_.notify_all();
  }
  void pass() const noexcept { open_.wait(false); }

 private:
  std::atomic<bool> open_{false};
};

}  // namespace weft::test_support
