// virtual_time: a runtime whose clock stands still while anything can run, and jumps to the next
// timer when nothing can. A test of an hour takes a millisecond, and its numbers are exact. Time
// passes only inside block_on(), and while the runtime is being destroyed.
//
//   testing::virtual_runtime rt;
//   rt.block_on(scenario());            // sleep_for(1h) inside: no waiting
//   EXPECT_EQ(rt.elapsed(), 1h);
//
//   Threads  one worker; spawn_blocking and I/O work, and the clock stands still while they do
//   Limits   a job that waits for something that never comes hangs, as it would in production
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>

#include "weft/runtime/runtime.hpp"

namespace weft::testing {

struct virtual_options {
  std::uint64_t seed = 1;  // of the scheduler's choices, and select's: the same one, the same run
  std::chrono::nanoseconds start{0};  // what the clock shows at first
  /// Not said: io_uring where it works, else as a runtime chooses. With epoll the clock stands still as long
  /// as a descriptor is open on which something has once waited, not only while it waits.
  std::optional<driver> io = std::nullopt;
  scheduling mode = scheduling::work_stealing;  // or current_thread: see runtime::block_on
};

class virtual_runtime {
 public:
  explicit virtual_runtime(virtual_options options = {});
  ~virtual_runtime();

  template <class A>
  auto block_on(A&& awaitable) -> await_result_t<std::remove_reference_t<A>&&> {
    return rt_->block_on(drive<await_result_t<std::remove_reference_t<A>&&>>(awaitable));
  }
  template <class F, class... A>
  auto spawn(F&& f, A&&... args) {
    return rt_->spawn(std::forward<F>(f), std::forward<A>(args)...);
  }
  runtime& get() noexcept { return *rt_; }
  /// On the virtual clock, since the start.
  std::chrono::nanoseconds elapsed() const noexcept;

 private:
  class world;
  /// While one exists, the clock may move on.
  class ticking {
   public:
    explicit ticking(world& w) noexcept;
    ~ticking();
    ticking(const ticking&) = delete;
    ticking& operator=(const ticking&) = delete;

   private:
    world& world_;
  };
  template <class T, class A>
  task<T> drive(A& awaitable) {
    const ticking on(*world_);  // ends on the worker, before it can be idle again
    co_return co_await detail::await_one<T>(&awaitable);
  }

  std::unique_ptr<world> world_;
  std::unique_ptr<runtime> rt_;
};

}  // namespace weft::testing
