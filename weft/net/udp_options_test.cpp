// Options of datagram sockets that depend on the family: both of a socket for both, none of the other one.
#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <string_view>

#include "weft/net/tcp.hpp"
#include "weft/net/tcp_test_support.hpp"
#include "weft/net/udp.hpp"

namespace weft::net {
namespace {

using test::bytes_of;
using test::loopback;
using test::run_on;
using test::text_of;

class udp_options_test : public test::on_each_driver {};
INSTANTIATE_TEST_SUITE_P(each, udp_options_test, test::all_drivers, test::driver_name);

constexpr std::uint32_t loopback_interface = 1;
const address group_v4 = address::v4(239, 255, 77, 2);
const address group_v6 = *address::parse("ff02::4d4d");

/// What is sent to IPv4 by a socket for both goes out where it was told to, too. If it does not, the
/// member hears the second datagram first, which goes there directly.
task<> from_both() {
  auto from = udp_socket::bind(endpoint{address::any_v6(), 0});
  if (!from) co_return;  // no IPv6 here
  auto member = udp_socket::bind(endpoint{address::any_v4(), 0});
  EXPECT_TRUE(member);
  EXPECT_TRUE(member->join(group_v4, loopback_interface));
  EXPECT_TRUE(from->set_multicast_interface(loopback_interface));
  EXPECT_TRUE(from->set_multicast_ttl(0));
  const std::uint16_t port = member->local_endpoint()->port;
  const auto sent = co_await from->send_to(bytes_of("group"), endpoint{group_v4, port});
  EXPECT_TRUE(sent) << sent.error().message();
  const auto direct =
      co_await from->send_to(bytes_of("direct"), endpoint{address::loopback_v4(), port});
  EXPECT_TRUE(direct) << direct.error().message();
  std::array<std::byte, 8> room;
  const auto got = co_await member->receive_from(room);
  EXPECT_EQ(text_of(std::span(room).first(got.value().size)), "group");
}
TEST_P(udp_options_test, the_multicast_interface_of_a_socket_for_both_is_that_of_both) {
  run_on(GetParam(), from_both);
}

task<> wrong_family() {
  constexpr auto no = std::errc::address_family_not_supported;
  auto v4 = udp_socket::bind(loopback);
  EXPECT_TRUE(v4);
  EXPECT_EQ(v4->join(group_v6, loopback_interface).error(), no);
  EXPECT_EQ(v4->leave(group_v6, loopback_interface).error(), no);
  EXPECT_EQ(v4->v6_only().error(), no);
  auto listener = tcp_listener::bind(loopback);
  EXPECT_TRUE(listener);
  EXPECT_EQ(listener->v6_only().error(), no);
  v4->close();  // what it says of a closed one has not changed
  EXPECT_EQ(v4->join(group_v4).error(), std::errc::bad_file_descriptor);
  EXPECT_EQ(v4->v6_only().error(), std::errc::bad_file_descriptor);

  udp_options only;
  only.v6_only = true;
  auto v6 = udp_socket::bind(endpoint{address::any_v6(), 0}, only);
  if (!v6) co_return;  // no IPv6 here
  EXPECT_EQ(v6->join(group_v4, loopback_interface).error(), no);
  EXPECT_TRUE(v6->set_multicast_interface(loopback_interface));
  auto both = udp_socket::bind(endpoint{address::any_v6(), 0});
  EXPECT_TRUE(both);
  EXPECT_TRUE(both->join(group_v4, loopback_interface));
  EXPECT_TRUE(both->leave(group_v4, loopback_interface));
}
TEST_P(udp_options_test, what_means_nothing_for_the_family_is_an_error_that_says_so) {
  run_on(GetParam(), wrong_family);
}

}  // namespace
}  // namespace weft::net
