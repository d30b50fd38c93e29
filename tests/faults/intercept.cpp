// Protocol
//   The child installs the filter, and hands the descriptor that it gets for it to the parent by the one
//   call that the filter always lets pass: sendmsg on `channel_fd`. From then on a named call sleeps in the
//   kernel until the parent has answered, "go on" or an error.
//   counting_ (in memory that both have) says whether the rules count; the parent looks at each call, so
//   what the child does in between is in the right order.
#include "intercept.hpp"

#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <set>

#include "weft/base/config.hpp"

namespace weft::faults {
namespace {

constexpr int channel_fd = 199;
constexpr int cannot_filter = 177;  // the child's exit code

std::atomic<int>* counting_ = nullptr;

std::int64_t now_ms() {
  timespec t{};
  ::clock_gettime(CLOCK_MONOTONIC, &t);
  return static_cast<std::int64_t>(t.tv_sec) * 1000 + t.tv_nsec / 1'000'000;
}

void append(std::vector<sock_filter>& to, std::uint16_t code, std::uint32_t k, std::uint8_t yes = 0,
            std::uint8_t no = 0) {
  to.push_back({code, yes, no, k});
}

/// Result: the descriptor on which the named calls are told, or -1.
int install(const std::vector<rule>& rules) {
  constexpr std::uint16_t load = BPF_LD | BPF_W | BPF_ABS;
  constexpr std::uint16_t equal = BPF_JMP | BPF_JEQ | BPF_K;
  constexpr std::uint16_t answer = BPF_RET | BPF_K;
  std::vector<sock_filter> program;
  append(program, load, offsetof(seccomp_data, nr));
  append(program, equal, SYS_sendmsg, 0, 4);
  append(program, load, offsetof(seccomp_data, args));  // little-endian: its lower half
  append(program, equal, channel_fd, 0, 1);
  append(program, answer, SECCOMP_RET_ALLOW);
  append(program, load, offsetof(seccomp_data, nr));
  std::set<int> calls;
  for (const rule& r : rules) calls.insert(r.call);
  for (const int call : calls) {
    append(program, equal, static_cast<std::uint32_t>(call), 0, 1);
    append(program, answer, SECCOMP_RET_USER_NOTIF);
  }
  append(program, answer, SECCOMP_RET_ALLOW);
  const sock_fprog filter{static_cast<unsigned short>(program.size()), program.data()};
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return -1;
  const auto set = [&filter](unsigned long flags) {
    return static_cast<int>(::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &filter));
  };
#ifdef SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
  // A signal does not end the wait for the answer, so no EINTR comes that nobody asked for (5.19).
  const int fd = set(SECCOMP_FILTER_FLAG_NEW_LISTENER | SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV);
  if (fd >= 0) return fd;
#endif
  return set(SECCOMP_FILTER_FLAG_NEW_LISTENER);
}

struct message {
  char byte = 'x';
  iovec part{&byte, 1};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  msghdr header{};
  message() {
    header.msg_iov = &part;
    header.msg_iovlen = 1;
    header.msg_control = control;
    header.msg_controllen = sizeof control;
  }
};

bool send_fd(int socket, int fd) {
  message m;
  cmsghdr* const c = CMSG_FIRSTHDR(&m.header);
  c->cmsg_level = SOL_SOCKET;
  c->cmsg_type = SCM_RIGHTS;
  c->cmsg_len = CMSG_LEN(sizeof fd);
  std::memcpy(CMSG_DATA(c), &fd, sizeof fd);
  return ::sendmsg(socket, &m.header, 0) == 1;
}

int receive_fd(int socket) {
  message m;
  if (::recvmsg(socket, &m.header, MSG_CMSG_CLOEXEC) != 1) return -1;
  const cmsghdr* const c = CMSG_FIRSTHDR(&m.header);
  int fd = -1;
  if (c != nullptr && c->cmsg_type == SCM_RIGHTS) std::memcpy(&fd, CMSG_DATA(c), sizeof fd);
  return fd;
}

/// What the child's side is before `child` runs.
int as_child(const std::vector<rule>& rules, int channel, int output,
             const std::function<int()>& child) {
  ::dup2(output, STDOUT_FILENO);
  ::dup2(output, STDERR_FILENO);
  ::close(output);
  if (::dup3(channel, channel_fd, O_CLOEXEC) < 0) return cannot_filter;
  ::close(channel);
  const int told_on = install(rules);
  if (told_on < 0 || !send_fd(channel_fd, told_on)) {
    std::fprintf(stderr, "seccomp: %s\n", std::strerror(errno));
    return cannot_filter;
  }
  ::close(told_on);
  ::close(channel_fd);
  return child();
}

void answer_one(int told_on, std::vector<rule>& rules) {
  seccomp_notif asked{};
  if (::ioctl(told_on, SECCOMP_IOCTL_NOTIF_RECV, &asked) != 0) return;  // it has gone meanwhile
  seccomp_notif_resp answer{};
  answer.id = asked.id;
  answer.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
  if (counting_->load(std::memory_order_acquire) != 0) {
    const call_seen call{static_cast<pid_t>(asked.pid), asked.data};
    for (rule& r : rules) {
      if (r.call != asked.data.nr || (r.applies != nullptr && !r.applies(call))) continue;
      const unsigned n = ++r.seen;
      if (r.error == 0 || n < r.first || n - r.first >= r.times) continue;
      ++r.refused;
      answer.flags = 0;
      answer.error = -r.error;
      break;
    }
  }
  static_cast<void>(::ioctl(told_on, SECCOMP_IOCTL_NOTIF_SEND, &answer));
}

std::string first_line(const std::filesystem::path& file) {
  std::ifstream in(file);
  std::string line;
  std::getline(in, line);
  return line;
}

/// Where the threads of a process that hangs are.
std::string places(pid_t process) {
  std::string all;
  std::error_code gone;
  const std::filesystem::path threads = "/proc/" + std::to_string(process) + "/task";
  for (const auto& t : std::filesystem::directory_iterator(threads, gone)) {
    all += "  thread " + first_line(t.path() / "comm") + ": " + first_line(t.path() / "wchan") +
           ", call " + first_line(t.path() / "syscall") + "\n";
  }
  return all;
}

std::string all_of(int file) {
  std::string text(65536, '\0');
  const ssize_t n = ::pread(file, text.data(), text.size(), 0);
  text.resize(n > 0 ? static_cast<std::size_t>(n) : 0);
  return text;
}

/// Answers until the child has ended, or its time is up.
void serve(int told_on, int child_fd, pid_t child, std::vector<rule>& rules, unsigned seconds,
           run_report& report) {
  const std::int64_t until = now_ms() + static_cast<std::int64_t>(seconds) * 1000;
  for (;;) {
    pollfd looked[] = {{told_on, POLLIN, 0}, {child_fd, POLLIN, 0}};
    const std::int64_t left = until - now_ms();
    if (left <= 0) {
      report.text = "it hung; its threads:\n" + places(child);
      report.how = ending::hung;
      ::kill(child, SIGKILL);
      return;
    }
    if (::poll(looked, 2, static_cast<int>(left)) < 0) continue;
    if ((looked[0].revents & POLLIN) != 0) answer_one(told_on, rules);
    if ((looked[1].revents & POLLIN) != 0) return;
  }
}

}  // namespace

void count_calls(bool on) noexcept {
  if (counting_ != nullptr) counting_->store(on ? 1 : 0, std::memory_order_release);
}

run_report run_under(std::vector<rule>& rules, unsigned seconds, bool counts_at_once,
                     const std::function<int()>& child) {
  if (counting_ == nullptr) {
    void* const page =
        ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED) return {ending::cannot, 0, "no shared memory"};
    counting_ = new (page) std::atomic<int>(0);
  }
  count_calls(counts_at_once);
  for (rule& r : rules) r.seen = r.refused = 0;
  run_report report;
  int pair[2];
  const int output = ::memfd_create("output", MFD_CLOEXEC);
  if (output < 0 || ::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) {
    return {ending::cannot, 0, std::strerror(errno)};
  }
  std::fflush(nullptr);
  const pid_t process = ::fork();
  if (process == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    ::close(pair[0]);
    const int code = as_child(rules, pair[1], output, child);
    std::exit(code);
  }
  ::close(pair[1]);
  const int told_on = process > 0 ? receive_fd(pair[0]) : -1;
  ::close(pair[0]);
  const int child_fd = process > 0 ? static_cast<int>(::syscall(SYS_pidfd_open, process, 0)) : -1;
  if (told_on >= 0 && child_fd >= 0) {
    serve(told_on, child_fd, process, rules, seconds, report);
  } else if (process > 0) {
    ::kill(process, SIGKILL);
  }
  // Nobody who is left may wait for an answer: without the descriptor a named call is ENOSYS.
  if (told_on >= 0) ::close(told_on);
  if (child_fd >= 0) ::close(child_fd);
  int status = 0;
  while (process > 0 && ::waitpid(process, &status, 0) < 0 && errno == EINTR) {
  }
  const std::string text = all_of(output);
  ::close(output);
  if (told_on < 0 || child_fd < 0) return {ending::cannot, 0, text};
  report.text = text + report.text;
  if (report.how == ending::hung) return report;
  report.how = WIFEXITED(status) ? ending::exited : ending::signalled;
  report.code = WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status);
  return report;
}

bool can_intercept(std::string& why_not) {
  if (WEFT_ASAN || WEFT_TSAN) {
    why_not =
        "a sanitizer makes system calls of its own, and ends the program where one is refused";
    return false;
  }
  std::vector<rule> rules{{.call = SYS_getppid, .error = EXDEV}};
  const run_report r = run_under(
      rules, 10, true, [] { return ::syscall(SYS_getppid) == -1 && errno == EXDEV ? 0 : 1; });
  if (r.how == ending::exited && r.code == 0 && rules[0].refused == 1) return true;
  why_not = "system calls cannot be intercepted here (seccomp's user notification): " + r.text;
  return false;
}

std::string path_of(const call_seen& call, unsigned index) {
  char text[256] = {};
  const iovec here{text, sizeof text - 1};
  const iovec there{reinterpret_cast<void*>(call.data.args[index]), sizeof text - 1};
  if (::process_vm_readv(call.thread, &here, 1, &there, 1, 0) > 0) return text;
  // The end of what can be read may be nearer.
  for (std::size_t i = 0; i + 1 < sizeof text; ++i) {
    const iovec to{text + i, 1};
    const iovec from{static_cast<char*>(there.iov_base) + i, 1};
    if (::process_vm_readv(call.thread, &to, 1, &from, 1, 0) != 1 || text[i] == '\0') break;
  }
  return text;
}

}  // namespace weft::faults
