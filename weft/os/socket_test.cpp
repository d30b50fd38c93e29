// socket: what a driver relies on, over the loopback interface.
#include "weft/os/socket.hpp"

#include <gtest/gtest.h>
#include <signal.h>

#include <cstring>
#include <string>
#include <vector>

#include "weft/os/clock.hpp"
#include "weft/os/thread.hpp"

namespace weft::os {
namespace {

constexpr std::uint8_t loopback[4] = {127, 0, 0, 1};

/// Tries a call until it does not say "would block"; gives up after 10 s.
template <class Call>
auto eventually(Call call) {
  const std::int64_t end = monotonic_ns() + 10 * ns_per_s;
  for (;;) {
    auto r = call();
    if (r || r.error() != std::errc::operation_would_block || monotonic_ns() > end) return r;
    yield_thread();
  }
}

struct connection {
  fd client, server;
  socket_address listener;
};

connection connect_over_loopback() {
  auto listener = listen_tcp(make_ipv4(loopback, 0));
  EXPECT_TRUE(listener);
  const auto address = local_address(listener->get());
  EXPECT_TRUE(address);
  auto client = open_tcp(address_family::ipv4);
  EXPECT_TRUE(client);
  EXPECT_TRUE(connect_start(client->get(), *address));
  socket_address peer;
  auto server = eventually([&] { return accept_nonblocking(listener->get(), &peer); });
  EXPECT_TRUE(server);
  EXPECT_FALSE(socket_error(client->get()));
  EXPECT_EQ(take_apart(peer).port, take_apart(*local_address(client->get())).port);
  return {std::move(*client), std::move(*server), *address};
}

TEST(os_socket, addresses_come_apart_as_they_were_put_together) {
  const ip_endpoint four = take_apart(make_ipv4({192, 0, 2, 1}, 8080));
  EXPECT_EQ(four.family, address_family::ipv4);
  EXPECT_EQ(four.port, 8080);
  EXPECT_EQ(std::memcmp(four.ip, "\xc0\x00\x02\x01", 4), 0);
  const std::uint8_t ip[16] = {0xfe, 0x80, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8};
  const ip_endpoint six = take_apart(make_ipv6(ip, 65535, 7));
  EXPECT_EQ(six.family, address_family::ipv6);
  EXPECT_EQ(six.port, 65535);
  EXPECT_EQ(six.scope, 7u);
  EXPECT_EQ(std::memcmp(six.ip, ip, 16), 0);
  EXPECT_EQ(family_of(socket_address{}), address_family::none);
}

TEST(os_socket, bytes_go_there_and_back_and_the_end_is_zero) {
  connection c = connect_over_loopback();
  EXPECT_EQ(send_now(c.client.get(), "hello", 5).value(), 5u);
  char buffer[16];
  EXPECT_EQ(eventually([&] { return recv_now(c.server.get(), buffer, sizeof buffer); }).value(), 5u);
  const send_part parts[] = {{"a", 1}, {"", 0}, {"bcd", 3}};
  EXPECT_EQ(sendv_now(c.server.get(), parts, 3).value(), 4u);
  ASSERT_TRUE(shutdown(c.server.get(), shutdown_side::send));
  std::string got;
  for (;;) {
    const auto n = eventually([&] { return recv_now(c.client.get(), buffer, sizeof buffer); });
    ASSERT_TRUE(n);
    if (*n == 0) break;
    got.append(buffer, *n);
  }
  EXPECT_EQ(got, "abcd");
  EXPECT_EQ(send_now(c.client.get(), "x", 1).value(), 1u);  // the other direction is still open
}

TEST(os_socket, not_now_is_would_block) {
  connection c = connect_over_loopback();
  char byte;
  EXPECT_EQ(recv_now(c.client.get(), &byte, 1).error(), std::errc::operation_would_block);
  auto listener = listen_tcp(make_ipv4(loopback, 0));
  EXPECT_EQ(accept_nonblocking(listener->get()).error(), std::errc::operation_would_block);
  const std::vector<char> much(1 << 20);
  result<std::size_t> sent;
  do {
    sent = send_now(c.client.get(), much.data(), much.size());
  } while (sent);
  EXPECT_EQ(sent.error(), std::errc::operation_would_block);
}

TEST(os_socket, writing_to_a_closed_peer_is_an_error_and_no_signal) {
  struct sigaction now{};
  ASSERT_EQ(::sigaction(SIGPIPE, nullptr, &now), 0);
  ASSERT_EQ(now.sa_handler, SIG_DFL) << "the test needs the default disposition, which kills";
  auto pair = open_pair();
  ASSERT_TRUE(pair);
  pair->second.close();
  const send_part part{"x", 1};
  EXPECT_EQ(send_now(pair->first.get(), "x", 1).error(), std::errc::broken_pipe);
  EXPECT_EQ(sendv_now(pair->first.get(), &part, 1).error(), std::errc::broken_pipe);
}

TEST(os_socket, taken_port_is_address_in_use) {
  auto first = listen_tcp(make_ipv4(loopback, 0));
  ASSERT_TRUE(first);
  auto second = listen_tcp(*local_address(first->get()));
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error(), std::errc::address_in_use);
}

TEST(os_socket, reuse_port_lets_two_listen) {
  listen_options options;
  options.reuse_port = true;
  auto first = listen_tcp(make_ipv4(loopback, 0), options);
  ASSERT_TRUE(first);
  EXPECT_TRUE(listen_tcp(*local_address(first->get()), options));
}

TEST(os_socket, refused_connection_is_told) {
  socket_address nobody;
  {
    auto listener = listen_tcp(make_ipv4(loopback, 0));
    nobody = *local_address(listener->get());
  }
  auto client = open_tcp(address_family::ipv4);
  const auto started = connect_start(client->get(), nobody);
  // The loopback may refuse at once or later.
  std::error_code why = started ? socket_error(client->get()) : started.error();
  for (int i = 0; !why && i < 100'000; ++i) why = socket_error(client->get());
  EXPECT_EQ(why, std::errc::connection_refused);
}

TEST(os_socket, accept_on_what_does_not_listen_ends_with_an_error) {
  auto pair = open_pair();
  const auto accepted = accept_nonblocking(pair->first.get());
  ASSERT_FALSE(accepted);  // and it did come back
  EXPECT_NE(accepted.error(), std::errc::operation_would_block);
}

TEST(os_socket, reset_on_close_reaches_the_peer) {
  connection c = connect_over_loopback();
  ASSERT_TRUE(set_reset_on_close(c.server.get(), true));
  c.server.close();
  char byte;
  EXPECT_EQ(eventually([&] { return recv_now(c.client.get(), &byte, 1); }).error(),
            std::errc::connection_reset);
}

TEST(os_socket, options_are_taken) {
  connection c = connect_over_loopback();
  EXPECT_TRUE(set_nodelay(c.client.get(), true));
  EXPECT_TRUE(set_keepalive(c.client.get(), {}));
  EXPECT_TRUE(set_keepalive(c.client.get(), {.on = false}));
  EXPECT_TRUE(set_send_buffer(c.client.get(), 65536));
  EXPECT_TRUE(set_receive_buffer(c.client.get(), 65536));
  EXPECT_EQ(set_nodelay(-1, true).error(), std::errc::bad_file_descriptor);
}

}  // namespace
}  // namespace weft::os
