// For tests of drivers without a runtime: a scheduler of one thread, requests as awaitables, and
// plain blocking sockets for the other end.
#pragma once

#include <gtest/gtest.h>
#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <mutex>
#include <span>
#include <string>
#include <utility>

#include "tests/support/quiet_poll.hpp"
#include "weft/base/intrusive_list.hpp"
#include "weft/base/time.hpp"
#include "weft/io/driver.hpp"
#include "weft/os/clock.hpp"
#include "weft/os/file_call.hpp"
#include "weft/task/join_handle.hpp"

namespace weft::io::test {

/// Runs jobs on the thread that calls run(), and waits in a driver when there are none.
class loop final : public scheduler {
 public:
  explicit loop(driver& d) : io(d) {}
  ~loop() { EXPECT_EQ(alive_, 0); }

  void schedule(job& ready, wake_kind) noexcept override {
    if (inline_) return ready.run();  // the contract allows it; tests use it to run inside wait()
    {
      std::lock_guard held(lock_);
      queue_.push(ready);
    }
    if (!pthread_equal(pthread_self(), runner_)) io.wake();
  }
  void enlist(job&) noexcept override { ++alive_; }
  bool retire(job& ended, bool (*hand_over)(job&) noexcept) noexcept override {
    --alive_;
    return hand_over(ended);
  }

  template <class F, class... A>
  auto spawn(F f, A&&... args) {
    auto& made = make_job(*this, f, std::forward<A>(args)...);
    launch(made);
    return join_handle<detail::spawned_value_t<F, std::decay_t<A>...>>(made);
  }

  /// Runs until `done()`; a wait for ever is a failed test.
  void run_until(const std::function<bool()>& done) {
    const std::int64_t limit = os::monotonic_ns() + 20'000'000'000;
    while (!done()) {
      if (job* next = pop()) {
        next->refill_budget(128);
        next->run();
        continue;
      }
      io.wait(limit);
      if (os::monotonic_ns() >= limit) {
        std::fprintf(stderr, "a driver test waits for ever: %d jobs are alive\n", alive_);
        std::abort();
      }
    }
  }
  void run() {
    run_until([this] { return alive_ == 0; });
  }
  /// Runs what can run now, without waiting.
  void settle() {
    for (int quiet = 0; quiet < 3;) {
      if (job* next = pop()) {
        next->run();
        quiet = 0;
      } else {
        quiet = io.wait(0) == 0 ? quiet + 1 : 0;
      }
    }
  }
  /// Jobs run inside of schedule(), that is, inside of wait().
  void run_inline(bool on) { inline_ = on; }

  driver& io;

 private:
  job* pop() {
    std::lock_guard held(lock_);
    return queue_.pop();
  }
  std::mutex lock_;
  intrusive_queue<job, &job::next> queue_;
  int alive_ = 0;
  bool inline_ = false;
  const pthread_t runner_ = pthread_self();
};

/// What a job awaits: gives the driver's answer.
class request final : public awaitable_operation<request, io_operation> {
 public:
  request(io_code c, io_handle& h, os::socket_address* a = nullptr) noexcept {
    code = c;
    handle = &h;
    address = a;
  }
  request(io_code c, io_handle& h, std::span<char> bytes, bool all) noexcept : request(c, h) {
    buffer = bytes.data();
    length = bytes.size();
    whole = all;
  }
  request(io_handle& h, std::span<const io_part> list, bool all) noexcept
      : request(io_code::send_vector, h) {
    parts = list.data();
    part_count = static_cast<std::uint32_t>(list.size());
    whole = all;
  }
  /// `call` outlives it.
  request(const os::file_call& call, bool all) noexcept {
    calls_file(call, call.length);
    whole = all;
  }
  /// To be filled in.
  explicit request(io_code c) noexcept { code = c; }
  std::coroutine_handle<> start(promise_base& waiter) noexcept {
    auto& home = static_cast<loop&>(waiter.owner()->home());
    switch (home.io.submit(*this, waiter)) {
      case submitted::done:
        return ready_at_once(*this, waiter);
      case submitted::pending:
        return std::noop_coroutine();
      case submitted::stopped:
        return unwind(waiter);
    }
    std::abort();
  }
  std::int64_t await_resume() const noexcept { return answer; }
};

inline request accept_on(io_handle& h) { return request(io_code::accept, h); }
inline request connect_to(io_handle& h, os::socket_address& to) {
  return request(io_code::connect, h, &to);
}
inline request receive(io_handle& h, std::span<char> into) {
  return request(io_code::receive, h, into, false);
}
inline request receive_whole(io_handle& h, std::span<char> into) {
  return request(io_code::receive, h, into, true);
}
inline request send(io_handle& h, std::span<char> from) {
  return request(io_code::send, h, from, false);
}
inline request send_whole(io_handle& h, std::span<char> from) {
  return request(io_code::send, h, from, true);
}
inline request readable(io_handle& h) { return request(io_code::wait_readable, h); }
inline request writable(io_handle& h) { return request(io_code::wait_writable, h); }

/// Stops the job that awaits it, and goes on.
class stop_me {
 public:
  stop_me() noexcept {}
  bool await_ready() const noexcept { return false; }
  template <class P>
  bool await_suspend(std::coroutine_handle<P> waiter) noexcept {
    waiter.promise().owner()->stop();
    return false;
  }
  void await_resume() const noexcept {}
};

// --- The other end: plain system calls

struct listening {
  os::fd socket;
  os::socket_address address;
};
inline listening listen_on_loopback(int backlog = 128) {
  listening l;
  l.socket = std::move(*os::listen_tcp(os::make_ipv4({127, 0, 0, 1}, 0), {.backlog = backlog}));
  l.address = *os::local_address(l.socket.get());
  return l;
}
/// Connecting, not necessarily connected.
inline os::fd dial(const os::socket_address& to) {
  os::fd socket = std::move(*os::open_tcp(os::address_family::ipv4));
  EXPECT_TRUE(os::connect_start(socket.get(), to));
  return socket;
}

struct socket_pair {
  os::fd ours;
  os::fd theirs;
};
/// Two connected TCP sockets. Units: bytes of socket buffers; 0: as the system likes.
inline socket_pair connected_pair(int buffer_bytes = 0) {
  listening l = listen_on_loopback(1);
  if (buffer_bytes != 0) {  // before the connection is made, so that the window is small, too
    EXPECT_TRUE(os::set_receive_buffer(l.socket.get(), buffer_bytes));
    EXPECT_TRUE(os::set_send_buffer(l.socket.get(), buffer_bytes));
  }
  socket_pair p;
  p.theirs = std::move(*os::open_tcp(os::address_family::ipv4));
  if (buffer_bytes != 0) {
    EXPECT_TRUE(os::set_receive_buffer(p.theirs.get(), buffer_bytes));
    EXPECT_TRUE(os::set_send_buffer(p.theirs.get(), buffer_bytes));
  }
  EXPECT_TRUE(os::connect_start(p.theirs.get(), l.address));
  pollfd ready{l.socket.get(), POLLIN, 0};
  EXPECT_EQ(test_support::quiet_poll(&ready, 1, 5000), 1);
  p.ours = os::fd(::accept4(l.socket.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
  EXPECT_TRUE(static_cast<bool>(p.ours));
  return p;
}

/// Sends all of it, from a plain thread or the test itself.
inline void put(const os::fd& socket, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::send(socket.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (n < 0) {
      ASSERT_EQ(errno, EAGAIN);
      pollfd room{socket.get(), POLLOUT, 0};
      ASSERT_EQ(test_support::quiet_poll(&room, 1, 10'000), 1);
      continue;
    }
    bytes.remove_prefix(static_cast<std::size_t>(n));
  }
}
/// What is there now.
inline std::string take_now(const os::fd& socket) {
  std::string all;
  char buffer[4096];
  for (;;) {
    const ssize_t n = ::recv(socket.get(), buffer, sizeof buffer, MSG_DONTWAIT);
    if (n <= 0) return all;
    all.append(buffer, static_cast<std::size_t>(n));
  }
}
/// Fills the way to the peer until it takes no more. Result: bytes.
inline std::size_t fill(const os::fd& socket) {
  static char zeros[65536];
  std::size_t total = 0;
  // In small steps at the end: where 64 KB find no room, 4 bytes may.
  for (const std::size_t step : {sizeof zeros, std::size_t{1}}) {
    for (int quiet = 0; quiet < 3;) {
      const ssize_t n = ::send(socket.get(), zeros, step, MSG_NOSIGNAL | MSG_DONTWAIT);
      if (n > 0) {
        total += static_cast<std::size_t>(n);
        quiet = 0;
        continue;
      }
      pollfd room{socket.get(), POLLOUT, 0};  // the peer's side may still be taking some in
      if (test_support::quiet_poll(&room, 1, 10) == 0) ++quiet;
    }
  }
  return total;
}

}  // namespace weft::io::test
