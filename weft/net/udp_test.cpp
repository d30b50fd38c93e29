// Datagrams on a real runtime, on every driver that works here.
#include "weft/net/udp.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <new>
#include <set>
#include <string>
#include <vector>

#include "weft/net/tcp_test_support.hpp"
#include "weft/os/socket_options.hpp"
#include "weft/runtime/runtime.hpp"
#include "weft/runtime/time.hpp"

namespace weft::net {
namespace {

using test::bytes_of;
using test::loopback;
using test::run_on;
using test::text_of;

class udp_test : public test::on_each_driver {};
INSTANTIATE_TEST_SUITE_P(each, udp_test, test::all_drivers, test::driver_name);

udp_socket made(endpoint where = loopback, udp_options options = {}) {
  auto socket = udp_socket::bind(where, options);
  EXPECT_TRUE(socket) << socket.error().message();
  return socket ? std::move(*socket) : udp_socket();
}
endpoint place(const udp_socket& of) { return of.local_endpoint().value(); }

task<> comes_whole() {
  udp_socket a = made();
  udp_socket b = made();
  std::array<std::byte, 64> room;
  for (const std::string_view text : {"hello", "", "again"}) {
    const auto sent = co_await a.send_to(bytes_of(text), place(b));
    EXPECT_EQ(sent.value(), text.size());
    const auto got = co_await b.receive_from(room);
    EXPECT_EQ(text_of(std::span(room).first(got.value().size)), text);
    EXPECT_EQ(got->from, place(a));
    EXPECT_FALSE(got->truncated);
    EXPECT_EQ(got->segment_size, text.size());
  }
}
TEST_P(udp_test, a_datagram_comes_whole_also_an_empty_one_with_its_sender) {
  run_on(GetParam(), comes_whole);
}

task<> one_datagram(udp_socket& from, std::string& got) {
  std::array<std::byte, 64> room;
  const auto n = co_await from.receive_from(room);
  got = text_of(std::span(room).first(n.value().size));
}
task<> waits_for_it() {
  udp_socket a = made();
  udp_socket b = made();
  std::string got;
  auto reader = spawn(one_datagram, std::ref(b), std::ref(got));
  co_await yield_now();
  const auto sent = co_await a.send_to(bytes_of("late"), place(b));
  EXPECT_TRUE(sent);
  co_await reader;
  EXPECT_EQ(got, "late");
}
TEST_P(udp_test, a_receive_waits_for_a_datagram) { run_on(GetParam(), waits_for_it); }

task<> cut() {
  udp_socket a = made();
  udp_socket b = made();
  const auto sent = co_await a.send_to(bytes_of("much too long"), place(b));
  const auto next = co_await a.send_to(bytes_of("fits"), place(b));
  EXPECT_TRUE(sent && next);
  std::array<std::byte, 4> room;
  const auto got = co_await b.receive_from(room);
  EXPECT_EQ(got.value().size, 4u);
  EXPECT_TRUE(got->truncated);
  EXPECT_EQ(text_of(room), "much");
  const auto whole = co_await b.receive_from(room);
  EXPECT_FALSE(whole.value().truncated);
  EXPECT_EQ(text_of(room), "fits");
}
TEST_P(udp_test, a_datagram_that_is_cut_says_so) { run_on(GetParam(), cut); }

task<> too_large() {
  udp_socket a = made();
  const std::vector<std::byte> large(70'000);
  const auto sent = co_await a.send_to(large, place(a));
  EXPECT_FALSE(sent);
  EXPECT_TRUE(sent.error() == std::errc::message_size);
  const auto nowhere = co_await a.send(bytes_of("x"));
  EXPECT_FALSE(nowhere);
  EXPECT_TRUE(nowhere.error() == std::errc::destination_address_required);
  a.close();
  const auto closed = co_await a.send_to(bytes_of("x"), loopback);
  EXPECT_TRUE(closed.error() == std::errc::bad_file_descriptor);
}
TEST_P(udp_test, what_cannot_be_sent_is_an_error) { run_on(GetParam(), too_large); }

task<> refused() {
  endpoint nobody;
  {
    // An address of its own: nobody else is given its port there.
    udp_socket was = made(endpoint{address::v4(127, 0, 0, 77), 0});
    nobody = place(was);
  }
  udp_socket a = made();
  EXPECT_TRUE(a.connect(nobody));
  EXPECT_EQ(a.peer_endpoint().value(), nobody);
  const auto sent = co_await a.send(bytes_of("anybody?"));
  EXPECT_TRUE(sent);
  std::array<std::byte, 4> room;
  const auto got = co_await a.receive(room);
  EXPECT_FALSE(got);
  EXPECT_TRUE(got.error() == std::errc::connection_refused);
  // It is told once; the socket is as good as before.
  EXPECT_TRUE(a.disconnect());
  EXPECT_FALSE(a.peer_endpoint());
  udp_socket b = made();
  const auto later = co_await b.send_to(bytes_of("yes"), place(a));
  EXPECT_TRUE(later);
  const auto there = co_await a.receive(room);
  EXPECT_EQ(there.value().size, 3u);
}
TEST_P(udp_test, a_refusal_by_the_peers_system_is_an_error) { run_on(GetParam(), refused); }

task<> as_wide_as_before() {
  udp_socket a = made(endpoint{address::any_v4(), 0});
  const endpoint was = place(a);
  udp_socket b = made();
  EXPECT_TRUE(a.connect(place(b)));
  EXPECT_EQ(place(a).address, address::loopback_v4());  // the way to its peer
  EXPECT_TRUE(a.disconnect());
  EXPECT_EQ(place(a), was);
  if (place(a) != was) co_return;  // nothing would come
  const auto sent =
      co_await b.send_to(bytes_of("hi"), endpoint{address::v4(127, 0, 0, 5), was.port});
  EXPECT_TRUE(sent);
  std::array<std::byte, 4> room;
  const auto got = co_await a.receive(room);
  EXPECT_EQ(got.value().size, 2u);
  udp_socket narrow = made();  // and one that was bound to an address keeps it
  const endpoint narrow_was = place(narrow);
  EXPECT_TRUE(narrow.connect(place(b)));
  EXPECT_TRUE(narrow.disconnect());
  EXPECT_EQ(place(narrow), narrow_was);
}
TEST_P(udp_test, disconnect_gives_the_wildcard_back) { run_on(GetParam(), as_wide_as_before); }

task<> only_its_peer() {
  udp_socket a = made();
  udp_socket b = made();
  udp_socket stranger = made();
  EXPECT_TRUE(a.connect(place(b)));
  const auto first = co_await stranger.send_to(bytes_of("psst"), place(a));
  const auto second = co_await b.send_to(bytes_of("hello"), place(a));
  EXPECT_TRUE(first && second);
  std::array<std::byte, 8> room;
  const auto got = co_await a.receive(room);
  EXPECT_EQ(got.value().from, place(b));
  const auto sent = co_await a.send(bytes_of("back"));
  EXPECT_EQ(sent.value(), 4u);
  const auto back = co_await b.receive_from(room);
  EXPECT_EQ(back.value().from, place(a));
}
TEST_P(udp_test, a_connected_socket_hears_its_peer_only) { run_on(GetParam(), only_its_peer); }

task<> in_batches() {
  udp_socket a = made();
  udp_socket b = made();
  datagram_batch out(8, 16);
  EXPECT_FALSE(out.push(bytes_of("longer than sixteen"), place(b)));
  for (int i = 0; i < 5; ++i) EXPECT_TRUE(out.push(bytes_of(std::string(i, 'x')), place(b)));
  const auto sent = co_await a.send_many(out);
  EXPECT_EQ(sent.value(), 5u);
  datagram_batch in(3, 3);
  const auto three = co_await b.receive_many(in);
  EXPECT_EQ(three.value(), 3u);  // all that it has room for
  EXPECT_EQ(in.size(), 3u);
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(in[i].size, i);
    EXPECT_EQ(in[i].from, place(a));
    EXPECT_EQ(text_of(in.bytes(i)), std::string(i, 'x'));
  }
  const auto two = co_await b.receive_many(in);
  EXPECT_EQ(two.value(), 2u);  // all that there are
  EXPECT_EQ(in[0].size, 3u);
  EXPECT_FALSE(in[0].truncated);
  EXPECT_EQ(in[1].size, 3u);
  EXPECT_TRUE(in[1].truncated);
  const auto back = co_await b.send_many(in, 1);
  EXPECT_EQ(back.value(), 1u);
  std::array<std::byte, 8> room;
  const auto got = co_await a.receive_from(room);
  EXPECT_EQ(got.value().size, 3u);
  EXPECT_EQ(got->from, place(b));
  const auto none = co_await b.send_many(in, 2);
  EXPECT_EQ(none.value(), 0u);
  datagram_batch one(1, 8);
  EXPECT_TRUE(one.push(bytes_of("peer")));
  const auto lost = co_await a.send_many(one);
  EXPECT_TRUE(lost.error() == std::errc::destination_address_required);
  EXPECT_TRUE(a.connect(place(b)));
  const auto found = co_await a.send_many(one);
  EXPECT_EQ(found.value(), 1u);
  const auto single = co_await b.receive_many(one);
  EXPECT_EQ(single.value(), 1u);
  EXPECT_EQ(text_of(one.bytes(0)), "peer");
}
TEST_P(udp_test, batches_go_and_come_in_order_up_to_their_capacity) {
  run_on(GetParam(), in_batches);
}

task<> take_batches(udp_socket& from, std::size_t wanted, std::set<std::string>& seen) {
  datagram_batch batch(4, 16);
  while (seen.size() < wanted) {
    const auto n = co_await from.receive_many(batch);
    EXPECT_TRUE(n);
    if (!n) co_return;
    for (std::size_t i = 0; i < *n; ++i) EXPECT_TRUE(seen.insert(text_of(batch.bytes(i))).second);
  }
}
task<> waits_for_batches() {
  udp_socket a = made();
  udp_socket b = made();
  std::set<std::string> seen;
  auto reader = spawn(take_batches, std::ref(b), std::size_t{40}, std::ref(seen));
  for (int i = 0; i < 40; ++i) {
    const std::string text = std::to_string(i);
    const auto sent = co_await a.send_to(bytes_of(text), place(b));
    EXPECT_TRUE(sent);
    if (i % 7 == 0) co_await yield_now();
  }
  co_await reader;
  EXPECT_EQ(seen.size(), 40u);
}
TEST_P(udp_test, a_batch_waits_for_its_first_and_loses_none) {
  run_on(GetParam(), waits_for_batches);
}

/// Sends 10 500 bytes in pieces of 1000 and says what came: sizes of datagrams.
task<> segments(bool segment, bool merged, bool connected) {
  udp_options from_options;
  from_options.segment = segment;
  udp_options to_options;
  to_options.receive_merged = merged;
  udp_socket a = made(loopback, from_options);
  udp_socket b = made(loopback, to_options);
  if (!segment) {
    EXPECT_FALSE(a.segments_in_kernel());
  }
  std::vector<std::byte> bytes(10'500);
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::byte>(i / 100);
  if (connected) {
    EXPECT_TRUE(a.connect(place(b)));
    const auto sent = co_await a.send_segments(bytes, 1000);
    EXPECT_TRUE(sent);
  } else {
    const auto sent = co_await a.send_segments_to(bytes, 1000, place(b));
    EXPECT_TRUE(sent);
  }
  std::vector<std::byte> in;
  std::vector<std::byte> room(65'536);
  std::size_t datagrams = 0;
  while (in.size() < bytes.size()) {
    const auto got = co_await b.receive_from(room);
    EXPECT_TRUE(got);
    if (!got || got->size == 0) co_return;
    EXPECT_FALSE(got->truncated);
    if (!merged) {
      EXPECT_EQ(got->segment_size, got->size);
    }
    datagrams += (got->size + got->segment_size - 1) / got->segment_size;
    in.insert(in.end(), room.begin(), room.begin() + static_cast<std::ptrdiff_t>(got->size));
  }
  EXPECT_EQ(datagrams, 11u);
  EXPECT_EQ(in, bytes);
  const auto nothing = co_await a.send_segments_to(bytes, 0, place(b));
  EXPECT_TRUE(nothing.error() == std::errc::invalid_argument);
}
TEST_P(udp_test, segments_arrive_the_same_whoever_cuts_them) {
  for (const bool in_kernel : {true, false}) {
    for (const bool merged : {false, true}) {
      run_on(GetParam(), segments, in_kernel, merged, true);
      run_on(GetParam(), segments, in_kernel, merged, false);
    }
  }
}
task<> merged_back() {
  udp_options merging;
  merging.receive_merged = true;
  udp_socket a = made();
  udp_socket b = made(loopback, merging);
  std::vector<std::byte> bytes(10'500);
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::byte>(i / 100);
  const auto sent = co_await a.send_segments_to(bytes, 1000, place(b));
  EXPECT_TRUE(sent);
  datagram_batch batch(16, 65'536);
  std::size_t came = 0;
  while (came < bytes.size()) {
    const auto n = co_await b.receive_many(batch);
    EXPECT_TRUE(n);
    if (!n) co_return;
    for (std::size_t i = 0; i < *n; ++i) came += batch[i].size;
    for (std::size_t first = 0; first < batch.size();) {
      const auto back = co_await b.send_many(batch, first);
      EXPECT_TRUE(back) << back.error().message();
      if (!back) co_return;
      first += *back;
    }
  }
  std::vector<std::byte> in;
  std::vector<std::byte> room(65'536);
  while (in.size() < bytes.size()) {
    const auto got = co_await a.receive_from(room);
    EXPECT_TRUE(got);
    if (!got) co_return;
    EXPECT_EQ(got->size, std::min<std::size_t>(1000, bytes.size() - in.size()));
    in.insert(in.end(), room.begin(), room.begin() + static_cast<std::ptrdiff_t>(got->size));
  }
  EXPECT_EQ(in, bytes);
}
TEST_P(udp_test, what_came_merged_goes_back_as_the_datagrams_that_it_was) {
  run_on(GetParam(), merged_back);
}

TEST(datagram_batch, room_that_cannot_be_is_refused_and_not_made_smaller) {
  const std::size_t half = std::size_t{1} << (sizeof(std::size_t) * 4);
  EXPECT_THROW(datagram_batch(half, half), std::bad_array_new_length);
  EXPECT_THROW(datagram_batch(half, half + 1), std::bad_array_new_length);
  EXPECT_THROW(datagram_batch(SIZE_MAX, 0), std::bad_array_new_length);
}
TEST(datagram_batch_death_test, there_is_nothing_behind_its_size) {
  datagram_batch batch(4, 16);
  EXPECT_TRUE(batch.push(bytes_of("one")));
  EXPECT_DEATH(static_cast<void>(batch[1]), "size");
  EXPECT_DEATH(static_cast<void>(batch.bytes(1)), "size");
}

task<> refused_segments() {
  udp_socket a = made();
  udp_socket b = made();
  // Larger than the loopback's packets may be: the kernel does not cut to that, but would fragment.
  std::vector<std::byte> bytes(2 * 65'507);
  const auto sent = co_await a.send_segments_to(bytes, 65'507, place(b));
  EXPECT_TRUE(sent);
  const auto too_long = co_await a.send_segments_to(bytes, 65'508, place(b));
  EXPECT_TRUE(too_long.error() == std::errc::message_size);
}
TEST_P(udp_test, segments_too_large_to_be_cut_by_the_kernel_go_one_by_one) {
  run_on(GetParam(), refused_segments);
}

task<> options_of() {
  udp_options wanted;
  wanted.broadcast = true;
  wanted.reuse_address = true;
  wanted.reuse_port = true;
  udp_socket a = made(loopback, wanted);
  EXPECT_TRUE(a.broadcast().value());
  EXPECT_TRUE(a.reuse_address().value());
  EXPECT_TRUE(a.reuse_port().value());
  EXPECT_TRUE(a.set_broadcast(false));
  EXPECT_FALSE(a.broadcast().value());
  udp_socket twin = made(place(a), wanted);
  EXPECT_EQ(place(twin), place(a));
  EXPECT_TRUE(a.set_ttl(7));
  EXPECT_EQ(a.ttl().value(), 7);
  EXPECT_TRUE(a.set_multicast_ttl(3));
  EXPECT_EQ(a.multicast_ttl().value(), 3);
  EXPECT_TRUE(a.set_multicast_loop(false));
  EXPECT_FALSE(a.multicast_loop().value());
  EXPECT_TRUE(a.set_receive_buffer(8192));
  EXPECT_GE(a.receive_buffer().value(), 8192u);
  udp_options only_v6;
  only_v6.v6_only = true;  // says nothing of an IPv4 socket
  EXPECT_TRUE(udp_socket::bind(loopback, only_v6));
  co_return;
}
TEST_P(udp_test, options_are_what_they_were_set_to) { run_on(GetParam(), options_of); }

constexpr std::uint32_t loopback_interface = 1;

task<> to_a_group() {
  const address group = address::v4(239, 255, 77, 1);
  udp_socket a = made(endpoint{address::any_v4(), 0});
  const auto joined = a.join(group, loopback_interface);
  EXPECT_TRUE(joined) << joined.error().message();
  udp_socket b = made(endpoint{address::any_v4(), 0});
  EXPECT_TRUE(b.set_multicast_interface(loopback_interface));
  EXPECT_TRUE(b.set_multicast_ttl(0));
  const auto sent = co_await b.send_to(bytes_of("all"), endpoint{group, place(a).port});
  EXPECT_TRUE(sent) << sent.error().message();
  if (!sent) co_return;
  std::array<std::byte, 8> room;
  const auto got = co_await a.receive_from(room);
  EXPECT_EQ(got.value().size, 3u);
  EXPECT_TRUE(a.leave(group, loopback_interface));
  EXPECT_TRUE(a.leave(group, loopback_interface).error() == std::errc::address_not_available);
  EXPECT_FALSE(a.join(address::v4(10, 0, 0, 1), loopback_interface));
}
TEST_P(udp_test, a_member_of_a_group_gets_what_is_sent_to_it) { run_on(GetParam(), to_a_group); }

task<> v6() {
  auto a = udp_socket::bind(endpoint{address::loopback_v6(), 0});
  if (!a) co_return;  // no IPv6 here
  EXPECT_TRUE(a->set_ttl(9));
  EXPECT_EQ(a->ttl().value(), 9);
  // What goes to IPv4 from here, too.
  EXPECT_EQ(os::get_option(a->native(), os::socket_option::ttl_v4).value(), 9);
  EXPECT_TRUE(a->set_multicast_ttl(4));
  EXPECT_EQ(a->multicast_ttl().value(), 4);
  EXPECT_EQ(os::get_option(a->native(), os::socket_option::multicast_ttl_v4).value(), 4);
  EXPECT_TRUE(a->set_multicast_loop(false));
  EXPECT_FALSE(a->multicast_loop().value());
  EXPECT_EQ(os::get_option(a->native(), os::socket_option::multicast_loop_v4).value(), 0);
  EXPECT_FALSE(a->set_ttl(1000));
  EXPECT_EQ(os::get_option(a->native(), os::socket_option::ttl_v4).value(), 9);
  const auto sent = co_await a->send_to(bytes_of("six"), place(*a));
  EXPECT_TRUE(sent);
  std::array<std::byte, 8> room;
  const auto got = co_await a->receive_from(room);
  EXPECT_EQ(got.value().from, place(*a));
  udp_options only;
  only.v6_only = true;
  udp_socket b = made(endpoint{address::any_v6(), 0}, only);
  EXPECT_TRUE(b.v6_only().value());
  udp_socket both = made(endpoint{address::any_v6(), 0});
  EXPECT_FALSE(both.v6_only().value());
}
TEST_P(udp_test, speaks_ipv6) { run_on(GetParam(), v6); }

}  // namespace
}  // namespace weft::net
