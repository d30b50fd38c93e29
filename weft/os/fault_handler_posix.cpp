#include "weft/os/fault_handler.hpp"

#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstring>

namespace weft::os {
namespace {

constexpr std::size_t signal_stack_bytes = std::size_t{64}
                                           << 10;  // also where registers are many KiB
constexpr int fault_signals[] = {SIGSEGV, SIGBUS};

// Written before the handlers are there, and never again.
fault_teller teller = nullptr;
struct sigaction before[2];

void pass_on(int number, siginfo_t* about, void* machine) noexcept {
  const struct sigaction& old = before[number == SIGSEGV ? 0 : 1];
  if ((old.sa_flags & SA_SIGINFO) != 0) return old.sa_sigaction(number, about, machine);
  if (old.sa_handler != SIG_DFL && old.sa_handler != SIG_IGN) return old.sa_handler(number);
  // One that somebody sent by kill(), and the program ignores, is nothing.
  const bool sent = about->si_code <= 0;
  if (sent && old.sa_handler == SIG_IGN) return;
  // What faulted does so again on return, and the kernel ends the program with the place in the core.
  // A fault that is ignored ends it, too; one that was sent is sent again.
  struct sigaction usual = {};
  usual.sa_handler = SIG_DFL;
  ::sigaction(number, &usual, nullptr);
  if (sent) ::raise(number);
}

void handle(int number, siginfo_t* about, void* machine) {
  const int kept = errno;
  if (about->si_code > 0) teller(about->si_addr);
  pass_on(number, about, machine);
  errno = kept;
}

class signal_stack {
 public:
  signal_stack() noexcept = default;
  signal_stack(const signal_stack&) = delete;
  signal_stack& operator=(const signal_stack&) = delete;
  ~signal_stack() {
    if (low_ == nullptr) return;
    stack_t now = {};
    if (::sigaltstack(nullptr, &now) == 0 && now.ss_sp == low_) {
      stack_t none = {};
      none.ss_flags = SS_DISABLE;
      if (::sigaltstack(&none, nullptr) != 0)
        return;  // rather a leak than a handler without a stack
    }
    ::munmap(low_, signal_stack_bytes);
  }
  void use() noexcept {
    stack_t now = {};
    if (::sigaltstack(nullptr, &now) != 0 || (now.ss_flags & SS_DISABLE) == 0) return;
    void* const low = ::mmap(nullptr, signal_stack_bytes, PROT_READ | PROT_WRITE,
                             MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (low == MAP_FAILED) return;
    stack_t mine = {};
    mine.ss_sp = low;
    mine.ss_size = signal_stack_bytes;
    if (::sigaltstack(&mine, nullptr) == 0) {
      low_ = low;
    } else {
      ::munmap(low, signal_stack_bytes);
    }
  }

 private:
  void* low_ = nullptr;
};

thread_local signal_stack stack_of_thread;

}  // namespace

void tell_of_faults(fault_teller tell) noexcept {
  teller = tell;
  for (int i = 0; i < 2; ++i) {
    if (::sigaction(fault_signals[i], nullptr, &before[i]) != 0) continue;
    struct sigaction ours = {};
    ours.sa_sigaction = &handle;
    ours.sa_flags = SA_SIGINFO | SA_ONSTACK;
    ::sigemptyset(&ours.sa_mask);
    ::sigaction(fault_signals[i], &ours, nullptr);
  }
}

void use_signal_stack() noexcept { stack_of_thread.use(); }

void write_from_handler(const char* text) noexcept {
  std::size_t left = std::strlen(text);
  while (left != 0) {
    const ssize_t n = ::write(STDERR_FILENO, text, left);
    if (n <= 0) return;
    text += n;
    left -= static_cast<std::size_t>(n);
  }
}

}  // namespace weft::os
