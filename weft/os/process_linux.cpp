#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "weft/os/process.hpp"

namespace weft::os {
namespace {

// The identity: the process's number above, when it began (ticks since the system's start) below. 42
// bits of ticks are 1400 years; numbers are below 2^22.
constexpr unsigned start_bits = 42;
constexpr std::uint64_t start_mask = (std::uint64_t{1} << start_bits) - 1;

struct facts {
  bool known = false;
  char state = '?';
  long threads = 0;
  std::uint64_t start = 0;
};

facts facts_of(long pid) noexcept {
  facts f;
  char path[40];
  std::snprintf(path, sizeof path, "/proc/%ld/stat", pid);
  const int fd = ::open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return f;
  char text[1024];
  const ssize_t n = ::read(fd, text, sizeof text - 1);
  ::close(fd);
  if (n <= 0) return f;
  text[n] = '\0';
  const char* at = std::strrchr(text, ')');  // the name before it may hold anything
  if (at == nullptr || at[1] != ' ') return f;
  f.state = at[2];
  at += 2;
  for (int field = 3; field < 22; ++field) {  // proc(5): 20 is num_threads, 22 is starttime
    at = std::strchr(at, ' ');
    if (at == nullptr) return f;
    ++at;
    if (field + 1 == 20) f.threads = std::strtol(at, nullptr, 10);
  }
  f.start = std::strtoull(at, nullptr, 10) & start_mask;
  f.known = true;
  return f;
}

}  // namespace

std::uint64_t process_id() noexcept { return static_cast<std::uint64_t>(::getpid()); }

std::uint64_t process_identity() noexcept {
  const auto pid = static_cast<std::uint64_t>(::getpid());
  return pid << start_bits | facts_of(static_cast<long>(pid)).start;
}

bool process_is_alive(std::uint64_t identity) noexcept {
  const auto pid = static_cast<long>(identity >> start_bits);
  const facts f = facts_of(pid);
  if (!f.known) return ::kill(static_cast<pid_t>(pid), 0) == 0 || errno == EPERM;
  // A first thread that has left shows as a zombie, too, while the others run.
  if ((f.state == 'Z' || f.state == 'X') && f.threads <= 1) return false;
  const std::uint64_t start = identity & start_mask;
  return start == 0 || f.start == start;
}

std::uint64_t process_namespace() noexcept {
  struct stat s{};
  return ::stat("/proc/self/ns/pid", &s) == 0 ? static_cast<std::uint64_t>(s.st_ino) : 0;
}

}  // namespace weft::os
