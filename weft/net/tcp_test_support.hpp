// What the tests of streams share: two connected ends, and each test once for each driver.
#pragma once

#include <gtest/gtest.h>

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "weft/net/tcp.hpp"
#include "weft/runtime/environment.hpp"
#include "weft/runtime/options.hpp"
#include "weft/runtime/runtime.hpp"

namespace weft::net::test {

inline const endpoint loopback{address::loopback_v4(), 0};

inline std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}
inline std::string text_of(std::span<const std::byte> bytes) {
  return std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

struct connection {
  tcp_stream client;
  tcp_stream server;
};
inline task<result<connection>> connected_pair() {
  auto listener = tcp_listener::bind(loopback);
  if (!listener) co_return std::unexpected(listener.error());
  auto client = co_await tcp_stream::connect(*listener->local_endpoint());
  if (!client) co_return std::unexpected(client.error());
  auto server = co_await listener->accept();
  if (!server) co_return std::unexpected(server.error());
  co_return connection{std::move(*client), std::move(*server)};
}

/// Once for each driver that works here: GetParam() names it.
class on_each_driver : public ::testing::TestWithParam<driver> {
 protected:
  void SetUp() override {
    std::string_view why;
    auto made = detail::real_environment().make_driver(GetParam(), &why);
    if (!made) GTEST_SKIP() << why;
  }
};
/// automatic is epoll with a ring beside it, the same for sockets.
inline const auto all_drivers = ::testing::Values(driver::epoll, driver::io_uring, driver::poll);
/// For what has to do with files, too.
inline const auto all_drivers_of_files =
    ::testing::Values(driver::epoll, driver::io_uring, driver::poll, driver::automatic);
/// Runs `f(args...)` on a runtime of two workers.
template <class F, class... A>
void run_on(driver io, F f, A&&... args) {
  runtime rt({.workers = 2, .io = io});
  rt.block_on(f(std::forward<A>(args)...));
}
/// Those that a guest's host can wait for.
inline const auto drivers_for_guests =
    ::testing::Values(driver::epoll, driver::io_uring, driver::automatic);
inline std::string driver_name(const ::testing::TestParamInfo<driver>& of) {
  switch (of.param) {
    case driver::automatic:
      return "automatic";
    case driver::io_uring:
      return "io_uring";
    case driver::epoll:
      return "epoll";
    case driver::poll:
      return "poll";
    case driver::kqueue:  // not here
    case driver::iocp:
      break;
  }
  __builtin_unreachable();
}

}  // namespace weft::net::test
