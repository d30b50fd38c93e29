// What the clock of a virtual runtime makes of I/O.
#include "weft/testing/virtual_time.hpp"

#include <gtest/gtest.h>

#include <array>
#include <chrono>
#include <cstdlib>
#include <span>

#include "weft/io/driver.hpp"
#include "weft/net/tcp.hpp"
#include "weft/runtime/time.hpp"

namespace weft {
namespace {

using namespace std::chrono_literals;

task<> say_something(net::tcp_stream& to) {
  co_await yield_now();  // the reader waits by now
  const std::array<std::byte, 1> bytes{std::byte{'x'}};
  const auto sent = co_await to.write_all(bytes);
  EXPECT_TRUE(sent.has_value());
}

// Watched by epoll it would keep the clock where it is: a real hour would have to pass.
TEST(virtual_time, goes_on_beside_an_open_connection_that_has_waited) {
  if (!io::make_driver(io::driver_kind::io_uring)) GTEST_SKIP() << "io_uring is refused here";
  if (std::getenv("WEFT_DRIVER") != nullptr) GTEST_SKIP() << "WEFT_DRIVER decides";
  testing::virtual_runtime rt;
  EXPECT_EQ(rt.get().metrics().driver, "io_uring");
  rt.block_on([]() -> task<> {
    auto listener = net::tcp_listener::bind({net::address::loopback_v4(), 0});
    auto client = co_await net::tcp_stream::connect(*listener->local_endpoint());
    auto server = co_await listener->accept();
    auto writer = spawn(say_something, std::ref(*client));
    std::array<std::byte, 8> room;
    const auto n = co_await server->read_some(room);
    EXPECT_EQ(n.value_or(0), 1u);
    co_await writer;
    co_await sleep_for(1h);
  }());
  EXPECT_EQ(rt.elapsed(), 1h);
}

TEST(virtual_time, driver_is_what_the_options_say) {
  testing::virtual_runtime rt({.io = driver::poll});
  EXPECT_EQ(rt.get().metrics().driver, "poll");
}

}  // namespace
}  // namespace weft
