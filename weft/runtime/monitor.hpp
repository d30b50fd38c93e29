// monitor: the thread that looks whether a job holds its worker for too long, and then hands the
// worker's processor to a spare thread. The stuck thread is not interrupted: it finishes its job
// without a processor. It is told of when it has done so, or if it has not for long.
//
//   Threads  one of its own, for each runtime that can use it (runtime_core says which)
//   Cost     a look: some loads for each worker; of those that run user code the CPU time is asked
//            for (0.5 us). Each quarter of the time that a job may take, 2.5 ms at most, while any
//            worker is up, and less often where no job takes long (look_pace.hpp); not at all while they rest,
//            but for the moment when a job that does not come back is told of. Nothing on the way from one job
//            to the next
//   Promise  what is ready behind a job that computes waits for it no longer than that time and a
//            period, behind one that blocks no longer than three periods. What never ran, behind
//            several that compute: an eighth of that time for each further one, or twice that time where
//            those that come back leave it none
//   Protocol docs/internals/handoff.md; the claim is in task/pin.hpp, the sleep in watch_rest.hpp
#pragma once

#include <cstdint>
#include <vector>

#include "weft/base/atomic.hpp"
#include "weft/os/thread.hpp"
#include "weft/runtime/look_pace.hpp"
#include "weft/runtime/watch_rest.hpp"

namespace weft::detail {

class processor;
class runtime_core;
class worker;

class monitor {
 public:
  monitor(runtime_core& core, std::int64_t slice_ns);
  monitor(const monitor&) = delete;
  monitor& operator=(const monitor&) = delete;

  /// Errors: the system's, of a thread that it refuses.
  result<void> start() noexcept;
  /// Waits for its thread's end.
  void end() noexcept;

  watch_rest& rest() noexcept { return rest_; }
  std::int64_t slice_ns() const noexcept { return slice_ns_; }
  std::uint64_t looks() const noexcept { return looks_.load(order::relaxed); }

 private:
  /// What the last look saw of a processor.
  struct sight {
    worker* owner = nullptr;
    std::uint64_t tick = 0;
    std::int64_t since_ns = 0;
    std::int64_t cpu_ns = -1;  // of the owner; -1: not asked in this job
    std::int64_t cpu_at_ns = 0;
    bool was_stuck = false;           // in the runtime; counted once
    std::uint64_t hurries_until = 0;  // a turn
    bool others_waited = false;       // behind it, when its processor went to another one
  };

  enum class doing { unknown, computes, blocks };

  static void thread_main(void* self);
  void run() noexcept;
  bool look(std::int64_t now_ns) noexcept;
  std::int64_t slice_of(const sight& s) const noexcept;
  void look_at(std::int64_t ns) noexcept;
  doing what_it_does(sight& s, std::int64_t now_ns) noexcept;
  void hand_over(processor& p, sight& s, bool blocked, std::int64_t now_ns) noexcept;
  bool all_rest() const noexcept;

  runtime_core& core_;
  const std::int64_t slice_ns_;
  look_pace pace_;
  std::int64_t next_ns_ = 0;              // the next look
  std::int64_t stays_due_ns_ = never_ns;  // when the first may be told of that has not come back
  std::vector<sight> seen_;
  watch_rest rest_;
  atomic<std::uint64_t> looks_{0};
  os::thread thread_;
};

}  // namespace weft::detail
