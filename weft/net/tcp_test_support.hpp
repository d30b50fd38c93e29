// What the tests of streams share: two connected ends, and each test once for each driver.
#pragma once

#include <gtest/gtest.h>

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

#include "weft/io/driver.hpp"
#include "weft/net/tcp.hpp"
#include "weft/runtime/options.hpp"

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
    const auto kind =
        GetParam() == driver::epoll ? io::driver_kind::epoll : io::driver_kind::io_uring;
    std::string_view why;
    if (auto made = io::make_driver(kind, &why); !made) GTEST_SKIP() << why;
  }
};
inline const auto both_drivers = ::testing::Values(driver::epoll, driver::io_uring);
inline std::string driver_name(const ::testing::TestParamInfo<driver>& of) {
  return of.param == driver::epoll ? "epoll" : "io_uring";
}

}  // namespace weft::net::test
