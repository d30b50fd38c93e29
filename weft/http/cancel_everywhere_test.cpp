// The file server with a client, stopped at every await of every job in it: nothing hangs and nothing is
// left, and a client that got an answer got it right.
#include "weft/base/config.hpp"

#if WEFT_CENSUS  // the harness needs the hook that only these builds have

#include <gtest/gtest.h>

#include <array>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include "weft/http/files.hpp"
#include "weft/http/server.hpp"
#include "weft/net/tcp.hpp"
#include "weft/net/tcp_test_support.hpp"
#include "weft/task/shield_scope.hpp"
#include "weft/testing/cancel_everywhere.hpp"
#include "weft/together/catch_stop.hpp"

namespace weft::http {
namespace {

using testing::cancel_everywhere;
using testing::virtual_options;
using testing::virtual_runtime;

struct folder {
  std::filesystem::path path;
  folder() {
    std::string name = (std::filesystem::temp_directory_path() / "weft-XXXXXX").string();
    path = ::mkdtemp(name.data());
    std::ofstream(path / "small.txt") << "small";
    std::ofstream(path / "large.bin") << std::string(200'000, 'x');  // more than is read at once
  }
  ~folder() { std::filesystem::remove_all(path); }
};

task<> ask(net::endpoint to, std::string what, std::string& got) {
  auto stream = co_await net::tcp_stream::connect(to);
  if (!stream) co_return;
  const auto sent = co_await stream->write_all(std::as_bytes(std::span(what.data(), what.size())));
  if (!sent) co_return;
  std::array<std::byte, 16384> buffer;
  for (;;) {
    const auto n = co_await stream->read_some(buffer);
    if (!n || *n == 0) co_return;
    got.append(reinterpret_cast<const char*>(buffer.data()), *n);
  }
}

task<> scenario(const folder& from, std::chrono::milliseconds fresh_for, bool& whole) {
  whole = false;
  auto root = fs::directory::blocking_open(from.path.string());
  if (!root) co_return;
  file_options options;
  options.fresh_for = fresh_for;
  static_files files(std::move(*root), options);
  auto listener = net::tcp_listener::bind(net::test::loopback);
  if (!listener) co_return;
  server site(files);
  auto serving = spawn([&] { return site.serve(*listener); });
  // Requests in one piece, the last one ends the connection. Those made again find the files kept.
  std::string got;
  auto client =
      spawn(ask, *listener->local_endpoint(),
            std::string("GET /small.txt HTTP/1.1\r\nHost: a\r\n\r\n"
                        "GET /small.txt HTTP/1.1\r\nHost: a\r\n\r\n"
                        "GET /large.bin HTTP/1.1\r\nHost: a\r\n\r\n"
                        "GET /large.bin HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"),
            std::ref(got));
  const auto joined = [](join_handle<void>& c) -> task<> { co_await c; };
  const auto ended = co_await catch_stop(joined(client));
  const shield_scope to_the_end;
  client.stop();
  serving.stop();
  const auto end_c = co_await client.outcome();
  const auto end_s = co_await serving.outcome();
  static_cast<void>(end_c), static_cast<void>(end_s);
  EXPECT_EQ(site.statistics().connections_open, 0u);  // serve() has ended
  if (ended) {
    whole = got.starts_with("HTTP/1.1 200") && got.find("small") != std::string::npos &&
            got.ends_with(std::string(200'000, 'x'));
    EXPECT_TRUE(whole) << got.size();
  }
}

class cancel_files : public net::test::on_each_driver {};

TEST_P(cancel_files, the_file_server_leaves_nothing_wherever_it_is_stopped) {
  const folder f;
  for (const auto fresh_for : {std::chrono::seconds(0), std::chrono::seconds(1)}) {
    bool whole = false;
    unsigned wholes = 0;
    const auto report = cancel_everywhere(
        [&](virtual_runtime& rt) {
          return rt.spawn(scenario, std::cref(f), std::chrono::milliseconds(fresh_for),
                          std::ref(whole));
        },
        [&](bool) { wholes += whole; }, virtual_options{.io = GetParam()});
    EXPECT_GT(report.awaits, 10u);
    EXPECT_GT(wholes, 0u);
  }
}

INSTANTIATE_TEST_SUITE_P(drivers, cancel_files, net::test::all_drivers_of_files,
                         net::test::driver_name);

}  // namespace
}  // namespace weft::http

#endif
