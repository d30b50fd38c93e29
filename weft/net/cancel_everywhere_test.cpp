// The echo scenario, stopped at every await of every job in it, on both drivers: nothing hangs, nothing
// is left, and no byte is lost. What a stopped reader did not get is still in its socket.
#include "weft/base/config.hpp"

#if WEFT_CENSUS  // the harness needs the hook that only these builds have

#include <gtest/gtest.h>

#include <array>
#include <cstdio>
#include <memory>
#include <span>
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

/// As read_to_end(), asking for more each time that it has to wait. A stopped wait_readable() or
/// wait_writable() has had no effect at all.
task<> read_and_ask(tcp_stream& stream, std::string& got) {
  std::array<std::byte, 3> bite;
  for (;;) {
    const auto readable = co_await stream.wait_readable();
    if (!readable) co_return;
    const auto n = co_await stream.read_some(bite);
    if (!n || *n == 0) co_return;
    got.append(reinterpret_cast<const char*>(bite.data()), *n);
    if (got.size() % 5 == 0 || got.size() == message.size()) {
      const auto writable = co_await stream.wait_writable();
      if (!writable) co_return;
      const auto asked = co_await stream.write_all(bytes_of("+"));
      if (!asked) co_return;
    }
  }
}

/// The same in lent buffers.
task<> read_pooled_and_ask(tcp_stream& stream, std::string& got) {
  for (;;) {
    const auto came = co_await stream.read_pooled();
    if (!came || came->empty()) co_return;
    got += test::text_of(came->bytes());
    const auto asked = co_await stream.write_all(bytes_of("+"));
    if (!asked) co_return;
  }
}

/// Reads what another job sends; when it is stopped, the rest is read under a shield.
template <task<> read(tcp_stream&, std::string&)>
task<> lossless_reader(std::string& got) {
  got.clear();
  auto made = co_await connected_pair();
  if (!made) co_return;
  tcp_stream reader = std::move(made->server);
  auto writer = spawn(send_in_pieces, std::move(made->client));
  const auto ended = co_await catch_stop(read(reader, got));
  const shield_scope to_the_end;
  if (!ended) {
    // A wish may have been stopped before it was sent; one too many does no harm.
    const auto asked = co_await reader.write_all(bytes_of("+"));
    static_cast<void>(asked);
    co_await read(reader, got);
  }
  const auto written = co_await writer.outcome();
  EXPECT_TRUE(written.has_value());
  EXPECT_EQ(got, message);  // each byte once, and in order
}

class cancel : public test::on_each_driver {};

template <task<> read(tcp_stream&, std::string&)>
void loses_no_byte(driver io) {
  std::string got;
  const auto report = cancel_everywhere(
      [&](virtual_runtime& rt) { return rt.spawn(lossless_reader<read>, std::ref(got)); },
      [](bool) {}, virtual_options{.io = io});
  EXPECT_GT(report.awaits, 5u);
  EXPECT_GT(report.runs, 10u);
}
TEST_P(cancel, a_stopped_read_loses_no_byte) { loses_no_byte<read_and_ask>(GetParam()); }
TEST_P(cancel, a_stopped_pooled_read_loses_no_byte) {
  loses_no_byte<read_pooled_and_ask>(GetParam());
}

/// What has come is the file's beginning, and who was not stopped has sent all of it.
task<> sends_a_file(int file, std::size_t size, std::string& got, bool& whole) {
  got.clear();
  whole = false;
  auto made = co_await connected_pair();
  if (!made) co_return;
  tcp_stream sender = std::move(made->client);
  auto reader = spawn(
      [](tcp_stream from, std::string& into) -> task<> {
        std::string bite(64 * 1024, ' ');  // few awaits: the harness stops it at each
        for (;;) {
          const auto n = co_await from.read_some(std::as_writable_bytes(std::span(bite)));
          if (!n || *n == 0) co_return;
          into.append(bite, 0, *n);
        }
      },
      std::move(made->server), std::ref(got));
  const auto send = [](tcp_stream& to, int from, std::size_t count) -> task<> {
    const auto n = co_await to.send_file(from, 0, count);
    EXPECT_TRUE(n.has_value() && *n == count);
  };
  const auto ended = co_await catch_stop(send(sender, file, size));
  const shield_scope to_the_end;
  whole = ended.has_value();
  sender = tcp_stream();
  const auto end = co_await reader.outcome();
  EXPECT_TRUE(end.has_value());
}

TEST_P(cancel, a_stopped_send_file_has_sent_the_beginning) {
  const auto close = [](std::FILE* f) { std::fclose(f); };
  const std::unique_ptr<std::FILE, decltype(close)> file(std::tmpfile(), close);
  ASSERT_TRUE(file);
  std::string content;
  while (content.size() < 100'000) content += message;
  ASSERT_EQ(std::fwrite(content.data(), 1, content.size(), file.get()), content.size());
  ASSERT_EQ(std::fflush(file.get()), 0);
  std::string got;
  bool whole = false;
  unsigned wholes = 0;
  const auto report = cancel_everywhere(
      [&](virtual_runtime& rt) {
        return rt.spawn(sends_a_file, fileno(file.get()), content.size(), std::ref(got),
                        std::ref(whole));
      },
      [&](bool) {
        EXPECT_EQ(got, content.substr(0, got.size()));
        EXPECT_TRUE(!whole || got == content);
        wholes += whole;
      },
      virtual_options{.io = GetParam()});
  EXPECT_GT(report.awaits, 1u);
  EXPECT_GT(wholes, 0u);
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

INSTANTIATE_TEST_SUITE_P(drivers, cancel, test::all_drivers, test::driver_name);

}  // namespace
}  // namespace weft::net

#endif
