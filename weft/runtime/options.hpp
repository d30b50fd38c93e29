// options: how a runtime is set up. Every type here is a trivially copyable aggregate, so designated
// initialisers stay safe inside a co_await expression on GCC 12.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "weft/task/priority.hpp"
#include "weft/task/spawn_options.hpp"

namespace weft {

/// How ready jobs are spread over the workers.
enum class scheduling : std::uint8_t {
  work_stealing,   // an idle worker takes from a busy one
  per_core,        // a job stays on the worker that its maker runs on (from outside: each in turn)
  current_thread,  // one worker without a thread of its own: whoever is in block_on() drives it
  guest,           // the same, driven by another event loop, see runtime::run_ready()
};

/// Where I/O waits. automatic takes what was measured to be best: epoll for sockets, and, where a real round
/// trip shows that io_uring works, a ring of it beside for files and futexes, which a worker makes at its
/// first (docs/decisions/0009-automatic.md). Where epoll is refused it is io_uring alone, or poll. epoll: that
/// alone, and the blocking pool for files. What was chosen, and why, is in the metrics. The environment variable
/// WEFT_DRIVER (io_uring, epoll, poll) wins over automatic; set to anything else it is a weft::error of
/// the runtime's constructor. scheduling::guest needs io_uring or epoll: poll has no descriptor that
/// a host could wait for. kqueue and iocp are of other systems than the one that this was built for: asked
/// for here they are a weft::error (std::errc::function_not_supported) of the runtime's constructor.
enum class driver : std::uint8_t { automatic, io_uring, epoll, poll, kqueue, iocp };

/// Whether workers keep to certain CPUs. A refusal by the system is no error; metrics_snapshot says what
/// was reached. For machines that one program has to itself: two that are pinned choose the same CPUs,
/// unless each gets a mask of its own (taskset, a cpuset). Threads and processes that a job starts
/// inherit the mask of its worker; the threads of spawn_blocking do not.
enum class pinning : std::uint8_t {
  none,   // the system moves them as it likes
  cores,  // each to one CPU: first one of each core, node after node, then the cores' other threads
  numa,   // each to the CPUs of one node, the nodes in proportion to their CPUs
};

/// What happens to an exception of a job that nobody will join: docs/guide/failures.md.
enum class panic_policy : std::uint8_t {
  abort,  // say which job and what, and abort
  log,    // say it, and go on
};

struct runtime_options {
  /// 0, automatic: as many threads as the affinity mask has CPUs, of which no more take part than the
  /// cgroup's quota grants; asked again each second, so a quota that changes is followed, up to four times
  /// what it was at the start. (In other modes than work_stealing the number is settled at the start.) A
  /// number of your own is kept to. With current_thread and guest it is 1, and more is refused.
  unsigned workers = 0;
  scheduling mode = scheduling::work_stealing;
  driver io = driver::automatic;
  /// A job that holds its worker for longer, in code that does not await, loses it: another thread goes on
  /// with what is ready there, with its timers and its I/O, and the job finishes beside it
  /// (docs/guide/stuck_tasks.md). One that blocks its thread does so after some milliseconds. 0: never. With
  /// work_stealing on threads and a clock of its own only; elsewhere it does nothing.
  std::chrono::microseconds preempt_after{10'000};
  // Say on stderr, once for each kind of job, which one that was, if it was at it for 100 ms; and on which thread
  // one has been at it for a thousand times preempt_after (a second at least), and still is.
  bool report_stuck = true;
  unsigned max_blocking_threads = 512;           // of spawn_blocking; more wait in line
  std::chrono::seconds blocking_keep_alive{10};  // an idle thread of spawn_blocking ends after it
  pinning pin = pinning::none;
  /// Of go(): address space for each fiber's stack; memory only for the pages that it touches.
  std::size_t fiber_stack = std::size_t{256} * 1024;
  panic_policy on_panic = panic_policy::abort;
  std::string_view name = "weft";  // of its threads; copied
};

}  // namespace weft
