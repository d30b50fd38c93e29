// Every await of datagrams, unix sockets, connections by name and halves, stopped wherever it waits: nothing
// hangs, no descriptor is left, and no message is lost or doubled.
#include "weft/base/config.hpp"

#if WEFT_CENSUS  // the harness needs the hook that only these builds have

#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <string>

#include "weft/net/resolve.hpp"
#include "weft/net/tcp.hpp"
#include "weft/net/tcp_test_support.hpp"
#include "weft/net/udp.hpp"
#include "weft/net/unix.hpp"
#include "weft/runtime/runtime.hpp"
#include "weft/runtime/time.hpp"
#include "weft/task/shield_scope.hpp"
#include "weft/testing/cancel_everywhere.hpp"
#include "weft/together/catch_stop.hpp"
#include "weft/together/timeout.hpp"

namespace weft::net {
namespace {

using namespace std::chrono_literals;
using test::bytes_of;
using test::loopback;
using testing::cancel_everywhere;
using testing::virtual_options;
using testing::virtual_runtime;

class cancel_messages : public test::on_each_driver {
 protected:
  /// `left_alone`: what must have come of a run that was not stopped.
  void everywhere(task<> (*scenario)(unsigned&), unsigned left_alone, unsigned awaits_min) {
    unsigned done = 0;
    const auto report = cancel_everywhere(
        [&](virtual_runtime& rt) {
          done = 0;
          return rt.spawn(scenario, std::ref(done));
        },
        [&](bool stopped) {
          if (!stopped) {
            EXPECT_EQ(done, left_alone);
          }
        },
        virtual_options{.io = GetParam()});
    // Of operations that are done at once, which drivers of readiness have, none is counted.
    EXPECT_GE(report.awaits, awaits_min);
  }
};
INSTANTIATE_TEST_SUITE_P(drivers, cancel_messages, test::all_drivers, test::driver_name);

task<> send_late(udp_socket& from, endpoint to, std::string_view text) {
  co_await yield_now();
  const auto sent = co_await from.send_to(bytes_of(text), to);
  static_cast<void>(sent);
}
task<> take_datagram(udp_socket& from, unsigned& got) {
  std::array<std::byte, 8> room;
  const auto n = co_await from.receive_from(room);
  if (n && n->size == 4) ++got;
}
task<> datagram_scenario(unsigned& done) {
  auto a = udp_socket::bind(loopback);
  auto b = udp_socket::bind(loopback);
  EXPECT_TRUE(a && b);
  const endpoint to = b->local_endpoint().value();
  // The sender is not stopped with the scenario, so one datagram comes in any case.
  auto sender = spawn(send_late, std::ref(*a), to, std::string_view("once"));
  unsigned got = 0;
  const auto ended = co_await catch_stop(take_datagram(*b, got));
  const shield_scope to_the_end;
  co_await sender;
  if (!ended) co_await take_datagram(*b, got);
  EXPECT_EQ(got, 1u);
  done = got;
}
TEST_P(cancel_messages, a_stopped_receive_loses_no_datagram) {
  everywhere(datagram_scenario, 1, 1);
}

task<> take_batch(udp_socket& from, datagram_batch& batch, unsigned& got) {
  while (got < 3) {
    const auto n = co_await from.receive_many(batch);
    if (!n) co_return;
    got += static_cast<unsigned>(*n);
  }
}
task<> send_three(udp_socket& from, endpoint to) {
  co_await yield_now();
  datagram_batch out(3, 8);
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(out.push(bytes_of("x"), to));
  std::size_t sent = 0;
  while (sent < 3) {
    const auto n = co_await from.send_many(out, sent);
    EXPECT_TRUE(n);
    if (!n) co_return;
    sent += *n;
  }
}
task<> batch_scenario(unsigned& done) {
  auto a = udp_socket::bind(loopback);
  auto b = udp_socket::bind(loopback);
  EXPECT_TRUE(a && b);
  auto sender = spawn(send_three, std::ref(*a), b->local_endpoint().value());
  datagram_batch batch(2, 8);
  unsigned got = 0;
  const auto ended = co_await catch_stop(take_batch(*b, batch, got));
  const shield_scope to_the_end;
  co_await sender;
  if (!ended) co_await take_batch(*b, batch, got);
  EXPECT_EQ(got, 3u);
  done = got;
}
TEST_P(cancel_messages, a_stopped_batch_loses_no_datagram) { everywhere(batch_scenario, 3, 1); }

task<> segment_scenario(unsigned& done) {
  udp_options by_hand;
  by_hand.segment = false;
  auto a = udp_socket::bind(loopback, by_hand);
  auto b = udp_socket::bind(loopback);
  EXPECT_TRUE(a && b);
  const auto sent = co_await a->send_segments_to(bytes_of("aabbc"), 2, b->local_endpoint().value());
  EXPECT_TRUE(sent);
  EXPECT_TRUE(a->connect(b->local_endpoint().value()));
  const auto more = co_await a->send(bytes_of("d"));
  EXPECT_TRUE(more);
  const auto two = co_await a->send_segments(bytes_of("ef"), 1);
  EXPECT_TRUE(two);
  std::array<std::byte, 8> room;
  for (int i = 0; i < 6; ++i) {
    const auto n = co_await b->receive(room);
    EXPECT_TRUE(n);
    ++done;
  }
  const auto readable = co_await a->wait_writable();
  EXPECT_TRUE(readable);
}
TEST_P(cancel_messages, segments_leave_nothing) { everywhere(segment_scenario, 6, 0); }

const std::string name = abstract_name("weft_cancel_" + std::to_string(::getpid()));

task<> hand_over(unix_stream to) {
  co_await yield_now();
  const int numbers[] = {to.native(), to.native()};
  const auto sent = co_await to.send_with_descriptors(bytes_of("take"), numbers);
  static_cast<void>(sent);
}
task<> take_descriptors(unix_stream& from, unsigned& got) {
  std::array<std::byte, 8> room;
  std::array<descriptor, 2> all;
  const auto n = co_await from.receive_with_descriptors(room, all);
  if (n) got += static_cast<unsigned>(n->descriptors);
}
task<> unix_scenario(unsigned& done) {
  auto listener = unix_listener::bind(name);
  EXPECT_TRUE(listener);
  if (!listener) co_return;
  auto client = co_await unix_stream::connect(name);
  EXPECT_TRUE(client);
  auto server = co_await listener->accept();
  EXPECT_TRUE(server);
  if (!client || !server) co_return;
  auto sender = spawn(hand_over, std::move(*client));
  unsigned got = 0;
  const auto ended = co_await catch_stop(take_descriptors(*server, got));
  const shield_scope to_the_end;
  co_await sender;
  if (!ended) co_await take_descriptors(*server, got);
  EXPECT_EQ(got, 2u);
  done = got;
}
TEST_P(cancel_messages, a_stopped_receive_loses_no_descriptor) { everywhere(unix_scenario, 2, 1); }

// Who waits for room that the kernel does not tell of sleeps in between: on virtual time that needs no
// while, if nobody waits for I/O meanwhile. So the waits end by a time-out here.
task<> fill(std::string_view to, unsigned& sent) {
  auto from = unix_datagram::unbound();
  for (;;) {
    const auto went = co_await from->send_to(bytes_of("x"), to);
    EXPECT_TRUE(went);
    ++sent;
  }
}
task<> packet_scenario(unsigned& done) {
  auto to = unix_datagram::bind(name);
  EXPECT_TRUE(to);
  if (!to) co_return;
  unsigned sent = 0;
  const auto filled = co_await timeout(1s, fill(name, sent));
  EXPECT_FALSE(filled);
  std::array<std::byte, 8> room;
  for (unsigned i = 0; i < sent; ++i) {
    const auto n = co_await to->receive_from(room);
    EXPECT_TRUE(n);
  }
  auto both = unix_seqpacket::pair();
  EXPECT_TRUE(both);
  const auto went = co_await both->first.send(bytes_of("y"));
  EXPECT_TRUE(went);
  const auto got = co_await both->second.receive(room);
  EXPECT_TRUE(got);
  ++done;
}
TEST_P(cancel_messages, packets_leave_nothing) { everywhere(packet_scenario, 1, 5); }

task<> full_queue_scenario(unsigned& done) {
  unix_bind_options small;
  small.backlog = 0;
  auto listener = unix_seqpacket_listener::bind(name, small);
  EXPECT_TRUE(listener);
  if (!listener) co_return;
  auto first = co_await unix_seqpacket::connect(name);
  EXPECT_TRUE(first);
  const auto second = co_await timeout(100ms, unix_seqpacket::connect(name));
  EXPECT_TRUE(second.error() == std::errc::timed_out);
  auto accepted = co_await listener->accept();
  EXPECT_TRUE(accepted);
  auto third = co_await unix_seqpacket::connect(name);
  EXPECT_TRUE(third);
  ++done;
}
TEST_P(cancel_messages, a_connect_to_a_full_queue_leaves_nothing) {
  everywhere(full_queue_scenario, 1, 5);
}

task<> connect_scenario(unsigned& done) {
  auto listener = tcp_listener::bind(loopback);
  EXPECT_TRUE(listener);
  if (!listener) co_return;
  table_resolver names;
  names.add("app.test", address::v4(127, 0, 0, 2)).add("app.test", address::loopback_v4());
  connect_options options;
  options.names = &names;
  auto client = co_await tcp_stream::connect("app.test", listener->local_endpoint()->port, options);
  EXPECT_TRUE(client);
  if (!client) co_return;
  auto server = co_await listener->accept();
  EXPECT_TRUE(server);
  if (!server) co_return;
  auto [in, out] = std::move(*client).split();
  const auto sent = co_await out.write_all(bytes_of("hello"));
  EXPECT_TRUE(sent);
  out.close();
  auto [far_in, far_out] = server->split();
  std::array<std::byte, 8> room;
  const auto n = co_await far_in.read_exact(room);
  EXPECT_EQ(n.value(), 5u);
  const auto back = co_await far_out.write_some(bytes_of("b"));
  EXPECT_TRUE(back);
  const auto readable = co_await in.wait_readable();
  EXPECT_TRUE(readable);
  const auto last = co_await in.read_some(room);
  EXPECT_EQ(last.value(), 1u);
  ++done;
}
TEST_P(cancel_messages, a_connection_by_name_and_its_halves_leave_nothing) {
  everywhere(connect_scenario, 1, 2);
}

task<> lookup_scenario(unsigned& done) {
  const auto found = co_await system_resolver().addresses("localhost");
  EXPECT_TRUE(found);
  const auto none = co_await resolve("127.0.0.1", "no-such-service-at-all");
  EXPECT_FALSE(none);
  ++done;
}
TEST_P(cancel_messages, a_lookup_is_left_at_once) { everywhere(lookup_scenario, 1, 2); }

}  // namespace
}  // namespace weft::net

#endif
