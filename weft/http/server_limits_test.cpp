// What the server refuses, and how much of everything it takes on.
#include "weft/http/server.hpp"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <deque>
#include <memory>
#include <string>
#include <utility>

#include "weft/http/client_test_support.hpp"
#include "weft/http/server_test_support.hpp"
#include "weft/net/serve.hpp"

namespace weft::http {
namespace {

using namespace std::chrono_literals;
using test::answering;
using test::body_of;
using test::clock_kind;
using test::defaults;
using test::field_of;
using test::get;
using test::raw_client;
using test::status_of;
using test::test_server;

TEST(http_server, a_megabyte_of_request_line_is_refused_at_once_and_the_client_learns_why) {
  answering h;
  test_server s(h, defaults, clock_kind::manual);
  raw_client c(s.port());
  // All of it is taken: no reset comes, which could overtake the answer.
  EXPECT_TRUE(c.send("GET /" + std::string(1 << 20, 'a') + " HTTP/1.1\r\nHost: x\r\n\r\n"));
  const std::string got = c.read_response();
  EXPECT_EQ(status_of(got), 414);
  EXPECT_EQ(field_of(got, "connection"), "close");
  EXPECT_EQ(s.statistics().refused, 1u);
  EXPECT_EQ(s.statistics().requests, 0u);
}

// A close with unread bytes would be a reset, which can take the answer away from a client that still
// writes.
TEST(http_server, a_refused_client_may_finish_writing) {
  answering h;
  test_server s(h, defaults, clock_kind::manual);
  raw_client c(s.port());
  c.send("GET /" + std::string(20'000, 'a'));
  const std::string got = c.read_response();
  EXPECT_EQ(status_of(got), 414);
  for (int i = 0; i < 3; ++i) {
    EXPECT_TRUE(c.send(std::string(100'000, 'a')));
    s.settle();  // a close, if it does that, is done before the next piece
  }
  EXPECT_EQ(s.statistics().connections_open, 1u);
  c.end_writing();
  EXPECT_TRUE(s.eventually([](const auto& n) { return n.connections_open == 0; }));
}

TEST(http_server, what_is_over_a_limit_or_malformed_is_refused_by_its_status) {
  answering h;
  test_server s(h);
  std::string many = "GET / HTTP/1.1\r\nHost: x\r\n";
  for (int i = 0; i < 101; ++i) many += "X-" + std::to_string(i) + ": 1\r\n";
  const std::pair<std::string, int> cases[] = {
      {many + "\r\n", 431},
      {get("/", "X: " + std::string(70'000, 'x') + "\r\n"), 431},
      {"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1048577\r\n\r\n", 413},
      {"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
       400},
      {"GET / HTTP/1.1\r\n\r\n", 400},
      {"GET / HTTP/1.1\nHost: x\n\n", 400},
      {"\x16\x03\x01\r\n\r\n", 400},
      {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505},
  };
  for (const auto& [request, expected] : cases) {
    raw_client c(s.port());
    c.send(request);
    const std::string got = c.read_all();
    EXPECT_EQ(status_of(got), expected) << request.substr(0, 60) << "\n" << got;
  }
}

TEST(http_server, empty_lines_that_come_one_by_one_are_counted) {
  answering h;
  test_server s(h, defaults, clock_kind::manual);
  raw_client c(s.port());
  for (int i = 0; i < 4; ++i) c.send("\r\n");
  EXPECT_EQ(body_of(c.ask(get("/fine"))), "/fine|");
  // Each is read by itself: nothing is left to be done before the next one comes.
  for (std::size_t i = 0; i <= leading_blank_lines_max; ++i) {
    c.send("\r\n");
    s.advance(0ns);
  }
  EXPECT_EQ(status_of(c.read_all()), 400);
}

TEST(http_server, above_the_limit_a_connection_waits_until_another_ends) {
  answering h;
  server_options o;
  o.connections_max = 2;
  test_server s(h, o, clock_kind::manual);
  auto a = std::make_unique<raw_client>(s.port());
  raw_client b(s.port());
  const std::string first = a->ask(get("/a"));
  const std::string second = b.ask(get("/b"));
  EXPECT_EQ(status_of(first), 200);
  EXPECT_EQ(status_of(second), 200);
  raw_client c(s.port());  // in the kernel's queue
  c.send(get("/c"));
  s.settle();
  EXPECT_EQ(s.statistics().connections_accepted, 2u);
  a.reset();
  const std::string third = c.read_response();
  EXPECT_EQ(body_of(third), "/c|");
}

// The server is alone in a process that may have 48 descriptors; 90 clients come. It must neither
// die nor spin, and serve them all when descriptors come back. Time passes as the child says.
int serve_with_few_descriptors(int tell, int end) {
  const rlimit few{48, 48};
  if (::setrlimit(RLIMIT_NOFILE, &few) != 0) return 2;
  answering h;
  server_options o;
  o.idle_time = o.header_time = 1000h;
  test_server s(h, o, clock_kind::manual);
  const std::uint16_t port = s.port();
  if (::write(tell, &port, sizeof port) != sizeof port) return 3;
  if (!s.eventually([](const auto& n) { return n.accept_errors != 0; })) return 4;
  const auto accepted = s.statistics().connections_accepted;
  s.settle();
  if (s.statistics().accept_errors != 1) return 5;  // it spun
  s.advance(net::accept_pause_min);
  s.advance(2 * net::accept_pause_min - 1ms);
  if (s.statistics().accept_errors != 2) return 6;
  s.advance(1ms);
  if (s.statistics().accept_errors != 3) return 7;
  if (s.statistics().connections_accepted != accepted) return 8;
  char byte = 'x';
  if (::write(tell, &byte, 1) != 1) return 9;  // now the clients may go
  if (!s.eventually([&s](const auto& n) {
        s.advance(net::accept_pause_max);
        return n.connections_accepted == 90;
      })) {
    return 10;
  }
  return ::read(end, &byte, 1) == 0 ? 0 : 11;
}

TEST(http_server, out_of_descriptors_it_waits_and_recovers) {
  std::array<int, 2> told{}, end{};
  ASSERT_EQ(::pipe(told.data()), 0);
  ASSERT_EQ(::pipe(end.data()), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    ::close(told[0]);
    ::close(end[1]);
    ::_exit(serve_with_few_descriptors(told[1], end[0]));
  }
  ::close(told[1]);  // so that a child that ends early is an end here, too
  ::close(end[0]);
  std::uint16_t port = 0;
  ASSERT_EQ(::read(told[0], &port, sizeof port), static_cast<ssize_t>(sizeof port));
  {
    std::deque<raw_client> clients;
    for (int i = 0; i < 90; ++i) clients.emplace_back(port).send(get("/x"));
    char byte;
    EXPECT_EQ(::read(told[0], &byte, 1), 1);
    while (!clients.empty()) {  // each end makes room for one that waits
      const std::string got = clients.front().read_response();
      EXPECT_EQ(body_of(got), "/x|") << clients.size();
      clients.pop_front();
    }
  }
  ::close(end[1]);
  int how = 0;
  ASSERT_EQ(::waitpid(child, &how, 0), child);
  EXPECT_TRUE(WIFEXITED(how)) << how;
  EXPECT_EQ(WEXITSTATUS(how), 0);
  ::close(told[0]);
}

}  // namespace
}  // namespace weft::http
