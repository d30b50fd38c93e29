// socket: what drivers and tests rely on, over the loopback interface.
#include "weft/os/socket.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>

namespace weft::os {
namespace {

constexpr std::uint8_t loopback[4] = {127, 0, 0, 1};

struct connection {
  fd client, server;
};

connection connect_over_loopback() {
  auto listener = listen_tcp(make_ipv4(loopback, 0));
  EXPECT_TRUE(listener);
  const auto address = local_address(listener->get());
  EXPECT_TRUE(address);
  auto client = open_tcp(address_family::ipv4);
  EXPECT_TRUE(client);
  EXPECT_TRUE(connect_start(client->get(), *address));
  pollfd there{listener->get(), POLLIN, 0};
  EXPECT_EQ(::poll(&there, 1, 10'000), 1);
  fd server(::accept4(listener->get(), nullptr, nullptr, SOCK_CLOEXEC));
  EXPECT_TRUE(server);
  EXPECT_FALSE(socket_error(client->get()));
  return {std::move(*client), std::move(server)};
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

TEST(os_socket, both_ends_agree_on_their_addresses) {
  connection c = connect_over_loopback();
  const ip_endpoint mine = take_apart(local_address(c.client.get()).value());
  const ip_endpoint theirs = take_apart(peer_address(c.server.get()).value());
  EXPECT_EQ(mine.port, theirs.port);
  EXPECT_EQ(std::memcmp(mine.ip, loopback, 4), 0);
  EXPECT_EQ(std::memcmp(theirs.ip, loopback, 4), 0);
  EXPECT_EQ(local_address(-1).error(), std::errc::bad_file_descriptor);
  const auto alone = open_tcp(address_family::ipv4);
  EXPECT_EQ(peer_address(alone->get()).error(), std::errc::not_connected);
}

TEST(os_socket, sockets_do_not_block_and_close_on_exec) {
  const auto tcp = open_tcp(address_family::ipv4);
  const auto pair = open_pair();
  for (const int number : {tcp->get(), pair->first.get(), pair->second.get()}) {
    EXPECT_TRUE(::fcntl(number, F_GETFL) & O_NONBLOCK);
    EXPECT_TRUE(::fcntl(number, F_GETFD) & FD_CLOEXEC);
  }
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

TEST(os_socket, reset_on_close_reaches_the_peer) {
  connection c = connect_over_loopback();
  ASSERT_TRUE(set_reset_on_close(c.server.get(), true));
  c.server.close();
  char byte;
  pollfd told{c.client.get(), POLLIN, 0};
  EXPECT_EQ(::poll(&told, 1, 10'000), 1);
  EXPECT_EQ(::recv(c.client.get(), &byte, 1, 0), -1);
  EXPECT_EQ(errno, ECONNRESET);
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
