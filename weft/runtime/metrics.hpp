// metrics: what a runtime counted. A snapshot is not one moment: each figure is true for itself.
#pragma once

#include <cstdint>
#include <string_view>

namespace weft {

struct metrics_snapshot {
  unsigned workers = 0;
  unsigned workers_active = 0;      // of them, as many as the CPU quota lets take part
  unsigned workers_benched = 0;     // sit out now: the rest, once they have come to know
  unsigned pinned_workers = 0;      // that the system keeps to their CPUs, as options.pin wanted
  std::string_view pinning_reason;  // why they are not all, or not each on a CPU of its own
  std::string_view driver;          // what I/O waits in: "io_uring", "epoll", "poll"
  std::string_view driver_reason;   // why it was chosen
  std::uint64_t jobs_alive = 0;
  std::uint64_t jobs_spawned = 0;
  std::uint64_t turns = 0;             // times that a job was run
  std::uint64_t background_turns = 0;  // of these, for jobs of background priority
  std::uint64_t stolen = 0;            // jobs that a worker took from another one
  std::uint64_t overflowed = 0;        // jobs that a full run queue sent to the injector
  std::uint64_t arrived = 0;           // pinned jobs that were made ready on other threads
  std::uint64_t injected = 0;          // jobs that came from outside of the workers
  std::uint64_t parks = 0;             // times that a worker went to sleep
  std::uint64_t io_completions = 0;
  std::uint64_t timers_fired = 0;
  std::uint64_t timers_armed = 0;  // now
  // Of jobs that hold a worker for longer than runtime_options::preempt_after.
  std::uint64_t handoffs = 0;          // processors that were given to another thread
  std::uint64_t handoffs_refused = 0;  // that came too late: the job had just come back
  std::uint64_t no_spare = 0;          // that had no thread to go to, or too many are out
  std::uint64_t stuck_in_runtime = 0;  // threads found for so long in a call of the runtime's own
  std::uint64_t longest_hold_ns = 0;   // of a job that lost its worker, and has given way since
  std::uint64_t monitor_looks = 0;     // stands still while all workers rest
  unsigned lost_threads = 0;           // that go on without a processor, now
  unsigned spare_threads = 0;  // beside the workers, now: those that are lost among them or not
  // Of fibers: of the process, whose stacks all runtimes share.
  std::uint64_t fibers = 0;                       // now: they have a stack
  std::uint64_t fiber_stacks_free = 0;            // now, those of them that keep their memory
  std::uint64_t fiber_stacks_reserved_bytes = 0;  // address space, now
  // The most that one was found to have used, in whole pages. Looked at are the first fiber that ends on a thread,
  // each 1024th after it, and all stacks whose memory an idle worker gives back.
  std::uint64_t fiber_stack_high_watermark_bytes = 0;
  std::uint64_t preemptions = 0;  // fibers that a signal made give way, see preemptible()
  unsigned blocking_threads = 0;  // of spawn_blocking, now
  std::uint64_t blocking_waiting = 0;
};

}  // namespace weft
