// Halves of a stream in jobs of their own, on every driver that works here.
#include "weft/net/split.hpp"

#include <gtest/gtest.h>

#include <array>
#include <string>
#include <vector>

#include "weft/io/copy.hpp"
#include "weft/net/tcp.hpp"
#include "weft/net/tcp_test_support.hpp"
#include "weft/net/unix.hpp"

namespace weft::net {
namespace {

using test::bytes_of;
using test::connected_pair;
using test::run_on;
using test::text_of;

static_assert(io::async_reader<owned_read_half<tcp_stream>>);
static_assert(io::half_closable<owned_write_half<unix_stream>>);
static_assert(io::async_reader<read_half<tcp_stream>> && io::half_closable<write_half<tcp_stream>>);
static_assert(!io::async_writer<read_half<tcp_stream>> &&
              !io::async_reader<write_half<tcp_stream>>);

class split_test : public test::on_each_driver {};
INSTANTIATE_TEST_SUITE_P(each, split_test, test::all_drivers, test::driver_name);

task<> echo(tcp_stream stream) {
  auto [in, out] = stream.split();
  const auto moved = co_await io::copy(in, out);
  EXPECT_TRUE(moved);
  EXPECT_TRUE(out.shutdown_write());
}
task<> write_and_go(owned_write_half<tcp_stream> out, std::size_t pieces) {
  const std::string piece(10'000, 'x');
  for (std::size_t i = 0; i < pieces; ++i) {
    const auto sent = co_await out.write_all(bytes_of(piece));
    EXPECT_TRUE(sent);
  }
}
task<std::size_t> read_to_end(owned_read_half<tcp_stream> in) {
  std::vector<std::byte> room(16'384);
  std::size_t total = 0;
  for (;;) {
    const auto n = co_await in.read_some(room);
    EXPECT_TRUE(n);
    if (!n || *n == 0) co_return total;
    total += *n;
  }
}
task<> halves_in_two_jobs() {
  auto made = co_await connected_pair();
  EXPECT_TRUE(made);
  if (!made) co_return;
  auto server = spawn(echo, std::move(made->server));
  auto [in, out] = std::move(made->client).split();
  EXPECT_FALSE(made->client);
  auto reader = spawn(read_to_end, std::move(in));
  // More than the buffers hold: it goes only if both directions go at once. The writer's end is the
  // stream's end for the server.
  auto writer = spawn(write_and_go, std::move(out), std::size_t{400});
  co_await writer;
  const auto total = co_await reader;
  EXPECT_EQ(total, 4'000'000u);
  co_await server;
}
TEST_P(split_test, owned_halves_read_and_write_in_two_jobs) {
  run_on(GetParam(), halves_in_two_jobs);
}

task<> a_direction_ends() {
  auto both = unix_stream::pair();
  EXPECT_TRUE(both);
  auto [a, b] = std::move(*both);
  auto halves = std::move(a).split();
  std::array<std::byte, 8> room;
  {
    const auto gone = std::move(halves.writer);
  }
  const auto end = co_await b.read_some(room);
  EXPECT_EQ(end.value(), 0u);
  const auto sent = co_await b.write_all(bytes_of("still"));
  EXPECT_TRUE(sent);
  const auto n = co_await halves.reader.read_some(room);
  EXPECT_EQ(n.value(), 5u);
  halves.reader.close();
  EXPECT_FALSE(halves.reader);
  const auto broken = co_await b.write_all(bytes_of("x"));
  EXPECT_TRUE(broken.error() == std::errc::broken_pipe);
}
TEST_P(split_test, an_owned_half_that_goes_ends_its_direction) {
  run_on(GetParam(), a_direction_ends);
}

task<> together_again() {
  auto made = co_await connected_pair();
  auto other = co_await connected_pair();
  EXPECT_TRUE(made && other);
  if (!made || !other) co_return;
  auto [in, out] = std::move(made->client).split();
  auto [other_in, other_out] = std::move(other->client).split();
  EXPECT_TRUE(reunite(std::move(in), std::move(other_out)).error() == std::errc::invalid_argument);
  EXPECT_TRUE(in && other_out);
  auto whole = reunite(std::move(in), std::move(out));
  EXPECT_TRUE(whole);
  EXPECT_FALSE(in || out);
  const auto sent = co_await whole->write_all(bytes_of("as before"));
  EXPECT_TRUE(sent);
  std::array<std::byte, 9> room;
  const auto n = co_await made->server.read_exact(room);
  EXPECT_EQ(n.value(), 9u);
}
TEST_P(split_test, halves_of_one_stream_become_it_again) { run_on(GetParam(), together_again); }

task<> borrowed() {
  auto made = co_await connected_pair();
  EXPECT_TRUE(made);
  if (!made) co_return;
  {
    auto [in, out] = made->client.split();
    const auto sent = co_await out.write_all(bytes_of("a"));
    EXPECT_TRUE(sent);
  }
  const auto more = co_await made->client.write_all(bytes_of("b"));  // nothing was shut
  EXPECT_TRUE(more);
  std::array<std::byte, 2> room;
  const auto n = co_await made->server.read_exact(room);
  EXPECT_EQ(text_of(std::span(room).first(n.value())), "ab");
}
TEST_P(split_test, borrowed_halves_shut_nothing) { run_on(GetParam(), borrowed); }

}  // namespace
}  // namespace weft::net
