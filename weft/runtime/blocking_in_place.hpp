// blocking_in_place: a call that may block its thread, made where it stands; other jobs go on
// meanwhile.
//
//   const auto n = weft::blocking([&] { return ::read(fd, buffer, size); });
//
// Says to the runtime what it would find out a few milliseconds later: that the worker's thread is
// about to wait. Another thread takes the worker over at once, if one is there and there is
// anything to do, else within a few milliseconds. What is known to block for long is better off in
// spawn_blocking(), whose threads are bounded by an option: here each call that blocks takes a
// thread beside the workers.
//
//   Threads  any; elsewhere than in a job on a work_stealing runtime it just calls f
//   Errors   what f throws
//   Cancel   a stop waits for f's end
//   Fibers   may await in f: what the runtime was told ends there
#pragma once

#include <cstdint>
#include <functional>
#include <utility>

#include "weft/base/config.hpp"

namespace weft {

namespace detail {

class worker;

/// While it lives the calling thread may block.
class blocking_region {
 public:
  blocking_region() noexcept;
  ~blocking_region();
  blocking_region(const blocking_region&) = delete;
  blocking_region& operator=(const blocking_region&) = delete;

 private:
  worker* const worker_;  // compared, and used where it is the caller
  std::uint64_t turn_ = 0;
  std::uint64_t before_ = 0;
};

}  // namespace detail

/// Gives what f() gives.
template <class F>
decltype(auto) blocking(F&& f) {
  const detail::blocking_region here;
  return std::invoke(std::forward<F>(f));
}

}  // namespace weft
