// intercept: system calls of a child process, of which its parent refuses some in the kernel's place.
//
//   A rule     names a call and an error; the n-th call of that number is refused, or all from the n-th on.
//              A refused call is not made. What is not named costs nothing, what is named two switches
//   Exact      the parent sees each call before it is made, so it is known how many were refused: a run in
//              which nothing was refused proves nothing, and says so
//   Works      without privileges and without another program: seccomp's user notification (Linux 5.5).
//              Children and threads of the child are under the same rules
//   After      strace -e inject, which needs ptrace and ten times as long; seccomp_unotify(2)
#pragma once

#include <linux/seccomp.h>
#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <limits>
#include <string>
#include <vector>

namespace weft::faults {

/// A call that is about to be made.
struct call_seen {
  pid_t thread;
  const seccomp_data& data;
};

struct rule {
  int call = -1;  // its number
  int error = 0;  // errno; 0: it is counted only
  unsigned first = 1;
  unsigned times = std::numeric_limits<unsigned>::max();
  bool (*applies)(const call_seen&) = nullptr;  // null: to all of that number

  // What happened.
  unsigned seen = 0;
  unsigned refused = 0;
};

enum class ending : std::uint8_t { exited, signalled, hung, cannot };

struct run_report {
  ending how = ending::cannot;
  int code = 0;  // exit code or signal
  std::string
      text;  // what it wrote to stdout and stderr; where it hung; why it cannot be done here
};

/// Whether rules count now. In the child of run_under() only: before exec, or without one.
void count_calls(bool on) noexcept;

/// Runs `child` in a process of its own, whose exit code its answer is. It is killed after `seconds`.
/// With `counts_at_once` the rules count from its first call on (so also after an exec), else when it has
/// said count_calls(true). The calling process has one thread.
run_report run_under(std::vector<rule>& rules, unsigned seconds, bool counts_at_once,
                     const std::function<int()>& child);

/// Whether this machine can do it; why not.
bool can_intercept(std::string& why_not);

/// The path that argument `index` of a call points to. Empty where it cannot be read.
std::string path_of(const call_seen& call, unsigned index);

}  // namespace weft::faults
