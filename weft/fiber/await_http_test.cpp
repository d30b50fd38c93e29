// HTTP and fibers: serve() awaited in one, a handler whose answer another one makes, and a client in a third.
#include <gtest/gtest.h>

#include <array>
#include <cstddef>
#include <string>
#include <string_view>

#include "weft/fiber/one_wait_test_support.hpp"
#include "weft/http/server.hpp"
#include "weft/net/tcp.hpp"
#include "weft/net/tcp_test_support.hpp"
#include "weft/sync/event.hpp"

namespace weft::http {
namespace {

using net::test::bytes_of;
using net::test::loopback;
using test_support::one_wait;
using test_support::wait_end;

/// All that comes until the end.
std::string answers_to(net::endpoint server, std::string_view question) {
  auto stream = await(net::tcp_stream::connect(server));
  EXPECT_TRUE(stream);
  if (!stream) return {};
  EXPECT_TRUE(await(stream->write_all(bytes_of(question))));
  std::string all;
  std::array<std::byte, 256> bite;
  for (;;) {
    const auto n = await(stream->read_some(bite));
    if (!n || *n == 0) return all;
    all += net::test::text_of(std::span(bite).first(*n));
  }
}

class await_http : public net::test::on_each_driver {};
INSTANTIATE_TEST_SUITE_P(drivers, await_http, net::test::all_drivers, net::test::driver_name);

TEST_P(await_http, a_server_in_a_fiber_answers_with_what_fibers_make_until_it_is_stopped) {
  testing::virtual_runtime rt({.io = GetParam()});
  rt.block_on(rt.get().go([&] {
    event asked, may_answer;
    bool made = false;
    const auto makes = [&](std::string target) {
      asked.set();
      await(may_answer.wait());
      made = true;
      return "made for " + target;
    };
    server site([&](const request& what) -> task<response> {
      auto maker = go(makes, std::string(what.target));
      std::string text = co_await maker;
      co_return response::with_text(status::ok, "text/plain", std::move(text));
    });
    auto listener = net::tcp_listener::bind(loopback);
    ASSERT_TRUE(listener);
    auto serving = go([&] { return await(site.serve(*listener)); });
    auto client = go(answers_to, listener->local_endpoint().value(),
                     "GET /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    await(asked.wait());
    EXPECT_FALSE(made || client.done());
    may_answer.set();
    const std::string got = await(client);
    EXPECT_TRUE(got.starts_with("HTTP/1.1 200")) << got;
    EXPECT_TRUE(got.ends_with("made for /x")) << got;
    serving.stop();
    auto end = await(serving.outcome());
    ASSERT_TRUE(end.has_value()) << "a stop of serve() is its success";
    EXPECT_TRUE(end.value());
    EXPECT_EQ(site.statistics().connections_open, 0u);
  }));
}

}  // namespace
}  // namespace weft::http
