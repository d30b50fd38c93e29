// Protocol
//   A handler, not signalfd: that one demands that every thread of the program blocks the signals,
//   also those that a library did not start. The handler writes the signal's number into a pipe.
//   The handler may run on any thread while the owner takes the pipe down, so:
//   I1  A handler uses the descriptor only while `inside` counts it.
//   P1  handler: inside + 1, then load `target`  <->  end: target = -1, then load `inside` (all
//       sequentially consistent): either the handler sees -1 or the end waits for it. Without this the
//       number could be another file's by the time the byte is written.
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "weft/base/atomic.hpp"
#include "weft/os/error.hpp"
#include "weft/os/signals.hpp"
#include "weft/os/thread.hpp"

namespace weft::os {
namespace {

constexpr int caught[] = {SIGINT, SIGTERM};
constexpr int caught_count = 2;

atomic<bool> taken{false};  // there is a signal_pipe in the process
atomic<int> target{-1};
atomic<int> inside{0};
struct sigaction before[caught_count];

void on_signal(int number) {
  const int errno_before = errno;
  inside.fetch_add(1, order::seq_cst);            // P1
  const int pipe = target.load(order::seq_cst);   // P1
  if (pipe >= 0) {
    const auto byte = static_cast<unsigned char>(number);
    // A full pipe has told enough.
    [[maybe_unused]] const auto n = ::write(pipe, &byte, 1);
  }
  inside.fetch_sub(1, order::seq_cst);
  errno = errno_before;
}

}  // namespace

signal_pipe::signal_pipe(signal_pipe&& other) noexcept
    : read_(std::move(other.read_)), write_(std::move(other.write_)) {}

result<signal_pipe> signal_pipe::open() noexcept {
  if (taken.exchange(true, order::acquire)) return std::unexpected(from_errno(EBUSY));
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) {
    const auto why = last_error();
    taken.store(false, order::release);
    return std::unexpected(why);
  }
  signal_pipe made;
  made.read_ = os::fd(ends[0]);
  made.write_ = os::fd(ends[1]);
  target.store(ends[1], order::seq_cst);
  struct sigaction action{};
  action.sa_handler = &on_signal;
  action.sa_flags = SA_RESTART;  // other people's calls need not learn of it
  ::sigemptyset(&action.sa_mask);
  for (int i = 0; i < caught_count; ++i) ::sigaction(caught[i], &action, &before[i]);
  return made;
}

signal_pipe::~signal_pipe() {
  if (!read_) return;
  for (int i = 0; i < caught_count; ++i) ::sigaction(caught[i], &before[i], nullptr);
  target.store(-1, order::seq_cst);                               // P1
  while (inside.load(order::seq_cst) != 0) yield_thread();        // P1
  read_.close();
  write_.close();
  taken.store(false, order::release);
}

int signal_pipe::take() noexcept {
  unsigned char number = 0;
  for (;;) {
    const auto n = ::read(read_.get(), &number, 1);
    if (n == 1) return number;
    if (n == 0 || errno != EINTR) return 0;
  }
}

}  // namespace weft::os
