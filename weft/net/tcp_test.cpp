// Streams and listeners on a real runtime, on every driver that works here.
#include "weft/net/tcp.hpp"

#include <gtest/gtest.h>
#include <linux/sockios.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <functional>
#include <string>
#include <vector>

#include "weft/net/manual_time_test_support.hpp"
#include "weft/net/serve.hpp"
#include "weft/net/tcp_test_support.hpp"
#include "weft/os/file.hpp"
#include "weft/runtime/runtime.hpp"
#include "weft/runtime/time.hpp"
#include "weft/together/timeout.hpp"

namespace weft::net {
namespace {

using namespace std::chrono_literals;
using test::all_drivers;
using test::bytes_of;
using test::connected_pair;
using test::connection;
using test::driver_name;
using test::loopback;
using test::manual_runtime;
using test::text_of;

class tcp_test : public test::on_each_driver {
 protected:
  /// Runs `f(args...)` on a runtime of two workers.
  template <class F, class... A>
  void run(F f, A&&... args) {
    runtime rt({.workers = 2, .io = GetParam()});
    rt.block_on(f(std::forward<A>(args)...));
  }
};
INSTANTIATE_TEST_SUITE_P(each, tcp_test, all_drivers, driver_name);

task<void> both_ends_know_each_other() {
  auto made = co_await connected_pair();
  EXPECT_TRUE(made);
  if (!made) co_return;
  connection& c = *made;
  EXPECT_EQ(*c.client.local_endpoint(), *c.server.peer_endpoint());
  EXPECT_EQ(*c.client.peer_endpoint(), *c.server.local_endpoint());
  EXPECT_TRUE(c.client.set_no_delay(false));
  EXPECT_TRUE(c.client.set_keep_alive(true));
}
TEST_P(tcp_test, both_ends_know_each_other) { run(both_ends_know_each_other); }

task<void> reads_what_was_written() {
  auto made = co_await connected_pair();
  EXPECT_TRUE(made);
  if (!made) co_return;
  connection& c = *made;
  const auto sent = co_await c.client.write_all(bytes_of("hello, world"));
  EXPECT_TRUE(sent);
  std::byte buffer[12];
  const auto exact = co_await c.server.read_exact(buffer);
  EXPECT_EQ(exact.value(), 12u);
  EXPECT_EQ(text_of(buffer), "hello, world");
  const auto some = co_await c.server.write_some(bytes_of("back"));
  EXPECT_EQ(some.value(), 4u);
  const auto readable = co_await c.client.wait_readable();
  EXPECT_TRUE(readable);
  const auto n = co_await c.client.read_some(buffer);
  EXPECT_EQ(n.value(), 4u);
  const auto nothing = co_await c.client.write_all(std::span<const std::byte>());
  EXPECT_TRUE(nothing);
  const auto none = co_await c.client.read_some(std::span<std::byte>());
  EXPECT_EQ(none.value(), 0u);
}
TEST_P(tcp_test, reads_what_was_written) { run(reads_what_was_written); }

task<void> writes_the_rest(tcp_stream& to) {
  const auto sent = co_await to.write_all(bytes_of("the rest"));
  EXPECT_TRUE(sent);
  EXPECT_TRUE(to.shutdown_write());
}

task<void> tries_to_write() {
  auto made = co_await connected_pair();
  EXPECT_TRUE(made);
  if (!made) co_return;
  connection& c = *made;
  const auto none = c.client.try_write(std::span<const std::byte>());
  EXPECT_EQ(none.value(), 0u);
  const auto one = c.client.try_write(bytes_of("hello, "));
  EXPECT_EQ(one.value(), 7u);
  const std::array<io::io_part, 3> parts = {{{"wor", 3}, {"", 0}, {"ld", 2}}};
  const auto several = c.client.try_write(std::span<const io::io_part>(parts));
  EXPECT_EQ(several.value(), 5u);
  std::byte buffer[12];
  const auto exact = co_await c.server.read_exact(buffer);
  EXPECT_EQ(exact.value(), 12u);
  EXPECT_EQ(text_of(buffer), "hello, world");
  // Until it is full; then a write waits, and all arrives in its order.
  std::string all, got;
  for (char letter = 'a';; letter = letter == 'z' ? 'a' : static_cast<char>(letter + 1)) {
    const std::string piece(100'000, letter);
    const auto n = c.client.try_write(bytes_of(piece));
    if (!n) {
      EXPECT_EQ(n.error(), std::errc::operation_would_block);
      break;
    }
    EXPECT_GT(*n, 0u);
    all.append(piece, 0, *n);
  }
  auto rest = spawn(writes_the_rest, std::ref(c.client));
  all += "the rest";
  std::vector<std::byte> some(65536);
  for (;;) {
    const auto n = co_await c.server.read_some(some);
    if (!n || *n == 0) break;
    got += text_of(std::span(some).first(*n));
  }
  co_await rest;
  EXPECT_TRUE(got == all);
  const auto after_the_end = c.client.try_write(bytes_of("x"));
  EXPECT_EQ(after_the_end.error(), std::errc::broken_pipe);
  c.client.close();
  const auto closed = c.client.try_write(bytes_of("x"));
  EXPECT_EQ(closed.error(), std::errc::bad_file_descriptor);
}
TEST_P(tcp_test, try_write_hands_over_what_goes_and_never_waits) { run(tries_to_write); }

task<void> reads_into_lent_buffers() {
  auto made = co_await connected_pair();
  EXPECT_TRUE(made);
  if (!made) co_return;
  connection& c = *made;
  const auto sent = co_await c.client.write_all(bytes_of("hello"));
  EXPECT_TRUE(sent);
  const auto first = co_await c.server.read_pooled();
  EXPECT_EQ(text_of(first.value().bytes()), "hello");
  const auto more = co_await c.client.write_all(bytes_of("world"));
  EXPECT_TRUE(more);
  const auto second = co_await timeout(1h, c.server.read_pooled());
  EXPECT_EQ(text_of(second.value().bytes()), "world");
  EXPECT_EQ(text_of(first.value().bytes()), "hello");
  EXPECT_TRUE(c.client.shutdown_write());
  const auto end = co_await c.server.read_pooled();
  EXPECT_TRUE(end);
  EXPECT_TRUE(end->empty());
  c.server.close();
  const auto closed = co_await c.server.read_pooled();
  EXPECT_FALSE(closed);
}
TEST_P(tcp_test, read_pooled_lends_what_came) { run(reads_into_lent_buffers); }

task<result<io::lent_bytes>> gives_away() {
  auto made = co_await connected_pair();
  if (!made) co_return std::unexpected(made.error());
  const auto sent = co_await made->client.write_all(bytes_of("kept"));
  if (!sent) co_return std::unexpected(sent.error());
  auto came = co_await made->server.read_pooled();
  co_return came;
}
TEST_P(tcp_test, what_read_pooled_lent_outlives_the_runtime) {
  io::lent_bytes kept;
  {
    runtime rt({.workers = 2, .io = GetParam()});
    auto came = rt.block_on(gives_away());
    ASSERT_TRUE(came);
    kept = std::move(*came);
  }
  EXPECT_EQ(text_of(kept.bytes()), "kept");
  kept.release();
}

/// Sends `rounds` messages and checks what comes back.
task<void> ping(tcp_stream stream, int rounds) {
  std::string message = "0123456789";
  std::array<std::byte, 32> room;
  for (int i = 0; i < rounds; ++i) {
    message += 'x';
    message = message.substr(1);
    const auto sent = co_await stream.write_all(bytes_of(message));
    EXPECT_TRUE(sent);
    const auto n = co_await stream.read_exact(std::span(room).first(message.size()));
    EXPECT_TRUE(n);
    EXPECT_EQ(text_of(std::span(room).first(message.size())), message);
  }
}
task<void> pong(tcp_stream stream) {
  for (;;) {
    const auto came = co_await stream.read_pooled();
    if (!came || came->empty()) co_return;
    co_await yield_now();  // perhaps to another worker: it gives the buffer back
    const auto sent = co_await stream.write_all(came->bytes());
    if (!sent) co_return;
  }
}
task<void> many_pings() {
  std::vector<join_handle<void>> all;
  for (int i = 0; i < 100; ++i) {
    auto made = co_await connected_pair();
    EXPECT_TRUE(made);
    if (!made) co_return;
    all.push_back(spawn(pong, std::move(made->server)));
    all.push_back(spawn(ping, std::move(made->client), 20));
  }
  for (auto& each : all) co_await each;
}
TEST_P(tcp_test, lent_buffers_go_back_from_any_worker) { run(many_pings); }

task<void> gathers() {
  auto made = co_await connected_pair();
  EXPECT_TRUE(made);
  if (!made) co_return;
  connection& c = *made;
  const io::io_part parts[] = {{"one ", 4}, {"", 0}, {"two ", 4}, {"three", 5}};
  const auto sent = co_await c.client.write_all(std::span<const io::io_part>(parts));
  EXPECT_TRUE(sent);
  c.client.close();
  std::byte buffer[64];
  const auto n = co_await c.server.read_exact(buffer);
  EXPECT_EQ(n.value(), 13u);  // short, because the stream ended
  EXPECT_EQ(text_of(std::span(buffer, 13)), "one two three");
}
TEST_P(tcp_test, a_gathered_write_is_one_stream) { run(gathers); }

task<void> half_closes() {
  auto made = co_await connected_pair();
  EXPECT_TRUE(made);
  if (!made) co_return;
  connection& c = *made;
  EXPECT_TRUE(c.client.shutdown_write());
  std::byte buffer[8];
  const auto end = co_await c.server.read_some(buffer);
  EXPECT_EQ(end.value(), 0u);
  const auto sent = co_await c.server.write_all(bytes_of("still"));
  EXPECT_TRUE(sent);
  const auto n = co_await c.client.read_some(buffer);
  EXPECT_EQ(n.value(), 5u);
}
TEST_P(tcp_test, shutdown_write_leaves_reading_open) { run(half_closes); }

task<void> is_shut_while_it_reads() {
  auto made = co_await connected_pair();
  EXPECT_TRUE(made);
  if (!made) co_return;
  connection& c = *made;
  const auto reads = [](tcp_stream& from) -> task<std::size_t> {
    std::byte buffer[8];
    const auto n = co_await from.read_some(buffer);
    EXPECT_TRUE(n.has_value());
    co_return n.value_or(99);
  };
  auto reading = spawn(reads, std::ref(c.server));
  co_await yield_now();
  EXPECT_TRUE(c.server.shutdown_both());
  const std::size_t read = co_await reading;
  EXPECT_EQ(read, 0u);
  std::byte buffer[8];
  const auto seen = co_await c.client.read_some(buffer);
  EXPECT_EQ(seen.value(), 0u);
  const auto sent = co_await c.server.write_all(bytes_of("late"));
  EXPECT_FALSE(sent);
  const auto again = co_await c.server.read_some(buffer);
  EXPECT_EQ(again.value(), 0u);
}
TEST_P(tcp_test, shutdown_both_ends_what_waits_and_what_comes_later) {
  run(is_shut_while_it_reads);
}

task<void> is_refused() {
  endpoint nobody;
  {
    auto listener = tcp_listener::bind(loopback);
    nobody = *listener->local_endpoint();
  }
  const auto refused = co_await tcp_stream::connect(nobody);
  EXPECT_FALSE(refused);
  EXPECT_TRUE(refused.error() == std::errc::connection_refused);
}
TEST_P(tcp_test, refused_is_an_error) { run(is_refused); }

task<void> is_taken() {
  auto first = tcp_listener::bind(loopback);
  const auto second = tcp_listener::bind(*first->local_endpoint());
  EXPECT_FALSE(second);
  EXPECT_TRUE(second.error() == std::errc::address_in_use);
  auto a = tcp_listener::bind(loopback, {.backlog = 16, .reuse_port = true});
  auto b = tcp_listener::bind(*a->local_endpoint(), {.backlog = 16, .reuse_port = true});
  EXPECT_TRUE(b);
  co_return;
}
TEST_P(tcp_test, a_port_has_one_listener_unless_it_is_shared) { run(is_taken); }

task<void> v6() {
  auto listener = tcp_listener::bind(endpoint{address::loopback_v6(), 0});
  if (!listener) co_return;  // no IPv6 here
  auto client = co_await tcp_stream::connect(*listener->local_endpoint());
  EXPECT_TRUE(client);
  auto server = co_await listener->accept();
  EXPECT_EQ(server->peer_endpoint(), client->local_endpoint());
}
TEST_P(tcp_test, speaks_ipv6) { run(v6); }

task<void> breaks() {
  auto made = co_await connected_pair();
  EXPECT_TRUE(made);
  if (!made) co_return;
  connection& c = *made;
  c.server.close();
  std::error_code error;
  while (!error) {
    const auto sent = co_await c.client.write_all(bytes_of("into the void"));
    if (!sent) error = sent.error();
  }
  EXPECT_TRUE(error == std::errc::broken_pipe || error == std::errc::connection_reset);
}
TEST_P(tcp_test, writing_to_a_closed_peer_is_an_error_and_no_signal) { run(breaks); }

task<void> echo(tcp_stream stream) {
  std::byte buffer[16384];
  for (;;) {
    const auto n = co_await stream.read_some(buffer);
    if (!n || *n == 0) break;
    const auto sent = co_await stream.write_all(std::span<const std::byte>(buffer, *n));
    if (!sent) break;
  }
}
task<void> pump(tcp_stream& to, std::string_view text) {
  const auto sent = co_await to.write_all(bytes_of(text));
  EXPECT_TRUE(sent);
  EXPECT_TRUE(to.shutdown_write());
}
task<void> one_client(endpoint where, std::size_t bytes) {
  auto stream = co_await tcp_stream::connect(where);
  EXPECT_TRUE(stream);
  if (!stream) co_return;
  std::string out(bytes, 'x');
  for (std::size_t i = 0; i < bytes; ++i) out[i] = static_cast<char>(i * 7 + i / 251);
  auto writer = weft::spawn(pump, std::ref(*stream), std::string_view(out));
  std::vector<std::byte> in(bytes + 1);
  const auto n = co_await stream->read_exact(in);
  EXPECT_EQ(n.value(), bytes);
  EXPECT_EQ(std::memcmp(in.data(), out.data(), bytes), 0);
  co_await writer;
}
task<void> serve_forever(tcp_listener& listener) {
  const auto ended = co_await serve(listener, echo);
  static_cast<void>(ended);
}
task<void> many_clients(int clients, std::size_t bytes) {
  auto listener = tcp_listener::bind(loopback);
  const endpoint where = *listener->local_endpoint();
  auto server = weft::spawn(serve_forever, std::ref(*listener));
  std::vector<join_handle<void>> handles;
  for (int i = 0; i < clients; ++i) handles.push_back(weft::spawn(one_client, where, bytes));
  for (auto& h : handles) co_await h;
  server.stop();
  const auto how = co_await server.outcome();
  EXPECT_TRUE(how.stopped());
}
TEST_P(tcp_test, a_server_serves_many_clients_at_once) { run(many_clients, 100, 20'000); }
TEST_P(tcp_test, eight_megabytes_make_the_round_trip) { run(many_clients, 2, 8 << 20); }

task<void> bind_and_connect(tcp_listener& listener, std::vector<tcp_stream>& clients) {
  auto bound = tcp_listener::bind(loopback);
  EXPECT_TRUE(bound);
  listener = std::move(*bound);
  for (int i = 0; i < 4; ++i) {
    auto stream = co_await tcp_stream::connect(*listener.local_endpoint());
    EXPECT_TRUE(stream);
    clients.push_back(std::move(*stream));
  }
}
task<void> ping(std::vector<tcp_stream>& clients) {
  for (tcp_stream& client : clients) {
    const auto sent = co_await client.write_all(bytes_of("ping"));
    EXPECT_TRUE(sent);
    std::byte buffer[4];
    const auto n = co_await client.read_exact(buffer);
    EXPECT_EQ(n.value(), 4u);
  }
}
task<void> stop_and_join(join_handle<void>& job) {
  job.stop();
  const auto how = co_await job.outcome();
  EXPECT_TRUE(how.stopped());
}
void runs_out_of_descriptors(driver io) {
  manual_runtime rt(io);
  tcp_listener listener;
  std::vector<tcp_stream> waiting;
  rt.get().block_on(bind_and_connect(listener, waiting));
  std::vector<os::fd> hoard;  // every number that the process may still have
  for (;;) {
    os::fd copy(::dup(listener.native()));
    if (!copy) break;
    hoard.push_back(std::move(copy));
  }
  auto server = rt.get().spawn(serve_forever, std::ref(listener));
  const auto pauses = [&] { return rt.get().metrics().timers_fired; };
  rt.settle();
  EXPECT_EQ(rt.get().metrics().timers_armed, 1u);  // it has tried, and pauses
  rt.advance(accept_pause_min - std::chrono::milliseconds(1));
  EXPECT_EQ(pauses(), 0u);
  rt.advance(std::chrono::milliseconds(1));
  EXPECT_EQ(pauses(), 1u);
  rt.advance(accept_pause_min);
  EXPECT_EQ(pauses(), 1u);  // twice as long
  rt.advance(accept_pause_min);
  EXPECT_EQ(pauses(), 2u);
  EXPECT_FALSE(server.done());
  hoard.clear();
  rt.advance(4 * accept_pause_min);
  rt.get().block_on(ping(waiting));
  rt.get().block_on(stop_and_join(server));
  waiting.clear();  // before the runtime whose driver knows them
  listener.close();
}
TEST_P(tcp_test, a_server_without_free_descriptors_waits_and_recovers) {
  if (WEFT_ASAN != 0) GTEST_SKIP() << "UBSan, built with ASan, opens a pipe to check a type";
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
  rlimit low = before;
  low.rlim_cur = 128;
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &low), 0);
  runs_out_of_descriptors(GetParam());
  EXPECT_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
}

task<void> read_for_ever(tcp_stream& stream, std::span<std::byte> into, int& done) {
  const auto n = co_await stream.read_exact(into);
  EXPECT_EQ(n.value(), 3u);
  ++done;
  const auto more = co_await stream.read_exact(into);
  static_cast<void>(more);
  ++done;
}
int bytes_in(int request, const tcp_stream& stream) {
  int n = -1;
  EXPECT_EQ(::ioctl(stream.native(), static_cast<unsigned long>(request), &n), 0);
  return n;
}
/// Until what the client wrote has come to the server's socket, and has been read from it.
task<void> until_taken(const connection& c) {
  while (bytes_in(SIOCOUTQ, c.client) != 0) co_await yield_now();
  while (bytes_in(FIONREAD, c.server) != 0) co_await yield_now();
}
task<void> stops_midway(bool bytes_first) {
  auto made = co_await connected_pair();
  EXPECT_TRUE(made);
  if (!made) co_return;
  connection& c = *made;
  if (bytes_first) {
    const auto sent = co_await c.client.write_all(bytes_of("abc"));
    EXPECT_TRUE(sent);
    const auto there = co_await c.server.wait_readable();
    EXPECT_TRUE(there);
  }
  std::byte buffer[8] = {};
  int done = 0;
  auto reader =
      weft::spawn(read_for_ever, std::ref(c.server), std::span<std::byte>(buffer), std::ref(done));
  if (!bytes_first) {
    const auto sent = co_await c.client.write_all(bytes_of("abc"));
    EXPECT_TRUE(sent);
  }
  co_await until_taken(c);
  reader.stop();
  const auto how = co_await reader.outcome();
  EXPECT_TRUE(how.stopped());
  EXPECT_EQ(done, 1);  // it got its three bytes, and ended at the next await
  EXPECT_EQ(text_of(std::span(buffer, 3)), "abc");
}
TEST_P(tcp_test, read_exact_stopped_midway_hands_over_what_it_has) { run(stops_midway, false); }
TEST_P(tcp_test, read_exact_stopped_midway_hands_over_what_was_there_at_first) {
  run(stops_midway, true);
}

task<void> send_a_file(const std::string& folder_path, const char* path, std::size_t size) {
  auto made = co_await connected_pair();
  EXPECT_TRUE(made);
  if (!made) co_return;
  connection& c = *made;
  auto folder = os::open_directory(folder_path);
  EXPECT_TRUE(folder);
  auto file = os::open_beneath(folder->get(), path);
  EXPECT_TRUE(file);
  std::vector<std::byte> in(size + 1);
  struct reading {
    static task<std::size_t> run(tcp_stream& from, std::span<std::byte> into) {
      const auto n = co_await from.read_exact(into);
      co_return n.value();
    }
  };
  auto reader = weft::spawn(reading::run, std::ref(c.server), std::span<std::byte>(in));
  const auto sent =
      co_await c.client.send_file(file->get(), 1, size + 100);  // the file ends before
  EXPECT_EQ(sent.value(), size - 1);
  EXPECT_TRUE(c.client.shutdown_write());
  const auto got = co_await reader;
  EXPECT_EQ(got, size - 1);
  EXPECT_EQ(static_cast<char>(in[0]), 'B');
  EXPECT_EQ(static_cast<char>(in[size - 2]), static_cast<char>('A' + (size - 1) % 26));
}
TEST_P(tcp_test, sends_a_file_from_an_offset_to_its_end) {
  const std::string folder = ::testing::TempDir();
  std::string path = folder + "/weft_tcp_test_XXXXXX";
  os::fd file(mkstemp(path.data()));
  ASSERT_TRUE(static_cast<bool>(file));
  std::string content(3'000'000, ' ');
  for (std::size_t i = 0; i < content.size(); ++i) content[i] = static_cast<char>('A' + i % 26);
  ASSERT_EQ(::write(file.get(), content.data(), content.size()),
            static_cast<ssize_t>(content.size()));
  run(send_a_file, folder, path.c_str() + folder.size() + 1, content.size());
  ::unlink(path.c_str());
}

}  // namespace
}  // namespace weft::net
