// The echo scenario, stopped at every await of every job in it, on both drivers: nothing hangs, nothing
// is left, and no byte is lost. What a stopped reader did not get is still in its socket.
#include "weft/base/config.hpp"

#if WEFT_CENSUS  // the harness needs the hook that only these builds have

#include <gtest/gtest.h>

#include <array>
#include <string>

#include "weft/net/tcp.hpp"
#include "weft/net/tcp_test_support.hpp"
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
using test::connected_pair;
using test::loopback;
using testing::cancel_everywhere;
using testing::virtual_options;
using testing::virtual_runtime;

/// Appends what comes to `got` until the end of the stream, in small bites.
task<> read_to_end(tcp_stream& stream, std::string& got) {
  std::array<std::byte, 3> bite;
  for (;;) {
    const auto n = co_await stream.read_some(bite);
    if (!n || *n == 0) co_return;
    got.append(reinterpret_cast<const char*>(bite.data()), *n);
  }
}

const std::string message = "the quick brown fox jumps over the lazy dog";

/// Sends a piece, and the next one when the reader says that it wants more.
task<> send_in_pieces(tcp_stream stream) {
  std::array<std::byte, 8> wish;
  for (std::size_t at = 0; at < message.size(); at += 5) {
    const auto sent = co_await stream.write_all(bytes_of(std::string_view(message).substr(at, 5)));
    if (!sent) co_return;
    const auto wanted = co_await stream.read_some(wish);
    if (!wanted || *wanted == 0) co_return;
  }
}

/// As read_to_end(), asking for more each time that it has to wait.
task<> read_and_ask(tcp_stream& stream, std::string& got) {
  std::array<std::byte, 3> bite;
  for (;;) {
    const auto n = co_await stream.read_some(bite);
    if (!n || *n == 0) co_return;
    got.append(reinterpret_cast<const char*>(bite.data()), *n);
    if (got.size() % 5 == 0 || got.size() == message.size()) {
      const auto asked = co_await stream.write_all(bytes_of("+"));
      if (!asked) co_return;
    }
  }
}

/// Reads what another job sends; when it is stopped, the rest is read under a shield.
task<> lossless_reader(std::string& got) {
  got.clear();
  auto made = co_await connected_pair();
  if (!made) co_return;
  tcp_stream reader = std::move(made->server);
  auto writer = spawn(send_in_pieces, std::move(made->client));
  const auto ended = co_await catch_stop(read_and_ask(reader, got));
  const shield_scope to_the_end;
  if (!ended) {
    // A wish may have been stopped before it was sent; one too many does no harm.
    const auto asked = co_await reader.write_all(bytes_of("+"));
    static_cast<void>(asked);
    co_await read_and_ask(reader, got);
  }
  const auto written = co_await writer.outcome();
  EXPECT_TRUE(written.has_value());
  EXPECT_EQ(got, message);  // each byte once, and in order
}

class cancel : public test::on_each_driver {};

TEST_P(cancel, a_stopped_read_loses_no_byte) {
  std::string got;
  const auto report = cancel_everywhere(
      [&](virtual_runtime& rt) { return rt.spawn(lossless_reader, std::ref(got)); }, [](bool) {},
      virtual_options{.io = GetParam()});
  EXPECT_GT(report.awaits, 5u);
  EXPECT_GT(report.runs, 10u);
}

/// One connection of an echo server.
task<> echo(tcp_stream stream) {
  std::array<std::byte, 16> buffer;
  for (;;) {
    const auto n = co_await timeout(10s, stream.read_some(buffer));
    if (!n || *n == 0) co_return;
    const auto sent = co_await stream.write_all(std::span<const std::byte>(buffer).first(*n));
    if (!sent) co_return;
  }
}

task<> echo_server(tcp_listener& listener, std::vector<join_handle<void>>& connections) {
  for (;;) {
    auto accepted = co_await listener.accept();
    if (!accepted) co_return;
    connections.push_back(spawn(echo, std::move(*accepted)));
  }
}

task<> client(endpoint to, bool& whole) {
  auto stream = co_await tcp_stream::connect(to);
  if (!stream) co_return;
  const auto sent = co_await stream->write_all(bytes_of(message));
  if (!sent) co_return;
  static_cast<void>(stream->shutdown_write());
  std::string back;
  co_await read_to_end(*stream, back);
  whole = back == message;
}

/// Server, connections and two clients; the handles of what still runs at a stop are dropped, which
/// stops it.
task<> echo_scenario(bool& whole) {
  whole = false;
  auto listener = tcp_listener::bind(loopback);
  if (!listener) co_return;
  std::vector<join_handle<void>> connections;
  bool first = false, second = false;
  // Joined below in any case: they refer to this frame.
  auto server = spawn(echo_server, std::ref(*listener), std::ref(connections));
  const auto to = *listener->local_endpoint();
  auto a = spawn(client, to, std::ref(first));
  auto b = spawn(client, to, std::ref(second));
  const auto both = [](join_handle<void>& x, join_handle<void>& y) -> task<> {
    co_await x;
    co_await y;
  };
  const auto ended = co_await catch_stop(both(a, b));
  whole = ended.has_value() && first && second;
  const shield_scope to_the_end;
  a.stop();
  b.stop();
  server.stop();
  const auto end_a = co_await a.outcome();
  const auto end_b = co_await b.outcome();
  const auto end_s = co_await server.outcome();
  static_cast<void>(end_a), static_cast<void>(end_b), static_cast<void>(end_s);
  for (auto& c : connections) {
    c.stop();
    const auto end_c = co_await c.outcome();
    static_cast<void>(end_c);
  }
}

TEST_P(cancel, the_echo_scenario_leaves_nothing_wherever_it_is_stopped) {
  bool whole = false;
  unsigned wholes = 0;
  const auto report = cancel_everywhere(
      [&](virtual_runtime& rt) { return rt.spawn(echo_scenario, std::ref(whole)); },
      [&](bool) { wholes += whole; }, virtual_options{.io = GetParam()});
  EXPECT_GT(report.awaits, 10u);
  EXPECT_GT(wholes, 0u);  // at least the run that was left alone
}

INSTANTIATE_TEST_SUITE_P(drivers, cancel, test::both_drivers, test::driver_name);

}  // namespace
}  // namespace weft::net

#endif
