// thread: an operating-system thread, owned.
//
//   Errors   too many threads is a value (std::errc::resource_unavailable_try_again), no abort
//   Threads  one owner; joined before it is destroyed
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "weft/base/result.hpp"

namespace weft::os {

class thread {
 public:
  thread() noexcept = default;
  thread(thread&& other) noexcept;
  thread& operator=(thread&& other) noexcept;
  ~thread();  // must have been joined

  /// Runs entry(argument) on a new thread. `stack_bytes` 0: the system's default. `name` is cut to
  /// what the system shows (15 bytes on Linux).
  static result<thread> start(std::string_view name, std::size_t stack_bytes, void (*entry)(void*),
                              void* argument) noexcept;
  void join() noexcept;
  bool joinable() const noexcept { return running_; }
  /// As current_thread_id() gives it on that thread; 0 before start().
  std::uint64_t id() const noexcept { return handle_; }

 private:
  std::uint64_t handle_ = 0;
  bool running_ = false;
};

std::uint64_t current_thread_id() noexcept;
void set_current_thread_name(std::string_view name) noexcept;
void yield_thread() noexcept;

}  // namespace weft::os
