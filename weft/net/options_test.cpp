// What is set can be asked for, and is inherited where it says so.
#include <gtest/gtest.h>

#include "weft/net/tcp.hpp"
#include "weft/net/tcp_test_support.hpp"
#include "weft/os/socket_options.hpp"

namespace weft::net {
namespace {

using namespace std::chrono_literals;
using test::connected_pair;
using test::loopback;
using test::run_on;

class options_test : public test::on_each_driver {};
INSTANTIATE_TEST_SUITE_P(each, options_test, test::all_drivers, test::driver_name);

task<> of_a_stream() {
  auto made = co_await connected_pair();
  EXPECT_TRUE(made);
  if (!made) co_return;
  tcp_stream& s = made->client;
  EXPECT_TRUE(s.no_delay().value());  // from birth, on both ends
  EXPECT_TRUE(made->server.no_delay().value());
  EXPECT_TRUE(s.set_no_delay(false));
  EXPECT_FALSE(s.no_delay().value());

  EXPECT_TRUE(s.set_unsent_low_water(4096));
  EXPECT_EQ(s.unsent_low_water().value(), 4096u);
  EXPECT_EQ(s.set_unsent_low_water(SIZE_MAX).error(), std::errc::invalid_argument);

  EXPECT_EQ(s.keep_alive().value(), std::nullopt);
  keep_alive_options keep;
  keep.idle = 33s;
  keep.interval = 4s;
  keep.probes = 5;
  EXPECT_TRUE(s.set_keep_alive(keep));
  const auto kept = s.keep_alive().value();
  EXPECT_TRUE(kept && kept->idle == 33s && kept->interval == 4s && kept->probes == 5);
  EXPECT_TRUE(s.set_keep_alive(false));
  EXPECT_EQ(s.keep_alive().value(), std::nullopt);
  EXPECT_TRUE(s.set_keep_alive(true));
  EXPECT_TRUE(s.keep_alive().value());

  EXPECT_EQ(s.linger().value(), std::nullopt);
  EXPECT_TRUE(s.set_linger(2s));
  EXPECT_EQ(s.linger().value(), 2s);
  EXPECT_TRUE(s.set_linger(std::nullopt));
  EXPECT_EQ(s.linger().value(), std::nullopt);

  EXPECT_TRUE(s.set_user_timeout(1500ms));
  EXPECT_EQ(s.user_timeout().value(), 1500ms);
  EXPECT_TRUE(s.set_quick_ack(true));
  EXPECT_TRUE(s.quick_ack().value());
  EXPECT_TRUE(s.set_ttl(12));
  EXPECT_EQ(s.ttl().value(), 12);
  EXPECT_TRUE(s.set_send_buffer(16'384));
  EXPECT_GE(s.send_buffer().value(), 16'384u);
  EXPECT_TRUE(s.set_receive_buffer(16'384));
  EXPECT_GE(s.receive_buffer().value(), 16'384u);
  EXPECT_FALSE(s.take_error());
  s.close();
  EXPECT_TRUE(s.no_delay().error() == std::errc::bad_file_descriptor);
  EXPECT_TRUE(s.set_ttl(1).error() == std::errc::bad_file_descriptor);
}
TEST_P(options_test, of_a_stream_are_what_they_were_set_to) { run_on(GetParam(), of_a_stream); }

task<> reset() {
  auto made = co_await connected_pair();
  EXPECT_TRUE(made);
  if (!made) co_return;
  EXPECT_TRUE(made->server.set_linger(0s));
  made->server.close();
  std::array<std::byte, 1> room;
  const auto n = co_await made->client.read_some(room);
  EXPECT_TRUE(n.error() == std::errc::connection_reset);
}
TEST_P(options_test, linger_zero_closes_with_a_reset) { run_on(GetParam(), reset); }

task<> of_a_listener() {
  listen_options wanted;
  wanted.reuse_port = true;
  wanted.receive_buffer = 20'000;
  wanted.send_buffer = 30'000;
  wanted.fast_open = 16;
  auto listener = tcp_listener::bind(loopback, wanted);
  EXPECT_TRUE(listener);
  if (!listener) co_return;
  EXPECT_TRUE(listener->reuse_address().value());
  EXPECT_TRUE(listener->reuse_port().value());
  EXPECT_EQ(listener->receive_buffer().value(), 40'000u);  // Linux doubles
  connect_options fast;
  fast.fast_open = true;
  auto client = co_await tcp_stream::connect(*listener->local_endpoint(), fast);
  EXPECT_TRUE(client);
  const auto sent = co_await client->write_all(test::bytes_of("first"));
  EXPECT_TRUE(sent);
  auto server = co_await listener->accept();
  EXPECT_TRUE(server);
  std::array<std::byte, 5> room;
  const auto n = co_await server->read_exact(room);
  EXPECT_EQ(n.value(), 5u);

  listen_options only_v6;
  only_v6.v6_only = true;
  EXPECT_TRUE(tcp_listener::bind(loopback, only_v6));  // says nothing of an IPv4 listener
  auto v6 = tcp_listener::bind(endpoint{address::any_v6(), 0}, only_v6);
  if (!v6) co_return;  // no IPv6 here
  auto both = tcp_listener::bind(endpoint{address::any_v6(), 0});
  EXPECT_FALSE(both.value().v6_only().value());
  EXPECT_TRUE(both->set_ttl(12));
  EXPECT_EQ(os::get_option(both->native(), os::socket_option::ttl_v4).value(), 12);
  EXPECT_TRUE(v6->v6_only().value());
  const auto refused =
      co_await tcp_stream::connect(endpoint{address::loopback_v4(), v6->local_endpoint()->port});
  EXPECT_TRUE(refused.error() == std::errc::connection_refused);
}
TEST_P(options_test, of_a_listener_are_inherited) { run_on(GetParam(), of_a_listener); }

}  // namespace
}  // namespace weft::net
