// spawn_options: what a job may be told when it is made.
#pragma once

#include <cstddef>

#include "weft/task/job.hpp"
#include "weft/task/priority.hpp"

namespace weft {

class frame_account;

/// For one job; see spawn().
struct spawn_options {
  const char* name = "";  // for listings; must outlive the job
  weft::priority priority = weft::priority::normal;
  // Below runtime_options::workers: it runs there and nowhere else. That is no lock: a job that holds the
  // worker for longer than runtime_options::preempt_after goes on beside the next one.
  unsigned worker = any_worker;
  std::size_t stack = 0;  // of go(): bytes; 0: runtime_options::fiber_stack
  bool migrates = false;  // of go(): any worker may go on with it; docs/guide/fibers.md first
  const frame_account* account = nullptr;  // what its tree is booked to; by default its maker's
};

namespace detail {

inline void configure(job& made, const spawn_options& options) noexcept {
  if (options.name != nullptr && *options.name != '\0') made.set_name(options.name);
  made.set_priority(options.priority);
  if (options.worker != any_worker) made.pin_to(options.worker);
}

}  // namespace detail
}  // namespace weft
