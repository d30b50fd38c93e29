// live_home: which schedulers are there still. A join_handle may outlive the scheduler of its job, and
// has an exception to report that nobody took.
//
//   Threads   any
//   Cost      none until a job of it fails; then a load, and once a lock that all schedulers share
//   Protocol  live_home.cpp
#pragma once

#include <cstdint>
#include <exception>

#include "weft/base/atomic.hpp"
#include "weft/base/spin_lock.hpp"

namespace weft {

class job;
class scheduler;

namespace detail {

class live_home;

/// Those that have a number.
class live_homes {
 private:
  friend class live_home;
  live_home** link_to(std::uintptr_t number) noexcept;

  spin_lock lock_;  // guards what follows
  live_home* first_ = nullptr;
  std::uintptr_t last_number_ = 0;
};
/// Those of the process. Never destroyed: handles may go after the statics.
live_homes& all_live_homes() noexcept;

/// A part of a scheduler, by which it is found while it is there.
class live_home {
 public:
  explicit live_home(scheduler& of, live_homes& among = all_live_homes()) noexcept
      : of_(of), among_(among) {}
  ~live_home() { end(); }
  live_home(const live_home&) = delete;
  live_home& operator=(const live_home&) = delete;

  /// What it is found by: no other one of this process has that number. Never 0. Not after end().
  std::uintptr_t number() noexcept;
  /// From now on nobody finds it; those who have are awaited. Once it has begun, number() must not be
  /// called for the first time.
  void end() noexcept;

  enum class tell_result : unsigned char { told, gone };
  /// Calls panicked() of the scheduler that has that number.
  [[nodiscard]] static tell_result tell_panic(std::uintptr_t number, job& ended,
                                              const std::exception_ptr& error,
                                              live_homes& among = all_live_homes()) noexcept;

 private:
  friend class live_homes;

  scheduler& of_;
  live_homes& among_;
  live_home* next_ = nullptr;
  atomic<std::uintptr_t> number_{0};  // 0: it has none, and is in no list
  atomic<std::uint32_t> visitors_{0};
};

}  // namespace detail
}  // namespace weft
