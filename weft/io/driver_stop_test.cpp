// Every driver: a stop ends what waits, has no effect of its own, and loses nothing.
#include <linux/net_tstamp.h>

#include <cstdio>
#include <string>
#include <vector>

#include "tests/support/quiet_poll.hpp"
#include "weft/io/driver_jobs_test_support.hpp"

namespace weft::io::test {
namespace {

TEST_P(driver_test, stopped_receive_leaves_the_bytes_in_the_socket) {
  socket_pair p = connected_pair();
  const int fd = p.ours.get();
  io_handle h = attach(p.ours);
  char bytes[16] = "untouched";
  std::int64_t answer = unanswered;
  START(receive_once, std::ref(h), std::span(bytes), std::ref(answer));
  handle.stop();
  jobs().run();
  EXPECT_EQ(answer, unanswered);
  put(p.theirs, "abc");
  pollfd ready{fd, POLLIN, 0};
  ASSERT_EQ(test_support::quiet_poll(&ready, 1, 5000), 1);
  auto again = jobs().spawn(receive_once, std::ref(h), std::span(bytes), std::ref(answer));
  jobs().run();
  EXPECT_EQ(answer, 3);
}

TEST_P(driver_test, every_operation_can_be_stopped_while_it_waits) {
  {
    listening l = listen_on_loopback();
    io_handle h = attach(l.socket);
    std::int64_t answer = unanswered;
    START(accept_once, std::ref(h), std::ref(answer));
    handle.stop();
    jobs().run();
    EXPECT_EQ(answer, unanswered);
    os::fd caller = dial(l.address);  // the listener still works
    auto again = jobs().spawn(accept_once, std::ref(h), std::ref(answer));
    jobs().run();
    EXPECT_GE(answer, 0);
    os::fd accepted(static_cast<int>(answer));
  }
  {
    listening l = listen_on_loopback(0);
    std::vector<os::fd> queue;  // fill the listener's backlog: further connects get no answer
    for (int i = 0; i < 4; ++i) queue.push_back(dial(l.address));
    io_handle h = attach(std::move(*os::open_tcp(os::address_family::ipv4)));
    std::int64_t answer = unanswered;
    START(connect_once, std::ref(h), std::ref(l.address), std::ref(answer));
    handle.stop();
    jobs().run();
    EXPECT_EQ(answer, unanswered);
  }
  {
    socket_pair p = connected_pair(8192);
    EXPECT_GT(fill(p.ours), 0u);
    io_handle h = attach(p.ours);
    char word[] = "word";
    std::int64_t answer = unanswered;
    {
      START(send_once, std::ref(h), std::span(word, 4), std::ref(answer));
      handle.stop();
      jobs().run();
      EXPECT_EQ(answer, unanswered);
    }
    {
      const io_part part{word, 4};
      START(send_parts, std::ref(h), std::span(&part, 1), false, std::ref(answer));
      handle.stop();
      jobs().run();
      EXPECT_EQ(answer, unanswered);
    }
    {
      START(until_writable, std::ref(h), std::ref(answer));
      handle.stop();
      jobs().run();
      EXPECT_EQ(answer, unanswered);
    }
    {
      START(until_readable, std::ref(h), std::ref(answer));
      handle.stop();
      jobs().run();
      EXPECT_EQ(answer, unanswered);
    }
  }
  EXPECT_TRUE(io().idle());
}

// A time stamp that nobody takes: the socket tells of an error for ever, and a receive finds nothing. In the
// ring such a request is tried again and again, and then by a thread of its own: a cancel may miss it.
/// False where the system gives none.
bool leave_a_time_stamp(const os::fd& socket) {
  const int what = SOF_TIMESTAMPING_TX_SOFTWARE | SOF_TIMESTAMPING_SOFTWARE;
  if (::setsockopt(socket.get(), SOL_SOCKET, SO_TIMESTAMPING, &what, sizeof what) != 0)
    return false;
  put(socket, "x");
  pollfd error{socket.get(), 0, 0};
  return test_support::quiet_poll(&error, 1, 5000) == 1 && (error.revents & POLLERR) != 0;
}
task<void> stop_it(join_handle<void>& other) {
  other.stop();
  co_return;
}
TEST_P(driver_test, a_stop_beside_errors_that_nobody_takes_is_not_lost) {
  for (int before_settling = 0; before_settling < 2; ++before_settling) {
    socket_pair p = connected_pair();
    if (!leave_a_time_stamp(p.ours)) GTEST_SKIP() << "there are no time stamps of sockets here";
    io_handle h = attach(p.ours);
    char byte[1];
    std::int64_t answer = unanswered;
    auto handle = jobs().spawn(receive_once, std::ref(h), std::span(byte), std::ref(answer));
    if (before_settling == 0) jobs().settle();
    auto stopper =
        jobs().spawn(stop_it, std::ref(handle));  // in the same turn as the start, or later
    jobs().run();
    EXPECT_EQ(answer, unanswered);
  }
}

task<void> receive_after_a_stop(io_handle& h, std::span<char> into, int& got) {
  for (;;) {
    const std::int64_t n = co_await receive(h, into);
    EXPECT_EQ(n, 1);
    if (++got == 3) co_await stop_me();
  }
}
TEST_P(driver_test, a_stopped_job_starts_no_further_operation_even_if_it_is_ready) {
  socket_pair p = connected_pair();
  const int fd = p.ours.get();
  io_handle h = attach(p.ours);
  put(p.theirs, "abcdef");
  char byte[1];
  int got = 0;
  auto handle = jobs().spawn(receive_after_a_stop, std::ref(h), std::span(byte), std::ref(got));
  jobs().run();
  EXPECT_EQ(got, 3);
  char rest[8];
  EXPECT_EQ(::recv(fd, rest, sizeof rest, MSG_DONTWAIT), 3);
}

TEST_P(driver_test, a_whole_operation_stopped_midway_says_so) {
  socket_pair p = connected_pair();
  io_handle h = attach(p.ours);
  char bytes[16] = {};
  std::int64_t answer = unanswered;
  START(receive_all, std::ref(h), std::span(bytes), std::ref(answer));
  put(p.theirs, "abc");
  while (take_now(p.theirs).empty() && std::string_view(bytes, 3) != "abc") jobs().settle();
  handle.stop();
  jobs().run();
  EXPECT_EQ(answer, io_operation::answer_interrupted);
  EXPECT_EQ(std::string_view(bytes, 3), "abc");
}

// A peer that takes all at once cannot keep the worker: after its share the operation waits its turn,
// without an event where the driver tries itself, and can be stopped there.
TEST_P(driver_test, a_long_transfer_moves_its_share_a_turn_and_can_be_stopped) {
  socket_pair p = connected_pair();
  static_cast<void>(os::set_send_buffer(p.ours.get(), 8 << 20));
  static_cast<void>(os::set_receive_buffer(p.theirs.get(), 8 << 20));
  io_handle h = attach(p.ours);
  std::string much(std::size_t{64} << 20, '\0');
  std::int64_t answer = unanswered;
  START(send_all, std::ref(h), std::span(much), std::ref(answer));
  handle.stop();
  jobs().run();
  EXPECT_EQ(answer, io_operation::answer_interrupted);
}

TEST_P(driver_test, a_stop_that_races_with_a_byte_loses_none) {
  constexpr int rounds = 2000;
  socket_pair p = connected_pair();
  const int fd = p.ours.get();
  io_handle h = attach(p.ours);
  join_handle<void> handle;
  int received = 0;
  int stopped = 0;
  char byte[1];
  {
    racers both(
        rounds, [&](int) { put(p.theirs, "x"); },
        [&](int i) {
          for (int spin = 0; spin < (i % 64) * 20; ++spin) cpu_pause();
          handle.stop();
        });
    for (int i = 0; i < rounds; ++i) {
      std::int64_t answer = unanswered;
      handle = jobs().spawn(receive_once, std::ref(h), std::span(byte), std::ref(answer));
      if (i % 2 == 0) jobs().settle();  // odd rounds: the stop may come while it is being started
      both.round([&] { jobs().run(); });
      if (answer == unanswered) {
        ++stopped;
        pollfd ready{fd, POLLIN, 0};
        ASSERT_EQ(test_support::quiet_poll(&ready, 1, 5000), 1)
            << "round " << i << ": the byte is nowhere";
        char c;
        ASSERT_EQ(::recv(fd, &c, 1, MSG_DONTWAIT), 1);
      } else {
        ASSERT_EQ(answer, 1);
        ++received;
      }
      ASSERT_EQ(::recv(fd, byte, 1, MSG_DONTWAIT), -1) << "round " << i << ": a byte came twice";
      handle = {};
    }
  }
  EXPECT_EQ(received + stopped, rounds);
  std::printf("received %d, stopped %d\n", received, stopped);
}

TEST_P(driver_test, a_stop_that_races_with_a_connection_loses_none) {
  constexpr int rounds = 500;
  listening l = listen_on_loopback();
  io_handle h = attach(l.socket);
  const int fd = h.fd();
  join_handle<void> handle;
  os::fd caller;
  racers both(
      rounds, [&](int) { caller = dial(l.address); },
      [&](int i) {
        for (int spin = 0; spin < (i % 64) * 50; ++spin) cpu_pause();
        handle.stop();
      });
  for (int i = 0; i < rounds; ++i) {
    std::int64_t answer = unanswered;
    handle = jobs().spawn(accept_once, std::ref(h), std::ref(answer));
    both.round([&] { jobs().run(); });
    if (answer == unanswered) {
      pollfd ready{fd, POLLIN, 0};
      EXPECT_EQ(test_support::quiet_poll(&ready, 1, 5000), 1) << "round " << i;
      answer = ::accept4(fd, nullptr, nullptr, SOCK_CLOEXEC);
    }
    EXPECT_GE(answer, 0);
    os::fd accepted(static_cast<int>(answer));
    caller.close();
    handle = {};
  }
}

}  // namespace
}  // namespace weft::io::test
