#include <fcntl.h>
#include <pthread.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstring>

#include "weft/os/thread.hpp"

namespace weft::os {

std::uint64_t current_thread_id() noexcept {
  return static_cast<std::uint64_t>(::syscall(SYS_gettid));
}

void set_timer_slack(std::int64_t ns) noexcept {
  ::prctl(PR_SET_TIMERSLACK, static_cast<unsigned long>(ns), 0, 0, 0);
}

thread_clock thread_clock::of_caller() noexcept {
  thread_clock mine;
  clockid_t id{};
  mine.known_ = ::pthread_getcpuclockid(::pthread_self(), &id) == 0;
  mine.id_ = id;
  mine.thread_ = current_thread_id();
  return mine;
}

std::int64_t thread_clock::used_ns() const noexcept {
  timespec used{};
  if (!known_ || ::clock_gettime(id_, &used) != 0) return -1;
  return std::int64_t{used.tv_sec} * 1'000'000'000 + used.tv_nsec;
}

bool thread_clock::waits() const noexcept {
  char text[64];
  std::snprintf(text, sizeof text, "/proc/self/task/%llu/stat",
                static_cast<unsigned long long>(thread_));
  const int file = ::open(text, O_RDONLY | O_CLOEXEC);
  if (file < 0) return true;
  const ssize_t n = ::read(file, text, sizeof text - 1);
  ::close(file);
  if (n <= 0) return true;
  text[n] = '\0';
  // "1234 (name) S ...": the name, of 15 bytes at most, may have any of these in it.
  const char* const after = std::strrchr(text, ')');
  return after == nullptr || after[1] != ' ' || after[2] != 'R';
}

namespace {

// As the kernel has it: glibc 2.36 has neither the calls nor the struct.
struct scheduling_attributes {
  std::uint32_t size, policy;
  std::uint64_t flags;
  std::int32_t nice;
  std::uint32_t priority;
  std::uint64_t runtime, deadline, period;
  std::uint32_t util_min, util_max;
};
constexpr std::uint32_t policy_other = 0;
constexpr std::uint64_t reset_on_fork = 1;  // SCHED_FLAG_RESET_ON_FORK

/// Result: they are known, and are of a thread that takes its turns as most do.
bool ask(std::uint64_t thread, scheduling_attributes& now) noexcept {
  const int errno_before = errno;
  const bool known =
      ::syscall(SYS_sched_getattr, static_cast<pid_t>(thread), &now, unsigned{sizeof now}, 0u) == 0;
  errno = errno_before;
  return known && now.policy == policy_other;
}

}  // namespace

void set_time_slice(std::uint64_t thread, std::int64_t ns) noexcept {
  scheduling_attributes now{};
  if (!ask(thread, now)) return;  // all is set together: what is not to change has to be known
  if (now.runtime == 0) return;   // this kernel has none to set
  const int errno_before = errno;
  now.size = sizeof now;
  now.flags &= reset_on_fork;  // the others speak of what is to be set
  // What such a thread starts, threads and programs, is not to have it. (It cannot be taken back without privilege,
  // and need not be: of the usual values it changes nothing.)
  if (ns != 0) now.flags |= reset_on_fork;
  now.runtime = static_cast<std::uint64_t>(ns);
  static_cast<void>(::syscall(SYS_sched_setattr, static_cast<pid_t>(thread), &now, 0u));
  errno = errno_before;
}

std::int64_t time_slice(std::uint64_t thread) noexcept {
  scheduling_attributes now{};
  return ask(thread, now) ? static_cast<std::int64_t>(now.runtime) : 0;
}

std::int64_t timer_slack() noexcept {
  const int ns = ::prctl(PR_GET_TIMERSLACK, 0, 0, 0, 0);
  return ns > 0 ? ns : 0;
}

}  // namespace weft::os
