// thread: an operating system thread, and the few things a thread says about itself.
//
//   Census   each, from start() to join(), counts as census_kind::threads
//   Errors   a refused thread is a value, never an abort: processes at their limit go on
//   Signals  the new thread has the mask of the one that started it
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
  thread& operator=(thread&& other) noexcept;  // *this must not be joinable
  thread(const thread&) = delete;
  thread& operator=(const thread&) = delete;
  ~thread();  // asserts that it was joined: nobody may outlive what its thread uses

  /// Runs entry(argument) on a new thread. `name` is what ps and debuggers show; 15 bytes of it.
  /// `stack_bytes` is rounded up to what the system demands; 0: the system's default.
  /// Errors: std::errc::resource_unavailable_try_again at a limit, not_enough_memory.
  [[nodiscard]] static result<thread> start(std::string_view name, std::size_t stack_bytes,
                                            void (*entry)(void*), void* argument) noexcept;
  /// Waits for its end. A thread cannot join itself.
  void join() noexcept;
  bool joinable() const noexcept { return joinable_; }

 private:
  std::uintptr_t handle_ = 0;
  bool joinable_ = false;
};

#if WEFT_CENSUS
/// For tests: after `good` starts from now on `refused` ones are refused, as at the system's limit, and
/// those after them are not. Threads: any; of the whole process.
void refuse_thread_starts(std::uint32_t good, std::uint32_t refused) noexcept;
#endif

/// 15 bytes at most are kept. Errors are ignored: it is for people.
void set_current_thread_name(std::string_view name) noexcept;

/// The number that the system's tools show. Cost: a system call: so it stays true after fork().
std::uint64_t current_thread_id() noexcept;

/// How late the system may make the calling thread's waits that have a deadline, to save wake-ups. Threads
/// and processes that it starts inherit that. Errors are ignored: it is a hint.
void set_timer_slack(std::int64_t ns) noexcept;
/// What it is now. 0: the system has no such thing.
std::int64_t timer_slack() noexcept;

/// The CPU time of one thread, asked for by others while that thread lives. Cost: a system call, 0.5 us.
class thread_clock {
 public:
  thread_clock() noexcept = default;
  static thread_clock of_caller() noexcept;
  /// Units: nanoseconds since its start. -1: the system does not tell.
  std::int64_t used_ns() const noexcept;
  /// Whether it waits for something else than a CPU, now. True also where the system does not tell. Cost:
  /// 5 us, and a descriptor for a moment.
  bool waits() const noexcept;
  /// Its number, for time_slice().
  std::uint64_t thread() const noexcept { return thread_; }

 private:
  std::int32_t id_ = 0;
  bool known_ = false;
  std::uint64_t thread_ = 0;
};

/// How long a thread of this process may compute before others have their turn; who has less of it is let in
/// sooner when it wakes. 0: the system's own idea. Linux has it from 6.12 on, for all users; elsewhere, and
/// where it is refused, nothing changes. Threads and processes that it starts from then on begin with the system's
/// (and, if its nice value is below 0, with 0). Cost: two system calls.
void set_time_slice(std::uint64_t thread, std::int64_t ns) noexcept;
/// What it is now. 0: the system does not tell.
std::int64_t time_slice(std::uint64_t thread) noexcept;

/// Lets another thread run, if one wants this CPU.
void yield_thread() noexcept;

}  // namespace weft::os
