#include <fcntl.h>
#include <pthread.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

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

std::int64_t timer_slack() noexcept {
  const int ns = ::prctl(PR_GET_TIMERSLACK, 0, 0, 0, 0);
  return ns > 0 ? ns : 0;
}

}  // namespace weft::os
