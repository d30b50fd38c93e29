// quiet_poll: poll() for a test's own waiting, which no signal ends: it is to say what came, also while a storm of
// signals blows (signal_storm.hpp).
#pragma once

#include <poll.h>
#include <signal.h>
#include <unistd.h>

namespace weft::test_support {

/// While it lives the calling thread gets no SIGURG.
class no_signals {
 public:
  no_signals() {
    sigset_t mine;
    ::sigemptyset(&mine);
    ::sigaddset(&mine, SIGURG);
    ::pthread_sigmask(SIG_BLOCK, &mine, &before_);
  }
  no_signals(const no_signals&) = delete;
  ~no_signals() { ::pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

 private:
  sigset_t before_;
};

inline int quiet_poll(pollfd* all, nfds_t count, int timeout_ms) {
  const no_signals here;
  return ::poll(all, count, timeout_ms);
}

}  // namespace weft::test_support
