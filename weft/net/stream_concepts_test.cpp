// A socket is what the functions of weft/io take for a stream, as it is.
#include <gtest/gtest.h>

#include <array>
#include <string>

#include "weft/io/buffered_reader.hpp"
#include "weft/io/buffered_writer.hpp"
#include "weft/io/copy_bidirectional.hpp"
#include "weft/net/tcp.hpp"
#include "weft/net/tcp_test_support.hpp"
#include "weft/runtime/runtime.hpp"
#include "weft/task/join_handle.hpp"

namespace weft::net {
namespace {

static_assert(io::async_reader<tcp_stream> && io::async_writer<tcp_stream>);
static_assert(io::half_closable<tcp_stream> && io::async_stream<tcp_stream>);
static_assert(io::async_reader<io::buffered_reader<tcp_stream>>);
static_assert(io::half_closable<io::buffered_writer<tcp_stream>>);

class streams : public test::on_each_driver {};

/// Answers each line, and then the end.
task<> serve_lines(tcp_stream peer) {
  io::buffered_reader in(peer);
  io::buffered_writer out(peer);
  for (;;) {
    const auto line = co_await in.read_line();
    EXPECT_TRUE(line);
    if (!line || !*line) break;
    const auto wrote = co_await io::write_frame(out, io::lines(), std::as_bytes(std::span(**line)));
    EXPECT_TRUE(wrote);
  }
  const auto shut = co_await out.shutdown_write();
  EXPECT_TRUE(shut);
}
task<> proxy(tcp_stream near, tcp_stream far) {
  const auto moved = co_await io::copy_bidirectional(near, far);
  EXPECT_TRUE(moved);
  if (!moved) co_return;
  EXPECT_EQ(moved->forth, 15u);
  EXPECT_EQ(moved->back, 14u);
}
task<> talk_through_a_proxy() {
  auto front = co_await test::connected_pair();
  auto back = co_await test::connected_pair();
  EXPECT_TRUE(front && back);
  if (!front || !back) co_return;
  auto serving = spawn(serve_lines, std::move(back->server));
  auto proxying = spawn(proxy, std::move(front->server), std::move(back->client));
  tcp_stream client = std::move(front->client);
  const auto asked = co_await client.write_all(test::bytes_of("hello\r\nweft\r\n\nx"));
  EXPECT_TRUE(asked);
  static_cast<void>(client.shutdown_write());
  std::array<std::byte, 100> room;
  const auto n = co_await io::read_exact(client, room);
  EXPECT_TRUE(n);
  EXPECT_EQ(test::text_of(std::span(room).first(*n)), "hello\nweft\n\nx\n");
  co_await serving;
  co_await proxying;
}
TEST_P(streams, go_through_a_proxy_line_by_line) {
  runtime_options options;
  options.workers = 2;
  options.io = GetParam();
  runtime rt(options);
  rt.block_on(talk_through_a_proxy());
}

INSTANTIATE_TEST_SUITE_P(drivers, streams, test::all_drivers, test::driver_name);

}  // namespace
}  // namespace weft::net
