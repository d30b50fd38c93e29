// One suite for every driver: what is promised in driver.hpp, whoever keeps it. Also of it: driver_stop_test,
// driver_descriptor_test, driver_wait_test, driver_message_test and driver_lent_test.
#include <fcntl.h>
#include <string.h>

#include <string>
#include <thread>
#include <vector>

#include "tests/support/quiet_poll.hpp"
#include "tests/support/seed.hpp"
#include "weft/base/rng.hpp"
#include "weft/io/driver_jobs_test_support.hpp"

namespace weft::io::test {
namespace {

INSTANTIATE_TEST_SUITE_P(each, driver_test, ::testing::ValuesIn(kinds),
                         [](const auto& p) { return std::string(p.param.name); });

// --- The plain cases

task<void> echo_server(io_handle& listener, driver& io, std::string& heard) {
  const std::int64_t fd = co_await accept_on(listener);
  EXPECT_GE(fd, 0);
  io_handle peer = std::move(*io.attach(os::fd(static_cast<int>(fd))));
  char bytes[64];
  for (;;) {
    const std::int64_t n = co_await receive(peer, bytes);
    EXPECT_GE(n, 0);
    if (n <= 0) break;
    heard.append(bytes, static_cast<std::size_t>(n));
    const std::int64_t sent =
        co_await send_whole(peer, std::span(bytes, static_cast<std::size_t>(n)));
    EXPECT_EQ(sent, n);
  }
}
task<void> echo_client(driver& io, os::socket_address to, std::string& heard) {
  io_handle h = std::move(*io.attach(std::move(*os::open_tcp(os::address_family::ipv4))));
  const std::int64_t connected = co_await connect_to(h, to);
  EXPECT_EQ(connected, 0);
  char word[] = "hello";
  char bytes[64];
  for (int i = 0; i < 10; ++i) {
    const std::int64_t sent = co_await send(h, std::span(word, 5));
    EXPECT_EQ(sent, 5);
    const std::int64_t n = co_await receive_whole(h, std::span(bytes, 5));
    EXPECT_EQ(n, 5);
    heard.append(bytes, 5);
  }
}

TEST_P(driver_test, accepts_connects_receives_and_sends) {
  listening l = listen_on_loopback();
  io_handle listener = attach(l.socket);
  std::string at_server;
  std::string at_client;
  auto s = jobs().spawn(echo_server, std::ref(listener), std::ref(io()), std::ref(at_server));
  auto c = jobs().spawn(echo_client, std::ref(io()), l.address, std::ref(at_client));
  jobs().run();
  std::string expected;
  for (int i = 0; i < 10; ++i) expected += "hello";
  EXPECT_EQ(at_server, expected);
  EXPECT_EQ(at_client, expected);
}

task<void> accept_with_address(io_handle& h, os::socket_address& from, std::int64_t& answer) {
  answer = co_await request(io_code::accept, h, &from);
}
TEST_P(driver_test, accept_tells_who_called) {
  listening l = listen_on_loopback();
  io_handle listener = attach(l.socket);
  os::socket_address from;
  std::int64_t answer = unanswered;
  START(accept_with_address, std::ref(listener), std::ref(from), std::ref(answer));
  os::fd caller = dial(l.address);
  jobs().run();
  ASSERT_GE(answer, 0);
  os::fd accepted(static_cast<int>(answer));
  const os::socket_address expected = *os::local_address(caller.get());
  ASSERT_EQ(from.size, expected.size);
  EXPECT_EQ(memcmp(from.bytes, expected.bytes, expected.size), 0);
}

TEST_P(driver_test, accepted_descriptors_do_not_block_and_close_on_exec) {
  listening l = listen_on_loopback();
  io_handle listener = attach(l.socket);
  std::int64_t answer = unanswered;
  START(accept_once, std::ref(listener), std::ref(answer));
  os::fd caller = dial(l.address);
  jobs().run();
  os::fd accepted(static_cast<int>(answer));
  EXPECT_NE(fcntl(accepted.get(), F_GETFL) & O_NONBLOCK, 0);
  EXPECT_NE(fcntl(accepted.get(), F_GETFD) & FD_CLOEXEC, 0);
}

TEST_P(driver_test, end_of_stream_is_zero_after_the_last_byte) {
  socket_pair p = connected_pair();
  io_handle h = attach(p.ours);
  char bytes[16];
  std::int64_t answer = unanswered;
  START(receive_once, std::ref(h), std::span(bytes), std::ref(answer));
  put(p.theirs, "last");
  p.theirs.close();  // data and hang-up arrive together
  jobs().run();
  EXPECT_EQ(answer, 4);
  auto again = jobs().spawn(receive_once, std::ref(h), std::span(bytes), std::ref(answer));
  jobs().run();
  EXPECT_EQ(answer, 0);
}

TEST_P(driver_test, receive_whole_ends_early_at_the_end_of_the_stream) {
  socket_pair p = connected_pair();
  io_handle h = attach(p.ours);
  char bytes[16];
  std::int64_t answer = unanswered;
  START(receive_all, std::ref(h), std::span(bytes), std::ref(answer));
  put(p.theirs, "abc");
  jobs().settle();
  EXPECT_FALSE(handle.done());
  put(p.theirs, "de");
  p.theirs.close();
  jobs().run();
  EXPECT_EQ(answer, 5);
  EXPECT_EQ(std::string_view(bytes, 5), "abcde");
}

TEST_P(driver_test, half_close_leaves_the_other_direction_open) {
  socket_pair p = connected_pair();
  io_handle h = attach(p.ours);
  char bytes[16];
  std::int64_t answer = unanswered;
  START(receive_once, std::ref(h), std::span(bytes), std::ref(answer));
  ::shutdown(p.theirs.get(), SHUT_WR);
  jobs().run();
  EXPECT_EQ(answer, 0);
  char word[] = "still";
  auto again = jobs().spawn(send_all, std::ref(h), std::span(word, 5), std::ref(answer));
  jobs().run();
  EXPECT_EQ(answer, 5);
  pollfd ready{p.theirs.get(), POLLIN, 0};
  ASSERT_EQ(test_support::quiet_poll(&ready, 1, 5000), 1);
  EXPECT_EQ(take_now(p.theirs), "still");
}

TEST_P(driver_test, peer_reset_is_an_error) {
  socket_pair p = connected_pair();
  io_handle h = attach(p.ours);
  char bytes[16];
  std::int64_t answer = unanswered;
  START(receive_once, std::ref(h), std::span(bytes), std::ref(answer));
  ASSERT_TRUE(os::set_reset_on_close(p.theirs.get(), true));
  p.theirs.close();
  jobs().run();
  EXPECT_EQ(answer, -ECONNRESET);
}

TEST_P(driver_test, refused_connect_is_an_error) {
  listening l = listen_on_loopback();
  l.socket.close();  // nobody listens at its address now
  io_handle h = attach(std::move(*os::open_tcp(os::address_family::ipv4)));
  std::int64_t answer = unanswered;
  auto handle = jobs().spawn(connect_once, std::ref(h), std::ref(l.address), std::ref(answer));
  jobs().run();
  EXPECT_EQ(answer, -ECONNREFUSED);
}

TEST_P(driver_test, writing_to_a_closed_peer_is_an_error_and_no_signal) {
  socket_pair p = connected_pair();
  io_handle h = attach(p.ours);
  ASSERT_TRUE(os::set_reset_on_close(p.theirs.get(), true));
  p.theirs.close();
  char word[] = "x";
  std::int64_t answer = unanswered;
  std::int64_t last = 0;
  for (int i = 0; i < 3; ++i) {  // SIGPIPE has its default action, which is to kill this test
    auto handle = jobs().spawn(send_once, std::ref(h), std::span(word, 1), std::ref(answer));
    jobs().run();
    last = answer;
  }
  EXPECT_EQ(last, -EPIPE);
  const io_part part{word, 1};
  auto vector = jobs().spawn(send_parts, std::ref(h), std::span(&part, 1), true, std::ref(answer));
  jobs().run();
  EXPECT_EQ(answer, -EPIPE);
}

TEST_P(driver_test, wait_readable_and_writable_take_nothing) {
  socket_pair p = connected_pair();
  io_handle h = attach(p.ours);
  std::int64_t answer = unanswered;
  START(until_readable, std::ref(h), std::ref(answer));
  put(p.theirs, "stays");
  jobs().run();
  EXPECT_EQ(answer, 0);
  answer = unanswered;
  auto w = jobs().spawn(until_writable, std::ref(h), std::ref(answer));
  jobs().run();
  EXPECT_EQ(answer, 0);
  char bytes[16];
  auto r = jobs().spawn(receive_once, std::ref(h), std::span(bytes), std::ref(answer));
  jobs().run();
  EXPECT_EQ(answer, 5);
}

// --- Whole transfers

TEST_P(driver_test, eight_megabytes_go_through_small_buffers_both_ways) {
  constexpr std::size_t bytes = 8 << 20;
  socket_pair p = connected_pair(8192);
  io_handle a = attach(p.ours);
  io_handle b = attach(p.theirs);
  std::string out = pattern(bytes);
  std::string at_b(bytes, '\0');
  std::string at_a(bytes, '\0');
  std::int64_t answers[4] = {unanswered, unanswered, unanswered, unanswered};
  std::string back(out.rbegin(), out.rend());
  auto j0 = jobs().spawn(send_all, std::ref(a), std::span(out), std::ref(answers[0]));
  auto j1 = jobs().spawn(receive_all, std::ref(b), std::span(at_b), std::ref(answers[1]));
  auto j2 = jobs().spawn(send_all, std::ref(b), std::span(back), std::ref(answers[2]));
  auto j3 = jobs().spawn(receive_all, std::ref(a), std::span(at_a), std::ref(answers[3]));
  jobs().run();
  for (const std::int64_t n : answers) EXPECT_EQ(n, std::int64_t{bytes});
  EXPECT_TRUE(at_b == out);
  EXPECT_TRUE(at_a == back);
}

// The first try moves a lot and does not come to the point where it has to wait; a later one does.
TEST_P(driver_test, a_send_that_goes_far_at_first_and_then_has_to_wait) {
  const std::string out = pattern(32 << 20);  // far more than a socket's buffers hold
  socket_pair p = connected_pair();
  io_handle h = attach(p.ours);
  std::int64_t answer = unanswered;
  std::string copy = out;
  START(send_all, std::ref(h), std::span(copy), std::ref(answer));
  std::string in;
  in.reserve(out.size());
  std::thread peer([&] {
    char bytes[65536];
    while (in.size() < out.size()) {
      pollfd ready{p.theirs.get(), POLLIN, 0};
      if (test_support::quiet_poll(&ready, 1, 20'000) != 1) break;
      const ssize_t n = ::recv(p.theirs.get(), bytes, sizeof bytes, 0);
      if (n <= 0) break;
      in.append(bytes, static_cast<std::size_t>(n));
    }
  });
  jobs().run();
  peer.join();
  EXPECT_EQ(answer, static_cast<std::int64_t>(out.size()));
  EXPECT_TRUE(in == out);
}

TEST_P(driver_test, gathered_writes_arrive_in_order_whatever_the_kernel_takes_at_a_time) {
  socket_pair p = connected_pair(8192);
  io_handle a = attach(p.ours);
  io_handle b = attach(p.theirs);
  const std::string out = pattern(1'000'000);
  std::vector<io_part> parts;
  rng random(test_support::seed());
  for (std::size_t at = 0; at < out.size();) {
    std::size_t n = random.below(20'000);  // some are empty
    if (n > out.size() - at) n = out.size() - at;
    parts.push_back({out.data() + at, n});
    at += n;
  }
  std::string in(out.size(), '\0');
  std::int64_t sent = unanswered;
  std::int64_t received = unanswered;
  auto s =
      jobs().spawn(send_parts, std::ref(a), std::span<const io_part>(parts), true, std::ref(sent));
  auto r = jobs().spawn(receive_all, std::ref(b), std::span(in), std::ref(received));
  jobs().run();
  EXPECT_EQ(sent, static_cast<std::int64_t>(out.size()));
  EXPECT_EQ(received, static_cast<std::int64_t>(out.size()));
  EXPECT_TRUE(in == out);
}

TEST_P(driver_test, an_error_after_some_bytes_is_the_answer) {
  socket_pair p = connected_pair();
  io_handle h = attach(p.ours);
  char bytes[16];
  std::int64_t answer = unanswered;
  START(receive_all, std::ref(h), std::span(bytes), std::ref(answer));
  put(p.theirs, "abc");
  jobs().settle();
  ASSERT_TRUE(os::set_reset_on_close(p.theirs.get(), true));
  p.theirs.close();
  jobs().run();
  EXPECT_EQ(answer, -ECONNRESET);
}

TEST_P(driver_test, says_what_an_operation_waits_for) {
  socket_pair p = connected_pair();
  io_handle h = attach(p.ours);
  request r(io_code::receive, h);
  EXPECT_STREQ(r.what(), "receive");
  request w(io_code::wait_writable, h);
  EXPECT_STREQ(w.what(), "wait writable");
}

}  // namespace
}  // namespace weft::io::test
